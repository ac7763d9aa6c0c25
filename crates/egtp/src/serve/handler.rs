//! What takes a query: any `async fn(Query)`.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use egtp_proto::PublicKey;

use super::Query;
use crate::message::IntoReply;

/// Something that answers queries: every `async fn(Query)`, and what [`respond`] makes.
pub trait Handler: Send + Sync + 'static {
    /// Takes over one query.
    fn call(&self, query: Query) -> impl Future<Output = ()> + Send;
}

impl<F, Fut> Handler for F
where
    F: Fn(Query) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    fn call(&self, query: Query) -> impl Future<Output = ()> + Send {
        self(query)
    }
}

/// The common case: a function from sender and body to an answer.
pub fn respond<F, Fut>(answer: F) -> impl Handler
where
    F: Fn(PublicKey, Bytes) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoReply + Send> + Send,
{
    let answer = Arc::new(answer);
    move |query: Query| {
        let answer = Arc::clone(&answer);
        async move {
            let reply = answer(query.from(), query.body().clone()).await;
            query.reply(reply);
        }
    }
}
