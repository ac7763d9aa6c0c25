//! A kind that this process answers for a node of another one.
//!
//! Invariant: a query is answered once; one that is dropped is refused, and the end of the owner counts
//! as the end of everybody's interest.

use std::collections::HashMap;

use bytes::Bytes;
use egtp::Refusal;
use tokio::sync::watch;

use super::Fields;
use super::attached::{failure, name};
use super::call::{Answer, What};
use super::exchange::{Exchange, Line};
use crate::failure::Failure;

/// The queries of a kind.
#[derive(Debug)]
pub(crate) struct Served {
    exchange: Exchange,
    in_hand: HashMap<u64, watch::Sender<bool>>,
}

/// A query, as its handler in this process holds it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) kind: String,
    pub(crate) body: Bytes,
    pub(crate) reply_room: usize,
    pub(crate) redelivered: bool,
    /// When the node was given it, where that is said.
    pub(crate) received_at: Option<String>,
    answering: Option<(u64, u64, Line)>,
    withdrawn: watch::Receiver<bool>,
}

impl Served {
    pub(super) fn new(exchange: Exchange) -> Self {
        Self { exchange, in_hand: HashMap::new() }
    }

    /// The next query; `None` when the owner has gone without a word. Cancel safe.
    ///
    /// # Errors
    /// Why there will be no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Held>, Failure> {
        loop {
            let Some(fields) = self.exchange.next().await else { return Ok(None) };
            match name(&fields)? {
                "query" => match self.take(&fields) {
                    Ok(held) => return Ok(Some(held)),
                    Err(why) => tracing::warn!(%why, "a query from the owner makes no sense"),
                },
                "withdrawn" => {
                    let query = fields.number("query").ok().flatten();
                    if let Some(withdrawn) = query.and_then(|query| self.in_hand.remove(&query)) {
                        withdrawn.send_replace(true);
                    }
                }
                "failed" => return Err(failure(&fields)),
                _ => {}
            }
        }
    }

    fn take(&mut self, fields: &Fields) -> Result<Held, String> {
        let query = fields.needed("query", Fields::number)?;
        let (number, line) = self.exchange.line();
        let (sender, withdrawn) = watch::channel(false);
        let text = |name| fields.needed(name, Fields::text).map(ToOwned::to_owned);
        let held = Held {
            id: text("id")?,
            from: text("from")?,
            kind: text("kind")?,
            body: fields.needed("body_base64", Fields::bytes)?,
            reply_room: usize::try_from(fields.needed("reply_bytes_max", Fields::number)?)
                .unwrap_or(usize::MAX),
            redelivered: fields.flag("redelivered")?,
            received_at: fields.text("received_at")?.map(ToOwned::to_owned),
            answering: Some((number, query, line)),
            withdrawn,
        };
        // Those that were answered have dropped their end.
        self.in_hand.retain(|_, sender| sender.receiver_count() > 0);
        self.in_hand.insert(query, sender);
        Ok(held)
    }
}

impl Held {
    /// Gives the one reply.
    pub(crate) async fn reply(self, body: Bytes) {
        self.answer(Answer::Reply(body)).await;
    }

    /// Says why there will be none.
    pub(crate) async fn refuse(self, why: Refusal) {
        self.answer(Answer::Refuse(why)).await;
    }

    /// Stays silent.
    pub(crate) async fn ignore(self) {
        self.answer(Answer::Ignore).await;
    }

    /// Waits until nobody wants an answer any more.
    pub(crate) fn withdrawn(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut withdrawn = self.withdrawn.clone();
        // Without the owner there is nobody left who could want it.
        async move { drop(withdrawn.wait_for(|is_so| *is_so).await) }
    }

    async fn answer(mut self, answer: Answer) {
        if let Some((number, query, line)) = self.answering.take() {
            // Without the owner there is nobody to tell.
            line.say(number, What::Answer(query, answer)).await;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((number, query, line)) = self.answering.take() {
            line.say_now(number, What::Answer(query, Answer::Refuse(Refusal::Failed)));
        }
    }
}
