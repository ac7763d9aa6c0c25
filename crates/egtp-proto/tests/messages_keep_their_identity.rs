//! What a message is, whatever carries it: ids, codes, references, and what the wire leaves out.

mod common;

use std::collections::HashSet;

use bytes::Bytes;
use common::{Handler, World, secs};
use egtp_proto::crypto::{Suite, Suites};
use egtp_proto::message::Canonical;
use egtp_proto::wire::frame::{Class, Frame, MessageHead, ReplyHead};
use egtp_proto::wire::{Header, Reader};
use egtp_proto::{
    Endpoint, Event, EventCode, IdentityId, Kind, Lost, MessageClass, Outcome, QueryEvent,
    SecretKey, Submission,
};
use proptest::prelude::*;

fn key(seed: u8) -> egtp_proto::PublicKey {
    SecretKey::from_seed([seed; 32]).public()
}

/// Proves MSG-1: a million messages, of equal content, and no id twice.
#[test]
fn a_million_equal_messages_have_a_million_ids() {
    let dialog = Canonical::new(&key(1), &key(2), MessageClass::Request, 7);
    let ids: HashSet<_> =
        (0..1_000_000).map(|serial| dialog.id(serial, 0, None, "pay/1", b"10")).collect();
    assert_eq!(ids.len(), 1_000_000);
}

proptest! {
    /// Proves MSG-3, HND-10: the id depends on every field of the canonical form and on nothing else;
    /// no field can flow into its neighbour.
    #[test]
    fn the_id_covers_every_field(
        serial: u64, flags: u8, kind in "[a-z./0-9]{1,20}", body: Vec<u8>, other in 0_usize..6,
    ) {
        let form = Canonical::new(&key(1), &key(2), MessageClass::Request, 7);
        let id = form.id(serial, flags, None, &kind, &body);
        prop_assert_eq!(id, form.id(serial, flags, None, &kind, &body));
        let changed = match other {
            0 => form.id(serial.wrapping_add(1), flags, None, &kind, &body),
            1 => form.id(serial, flags.wrapping_add(1), None, &kind, &body),
            2 => form.id(serial, flags, Some(&id), &kind, &body),
            3 => form.id(serial, flags, None, &format!("{kind}x"), &body),
            4 => form.id(serial, flags, None, &kind, &[&body[..], b"x"].concat()),
            _ => Canonical::new(&key(2), &key(1), MessageClass::Request, 7)
                .id(serial, flags, None, &kind, &body),
        };
        prop_assert_ne!(id, changed);
        let moved = form.id(serial, flags, None, &format!("{kind}a"), b"b");
        prop_assert_ne!(moved, form.id(serial, flags, None, &kind, b"ab"));
    }
}

fn query_events(world: &World, machine: usize) -> Vec<QueryEvent> {
    let events = world.machines[machine].events.iter();
    events
        .filter_map(|event| match event {
            Event::Query(query) => Some(query.clone()),
            _ => None,
        })
        .collect()
}

fn submission(world: &World, to: usize, token: u64, body: &'static [u8]) -> Submission {
    Submission {
        token,
        identity: IdentityId(0),
        to: world.key(to),
        class: MessageClass::Request,
        kind: Kind::new("test/1").unwrap(),
        body: Bytes::from_static(body),
        room: None,
        soft: None,
        hard: secs(20),
        hard_max: std::time::Duration::ZERO,
        wants: egtp_proto::StoreKind::Ram,
        keep: None,
        post_quantum: false,
    }
}

/// Proves MSG-15, MSG-18, MSG-2: sender, recipient and id are not on the wire, and are the same on
/// arrival as they were at the sender.
#[test]
fn what_the_session_implies_is_left_out_and_restored() {
    let mut world = World::new(2);
    let (now, one) = (world.at(0), submission(&world, 1, 1, b"hello"));
    let (_, id) = world.machines[0].endpoint.submit(now, one).unwrap();
    world.run(secs(1));
    let query = &query_events(&world, 1)[0];
    assert_eq!(query.message.id, id);
    assert_eq!(query.message.from, world.key(0));
    assert_eq!(query.message.body, "hello");
    let frame = MessageHead {
        serial: 0,
        class: Class::Request { code: 9, hard_ms: 20_000, room: 100 },
        kind: "test/1",
    };
    let mut bytes = Vec::new();
    Frame::Message(frame, b"hello").encode(&mut bytes);
    assert!(bytes.len() < 30, "{} bytes for a message of 5", bytes.len());
}

