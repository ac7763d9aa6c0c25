//! `egtp status`: what a data directory holds, and what the node that uses it does.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use egtp::{Limits, Strategy};

use crate::context::Context;
use crate::control::{Attached, Report};
use crate::failure::{Code, Failure};
use crate::guarantee::ON_DISK;
use crate::json::Object;
use crate::output::{self, Form};
use crate::petnames::Petnames;
use crate::signals::Signals;
use crate::{contacts, counts};

/// Show identity, addresses, names, and what the node holds that runs on the data directory
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp status
  egtp status --watch                   again each second, until Ctrl-C
  egtp --data ./alice status --json
  egtp --data ./alice status --check    exit code 3 unless a node is running")]
pub(crate) struct Arguments {
    /// Fail with exit code 3 unless a node is running on this directory, and answers
    #[arg(long)]
    check: bool,

    /// Show it again each second, until Ctrl-C; with --check, until no node is running
    #[arg(long)]
    watch: bool,
}

/// Shows it.
///
/// # Errors
/// When a file is damaged.
pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, Failure> {
    if !arguments.watch {
        return show(context, arguments).await;
    }
    let mut signals = Signals::catch()?;
    let mut beats = tokio::time::interval(EVERY);
    loop {
        let shown = async {
            beats.tick().await;
            show(context, arguments).await
        };
        let code = tokio::select! {
            biased;
            // Whoever watches ends it so; that is no failure to talk about.
            () = signals.next() => return Ok(Code::Interrupted.into()),
            code = shown => code?,
        };
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
        if context.output.form() == Form::Plain {
            output::bytes(b"\n")?;
        }
    }
}

async fn show(context: &Context, arguments: &Arguments) -> Result<ExitCode, Failure> {
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
    // Who owns a directory need not run a node yet, or any more.
    let report = match Attached::to(&directory).await? {
        Some(attached) => attached.report().await?,
        None => None,
    };
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
    let object = match &report {
        Some(report) => report.write(object),
        None => Report::nothing(object),
    };
    if arguments.check && report.is_none() {
        let message = owner.as_ref().map_or_else(
            || format!("no node is running on {path}"),
            |owner| format!("no node is ready on {path}: {owner} owns it and does not answer, yet or any more"),
        );
        let failure = Failure::new(Code::NeedsNode, message);
        context.output.failure_in(object, &failure)?;
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
    let text = report.map_or_else(|| text.clone(), |report| format!("{text}\n{report}"));
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
    let is_up = owner.is_some_and(|owner| {
        ["egtp up", "egtp serve", "egtp relay"].iter().any(|stays| owner.contains(stays))
    });
    match (is_up, ways.is_empty()) {
        (true, false) => ways,
        (false, false) => format!("not now; when it was started last: {ways}"),
        (_, true) => "never started".to_owned(),
    }
}

/// Between two looks of `--watch`.
const EVERY: Duration = Duration::from_secs(1);
