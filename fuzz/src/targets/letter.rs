//! Letters to a node with a disk: any bytes as one, and any frames in one that is sealed as it should be, alone or behind
//! a dialog of the letter store. What cannot be opened changes nothing; what can be is read once: brought again, before
//! the disk has it and after, and to the next life, it hands over nothing, and it may be thrown away only when the disk
//! has it.
//
// Reaches: Frame::decode, Header::decode, Contact::decode.

use std::time::Duration;

use bytes::Bytes;
use egtp_proto::crypto::{Cipher, DhKey, Suite, Suites};
use egtp_proto::exchange::durable::{Batch, Ran, Write};
use egtp_proto::exchange::saved::Saved;
use egtp_proto::limits::Limits;
use egtp_proto::session::handshake::LocalKeys;
use egtp_proto::session::letter::{self, Contents};
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::frame::{Class, DialogHead, Frame, MessageHead};
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::{
    Config, Endpoint, Event, IdentityId, Kind, LetterError, Letters, MailboxPrekey, Policy,
    SecretKey, StoreKind,
};

use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    let mut reader = Reader::new(Saved::new(STORE), 1);
    let letter = match how % 4 {
        RAW => bytes.to_vec(),
        ALTERED => {
            // The last bytes say what is altered.
            let mut letter = seal(*how, &[], &opening(&reader, b"hello"), &reader);
            for (at, byte) in bytes.chunks_exact(3).map(|three| (&three[..2], three[2])) {
                let at = usize::from(at[0]) << 8 | usize::from(at[1]);
                let length = letter.len();
                letter[at % length] ^= byte;
            }
            letter
        }
        FRAMES => seal(*how, &[], bytes, &reader),
        // BEHIND.
        _ => {
            let (contact, rest) = bytes.split_at(bytes.len().min(usize::from(*how >> 3)));
            let frames = [&opening(&reader, b"hello")[..], rest].concat();
            seal(*how, contact, &frames, &reader)
        }
    };
    reader.check(&letter);
}

/// A node that takes letters, and its disk.
struct Reader {
    endpoint: Endpoint,
    saved: Saved,
    now: Now,
    handed: usize,
    read: Vec<u64>,
}

impl Reader {
    fn new(saved: Saved, life: u8) -> Self {
        let now = Now {
            boot: Instant::new(Duration::from_secs(1000)),
            wall: Duration::from_secs(1 << 30),
        };
        let mut limits = Limits::default();
        limits.queries_per_peer = ROOM;
        // Less to make for each input.
        (limits.flights_per_prekey, limits.prekeys_max) = (16, 2);
        let config = Config {
            identities: vec![SecretKey::from_seed([1; 32]).into()],
            limits,
            seed: [life; 32],
            suites: Suites::all(Cipher::Aes256Gcm),
            reachable: true,
            exclusive: true,
            part: egtp_proto::Part::WHOLE,
        };
        let mut endpoint = Endpoint::new(config, now).expect("the key is good");
        let kind = Kind::new("booked/1").expect("it is one");
        endpoint.set_policy(kind, Policy::Transaction);
        endpoint.add_store(now, IdentityId(0), saved.clone(), |_| 0);
        endpoint.open_mailbox(now, IdentityId(0));
        endpoint.send_letters(IdentityId(0), Letters::Wanted);
        let mut reader = Self { endpoint, saved, now, handed: 0, read: Vec::new() };
        reader.settle();
        (reader.handed, reader.read) = (0, Vec::new());
        reader
    }

    fn bring(&mut self, letter: &[u8]) -> Result<u64, LetterError> {
        let read = self.endpoint.receive_letter(self.now, IdentityId(0), letter)?;
        Ok(read.number)
    }

    fn events(&mut self) {
        while let Some(event) = self.endpoint.next_event() {
            match event {
                Event::Query(query) => {
                    self.handed += 1;
                    self.endpoint.reply(self.now, query.query, Ok(Bytes::from_static(b"yes")));
                }
                Event::Message { query, .. } => {
                    self.handed += 1;
                    self.endpoint.ignore(query);
                }
                Event::LetterRead { number, .. } => self.read.push(number),
                _ => {}
            }
        }
    }

    fn write(&mut self, batch: &Batch) {
        let mut all = Vec::new();
        for row in &batch.rows {
            if let Write::Run(run) = &row.write {
                self.handed += 1;
                let ran = Ran::new(&run.event, Ok(Bytes::from_static(b"booked")));
                if run.wants_reply {
                    let (name, answer) = (run.name, ran.answer.clone());
                    self.saved.apply(Write::Answer { name, answer });
                }
                all.push(ran);
            }
            self.saved.apply(row.write.clone());
        }
        self.endpoint.committed(self.now, batch.number, all);
    }

    fn settle(&mut self) {
        self.events();
        while let Some(batch) = self.endpoint.take_batch() {
            self.write(&batch);
            self.events();
        }
    }