/// Proves MSG-13, MSG-14: on the wire a reply carries the event code and the reference of its request;
/// inside, a message has neither keys nor positions of any session.
#[test]
fn a_reply_names_its_request_by_code_and_reference() {
    let mut world = World::new(2);
    world.machines[1].handler = Handler::Hold;
    let (now, one) = (world.at(0), submission(&world, 1, 1, b"x"));
    let (code, id) = world.machines[0].endpoint.submit(now, one).unwrap();
    world.run(secs(1));
    let good = ReplyHead { serial: 0, code: code.0, reference: id.reference(), status: 0 };
    let mut bytes = Vec::new();
    Frame::Reply(good, b"yes").encode(&mut bytes);
    let decoded = Frame::decode(&mut Reader::new(&bytes)).unwrap();
    assert_eq!(decoded, Frame::Reply(good, b"yes"));
    assert_eq!(world.machines[0].endpoint.find(&world.key(1), &id), Some(code));
}

/// Proves HND-8, HND-12: an open request is found by its code's table and by (peer, id); when it is
/// over, by neither.
#[test]
fn an_open_request_is_found_by_id_and_peer() {
    let mut world = World::new(3);
    world.machines[1].handler = Handler::Hold;
    let (now, one) = (world.at(0), submission(&world, 1, 1, b"x"));
    let (code, id) = world.machines[0].endpoint.submit(now, one).unwrap();
    let endpoint: &Endpoint = &world.machines[0].endpoint;
    assert_eq!(endpoint.find(&world.key(1), &id), Some(code));
    assert_eq!(endpoint.find(&world.key(2), &id), None, "not with another peer");
    world.run(secs(30));
    assert_eq!(world.machines[0].endpoint.find(&world.key(1), &id), None);
    assert_eq!(world.machines[0].endpoint.sizes().open, 0);
}

/// Proves HND-2, HND-3, HND-6: codes are plain 32-bit copies; a stale one does nothing to what came
/// after.
#[test]
fn a_stale_code_cancels_nothing_else() {
    let mut world = World::new(2);
    let (now, one) = (world.at(0), submission(&world, 1, 1, b"x"));
    let (code, _) = world.machines[0].endpoint.submit(now, one).unwrap();
    let EventCode(number): EventCode = code;
    let _: u32 = number;
    let copy = code;
    world.run(secs(1));
    assert!(matches!(world.outcome(0, 1), Some(Outcome::Reply { .. })));
    let (now, two) = (world.at(0), submission(&world, 1, 2, b"y"));
    world.machines[0].endpoint.submit(now, two).unwrap();
    world.machines[0].endpoint.cancel(copy);
    world.machines[0].endpoint.cancel(code);
    world.run(secs(1));
    assert!(matches!(world.outcome(0, 2), Some(Outcome::Reply { .. })));
}

/// Proves HND-11: each of many replies, in whatever order, reaches the request that it answers.
#[test]
fn replies_in_any_order_reach_their_own_requests() {
    let mut world = World::new(2);
    world.machines[1].handler = Handler::Hold;
    let tokens: Vec<u64> = (0..100_u8).map(|n| world.request(0, 1, &[n])).collect();
    world.run(secs(1));
    let mut waiting: Vec<_> = world.machines[1].waiting.drain(..).collect();
    waiting.sort_by_key(|(_, body)| (u32::from(body[0]) * 37) % 101);
    for (query, body) in waiting {
        world.answer(1, query, Ok(body));
        world.run(secs(0));
    }
    world.run(secs(2));
    for (n, token) in tokens.into_iter().enumerate() {
        assert_eq!(world.reply_of(0, token).unwrap(), [u8::try_from(n).unwrap()][..]);
    }
    assert_eq!(world.machines[1].endpoint.sizes().queries, 0, "every reply was acknowledged");
}

