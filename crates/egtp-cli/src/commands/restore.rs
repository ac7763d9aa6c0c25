//! `egtp restore`: a data directory from a backup.

use std::path::PathBuf;

use clap::Args;
use egtp::store;

use super::id::describe;
use crate::context::Context;
use crate::failure::{Code, Failure};

/// Make a data directory from a backup
///
/// The identity is the old one, and its peers know it. What was under way when the backup was made ends
/// as unknown. Never run the old directory and the new one at once.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp restore ~/egtp.backup
  egtp --data ./alice restore alice.backup
  egtp --data ./alice restore alice.backup --json")]
pub(crate) struct Arguments {
    /// The backup
    file: PathBuf,
}

/// Makes it.
///
/// # Errors
/// When there is an identity already, or the backup cannot be used: then nothing is made.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let directory = context.directory()?;
    if directory.has_key() {
        let path = directory.path().display();
        return Err(Failure::with_next(
            Code::Usage,
            format_args!("{path} holds an identity already, and it stays"),
            "name another directory with --data",
        ));
    }
    let _owned = directory.own("restore")?;
    let files = store::restore(&arguments.file, &directory.store())?;
    directory.bring_back(&files)?;
    context.output.say("Never run the directory that this came from and this one at once.");
    describe(context, &directory, directory.key()?.public())
}
