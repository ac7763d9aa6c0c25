//! What `docs/spec.md` demands and no other test proves: an endpoint meets a second implementation
//! that was made from that page, and parts of the product are asked one by one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as loudly as tests"
)]

mod common;
mod second_implementation;

use std::time::Duration;

use common::World;
use egtp_proto::crypto::{Cipher, DhKey, Random, Suite, Suites};
use egtp_proto::limits::Limits;
use egtp_proto::message::Canonical;
use egtp_proto::session::prekey::Prekeys;
use egtp_proto::time::Instant;
use egtp_proto::wire::frame::Frame;
use egtp_proto::wire::{Header, Lane, Reader, RetryKind};
use egtp_proto::{MessageClass, PublicKey, SecretKey, Source};
use second_implementation::{
    DIALED, Desk, Hand, frames, h, k, k16, mac, mask, message_id, open_cookie, read, request, secs,
    unmask,
};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Proves W-6, W-8, H-2, H-3, H-5, H-25, H-12, S-2, S-3, M-1, M-2: keys, masks, macs, payloads and ids
/// that were computed from the page alone open what the endpoint sends, and the other way round.
#[test]
fn two_implementations_of_the_page_understand_each_other() {
    for suite in Suite::ALL {
        let mut desk = Desk::new(Source::Verified, |config| {
            config.suites = Suites::all(Cipher::ChaCha20Poly1305);
        });
        let mut hand = Hand::new(2, desk.key);
        hand.suite = suite.id();
        hand.knock(&mut desk);
        let flight = hand.flight(&frames(&[hand.dialog(), request(0, b"one", 100)]));
        let answer = hand.answer(&desk.take(&flight));
        let own = hand.secret.public();
        assert_reply(&answer, 0, message_id(&own, &desk.key, (50, 0), b"one"), b"one");
        let record = hand.record(Lane::Direct, &frames(&[hand.dialog(), request(1, b"two", 100)]));
        let sent = desk.take(&record);
        let id = message_id(&own, &desk.key, (50, 1), b"two");
        assert_reply(&hand.open(&sent), 1, id, b"two");
    }
}

fn assert_reply(payload: &[u8], serial: u64, reference: [u8; 8], body: &[u8]) {
    let list = read(payload);
    assert!(list.contains(&Frame::Replies(50)), "{list:?}");
    let found = list.iter().find_map(|frame| match frame {
        Frame::Reply(head, body) if head.serial == serial => Some((*head, *body)),
        _ => None,
    });
    let (head, found) = found.expect("a reply");
    assert_eq!((head.code, head.status), (0x0102_0304, 0));
    assert_eq!((head.reference, found), (reference, body));
}

#[test]
fn m_1_long_bodies_enter_the_id_by_their_hash() {
    let [from, to] = [3, 4].map(|seed| SecretKey::from_seed([seed; 32]).public());
    for length in [0, 4095, 4096, 4097, 100_000] {
        let body = vec![7; length];
        let form = Canonical::new(&from, &to, MessageClass::Request, 50);
        let id = form.id(9, 0, None, "test/1", &body);
        assert_eq!(id.reference(), message_id(&from, &to, (50, 9), &body), "{length}");
    }
}

/// Proves W-3, W-4, W-5, W-6, W-7, W-8, H-8: what is no packet for us costs a count, nothing else.
#[test]
fn what_is_no_packet_for_us_only_counts() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let (before, own, key) = (desk.endpoint.sizes(), hand.secret.public(), desk.key);
    let e = DhKey::from_secret(&[8; 32]).unwrap();
    let masked = |head: [u8; 12], length: usize, count: usize| {
        let mut packet = [&head[..], &vec![0; length - 12]].concat();
        mask(&key, &mut packet, count);
        packet
    };
    let record = Header::Record { lane: Lane::Direct, epoch: 0, session: 1, counter: 0 };
    let answer = Header::Rsp { suite: 1, session: 5 };
    let retry = Header::Retry { session: 5, kind: RetryKind::Cookie, puzzle_bits: 0 };
    let (mut lane, mut reserved) = (record.encode(), answer.encode());
    (lane[0], reserved[6]) = (lane[0] | 0b1000, 1);
    let ini = hand.ini(0, &e, &[0; 160]).0;
    let junk = [
        vec![7; 31],
        vec![7; 36 * 1024 + 1],
        vec![7; 100],
        masked([0x70; 12], 64, 16),
        masked(lane, 64, 16),
        masked(reserved, 128, 48),
        masked(answer.encode(), 79, 48),
        masked(answer.encode(), 128, 48),
        masked(retry.encode(), 80, 16),
        Hand::new(3, own).ini(0, &e, &[0; 160]).0,
        Hand::new(3, SecretKey::from_seed([6; 32]).public()).ini(0, &e, &[0; 160]).0,
        changed(&key, &ini, |plain| plain[48] ^= 1),
        {
            let mut altered = ini.clone();
            altered[100] ^= 1;
            altered
        },
    ];
    for (index, packet) in junk.iter().enumerate() {
        let count = desk.endpoint.counters().dropped.total();
        assert!(desk.take(packet).is_empty(), "number {index}");
        assert_eq!(desk.endpoint.counters().dropped.total(), count + 1, "number {index}");
        assert_eq!(desk.endpoint.sizes(), before, "number {index}");
    }
}