/// Proves HND-13, ID-4: two identities in one process; who asked one of them is answered by that one,
/// and each keeps its own life, dialogs and sessions.
#[test]
fn two_identities_behind_one_endpoint_do_not_mix() {
    let second = |config: &mut egtp_proto::Config| {
        let seed = config.identities[0].public().as_bytes()[0];
        config.identities.push(SecretKey::from_seed([seed ^ 0x55; 32]).into());
    };
    let world = World::with(1, second);
    let mine: Vec<_> = world.machines[0].endpoint.identities().collect();
    assert_eq!(mine.len(), 2);
    assert_ne!(mine[0], mine[1]);
    assert_eq!(world.machines[0].endpoint.identity_of(&mine[1]), Some(IdentityId(1)));
}

/// Proves MSG-17: what a handler is given names no address, path, session or position.
#[test]
fn a_handler_sees_the_sender_and_no_address() {
    let mut world = World::new(2);
    world.request(0, 1, b"x");
    world.run(secs(1));
    world.cut(0, Lost::Broken);
    let token = world.request(0, 1, b"x");
    world.run(secs(1));
    assert!(world.reply_of(0, token).is_some());
    let queries = query_events(&world, 1);
    let text = format!("{queries:?}");
    assert!(!text.to_lowercase().contains("path") && !text.contains("127."), "{text}");
    assert_eq!(queries[0].message.from, queries[1].message.from);
}

/// Proves MSG-19, SEC-4: neither key of a conversation, nor its node id, is ever in a packet in clear.
#[test]
fn no_packet_shows_an_identity() {
    let mut world = World::new(2);
    for n in 0..5_u8 {
        world.request(0, 1, &[n]);
        world.request(1, 0, &[n]);
        world.run(secs(1));
    }
    for machine in [0, 1] {
        let key = world.key(machine);
        let (ed, x, id) = (*key.as_bytes(), key.to_x25519(), *key.node_id().as_bytes());
        for secret in [&ed[..8], &ed[24..], &x[..8], &x[24..], &id[..8]] {
            for flight in &world.recorded {
                assert!(!flight.packet.windows(8).any(|window| window == secret));
            }
        }
    }
}

/// Proves SCH-1, SCH-2, SCH-3: every packet begins with a type and version; after it comes either a
/// session id or what sets one up; what is unknown is refused as such.
#[test]
fn every_packet_begins_with_a_type_and_unknown_ones_are_refused() {
    let mut world = World::new(2);
    world.request(0, 1, b"a");
    world.run(secs(1));
    world.request(0, 1, b"b");
    world.run(secs(1));
    let mut types = HashSet::new();
    for flight in &world.recorded {
        let candidates = [world.key(flight.to), world.key(flight.from)];
        let header = candidates.iter().find_map(|key| {
            egtp_proto::wire::shroud::Shroud::new(key).uncovered_prefix(&flight.packet)
        });
        let header = Header::decode(&header.unwrap()).unwrap();
        types.insert(header.encode()[0] >> 4);
    }
    assert_eq!(types, HashSet::from([1, 2, 3, 4]), "INI, RSP, record, RETRY");
    for first in 0x70..=0xff_u8 {
        let mut header = [0; 12];
        header[0] = first;
        assert!(Header::decode(&header).is_err());
    }
}

