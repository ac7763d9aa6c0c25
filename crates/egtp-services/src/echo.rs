//! Echo: every request is answered with its own body.
//!
//! What `egtp ping` asks. Holds no state, and runs on the driver, so that what it measures is the way
//! and not the handler.

use bytes::Bytes;
use egtp::{Kind, KindError, QueryEvent, Router};

/// The kind that it answers.
pub const KIND: &str = "echo/1";

/// The kind, and a router that answers it for everybody.
///
/// # Errors
/// [`KindError`] if [`KIND`] were no kind, which it is.
pub fn service() -> Result<(Kind, Router), KindError> {
    let kind = Kind::new(KIND)?;
    Ok((kind.clone(), Router::new().route_sync(kind, same)))
}

/// The answer to a query: its own body.
pub fn same(query: &QueryEvent) -> Bytes {
    query.message.body.clone()
}

#[cfg(test)]
mod tests {
    use egtp::{Message, Node};

    use super::*;

    #[tokio::test]
    async fn a_request_comes_back_as_it_was() {
        let node = Node::builder().listen("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
        let (kind, router) = service().unwrap();
        let serving = node.clone();
        tokio::spawn(async move { serving.serve(router).await });
        let asker = Node::builder().start().await.unwrap();
        let reply = asker.request(node.ticket(), Message::new(kind, "as it was")).await.unwrap();
        assert_eq!(reply.body, "as it was");
    }
}
