//! `egtp status`: what a data directory holds, and whether a node uses it.

use std::process::ExitCode;

use clap::Args;
use egtp::Limits;
use egtp::lookup::FileLookup;

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::guarantee::GUARANTEE;
use crate::json::Object;
use crate::petnames::Petnames;
use crate::{output, text_file};

/// Show identity, addresses, names, and who uses the data directory
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp status
  egtp --data ./alice status --json
  egtp --data ./alice status --check    exit code 3 unless a node is running")]
pub(crate) struct Arguments {
    /// Fail with exit code 3 unless a node is running on this directory
    #[arg(long)]
    check: bool,
}

/// Shows it.
///
/// # Errors
/// When a file is damaged.
pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let directory = context.directory()?;
    let key = directory.key()?.public();
    let owner = directory.owner()?;
    let (port, listening) = (directory.port()?, directory.listening()?);
    let names = Petnames::read(&directory)?;
    let damaged = FileLookup::new(directory.contacts()).damaged_lines().await?;
    let contacts = text_file::read(&directory.contacts())?.unwrap_or_default();
    let contacts = text_file::lines(&contacts).count().saturating_sub(damaged.len());
    let limits = Limits::default();
    let bounds = Object::bare()
        .with("message_bytes_max", limits.message_bytes_max)
        .with("reply_bytes_max", limits.reply_bytes_max)
        .with("open_max", limits.open_max)
        .with("peers_max", limits.peers_max);
    let path = directory.path().display();
    let object = Object::new()
        .text("public_key", key)
        .text("node_id", key.node_id())
        .text("data_dir", &path)
        .with("guarantee", GUARANTEE)
        .with("running", owner.is_some())
        .maybe("owner", owner.as_ref())
        .with("port", port)
        .list("listening", &listening)
        .with("peers", names.entries().len())
        .with("contacts", contacts)
        .with("contacts_damaged", damaged.len())
        .object("limits", bounds);
    let ways: Vec<String> = listening.iter().map(ToString::to_string).collect();
    let ways = if ways.is_empty() { "never started".to_owned() } else { ways.join(" ") };
    let text = format!(
        "node id     {}\npublic key  {key}\nkept in     {path}\nguarantee   {GUARANTEE}\n\
         used by     {}\nreachable   {ways}\nknows       {} names, {contacts} contacts",
        key.node_id(),
        owner.as_deref().unwrap_or("nobody: no node is running"),
        names.entries().len(),
    );
    context.output.data(&object, text)?;
    for line in &damaged {
        let path = directory.contacts();
        let path = path.display();
        output::warn(format_args!("{path}: line {} is skipped: {}", line.number, line.error));
    }
    if arguments.check && owner.is_none() {
        return Err(Failure::new(Code::NeedsNode, format_args!("no node is running on {path}")));
    }
    Ok(ExitCode::SUCCESS)
}
