//! Each packet of a conversation, with each of its bits flipped, at the very moment when the genuine one
//! would be believed: it is refused, and its receiver remembers nothing of it.

mod common;

use std::collections::BTreeMap;

use bytes::BytesMut;
use common::World;
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::{Header, RetryKind};
use egtp_proto::{PathId, Sink, Source};

/// Counts what is sent in answer.
#[derive(Default)]
struct Answers {
    packets: usize,
}

impl Sink for Answers {
    fn room(&self, _path: PathId) -> usize {
        1 << 20
    }

    fn send(&mut self, _path: PathId, _packet: Vec<u8>) {
        self.packets += 1;
    }
}

/// Proves S-8, H-8, W-7: knock, first flight, both kinds of RETRY, answer, record and unknown-session
/// hint.
#[test]
fn no_packet_with_one_bit_flipped_is_believed() {
    let mut tried = BTreeMap::new();
    let mut world = World::new(2);
    let token = world.request(0, 1, b"which block?");
    converse(&mut world, &mut tried);
    assert!(world.reply_of(0, token).is_some());

    // A restarted answerer has lost its sessions, and says so to whoever asks for a sign of life.
    world.kill(1);
    world.restart(1, 1);
    let token = world.request(0, 1, b"and which now?");
    converse(&mut world, &mut tried);
    assert!(world.reply_of(0, token).is_some());

    // Without any budget for strangers, only who has a cookie is heard.
    let mut world = World::with(2, |config| config.limits.unverified_per_second = 0);
    world.source = Source::Claimed(vec![1]);
    let token = world.request(0, 1, b"may I?");
    converse(&mut world, &mut tried);
    assert!(world.reply_of(0, token).is_some(), "with the cookie it is heard");

    for (kind, bits) in &tried {
        println!("{kind}: {bits} bits flipped, none believed");
    }
    let kinds = tried.keys().copied().collect::<Vec<_>>();
    assert_eq!(
        kinds,
        ["INI, flight", "INI, knock", "RETRY, card", "RETRY, cookie", "RSP", "UNK", "record"]
    );
    assert!(tried.values().all(|bits| *bits >= 8 * 32));
}

/// Lets the world run for a while; before a packet of a kind that was not seen before arrives, its
/// receiver gets it with each bit flipped.
fn converse(world: &mut World, tried: &mut BTreeMap<&'static str, usize>) {
    for _ in 0..400 {
        let flights = world.network.clone();
        for flight in flights {
            let Some(kind) = kind_of(world, &flight.packet) else { continue };
            if !tried.contains_key(kind) && world.machines[flight.to].up {
                tried.insert(kind, flip(world, flight.to, flight.path, &flight.packet));
            }
        }
        // Shorter than any packet travels, so that each is seen before it arrives.
        world.run(common::millis(5));
    }
}

/// Gives a packet with each bit flipped to a machine. Returns how many forms that were.
fn flip(world: &mut World, to: usize, path: PathId, packet: &[u8]) -> usize {
    let now = world.at(to);
    let endpoint = &mut world.machines[to].endpoint;
    // Time has passed since it was last called: whatever that changes is changed first.
    endpoint.receive(now, path, BytesMut::from(&vec![0; packet.len()][..]));
    let (before, accepted) = (endpoint.fingerprint(), accepted(endpoint.counters()));
    for index in 0..packet.len() {
        for bit in 0..8 {
            let mut flipped = packet.to_vec();
            flipped[index] ^= 1 << bit;
            endpoint.receive(now, path, BytesMut::from(&flipped[..]));
        }
        // An answer is allowed where the specification names one; it takes no memory.
        endpoint.transmit(now, &mut Answers::default());
        assert!(!endpoint.has_events(), "byte {index} made an event");
        assert!(endpoint.fingerprint() == before, "byte {index} was remembered");
    }
    assert_eq!(accepted, self::accepted(endpoint.counters()), "one of them was believed");
    packet.len() * 8
}

fn accepted(counters: &egtp_proto::Counters) -> [u64; 4] {
    let finished = counters.handshakes_finished;
    [counters.records_opened, counters.flights_accepted, finished, counters.taken]
}

/// What a packet is, for whoever knows all keys.
fn kind_of(world: &World, packet: &[u8]) -> Option<&'static str> {
    let mut shrouds = (0..world.machines.len()).map(|machine| Shroud::new(&world.key(machine)));
    let bytes = shrouds.find_map(|shroud| shroud.uncovered_prefix(packet))?;
    Some(match Header::decode(&bytes).ok()? {
        Header::Ini { prekey: 0, .. } => "INI, knock",
        Header::Ini { .. } => "INI, flight",
        Header::Rsp { .. } => "RSP",
        Header::Record { .. } => "record",
        Header::Retry { kind: RetryKind::Prekey, .. } => "RETRY, card",
        Header::Retry { kind: RetryKind::Cookie, .. } => "RETRY, cookie",
        Header::Unknown { .. } => "UNK",
        Header::Letter { .. } => return None,
    })
}
