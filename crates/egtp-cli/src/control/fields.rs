//! The fields of an object that came from another process.
//!
//! Knows no meaning. Invariant: a field has the type that is asked for, or there is a sentence that
//! says which one is wrong.

use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::failure::{Code, Failure};

/// An object that was read.
#[derive(Clone, Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl From<Map<String, Value>> for Fields {
    fn from(fields: Map<String, Value>) -> Self {
        Self(fields)
    }
}

impl Fields {
    /// A field that is there and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text, if it is there.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, String> {
        self.typed(name, "a text", Value::as_str)
    }

    /// A whole number that is not negative, if it is there.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, String> {
        self.typed(name, "a whole number", Value::as_u64)
    }

    /// Whether a field is true; one that is missing is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, String> {
        self.typed(name, "true or false", Value::as_bool).map(Option::unwrap_or_default)
    }

    /// An object, if it is there.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>, String> {
        let found = self.typed(name, "an object", Value::as_object)?;
        Ok(found.cloned().map(Self))
    }

    /// A list of objects; one that is missing is empty.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Self>, String> {
        let list = self.typed(name, "a list", Value::as_array)?;
        let objects = list.into_iter().flatten().map(|value| match value {
            Value::Object(fields) => Ok(Self(fields.clone())),
            _ => Err(format!("the field {name} is no list of objects")),
        });
        objects.collect()
    }

    /// Something that is written as text, if it is there.
    pub(crate) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, String> {
        let parse = |text: &str| text.parse::<T>().map_err(|error| format!("{name}: {error}"));
        self.text(name)?.map(parse).transpose()
    }

    /// A list of things that are written as text, if it is there.
    pub(crate) fn list<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<Vec<T>>, String> {
        let Some(list) = self.typed(name, "a list", Value::as_array)? else { return Ok(None) };
        let texts = list.iter().map(|value| {
            let text = value.as_str().ok_or_else(|| format!("{name} is no list of texts"))?;
            text.parse::<T>().map_err(|error| format!("{name}: {error}"))
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Bytes as base64, if they are there.
    pub(crate) fn bytes(&self, name: &str) -> Result<Option<Bytes>, String> {
        let decode = |text| STANDARD.decode(text).map_err(|error| format!("{name}: {error}"));
        Ok(self.text(name)?.map(decode).transpose()?.map(Bytes::from))
    }

    /// a duration in milliseconds, of at most 14 days, if it is there.
    pub(crate) fn milliseconds(&self, name: &str) -> Result<Option<Duration>, String> {
        let Some(number) = self.typed(name, "a number of milliseconds", Value::as_f64)? else {
            return Ok(None);
        };
        let duration = Duration::try_from_secs_f64(number / 1e3).ok();
        let duration = duration.filter(|duration| *duration <= LONGEST);
        duration.map(Some).ok_or_else(|| format!("the field {name} is no duration up to 14 days"))
    }

    /// The failure in the field `error`, if it is there.
    pub(crate) fn failure(&self) -> Result<Option<Failure>, String> {
        let Some(error) = self.object("error")? else { return Ok(None) };
        let code = error.needed("code", Self::text)?;
        // A newer owner may know more codes.
        let code = Code::ALL.into_iter().find(|one| one.name() == code).unwrap_or(Code::Internal);
        let message = error.needed("message", Self::text)?;
        Ok(Some(Failure::with_next(code, message, error.needed("next", Self::text)?)))
    }

    /// A field that must be there.
    pub(crate) fn needed<'a, T>(
        &'a self,
        name: &'a str,
        read: impl Fn(&'a Self, &'a str) -> Result<Option<T>, String>,
    ) -> Result<T, String> {
        read(self, name)?.ok_or_else(|| format!("the field {name} is missing"))
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| format!("the field {name} is not {what}"))
    }
}

/// The longest duration that the command line takes, too.
const LONGEST: Duration = Duration::from_hours(14 * 24);
