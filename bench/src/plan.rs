//! What is measured: a *cell* is one figure of one side on one runtime.

use std::time::Duration;

use crate::options::Options;
use crate::outcome::Outcome;
use crate::runtimes::Kind;
use crate::sides::Name;

/// The thirteen questions, in the order of their importance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Measure {
    Many,
    Latency,
    Bulk,
    Connections,
    Memory,
    Curve,
    Durable,
    IdleCpu,
    /// Of EGTP alone, see `at_rest`.
    AtRest,
    /// Of EGTP alone, too.
    Loops,
    /// By a relay, beside the direct path.
    Forwarding,
    /// What others are to fetch later, beside streams of Redis and JetStream.
    Stored,
    /// Of EGTP alone, see `registered`.
    Registered,
}

impl Measure {
    pub const ALL: [Self; 13] = [
        Self::Many,
        Self::Latency,
        Self::Bulk,
        Self::Connections,
        Self::Memory,
        Self::Curve,
        Self::Durable,
        Self::IdleCpu,
        Self::AtRest,
        Self::Loops,
        Self::Forwarding,
        Self::Stored,
        Self::Registered,
    ];

    pub fn from_number(word: &str) -> Outcome<Self> {
        let number: usize = word.trim().parse().map_err(|_| format!("no measure {word}"))?;
        Ok(*Self::ALL.get(number.wrapping_sub(1)).ok_or(format!("no measure {word}"))?)
    }

    pub const fn works(self) -> &'static [Work] {
        match self {
            Self::Many => &[Work::Many],
            Self::Latency => &[Work::SameCore, Work::TwoCores],
            Self::Bulk => &[Work::Bulk100K, Work::Bulk2M],
            Self::Connections => &[Work::Connect64, Work::Connect1],
            Self::Memory => &[Work::Idle],
            Self::Curve => &Work::CURVE,
            Self::Durable => &[Work::OnDisk],
            Self::IdleCpu => &[Work::IdleCpu],
            Self::AtRest => &[],
            Self::Loops => &[Work::ManyPeers],
            Self::Forwarding => &[Work::Forward, Work::Forward100K],
            Self::Stored => &[Work::Stored64, Work::Stored512],
            Self::Registered => &[Work::Registered],
        }
    }
}

/// What a client does in a cell.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Work {
    /// 1,000 requests of 128 bytes in flight.
    Many,
    /// One request in flight, both processes on one core.
    SameCore,
    /// One request in flight, each process on a core of its own.
    TwoCores,
    /// 16 messages of 100 KiB in flight.
    Bulk100K,
    /// 4 messages of 2 MiB in flight.
    Bulk2M,
    /// New connections, 64 at once.
    Connect64,
    /// New connections, one after the other.
    Connect1,
    /// 2,000 connections that have asked once.
    Idle,
    /// So many requests of 128 bytes in flight.
    InFlight1,
    InFlight10,
    InFlight100,
    InFlight1k,
    InFlight10k,
    /// 1,000 requests of 128 bytes in flight that are to be on a disk.
    OnDisk,
    /// 5,000 connections that have asked once.
    IdleCpu,
    /// 1,000 requests of 128 bytes in flight, of [`PEERS`] clients together.
    ManyPeers,
    /// 1,000 requests of 128 bytes in flight, direct and by a relay.
    Forward,
    /// 16 messages of 100 KiB in flight, direct and by a relay.
    Forward100K,
    /// So many letters of 1 KiB in flight that are to be on a disk until somebody fetches them.
    Stored64,
    Stored512,
    /// [`Cell::clients`] nodes that are registered at a relay.
    Registered,
}

/// How many clients there are in [`Work::ManyPeers`]: enough to be shared out evenly.
pub const PEERS: usize = 40;
/// How many connections idle in [`Work::Idle`].
pub const IDLE_CONNECTIONS: u32 = 2_000;
/// And in [`Work::IdleCpu`].
pub const IDLE_MANY: u32 = 5_000;
/// How long they have been idle before the memory is read.
pub const IDLE_SECONDS: f64 = 8.0;
/// How many of those that are registered are asked by it in the end.
pub const PUSHED: u32 = 100;
/// How many may be registered: what a relay takes by its own limit.
pub const CLIENTS_MAX: u32 = 16_000;
/// How long a relay is watched that so many are registered at, once they have been there for a while.
pub const REGISTERED_SECONDS: f64 = 30.0;
/// Processes, first connection, and the end.
const AROUND_SECONDS: f64 = 0.2;
/// Another server process begins with what the first one has left.
const AROUND_STORES_SECONDS: f64 = 1.5;

impl Work {
    /// Fewer and more in flight.
    pub const CURVE: [Self; 5] =
        [Self::InFlight1, Self::InFlight10, Self::InFlight100, Self::InFlight1k, Self::InFlight10k];

