//! A relay with mailboxes, and those around it.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its own part")]

#[path = "../../../egtp/tests/folder/mod.rs"]
mod folder;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use egtp::clock::TokioClock;
use egtp::mailbox::{
    ACK, Ack, DepositRefused, GET, Get, HELD, Held, LetterName, Letters, decode_count, encode_acks,
};
use egtp::store::SqliteStore;
use egtp::{Allowed, Builder, Kind, Message, Node, RequestError, SecretKey};
use egtp_services::mailbox::{
    Announcer, Collector, DepositError, Incoming, Limits, Mail, Mailboxes, Stored, Taken, deposit,
};
use folder::Folder;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// A relay that can be ended, and begun again with what it has on its disk.
pub(crate) struct Place {
    folder: Folder,
    pub(crate) limits: Limits,
    pub(crate) recipients: Allowed,
    pub(crate) depositing: Allowed,
    pub(crate) clock: Arc<TokioClock>,
}

impl Place {
    pub(crate) fn new(name: &str, limits: Limits) -> Self {
        let folder = Folder::made(&format!("mailbox-{name}"));
        let clock = Arc::new(TokioClock::new(Duration::from_hours(500_000)));
        let (recipients, depositing) = (Allowed::Anybody, Allowed::Anybody);
        Self { folder, limits, recipients, depositing, clock }
    }

    /// Where what it keeps is, and what else a test keeps.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder.0
    }

    fn store(&self) -> PathBuf {
        self.folder.0.join("store.db")
    }

    /// What a kill at this moment would leave on the disk, as a place of its own.
    pub(crate) fn as_if_killed(&self, name: &str) -> Self {
        let place = Self::new(name, self.limits.clone());
        for extension in ["db", "db-wal"] {
            let [from, to] = [self.store(), place.store()];
            fs::copy(from.with_extension(extension), to.with_extension(extension)).unwrap();
        }
        place
    }

    /// A relay that is reached by TCP.
    pub(crate) async fn start(&self) -> Node {
        self.start_with(|builder| builder).await
    }

    /// With something else about its node.
    pub(crate) async fn start_with(&self, change: impl FnOnce(Builder) -> Builder) -> Node {
        let builder = Node::builder().key(relay_key()).listen(([127, 0, 0, 1], 0).into());
        let (builder, announcer) = self.built_on(change(builder));
        let node = builder.start().await.unwrap();
        tokio::spawn(announcer.run(node.clone()));
        node
    }

    /// What makes a relay of a node.
    pub(crate) fn built_on(&self, builder: Builder) -> (Builder, Announcer) {
        let (mailboxes, announcer) = Mailboxes::new(self.limits.clone(), self.recipients.clone());
        let mailboxes = mailboxes.with_clock(self.clock.clone());
        let builder = builder.only_instance().store(SqliteStore::open(self.store()).unwrap());
        let operators = Allowed::from_iter([operator().public()]);
        let routers = mailboxes.routers(self.depositing.clone(), operators).unwrap();
        (routers.into_iter().fold(builder, Builder::serve), announcer)
    }
}

pub(crate) fn relay_key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

pub(crate) fn operator() -> SecretKey {
    SecretKey::from_seed([2; 32])
}

pub(crate) async fn somebody(seed: u8) -> Node {
    let key = SecretKey::from_seed([seed; 32]);
    Node::builder().key(key).only_instance().start().await.unwrap()
}

pub(crate) async fn ask(
    node: &Node,
    relay: &Node,
    kind: &str,
    body: impl Into<Bytes>,
) -> Result<Bytes, RequestError> {
    let message = Message::new(Kind::new(kind).unwrap(), body);
    Ok(node.request(relay.ticket(), message).await?.body)
}

pub(crate) async fn get(node: &Node, relay: &Node) -> Letters {
    let get = Get { largest: 1 << 20, after: 0 };
    Letters::decode(&ask(node, relay, GET, get.encode()).await.unwrap()).unwrap()
}

pub(crate) async fn acknowledge(node: &Node, relay: &Node, acks: &[Ack]) -> u32 {
    decode_count(&ask(node, relay, ACK, encode_acks(acks)).await.unwrap()).unwrap()
}

pub(crate) async fn held(node: &Node, relay: &Node) -> Held {
    Held::decode(&ask(node, relay, HELD, "").await.unwrap()).unwrap()
}

pub(crate) fn acks_of(letters: &Letters) -> Vec<Ack> {
    let ack = |one: &egtp::mailbox::Letter| Ack {
        position: one.position,
        name: LetterName::of(&one.bytes),
    };
    letters.letters.iter().map(ack).collect()
}

pub(crate) fn bytes_of(letters: &Letters) -> Vec<&[u8]> {
    letters.letters.iter().map(|one| &one.bytes[..]).collect()
}

pub(crate) async fn kept(sender: &Node, relay: &Node, recipient: &Node, letter: &[u8]) -> Duration {
    let stored = deposit(sender, relay.ticket(), &recipient.key(), letter).await;
    let Stored { kept } = stored.unwrap();
    kept
}

pub(crate) async fn refused(
    sender: &Node,
    relay: &Node,
    recipient: &Node,
    letter: &[u8],
) -> DepositRefused {
    match deposit(sender, relay.ticket(), &recipient.key(), letter).await.unwrap_err() {
        DepositError::Refused(why) => why,
        other => panic!("{other}"),
    }
}

/// Collects, and tells what has come.
pub(crate) fn collect(node: &Node, relay: &Node) -> (Mail, Collector, UnboundedReceiver<Incoming>) {
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

/// Waits until nothing is held for somebody any more.
pub(crate) async fn emptied(node: &Node, relay: &Node) {
    let empties = async { while held(node, relay).await.letters > 0 {} };
    timeout(WHILE, empties).await.unwrap();
}

pub(crate) async fn heard<T>(told: &mut UnboundedReceiver<T>) -> Option<T> {
    timeout(WHILE, told.recv()).await.ok().flatten()
}

/// Longer than anything here takes, and much shorter than a collector waits between two looks.
const WHILE: Duration = Duration::from_secs(20);
