//! What the core does for one message, over and over, so that its instructions can be counted.
//!
//! `core_work WHAT COUNT` with WHAT one of `seal`, `open` (a record of 1,024 bytes of frames), `requests` (with
//! replies, 128 bytes both ways, 1,000 at a time between two endpoints in memory), `alone` (the same, one at a
//! time) and `junk` (packets that are for nobody). Nothing is measured here: `.ci/instructions` runs each twice with
//! different counts under callgrind and divides the difference. `core_work time` prints nanoseconds instead, and
//! `core_work peers` what a request costs who answers it, from one peer and from ten thousand; both prove nothing on
//! a busy machine.

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
        ["peers"] => peers(),
        [what, count] => count.parse().ok().and_then(|count| work(what, count)),
        _ => None,
    };
    if done.is_some() {
        return ExitCode::SUCCESS;
    }
    eprintln!("usage: core_work seal|open|requests|alone|junk COUNT, or core_work time|peers");
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

fn seed(number: u32) -> [u8; 32] {
    let mut seed = [7; 32];
    seed.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    seed
}

fn key(number: u32) -> SecretKey {
    SecretKey::from_seed(seed(number))
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

/// A packet on a path in memory.
type Packet = (PathId, Vec<u8>);

/// One side of such paths.
struct Side {
    endpoint: Endpoint,
    key: PublicKey,
    sent: Vec<Packet>,
    replies: u64,
}

struct Sent<'a>(&'a mut Vec<Packet>);

impl Sink for Sent<'_> {
    fn room(&self, _: PathId) -> usize {
        usize::MAX
    }

    fn send(&mut self, path: PathId, packet: Vec<u8>) {
        self.0.push((path, packet));
    }
}

impl Side {
    fn new(number: u32, now: Now) -> Option<Self> {
        let config = Config {
            identities: vec![key(number).into()],
            limits: Limits::default(),
            seed: seed(number),
            suites: Suites::all(Cipher::Aes256Gcm),
            reachable: true,
            exclusive: true,
            part: egtp_proto::Part::WHOLE,
        };
        let endpoint = Endpoint::new(config, now)?;
        Some(Self { endpoint, key: key(number).public(), sent: Vec::new(), replies: 0 })
    }

    fn ask(&mut self, now: Now, to: PublicKey, kind: &Kind) -> Option<()> {
        let submission = Submission {
            token: 0,
            identity: IdentityId(0),
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
        self.endpoint.submit(now, submission).ok().map(|_| ())
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

    fn take(&mut self, now: Now, packets: &mut Vec<Packet>) {
        for (path, packet) in packets.drain(..) {
            self.endpoint.receive(now, path, BytesMut::from(&packet[..]));
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
            here.ask(now, to, &kind)?;
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

/// What a request costs who answers it, by how many ask: a hundred records with ten requests each are handed over at
/// a time, always of the next peers in turn.
fn peers() -> Option<()> {
    let of_one = answering(1)?;
    println!("from 1 peer        {of_one:>6.0} ns");
    for many in [100, 10_000] {
        let each = answering(many)?;
        println!("from {many:<7} peers {each:>6.0} ns, {:.2} times as much", each / of_one);
    }
    Some(())
}

/// Nanoseconds for each request from so many peers, where it is answered.
fn answering(many: u32) -> Option<f64> {
    let mut now = Now { boot: Instant::default(), wall: Duration::from_secs(1_700_000_000) };
    let (id, kind) = (IdentityId(0), Kind::new("echo/1").ok()?);
    let mut there = Side::new(0, now)?;
    let mut askers = Vec::new();
    for number in 1..=many {
        let (mut here, path) = (Side::new(number, now)?, PathId(number.into()));
        here.ask(now, there.key, &kind)?;
        here.endpoint.path_up(path, id, Some(there.key), Source::Verified, Lane::Direct);
        there.endpoint.path_up(path, id, None, Source::Verified, Lane::Direct);
        while here.replies < 1 {
            here.turn(now);
            there.take(now, &mut here.sent);
            here.take(now, &mut there.sent);
            now.boot = now.boot.after(Duration::from_micros(100));
        }
        // What confirms the session.
        there.take(now, &mut here.sent);
        askers.push(here);
    }
    let (mut spent, mut next, mut packets) = (Duration::ZERO, 0, Vec::new());
    for _ in 0..ROUNDS {
        for _ in 0..RECORDS {
            let asker = askers.get_mut(next)?;
            for _ in 0..IN_A_RECORD {
                asker.ask(now, there.key, &kind)?;
            }
            asker.turn(now);
            packets.append(&mut asker.sent);
            next = (next + 1) % askers.len();
        }
        let begun = Watch::now();
        there.take(now, &mut packets);
        spent += begun.elapsed();
        for (path, packet) in there.sent.drain(..) {
            let asker = askers.get_mut(usize::try_from(path.0.checked_sub(1)?).ok()?)?;
            asker.endpoint.receive(now, path, BytesMut::from(&packet[..]));
            asker.turn(now);
            packets.append(&mut asker.sent);
        }
        now.boot = now.boot.after(Duration::from_millis(1));
    }
    let asked = u64::from(ROUNDS) * u64::from(RECORDS) * u64::from(IN_A_RECORD);
    let answered: u64 = askers.iter().map(|asker| asker.replies).sum();
    let count = f64::from(ROUNDS * RECORDS * IN_A_RECORD);
    (answered == asked + u64::from(many)).then(|| spent.as_secs_f64() * 1e9 / count)
}

const ROUNDS: u32 = 500;
const RECORDS: u32 = 100;
const IN_A_RECORD: u32 = 10;

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
