//! Lists of keys on the command line: keys, tickets and names, and files with one of them on each line.
//!
//! Knows no command. Invariant: what is no key, and no file of keys, is an error that says which it is and what to write.

use std::collections::HashSet;
use std::path::Path;
use std::str::FromStr;

use egtp::PublicKey;

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::peer::{self, Peer};
use crate::text_file;

/// Who may, by an option of this name. `None` if none was given: everybody may.
///
/// # Errors
/// As [`keys`]; and when a file names nobody.
pub(crate) fn allowed(
    context: &Context,
    option: &str,
    names: &[String],
) -> Result<Option<HashSet<PublicKey>>, Failure> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut all = HashSet::new();
    for name in names {
        let keys = named(context, option, name)?;
        if keys.is_empty() {
            return Err(Failure::with_next(
                Code::Usage,
                format_args!("{option} {name} names nobody: there is no key in that file"),
                format_args!("write one key on each line, or leave {option} out if everybody may"),
            ));
        }
        all.extend(keys);
    }
    Ok(Some(all))
}

/// The keys that are meant by the values of an option of this name; a file may be empty.
///
/// # Errors
/// [`Code::Usage`] for what is neither a key nor a file of keys.
pub(crate) fn keys(
    context: &Context,
    option: &str,
    names: &[String],
) -> Result<HashSet<PublicKey>, Failure> {
    let mut all = HashSet::new();
    for name in names {
        all.extend(named(context, option, name)?);
    }
    Ok(all)
}

fn named(context: &Context, option: &str, name: &str) -> Result<Vec<PublicKey>, Failure> {
    match key(context, name)? {
        Ok(key) => Ok(vec![key]),
        Err(no_key_because) => in_file(context, Path::new(name), (option, &no_key_because)),
    }
}

fn in_file(
    context: &Context,
    path: &Path,
    (option, no_key_because): (&str, &str),
) -> Result<Vec<PublicKey>, Failure> {
    let Some(text) = text_file::read(path)? else {
        let path = path.display();
        return Err(Failure::with_next(
            Code::Usage,
            format_args!("{option} {path} is no key ({no_key_because}), and no such file is there"),
            "give a key (egtp1...), a @name, or a file with one of them on each line",
        ));
    };
    let mut keys = Vec::new();
    for (number, line) in text_file::lines(&text) {
        let read = key(context, line)?;
        keys.push(
            read.map_err(|error| text_file::damaged(path, format_args!("line {number}: {error}")))?,
        );
    }
    Ok(keys)
}

/// The key that a text means, or why it is none. A name must be known.
fn key(context: &Context, text: &str) -> Result<Result<PublicKey, String>, Failure> {
    if !text.starts_with('@') {
        return Ok(peer::ticket(text).map(|ticket| ticket.key));
    }
    match Peer::from_str(text) {
        Ok(name) => Ok(Ok(name.resolve(context.names().as_ref())?.key)),
        Err(error) => Ok(Err(error)),
    }
}
