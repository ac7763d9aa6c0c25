//! `egtp status`: what a data directory holds, and whether a node uses it.

use std::process::ExitCode;

use clap::Args;
use egtp::{Limits, Strategy};

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::guarantee::ON_DISK;
use crate::json::Object;
use crate::petnames::Petnames;
use crate::{contacts, counts};

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
    let key = match directory.key() {
        Err(failure) if arguments.check && !directory.has_key() => {
            // Where no identity is, no node runs: that is what was asked.
            let message = format_args!("no node is running: {}", failure.message);
            return Err(Failure::new(Code::NeedsNode, message));
        }
        key => key?.public(),
    };
    let owner = directory.owner()?;
    let (port, listening) = (directory.port()?, directory.listening()?);
    let names = Petnames::read(&directory)?.entries().len();
    let contacts = contacts::all(&directory)?.len();
    let damaged = contacts::report_damage(&directory).await?;
    let path = directory.path().display();
    let object = Object::new()
        .text("public_key", key)
        .text("node_id", key.node_id())
        .text("data_dir", &path)
        .with("guarantee", ON_DISK)
        .with("running", owner.is_some())
        .maybe("owner", owner.as_ref())
        .with("port", port)
        .list("listening", &listening)
        .with("peers", names)
        .with("contacts", contacts)
        .with("contacts_damaged", damaged)
        .object("limits", bounds());
    if arguments.check && owner.is_none() {
        let message = format_args!("no node is running on {path}");
        let failure = Failure::new(Code::NeedsNode, message);
        context.output.failure_in(&object.object("error", failure.object()), &failure)?;
        return Ok(failure.code.into());
    }
    let text = format!(
        "node id     {}\npublic key  {key}\nkept in     {path}\nguarantee   {ON_DISK}\n\
         used by     {}\nreachable   {}\nknows       {}, {}",
        key.node_id(),
        owner.as_deref().unwrap_or("nobody: no node is running"),
        reachable(&listening, owner.as_deref()),
        counts::of(names, "name", "names"),
        counts::of(contacts, "contact", "contacts"),
    );
    context.output.data(&object, text)?;
    Ok(ExitCode::SUCCESS)
}

fn bounds() -> Object {
    let limits = Limits::default();
    Object::bare()
        .with("message_bytes_max", limits.message_bytes_max)
        .with("reply_bytes_max", limits.reply_bytes_max)
        .with("open_max", limits.open_max)
        .with("peers_max", limits.peers_max)
}

/// Where others reach the node now, or where they did.
fn reachable(listening: &[Strategy], owner: Option<&str>) -> String {
    let ways: Vec<String> = listening.iter().map(ToString::to_string).collect();
    let ways = ways.join(" ");
    // Others own a directory while they ask or make a key, and nobody reaches them.
    let is_up =
        owner.is_some_and(|owner| owner.contains("egtp up") || owner.contains("egtp serve"));
    match (is_up, ways.is_empty()) {
        (true, false) => ways,
        (false, false) => format!("not now; when it was started last: {ways}"),
        (_, true) => "never started".to_owned(),
    }
}
