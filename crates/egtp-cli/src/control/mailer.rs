//! Lines on their way out through a connection.
//!
//! Knows no fields. Invariant: the queue has a bound; whoever adds to a full one waits, and a reader
//! that takes nothing for too long is given up, so that nobody waits for ever.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;

use crate::json::Object;

/// Where lines are put. Clones are the same queue.
#[derive(Clone, Debug)]
pub(super) struct Mailer(mpsc::Sender<String>);

/// Nobody reads at the other end any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Gone;

/// A queue, and what writes it out. That ends when the last clone of the queue is gone and everything
/// is written, or when the other end takes nothing more.
pub(super) fn mailer(to: OwnedWriteHalf) -> (Mailer, impl Future<Output = ()> + Send + 'static) {
    let (sender, queue) = mpsc::channel(QUEUE_LINES);
    (Mailer(sender), write(to, queue))
}

impl Mailer {
    /// Adds an object; waits while the queue is full.
    pub(super) async fn send(&self, object: &Object) -> Result<(), Gone> {
        self.0.send(format!("{object}\n")).await.map_err(|_| Gone)
    }

    /// Adds an object if there is room now.
    pub(super) fn send_now(&self, object: &Object) -> Result<(), Gone> {
        self.0.try_send(format!("{object}\n")).map_err(|_| Gone)
    }
}

async fn write(mut to: OwnedWriteHalf, mut queue: mpsc::Receiver<String>) {
    while let Some(line) = queue.recv().await {
        let written = tokio::time::timeout(WRITING_TIME, to.write_all(line.as_bytes())).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

/// Enough that nobody waits for somebody who reads.
const QUEUE_LINES: usize = 16;
/// A line has at most some megabytes; who has not taken one after this long does not read.
const WRITING_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn who_does_not_read_is_given_up_and_nobody_waits_for_ever() {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        let (_read, write) = ours.into_split();
        let (mailer, writing) = mailer(write);
        let writing = tokio::spawn(writing);
        let line = Object::new().with("text", "x".repeat(100_000));
        // More than the queue and any buffer of the system hold.
        let mut sent = 0;
        while mailer.send(&line).await.is_ok() {
            sent += 1;
            assert!(sent < 1_000);
        }
        assert!(sent >= QUEUE_LINES);
        writing.await.unwrap();
        assert_eq!(mailer.send_now(&line), Err(Gone));
        drop(theirs);
    }
}
