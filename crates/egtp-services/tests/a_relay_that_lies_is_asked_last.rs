//! A relay may say that somebody is there and pass nothing on. Whoever believes it once does not believe it again before
//! all others, and so gets through by one that is slower and honest. With whole nodes over TCP, and a clock that only the
//! test moves on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use egtp::clock::TokioClock;
use egtp::relay::{self, OPEN, PASS, Presence, REGISTER};
use egtp::{Builder, Kind, Message, Node, Progress, Query, Router, Strategy, Ticket, respond};
use egtp_services::echo;
use tokio::time::{Instant, sleep};

/// A moment on a tick of the idle schedule, of eight seconds.
const ON_TICK: Duration = Duration::from_secs(8 * 212_500_000);

fn start(builder: Builder, clock: &Arc<TokioClock>) -> Node {
    let (node, driver) = builder.clock(clock.clone()).start_inline().unwrap();
    tokio::spawn(driver);
    node
}

fn kind(name: &str) -> Kind {
    Kind::new(name).unwrap()
}

fn listening(router: Router, clock: &Arc<TokioClock>) -> Node {
    start(Node::builder().listen("127.0.0.1:0".parse().unwrap()).serve(router), clock)
}

/// Says at once that everybody is there, counts how often, and passes nothing on.
fn liar(clock: &Arc<TokioClock>) -> (Node, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let router = Router::new()
        .route_sync(kind(OPEN), move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Bytes::copy_from_slice(&Presence::Live.encode())
        })
        .route_hint(kind(PASS), |_, _| {});
    (listening(router, clock), asked)
}

/// Passes everything on, and takes its time to say that somebody is there.
fn slow(clock: &Arc<TokioClock>) -> Node {
    let there = respond(|_, _| async {
        sleep(Duration::from_millis(500)).await;
        Presence::Live.encode().to_vec()
    });
    let router = Router::new()
        .route(kind(REGISTER), |query: Query| async move { query.withdrawn().await })
        .route(kind(OPEN), there)
        .route_hint(kind(PASS), |hint, hints| {
            let Some((to, packet)) = relay::decode_pass(&hint.body) else { return };
            let _ = hints.hint(&to, kind(PASS), relay::encode_pass(&hint.from, &packet));
        });
    listening(router, clock)
}

fn by(relays: [&Node; 2], peer: &Node) -> Ticket {
    let strategy = |relay: &Node| Strategy::Relay {
        relay: relay.key(),
        at: relay.listening()[0].host_port().cloned(),
    };
    Ticket { key: peer.key(), strategies: relays.map(strategy).to_vec() }
}

/// Proves DISC-3: one that answers and leads nowhere costs a first flight of eight seconds, and once.
#[tokio::test(start_paused = true)]
async fn a_relay_that_only_says_that_somebody_is_there_wins_once() {
    let clock = Arc::new(TokioClock::new(ON_TICK));
    let ((liar, asked), slow) = (liar(&clock), slow(&clock));
    let bob = start(Node::builder().serve(echo::service().unwrap().1), &clock);
    bob.trust_relay(slow.key(), true);
    // For longer than all of this takes, so that he is connected when he is asked for.
    let registers = bob.request(slow.ticket(), Message::new(kind(REGISTER), ""));
    let mut there = registers.hard_timeout(Duration::from_mins(5)).start();
    while !matches!(there.progress().await.unwrap(), Progress::Taken) {}
    let alice = start(Node::builder(), &clock);
    for (body, within) in [("first", 12), ("after silence", 2)] {
        let begun = Instant::now();
        let message = Message::new(kind(echo::KIND), body);
        let asking = alice.request(by([&liar, &slow], &bob), message);
        let reply = asking.hard_timeout(Duration::from_secs(20)).await;
        assert_eq!(reply.map(|reply| reply.body).as_deref(), Ok(body.as_bytes()));
        assert!(begun.elapsed() < Duration::from_secs(within), "{body}: {:?}", begun.elapsed());
        assert_eq!(asked.load(Ordering::Relaxed), 1, "{body}: the other one is slower");
        sleep(Duration::from_secs(40)).await;
    }
}
