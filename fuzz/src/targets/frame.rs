//! Any bytes as the frames of a record, one after another to the end: each accepted frame encodes
//! to the same bytes.
//
// Reaches: Frame::decode.

use egtp_proto::wire::frame::{
    Ack, Class, DialogHead, Frame, MessageHead, Part, PartOf, Refusal, Refused, ReplyHead,
};
use egtp_proto::wire::{Reader, Serials};
use egtp_proto::{LiveCard, StoreCard, StoreKind};

use super::{Seed, between};

/// See the head of this file.
pub fn run(data: &[u8]) {
    let mut after = Reader::new(data);
    while !after.is_empty() {
        let before = after.clone();
        let Ok(frame) = Frame::decode(&mut after) else { return };
        let mut again = Vec::new();
        frame.encode(&mut again);
        assert_eq!(again, between(&before, &after), "one spelling only: {frame:?}");
    }
}

/// The frames of a request that is answered, those of large bodies, and all others.
pub fn seeds() -> Vec<Seed> {
    [("control", control()), ("large", large()), ("small", small())]
        .map(|(name, frames)| (name, encode(&frames)))
        .into()
}

/// The frames as a record holds them.
pub(super) fn encode(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        frame.encode(&mut bytes);
    }
    bytes
}

/// A request and a send, both acknowledged, and a reply.
pub(super) fn small() -> Vec<Frame<'static>> {
    let reply = ReplyHead { serial: 0, code: 7, reference: [8; 8], status: 0 };
    let send = MessageHead { serial: 1, class: Class::Send, kind: "note/1" };
    vec![
        dialog(),
        Frame::Message(request(0), b"which block?"),
        Frame::Message(send, b"a note"),
        Frame::Replies(DIALOG),
        Frame::Reply(reply, b"this one"),
        Frame::Ack(Ack { dialog: DIALOG, serials: Serials::below(2), limit: 66, bytes: 1 << 20 }),
        Frame::Closed { dialog: DIALOG, serials: Serials::below(2) },
    ]
}

fn large() -> Vec<Frame<'static>> {
    let part = |offset, bytes| Part { serial: 0, offset, total: 9, bytes };
    let reply = ReplyHead { serial: 0, code: 7, reference: [8; 8], status: 0 };
    vec![
        dialog(),
        Frame::Fragment(part(0, b"abcd"), Some(request(0))),
        Frame::Fragment(part(4, b"efghi"), None),
        Frame::Replies(DIALOG),
        Frame::ReplyFragment(part(0, b"abcd"), Some(reply)),
        Frame::ReplyFragment(part(4, b"efghi"), None),
        Frame::Partial { dialog: DIALOG, serial: 0, of: PartOf::Reply, received: 4 },
    ]
}

fn control() -> Vec<Frame<'static>> {
    let store = StoreCard { kind: StoreKind::Ram, id: 3, generation: 4, age: 5 };
    vec![
        Frame::Ping,
        Frame::Card(LiveCard { prekey: None, stores: vec![store] }),
        Frame::Contact(b"not looked into"),
        Frame::Refused(Refused {
            dialog: DIALOG,
            serial: 0,
            transmission: [9; 8],
            why: Refusal::Stale,
            retry_ms: 0,
        }),
        Frame::Hint { kind: "probe/1", body: b"x" },
        Frame::PathChallenge([1; 8]),
        Frame::PathResponse([1; 8]),
        Frame::Pad,
        Frame::Close,
    ]
}

fn dialog() -> Frame<'static> {
    Frame::Dialog(DialogHead {
        kind: StoreKind::Ram,
        dialog: DIALOG,
        store: 3,
        generation: 4,
        low_water: 0,
    })
}

fn request(serial: u64) -> MessageHead<'static> {
    let class = Class::Request { code: 7, hard_ms: 30_000, room: 100 };
    MessageHead { serial, class, kind: "block.get/1" }
}

const DIALOG: u64 = 0x0102_0304_0506_0708;
