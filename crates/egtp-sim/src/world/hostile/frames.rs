//! Lies: frames that are well formed and wrong in everything that a peer can be wrong in.
//!
//! Invariant: what is read of a victim is remembered within a small bound.

use egtp_proto::wire::frame::{
    Ack, Class, DialogHead, Frame, MessageHead, Part, PartOf, Refusal, Refused, ReplyHead,
};
use egtp_proto::wire::{Reader, Serials, Writer};
use egtp_proto::{LiveCard, PrekeyCard, StoreCard, StoreKind};

use crate::process::dice::Dice;
use crate::world::chance::{filler, happens};

/// What he knows of a victim.
#[derive(Default)]
pub(super) struct Learned {
    pub(super) stores: Vec<StoreCard>,
    /// Dialogs in which the victim asks him.
    dialogs: Vec<u64>,
    /// Its open requests: serial and event code.
    requests: Vec<(u64, u32)>,
    /// The serial of his own next message.
    serial: u64,
}

impl Learned {
    /// Reads the frames of a record or handshake.
    pub(super) fn read(&mut self, frames: &[u8]) {
        let mut reader = Reader::new(frames);
        while !reader.is_empty() {
            let Ok(frame) = Frame::decode(&mut reader) else { return };
            match frame {
                Frame::Dialog(head) => remember(&mut self.dialogs, head.dialog),
                Frame::Card(card) => self.stores = card.stores,
                Frame::Message(head, _) | Frame::Fragment(_, Some(head)) => {
                    if let Class::Request { code, .. } = head.class {
                        remember(&mut self.requests, (head.serial, code));
                    }
                }
                _ => {}
            }
        }
    }
}

fn remember<T: PartialEq>(known: &mut Vec<T>, new: T) {
    if !known.contains(&new) {
        known.push(new);
    }
    if known.len() > REMEMBERED {
        known.remove(0);
    }
}

/// A card whose store is whatever suits him.
pub(super) fn false_card(dice: &mut Dice, prekey: PrekeyCard) -> LiveCard {
    let generation = u32::try_from(dice.among(0..=3)).unwrap_or(1);
    let generation = if happens(dice, 200) { u32::MAX } else { generation };
    let age = dice.pick(&[0, 1, 4096, u16::MAX]).copied().unwrap_or(0);
    // A new life every now and then, or one for ever.
    let store = StoreCard { kind: StoreKind::Ram, id: dice.among(1..=3), generation, age };
    LiveCard { prekey: Some(prekey), stores: vec![store] }
}

/// Appends one to twelve frames.
pub(super) fn lie(dice: &mut Dice, learned: &mut Learned, out: &mut Vec<u8>) {
    for _ in 0..dice.among(1..=12) {
        if out.len() > LIES_BYTES {
            return;
        }
        one(dice, learned, out);
    }
}

