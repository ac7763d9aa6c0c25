//! Whatever frame or header can be made, is read back as it was, takes all of its bytes and no more, and
//! is refused when its last byte is missing.

use egtp_proto::limits::RANGES_MAX;
use egtp_proto::wire::frame::{
    Ack, Class, DialogHead, Frame, MessageHead, Part, PartOf, Refusal, Refused, ReplyHead,
};
use egtp_proto::wire::{Header, Lane, Reader, RetryKind, Serials};
use egtp_proto::{LiveCard, PrekeyCard, StoreCard, StoreKind};
use proptest::prelude::{Just, Strategy as _};
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

proptest! {
    /// Proves MSG-3.
    #[test]
    fn every_frame_reads_back(
        index in 0_usize..18,
        numbers in [number(), number(), number(), number()],
        small in any::<u32>(),
        bytes in any::<[u8; 8]>(),
        serials in serials(),
        card in card(),
        choice in any::<u8>(),
        kind in "[a-z./0-9]{1,64}",
        body in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let [dialog, serial, third, fourth] = numbers;
        let refusals = [Refusal::Stale, Refusal::Window, Refusal::Busy, Refusal::TooLarge];
        let class = if choice & 1 == 0 {
            Class::Send
        } else {
            Class::Request { code: small, hard_ms: third, room: fourth }
        };
        let store = if choice & 1 == 0 { StoreKind::Ram } else { StoreKind::Durable };
        let of = if choice & 1 == 0 { PartOf::Message } else { PartOf::Reply };
        let message = MessageHead { serial, class, kind: &kind };
        let reply = ReplyHead { serial, code: small, reference: bytes, status: choice };
        let length = u64::try_from(body.len()).unwrap_or(0);
        let first = Part { serial, offset: 0, total: length + third % 9, bytes: &body };
        let offset = 1 + third % 1_000;
        let later = Part { offset, total: offset + length, ..first };
        let frames = [
            Frame::Pad,
            Frame::Ping,
            Frame::Card(card),
            Frame::Contact(&body),
            Frame::Dialog(DialogHead {
                kind: store,
                dialog,
                store: third,
                generation: small,
                low_water: fourth,
            }),
            Frame::Message(message, &body),
            Frame::Fragment(first, Some(message)),
            Frame::Fragment(later, None),
            Frame::Replies(dialog),
            Frame::Reply(reply, &body),
            Frame::ReplyFragment(first, Some(reply)),
            Frame::ReplyFragment(later, None),
            Frame::Ack(Ack { dialog, serials: serials.clone(), limit: third, bytes: fourth }),
            Frame::Closed { dialog, serials },
            Frame::Refused(Refused {
                dialog,
                serial,
                transmission: bytes,
                why: refusals[usize::from(choice) % refusals.len()],
                retry_ms: third,
            }),
            Frame::Partial { dialog, serial, of, received: third },
            Frame::Hint { kind: &kind, body: &body },
            if choice & 1 == 0 { Frame::PathChallenge(bytes) } else { Frame::PathResponse(bytes) },
        ];
        let frame = &frames[index];
        let mut written = Vec::new();
        frame.encode(&mut written);
        let all = [&written[..], &[0x55; 3]].concat();
        let mut reader = Reader::new(&all);
        let read = Frame::decode(&mut reader);
        prop_assert_eq!(read.as_ref(), Ok(frame));
        prop_assert_eq!(reader.remaining(), 3, "its own bytes and no more");
        let cut = written.get(..written.len() - 1).unwrap_or_default();
        prop_assert!(Frame::decode(&mut Reader::new(cut)).is_err());
    }

    /// Proves W-5: what can be written reads back, and every other header is refused.
    #[test]
    fn every_header_reads_back(
        header in header(),
        any_bytes in any::<[u8; 12]>(),
        at in 0_usize..12,
    ) {
        let written = header.encode();
        prop_assert_eq!(Header::decode(&written), Ok(header));
        // Close to a genuine one, and anything.
        let mut near = written;
        near[at] = any_bytes[at];
        for bytes in [near, any_bytes] {
            if let Ok(found) = Header::decode(&bytes) {
                prop_assert_eq!(found.encode(), bytes);
            }
        }
    }
}

/// Numbers of every length.
fn number() -> impl proptest::strategy::Strategy<Value = u64> {
    (any::<u64>(), 0_u32..64).prop_map(|(number, shift)| number >> shift)
}

fn serials() -> impl proptest::strategy::Strategy<Value = Serials> {
    let ranges = prop::collection::vec((1_u64..100, 1_u64..100), 0..=RANGES_MAX);
    (0_u64..1 << 40, ranges).prop_map(|(base, ranges)| {
        let (mut serials, mut at) = (Serials::below(base), base);
        for (gap, length) in ranges {
            serials.insert_range(at + gap, at + gap + length);
            at += gap + length;
        }
        serials
    })
}

fn card() -> impl proptest::strategy::Strategy<Value = LiveCard> {
    let prekey = (1_u32.., any::<[u8; 32]>(), any::<u16>());
    let store = (any::<u64>(), any::<u32>(), any::<u16>());
    (proptest::option::of(prekey), store, 1_u8..4).prop_map(
        |(prekey, (id, generation, age), which)| {
            let kinds = [(1, StoreKind::Ram), (2, StoreKind::Durable)];
            let kinds = kinds.into_iter().filter(|(bit, _)| which & bit != 0);
            LiveCard {
                prekey: prekey.map(|(id, key, lifetime)| PrekeyCard { id, key, lifetime }),
                stores: kinds.map(|(_, kind)| StoreCard { kind, id, generation, age }).collect(),
            }
        },
    )
}

fn header() -> impl proptest::strategy::Strategy<Value = Header> {
    let counter = 0_u64..1 << 48;
    let lane = prop_oneof![Just(Lane::Direct), Just(Lane::Relay)];
    let kind = prop_oneof![Just(RetryKind::Prekey), Just(RetryKind::Cookie)];
    let (id, byte) = (any::<u32>(), any::<u8>());
    prop_oneof![
        (0_u8..16, byte, id, id, any::<bool>(), any::<bool>()).prop_map(
            |(version, suite, initiator_session, prekey, cookie, puzzle)| Header::Ini {
                version,
                suite,
                initiator_session,
                prekey,
                cookie,
                puzzle
            }
        ),
        (byte, id).prop_map(|(suite, session)| Header::Rsp { suite, session }),
        (lane, byte, id, counter.clone()).prop_map(|(lane, epoch, session, counter)| {
            Header::Record { lane, epoch, session, counter }
        }),
        (id, kind, byte).prop_map(|(session, kind, puzzle_bits)| Header::Retry {
            session,
            kind,
            puzzle_bits
        }),
        (id, counter).prop_map(|(session, counter)| Header::Unknown { session, counter }),
        (0_u8..16, byte, id).prop_map(|(version, suite, prekey)| Header::Letter {
            version,
            suite,
            prekey
        }),
    ]
}
