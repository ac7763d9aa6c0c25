//! A file with every key that there is, to begin with.
//!
//! Knows the keys that there are (`keys`), no option. Invariant: what it prints is a file without a fault that sets nothing,
//! and it stays one without a fault when `# ` is taken from the begin of every line.

use clap::Command;
use serde_json::Value;

use super::keys::{self as known, Form, Key};
use super::sample::{self, Sample};
use crate::json::Object;

/// A key, as the example shows it.
#[derive(Debug)]
pub(crate) struct Shown {
    table: String,
    key: String,
    form: Form,
    is_list: bool,
    sample: Sample,
    help: String,
}

/// Every key of every table, in the order of the help.
pub(crate) fn keys(whole: &Command) -> Vec<Shown> {
    let mut shown = Vec::new();
    add(&mut shown, whole, &[]);
    shown
}

fn add(shown: &mut Vec<Shown>, command: &Command, names: &[&str]) {
    shown.extend(known::of(command).map(|key| Shown::new(command, names, key)));
    for inner in known::tables(command) {
        add(shown, inner, &[names, &[inner.get_name()]].concat());
    }
}

/// The file as a text.
pub(crate) fn text(keys: &[Shown]) -> String {
    let mut lines: Vec<String> = wrapped(HEAD);
    let mut table = "";
    for shown in keys {
        lines.push(String::new());
        if shown.table != table {
            table = &shown.table;
            lines.extend([format!("[{table}]"), String::new()]);
        }
        lines.extend(wrapped(&shown.help));
        let of = if shown.is_list { "A list. " } else { "" };
        let what = if shown.sample.is_default { "If nothing is said" } else { "For example" };
        lines.extend(wrapped(&format!("{of}{what}:")));
        lines.push(format!("# {} = {}", shown.key, shown.sample.value));
    }
    lines.join("\n")
}

impl Shown {
    fn new(command: &Command, names: &[&str], key: Key<'_>) -> Self {
        let arg = key.arg();
        let help = arg.get_long_help().or_else(|| arg.get_help());
        Self {
            table: names.join("."),
            key: key.name().to_owned(),
            form: key.form(),
            is_list: key.is_list(),
            sample: sample::of(command, key),
            help: help.map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// As `--json` has it.
    pub(crate) fn object(&self) -> Object {
        let kind = match self.form {
            Form::Switch => "switch",
            Form::Number => "number",
            Form::Text => "text",
        };
        let Sample { value, is_default } = &self.sample;
        let default = if *is_default { value.clone() } else { Value::Null };
        Object::new()
            .maybe("table", Some(&self.table).filter(|table| !table.is_empty()))
            .text("key", &self.key)
            .with("type", kind)
            .with("list", self.is_list)
            .with("default", default)
            .with("example", value.clone())
            .text("help", &self.help)
    }
}

/// A text as lines of remarks, of which none is too long for a window.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = MARK.to_owned();
        for word in paragraph.split_whitespace() {
            if line.chars().count() + word.chars().count() >= WIDTH && line != MARK {
                lines.push(std::mem::replace(&mut line, MARK.to_owned()));
            }
            line = format!("{line} {word}");
        }
        lines.push(line);
    }
    lines
}

/// Two of them: whoever takes the first from every line leaves a remark.
const MARK: &str = "##";
const WIDTH: usize = 96;
const HEAD: &str = "\
Options of egtp as a file: egtp --config FILE up, or EGTP_CONFIG=FILE. No such file is needed, and none is looked for unless it \
is named. What is given on the command line goes before what the environment says, and that before this file.

Keys are the options' names. Those above the first table are for every command, the others for the command that the table is \
called by. To use one, take the # from its line. A switch that is on here stays on, unless an option that contradicts it is given; \
a list that is given on the command line takes the place of the one here. Paths begin where the command is started. Whether all is \
right: egtp config check FILE";
