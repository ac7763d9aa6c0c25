//! A BODY on the command line: text, `-` for the standard input, `@FILE`.
//!
//! Knows no message. Invariant: never more is read than may be there, and one byte to notice that
//! there is more.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use egtp::Limits;

use crate::failure::{Code, Failure};
use crate::text_file;

/// Reads what the command line means. `what` is its name in the refusal of something too large,
/// such as `body`; `whole` is what it would be a part of.
///
/// # Errors
/// [`Code::Usage`] when it is larger than a message may be, and when the input or the file cannot be
/// read.
pub(crate) fn read(text: &str, what: &str, whole: &str) -> Result<Bytes, Failure> {
    let limit = Limits::default().message_bytes_max;
    let too_large = |of: &str, bytes: &str| {
        let message =
            format_args!("the {what} {of}has {bytes} bytes; {whole} may have at most {limit}");
        Failure::with_next(Code::Usage, message, "make it smaller, or send it in several parts")
    };
    if text == "-" {
        let read = bounded(io::stdin().lock(), limit).map_err(|error| {
            Failure::new(Code::Io, format_args!("could not read the standard input: {error}"))
        })?;
        let refusal = || too_large("of the standard input ", &format!("more than {limit}"));
        return read.ok_or_else(refusal);
    }
    let Some(name) = text.strip_prefix('@') else {
        let refusal = too_large("", &text.len().to_string());
        return if text.len() > limit { Err(refusal) } else { Ok(text.to_owned().into()) };
    };
    let path = Path::new(name);
    let failed = |error: io::Error| text_file::failed("read", path, &error);
    let file = File::open(path).map_err(failed)?;
    // A pipe has no length, and a file may grow; what is read decides.
    let length = file.metadata().map_err(failed)?.len();
    bounded(file, limit).map_err(failed)?.ok_or_else(|| {
        let is_known = usize::try_from(length).is_ok_and(|length| length > limit);
        let bytes = if is_known { length.to_string() } else { format!("more than {limit}") };
        too_large(&format!("of {name} "), &bytes)
    })
}

/// All of it; `None` when it is more than `limit` bytes.
fn bounded(from: impl Read, limit: usize) -> io::Result<Option<Bytes>> {
    let mut bytes = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    from.take(one_more).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit).then(|| bytes.into()))
}
