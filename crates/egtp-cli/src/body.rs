//! The BODY of a message: text, `-` for the standard input, `@FILE`.
//!
//! Knows no message. Invariant: never more is read than a message may have, and one byte to notice
//! that there is more.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use egtp::Limits;

use crate::failure::{Code, Failure};
use crate::text_file;

/// Reads what the command line means.
///
/// # Errors
/// When the input or the file cannot be read.
pub(crate) fn read(text: &str) -> Result<Bytes, Failure> {
    if text == "-" {
        let read = bounded(io::stdin().lock());
        return read.map_err(|error| {
            Failure::new(Code::Io, format_args!("could not read the standard input: {error}"))
        });
    }
    let Some(name) = text.strip_prefix('@') else { return Ok(text.to_owned().into()) };
    let path = Path::new(name);
    let read = File::open(path).and_then(bounded);
    read.map_err(|error| text_file::failed("read", path, &error))
}

fn bounded(from: impl Read) -> io::Result<Bytes> {
    let limit = Limits::default().message_bytes_max.saturating_add(1);
    let mut bytes = Vec::new();
    from.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}
