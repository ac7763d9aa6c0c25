//! A handler that panics costs its own reply and nothing else, and who asks a node that is about to close is told that.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use egtp::{Kind, Message, Node, Refusal, RequestError, Router};

fn kind(name: &str) -> Kind {
    Kind::new(name).unwrap()
}

#[tokio::test]
async fn a_handler_on_the_driver_that_panics_refuses_and_the_node_goes_on() {
    let hints = Arc::new(AtomicU32::new(0));
    let heard = Arc::clone(&hints);
    let router = Router::new()
        .route_sync(kind("bad/1"), |_| -> &'static str { panic!("a bug in a handler") })
        .route_sync(kind("good/1"), |query| query.message.body.clone())
        .route_hint(kind("news/1"), move |_, _| {
            assert!(heard.fetch_add(1, Ordering::Relaxed) > 0, "a bug at the first hint");
        });
    let listening = "127.0.0.1:0".parse().unwrap();
    let server = Node::builder().listen(listening).serve(router).start().await.unwrap();
    let asker = Node::builder().start().await.unwrap();
    let ask = |name| asker.request(server.ticket(), Message::new(kind(name), "still here"));
    for _ in 0..3 {
        let refused = ask("bad/1").await.unwrap_err();
        assert_eq!(refused, RequestError::Refused(Refusal::Failed));
        assert_eq!(ask("good/1").await.unwrap().body, "still here");
        asker.hint(&server.key(), Message::new(kind("news/1"), ""));
    }
    // Behind the hints.
    ask("good/1").await.unwrap();
    assert_eq!(hints.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn what_is_asked_while_the_node_closes_ends_as_closing() {
    let (server, asker) = (Node::builder().listen("127.0.0.1:0".parse().unwrap()), Node::builder());
    let (server, asker) = (server.start().await.unwrap(), asker.start().await.unwrap());
    let asking = asker.clone();
    let loops = tokio::spawn(async move {
        let mut endings = Vec::new();
        loop {
            let message = Message::new(kind("nobody/1"), "");
            match asking.request(server.ticket(), message).await {
                Err(RequestError::Refused(Refusal::UnknownKind)) => {}
                Err(RequestError::Closing) if endings.len() > 20 => return endings,
                Err(other) => endings.push(other),
                Ok(_) => unreachable!("nobody serves it"),
            }
        }
    });
    asker.close().await;
    let endings = loops.await.unwrap();
    assert!(endings.iter().all(|ending| *ending == RequestError::Closing), "{endings:?}");
}
