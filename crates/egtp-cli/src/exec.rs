//! A command as the handler of requests, and as who takes messages.
//!
//! Knows one query and one process group at a time. Invariant: a process group never outlives its
//! request while this process lives, it never sees a part of a body as if that were all, and no more than the
//! asker has room for is read from it.

use std::fs::File;
use std::io::{Seek, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use egtp::Refusal;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::failure::{Code, Failure};
use crate::json::{Object, milliseconds};
use crate::output::Output;
use crate::query::Query;

/// The command, and how long it may take.
#[derive(Debug)]
pub(crate) struct Exec {
    command: String,
    limit: Option<Duration>,
    output: Output,
}

/// How a run of the command ended.
enum Ended {
    Replied(Vec<u8>),
    Failed(String),
    TooLarge,
    TimedOut,
    Withdrawn,
}

impl Exec {
    /// Runs `command` in a shell for each request.
    pub(crate) const fn new(command: String, limit: Option<Duration>, output: Output) -> Self {
        Self { command, limit, output }
    }

    /// Runs the command once, and answers.
    pub(crate) async fn answer(&self, query: Query) {
        let started = Instant::now();
        // What is not chosen is dropped, and its process group with it.
        let ended = tokio::select! {
            biased;
            () = query.withdrawn() => Ended::Withdrawn,
            () = self.out_of_time() => Ended::TimedOut,
            ended = self.run(&query) => ended,
        };
        let name = match &ended {
            Ended::Replied(_) => "replied",
            Ended::Failed(_) | Ended::TooLarge => "refused",
            Ended::TimedOut => "timed_out",
            Ended::Withdrawn => "withdrawn",
        };
        let object = Object::new()
            .with("event", "query")
            .text("id", query.id())
            .text("from", query.from())
            .text("kind", query.kind())
            .with("outcome", name)
            .with("took_ms", milliseconds(started.elapsed()));
        match ended {
            Ended::Replied(reply) => query.reply(reply).await,
            Ended::TooLarge => {
                tracing::warn!("the command printed more than the asker takes; refused");
                query.refuse(Refusal::TooLarge).await;
            }
            Ended::Failed(why) => {
                tracing::warn!(%why, "the command failed; the request is refused");
                query.refuse(Refusal::Failed).await;
            }
            Ended::TimedOut => {
                tracing::warn!("the command took longer than --timeout; the request is refused");
                query.refuse(Refusal::Failed).await;
            }
            // Nobody waits for an answer any more.
            Ended::Withdrawn => query.ignore().await,
        }
        // Whoever read the events has gone; the requests go on.
        let _ = self.output.event(&object);
    }

    /// Runs the command once for a message that wants no answer. What it prints is printed, and the message is taken when
    /// it has ended well.
    ///
    /// # Errors
    /// [`Code::CommandFailed`] if it has not: the message stays where it is.
    pub(crate) async fn take(&self, message: Query) -> Result<(), Failure> {
        let started = Instant::now();
        let ended = match self.start(&message, Stdio::inherit()) {
            Ok((mut child, _group)) => match child.wait().await {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(status.to_string()),
                Err(error) => Err(format!("could not wait for it: {error}")),
            },
            Err(error) => Err(format!("could not start the shell: {error}")),
        };
        let object = Object::new()
            .with("event", "message")
            .text("id", message.id())
            .text("from", message.from())
            .text("kind", message.kind())
            .with("outcome", if ended.is_ok() { "taken" } else { "failed" })
            .with("took_ms", milliseconds(started.elapsed()));
        let id = message.id();
        match &ended {
            Ok(()) => message.ignore().await,
            Err(_) => message.refuse(Refusal::Failed).await,
        }
        // Whoever read the events has gone.
        let _ = self.output.event(&object);
        ended.map_err(|why| {
            Failure::with_next(
                Code::CommandFailed,
                format_args!("the command has failed with the message {id}, which stays: {why}"),
                "mend the command, and run this again; without --exec the message is printed",
            )
        })
    }

    async fn out_of_time(&self) {
        match self.limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    }

    async fn run(&self, query: &Query) -> Ended {
        match self.start(query, Stdio::piped()) {
            Ok((child, group)) => finish(child, &group, query).await,
            Err(error) => Ended::Failed(format!("could not start the shell: {error}")),
        }
    }

    fn start(&self, query: &Query, printed: Stdio) -> std::io::Result<(Child, Group)> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&self.command).process_group(0);
        command.stdin(whole(query.body())?).stdout(printed);
        command.env("EGTP_PEER", query.from());
        command.env("EGTP_KIND", query.kind());
        command.env("EGTP_ID", query.id());
        command.env("EGTP_REDELIVERED", if query.redelivered() { "1" } else { "0" });
        let child = command.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok((child, Group(id)))
    }
}

/// A body as what a command reads: a file in memory, with all of it in. Where it came through a pipe, a command whose
/// node is killed would read a part of it, or nothing, and could not tell.
fn whole(body: &[u8]) -> std::io::Result<Stdio> {
    let mut file = unnamed()?;
    file.write_all(body)?;
    file.rewind()?;
    Ok(file.into())
}

/// A file that nobody else can open.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn unnamed() -> std::io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(memfd_create("egtp request", MemfdFlags::CLOEXEC)?.into())
}

/// A file whose name is gone before anything is in it.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn unnamed() -> std::io::Result<File> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    let name = format!("egtp-request-{:016x}", u64::from_le_bytes(random));
    let path = std::env::temp_dir().join(name);
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

/// Reads what the command prints until its shell has ended.
async fn finish(mut child: Child, group: &Group, query: &Query) -> Ended {
    let stdout = child.stdout.take();
    let room = query.reply_room();
    let read = async move {
        let mut printed = Vec::new();
        if let Some(stdout) = stdout {
            let limit = u64::try_from(room).unwrap_or(u64::MAX).saturating_add(1);
            let read = stdout.take(limit).read_to_end(&mut printed).await;
            read.map_err(|error| error.to_string())?;
        }
        if printed.len() > room {
            group.kill();
        }
        Ok::<_, String>(printed)
    };
    let wait = async move {
        let status = child.wait().await;
        // What the shell has left behind would keep its output open.
        group.kill();
        status
    };
    let (printed, status) = tokio::join!(read, wait);
    match (printed, status) {
        (Ok(printed), _) if printed.len() > room => Ended::TooLarge,
        (Ok(printed), Ok(status)) if status.success() => Ended::Replied(printed),
        (Ok(_), Ok(status)) => Ended::Failed(status.to_string()),
        (Err(error), _) => Ended::Failed(format!("could not read what it printed: {error}")),
        (_, Err(error)) => Ended::Failed(format!("could not wait for it: {error}")),
    }
}

/// The process group of one run.
struct Group(Option<Pid>);

impl Group {
    fn kill(&self) {
        if let Some(id) = self.0 {
            // Already gone is as good.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
