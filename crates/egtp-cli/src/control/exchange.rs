//! Calls under way, at the guest's end of the control socket: one connection, many conversations.
//!
//! Knows no call. Invariant: an answer goes to its call or to nobody, and when the connection ends every
//! call learns it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::Fields;
use super::call::{Call, What};
use super::line::Lines;
use super::mailer::{Mailer, mailer};

/// The connection, as calls use it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    mailer: Mailer,
    open: Calls,
}

/// Where the answers to each call go; `None` once no more can come.
type Calls = Arc<Mutex<Option<HashMap<u64, mpsc::Sender<Fields>>>>>;

/// A call under way. Dropping it cancels it.
#[derive(Debug)]
pub(super) struct Exchange {
    number: u64,
    answers: mpsc::Receiver<Fields>,
    line: Line,
}

impl Line {
    /// Uses a connection on which the greeting was read.
    pub(super) fn over(lines: Lines<OwnedReadHalf>, write: OwnedWriteHalf) -> Self {
        let (mailer, writing) = mailer(write);
        tokio::spawn(writing);
        let open = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(read_all(lines, Arc::clone(&open)));
        Self { mailer, open }
    }

    /// Begins a call, whose number must be new; `None` when the owner takes nothing more.
    pub(super) async fn begin(&self, call: Call) -> Option<Exchange> {
        let Call { number, what } = call;
        let (sender, answers) = mpsc::channel(ANSWERS);
        self.lock().as_mut()?.insert(number, sender);
        let exchange = Exchange { number, answers, line: self.clone() };
        exchange.say(what).await.then_some(exchange)
    }

    /// Says something about a call. Returns whether anybody hears it.
    pub(super) async fn say(&self, number: u64, what: What) -> bool {
        self.mailer.send(&Call { number, what }.object()).await.is_ok()
    }

    /// The same where nothing can be waited for: the end of the connection says it, too.
    pub(super) fn say_now(&self, number: u64, what: What) {
        let _ = self.mailer.send_now(&Call { number, what }.object());
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, mpsc::Sender<Fields>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange {
    /// The next answer; `None` when no more can come. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Fields> {
        self.answers.recv().await
    }

    /// Says something about this call. Returns whether anybody hears it.
    pub(super) async fn say(&self, what: What) -> bool {
        self.line.say(self.number, what).await
    }

    /// The number of the call, and the connection.
    pub(super) fn line(&self) -> (u64, Line) {
        (self.number, self.line.clone())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let was_open = self.line.lock().as_mut().and_then(|open| open.remove(&self.number));
        // One that has ended was taken out with its last answer.
        if was_open.is_some() {
            self.line.say_now(self.number, What::Cancel);
        }
    }
}

/// Gives each answer to its call, until the owner has ended.
async fn read_all(mut lines: Lines<OwnedReadHalf>, open: Calls) {
    let lock = || open.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let fields = match lines.next().await {
            Ok(Some(fields)) => fields,
            Ok(None) => break,
            Err(why) => {
                tracing::warn!(%why, "what the owner of the directory says makes no sense");
                break;
            }
        };
        let number = fields.number("call").ok().flatten();
        let is_last = matches!(fields.text("event"), Ok(Some("ended" | "failed" | "status")));
        let to = number.and_then(|number| {
            let mut open = lock();
            let open = open.as_mut()?;
            // After its last answer nothing is left of a call that could be cancelled.
            if is_last { open.remove(&number) } else { open.get(&number).cloned() }
        });
        match to {
            // Who does not want it any more has gone.
            Some(to) => drop(to.send(fields).await),
            None => {
                if let Ok(Some(failure)) = fields.failure() {
                    tracing::warn!(why = %failure.message, "the owner of the directory refuses");
                }
            }
        }
    }
    lock().take();
}

/// More than a request has, so that nobody waits for somebody who does not look.
const ANSWERS: usize = 16;