    pub const ALL: [Self; 21] = [
        Self::Many,
        Self::SameCore,
        Self::TwoCores,
        Self::Bulk100K,
        Self::Bulk2M,
        Self::Connect64,
        Self::Connect1,
        Self::Idle,
        Self::InFlight1,
        Self::InFlight10,
        Self::InFlight100,
        Self::InFlight1k,
        Self::InFlight10k,
        Self::OnDisk,
        Self::IdleCpu,
        Self::ManyPeers,
        Self::Forward,
        Self::Forward100K,
        Self::Stored64,
        Self::Stored512,
        Self::Registered,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Many => "many",
            Self::SameCore => "same-core",
            Self::TwoCores => "two-cores",
            Self::Bulk100K => "bulk-100k",
            Self::Bulk2M => "bulk-2m",
            Self::Connect64 => "connect-64",
            Self::Connect1 => "connect-1",
            Self::Idle => "idle",
            Self::InFlight1 => "in-flight-1",
            Self::InFlight10 => "in-flight-10",
            Self::InFlight100 => "in-flight-100",
            Self::InFlight1k => "in-flight-1k",
            Self::InFlight10k => "in-flight-10k",
            Self::OnDisk => "on-disk",
            Self::IdleCpu => "idle-cpu",
            Self::ManyPeers => "many-peers",
            Self::Forward => "forward",
            Self::Forward100K => "forward-100k",
            Self::Stored64 => "stored-64",
            Self::Stored512 => "stored-512",
            Self::Registered => "registered",
        }
    }

    /// In flight, and the bytes of each.
    pub const fn load(self) -> (usize, usize) {
        match self {
            Self::Many | Self::OnDisk | Self::ManyPeers | Self::Forward => (1_000, 128),
            Self::Bulk100K | Self::Forward100K => (16, 100 * 1024),
            Self::Stored64 => (64, 1024),
            Self::Stored512 => (512, 1024),
            Self::Bulk2M => (4, 2 * 1024 * 1024),
            Self::Connect64 => (64, 128),
            Self::InFlight1 => (1, 128),
            Self::InFlight10 => (10, 128),
            Self::InFlight100 => (100, 128),
            Self::InFlight1k => (1_000, 128),
            Self::InFlight10k => (10_000, 128),
            Self::SameCore
            | Self::TwoCores
            | Self::Connect1
            | Self::Idle
            | Self::IdleCpu
            | Self::Registered => (1, 128),
        }
    }

    /// Whether connections are to allow more streams than their defaults. Not where they are counted
    /// or weighed: some stacks pay for each stream that they permit, and nobody would raise it there.
    pub const fn raises_limits(self) -> bool {
        !matches!(
            self,
            Self::Connect64 | Self::Connect1 | Self::Idle | Self::IdleCpu | Self::ManyPeers
        )
    }

    /// The core of the client and that of the server, where they are pinned.
    pub const fn cores(self) -> Option<(usize, usize)> {
        match self {
            Self::SameCore => Some((0, 0)),
            Self::TwoCores => Some((0, 1)),
            _ => None,
        }
    }

    /// Whether what it asks for is left somewhere until it is fetched.
    pub const fn is_stored(self) -> bool {
        matches!(self, Self::Stored64 | Self::Stored512)
    }

    /// Whether it goes by a relay, and by the direct path beside it.
    pub const fn is_forwarded(self) -> bool {
        matches!(self, Self::Forward | Self::Forward100K)
    }

    /// Whether it is measured on such a runtime.
    fn runs_on(self, runtime: Kind) -> bool {
        // Its figure is one of the relay, which is as `egtp relay` has it.
        !matches!(self, Self::Registered) || runtime == Kind::CurrentThread
    }

    fn needs(self, seconds: f64, clients: u32) -> f64 {
        AROUND_SECONDS
            + match self {
                // About 700 connections a second, then the wait.
                Self::Idle => f64::from(IDLE_CONNECTIONS) / 700.0 + IDLE_SECONDS,
                Self::IdleCpu => f64::from(IDLE_MANY) / 700.0 + IDLE_SECONDS,
                // They shake hands, and look whether they are registered.
                Self::Registered => f64::from(clients) / 300.0 + REGISTERED_SECONDS + 5.0,
                // It is counted twice in the end, the second time by another process.
                Self::Stored64 | Self::Stored512 => {
                    warm_up(seconds).as_secs_f64() + seconds + AROUND_STORES_SECONDS
                }
                _ => warm_up(seconds).as_secs_f64() + seconds,
            }
    }
}

/// Before the measured window: connections made, congestion windows open, caches warm.
pub fn warm_up(seconds: f64) -> Duration {
    Duration::from_secs_f64((seconds / 2.0).clamp(0.2, 1.0))
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Row {
    pub side: Name,
    pub runtime: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    pub row: Row,
    pub work: Work,
    pub seconds: f64,
    /// How many there are in [`Work::Registered`].
    pub clients: u32,
}

impl Cell {
    /// How the runner tells the client, and the client the server, what to do.
    pub fn words(&self) -> [String; 5] {
        [
            self.row.side.word().to_owned(),
            self.row.runtime.word().to_owned(),
            self.work.word().to_owned(),
            self.seconds.to_string(),
            self.clients.to_string(),
        ]
    }

    pub fn from_words(words: &[String]) -> Outcome<Self> {
        let [side, runtime, work, seconds, clients] = words else {
            return Err("a role needs: side, runtime, work, seconds, clients".into());
        };
        let work = Work::ALL.into_iter().find(|one| one.word() == work);
        Ok(Self {
            row: Row { side: Name::from_word(side)?, runtime: Kind::from_word(runtime)? },
            work: work.ok_or("no such work")?,
            seconds: seconds.parse()?,
            clients: clients.parse()?,
        })
    }

    pub fn needs(&self) -> f64 {
        self.work.needs(self.seconds, self.clients)
    }
}

/// One round: every cell once. The rows follow each other within a work, so that what drifts on the
/// machine meets all sides alike.
pub fn round(options: &Options) -> Vec<Cell> {
    let mut cells = Vec::new();
    for work in options.measures.iter().flat_map(|measure| measure.works()) {
        for &side in &options.sides {
            for &runtime in side.runtimes() {
                let is_wanted = options.runtime.as_ref().is_none_or(|one| one == runtime.word());
                if is_wanted && side.does(*work) && work.runs_on(runtime) {
                    let row = Row { side, runtime };
                    let Options { seconds, clients, .. } = *options;
                    cells.push(Cell { row, work: *work, seconds, clients });
                }
            }
        }
    }
    cells
}
