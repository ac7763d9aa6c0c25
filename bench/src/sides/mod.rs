//! The sides of the comparison. A side is a way to serve, to connect and to ask; the load, the
//! timeouts and the comparisons are the same for all (`requests`), unless a side is a bare loop.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use crate::outcome::Outcome;
use crate::plan::Work;
use crate::requests;
use crate::runtimes::Kind;
use crate::tally::Tally;

mod egtp;
mod iroh;
mod jetstream;
mod libp2p;
mod mailbox;
mod quinn;
mod quinn_dgram;
mod quinn_ends;
mod redis;
mod sqlite;
mod tcp;
mod udp;

/// The longest message that a stream's reader takes.
const LONGEST: usize = 4 << 20;

/// An address that is free, in all likelihood for a moment longer: for a program that has to be told one.
fn free_address() -> Outcome<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

pub trait Side: 'static {
    /// Whether the library itself ends each request after `requests::TIMEOUT`.
    const TIMES_OUT: bool = false;
    /// Whether its server counts in `server::SERVED` what it is asked, so that this can be held against what was asked.
    const COUNTS: bool = false;
    /// Whether [`Side::stored`] says how much its server has stored, which is asked for where it is measured.
    const STORES: bool = false;
    /// On how many cores its server can be at work, where that is said.
    const LOOPS: u16 = 1;

    /// A client's end that outlives its connections, where there is such a thing.
    type Local: Send + Sync + 'static;
    /// A connection, as the tasks of a client share it.
    type Link: Clone + Send + Sync + 'static;

    /// Answers everybody with `bodies::answer`, for ever. Calls `server::announce` once.
    fn serve(raise_limits: bool) -> impl Future<Output = Outcome<()>> + Send + 'static;

    fn local(raise_limits: bool) -> impl Future<Output = Outcome<Self::Local>> + Send;

    fn connect(
        local: &Self::Local,
        address: &str,
    ) -> impl Future<Output = Outcome<Self::Link>> + Send;

    fn ask(link: &Self::Link, body: Bytes) -> impl Future<Output = Outcome<Bytes>> + Send;

    /// Ends a connection; need not wait for it.
    fn close(local: &Self::Local, link: Self::Link) -> impl Future<Output = ()> + Send;

    /// How many of those that were asked the server at this address has stored.
    fn stored(address: &str) -> impl Future<Output = Outcome<u64>> + Send {
        let why = format!("the server at {address} stores nothing");
        async { Err(why.into()) }
    }

    /// Keeps so many requests of so many bytes in flight until the tally says stop.
    fn pump(
        link: Self::Link,
        load: (usize, usize),
        tally: Arc<Tally>,
    ) -> impl Future<Output = Outcome<()>> + Send + 'static
    where
        Self: Sized,
    {
        requests::pump::<Self>(link, load, tally)
    }
}

