//! Large bodies between two nodes: the steps that programs at both ends are shown.

use std::sync::{Arc, Mutex};

use egtp::testing::{Network, spawn};
use egtp::{Allowed, Arriving, Kind, Message, Progress, Router, respond};

fn kind() -> Kind {
    Kind::new("store/1").unwrap()
}

/// A handler that echoes, and what it is told while a message arrives.
fn echo() -> (Router, Arc<Mutex<Vec<Arriving>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let router = Router::new().route(kind(), respond(|_, body: bytes::Bytes| async { body }));
    let router = router.progress(kind(), move |one| telling.lock().unwrap().push(one.clone()));
    (router, told)
}

/// Proves PRG-2: sent, taken, received, replied, each in its turn, and only ever more.
#[tokio::test(start_paused = true)]
async fn prg_2_a_program_sees_how_far_its_request_is() {
    let network = Network::new(3).delay(std::time::Duration::from_millis(40));
    let [server, asker] = [0; 2].map(|_| spawn(network.node()).unwrap());
    let (router, told) = echo();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(router).await });
    let body = vec![7; 1 << 20];
    let request = asker.request(server.key(), Message::new(kind(), body.clone()));
    let mut pending = request.start();
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    let reply = loop {
        match pending.progress().await.unwrap() {
            Progress::Sent { bytes, total } => {
                assert!(total == body.len() && received.is_empty());
                sent.push(bytes);
            }
            Progress::Received { bytes, total } => {
                assert_eq!(total, body.len());
                received.push(bytes);
            }
            Progress::Replied(reply) => break reply,
            other => assert_eq!(other, Progress::Taken),
        }
    };
    assert_eq!(reply.body, body);
    let there: Vec<usize> = told.lock().unwrap().iter().map(|one| one.bytes).collect();
    for told in [sent, received, there] {
        assert!(told.len() > 2 && told.is_sorted_by(|one, next| one < next), "{told:?}");
    }
    assert!(told.lock().unwrap().iter().all(|one| one.from == asker.key()));
}

/// Proves PRG-2: who may not ask a kind tells its handler nothing.
#[tokio::test(start_paused = true)]
async fn progress_is_told_of_those_who_may_ask() {
    let network = Network::new(3);
    let [server, asker] = [0; 2].map(|_| spawn(network.node()).unwrap());
    let (router, told) = echo();
    let (serving, router) = (server.clone(), router.allow(Allowed::from_iter([server.key()])));
    tokio::spawn(async move { serving.serve(router).await });
    let message = Message::new(kind(), vec![7; 1 << 20]);
    asker.request(server.key(), message).await.unwrap_err();
    assert!(told.lock().unwrap().is_empty());
}
