//! Every decoder of the crate behind one face: bytes in, whether they were accepted out.
//!
//! Each checks for itself that what it accepts is spelled as it would be written. The list is compared
//! with the sources, so that a decoder that is missing here is found.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "each test file uses its own part, and helpers of tests fail as loudly as tests"
)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::fs;
use std::path::Path;
use std::str::FromStr;

use egtp_proto::crypto::{DhKey, Random, Suite};
use egtp_proto::session::handshake::{Hello, Initiator, LocalKeys, Responder};
use egtp_proto::session::retry::{Cause, decode_advice, decode_cookie};
use egtp_proto::wire::frame::Frame;
use egtp_proto::wire::packet::{Ini, Rsp, decode_unknown};
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::stream::Preamble;
use egtp_proto::wire::{Header, Reader, Serials, VERSION, WireError};
use egtp_proto::{
    Contact, HostName, HostPort, Kind, LiveCard, NodeId, PeerCard, PrekeyCard, PublicKey,
    SecretKey, StoreCard, StoreKind, Strategy, Ticket,
};

/// One decoder.
#[derive(Clone, Copy)]
pub struct Decoder {
    /// As in the sources: the type or module, and the function.
    pub name: &'static str,
    /// Whether it accepts these bytes.
    pub accepts: fn(&[u8]) -> bool,
}

/// All of them.
pub const DECODERS: &[Decoder] = &[
    Decoder {
        name: "Contact::decode",
        accepts: |bytes| {
            Contact::decode(bytes).is_ok_and(|contact| is_same(contact.encode(), bytes))
        },
    },
    Decoder {
        name: "Contact::from_str",
        accepts: |bytes| {
            // White space anywhere in it is ignored, so it has many spellings.
            parsed::<Contact>(bytes).is_some_and(|contact| contact.to_text().parse() == Ok(contact))
        },
    },
    Decoder {
        name: "Frame::decode",
        accepts: |bytes| {
            reads(bytes, |reader, again| Frame::decode(reader).map(|frame| frame.encode(again)))
        },
    },
    Decoder {
        name: "Header::decode",
        accepts: |bytes| {
            // Whatever is too short for a header is filled up.
            let mut header = [0; 12];
            header.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            Header::decode(&header).is_ok_and(|found| is_same(&found.encode(), &header))
        },
    },
    Decoder { name: "HostName::from_str", accepts: |bytes| spelled::<HostName>(bytes) },
    Decoder { name: "HostPort::from_str", accepts: |bytes| spelled::<HostPort>(bytes) },
    Decoder { name: "Ini::decode", accepts: |bytes| Ini::decode(bytes, &shroud()).is_ok() },
    Decoder {
        name: "Initiator::read",
        accepts: |bytes| {
            INITIATOR.with(|initiator| initiator.borrow_mut().read(dh(5).public(), bytes).is_ok())
        },
    },
    Decoder { name: "Kind::from_str", accepts: |bytes| spelled::<Kind>(bytes) },
    Decoder {
        name: "LiveCard::decode",
        accepts: |bytes| {
            reads(bytes, |reader, again| LiveCard::decode(reader).map(|card| card.encode(again)))
        },
    },
    Decoder { name: "NodeId::from_str", accepts: |bytes| spelled::<NodeId>(bytes) },
    Decoder {
        name: "PeerCard::decode",
        accepts: |bytes| PeerCard::decode(bytes).is_ok_and(|card| is_same(&card.encode(), bytes)),
    },
    Decoder {
        name: "Preamble::decode",
        accepts: |bytes| {
            reads(bytes, |reader, again| {
                Preamble::decode(reader)
                    .map(|preamble| again.extend_from_slice(preamble.as_bytes()))
            })
        },
    },
    Decoder { name: "PublicKey::from_str", accepts: |bytes| lowered::<PublicKey>(bytes) },
    Decoder {
        name: "Responder::read",
        accepts: |bytes| {
            KEYS.with(|(keys, prekey)| {
                let (suite, public) = (Suite::ChaCha20Poly1305, *dh(3).public());
                Responder::read(keys, (PREKEY, prekey), (suite, &ini()), &public, bytes, dh(5))
                    .is_ok()
            })
        },
    },
    Decoder { name: "Rsp::decode", accepts: |bytes| Rsp::decode(bytes, &shroud()).is_ok() },
    Decoder { name: "SecretKey::from_str", accepts: |bytes| parsed::<SecretKey>(bytes).is_some() },
    Decoder {
        name: "Serials::decode",
        accepts: |bytes| {
            reads(bytes, |reader, again| {
                Serials::decode(reader).map(|serials| serials.encode(again))
            })
        },
    },
    Decoder {
        name: "Strategy::decode",
        accepts: |bytes| {
            reads(bytes, |reader, again| Strategy::decode(reader).map(|one| one.encode(again)))
        },
    },
    Decoder {
        name: "Strategy::decode_if_known",
        accepts: |bytes| {
            let mut reader = Reader::new(bytes);
            let found = Strategy::decode_if_known(&mut reader);
            assert!(found.is_ok() || reader.remaining() == bytes.len(), "a refusal takes nothing");
            found.is_ok()
        },
    },
    Decoder { name: "Strategy::from_str", accepts: |bytes| lowered::<Strategy>(bytes) },
    Decoder { name: "Ticket::from_str", accepts: |bytes| lowered::<Ticket>(bytes) },
    Decoder {
        name: "packet::decode_unknown",
        accepts: |bytes| decode_unknown(bytes, &shroud()).is_ok(),
    },
    Decoder {
        name: "retry::decode_advice",
        accepts: |bytes| {
            let cause = Cause { shared: &[4; 32], mac: &[5; 16] };
            decode_advice(&mut bytes.to_vec(), &cause).is_ok()
        },
    },
    Decoder {
        name: "retry::decode_cookie",
        accepts: |bytes| decode_cookie(&mut bytes.to_vec(), &[5; 16], &shroud()).is_ok(),
    },
];

