//! A node on several threads is one node: for its peers, and for its program.

mod folder;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use egtp::clock::{Clock, SystemClock};
use egtp::events::Happening;
use egtp::store::SqliteStore;
use egtp::{HostPort, Kind, Message, Node, NotSent, RequestError, Router, SecretKey, StartError};
use folder::Folder;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn kind() -> Kind {
    Kind::new("test.echo/1").expect("it is a kind")
}

/// Whom a handler has heard what from, and on which threads.
#[derive(Clone, Default)]
struct Heard {
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
    threads: Arc<Mutex<HashSet<ThreadId>>>,
}

impl Heard {
    fn router(&self) -> Router {
        let heard = self.clone();
        Router::new().route_sync(kind(), move |query| {
            heard.threads.lock().unwrap().insert(std::thread::current().id());
            heard.bodies.lock().unwrap().push(query.message.body.to_vec());
            query.message.body.clone()
        })
    }
}

async fn node_of(loops: u16, heard: &Heard) -> Result<Node> {
    // So that the same peers are shared out alike each time.
    let builder =
        Node::builder().listen("127.0.0.1:0".parse()?).loops(loops).insecure_seed([3; 32]);
    Ok(builder.serve(heard.router()).start().await?)
}

#[tokio::test]
async fn each_peer_is_served_once_and_all_loops_serve() -> Result<()> {
    const PEERS: usize = 24;
    const EACH: usize = 40;
    let heard = Heard::default();
    let server = node_of(3, &heard).await?;
    let mut asking = tokio::task::JoinSet::new();
    for peer in 0..PEERS {
        let (ticket, key) = (server.ticket(), SecretKey::from_seed([u8::try_from(peer)?; 32]));
        asking.spawn(async move {
            let node = Node::builder().key(key).start().await?;
            for number in 0..EACH {
                let body = format!("{peer} {number}");
                let reply =
                    node.request(ticket.clone(), Message::new(kind(), body.clone())).await?;
                assert_eq!(reply.body, body);
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(node)
        });
    }
    let mut nodes = Vec::new();
    while let Some(node) = asking.join_next().await {
        nodes.push(node??);
    }
    let bodies = heard.bodies.lock().unwrap().clone();
    assert_eq!(bodies.len(), PEERS * EACH);
    assert_eq!(bodies.into_iter().collect::<HashSet<_>>().len(), PEERS * EACH, "each once");
    assert_eq!(heard.threads.lock().unwrap().len(), 3, "all loops have served");

    let status = server.status().await.expect("it runs");
    assert_eq!(status.counters.taken, u64::try_from(PEERS * EACH)?);
    assert_eq!((status.sizes.peers, status.connections), (PEERS, PEERS));
    assert!(status.paths.iter().all(|path| path.peer.is_some()));
    assert!(status.counters.handed_over > 0, "some came to another loop first");
    Ok(())
}

/// The other way round: who has several loops asks each peer by one of them, and hears of all.
#[tokio::test]
async fn a_node_of_several_loops_asks_and_tells_as_one() -> Result<()> {
    let heard = Heard::default();
    let asker = Node::builder().loops(4).start().await?;
    let mut events = asker.events().await.expect("it runs");
    let mut nodes = Vec::new();
    for _ in 0..12 {
        nodes.push(node_of(1, &heard).await?);
    }
    let mut batch = asker.batch(100);
    for (tag, node) in (0..).zip(&nodes) {
        batch.push(tag, asker.request(node.ticket(), Message::new(kind(), "batch")))?;
    }
    let mut completions = Vec::new();
    while batch.reap(1, &mut completions).await > 0 {}
    let mut tags: Vec<u64> = completions.iter().map(|one| one.tag).collect();
    tags.sort_unstable();
    assert_eq!(tags, (0..12).collect::<Vec<_>>());
    assert!(completions.iter().all(|one| one.result.is_ok()));

    let mut ended = 0;
    while ended < 12 {
        let event = events.next().await.expect("it runs")?;
        ended += usize::from(matches!(event.what, Happening::Ended { .. }));
    }
    let again = asker.events().await.expect("it runs").past().count();
    assert!(again >= 36, "{again} events of all loops: asked, received, ended");

    // A peer that nobody serves is known to fail, whichever loop has it.
    let silent = Node::builder().start().await?.key();
    for _ in 0..3 {
        let failed = asker.request(silent, Message::new(kind(), "")).await;
        assert!(matches!(failed, Err(RequestError::NotSent(NotSent::NotFound))), "{failed:?}");
    }
    let keys: Vec<_> = nodes.iter().map(Node::key).collect();
    let ranked = asker.best_first(keys.iter().copied().chain([silent]), &kind()).await;
    assert_eq!(ranked.len(), 13);
    assert_eq!(ranked.into_iter().collect::<HashSet<_>>().len(), 13);
    Ok(())
}

/// A clock that a test can advance.
#[derive(Debug, Default)]
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn boot(&self) -> Duration {
        SystemClock.boot() + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    fn wall(&self) -> Duration {
        SystemClock.wall() + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// Proves H-4: what a peer has heard of one loop leads it there, wherever its next connection comes in.
#[tokio::test]
async fn a_kept_card_leads_to_the_loop_that_has_issued_it() -> Result<()> {
    const PEERS: u8 = 12;
    let (heard, clock) = (Heard::default(), Arc::new(Ahead::default()));
    let builder = Node::builder().listen("127.0.0.1:0".parse()?).loops(3).clock(clock.clone());
    let server = builder.serve(heard.router()).start().await?;
    // It knows its age for certain from the first second on.
    clock.0.store(10, Ordering::Relaxed);
    let node_of = |peer: u8| Node::builder().key(SecretKey::from_seed([peer; 32])).start();
    let mut cards = Vec::new();
    for peer in 0..PEERS {
        let node = node_of(peer).await?;
        node.request(server.ticket(), Message::new(kind(), format!("{peer}"))).await?;
        cards.push(node.card_of(&server.key()).await.expect("it has heard its age"));
        node.close().await;
    }
    let before = server.status().await.expect("it runs").counters;
    for (peer, card) in (0..PEERS).zip(cards) {
        let node = node_of(peer).await?;
        node.learn_card(card);
        let reply = node.request(server.ticket(), Message::new(kind(), format!("{peer} again")));
        assert_eq!(reply.await?.body, format!("{peer} again"));
        node.close().await;
    }
    let after = server.status().await.expect("it runs").counters;
    assert_eq!(after.flights_accepted - before.flights_accepted, u64::from(PEERS));
    assert_eq!(after.retries_sent, before.retries_sent, "nobody had to knock");
    assert!(after.handed_over > before.handed_over, "two of three came in elsewhere");
    assert_eq!(heard.bodies.lock().unwrap().len(), usize::from(PEERS) * 2);
    Ok(())
}

#[tokio::test]
async fn closing_ends_all_loops_and_frees_the_port() -> Result<()> {
    let heard = Heard::default();
    let server = node_of(3, &heard).await?;
    let address = server.listening()[0].host_port().and_then(HostPort::socket_addr);
    let peer = Node::builder().start().await?;
    peer.request(server.ticket(), Message::new(kind(), "hello")).await?;
    let ticket = server.ticket();
    server.close().await;
    let late = peer.request(ticket, Message::new(kind(), "late"));
    let late = late.hard_timeout(Duration::from_millis(500)).await;
    assert!(late.is_err(), "{late:?}");
    let address = address.expect("it listened somewhere");
    Node::builder().listen(address).loops(2).serve(heard.router()).start().await?;
    Ok(())
}

#[tokio::test]
async fn what_several_loops_cannot_share_is_refused_in_words() -> Result<()> {
    let folder = Folder::made("loops");
    let store = SqliteStore::open(folder.0.join("store.db"))?;
    let refused = Node::builder().loops(2).store(store).start().await;
    let why = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(why, "a node with a durable store has one loop: leave out `loops`, or that");
    let inline = Node::builder().loops(2).start_inline();
    assert!(matches!(inline, Err(StartError::Loops { .. })));
    Ok(())
}

/// Fails in one loop when it is told to, as nothing else does that a program hands to a node.
#[derive(Debug, Default)]
struct BrokenClock {
    is_broken: AtomicBool,
}

impl Clock for BrokenClock {
    fn boot(&self) -> Duration {
        let is_second = std::thread::current().name() == Some("egtp 1");
        assert!(!is_second || !self.is_broken.load(Ordering::Relaxed), "as the test wants");
        SystemClock.boot()
    }

    fn wall(&self) -> Duration {
        SystemClock.wall()
    }
}

/// Half a node is none: when one loop fails, all end, and whoever waits for the end hears it.
#[tokio::test]
async fn with_one_loop_the_node_ends() -> Result<()> {
    let clock = Arc::new(BrokenClock::default());
    let builder = Node::builder().listen("127.0.0.1:0".parse()?).loops(3).clock(clock.clone());
    let server = builder.serve(Heard::default().router()).start().await?;
    let peer = Node::builder().start().await?;
    peer.request(server.ticket(), Message::new(kind(), "well")).await?;
    clock.is_broken.store(true, Ordering::Relaxed);
    // It reaches all loops, and wakes them.
    let _ = tokio::time::timeout(Duration::from_secs(10), server.status()).await;
    tokio::time::timeout(Duration::from_secs(10), server.closed()).await?;
    Ok(())
}
