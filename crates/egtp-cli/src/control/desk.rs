//! A kind that another process answers, at the owner's end: queries go out, answers come back.
//!
//! Invariant: a query that was handed over gets one answer; when the other process goes, its queries end
//! as those of a handler that was lost, and the kind is free again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use egtp::{Allowed, Query, Router};
use tokio::sync::{oneshot, watch};

use super::Service;
use super::call::Answer;
use super::host::{Host, closing};
use super::mailer::Mailer;
use super::tasks::{event, failed};
use crate::asker::becomes_true;
use crate::json::{Object, milliseconds};

/// The queries that a connection has in hand for one call.
#[derive(Debug)]
pub(super) struct Desk {
    mailer: Mailer,
    call: u64,
    /// `None` once nobody answers any more.
    open: Mutex<Option<InHand>>,
}

#[derive(Debug, Default)]
struct InHand {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

impl Desk {
    pub(super) fn new(mailer: Mailer, call: u64) -> Self {
        Self { mailer, call, open: Mutex::new(Some(InHand::default())) }
    }

    /// What the other process hears by.
    pub(super) const fn mailer(&self) -> &Mailer {
        &self.mailer
    }

    /// The call that it belongs to.
    pub(super) const fn call(&self) -> u64 {
        self.call
    }

    /// An answer has come. One to a query that is no more is of no use to anybody.
    pub(super) fn answer(&self, query: u64, answer: Answer) {
        let mut open = self.lock();
        if let Some(waiting) = open.as_mut().and_then(|open| open.waiting.remove(&query)) {
            // Its asker may have gone at the same moment.
            let _ = waiting.send(answer);
        }
    }

    /// Nobody answers any more.
    pub(super) fn close(&self) {
        self.lock().take();
    }

    /// Hands a query over, and gives it the answer.
    async fn forward(&self, query: Query) {
        // A query that is dropped without an answer is refused as one whose handler was lost.
        let Some((number, answer)) = self.enter() else { return };
        let object = describe(event(self.call, "query").with("query", number), &query);
        if self.mailer.send(&object).await.is_err() {
            return;
        }
        let withdrawn = query.withdrawn();
        tokio::select! {
            biased;
            answer = answer => match answer {
                Ok(Answer::Reply(body)) => query.reply(body),
                Ok(Answer::Refuse(why)) => query.refuse(why),
                Ok(Answer::Ignore) => query.ignore(),
                Err(_) => {}
            },
            () = withdrawn => {
                query.ignore();
                if let Some(open) = self.lock().as_mut() {
                    open.waiting.remove(&number);
                }
                let _ = self.mailer.send(&event(self.call, "withdrawn").with("query", number)).await;
            }
        }
    }

    /// A number for a query, and where its answer comes. `None` once nobody answers any more.
    pub(super) fn enter(&self) -> Option<(u64, oneshot::Receiver<Answer>)> {
        let mut open = self.lock();
        let open = open.as_mut()?;
        let number = open.next;
        open.next += 1;
        let (sender, answer) = oneshot::channel();
        open.waiting.insert(number, sender);
        Some((number, answer))
    }

    fn lock(&self) -> MutexGuard<'_, Option<InHand>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has a kind answered at a desk, until that is cancelled or the node closes.
pub(super) async fn serve(
    host: Host,
    desk: Arc<Desk>,
    service: Service,
    guest: String,
    mut cancelled: watch::Receiver<bool>,
) {
    let Service { kind, allowed, concurrency } = service;
    let (answering, ready) = match host.answer(&kind, guest) {
        Ok(entered) => entered,
        Err(failure) => {
            let _ = desk.mailer.send(&failed(desk.call, &failure)).await;
            return;
        }
    };
    let handler = {
        let desk = Arc::clone(&desk);
        move |query: Query| {
            let desk = Arc::clone(&desk);
            async move { desk.forward(query).await }
        }
    };
    let router =
        Router::new().concurrency(concurrency).allow(Allowed::from(allowed)).route(kind, handler);
    let node = host.own().node().clone();
    let mut serving = Box::pin(async move { node.serve(router).await });
    // The first look registers the kind; only then it is answered, and that may be said.
    let registered = tokio::select! {
        biased;
        ended = &mut serving => ended,
        () = std::future::ready(()) => Ok(()),
    };
    if registered.is_ok() {
        let _ = desk.mailer.send(&ready.write(Object::new().with("call", desk.call))).await;
        tokio::select! {
            _ = &mut serving => {}
            () = becomes_true(&mut cancelled) => {}
        }
    }
    // Free for others before anybody is told so.
    drop((serving, answering));
    desk.close();
    let object =
        if *cancelled.borrow() { event(desk.call, "ended") } else { failed(desk.call, &closing()) };
    let _ = desk.mailer.send(&object).await;
}

/// What is said of a query.
pub(super) fn describe(object: Object, query: &Query) -> Object {
    object
        .text("id", query.id())
        .text("from", query.from())
        .text("kind", query.kind())
        .base64("body_base64", Some(query.body()))
        .with("reply_bytes_max", query.reply_room())
        .with("patience_ms", milliseconds(query.patience()))
        .with("wants_reply", query.wants_reply())
        .with("redelivered", query.redelivered())
}
