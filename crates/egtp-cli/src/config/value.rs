//! A value of a file as the words that the command line would have for it.
//!
//! Knows the kinds of values, no key by name. Invariant: nothing is taken for another kind than it was written as.

use clap::Command;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::keys::{Form, Key};
use super::sample;

/// A text, and at which byte of the file its value begins.
pub(super) type Placed = (usize, String);

/// The texts of a value: one, several of a list, none of a switch that is off.
///
/// # Errors
/// What is expected, and at which byte it is not.
pub(super) fn texts(
    command: &Command,
    key: Key<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<Placed>, Placed> {
    let wrong = |value: &Spanned<DeValue<'_>>, expected: &str| {
        let (sample, found) = (sample::line(command, key), kind(value.get_ref()));
        (value.span().start, format!("{expected} is expected, as in {sample}, not {found}"))
    };
    if !key.is_list() {
        let texts = text(key, value.get_ref());
        let texts = texts.ok_or_else(|| wrong(value, named(key.form())))?;
        return Ok(texts.into_iter().map(|text| (value.span().start, text)).collect());
    }
    let DeValue::Array(elements) = value.get_ref() else { return Err(wrong(value, "a list")) };
    if elements.is_empty() {
        let message = "an empty list says nothing: leave the key out for what is usual";
        return Err((value.span().start, message.to_owned()));
    }
    let mut placed = Vec::new();
    for element in elements {
        let texts =
            text(key, element.get_ref()).ok_or_else(|| wrong(element, "a list of texts"))?;
        placed.extend(texts.into_iter().map(|text| (element.span().start, text)));
    }
    Ok(placed)
}

/// What the command line would have; nothing for a switch that is off. `None` if it is of another kind.
fn text(key: Key<'_>, value: &DeValue<'_>) -> Option<Vec<String>> {
    match (key.form(), value) {
        (Form::Switch, DeValue::Boolean(on)) => {
            Some(on.then(|| on.to_string()).into_iter().collect())
        }
        (Form::Number, DeValue::Integer(number)) => {
            let number = decimal(number);
            // Never given is how the command line says that.
            let is_off = key.is_count() && number == "0";
            Some(if is_off { Vec::new() } else { vec![number] })
        }
        (Form::Text, DeValue::String(text)) => Some(vec![text.clone().into_owned()]),
        _ => None,
    }
}

/// A number as the command line writes it, whatever its base.
fn decimal(number: &DeInteger<'_>) -> String {
    let read = i128::from_str_radix(number.as_str(), number.radix());
    // One that is larger than any is refused as it was written.
    read.map_or_else(|_| number.to_string(), |number| number.to_string())
}

const fn named(form: Form) -> &'static str {
    match form {
        Form::Switch => "true or false",
        Form::Number => "a whole number",
        Form::Text => "a text in quotes",
    }
}

/// What kind of value it is, in words.
pub(super) const fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
