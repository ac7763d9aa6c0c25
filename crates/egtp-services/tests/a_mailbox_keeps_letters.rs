//! Letters that a relay keeps for somebody who is away: how they are left and fetched, by real nodes.

#[path = "../../egtp/tests/folder/mod.rs"]
mod folder;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use egtp::clock::TokioClock;
use egtp::mailbox::{
    ACK, Ack, DepositRefused, GET, Get, HELD, Held, LARGEST, LetterName, Letters, Mailbox, Measure,
    decode_count, decode_mailboxes, encode_acks, encode_count,
};
use egtp::path::{Attempts, Became};
use egtp::store::SqliteStore;
use egtp::{
    Allowed, Builder, HostPort, Kind, Message, Node, Refusal, RequestError, SecretKey, ServeError,
    StartError,
};
use egtp_services::mailbox::{
    Collector, DepositError, Incoming, Limits, Mail, Mailboxes, Stored, Taken, deposit,
};
use folder::Folder;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// A relay that can be ended, and begun again with what it has on its disk.
struct Relay {
    folder: Folder,
    limits: Limits,
    recipients: Allowed,
    depositing: Allowed,
    clock: Arc<TokioClock>,
    listen: OnceLock<SocketAddr>,
}

impl Relay {
    fn new(name: &str, limits: Limits) -> Self {
        let folder = Folder::made(&format!("mailbox-{name}"));
        let clock = Arc::new(TokioClock::new(Duration::from_hours(500_000)));
        let (recipients, depositing) = (Allowed::Anybody, Allowed::Anybody);
        Self { folder, limits, recipients, depositing, clock, listen: OnceLock::new() }
    }

    fn store(&self) -> PathBuf {
        self.folder.0.join("store.db")
    }

    async fn start(&self) -> Node {
        self.start_with(|builder| builder).await
    }

    async fn start_with(&self, finish: impl FnOnce(Builder) -> Builder) -> Node {
        let (mailboxes, announcer) = Mailboxes::new(self.limits.clone(), self.recipients.clone());
        let mailboxes = mailboxes.with_clock(self.clock.clone());
        let store = SqliteStore::open(self.store()).unwrap();
        let listen = self.listen.get().copied().unwrap_or(([127, 0, 0, 1], 0).into());
        let builder = Node::builder().key(SecretKey::from_seed([1; 32])).only_instance();
        let builder = builder.store(store).listen(listen);
        let operators = Allowed::from_iter([operator().public()]);
        let routers = mailboxes.routers(self.depositing.clone(), operators).unwrap();
        let builder = routers.into_iter().fold(builder, Builder::serve);
        let node = finish(builder).start().await.unwrap();
        // At the same port when it starts again.
        let listening = node.listening()[0].host_port().and_then(HostPort::socket_addr);
        self.listen.get_or_init(|| listening.unwrap());
        tokio::spawn(announcer.run(node.clone()));
        node
    }
}

fn operator() -> SecretKey {
    SecretKey::from_seed([2; 32])
}

async fn somebody(seed: u8) -> Node {
    let key = SecretKey::from_seed([seed; 32]);
    Node::builder().key(key).only_instance().start().await.unwrap()
}

async fn ask(
    node: &Node,
    relay: &Node,
    kind: &str,
    body: impl Into<Bytes>,
) -> Result<Bytes, RequestError> {
    let message = Message::new(Kind::new(kind).unwrap(), body);
    Ok(node.request(relay.ticket(), message).await?.body)
}

async fn get(node: &Node, relay: &Node) -> Letters {
    let get = Get { largest: 1 << 20, after: 0 };
    Letters::decode(&ask(node, relay, GET, get.encode()).await.unwrap()).unwrap()
}

async fn acknowledge(node: &Node, relay: &Node, acks: &[Ack]) -> u32 {
    decode_count(&ask(node, relay, ACK, encode_acks(acks)).await.unwrap()).unwrap()
}

async fn held(node: &Node, relay: &Node) -> Held {
    Held::decode(&ask(node, relay, HELD, "").await.unwrap()).unwrap()
}

fn acks_of(letters: &Letters) -> Vec<Ack> {
    let ack = |one: &egtp::mailbox::Letter| Ack {
        position: one.position,
        name: LetterName::of(&one.bytes),
    };
    letters.letters.iter().map(ack).collect()
}

