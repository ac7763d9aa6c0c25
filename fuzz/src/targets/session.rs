//! Two sessions of one handshake, and everything that can happen to the records between them: lost,
//! late, repeated, changed, cut, spliced, reflected, under another header, in any order and after any
//! time. Compared with a naive model: what opens, what each refusal is called, which record is the
//! newest. No (epoch, lane, counter) seals twice, and a refused record changes nothing.
//!
//! The input is a script (see `script`).
//
// Reaches: Header::decode.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::BytesMut;
use egtp_proto::SecretKey;
use egtp_proto::crypto::{Role, Suite};
use egtp_proto::session::epoch::OpenError;
use egtp_proto::session::live::Session;
use egtp_proto::time::Instant;
use egtp_proto::wire::shroud::{HEADER_BYTES, PREFIX_BYTES, Shroud};
use egtp_proto::wire::{Header, Lane};

use super::Seed;
use crate::naive::session::{Claim, Expected, Side};
use crate::script::{Draft, Script, Step};

/// See the head of this file.
pub fn run(data: &[u8]) {
    let mut bench = Bench::new();
    for step in Script::new(data).take(STEPS_MAX) {
        bench.step(step);
    }
}

/// Two sides, what they sealed, and the model of each.
struct Bench {
    now: Duration,
    sides: [End; 2],
    records: Vec<Record>,
    /// What was sealed under: sender, epoch, lane, counter.
    used: BTreeSet<(usize, u64, usize, u64)>,
    /// How many records were opened.
    opened: usize,
}

struct End {
    session: Session,
    /// Of packets to this side.
    shroud: Shroud,
    model: Side,
    tags: Vec<[u8; 16]>,
}

