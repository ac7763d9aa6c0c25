//! Requests that the driver has not begun yet are bounded: the next one is told so at once.

use egtp::{Kind, Message, Node, NotSent, RequestError, SecretKey};

/// As in `request.rs`.
const WAITING_MAX: usize = 65_536;

/// Proves MSG-11: `NotSent` is said at once, and what waited before is not lost.
#[tokio::test]
async fn a_request_too_many_ends_as_not_sent() {
    let (node, driver) = Node::builder().start_inline().unwrap();
    let peer = SecretKey::from_seed([7; 32]).public();
    let kind = Kind::new("test/1").unwrap();
    let ask = || node.request(peer, Message::new(kind.clone(), "?")).start();
    // Nobody drives the node yet.
    let first = ask();
    let waiting: Vec<_> = (1..WAITING_MAX).map(|_| ask()).collect();
    let busy = Err(RequestError::NotSent(NotSent::Busy));
    assert_eq!(ask().await.map(drop), busy);

    // Giving up is never refused, and the rest goes its way once somebody drives.
    drop(waiting);
    tokio::spawn(driver);
    let not_found = Err(RequestError::NotSent(NotSent::NotFound));
    let outcome = first.await.map(drop);
    assert_eq!(outcome, not_found);
}
