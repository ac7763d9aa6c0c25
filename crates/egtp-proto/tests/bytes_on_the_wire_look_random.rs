//! PRO-2: a stranger sees uniformly random bytes, whatever the packet.
//!
//! Thousands of sessions between the same two identities, so that every packet is masked with the
//! same few keys; everything that real endpoints sent is sorted by type, as only its receiver can,
//! and each type is tested by itself and all together. The control shows that the tests can fail.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as loudly as tests"
)]

mod common;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Flight, World, millis};
use egtp_proto::Config;
use egtp_proto::wire::packet::UNK_BYTES;
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::{Header, RetryKind};

/// Packets of each type, by its name.
type Sorted = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// Of each type at least so many.
const PACKETS_MIN: usize = 2_000;

/// Proves PRO-2.
#[test]
fn every_type_of_packet_looks_like_random_bytes() {
    let (masked, unmasked) = traffic();
    println!("{:?}", masked.iter().map(|(name, all)| (name, all.len())).collect::<Vec<_>>());
    for (name, packets) in &masked {
        assert!(packets.len() >= PACKETS_MIN, "{name}: {}", packets.len());
        assert_eq!(oddity(packets), None, "{name}");
        // The control: the same packets without their masks.
        assert!(oddity(&unmasked[name]).is_some(), "{name}, unmasked");
    }
    let types = ["ini", "knock", "record", "retry", "rsp", "unknown"];
    assert_eq!(masked.keys().copied().collect::<Vec<_>>(), types);
    let all: Vec<Vec<u8>> = masked.into_values().flatten().collect();
    assert_eq!(oddity(&all), None, "all types together");
}

#[test]
fn a_bias_of_one_offset_or_bit_or_a_repeated_block_is_noticed() {
    let random = random_packets();
    assert_eq!(oddity(&random), None);
    let changed = |change: fn(usize, &mut Vec<u8>)| {
        let mut packets = random.clone();
        packets.iter_mut().enumerate().for_each(|(index, packet)| change(index, packet));
        oddity(&packets)
    };
    let steady = changed(|_, packet| packet[20] &= 0x7f);
    assert!(steady.is_some_and(|told| told.contains("offset 20 ")));
    let last = changed(|index, packet| packet[47] = if index % 2 == 0 { 0 } else { packet[47] });
    assert!(last.is_some());
    let repeated = changed(|index, packet| {
        if index % 1_000 == 0 {
            packet[8..16].fill(7);
        }
    });
    assert!(repeated.is_some_and(|told| told.contains("repeated")));
}

/// What is not random about the packets: the distribution of bytes at each offset, counted from the
/// front and from the back, the balance of each bit there, and blocks that occur twice.
fn oddity(packets: &[Vec<u8>]) -> Option<String> {
    let shortest = packets.iter().map(Vec::len).min()?;
    for offset in 0..shortest {
        let front = |packet: &Vec<u8>| packet[offset];
        let back = |packet: &Vec<u8>| packet[packet.len() - 1 - offset];
        let front = skew(packets.iter().map(front)).map(|why| format!("offset {offset} {why}"));
        let back =
            skew(packets.iter().map(back)).map(|why| format!("offset {offset} from the end {why}"));
        if let Some(why) = front.or(back) {
            return Some(why);
        }
    }
    let mut blocks = HashSet::new();
    let repeated = packets
        .iter()
        .flat_map(|packet| packet.chunks_exact(8))
        .find(|block| !blocks.insert(*block));
    repeated.map(|block| format!("the block {block:02x?} is repeated"))
}

/// Why these values are not drawn uniformly and independently, if it is nearly certain.
fn skew(values: impl Iterator<Item = u8>) -> Option<String> {
    let (mut counts, mut ones, mut total) = ([0_u32; 256], [0_u32; 8], 0_u32);
    for value in values {
        counts[usize::from(value)] += 1;
        (0..8).for_each(|bit| ones[bit] += u32::from(value >> bit & 1));
        total += 1;
    }
    let expected = f64::from(total) / 256.0;
    let square = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
    let chi_square: f64 = counts.iter().map(square).sum();
    if chi_square > CHI_SQUARE_MAX {
        return Some(format!("has chi-square {chi_square:.0}"));
    }
    let deviation = |ones: &u32| (f64::from(*ones) * 2.0 - f64::from(total)).abs();
    let bit = ones.iter().position(|ones| deviation(ones) > 6.0 * f64::from(total).sqrt())?;
    Some(format!("has bit {bit} set {} times in {total}", ones[bit]))
}

/// Runs the sessions. Gives back the packets as they travelled, and without their masks.
fn traffic() -> (Sorted, Sorted) {
    let (mut masked, mut unmasked) = (Sorted::new(), Sorted::new());
    let mut stale: Option<Vec<u8>> = None;
    for _ in 0..SESSIONS {
        let mut world = World::with(2, |config: &mut Config| config.seed = next_seed());
        let (_, far) = world.connect(0, 1);
        // A record of the session before this one, which nobody knows any more. A shorter one than
        // its answer would get none.
        if let Some(record) = stale.take() {
            world.inject(1, far, &record);
        }
        for _ in 0..2 {
            world.request(0, 1, b"the same body every time");
            world.run(millis(200));
        }
        let mut seen = HashSet::new();
        for flight in world.recorded.iter().filter(|flight| seen.insert(flight.packet.clone())) {
            let (name, plain) = sorted(&world, flight);
            if name == "record" && flight.to == 1 && flight.packet.len() >= UNK_BYTES {
                stale = Some(flight.packet.clone());
            }
            masked.entry(name).or_default().push(flight.packet.clone());
            unmasked.entry(name).or_default().push(plain);
        }
    }
    (masked, unmasked)
}

/// What only somebody who knows the public keys can tell: the type, and the bytes without the mask.
fn sorted(world: &World, flight: &Flight) -> (&'static str, Vec<u8>) {
    let shrouds = [flight.to, flight.from].map(|machine| Shroud::new(&world.key(machine)));
    let shroud = shrouds.into_iter().find(|shroud| shroud.recognises(&flight.packet));
    let shroud = shroud.expect("it is for one of them");
    let prefix = shroud.uncovered_prefix(&flight.packet).expect("it was recognised");
    let header = Header::decode(&prefix).expect("an honest header");
    let mut plain = flight.packet.clone();
    shroud.uncover(&mut plain, header.masked_bytes());
    let name = match header {
        Header::Ini { prekey: 0, .. } => "knock",
        Header::Ini { .. } => "ini",
        Header::Rsp { .. } => "rsp",
        Header::Record { .. } => "record",
        Header::Retry { kind: RetryKind::Prekey, .. } => "retry",
        Header::Unknown { .. } => "unknown",
        other => panic!("{other:?} was not to be sent here"),
    };
    (name, plain)
}

fn random_packets() -> Vec<Vec<u8>> {
    let mut random = egtp_proto::crypto::Random::from_seed([3; 32]);
    (0..PACKETS_MIN).map(|_| random.bytes::<48>().to_vec()).collect()
}

/// Another for each endpoint, the same in every run.
fn next_seed() -> [u8; 32] {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    seed
}

const SESSIONS: usize = PACKETS_MIN + 1;
/// With 255 degrees of freedom a random offset exceeds this once in ten million times.
const CHI_SQUARE_MAX: f64 = 390.0;