fn one(dice: &mut Dice, learned: &mut Learned, out: &mut Vec<u8>) {
    let dialog = match dice.among(0..=3) {
        0 => dice.among(0..=u64::MAX - 1),
        _ => dice.pick(&learned.dialogs).copied().unwrap_or(1),
    };
    let serial = number(dice);
    let (asked, code) = dice.pick(&learned.requests).copied().unwrap_or((serial, 5));
    // Codes are issued one after another: those near by belong to requests to somebody else.
    let code = code.wrapping_add(dice.pick(&[0, 0, 0, 1, 2, 3]).copied().unwrap_or(0));
    match dice.among(0..=15) {
        0 => Frame::Ping.encode(out),
        1 => Frame::Ack(Ack {
            dialog,
            serials: serials(dice),
            limit: number(dice),
            bytes: number(dice),
        })
        .encode(out),
        2 => Frame::Closed { dialog, serials: serials(dice) }.encode(out),
        3 => {
            let why = [Refusal::Stale, Refusal::Window, Refusal::Busy, Refusal::TooLarge];
            let why = dice.pick(&why).copied().unwrap_or(Refusal::Stale);
            let transmission = dice.bytes();
            let (serial, retry_ms) = (asked, number(dice));
            Frame::Refused(Refused { dialog, serial, transmission, why, retry_ms }).encode(out);
        }
        4 => {
            let of = if happens(dice, 500) { PartOf::Message } else { PartOf::Reply };
            Frame::Partial { dialog, serial: asked, of, received: number(dice) }.encode(out);
        }
        5..=6 => {
            let status = u8::try_from(dice.among(0..=9)).unwrap_or(0);
            Frame::Replies(dialog).encode(out);
            let head = ReplyHead { serial: asked, code, reference: dice.bytes(), status };
            Frame::Reply(head, b"a false reply").encode(out);
        }
        7 => {
            Frame::Replies(dialog).encode(out);
            let part = Part { serial: asked, offset: 1, total: u64::MAX, bytes: b"part" };
            Frame::ReplyFragment(part, None).encode(out);
        }
        8 => Frame::Hint { kind: "lie/1", body: b"said aside" }.encode(out),
        9 => Frame::PathChallenge(dice.bytes()).encode(out),
        10 => Frame::PathResponse(dice.bytes()).encode(out),
        11 if happens(dice, 200) => Frame::Close.encode(out),
        12 => out.put(&filler(serial, 20)),
        13 => {
            let prekey = PrekeyCard { id: 9, key: dice.bytes(), lifetime: u16::MAX };
            Frame::Card(false_card(dice, prekey)).encode(out);
        }
        _ => messages(dice, learned, out),
    }
}

/// Messages of his own, in the right dialog or any, and parts that never become one.
fn messages(dice: &mut Dice, learned: &mut Learned, out: &mut Vec<u8>) {
    let store = learned.stores.first();
    let (store, generation) = store.map_or((1, 1), |one| (one.id, one.generation));
    let lies = happens(dice, 200);
    let head = DialogHead {
        kind: StoreKind::Ram,
        dialog: dice.among(1..=8),
        store: if lies { number(dice) } else { store },
        generation: if lies { u32::MAX } else { generation },
        low_water: if happens(dice, 100) { number(dice) } else { 0 },
    };
    Frame::Dialog(head).encode(out);
    for _ in 0..dice.among(1..=8) {
        let serial = match dice.among(0..=3) {
            0 => number(dice),
            1 => dice.among(0..=3000),
            _ => {
                learned.serial += 1;
                learned.serial
            }
        };
        let request = Class::Request {
            code: u32::try_from(dice.among(0..=9)).unwrap_or(0),
            hard_ms: dice.pick(&[0, 1, 60_000, u64::MAX]).copied().unwrap_or(0),
            room: dice.pick(&[0, 40, u64::MAX]).copied().unwrap_or(0),
        };
        let class = if happens(dice, 700) { request } else { Class::Send };
        let head = MessageHead { serial, class, kind: "lie/1" };
        let body = filler(serial, dice.index(300) + 1);
        if happens(dice, 250) {
            let total = dice.pick(&[2000, 65_536, 2_000_000, u64::MAX]).copied().unwrap_or(2000);
            let part = Part { serial, offset: 0, total, bytes: &body };
            Frame::Fragment(part, Some(head)).encode(out);
        } else {
            Frame::Message(head, &body).encode(out);
        }
    }
}

/// Small, or as large as it gets.
fn number(dice: &mut Dice) -> u64 {
    match dice.among(0..=3) {
        0 => u64::MAX - dice.among(0..=2),
        1 => 1 << dice.among(0..=62),
        _ => dice.among(0..=200),
    }
}

fn serials(dice: &mut Dice) -> Serials {
    let mut serials = Serials::below(number(dice));
    for _ in 0..dice.among(0..=32) {
        let start = number(dice);
        serials.insert_range(start, start.saturating_add(dice.among(1..=9)));
    }
    serials
}

/// How many dialogs and requests of a victim he remembers.
const REMEMBERED: usize = 32;
/// Bytes of frames after which he stops.
const LIES_BYTES: usize = 12 * 1024;