/// An INI with something changed and everything else made to fit again.
fn changed(key: &PublicKey, ini: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8> {
    let (_, mut plain) = unmask(key, ini).unwrap();
    plain.truncate(plain.len() - 16);
    change(&mut plain);
    let tag = mac(key, &plain);
    plain.extend_from_slice(&tag);
    mask(key, &mut plain, 64);
    plain
}

/// Proves W-2: each of these has one thing that no encoder writes.
#[test]
fn a_frame_that_no_table_allows_is_refused() {
    let long = [&[0x03, 0xb1, 0x09][..], &[0; 1201]].concat();
    for bytes in [
        &[0x12][..],
        &[0x02, 8],
        &long,
        &[0x04, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        &[0x05, 0, 2, 1, b'k', 0],
        &[0x05, 0x80, 0, 1, 1, b'k', 0],
        &[0x06, 0, 1, 5, 0],
        &[0x06, 0, 4, 5, 2, 1, 1],
        &[0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 1],
        &[0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, 1, 0],
        &[0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 5, 33, 1, 1],
        &[0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0],
        &[0x0d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0],
        &[0x0e, 65],
    ] {
        assert!(Frame::decode(&mut Reader::new(bytes)).is_err(), "{bytes:?}");
    }
}

/// Proves H-5: unknown prekeys, versions and suites get the card, and nothing is remembered.
#[test]
fn who_knows_nothing_of_us_gets_our_card() {
    let mut desk = Desk::plain();
    let mut hand = Hand::new(2, desk.key);
    for (prekey, version, suite) in [(0, 0, 1), (1, 0, 1), (0, 3, 1), (0, 0, 0x77)] {
        (hand.version, hand.suite) = (version, suite);
        let e = hand.fresh();
        let (ini, mac) = hand.ini(prekey, &e, &[1; 200]);
        let sent = desk.take(&ini);
        assert!(sent[0].len() <= 200 && sent.len() == 1);
        assert!(hand.advice(&sent[0], &e, &mac).is_some(), "{prekey} {version} {suite}");
        assert_eq!(desk.endpoint.sizes().peers, 0);
    }
}

/// Proves H-9, H-10: the same answer again, for ten seconds, and nothing is taken again.
#[test]
fn a_repeated_first_flight_gets_the_same_answer_and_no_more() {
    let mut desk = Desk::plain();
    let mut hand = Hand::new(2, desk.key);
    hand.knock(&mut desk);
    let flight = hand.flight(&frames(&[hand.dialog(), request(0, b"once", 9)]));
    let first = desk.take(&flight);
    assert_eq!((desk.take(&flight), desk.queries()), (first, 1));
    desk.wait(secs(11));
    assert!(desk.take(&flight).is_empty());
    assert_eq!(desk.queries(), 1);
}

#[test]
fn h_13_the_answer_waits_five_milliseconds_for_replies_and_no_longer() {
    let mut desk = Desk::plain();
    let mut hand = Hand::new(2, desk.key);
    hand.knock(&mut desk);
    desk.answers = false;
    let flight = hand.flight(&frames(&[hand.dialog(), request(0, b"slow", 9)]));
    assert!(desk.take(&flight).is_empty());
    assert!(desk.wait(millis(4)).is_empty());
    let sent = desk.wait(millis(1));
    hand.answer(&sent);
}

/// Proves H-4, H-15, H-18: nothing is sent on a provisional session, and the card that came with it
/// is not used; once it is confirmed, the card is good for a first flight.
#[test]
fn a_first_flight_proves_little_until_its_session_is_confirmed() {
    let mut desk = Desk::plain();
    let mut hand = Hand::new(2, desk.key);
    hand.knock(&mut desk);
    let flight = hand.flight(&[]);
    hand.answer(&desk.take(&flight));
    let mut sent = desk.ask(b"early");
    sent.extend(desk.wait(secs(3)));
    assert!(hand.open(&sent).is_empty(), "no record");
    assert_eq!(prekey_of(&hand, &sent), 0, "a knock, as if there were no card");
    assert_eq!(sent[0].len(), 256);

    let mut desk = Desk::plain();
    let hand = Hand::connect(&mut desk);
    // The session has been idle for too long to be used; nothing speaks against the peer's life.
    desk.wait(secs(3700));
    assert_eq!(prekey_of(&hand, &desk.ask(b"later")), 5, "the card's");
}

/// Proves H-23: a goodbye in a first flight is not obeyed, nor is anything behind it read; the session
/// that was there stays in use.
#[test]
fn a_first_flight_can_end_nothing() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let (dialog, hello) = (hand.dialog(), request(0, b"behind", 9));
    let flight = hand.flight(&frames(&[Frame::Close, dialog, hello]));
    hand.answer(&desk.take(&flight));
    assert_eq!(desk.endpoint.counters().dropped.frames, 1);
    assert_eq!(desk.endpoint.counters().taken, 0);
    let sent = desk.ask(b"still here");
    let own = hand.secret.public();
    let mut headers = sent.iter().filter_map(|packet| unmask(&own, packet));
    assert!(headers.all(|(header, _)| matches!(header, Header::Record { .. })), "no handshake");
    assert_eq!(sent.len(), 1);
}

/// Which prekey the first INI among these packets names.
fn prekey_of(hand: &Hand, sent: &[Vec<u8>]) -> u32 {
    let own = hand.secret.public();
    let mut headers = sent.iter().filter_map(|packet| unmask(&own, packet));
    let found = headers.find_map(|(header, _)| match header {
        Header::Ini { prekey, .. } => Some(prekey),
        _ => None,
    });
    found.expect("an INI")
}

#[test]
fn h_16_provisional_sessions_are_two_and_displace_no_confirmed_one() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let confirmed = hand.keys.take();
    let provisional: Vec<_> = (0..3)
        .map(|_| {
            let flight = hand.flight(&[]);
            hand.answer(&desk.take(&flight));
            hand.keys.take()
        })
        .collect();
    let mut opened = Vec::new();
    for keys in [confirmed].into_iter().chain(provisional) {
        let before = desk.endpoint.counters().records_opened;
        hand.keys = keys;
        let record = hand.record(Lane::Direct, &[0; 16]);
        desk.take(&record);
        opened.push(desk.endpoint.counters().records_opened > before);
    }
    assert_eq!(opened, [true, false, true, true]);
}

