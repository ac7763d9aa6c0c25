//! `egtp id`: who this directory is.

use clap::Args;
use egtp::PublicKey;

use crate::context::Context;
use crate::directory::Directory;
use crate::failure::Failure;
use crate::guarantee::ON_DISK;
use crate::json::Object;

/// Show your own public key and node id
///
/// Your own id is called node id, somebody else's peer id: both are the same hash of a public key.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp id
  egtp --data ./alice id
  egtp --data ./alice id --json")]
pub(crate) struct Arguments {}

/// Shows it.
///
/// # Errors
/// When there is no identity, or its key cannot be used.
pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let directory = context.directory()?;
    let key = directory.key()?;
    describe(context, &directory, key.public())
}

/// Prints an identity and where it is kept.
pub(super) fn describe(
    context: &Context,
    directory: &Directory,
    key: PublicKey,
) -> Result<(), Failure> {
    let path = directory.path().display();
    let object = Object::new()
        .text("public_key", key)
        .text("node_id", key.node_id())
        .text("data_dir", &path)
        .with("guarantee", ON_DISK);
    let text = format!(
        "node id     {}\npublic key  {key}\nkept in     {path}\nguarantee   {ON_DISK}",
        key.node_id()
    );
    context.output.data(&object, text)
}
