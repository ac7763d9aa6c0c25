//! `Builder::around_path`, with real sockets below.

use std::task::{Context, Poll};

use bytes::Bytes;
use egtp::path::{DialId, Hint, NotSent, Path, PathEvent, PathId};
use egtp::{Kind, Message, Node, PublicKey, Router, Strategy};

/// Sends every packet twice, where there is room.
#[derive(Debug)]
struct Doubling(Box<dyn Path>);

impl Path for Doubling {
    fn reaches(&self, strategy: &Strategy) -> bool {
        self.0.reaches(strategy)
    }

    fn dial(&mut self, dial: DialId, peer: PublicKey, strategy: &Strategy) {
        self.0.dial(dial, peer, strategy);
    }

    fn send(&mut self, path: PathId, packet: Bytes) -> Result<(), NotSent> {
        self.0.send(path, packet.clone())?;
        let _ = self.0.send(path, packet);
        Ok(())
    }

    fn flush(&mut self) {
        self.0.flush();
    }

    fn room(&self, path: PathId) -> usize {
        self.0.room(path)
    }

    fn hint(&mut self, path: PathId, hint: Hint) {
        self.0.hint(path, hint);
    }

    fn accept_peer(&mut self, path: PathId) {
        self.0.accept_peer(path);
    }

    fn close(&mut self, path: PathId) {
        self.0.close(path);
    }

    fn poll(&mut self, context: &mut Context<'_>, events: &mut Vec<PathEvent>) -> Poll<()> {
        self.0.poll(context, events)
    }

    fn listening(&self) -> Vec<Strategy> {
        self.0.listening()
    }
}

/// Proves MSG-9 and RTY-1 over TCP: each packet comes twice, at both ends, and each request is taken once.
#[tokio::test]
async fn where_each_packet_comes_twice_each_request_is_taken_once() {
    let kind = Kind::new("echo/1").unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let doubled = || Node::builder().around_path(|path| Box::new(Doubling(path)));
    let (bob, alice) = (doubled().listen(address), doubled());
    let (bob, alice) = (bob.start().await.unwrap(), alice.start().await.unwrap());
    let echo = |query: &egtp::QueryEvent| query.message.body.clone();
    let (serving, router) = (bob.clone(), Router::new().route_sync(kind.clone(), echo));
    tokio::spawn(async move { serving.serve(router).await });
    for number in 0..100_u32 {
        let message = Message::new(kind.clone(), number.to_string());
        let reply = alice.request(bob.ticket(), message).await.unwrap();
        assert_eq!(reply.body, number.to_string());
    }
    let (asked, answered) = (alice.status().await.unwrap(), bob.status().await.unwrap());
    assert_eq!(answered.counters.taken, 100);
    for status in [asked, answered] {
        let refused = status.counters.dropped.replayed;
        assert!(refused >= 50, "{refused} doubles refused");
    }
}
