//! The six kinds of junk: what each costs, and that it changes nothing.

mod common;

use bytes::BytesMut;
use common::{Flight, World, secs};
use egtp_proto::wire::Header;
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::{PathId, Sink};

/// Takes what is sent in answer, and counts it.
#[derive(Default)]
struct Answers {
    packets: u64,
    bytes: usize,
}

impl Sink for Answers {
    fn room(&self, _path: PathId) -> usize {
        1 << 20
    }

    fn send(&mut self, _path: PathId, packet: Vec<u8>) {
        self.packets += 1;
        self.bytes += packet.len();
    }
}

struct Cost {
    sent: usize,
    answers: Answers,
    allocations: u64,
}

/// Feeds packets to machine 1 and checks after each that nothing has changed.
fn feed(world: &mut World, path: PathId, packets: &[Vec<u8>]) -> Cost {
    let now = world.at(1);
    let endpoint = &mut world.machines[1].endpoint;
    let before = endpoint.fingerprint();
    let mut cost = Cost { sent: 0, answers: Answers::default(), allocations: 0 };
    for packet in packets {
        cost.sent += packet.len();
        let packet = BytesMut::from(&packet[..]);
        let counted = allocation_counter::measure(|| endpoint.receive(now, path, packet));
        cost.allocations += counted.count_total;
        endpoint.transmit(now, &mut cost.answers);
        assert!(endpoint.fingerprint() == before, "the state has changed");
    }
    cost
}

/// A conversation, what was recorded of it, and the server's end of a fresh connection.
fn prepared() -> (World, Vec<Flight>, PathId) {
    let mut world = World::new(3);
    for n in 0..20_u8 {
        world.request(0, 1, &[n; 200]);
        world.run(secs(1));
    }
    let recorded = world.recorded.clone();
    let (_, there) = world.connect(0, 1);
    (world, recorded, there)
}

fn bodies(recorded: &[Flight]) -> Vec<Vec<u8>> {
    recorded.iter().filter(|flight| flight.to == 1).map(|flight| flight.packet.clone()).collect()
}

fn mask(shroud: &Shroud, packet: &mut [u8]) {
    let header = shroud.uncovered_prefix(packet).and_then(|bytes| Header::decode(&bytes).ok());
    let _ = header;
    shroud.cover(packet, 0);
}

fn report(kind: &str, packets: usize, cost: &Cost) {
    println!(
        "{kind}: {packets} packets, {} bytes in, {} answers of {} bytes out, {} allocations, state unchanged",
        cost.sent, cost.answers.packets, cost.answers.bytes, cost.allocations
    );
}

/// Proves PRO-1, SES-15: random bytes, truncated packets, packets with one bit changed, packets for
/// somebody else, packets with right check bytes by luck, and recorded packets replayed: the state's
/// hash stays, what is refused before decryption allocates nothing, and only what the specification
/// names gets an answer.
#[test]
fn six_kinds_of_junk_change_nothing() {
    let (mut world, recorded, path) = prepared();
    let genuine = bodies(&recorded);
    let mut random = egtp_proto::crypto::Random::from_seed([9; 32]);

    let junk: Vec<Vec<u8>> = (0..500)
        .map(|_| {
            let length = usize::try_from(random.below(2000)).unwrap();
            let mut bytes = vec![0; length];
            random.fill(&mut bytes);
            bytes
        })
        .collect();
    let cost = feed(&mut world, path, &junk);
    report("random", junk.len(), &cost);
    assert_eq!((cost.answers.packets, cost.allocations), (0, 0));

    let truncated: Vec<Vec<u8>> = genuine
        .iter()
        .flat_map(|packet| (0..packet.len()).step_by(7).map(|end| packet[..end].to_vec()))
        .collect();
    let cost = feed(&mut world, path, &truncated);
    report("truncated", truncated.len(), &cost);
    assert_eq!((cost.answers.packets, cost.allocations), (0, 0));

    // One bit behind the header: in records the seal, in handshakes the MAC refuses it.
    let changed: Vec<Vec<u8>> = genuine
        .iter()
        .flat_map(|packet| {
            (16..packet.len() - 16).step_by(11).map(|index| {
                let mut packet = packet.clone();
                packet[index] ^= 4;
                packet
            })
        })
        .collect();
    let cost = feed(&mut world, path, &changed);
    report("one bit behind the header", changed.len(), &cost);
    assert_eq!(cost.answers.packets, 0);

    let mut other = World::new(3);
    for n in 0..20_u8 {
        other.request(0, 2, &[n; 100]);
        other.run(secs(1));
    }
    let foreign: Vec<Vec<u8>> = other
        .recorded
        .iter()
        .filter(|flight| flight.to == 2)
        .map(|flight| flight.packet.clone())
        .collect();
    let cost = feed(&mut world, path, &foreign);
    report("for somebody else", foreign.len(), &cost);
    assert_eq!((cost.answers.packets, cost.allocations), (0, 0));

    let shroud = Shroud::new(&world.key(1));
    let lucky: Vec<Vec<u8>> = (0..500)
        .map(|_| {
            let length = 32 + usize::try_from(random.below(500)).unwrap();
            let mut bytes = vec![0; length];
            random.fill(&mut bytes);
            mask(&shroud, &mut bytes);
            bytes
        })
        .collect();
    let cost = feed(&mut world, path, &lucky);
    report("right check bytes by luck", lucky.len(), &cost);
    // A record header by luck names a session that is not there: at most one hint for each.
    assert!(cost.answers.packets <= 500 && cost.answers.bytes <= cost.sent);

    let cost = feed(&mut world, path, &genuine);
    report("replayed", genuine.len(), &cost);
    // The knock is answered as any knock; the first flight's answer is no longer kept.
    assert!(cost.answers.packets <= 2 && cost.answers.bytes <= cost.sent);

    // Afterwards the honest peer is served as before.
    let token = world.request(0, 1, b"still there?");
    world.run(secs(2));
    assert!(world.reply_of(0, token).is_some());
}

/// Proves PRO-1: the same recording, replayed to a node that has restarted since.
#[test]
fn a_recording_replayed_to_a_restarted_node_changes_nothing() {
    let (mut world, recorded, _) = prepared();
    world.kill(1);
    world.restart(1, 1);
    let (_, path) = world.connect(0, 1);
    let genuine = bodies(&recorded);
    let cost = feed(&mut world, path, &genuine);
    report("replayed after a restart", genuine.len(), &cost);
    // Each record may get a hint, each handshake packet a RETRY; together no more than was received.
    assert!(cost.answers.bytes <= cost.sent);
}

/// The control: a genuine packet does change the state, so the hash is worth something.
#[test]
fn a_genuine_packet_changes_the_fingerprint() {
    let (mut world, _, _) = prepared();
    let before = world.machines[1].endpoint.fingerprint();
    assert_eq!(world.machines[1].endpoint.fingerprint(), before);
    world.request(0, 1, b"one more");
    world.run(secs(1));
    assert_ne!(world.machines[1].endpoint.fingerprint(), before);
}