struct Record {
    from: usize,
    lane: usize,
    epoch: u64,
    counter: u64,
    frames: Vec<u8>,
    packet: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let now = Duration::from_secs(100);
        let end = |role, seed| End {
            session: Session::new(0, role, SUITE, 9, (&[4; 32], [5; 32]), Instant::new(now))
                .expect("the key is good"),
            shroud: Shroud::new(&SecretKey::from_seed([seed; 32]).public()),
            model: Side::new(now),
            tags: Vec::new(),
        };
        let sides = [end(Role::Initiator, 1), end(Role::Responder, 2)];
        Self { now, sides, records: Vec::new(), used: BTreeSet::new(), opened: 0 }
    }

    fn step(&mut self, mut step: Step<'_>) {
        match step.operation % OPERATIONS {
            SEAL => {
                let (from, lane, length) = (step.choice(2), step.choice(2), step.small());
                self.seal(from, lane, length);
            }
            MANY => {
                let (from, lane) = (step.choice(2), step.choice(2));
                for _ in 0..step.small() * 16 {
                    self.seal(from, lane, 0);
                }
            }
            DELIVER => {
                let (back, count) = (step.large(), step.small() + 1);
                for back in (back.saturating_sub(count - 1)..=back).rev() {
                    self.deliver(back);
                }
            }
            CHANGE => {
                let (back, at, bits) = (step.large(), step.large(), step.small());
                self.damage(back, |packet| {
                    if let Some(byte) = packet.get_mut(at) {
                        *byte ^= u8::try_from(bits).unwrap_or(0).max(1);
                    }
                });
            }
            CUT => {
                let (back, length) = (step.large(), step.large());
                self.damage(back, |packet| packet.truncate(length));
            }
            SPLICE => {
                let (back, other, at) = (step.large(), step.large(), step.small());
                let other = self.nth(other).map(|record| record.packet.clone());
                self.damage(back, |packet| {
                    let other = other.unwrap_or_default();
                    packet.truncate(at);
                    packet.extend_from_slice(other.get(at..).unwrap_or_default());
                });
            }
            FORGE => {
                let (back, epoch, counter) = (step.large(), step.large(), step.large());
                self.forge(back, step.choice(2), epoch.to_le_bytes()[0], counter);
            }
            REFLECT => self.reflect(step.large()),
            WAIT => self.now += step.of(&SPANS),
            ROUNDS => {
                let (from, lane) = (step.choice(2), step.choice(2));
                for _ in 0..step.small() {
                    self.now += EPOCH;
                    self.seal(from, lane, 0);
                    self.deliver(0);
                }
            }
            _ => self.ask_for_tag(step.choice(2), step.large()),
        }
    }

    /// The record that was sealed `back` records ago.
    fn nth(&self, back: usize) -> Option<&Record> {
        self.records.iter().rev().nth(back)
    }

    fn seal(&mut self, from: usize, lane: usize, length: usize) {
        if self.records.len() >= RECORDS_MAX {
            return;
        }
        let to = self.sides[1 - from].shroud.clone();
        let end = &mut self.sides[from];
        let (epoch, counter) = end.model.seal(self.now, lane);
        let frames = vec![epoch.to_le_bytes()[0]; length];
        let mut packet = [&[0; PREFIX_BYTES], &frames[..]].concat();
        let name = end.session.seal(Instant::new(self.now), LANES[lane], &mut packet, &to);
        let tag: [u8; 16] = *packet.last_chunk().expect("it is sealed");
        assert_eq!(name.as_ref().map(|name| &name[..]), Some(&tag[..8]));
        end.tags.push(tag);
        let header = to.uncovered_prefix(&packet).and_then(|header| Header::decode(&header).ok());
        let expected = Header::Record {
            lane: LANES[lane],
            epoch: epoch.to_le_bytes()[0],
            session: 9,
            counter,
        };
        assert_eq!(header, Some(expected));
        assert!(self.used.insert((from, epoch, lane, counter)), "a counter seals once");
        self.records.push(Record { from, lane, epoch, counter, frames, packet });
    }

    /// Gives a genuine record to its receiver.
    fn deliver(&mut self, back: usize) {
        let Some(record) = self.nth(back) else { return };
        let Record { from, lane, epoch, counter, .. } = *record;
        let (frames, packet) = (record.frames.clone(), record.packet.clone());
        let claim = Claim { lane, epoch: epoch.to_le_bytes()[0], counter, sealed_in: Some(epoch) };
        if let Some(opened) = self.open(1 - from, &packet, &claim) {
            assert_eq!(opened, frames);
        }
    }

    /// Gives a damaged record to its receiver.
    fn damage(&mut self, back: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let Some(record) = self.nth(back) else { return };
        let (to, mut packet) = (1 - record.from, record.packet.clone());
        change(&mut packet);
        // Spliced at its very beginning it is another genuine record.
        if self.records.iter().any(|record| record.packet == packet) {
            return;
        }
        let Some(header) = self.sides[to].shroud.uncovered_prefix(&packet) else { return };
        let Ok(Header::Record { lane, epoch, counter, .. }) = Header::decode(&header) else {
            return;
        };
        let lane = usize::from(lane.id());
        let claim = Claim { lane, epoch, counter, sealed_in: None };
        assert_eq!(self.open(to, &packet, &claim), None);
    }

    /// A record under another header, with right check bytes.
    fn forge(&mut self, back: usize, lane: usize, epoch: u8, counter: usize) {
        let Some(record) = self.nth(back) else { return };
        let (to, mut packet) = (1 - record.from, record.packet.clone());
        let counter = u64::try_from(counter).unwrap_or(0);
        if (lane, epoch, counter) == (record.lane, record.epoch.to_le_bytes()[0], record.counter) {
            return;
        }
        let header = Header::Record { lane: LANES[lane], epoch, session: 9, counter };
        packet[..HEADER_BYTES].copy_from_slice(&header.encode());
        self.sides[to].shroud.cover(&mut packet, 0);
        let claim = Claim { lane, epoch, counter, sealed_in: None };
        assert_eq!(self.open(to, &packet, &claim), None);
    }

    /// Gives a record back to the side that sealed it, under its own shroud.
    fn reflect(&mut self, back: usize) {
        let Some(record) = self.nth(back) else { return };
        let Record { from, lane, epoch, counter, .. } = *record;
        let epoch = epoch.to_le_bytes()[0];
        let mut packet = record.packet.clone();
        let header = Header::Record { lane: LANES[lane], epoch, session: 9, counter };
        packet[..HEADER_BYTES].copy_from_slice(&header.encode());
        self.sides[from].shroud.cover(&mut packet, 0);
        let claim = Claim { lane, epoch, counter, sealed_in: None };
        assert_eq!(self.open(from, &packet, &claim), None);
    }

    /// Opens a packet and compares with the model; gives back the frames of an opened one.
    fn open(&mut self, to: usize, packet: &[u8], claim: &Claim) -> Option<Vec<u8>> {
        let (now, end) = (Instant::new(self.now), &mut self.sides[to]);
        let header = end.shroud.uncovered_prefix(packet).expect("its check bytes are right");
        let place = (LANES[claim.lane], claim.epoch, claim.counter);
        let expected = end.model.expect(self.now, claim);
        let mut bytes = BytesMut::from(packet);
        let found = end.session.open(now, &header, place, &mut bytes);
        let refused = match expected {
            Expected::Opens { newest } => {
                let name = packet.last_chunk::<16>().and_then(|tag| tag.first_chunk()).copied();
                assert_eq!(found, Ok((name.unwrap_or_default(), newest)), "{claim:?}");
                end.model.opened(self.now, claim);
                assert_eq!(end.session.received, now);
                self.opened += 1;
                return Some(bytes.to_vec());
            }
            Expected::Replayed => OpenError::Replayed,
            Expected::UnknownEpoch => OpenError::UnknownEpoch,
            Expected::Forged => OpenError::Forged,
        };
        assert_eq!(found, Err(refused), "{claim:?}");
        // The first refusal may have erased keys whose time was over; the second changes nothing.
        let before = described(&end.session);
        let again = end.session.open(now, &header, place, &mut BytesMut::from(packet));
        assert_eq!(again, Err(refused));
        assert_eq!(described(&end.session), before, "a refused record changes nothing");
        None
    }

    /// Only the tags of the last four records count as sent lately.
    fn ask_for_tag(&mut self, from: usize, back: usize) {
        let end = &self.sides[from];
        if let Some(tag) = end.tags.iter().rev().nth(back) {
            assert_eq!(end.session.sent_lately(tag), back < 4);
            assert!(!self.sides[1 - from].session.sent_lately(tag));
        }
    }
}