fn bytes_of(letters: &Letters) -> Vec<&[u8]> {
    letters.letters.iter().map(|one| &one.bytes[..]).collect()
}

async fn refused(sender: &Node, relay: &Node, recipient: &Node, letter: &[u8]) -> DepositRefused {
    match deposit(sender, relay.ticket(), &recipient.key(), letter).await.unwrap_err() {
        DepositError::Refused(why) => why,
        other => panic!("{other}"),
    }
}

async fn kept(sender: &Node, relay: &Node, recipient: &Node, letter: &[u8]) -> Duration {
    let stored = deposit(sender, relay.ticket(), &recipient.key(), letter).await;
    let Stored { kept } = stored.unwrap();
    kept
}

/// Collects, and tells what has come.
fn collect(node: &Node, relay: &Node) -> (Mail, Collector, UnboundedReceiver<Incoming>) {
    let mail = Mail::new();
    let (serving, router) = (node.clone(), mail.router().unwrap());
    tokio::spawn(async move { serving.serve(router).await });
    let (tell, told) = unbounded_channel();
    let take = move |letter| {
        tell.send(letter).unwrap();
        async { Taken::Done }
    };
    let collector = Collector::start(node.clone(), relay.ticket(), &mail, take);
    (mail, collector, told)
}

async fn heard<T>(told: &mut UnboundedReceiver<T>) -> Option<T> {
    timeout(WHILE, told.recv()).await.ok().flatten()
}

/// Longer than anything here takes, and much shorter than a collector waits between two looks.
const WHILE: Duration = Duration::from_secs(20);