/// Something that is to be done with a side that is known by its name only.
pub trait Visitor {
    type Output;
    fn visit<S: Side>(self) -> Self::Output;
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Name {
    Tcp,
    Udp,
    Egtp,
    EgtpInline,
    EgtpSpin,
    EgtpBatch,
    EgtpClassical,
    EgtpKnock,
    EgtpLoops,
    Quinn,
    QuinnDgram,
    Iroh,
    Libp2pTcp,
    Libp2pQuic,
    Durable,
    Sqlite,
    Relayed,
    RelayedShare,
    Mailbox,
    Redis,
    RedisPipe,
    JetStream,
}

pub const ALL: &[Name] = &[
    Name::Tcp,
    Name::Udp,
    Name::Egtp,
    Name::EgtpInline,
    Name::EgtpSpin,
    Name::EgtpBatch,
    Name::EgtpClassical,
    Name::EgtpKnock,
    Name::EgtpLoops,
    Name::Quinn,
    Name::QuinnDgram,
    Name::Iroh,
    Name::Libp2pTcp,
    Name::Libp2pQuic,
    Name::Durable,
    Name::Sqlite,
    Name::Relayed,
    Name::RelayedShare,
    Name::Mailbox,
    Name::Redis,
    Name::RedisPipe,
    Name::JetStream,
];

impl Name {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Egtp => "egtp",
            Self::EgtpInline => "egtp-inline",
            Self::EgtpSpin => "egtp-spin",
            Self::EgtpBatch => "egtp-batch",
            Self::EgtpClassical => "egtp-classical",
            Self::EgtpKnock => "egtp-knock",
            Self::EgtpLoops => "egtp-loops",
            Self::Quinn => "quinn",
            Self::QuinnDgram => "quinn-dgram",
            Self::Iroh => "iroh",
            Self::Libp2pTcp => "libp2p-tcp",
            Self::Libp2pQuic => "libp2p-quic",
            Self::Durable => "egtp-durable",
            Self::Sqlite => "sqlite",
            Self::Relayed => "egtp-relayed",
            Self::RelayedShare => "egtp-relayed-share",
            Self::Mailbox => "egtp-mailbox",
            Self::Redis => "redis",
            Self::RedisPipe => "redis-pipe",
            Self::JetStream => "jetstream",
        }
    }

    /// As it stands in the tables.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Tcp => "plain TCP, one loop",
            Self::Udp => "raw UDP, GSO/GRO, one loop",
            Self::Egtp => "EGTP (TCP)",
            Self::EgtpInline => "EGTP (TCP), driver inline",
            Self::EgtpSpin => "EGTP (TCP), inline, spinning",
            Self::EgtpBatch => "EGTP (TCP), batch",
            Self::EgtpClassical => "EGTP (TCP), no hybrid suite",
            Self::EgtpKnock => "EGTP (TCP), server not heard of before",
            Self::EgtpLoops => "EGTP (TCP), server with two loops",
            Self::Quinn => "quinn, stream each",
            Self::QuinnDgram => "quinn, datagrams + id table",
            Self::Iroh => "iroh, stream each",
            Self::Libp2pTcp => "libp2p, TCP + Noise + Yamux",
            Self::Libp2pQuic => "libp2p, QUIC",
            Self::Durable => "EGTP (TCP), durable",
            Self::Sqlite => "SQLite, one loop",
            Self::Relayed => "EGTP (TCP), by a relay without a bound",
            Self::RelayedShare => "EGTP (TCP), by a relay, 8 MiB/s for each",
            Self::Mailbox => "EGTP (TCP), mailboxes of a relay",
            Self::Redis => "Redis, a connection for each",
            Self::RedisPipe => "Redis, all on one connection",
            Self::JetStream => "JetStream, all on one connection",
        }
    }

    pub fn from_word(word: &str) -> Outcome<Self> {
        let found = ALL.iter().copied().find(|one| one.word() == word);
        found.ok_or_else(|| format!("no side {word}").into())
    }

    pub fn visit<V: Visitor>(self, visitor: V) -> V::Output {
        match self {
            Self::Tcp => visitor.visit::<tcp::Tcp>(),
            Self::Udp => visitor.visit::<udp::Udp>(),
            Self::Egtp => visitor.visit::<egtp::Egtp<egtp::Plain>>(),
            Self::EgtpInline => visitor.visit::<egtp::Egtp<egtp::Inline>>(),
            Self::EgtpSpin => visitor.visit::<egtp::Egtp<egtp::Spinning>>(),
            Self::EgtpBatch => visitor.visit::<egtp::Egtp<egtp::Batched>>(),
            Self::EgtpClassical => visitor.visit::<egtp::Egtp<egtp::Classical>>(),
            Self::EgtpKnock => visitor.visit::<egtp::Egtp<egtp::Knocking>>(),
            Self::EgtpLoops => visitor.visit::<egtp::Egtp<egtp::TwoLoops>>(),
            Self::Quinn => visitor.visit::<quinn::Quinn>(),
            Self::QuinnDgram => visitor.visit::<quinn_dgram::QuinnDgram>(),
            Self::Iroh => visitor.visit::<iroh::Iroh>(),
            Self::Libp2pTcp => visitor.visit::<libp2p::Libp2p<libp2p::TcpNoiseYamux>>(),
            Self::Libp2pQuic => visitor.visit::<libp2p::Libp2p<libp2p::Quic>>(),
            Self::Durable => visitor.visit::<egtp::Egtp<egtp::Durable>>(),
            Self::Sqlite => visitor.visit::<sqlite::Sqlite>(),
            Self::Relayed | Self::RelayedShare => visitor.visit::<egtp::Egtp<egtp::Relayed>>(),
            Self::Mailbox => visitor.visit::<mailbox::Mailbox>(),
            Self::Redis => visitor.visit::<redis::Redis<redis::Each>>(),
            Self::RedisPipe => visitor.visit::<redis::Redis<redis::Pipelined>>(),
            Self::JetStream => visitor.visit::<jetstream::JetStream>(),
        }
    }

    pub const fn runtimes(self) -> &'static [Kind] {
        match self {
            Self::Udp => &[Kind::Blocking],
            // On a runtime with many threads the driver had better have one of its own.
            Self::Sqlite | Self::EgtpInline | Self::EgtpSpin => &[Kind::CurrentThread],
            // They have a runtime of their own, or none.
            Self::Redis | Self::RedisPipe | Self::JetStream => &[Kind::CurrentThread],
            _ => &[Kind::CurrentThread, Kind::MultiThread],
        }
    }

    /// Whether the question makes sense for this side.
    pub const fn does(self, work: Work) -> bool {
        let (_, bytes) = work.load();
        if self.is_relayed() {
            return work.is_forwarded();
        }
        if matches!(self, Self::Mailbox | Self::Redis | Self::RedisPipe | Self::JetStream) {
            return work.is_stored();
        }
        // The others are beside them only in part.
        if work.is_forwarded() || matches!(work, Work::Registered) {
            return matches!(self, Self::Egtp);
        }
        if work.is_stored() {
            return matches!(self, Self::Sqlite);
        }
        let is_small = work.raises_limits() && bytes == 128 && !matches!(work, Work::OnDisk);
        match self {
            // No messages of any size, and no connections; its window is fixed.
            Self::Udp => matches!(work, Work::Many | Work::SameCore | Work::TwoCores),
            // Large messages do not fit, and its connections are those of the other quinn row.
            Self::QuinnDgram => is_small,
            Self::EgtpInline => matches!(work, Work::Many | Work::SameCore | Work::TwoCores),
            // It needs a core at each end.
            Self::EgtpSpin => matches!(work, Work::Many | Work::TwoCores),
            // How many loops are better is a question of its own.
            Self::EgtpLoops => matches!(work, Work::ManyPeers),
            // What it spares matters where there are many.
            Self::EgtpBatch => is_small && work.load().0 >= 100,
            Self::EgtpClassical | Self::EgtpKnock => {
                matches!(work, Work::Connect64 | Work::Connect1)
            }
            // There, each client has an endpoint of its own, and thousands of them do not fit.
            Self::Iroh | Self::Libp2pTcp | Self::Libp2pQuic if matches!(work, Work::IdleCpu) => {
                false
            }
            Self::Durable | Self::Sqlite => matches!(work, Work::OnDisk),
            Self::Egtp => !matches!(work, Work::OnDisk),
            _ => !matches!(work, Work::OnDisk | Work::ManyPeers),
        }
    }

    /// Whether what it asks goes by a relay.
    pub const fn is_relayed(self) -> bool {
        matches!(self, Self::Relayed | Self::RelayedShare)
    }

    pub const fn is_redis(self) -> bool {
        matches!(self, Self::Redis | Self::RedisPipe)
    }

    /// Whether EGTP is held against the best of these: what encrypts and matches replies to requests, and on a disk
    /// what SQLite itself does.
    pub const fn is_peer(self) -> bool {
        matches!(
            self,
            Self::Quinn
                | Self::QuinnDgram
                | Self::Iroh
                | Self::Libp2pTcp
                | Self::Libp2pQuic
                | Self::Sqlite
        )
    }
}

/// A list of names with commas; `libp2p` stands for all of its transports.
pub fn parse(list: &str) -> Outcome<Vec<Name>> {
    let mut names = Vec::new();
    for word in list.split(',').map(str::trim) {
        let family = ALL.iter().copied().filter(|one| one.word().split('-').next() == Some(word));
        match Name::from_word(word) {
            Ok(name) => names.push(name),
            Err(why) => {
                let found: Vec<Name> = family.collect();
                if found.is_empty() {
                    return Err(why);
                }
                names.extend(found);
            }
        }
    }
    Ok(names)
}
