//! The objects that `--json` prints: fields in the order in which people read them.
//!
//! Knows no command. Invariant: the first field of every object is `"schema":1`.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// An object under construction.
#[derive(Clone, Debug)]
pub(crate) struct Object(Vec<(&'static str, Value)>);

impl Object {
    /// Begins with the schema.
    pub(crate) fn new() -> Self {
        Self::bare().with("schema", SCHEMA)
    }

    /// An object inside another, which has no schema of its own.
    pub(crate) const fn bare() -> Self {
        Self(Vec::new())
    }

    /// Adds a field.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// Adds something by its text.
    pub(crate) fn text(self, name: &'static str, value: impl fmt::Display) -> Self {
        self.with(name, value.to_string())
    }

    /// Adds something by its text, or null.
    pub(crate) fn maybe(self, name: &'static str, value: Option<impl fmt::Display>) -> Self {
        self.with(name, value.map(|value| value.to_string()))
    }

    /// Adds a list of texts.
    pub(crate) fn list<T: fmt::Display>(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let texts = values.into_iter().map(|value| Value::from(value.to_string()));
        self.with(name, texts.collect::<Vec<_>>())
    }

    /// Adds bytes, or null.
    pub(crate) fn base64(self, name: &'static str, value: Option<&[u8]>) -> Self {
        self.with(name, value.map(|bytes| STANDARD.encode(bytes)))
    }

    /// Adds an object.
    pub(crate) fn object(self, name: &'static str, value: Self) -> Self {
        self.with(name, value.into_value())
    }

    /// The same as a value inside something else.
    pub(crate) fn into_value(self) -> Value {
        let fields = self.0.into_iter().map(|(name, value)| (name.to_owned(), value));
        Value::Object(fields.collect())
    }
}

/// A duration as `*_ms` fields have it: milliseconds, exact to a microsecond.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}\"{name}\":{value}")?;
        }
        f.write_str("}")
    }
}

/// Fields are only ever added; what exists keeps its meaning.
const SCHEMA: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_texts_are_escaped() {
        let object = Object::new().text("says", "\"a\"\n").base64("bytes", Some(b"hi"));
        let object = object.maybe("nothing", None::<u8>).list("some", [1, 2]);
        let expected =
            r#"{"schema":1,"says":"\"a\"\n","bytes":"aGk=","nothing":null,"some":["1","2"]}"#;
        assert_eq!(object.to_string(), expected);
    }

    #[test]
    fn durations_are_milliseconds() {
        for (duration, expected) in
            [(Duration::from_micros(1_234), 1.234), (Duration::from_hours(2), 7_200_000.0)]
        {
            assert!((milliseconds(duration) - expected).abs() < 1e-9);
        }
    }
}
