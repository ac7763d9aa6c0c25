//! Under load a stranger gets a cookie and nothing else: no key agreement is made for it, and nothing is
//! remembered, until it has returned what only its own address received.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as loudly as tests"
)]

mod common;
mod second_implementation;

use bytes::BytesMut;
use common::{World, millis};
use egtp_proto::crypto::DhKey;
use egtp_proto::wire::{Header, Lane, RetryKind};
use egtp_proto::{IdentityId, Lost, PathId, Sink, Source};
use second_implementation::desk::clocks;
use second_implementation::{Desk, Hand, frames, h, k, k16, open_cookie, request, secs, unmask};

/// Bytes of a RETRY that brings a cookie: header, check bytes, salt, cookie and tag.
const COOKIE_RETRY: usize = 64;

/// Counts what is answered, and keeps nothing of it.
#[derive(Default)]
struct Answers {
    packets: usize,
    bytes: usize,
    longest: usize,
}

impl Sink for Answers {
    fn room(&self, _: PathId) -> usize {
        1 << 20
    }

    fn send(&mut self, _: PathId, packet: Vec<u8>) {
        self.packets += 1;
        self.bytes += packet.len();
        self.longest = self.longest.max(packet.len());
    }
}

/// A node that may answer so many strangers a second without proof of their address.
fn desk(unverified_per_second: u32) -> Desk {
    Desk::new(Source::Verified, |config| {
        config.limits.unverified_per_second = unverified_per_second;
    })
}

/// A packet has come from an address that anybody may have written into it.
fn path_from(desk: &mut Desk, address: u32) -> PathId {
    let path = PathId(1000 + u64::from(address));
    let source = Source::Claimed(address.to_le_bytes().to_vec());
    desk.endpoint.path_up(path, IdentityId(0), None, source, Lane::Direct);
    path
}

fn agreements(desk: &Desk) -> u64 {
    desk.endpoint.counters().agreements
}

/// A knock of its own each time, as a sender of spoofed packets makes them.
fn knock(hand: &mut Hand) -> (Vec<u8>, DhKey, [u8; 16]) {
    let (e, noise) = (hand.fresh(), hand.random.bytes::<160>());
    let (packet, mac) = hand.ini(0, &e, &noise);
    (packet, e, mac)
}

/// The cookie that a RETRY brings, if it brings one.
fn cookie_in(desk: &Desk, sent: &[Vec<u8>], mac: &[u8; 16]) -> Option<[u8; 16]> {
    let [packet] = sent else { return None };
    let (header, plain) = unmask(&desk.key, packet)?;
    let Header::Retry { kind: RetryKind::Cookie, .. } = header else { return None };
    let cookie_key = h("retry cookie", &[&h("mac1", &[desk.key.as_bytes()])]);
    let key = k(&cookie_key, &[&plain[16..32], mac]);
    Some(open_cookie(&key, &header, &plain[32..]))
}

/// Asks for a cookie from this address.
fn ask_for_cookie(desk: &mut Desk, hand: &mut Hand, path: PathId) -> [u8; 16] {
    hand.cookie = None;
    let (packet, _, mac) = knock(hand);
    let sent = desk.take_on(path, &packet);
    cookie_in(desk, &sent, &mac).unwrap()
}

/// Whether a knock with this cookie is answered with the card.
fn is_served(desk: &mut Desk, hand: &mut Hand, path: PathId, cookie: [u8; 16]) -> bool {
    hand.cookie = Some(cookie);
    let (packet, e, mac) = knock(hand);
    let sent = desk.take_on(path, &packet);
    assert_eq!(sent.len(), 1, "card or cookie");
    let served = hand.advice(&sent[0], &e, &mac).is_some();
    assert_ne!(served, cookie_in(desk, &sent, &mac).is_some());
    served
}