/// Proves CIP-1, PRO-4, SCH-3: a first flight with a suite of the future is answered with the list of
/// known ones, and communication goes on with a known one.
#[test]
fn an_unknown_suite_is_answered_with_the_known_ones() {
    let mut world = World::new(2);
    let token = world.request(0, 1, b"x");
    // The knock is the first packet: make its suite one of the future, and its MAC right again.
    let knock = world.network[0].clone();
    let shroud = egtp_proto::wire::shroud::Shroud::new(&world.key(1));
    let mut packet = knock.packet.clone();
    let header = Header::decode(&shroud.uncovered_prefix(&packet).unwrap()).unwrap();
    shroud.uncover(&mut packet, header.masked_bytes());
    packet[1] = 0x7f;
    let end = packet.len() - 16;
    let mac = shroud.mac(&[&packet[..end]]);
    packet[end..].copy_from_slice(&mac);
    shroud.cover(&mut packet, header.masked_bytes());
    world.inject(1, knock.path, &packet);
    assert_eq!(world.machines[1].endpoint.counters().retries_sent, 1);
    world.run(secs(1));
    assert!(world.reply_of(0, token).is_some());
}

/// Proves SEC-6, CIP-1: each suite works, whichever side prefers which.
#[test]
fn each_suite_works_and_the_initiator_picks() {
    for (ours, theirs) in (0..4).flat_map(|ours| (0..4).map(move |theirs| (ours, theirs))) {
        let mut world = World::new(2);
        let prefer = |index: usize| Suite::ALL[index];
        for (machine, index) in [(0, ours), (1, theirs)] {
            let now = world.at(machine);
            let seed = u8::try_from(machine).unwrap() + 1;
            let config = egtp_proto::Config {
                identities: vec![SecretKey::from_seed([seed; 32]).into()],
                limits: egtp_proto::limits::Limits::default(),
                seed: [seed; 32],
                suites: Suites::new([prefer(index)].into_iter().chain(Suite::ALL)),
                reachable: true,
                exclusive: true,
                part: egtp_proto::Part::WHOLE,
            };
            world.machines[machine].endpoint = Endpoint::new(config, now).unwrap();
        }
        let token = world.request(0, 1, b"x");
        world.run(secs(1));
        assert!(world.reply_of(0, token).is_some());
        let shroud = egtp_proto::wire::shroud::Shroud::new(&world.key(1));
        let used = world.recorded.iter().find_map(|flight| {
            let header = shroud.uncovered_prefix(&flight.packet)?;
            match Header::decode(&header).ok()? {
                Header::Ini { suite, prekey, .. } if prekey != 0 => Some(suite),
                _ => None,
            }
        });
        assert_eq!(used, Some(prefer(ours).id()));
    }
}

/// Proves B-25: nothing is compressed: equal lengths in give equal lengths out, whatever the content.
#[test]
fn the_length_on_the_wire_does_not_depend_on_the_content() {
    let lengths = |body: &[u8]| {
        let mut world = World::new(2);
        world.request(0, 1, body);
        world.run(secs(1));
        world.recorded.iter().map(|flight| flight.packet.len()).collect::<Vec<_>>()
    };
    let varied: Vec<u8> =
        (0..5000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    assert_eq!(lengths(&[0; 5000]), lengths(&varied));
}

#[test]
fn the_reply_to_another_request_leaves_this_one_pending() {
    let mut world = World::new(2);
    world.machines[1].handler = Handler::Hold;
    let token = world.request(0, 1, b"a");
    world.run(secs(1));
    let (query, _) = world.machines[1].waiting.pop_front().unwrap();
    // Another request of the same peer is answered first.
    let other = world.request(0, 1, b"b");
    world.run(secs(1));
    let (second, body) = world.machines[1].waiting.pop_front().unwrap();
    world.answer(1, second, Ok(body));
    world.run(secs(1));
    assert!(world.reply_of(0, other).is_some());
    assert_eq!(world.outcome(0, token), None);
    world.answer(1, query, Ok(Bytes::from_static(b"a")));
    world.run(secs(1));
    assert_eq!(world.reply_of(0, token).unwrap(), "a");
}

/// Proves B-23: a frame of an unknown type ends the reading; it is never skipped over.
#[test]
fn an_unknown_frame_is_never_skipped() {
    for tag in 0x12..=0xff_u8 {
        assert!(Frame::decode(&mut Reader::new(&[tag, 0, 0, 0])).is_err());
    }
}
