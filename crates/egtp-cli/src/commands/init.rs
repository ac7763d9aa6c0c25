//! `egtp init`: a new identity in a new directory.

use clap::Args;
use egtp::PublicKey;

use super::id::describe;
use crate::context::Context;
use crate::directory::{Directory, Identity};
use crate::failure::{Code, Failure};

/// Make a new identity and the data directory for it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp init                         in the usual directory
  egtp --data ./alice init          in a directory of its own
  egtp --data ./alice init --json   with the key and id for a program

The key file is the identity. Keep a copy of it in a safe place, and show it to nobody.")]
pub(crate) struct Arguments {}

/// Makes it.
///
/// # Errors
/// When there is one already, or the directory cannot be used.
pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let directory = context.directory()?;
    // Before the lock is looked at: a running node is no reason to wait, there is nothing to make.
    if directory.has_key() {
        return Err(exists(&directory, directory.key()?.public()));
    }
    let _owned = directory.own("init")?;
    let (key, identity) = directory.key_or_new()?;
    if identity == Identity::Found {
        return Err(exists(&directory, key.public()));
    }
    context.output.say("A new identity was made. Keep a copy of its key file in a safe place.");
    describe(context, &directory, key.public())
}

fn exists(directory: &Directory, key: PublicKey) -> Failure {
    let path = directory.path().display();
    Failure::with_next(
        Code::Usage,
        format_args!("{path} holds the identity {}... already, and it stays", key.short()),
        format_args!("see it: egtp --data {path} id; or name another directory with --data"),
    )
}