/// The decoders that the sources define, by the names that the list uses.
pub fn defined() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

fn collect(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = path.file_stem().unwrap().to_str().unwrap();
            decoders_of(module, &fs::read_to_string(&path).unwrap(), found);
        }
    }
}

/// Functions that turn bytes or a text from outside into something: `decode` with any ending, `read` of
/// a handshake, and `from_str`.
fn decoders_of(module: &str, text: &str, found: &mut BTreeSet<String>) {
    let mut owner = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("impl") {
            let of = rest.rsplit(" for ").next().unwrap().trim_start_matches("<'a>");
            owner = of.trim().split(['<', ' ']).next().map(str::to_owned);
        } else if line.starts_with('}') {
            owner = None;
        }
        let line = line.trim_start();
        let Some(function) =
            line.strip_prefix("pub fn ").or_else(|| line.strip_prefix("fn from_str"))
        else {
            continue;
        };
        let name = function.split(['(', '<']).next().unwrap();
        let name = if line.starts_with("fn from_str") { "from_str" } else { name };
        let is_handshake = name == "read" && module == "handshake";
        if name.starts_with("decode") || name == "from_str" || is_handshake {
            found.insert(format!("{}::{name}", owner.as_deref().unwrap_or(module)));
        }
    }
}

/// Reads one value; what is accepted is what would be written.
pub fn reads(
    bytes: &[u8],
    decode: impl Fn(&mut Reader<'_>, &mut Vec<u8>) -> Result<(), WireError>,
) -> bool {
    let (mut reader, mut again) = (Reader::new(bytes), Vec::new());
    let is_accepted = decode(&mut reader, &mut again).is_ok();
    let taken = bytes.len().checked_sub(reader.remaining()).unwrap();
    assert!(!is_accepted || again == bytes[..taken], "{bytes:02x?} is written as {again:02x?}");
    is_accepted
}

fn is_same(written: &[u8], read: &[u8]) -> bool {
    assert_eq!(written, read, "one spelling only");
    true
}

fn parsed<T: FromStr>(bytes: &[u8]) -> Option<T> {
    str::from_utf8(bytes).ok()?.parse().ok()
}

/// Whether a text is accepted, and then the only one for its value.
fn spelled<T: FromStr + Display + Debug>(bytes: &[u8]) -> bool {
    parsed::<T>(bytes).is_some_and(|value| is_same(value.to_string().as_bytes(), bytes))
}

/// The same for what has a key in it, which may be written in capitals as a whole.
fn lowered<T: FromStr + Display>(bytes: &[u8]) -> bool {
    parsed::<T>(bytes).is_some_and(|value| {
        is_same(&value.to_string().to_ascii_lowercase().into_bytes(), &bytes.to_ascii_lowercase())
    })
}

fn shroud() -> Shroud {
    SHROUD.with(Clone::clone)
}

fn dh(seed: u8) -> DhKey {
    DhKey::from_secret(&[seed; 32]).unwrap()
}

fn ini() -> Header {
    let (version, suite, prekey) = (VERSION, Suite::ChaCha20Poly1305.id(), PREKEY);
    Header::Ini { version, suite, initiator_session: 9, prekey, cookie: false, puzzle: false }
}

fn keys(seed: u8) -> LocalKeys {
    LocalKeys::new(&SecretKey::from_seed([seed; 32])).unwrap()
}

fn initiator() -> Initiator {
    let prekey = PrekeyCard { id: PREKEY, key: *dh(4).public(), lifetime: 60 };
    let store = StoreCard { kind: StoreKind::Ram, id: 3, generation: 4, age: 5 };
    let card = LiveCard { prekey: None, stores: vec![store] };
    let hello = Hello { client: false, card, contact_sequence: 1 };
    let (suite, theirs) = (Suite::ChaCha20Poly1305, keys(2).public);
    let (start, mut random) = ((&theirs, &prekey), Random::from_seed([1; 32]));
    let said = (&hello, &b""[..]);
    Initiator::start(&keys(1), start, (suite, &ini()), dh(3), said, &mut random).unwrap().0
}

thread_local! {
    static SHROUD: Shroud = Shroud::new(&SecretKey::from_seed([1; 32]).public());
    static KEYS: (LocalKeys, DhKey) = (keys(2), dh(4));
    /// It stays as it is: nothing that a test makes up is an answer to it.
    static INITIATOR: RefCell<Initiator> = RefCell::new(initiator());
}

const PREKEY: u32 = 6;