    fn check(&mut self, letter: &[u8]) {
        let Ok(first) = self.bring(letter) else {
            assert_eq!(
                self.endpoint.take_batch(),
                None,
                "a letter that was not read is written down"
            );
            self.events();
            assert_eq!((self.handed, &self.read[..]), (0, &[][..]));
            return;
        };
        self.events();
        assert_eq!(self.handed, 0, "nothing is handed over before the disk has it");
        let under_way = self.endpoint.take_batch();
        assert_eq!(self.read.contains(&first), under_way.is_none());
        let second = self.bring(letter).expect("it was read before");
        self.events();
        if let Some(batch) = under_way {
            assert!(self.read.is_empty(), "it may not go: the disk is at work on it");
            self.write(&batch);
        }
        self.settle();
        assert!(self.read.contains(&first) && self.read.contains(&second));
        let handed = self.handed;
        let _ = self.bring(letter).expect("it was read before");
        self.settle();
        // What had no room while the first was in hand has some now.
        assert!(handed >= ROOM || self.handed == handed, "it was handed over again");
        let mut next = Self::new(self.saved.clone(), 2);
        let _ = next.bring(letter).expect("the prekey outlives a restart");
        next.settle();
        assert!(self.handed >= ROOM || next.handed == 0, "the next life is handed it over again");
    }

    fn head(&self) -> DialogHead {
        let own = self.endpoint.mailbox(IdentityId(0)).expect("it is on the disk");
        let (store, generation) = (own.store, own.prekey.id);
        DialogHead { kind: StoreKind::Letter, dialog: 5, store, generation, low_water: 0 }
    }

    fn prekey(&self) -> MailboxPrekey {
        self.endpoint.mailbox(IdentityId(0)).expect("it is on the disk").prekey
    }
}

fn frames(list: &[Frame<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in list {
        frame.encode(&mut out);
    }
    out
}

fn opening(reader: &Reader, body: &[u8]) -> Vec<u8> {
    let head = MessageHead { serial: 0, class: Class::Send, kind: "test/1" };
    frames(&[Frame::Dialog(reader.head()), Frame::Message(head, body)])
}

/// Sealed by a stranger.
fn seal(how: u8, contact: &[u8], frames: &[u8], reader: &Reader) -> Vec<u8> {
    let suite = if how & 4 == 0 { Suite::Aes256Gcm } else { Suite::ChaCha20Poly1305 };
    let local = LocalKeys::new(&SecretKey::from_seed([2; 32])).expect("the key is good");
    let to = SecretKey::from_seed([1; 32]).public();
    let e = DhKey::from_secret(&[3; 32]).expect("the key is good");
    let contents = Contents { contact, frames };
    letter::seal(&local, (&to, &reader.prekey()), suite, e, contents, &Shroud::new(&to))
        .expect("it is short enough")
}

/// Each way in, and what may be inside.
pub fn seeds() -> Vec<Seed> {
    let reader = Reader::new(Saved::new(STORE), 1);
    let ask = |serial, kind| {
        let class = Class::Request { code: 7, hard_ms: 1000, room: 100 };
        Frame::Message(MessageHead { serial, class, kind }, b"what?")
    };
    let raw = seal(0, &[], &opening(&reader, b"hello"), &reader);
    let bound = frames(&[Frame::Dialog(reader.head()), ask(3, "test/1"), ask(4, "booked/1")]);
    let behind = frames(&[ask(1, "test/1"), ask(2, "booked/1"), ask(0, "test/1")]);
    let many: Vec<_> = (1..12).map(|serial| ask(serial, "test/1")).collect();
    let stray = frames(&[Frame::Replies(9), Frame::Pad, Frame::Ping]);
    let with = |how: u8, bytes: &[u8]| [&[how], bytes].concat();
    vec![
        ("raw", with(RAW, &raw)),
        ("altered", with(ALTERED, &[0, 60, 1])),
        ("frames", with(FRAMES, &bound)),
        ("behind", with(BEHIND, &behind)),
        ("behind_chacha", with(BEHIND | 4, &behind)),
        ("contact", with(BEHIND | (8 * 3), &[&[1, 2, 3], &behind[..]].concat())),
        ("many", with(BEHIND, &frames(&many))),
        ("stray", with(FRAMES, &stray)),
    ]
}

const STORE: u64 = 77;
const RAW: u8 = 0;
const ALTERED: u8 = 1;
const FRAMES: u8 = 2;
const BEHIND: u8 = 3;
/// So many messages may be in hand at a time.
const ROOM: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read() {
        let mut reader = Reader::new(Saved::new(STORE), 1);
        let letter = seal(0, &[], &opening(&reader, b"hello"), &reader);
        reader.check(&letter);
        assert_eq!(reader.handed, 1);
    }
}
