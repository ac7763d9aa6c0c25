//! One connection to the control socket, at the owner's end.
//!
//! Reads calls, and runs each as a task of its own. Invariant: what a connection has begun ends with it,
//! and rubbish ends the connection.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use egtp::{NotSent, RequestError};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::call::{Call, What};
use super::desk::{self, Desk};
use super::host::{self, Host};
use super::lender;
use super::line::Lines;
use super::mailer::{Mailer, mailer};
use super::tasks::{self, failed};
use crate::failure::{Code, Failure};
use crate::json::Object;

/// What one connection has under way.
struct Calls {
    host: Host,
    mailer: Mailer,
    /// Who is at the other end.
    guest: String,
    open: HashMap<u64, Open>,
    running: JoinSet<u64>,
    is_closing: bool,
}

/// A call under way.
struct Open {
    cancel: watch::Sender<bool>,
    /// Where answers to queries go, if it serves.
    desk: Option<Arc<Desk>>,
}

/// Lets a connection use the node until one of them ends.
pub(super) async fn run(stream: UnixStream, host: Host, mut closing: watch::Receiver<bool>) {
    let id = stream.peer_cred().ok().and_then(|peer| peer.pid());
    let guest = id.map_or_else(|| "?".to_owned(), |id| id.to_string());
    let (read, write) = stream.into_split();
    let (mailer, writing) = mailer(write);
    let mut writing = tokio::spawn(writing);
    let mut lines = Lines::new(read);
    let mut calls = Calls {
        host,
        mailer,
        guest: host::process(guest, "serve"),
        open: HashMap::new(),
        running: JoinSet::new(),
        is_closing: false,
    };
    // Who has gone already is noticed below.
    let _ = calls.mailer.send(&calls.host.hello()).await;
    loop {
        tokio::select! {
            line = lines.next() => match line {
                Ok(Some(fields)) => match Call::read(&fields) {
                    Ok(call) => {
                        if let Err(why) = calls.take(call).await {
                            calls.refuse(&why).await;
                            break;
                        }
                    }
                    Err(why) => {
                        calls.refuse(&why).await;
                        break;
                    }
                },
                Err(why) => {
                    calls.refuse(&why).await;
                    break;
                }
                Ok(None) => break,
            },
            Some(ended) = calls.running.join_next() => {
                if let Ok(number) = ended {
                    calls.open.remove(&number);
                }
            }
            () = becomes_closing(&mut closing), if !calls.is_closing => {
                calls.is_closing = true;
                let _ = calls.mailer.send(&Object::new().with("event", "closing")).await;
            }
            _ = &mut writing => break,
        }
        if calls.is_closing && calls.running.is_empty() {
            break;
        }
    }
    // With the calls go all who could still write; what they have written is sent.
    drop(calls);
    if !writing.is_finished() {
        // A failed write has been given up already.
        let _ = writing.await;
    }
}

impl Calls {
    /// Does what is asked.
    ///
    /// # Errors
    /// Why it makes no sense.
    async fn take(&mut self, call: Call) -> Result<(), String> {
        let Call { number, what } = call;
        // What has ended meanwhile needs neither of these.
        if let What::Cancel = what {
            if let Some(open) = self.open.get(&number) {
                open.cancel.send_replace(true);
            }
            return Ok(());
        }
        if let What::Answer(query, answer) = what {
            let open = self.open.get(&number);
            if let Some(desk) = open.and_then(|open| open.desk.as_ref()) {
                desk.answer(query, answer);
            }
            return Ok(());
        }
        if self.open.contains_key(&number) {
            return Err(format!("the call {number} is under way, and its number in use"));
        }
        if self.is_closing || self.open.len() >= CALLS_MAX {
            let failure = if self.is_closing { host::closing() } else { too_many() };
            // Who has gone is noticed by the reader.
            let _ = self.mailer.send(&failed(number, &failure)).await;
            return Ok(());
        }
        self.begin(number, what);
        Ok(())
    }

    /// Runs it as a task.
    fn begin(&mut self, number: u64, what: What) {
        let (cancel, cancelled) = watch::channel(false);
        let (host, mailer) = (self.host.clone(), self.mailer.clone());
        let mut desk = None;
        let task: Pin<Box<dyn Future<Output = ()> + Send>> = match what {
            What::Request(question) => {
                Box::pin(tasks::ask(host, mailer, number, question, cancelled))
            }
            What::Status => Box::pin(tasks::report(host, mailer, number)),
            What::Events(which) => Box::pin(tasks::tell(host, mailer, number, which, cancelled)),
            What::Kept => Box::pin(tasks::list_kept(host, mailer, number)),
            What::Take(id) => Box::pin(tasks::take(host, mailer, number, id.0, cancelled)),
            What::Forget(id) => Box::pin(tasks::forget(host, mailer, number, id.0)),
            What::BackUp(file) => Box::pin(tasks::back_up(host, mailer, number, file)),
            What::Serve(service) => {
                let new = Arc::new(Desk::new(mailer, number));
                desk = Some(Arc::clone(&new));
                Box::pin(desk::serve(host, new, service, self.guest.clone(), cancelled))
            }
            What::Inbox { follow } => {
                let new = Arc::new(Desk::new(mailer, number));
                desk = Some(Arc::clone(&new));
                Box::pin(lender::lend(host, new, follow, cancelled))
            }
            // Neither begins anything.
            What::Cancel | What::Answer(..) => return,
        };
        self.open.insert(number, Open { cancel, desk });
        self.running.spawn(async move {
            task.await;
            number
        });
    }

    /// Says what was wrong, once.
    async fn refuse(&self, why: &str) {
        let message = format!("what came through the control socket makes no sense: {why}");
        let next = "see docs/control.md; nothing that this connection had under way goes on";
        let failure = Failure::with_next(Code::Usage, message, next);
        let _ = self.mailer.send(&Object::new().object("error", failure.object())).await;
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        for desk in self.open.values().filter_map(|open| open.desk.as_ref()) {
            desk.close();
        }
    }
}

fn too_many() -> Failure {
    let not_sent = RequestError::NotSent(NotSent::Busy);
    let message = format_args!("{not_sent}: {CALLS_MAX} calls of one connection are open");
    Failure::new(Code::NotSent, message)
}

async fn becomes_closing(closing: &mut watch::Receiver<bool>) {
    // An owner that has gone without a word closes as well.
    let _ = closing.wait_for(|is_so| *is_so).await;
}

/// Calls that one connection may have under way.
pub(super) const CALLS_MAX: usize = 1024;