/// Ten seconds of 5,000 packets each, knocks and whole first flights, each from another address. What the
/// budget allows is answered in full; for all others nothing but hashes is computed, and when their paths
/// are gone not one byte is left.
/// Proves DOS-2, DOS-3, H-21.
#[test]
fn fifty_thousand_spoofed_openings_cost_no_secret_and_no_memory() {
    const SECONDS: u32 = 10;
    const EACH_SECOND: u32 = 5_000;
    const BUDGET: u32 = 7;
    // As many as a flight costs its receiver that is let through: what is refused costs less.
    const FULL_PRICE: u64 = 5;
    let mut desk = desk(BUDGET);
    let mut hand = Hand::connect(&mut desk);
    let spoofed: Vec<Vec<u8>> = (0..EACH_SECOND)
        .map(|n| if n % 50 == 49 { hand.flight(&[]) } else { knock(&mut hand).0 })
        .collect();
    // Outside of what is measured: what is let through may leave something.
    let mut number = 0;
    let mut flood = |desk: &mut Desk, packets: &[Vec<u8>]| {
        let mut answers = Answers::default();
        for packet in packets {
            let path = path_from(desk, number);
            number += 1;
            desk.endpoint.receive(clocks(desk.now), path, BytesMut::from(&packet[..]));
            desk.endpoint.transmit(clocks(desk.now), &mut answers);
            desk.endpoint.path_down(clocks(desk.now), path, Lost::Closed);
        }
        answers
    };
    for _ in 0..SECONDS {
        desk.wait(secs(1));
        let before = agreements(&desk);
        let (within, beyond) = spoofed.split_at(BUDGET.try_into().unwrap());
        let answers = flood(&mut desk, within);
        assert_eq!(answers.packets, within.len());
        assert!(agreements(&desk) - before <= u64::from(BUDGET) * FULL_PRICE);

        let (spent, sizes) = (agreements(&desk), desk.endpoint.sizes());
        let state = desk.endpoint.fingerprint();
        let memory = allocation_counter::measure(|| {
            let answers = flood(&mut desk, beyond);
            assert_eq!(answers.packets, beyond.len(), "each may show that it is there");
            assert_eq!(answers.longest, COOKIE_RETRY);
            assert!(answers.bytes * 4 <= beyond.iter().map(Vec::len).sum());
        });
        assert_eq!(agreements(&desk), spent, "no key agreement");
        assert_eq!(desk.endpoint.counters().encapsulations, 0);
        assert_eq!((memory.count_current, memory.bytes_current), (0, 0), "no memory");
        assert!(memory.bytes_max < 4096, "{} bytes at a time", memory.bytes_max);
        assert!(desk.endpoint.fingerprint() == state, "no table entry");
        assert_eq!(desk.endpoint.sizes(), sizes);
    }
    let dropped = u64::from(SECONDS * (EACH_SECOND - BUDGET));
    assert_eq!(desk.endpoint.counters().dropped.budget, dropped);
    // Whoever had a session before is served as before.
    let record = hand.record(Lane::Direct, &frames(&[hand.dialog(), request(0, b"still", 100)]));
    assert!(!hand.open(&desk.take(&record)).is_empty());
}

/// Both ends are the product. The flood and the honest asker meet at a node that has no budget left for
/// strangers: the asker follows the cookies by itself, and costs what one handshake costs.
/// Proves DOS-2.
#[test]
fn an_honest_asker_is_served_through_the_flood() {
    let mut world = World::with(2, |config| config.limits.unverified_per_second = 0);
    world.source = Source::Claimed(b"honest".to_vec());
    let mut stranger = Hand::new(9, world.key(1));
    let spoofed = PathId(9_000);
    let source = Source::Claimed(b"spoofed".to_vec());
    let own = IdentityId(0);
    world.machines[1].endpoint.path_up(spoofed, own, None, source, Lane::Direct);

    let token = world.request(0, 1, b"honest");
    for _ in 0..10 {
        for _ in 0..100 {
            let packet = knock(&mut stranger).0;
            world.inject(1, spoofed, &packet);
        }
        world.run(millis(10));
    }
    // Cookie, card, cookie, answer: four round trips of 20 ms.
    assert_eq!(world.reply_of(0, token).unwrap(), &b"honest"[..]);
    let counters = *world.machines[1].endpoint.counters();
    // A knock with a cookie is one agreement, a first flight three, its answer two.
    assert_eq!(counters.agreements, 6);
    assert_eq!(counters.dropped.budget, 1002, "a thousand of the flood's, and two of the asker's");
    assert_eq!(world.machines[1].endpoint.sizes().peers, 1);
}

/// A whole first flight costs nothing either until it comes with a proof; then the same flight is served,
/// with the request that it carries.
/// Proves DOS-2.
#[test]
fn a_first_flight_waits_for_its_proof_too() {
    let mut desk = desk(0);
    let mut hand = Hand::new(2, desk.key);
    hand.knock(&mut desk);
    let (before, path) = (agreements(&desk), path_from(&mut desk, 1));
    let body = frames(&[hand.dialog(), request(0, b"asked once", 100)]);
    let flight = hand.flight(&body);
    let (e, noise, mac) = hand.sent.clone().unwrap();
    let sent = desk.take_on(path, &flight);
    assert_eq!((agreements(&desk), desk.endpoint.sizes().peers), (before, 0));

    hand.cookie = cookie_in(&desk, &sent, &mac);
    let proven = hand.ini(hand.prekey().id, &e, &noise).0;
    let sent = desk.take_on(path, &proven);
    assert!(!hand.answer(&sent).is_empty());
    assert_eq!((agreements(&desk), desk.queries()), (before + 5, 1));
}

