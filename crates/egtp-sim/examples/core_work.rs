//! What the core does for one message, over and over, so that its instructions can be counted.
//!
//! `core_work WHAT COUNT` with WHAT one of `seal`, `open` (a record of 1,024 bytes of frames), `requests` (with
//! replies, 128 bytes both ways, 1,000 at a time between two endpoints in memory), `alone` (the same, one at a
//! time) and `junk` (packets that are for nobody). Nothing is measured here: `.ci/instructions` runs each twice with
//! different counts under callgrind and divides the difference. `core_work time` prints nanoseconds instead, which
//! prove nothing on a busy machine.

use std::process::ExitCode;
use std::time::{Duration, Instant as Watch};

use bytes::{Bytes, BytesMut};
use egtp_proto::crypto::{Cipher, Role, Suite, Suites};
use egtp_proto::limits::Limits;
use egtp_proto::session::live::Session;
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::shroud::{PREFIX_BYTES, Shroud};
use egtp_proto::wire::{Header, Lane};
use egtp_proto::{
    Config, Endpoint, Event, IdentityId, Kind, MessageClass, Outcome, PathId, PublicKey, SecretKey,
    Sink, Source, StoreKind, Submission,
};

const BODY: &[u8] = &[7; 128];
const AT_A_TIME: u64 = 1_000;
const FRAMES: usize = 1_024;
const PATH: PathId = PathId(1);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["time"] => time(),
        [what, count] => count.parse().ok().and_then(|count| work(what, count)),
        _ => None,
    };
    if done.is_some() {
        return ExitCode::SUCCESS;
    }
    eprintln!("usage: core_work seal|open|requests|alone|junk COUNT, or core_work time");
    ExitCode::from(2)
}

fn time() -> Option<()> {
    for (what, count) in WORK {
        work(what, count / 10)?;
        let begun = Watch::now();
        work(what, count)?;
        let each = begun.elapsed().as_secs_f64() * 1e9 / f64::from(u32::try_from(count).ok()?);
        println!("{what:<10} {each:>8.0} ns");
    }
    Some(())
}

/// What there is, and how often it is done for [`time`].
const WORK: [(&str, u64); 5] = [
    ("seal", 200_000),
    ("open", 200_000),
    ("requests", 400_000),
    ("alone", 100_000),
    ("junk", 400_000),
];

fn work(what: &str, count: u64) -> Option<()> {
    match what {
        "seal" => seal(count, false),
        "open" => seal(count, true),
        "requests" => requests(count, AT_A_TIME),
        "alone" => requests(count, 1),
        "junk" => junk(count),
        _ => None,
    }
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// Records between two sessions: each is sealed, and opened too if that is wanted.
fn seal(count: u64, opens: bool) -> Option<()> {
    let now = Instant::default();
    let root = (&[5; 32], [6; 32]);
    let suite = Suite::Aes256Gcm;
    let mut here = Session::new(1, Role::Initiator, suite, 2, root, now)?;
    let mut there = Session::new(1, Role::Responder, suite, 1, root, now)?;
    let shroud = Shroud::new(&key(2).public());
    let mut packet = Vec::new();
    for _ in 0..count {
        packet.clear();
        packet.resize(PREFIX_BYTES + FRAMES, 3);
        here.seal(now, Lane::Direct, &mut packet, &shroud)?;
        if opens {
            let header = shroud.uncovered_prefix(&packet)?;
            let Ok(Header::Record { lane, epoch, counter, .. }) = Header::decode(&header) else {
                return None;
            };
            let mut bytes = BytesMut::from(&packet[..]);
            there.open(now, &header, (lane, epoch, counter), &mut bytes).ok()?;
        }
    }
    Some(())
}

/// One side of a path in memory.
struct Side {
    endpoint: Endpoint,
    key: PublicKey,
    sent: Vec<Vec<u8>>,
    replies: u64,
}

struct Sent<'a>(&'a mut Vec<Vec<u8>>);

impl Sink for Sent<'_> {
    fn room(&self, _: PathId) -> usize {
        usize::MAX
    }

    fn send(&mut self, _: PathId, packet: Vec<u8>) {
        self.0.push(packet);
    }
}

impl Side {
    fn new(seed: u8, now: Now) -> Option<Self> {
        let config = Config {
            identities: vec![key(seed)],
            limits: Limits::default(),
            seed: [seed; 32],
            suites: Suites::all(Cipher::Aes256Gcm),
            reachable: true,
            exclusive: true,
        };
        let endpoint = Endpoint::new(config, now)?;
        Some(Self { endpoint, key: key(seed).public(), sent: Vec::new(), replies: 0 })
    }

    /// Answers what was asked, counts what was answered, and sends what there is.
    fn turn(&mut self, now: Now) {
        self.endpoint.tick(now);
        while let Some(event) = self.endpoint.next_event() {
            match event {
                Event::Query(query) => {
                    let body = query.message.body;
                    self.endpoint.reply(now, query.query, Ok(body));
                }
                Event::Outcome { outcome: Outcome::Reply { body, .. }, .. } if body == BODY => {
                    self.replies += 1;
                }
                _ => {}
            }
        }
        self.endpoint.transmit(now, &mut Sent(&mut self.sent));
    }

    fn take(&mut self, now: Now, packets: &mut Vec<Vec<u8>>) {
        for packet in packets.drain(..) {
            self.endpoint.receive(now, PATH, BytesMut::from(&packet[..]));
        }
        self.turn(now);
    }
}

/// Requests from one endpoint to another and back; all of them must be answered.
fn requests(count: u64, at_a_time: u64) -> Option<()> {
    let mut now = Now { boot: Instant::default(), wall: Duration::from_secs(1_700_000_000) };
    let (mut here, mut there) = (Side::new(1, now)?, Side::new(2, now)?);
    let id = IdentityId(0);
    let to = there.key;
    let kind = Kind::new("echo/1").ok()?;
    let mut asked = 0;
    while asked < count {
        for _ in 0..at_a_time.min(count - asked) {
            let submission = Submission {
                token: asked,
                identity: id,
                to,
                class: MessageClass::Request,
                kind: kind.clone(),
                body: Bytes::from_static(BODY),
                room: None,
                soft: None,
                hard: Duration::from_mins(1),
                hard_max: Duration::ZERO,
                wants: StoreKind::Ram,
                keep: None,
                post_quantum: false,
            };
            here.endpoint.submit(now, submission).ok()?;
            asked += 1;
        }
        if asked <= at_a_time {
            here.endpoint.path_up(PATH, id, Some(to), Source::Verified, Lane::Direct);
            there.endpoint.path_up(PATH, id, None, Source::Verified, Lane::Direct);
        }
        while here.replies < asked {
            here.turn(now);
            there.take(now, &mut here.sent);
            here.take(now, &mut there.sent);
            now.boot = now.boot.after(Duration::from_micros(100));
        }
    }
    (here.replies == count).then_some(())
}

/// Packets of nobody: each is refused by the first check that costs anything.
fn junk(count: u64) -> Option<()> {
    let now = Now { boot: Instant::default(), wall: Duration::from_secs(1_700_000_000) };
    let mut side = Side::new(1, now)?;
    side.endpoint.path_up(PATH, IdentityId(0), None, Source::Claimed(vec![1]), Lane::Direct);
    let mut bytes = [9; 256];
    for number in 0..count {
        bytes.first_chunk_mut::<8>()?.copy_from_slice(&number.to_le_bytes());
        side.endpoint.receive(now, PATH, BytesMut::from(&bytes[..]));
    }
    (side.endpoint.counters().dropped.shroud == count).then_some(())
}
