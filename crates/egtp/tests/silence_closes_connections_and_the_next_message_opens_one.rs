//! The idle part of scenario 10, with whole nodes over TCP and a clock that only the test moves on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use egtp::clock::{Clock, TokioClock};
use egtp::{Kind, Message, Node, Router, Status, respond};
use tokio::time::sleep;

/// A moment on a tick of the idle schedule, of eight seconds.
const ON_TICK: Duration = Duration::from_secs(8 * 212_500_000);

async fn status(node: &Node) -> Status {
    node.status().await.expect("it runs")
}

/// Proves SCENARIO-10, TCP-1, TCP-4, CON-2: what was used is kept for eighteen seconds, both ends have closed
/// it 32 seconds after the last use without a word, nothing is dialed meanwhile, and the next message opens
/// a connection by itself; the session is as before.
#[tokio::test(start_paused = true)]
async fn after_silence_nothing_is_open_and_the_next_message_is_answered() {
    let clock = Arc::new(TokioClock::new(ON_TICK));
    let kind = Kind::new("echo/1").unwrap();
    let echo = respond(|_, body: Bytes| std::future::ready(body));
    let builder = || Node::builder().clock(clock.clone());
    let serving = builder().listen("127.0.0.1:0".parse().unwrap());
    let serving = serving.serve(Router::new().route(kind.clone(), echo));
    let (bob, driver) = serving.start_inline().unwrap();
    tokio::spawn(driver);
    let (alice, driver) = builder().start_inline().unwrap();
    tokio::spawn(driver);
    let ask = || async {
        let asked = alice.request(bob.ticket(), Message::new(kind.clone(), "hello"));
        asked.await.map(|reply| reply.body)
    };

    for round in 1..=3 {
        assert_eq!(ask().await.as_deref(), Ok(&b"hello"[..]), "{round}");
        let used = clock.wall();
        let since = || clock.wall().saturating_sub(used);
        sleep(Duration::from_secs(17)).await;
        for node in [&alice, &bob] {
            assert_eq!(status(node).await.connections, 1, "{:?} after use", since());
        }
        // The acknowledgement of the reply was the last use, a moment after it.
        sleep(Duration::from_millis(15_100)).await;
        for node in [&alice, &bob] {
            let status = status(node).await;
            assert_eq!(status.connections, 0, "{:?} after use", since());
            assert_eq!(status.sizes.confirmed, 1);
        }
        assert_eq!(status(&alice).await.counters.handshakes_finished, 1, "once for all");
        // For almost an hour nobody has anything to say, or to dial.
        sleep(Duration::from_mins(50)).await;
        assert_eq!(status(&bob).await.connections, 0);
    }
}
