//! `egtp backup`: what may be brought back later, in one file.

use std::path::PathBuf;

use clap::Args;
use egtp::store::SqliteStore;

use crate::access::{self, Access};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::json::Object;

/// Write identity, names, contacts and what handlers keep to a new file
///
/// It is no copy of the directory: requests under way are in it as unknown, and what was taken from whom
/// is not, so that a restored node can run beside no other and takes nothing twice. Whoever has the file
/// has the identity. A running node makes it itself, and goes on.
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
/// When the directory is damaged, or the file cannot be made.
pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let directory = context.directory()?;
    let key = directory.key()?.public();
    let file = std::path::absolute(&arguments.file).unwrap_or_else(|_| arguments.file.clone());
    match access::to(&directory, "backup").await? {
        Access::Owner(_owned) => {
            let files = directory.files_to_keep()?;
            SqliteStore::open(directory.store())?.back_up(&file, &files)?;
        }
        Access::Guest(attached) => {
            let Some(file) = file.to_str() else {
                let message = "a path that is not UTF-8 cannot be told to the running node";
                let next = "give the file another name, or stop the node first";
                return Err(Failure::with_next(Code::Usage, message, next));
            };
            attached.back_up(file.to_owned()).await?;
        }
    }
    let file = arguments.file.display();
    context.output.say("Whoever has this file has the identity: keep it as safe as the key.");
    let object = Object::new().text("public_key", key).text("file", &file);
    context.output.data(&object, format_args!("{file} holds {key}"))
}
