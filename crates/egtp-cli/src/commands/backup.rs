//! `egtp backup`: what may be brought back later, in one file.

use std::path::PathBuf;

use clap::Args;
use egtp::store::SqliteStore;

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::json::Object;

/// Write identity, names, contacts and what handlers keep to a new file
///
/// It is no copy of the directory: requests under way are in it as unknown, and what was taken from whom
/// is not, so that a restored node can run beside no other and takes nothing twice. Whoever has the file
/// has the identity.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp backup ~/egtp.backup
  egtp --data ./alice backup alice.backup
  egtp --data ./alice backup alice.backup --json")]
pub(crate) struct Arguments {
    /// The file to make; it must not exist
    file: PathBuf,
}

/// Writes it.
///
/// # Errors
/// When the directory is in use or damaged, or the file cannot be made.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let directory = context.directory()?;
    let key = directory.key()?.public();
    let _owned = directory.own("backup").map_err(|failure| {
        if failure.code != Code::Owned {
            return failure;
        }
        let next = "stop that process first: this version backs up only what nobody uses";
        Failure::with_next(failure.code, failure.message, next)
    })?;
    let files = directory.files_to_keep()?;
    let mut store = SqliteStore::open(directory.store())?;
    store.back_up(&arguments.file, &files)?;
    let file = arguments.file.display();
    context.output.say("Whoever has this file has the identity: keep it as safe as the key.");
    let object = Object::new().text("public_key", key).text("file", &file);
    context.output.data(&object, format_args!("{file} holds {key}"))
}