fn described(session: &Session) -> String {
    let mut text = String::new();
    session.describe(&mut text).expect("a text takes everything");
    text
}

/// Each operation once in a place where it matters.
pub fn seeds() -> Vec<Seed> {
    let talk = Draft::default().then(SEAL, &[0, 0, 9]).then(DELIVER, &[0]);
    let reply = Draft::default().then(SEAL, &[1, 1, 40]).then(DELIVER, &[0]);
    let both = Draft::default().repeat(&talk, 1).repeat(&reply, 1);
    let replayed = both.clone().then(DELIVER, &[1]).then(DELIVER, &[0]);
    let hurt = both.clone().then(SEAL, &[0, 0, 20]).then(CHANGE, &[0, 0, 20, 0, 1]);
    let hurt = hurt.then(CUT, &[0, 0, 40]).then(SPLICE, &[0, 0, 1, 0, 30]).then(DELIVER, &[]);
    let forged = both.clone().then(FORGE, &[0, 0, 1, 0, 5]).then(REFLECT, &[0]).then(TAG, &[0]);
    let aged = both.clone().then(SEAL, &[0, 1, 3]).then(WAIT, &[6]).repeat(&both, 1);
    let aged = aged.then(DELIVER, &[2]).then(WAIT, &[4]).then(DELIVER, &[2]);
    let behind = Draft::default().then(MANY, &[0, 0, 126]).then(DELIVER, &[0]).repeat(&talk, 1);
    let behind = behind.then(DELIVER, &[0x40, 0x0f, 127]).then(DELIVER, &[0x42, 0x0f, 4]);
    let turned = both.then(SEAL, &[0, 0, 1]).then(ROUNDS, &[0, 0, 127]).then(ROUNDS, &[1, 1, 127]);
    let turned =
        turned.then(DELIVER, &[0x7e, 1]).then(ROUNDS, &[0, 0, 3]).then(DELIVER, &[1, 2, 3]);
    [("aged", aged), ("behind", behind), ("forged", forged), ("hurt", hurt)]
        .into_iter()
        .chain([("replayed", replayed), ("turned", turned)])
        .map(|(name, draft)| (name, draft.0))
        .collect()
}

const SEAL: u8 = 0;
const MANY: u8 = 1;
const DELIVER: u8 = 2;
const CHANGE: u8 = 3;
const CUT: u8 = 4;
const SPLICE: u8 = 5;
const FORGE: u8 = 6;
const REFLECT: u8 = 7;
const WAIT: u8 = 8;
const ROUNDS: u8 = 9;
const TAG: u8 = 10;
const OPERATIONS: u8 = 11;

const LANES: [Lane; 2] = [Lane::Direct, Lane::Relay];
const SUITE: Suite = Suite::ChaCha20Poly1305;
/// How long an epoch is used.
const EPOCH: Duration = Duration::from_mins(15);
/// Both sides of every moment at which something ends.
const SPANS: [Duration; 9] = [
    Duration::from_millis(1),
    Duration::from_secs(1),
    Duration::from_mins(1),
    Duration::from_mins(2),
    Duration::from_millis(120_001),
    Duration::from_millis(899_999),
    EPOCH,
    Duration::from_millis(1_800_001),
    Duration::from_hours(2),
];
/// More would only repeat.
const STEPS_MAX: usize = 100;
/// More than the replay window.
const RECORDS_MAX: usize = 2_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_reach_what_they_are_for() {
        for (name, script) in seeds() {
            let mut bench = Bench::new();
            Script::new(&script).for_each(|step| bench.step(step));
            assert!(bench.opened >= 2, "{name} opens {}", bench.opened);
            let epoch = bench.records.iter().map(|record| record.epoch).max();
            match name {
                "turned" => assert!(epoch > Some(255), "{epoch:?}"),
                "aged" => assert_eq!(epoch, Some(1)),
                _ => {}
            }
        }
    }
}
