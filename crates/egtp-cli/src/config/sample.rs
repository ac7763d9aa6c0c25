//! How a key can be written: its default, or an example that the command line would take.
//!
//! Knows what values look like in general, no option. Invariant: what it shows is a line of a file that has no fault.

use clap::Command;
use serde_json::Value;

use super::keys::{Form, Key};

/// A value, and whether it is what applies when nothing is said.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// As a file has it.
    pub(super) value: Value,
    /// Whether it is the default.
    pub(super) is_default: bool,
}

/// The whole line: the key and a value.
pub(super) fn line(command: &Command, key: Key<'_>) -> String {
    // Texts, numbers and lists of them are written alike in JSON and TOML.
    format!("{} = {}", key.name(), of(command, key).value)
}

/// A value for a key.
pub(super) fn of(command: &Command, key: Key<'_>) -> Sample {
    let defaults = key.arg().get_default_values().iter().map(|value| value.to_string_lossy());
    let defaults: Vec<String> = defaults.map(std::borrow::Cow::into_owned).collect();
    let is_default = !defaults.is_empty() || matches!(key.form(), Form::Switch) || key.is_count();
    let texts = match (key.form(), defaults.is_empty()) {
        (_, false) => defaults,
        (Form::Switch, true) => return Sample { value: false.into(), is_default },
        (_, true) if key.is_count() => return Sample { value: 0.into(), is_default },
        (_, true) => vec![example(command, key)],
    };
    let mut values = texts.into_iter().map(|text| match key.form() {
        Form::Number => text.parse::<u64>().map_or(Value::from(text), Value::from),
        Form::Switch => Value::from(text == "true"),
        Form::Text => Value::from(text),
    });
    let value = if key.is_list() { values.collect() } else { values.next().unwrap_or(Value::Null) };
    Sample { value, is_default }
}

/// The first of some texts that the command line would take: what the help calls the value, if it takes any text.
fn example(command: &Command, key: Key<'_>) -> String {
    let called = key.arg().get_value_names().and_then(|names| names.first());
    let called = called.map(ToString::to_string).unwrap_or_default();
    let name = if called.contains("@NAME") { "@bob" } else { called.as_str() };
    let mut tried = [name].into_iter().chain(EXAMPLES);
    let taken = tried.find(|text| key.check(command, &[text]).is_ok());
    taken.unwrap_or(name).to_owned()
}

/// An address, a name, a duration, a number.
const EXAMPLES: [&str; 5] = ["tcp/127.0.0.1:7700", "127.0.0.1:7700", "@bob", "30s", "1"];