#[test]
fn h_17_a_first_flight_is_repeated_as_it_is_for_eight_seconds() {
    let mut desk = Desk::plain();
    let first = desk.ask(b"hello");
    let repeated = desk.wait(millis(7_999));
    assert!((2..=3).contains(&repeated.len()));
    assert!(repeated.iter().all(|packet| *packet == first[0]));
    let next = desk.wait(secs(2));
    assert!(!next.is_empty() && next.iter().all(|packet| *packet != first[0]));
}

/// Proves H-6, H-7: an altered RETRY is ignored, the genuine one followed, the fourth is not.
#[test]
fn a_retry_is_followed_when_it_is_genuine_and_three_times() {
    let mut desk = Desk::plain();
    let mut hand = Hand::new(2, desk.key);
    let mut ini = desk.ask(b"hello");
    let mut altered = hand.advise(&ini[0], 1);
    altered[40] ^= 1;
    assert!(desk.take_on(DIALED, &altered).is_empty());
    for prekey in 1..=3 {
        let advice = hand.advise(&ini[0], prekey);
        ini = desk.take_on(DIALED, &advice);
        assert_eq!(prekey_of(&hand, &ini), prekey);
    }
    let advice = hand.advise(&ini[0], 4);
    assert!(desk.take_on(DIALED, &advice).is_empty());
}

/// The record goes out as soon as the answer has come, though nothing waits to be sent.
#[test]
fn h_14_an_answer_is_confirmed_at_once() {
    let mut world = World::new(2);
    world.submit(0, 1, b"note", MessageClass::Send, None, secs(5));
    world.run(secs(1));
    let moments = |to: usize, wanted: fn(&Header) -> bool| {
        let key = world.key(to);
        let flights = world.recorded.iter().filter(move |flight| flight.to == to);
        let found = flights.filter(move |one| {
            unmask(&key, &one.packet).is_some_and(|(header, _)| wanted(&header))
        });
        found.map(|flight| flight.at).next().unwrap()
    };
    let answered = moments(0, |header| matches!(header, Header::Rsp { .. }));
    let confirmed = moments(1, |header| matches!(header, Header::Record { .. }));
    assert_eq!(confirmed, answered.after(world.delay));
}