/// Proves P-14: what it has said to keep outlives the relay's process.
#[tokio::test]
async fn a_letter_waits_for_somebody_who_is_away_also_while_the_relay_is_started_again() {
    let place = Relay::new("away", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    for letter in [&b"first"[..], b"second"] {
        assert_eq!(kept(&alice, &relay, &bob, letter).await, Limits::default().kept);
    }
    relay.close().await;
    let relay = place.start().await;
    kept(&alice, &relay, &bob, b"third").await;
    let (_mail, _collector, mut told) = collect(&bob, &relay);
    for letter in ["first", "second", "third"] {
        let incoming = heard(&mut told).await.unwrap();
        assert_eq!((incoming.sender, incoming.bytes), (alice.key(), Bytes::from(letter)));
        assert_eq!(incoming.relay, relay.key());
    }
}

/// Proves P-15: what is taken care of is deleted, and nothing else ever is.
#[tokio::test]
async fn an_acknowledgement_deletes_the_letter_that_it_names_and_no_other() {
    let place = Relay::new("ack", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    for letter in [&b"first"[..], b"second", b"third"] {
        kept(&alice, &relay, &bob, letter).await;
    }
    let all = get(&bob, &relay).await;
    let [first, second, third] = acks_of(&all)[..] else { panic!("{all:?}") };
    let wrong = [
        Ack { name: second.name, ..first },
        Ack { position: third.position + 1, ..third },
        Ack { position: 0, ..first },
    ];
    assert_eq!(acknowledge(&bob, &relay, &wrong).await, 0);
    assert_eq!(get(&bob, &relay).await, all);
    assert_eq!(acknowledge(&bob, &relay, &[second, second]).await, 1);
    assert_eq!(bytes_of(&get(&bob, &relay).await), [&b"first"[..], b"third"]);
    assert_eq!(acknowledge(&bob, &relay, &[first, third]).await, 2);
    // The positions are used again, by other letters.
    kept(&alice, &relay, &bob, b"fourth").await;
    let fourth = get(&bob, &relay).await;
    assert_eq!(fourth.letters[0].position, first.position);
    assert_eq!(acknowledge(&bob, &relay, &[first, second, third]).await, 0);
    assert_eq!(get(&bob, &relay).await, fourth);
}

/// Proves P-15.
#[tokio::test]
async fn only_the_recipient_can_fetch_a_letter_or_have_it_deleted() {
    let place = Relay::new("recipient", Limits::default());
    let (alice, bob, mallory) = (somebody(3).await, somebody(4).await, somebody(5).await);
    let relay = place.start().await;
    kept(&alice, &relay, &bob, b"letter").await;
    let acks = acks_of(&get(&bob, &relay).await);
    for other in [&mallory, &alice] {
        assert_eq!(get(other, &relay).await, Letters::default());
        assert_eq!(acknowledge(other, &relay, &acks).await, 0);
        assert_eq!(held(other, &relay).await.letters, 0);
    }
    assert_eq!(bytes_of(&get(&bob, &relay).await), [b"letter"]);
    let asked = ask(&mallory, &relay, LARGEST, encode_count(9).to_vec()).await;
    assert_eq!(asked, Err(RequestError::Refused(Refusal::NotAllowed)));
}

/// Proves P-16: the same bytes again are one letter, until they are taken care of.
#[tokio::test]
async fn a_letter_that_is_left_twice_is_kept_once() {
    let place = Relay::new("twice", Limits::default());
    let (alice, bob, carol) = (somebody(3).await, somebody(4).await, somebody(5).await);
    let relay = place.start().await;
    kept(&alice, &relay, &bob, b"letter").await;
    place.clock.shift_wall(60);
    let again = kept(&alice, &relay, &bob, b"letter").await;
    assert_eq!(again + Duration::from_mins(1), Limits::default().kept);
    let letters = get(&bob, &relay).await;
    assert_eq!((bytes_of(&letters), letters.left), (vec![&b"letter"[..]], 0));
    // Nobody can be in another's way with what he has seen of him.
    kept(&carol, &relay, &bob, b"letter").await;
    assert_eq!(get(&bob, &relay).await.letters.len(), 2);
    acknowledge(&bob, &relay, &acks_of(&letters)).await;
    kept(&alice, &relay, &bob, b"letter").await;
    assert_eq!(get(&bob, &relay).await.letters.len(), 2, "it is stored again");
}

/// Proves P-17: each limit is said with its numbers, and what is collected makes room.
#[tokio::test]
async fn who_leaves_too_much_hears_which_limit_it_is_until_the_recipient_has_collected() {
    let limits = Limits {
        mailbox_letters_max: 3,
        share_letters_max: 2,
        share_bytes_max: 100,
        mailbox_bytes_max: 150,
        letter_bytes_max: 90,
        ..Limits::default()
    };
    let place = Relay::new("full", limits);
    let (alice, bob, carol) = (somebody(3).await, somebody(4).await, somebody(5).await);
    let relay = place.start().await;
    let too_large = DepositRefused::TooLarge { limit: 90 };
    assert_eq!(refused(&alice, &relay, &bob, &[0; 91]).await, too_large);
    kept(&alice, &relay, &bob, &[0; 90]).await;
    let (measure, held, limit) = (Measure::Bytes, 90, 100);
    let share_full = DepositRefused::ShareFull { measure, held, limit };
    assert_eq!(refused(&alice, &relay, &bob, &[1; 11]).await, share_full);
    kept(&alice, &relay, &bob, &[1; 10]).await;
    let (measure, held, limit) = (Measure::Letters, 2, 2);
    let share_full = DepositRefused::ShareFull { measure, held, limit };
    assert_eq!(refused(&alice, &relay, &bob, b"").await, share_full);
    let (measure, held, limit) = (Measure::Bytes, 100, 150);
    let mailbox_full = DepositRefused::MailboxFull { measure, held, limit };
    assert_eq!(refused(&carol, &relay, &bob, &[2; 51]).await, mailbox_full);
    kept(&carol, &relay, &bob, &[2; 5]).await;
    let (measure, held, limit) = (Measure::Letters, 3, 3);
    let mailbox_full = DepositRefused::MailboxFull { measure, held, limit };
    assert_eq!(refused(&carol, &relay, &bob, b"").await, mailbox_full);
    let all = get(&bob, &relay).await;
    assert_eq!(acknowledge(&bob, &relay, &acks_of(&all)).await, 3);
    kept(&carol, &relay, &bob, b"").await;
    kept(&alice, &relay, &bob, &[0; 90]).await;
    let Held { letters, bytes, letters_max, bytes_max } = self::held(&bob, &relay).await;
    assert_eq!((letters, bytes, letters_max, bytes_max), (2, 90, 3, 150));
}

/// Proves P-17.
#[tokio::test]
async fn a_relay_that_is_full_says_so_and_takes_letters_again_when_there_is_room() {
    let small = [
        Limits { letters_max: 1, ..Limits::default() },
        Limits { bytes_max: 9, ..Limits::default() },
        Limits { mailboxes_max: 1, ..Limits::default() },
    ];
    let (alice, bob, carol) = (somebody(3).await, somebody(4).await, somebody(5).await);
    for (number, limits) in small.into_iter().enumerate() {
        let place = Relay::new(&format!("relay-full-{number}"), limits);
        let relay = place.start().await;
        kept(&alice, &relay, &bob, b"letter").await;
        let why = refused(&alice, &relay, &carol, b"another").await;
        assert!(matches!(why, DepositRefused::RelayFull { .. }), "{number}: {why:?}");
        // What has expired makes room, and so does what is collected.
        place.clock.shift_wall(14 * 24 * 3600);
        kept(&alice, &relay, &carol, b"another").await;
        let another = get(&carol, &relay).await;
        acknowledge(&carol, &relay, &acks_of(&another)).await;
        kept(&alice, &relay, &bob, b"letter").await;
        relay.close().await;
    }
}

/// Proves P-14: until then, and no longer.
#[tokio::test]
async fn a_letter_that_nobody_collects_expires() {
    let place = Relay::new("expires", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    kept(&alice, &relay, &bob, b"letter").await;
    let hours = 14 * 24;
    place.clock.shift_wall((hours - 1) * 3600);
    let letters = get(&bob, &relay).await;
    assert_eq!(bytes_of(&letters), [b"letter"]);
    assert!(letters.letters[0].age >= Duration::from_hours(14 * 24 - 1));
    place.clock.shift_wall(3600);
    assert_eq!(get(&bob, &relay).await.letters, []);
    kept(&alice, &relay, &bob, b"new").await;
    assert_eq!(held(&bob, &relay).await.bytes, 3, "and it is deleted");
}

/// Proves P-18.
#[tokio::test]
async fn a_letter_comes_as_soon_as_it_is_left_to_whoever_is_there() {
    let place = Relay::new("push", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    kept(&alice, &relay, &bob, b"before").await;
    let (_mail, _collector, mut told) = collect(&bob, &relay);
    assert_eq!(heard(&mut told).await.unwrap().bytes, "before");
    // Until it has been acknowledged the collector has not finished its first look, after which the next one is minutes
    // away.
    while held(&bob, &relay).await.letters > 0 {}
    for letter in ["one", "two", "three"] {
        kept(&alice, &relay, &bob, letter.as_bytes()).await;
        assert_eq!(heard(&mut told).await.unwrap().bytes, letter);
    }
}

/// What stays hides nothing: a collector that cannot make use of the oldest letters gets those behind them.
#[tokio::test]
async fn a_letter_that_its_taker_leaves_for_later_comes_again_and_holds_up_no_other() {
    let place = Relay::new("later", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    // More than come at a time.
    for number in 0..300_u16 {
        let from = if number % 2 == 0 { &alice } else { &bob };
        kept(from, &relay, &bob, &number.to_le_bytes()).await;
    }
    let (tell, mut told) = unbounded_channel();
    let mut looks = 0;
    let take = move |letter: Incoming| {
        let number = u16::from_le_bytes(letter.bytes[..].try_into().unwrap());
        looks += 1;
        tell.send(number).unwrap();
        // All but the last at the first look.
        let is_later = looks <= 300 && number < 299;
        async move { if is_later { Taken::Later } else { Taken::Done } }
    };
    let poll = Duration::from_millis(1);
    let ticket = relay.ticket();
    let _collector = Collector::start_polling(bob.clone(), ticket, &Mail::new(), poll, take);
    for number in (0..300).chain(0..299) {
        assert_eq!(heard(&mut told).await, Some(number));
    }
    while held(&bob, &relay).await.letters > 0 {}
}

/// It goes on when the relay is there again, without anybody doing anything.
#[tokio::test]
async fn a_collector_outlives_its_relay_and_ends_with_its_node() {
    let place = Relay::new("outlives", Limits::default());
    let alice = somebody(3).await;
    let attempts = Attempts::default();
    let bob = Node::builder().attempts(attempts.clone()).start().await.unwrap();
    let relay = place.start().await;
    let ticket = relay.ticket();
    relay.close().await;
    let (tell, mut told) = unbounded_channel();
    let take = move |letter: Incoming| {
        tell.send(letter.bytes).unwrap();
        async { Taken::Done }
    };
    let of = ticket.key;
    let _collector = Collector::start(bob.clone(), ticket, &Mail::new(), take);
    while !attempts.of(&of).iter().any(|one| matches!(one.became, Became::Failed(_))) {
        tokio::task::yield_now().await;
    }
    let relay = place.start().await;
    kept(&alice, &relay, &bob, b"letter").await;
    assert_eq!(heard(&mut told).await.unwrap(), "letter");
    bob.close().await;
    assert_eq!(heard(&mut told).await, None);
    assert!(told.is_closed(), "whoever took letters is gone");
}

/// A relay whose node sends less at a time than a collector would take is asked for less.
#[tokio::test]
async fn letters_come_also_from_a_relay_that_sends_little_at_a_time() {
    let place = Relay::new("little", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let mut limits = egtp::Limits::default();
    limits.to_client_bytes_max = 256 * 1024;
    let relay = place.start_with(|builder| builder.limits(limits)).await;
    for number in 0..6 {
        kept(&alice, &relay, &bob, &vec![number; 100_000]).await;
    }
    let (_mail, _collector, mut told) = collect(&bob, &relay);
    for number in 0..6 {
        assert_eq!(heard(&mut told).await.unwrap().bytes, vec![number; 100_000]);
    }
}

/// The longest letter that a relay takes by default is one that it can give out by default.
#[tokio::test]
async fn the_longest_letter_that_is_kept_can_be_fetched() {
    let place = Relay::new("longest", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    let limit = Limits::default().letter_bytes_max;
    let letter = vec![7; usize::try_from(limit).unwrap() + 1];
    assert_eq!(refused(&alice, &relay, &bob, &letter).await, DepositRefused::TooLarge { limit });
    kept(&alice, &relay, &bob, &letter[1..]).await;
    let (_mail, _collector, mut told) = collect(&bob, &relay);
    assert_eq!(heard(&mut told).await.unwrap().bytes, letter[1..]);
}

/// Proves P-17: only for those whom the relay knows, and only from those.
#[tokio::test]
async fn a_relay_keeps_letters_only_for_those_and_from_those_that_its_operator_names() {
    let (alice, bob, carol) = (somebody(3).await, somebody(4).await, somebody(5).await);
    let recipients = Allowed::from_iter([bob.key()]);
    let depositing = Allowed::from_iter([alice.key()]);
    let place = Relay { recipients, depositing, ..Relay::new("allowed", Limits::default()) };
    let relay = place.start().await;
    assert_eq!(refused(&alice, &relay, &carol, b"").await, DepositRefused::UnknownRecipient);
    kept(&alice, &relay, &bob, b"letter").await;
    let not_allowed = deposit(&carol, relay.ticket(), &bob.key(), b"letter").await;
    let refusal = RequestError::Refused(Refusal::NotAllowed);
    assert_eq!(not_allowed, Err(DepositError::Request(refusal)));
    // Whoever has none hears what everybody hears whose mailbox is empty.
    assert_eq!(get(&carol, &relay).await, Letters::default());
    let operator = Node::builder().key(operator()).start().await.unwrap();
    let largest = ask(&operator, &relay, LARGEST, encode_count(9).to_vec()).await.unwrap();
    let mailbox = Mailbox { recipient: bob.key(), letters: 1, bytes: 6 };
    assert_eq!(decode_mailboxes(&largest), Some(vec![mailbox]));
}

/// Proves P-14: it could not keep its word.
#[tokio::test]
async fn a_node_without_a_store_does_not_start_with_a_mailbox() {
    let (mailboxes, _announcer) = Mailboxes::new(Limits::default(), Allowed::Anybody);
    let mut builder = Node::builder();
    for router in mailboxes.routers(Allowed::Anybody, Allowed::Anybody).unwrap() {
        builder = builder.serve(router);
    }
    let refused = builder.start().await.unwrap_err();
    assert!(matches!(refused, StartError::Serve(ServeError::NeedsStore { .. })), "{refused:?}");
    let said =
        "cannot serve: egtp.mailbox.put/1 needs a durable store; give the builder one with `store`";
    assert_eq!(refused.to_string(), said);
}
