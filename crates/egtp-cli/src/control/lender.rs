//! The inbox at the owner's end of the socket: messages go out one by one, and each is over when the other process says
//! so.
//!
//! Invariant: what is not said to be done goes back to where it was.

use std::sync::Arc;

use tokio::sync::watch;

use super::call::Answer;
use super::desk::Desk;
use super::host::Host;
use super::tasks::event;
use crate::asker::becomes_true;
use crate::inbox::{Inbox, Waiting};
use crate::times;

/// Lends the messages of the inbox, those that are there or also those that come.
pub(super) async fn lend(
    host: Host,
    desk: Arc<Desk>,
    follow: bool,
    mut cancelled: watch::Receiver<bool>,
) {
    if let Some(inbox) = host.inbox() {
        tokio::select! {
            biased;
            () = becomes_true(&mut cancelled) => {}
            () = lend_all(inbox, &desk, follow) => {}
        }
    }
    desk.close();
    let _ = desk.mailer().send(&event(desk.call(), "ended")).await;
}

async fn lend_all(inbox: &Inbox, desk: &Desk, follow: bool) {
    loop {
        let waiting = if follow { Some(inbox.next().await) } else { inbox.take() };
        let Some(waiting) = waiting else { return };
        let lent = Lent { inbox, waiting: Some(waiting) };
        let Some((number, answer)) = desk.enter() else { return };
        let Some(Waiting { query, at }) = &lent.waiting else { return };
        let object =
            super::desk::describe(event(desk.call(), "query").with("query", number), query)
                .with("received_at", times::rfc3339(*at));
        if desk.mailer().send(&object).await.is_err() {
            return;
        }
        match answer.await {
            Ok(Answer::Ignore | Answer::Reply(_)) => lent.done(),
            // Nobody looks at it now; the one after it would be no better.
            Ok(Answer::Refuse(_)) | Err(_) => return,
        }
    }
}

/// A message that is lent: it comes back when this is dropped, whatever has happened.
struct Lent<'a> {
    inbox: &'a Inbox,
    waiting: Option<Waiting>,
}

impl Lent<'_> {
    fn done(mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.query.ignore();
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.inbox.give_back(waiting);
        }
    }
}