#[test]
fn h_22_the_suite_is_one_that_the_responder_lists() {
    let mut desk =
        Desk::new(Source::Verified, |config| config.suites = Suites::classical(Cipher::Aes256Gcm));
    let mut hand = Hand::new(2, desk.key);
    let suite_of = |sent: &[Vec<u8>], own: &PublicKey| match unmask(own, &sent[0]) {
        Some((Header::Ini { suite, .. }, _)) => suite,
        other => unreachable!("{other:?}"),
    };
    let knock = desk.ask(b"hello");
    assert_eq!(suite_of(&knock, &hand.secret.public()), Suite::Aes256Gcm.id());
    let advice = hand.advise(&knock[0], 1);
    let flight = desk.take_on(DIALED, &advice);
    assert_eq!(suite_of(&flight, &hand.secret.public()), Suite::ChaCha20Poly1305.id());
}

#[test]
fn h_11_a_prekey_is_replaced_after_a_quarter_of_an_hour_and_erased_after_two() {
    let (mut random, start) = (Random::from_seed([3; 32]), Instant::new(secs(0)));
    let mut prekeys =
        Prekeys::new(&mut random, &Limits::default(), start, egtp_proto::Stripe::ALL).unwrap();
    let first = prekeys.card(start).unwrap();
    assert!(first.lifetime < 2 * 60 * 60);
    assert!(!prekeys.tick(&mut random, start.after(secs(899))));
    assert!(prekeys.tick(&mut random, start.after(secs(900))));
    assert_ne!(prekeys.card(start.after(secs(900))).unwrap().id, first.id);
    assert!(prekeys.get(first.id, start.after(secs(7_199))).is_some());
    assert!(prekeys.get(first.id, start.after(secs(7_200))).is_none());
}

#[test]
fn h_20_a_first_flight_from_oneself_is_refused() {
    let mut desk = Desk::plain();
    let mut hand = Hand::new(1, desk.key);
    hand.knock(&mut desk);
    let flight = hand.flight(&[]);
    assert!(desk.take(&flight).is_empty());
    assert_eq!(desk.endpoint.sizes().peers, 0);
}

#[test]
fn h_21_under_load_a_stranger_proves_its_address_before_it_costs_anything() {
    let source = Source::Claimed(b"192.0.2.1".to_vec());
    let mut desk = Desk::new(source, |config| config.limits.unverified_per_second = 0);
    let mut hand = Hand::new(2, desk.key);
    let e = hand.fresh();
    let (knock, tag) = hand.ini(0, &e, &[1; 160]);
    let sent = desk.take(&knock);
    assert_eq!(desk.endpoint.counters().agreements, 0);
    let (header, plain) = unmask(&desk.key, &sent[0]).unwrap();
    assert!(matches!(header, Header::Retry { kind: RetryKind::Cookie, .. }));
    let cookie_key = h("retry cookie", &[&h("mac1", &[desk.key.as_bytes()])]);
    let key = k(&cookie_key, &[&plain[16..32], &tag]);
    hand.cookie = Some(open_cookie(&key, &header, &plain[32..]));
    let (again, tag) = hand.ini(0, &e, &[1; 160]);
    assert!(hand.advice(&desk.take(&again)[0], &e, &tag).is_some());
    hand.cookie = Some(k16(&[0; 32], &[b"another"]));
    let (forged, tag) = hand.ini(0, &e, &[1; 160]);
    assert!(hand.advice(&desk.take(&forged)[0], &e, &tag).is_none());
}

#[test]
fn h_24_nobody_makes_us_flood_an_address_that_he_only_claims() {
    let source = Source::Claimed(b"192.0.2.1".to_vec());
    let mut desk = Desk::new(source, |_| {});
    desk.answers = false;
    let mut hand = Hand::new(2, desk.key);
    hand.knock(&mut desk);
    let flight = hand.flight(&frames(&[hand.dialog(), request(0, b"a short question", 8_000)]));
    let mut sent = desk.take(&flight);
    sent.extend(desk.reply(vec![7; 6_000].into()));
    assert!(!sent.is_empty(), "the answer comes, without the reply");
    for _ in 0..20 {
        sent.extend(desk.take(&flight));
    }
    // The knock counts, too; it is as long as the shortest flight.
    let received = 256 + 21 * flight.len();
    assert!(sent.iter().map(Vec::len).sum::<usize>() <= 3 * received);
    assert!(sent[0].len() <= 3 * (256 + flight.len()), "{}", sent[0].len());
}