/// A cookie is a function of the address and of a secret: the maker keeps no list. So it is the same for
/// each packet from there, is worth something for two minutes at least, and nothing after four.
/// Proves DOS-3.
#[test]
fn a_cookie_is_good_for_its_own_address_and_a_few_minutes() {
    let mut desk = desk(0);
    let mut hand = Hand::new(2, desk.key);
    let [here, there] = [1, 2].map(|address| path_from(&mut desk, address));
    let cookie = ask_for_cookie(&mut desk, &mut hand, here);
    assert_eq!(ask_for_cookie(&mut desk, &mut hand, here), cookie);
    assert_ne!(ask_for_cookie(&mut desk, &mut hand, there), cookie);

    assert!(!is_served(&mut desk, &mut hand, there, cookie), "somebody else's");
    let invented = hand.random.bytes();
    assert!(!is_served(&mut desk, &mut hand, here, invented), "nobody's");
    assert_eq!(agreements(&desk), 0, "neither has cost a key agreement");
    assert!(is_served(&mut desk, &mut hand, here, cookie));
    assert_eq!(agreements(&desk), 1);

    for (age, is_good) in [(119, true), (121, true), (239, true), (240, false), (3_600, false)] {
        let mut desk = self::desk(0);
        let path = path_from(&mut desk, 1);
        let cookie = ask_for_cookie(&mut desk, &mut hand, path);
        desk.wait(secs(age));
        assert_eq!(is_served(&mut desk, &mut hand, path, cookie), is_good, "after {age} s");
        assert_eq!(agreements(&desk), u64::from(is_good));
    }
}

/// Who listens at the honest address sees the proof, and not the cookie: it fits this flight alone.
/// Proves DOS-2.
#[test]
fn a_proof_is_bound_to_its_flight() {
    let mut desk = desk(0);
    let mut hand = Hand::new(2, desk.key);
    let path = path_from(&mut desk, 1);
    let cookie = ask_for_cookie(&mut desk, &mut hand, path);
    hand.cookie = Some(cookie);
    let (genuine, e, mac) = knock(&mut hand);
    let proof: [u8; 16] = unmask(&desk.key, &genuine).unwrap().1[64..80].try_into().unwrap();

    let other = hand.fresh();
    let mut spliced = hand.ini(0, &other, &[3; 160]).0;
    spliced = with_proof(&desk, &spliced, proof);
    let sent = desk.take_on(path, &spliced);
    assert_eq!((sent[0].len(), agreements(&desk)), (COOKIE_RETRY, 0));
    let sent = desk.take_on(path, &genuine);
    assert!(hand.advice(&sent[0], &e, &mac).is_some());
}

/// The same INI with another proof, and a mac that fits.
fn with_proof(desk: &Desk, ini: &[u8], proof: [u8; 16]) -> Vec<u8> {
    let (_, mut plain) = unmask(&desk.key, ini).unwrap();
    plain.truncate(plain.len() - 16);
    plain[64..80].copy_from_slice(&proof);
    let tag = k16(&h("mac1", &[desk.key.as_bytes()]), &[&plain]);
    plain.extend_from_slice(&tag);
    second_implementation::mask(&desk.key, &mut plain, 64);
    plain
}

/// Somebody opens a session, and never sends the record that would confirm it.
fn leave_half_open(desk: &mut Desk, stranger: u8) {
    let mut hand = Hand::new(stranger, desk.key);
    hand.knock(desk);
    let flight = hand.flight(&[]);
    hand.answer(&desk.take(&flight));
}

/// Forty identities send a first flight each, and never the record that would confirm the session: eight
/// half-open ones are kept, no more, and for a minute.
/// Proves DOS-2.
#[test]
fn half_open_handshakes_are_bounded_and_end() {
    let mut desk = Desk::new(Source::Verified, |config| config.limits.provisional_max = 8);
    for stranger in 10..50 {
        leave_half_open(&mut desk, stranger);
        let sizes = desk.endpoint.sizes();
        assert_eq!((sizes.sessions, sizes.confirmed), (usize::from(stranger - 9).min(8), 0));
    }
    desk.wait(secs(61));
    assert_eq!(desk.endpoint.sizes().sessions, 0);
    Hand::connect(&mut desk);
    assert_eq!(desk.endpoint.sizes().confirmed, 1);
}

/// A secret that turns late, because nobody asked, is accepted no longer for that: 358 s are too many.
/// Proves DOS-3.
#[test]
fn a_cookie_ends_after_four_minutes_whenever_somebody_asks() {
    let mut desk = desk(0);
    let mut hand = Hand::new(2, desk.key);
    let path = path_from(&mut desk, 1);
    let cookie = ask_for_cookie(&mut desk, &mut hand, path);
    desk.wait(secs(239));
    ask_for_cookie(&mut desk, &mut hand, path);
    desk.wait(secs(119));
    assert!(!is_served(&mut desk, &mut hand, path, cookie));
}

/// Who comes when there is no room for half-open sessions displaces the oldest, and has time to confirm.
/// Proves DOS-2.
#[test]
fn a_newcomer_finds_room_among_those_who_never_confirm() {
    let mut desk = Desk::new(Source::Verified, |config| config.limits.provisional_max = 8);
    (10..50).for_each(|stranger| leave_half_open(&mut desk, stranger));
    Hand::connect(&mut desk);
    let sizes = desk.endpoint.sizes();
    assert_eq!((sizes.sessions, sizes.confirmed), (8, 1));
}
