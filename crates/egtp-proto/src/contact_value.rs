//! What a contact says, and the bytes that are signed for it.
//!
//! Knows the order of the fields and their limits, not the signature around them. Invariant:
//! known fields have one spelling; fields and strategies of later versions are stepped over.

use crate::contact::ContactError;
use crate::key::PublicKey;
use crate::strategy::Strategy;
use crate::wire::{Reader, WireError, Writer};

/// The contents of a contact before signing. [`ContactDraft::sign`] checks all of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContactDraft {
    /// One more than the highest number ever seen for this key; never a bare wall clock, and at
    /// least 1. A number once signed can never be taken back.
    pub sequence: u64,
    /// How to reach the key, best first, at most 16. None for a client, which only calls others.
    pub strategies: Vec<Strategy>,
    /// The ids of the understood cipher suites, best first: one to sixteen, each once.
    pub suites: Vec<u8>,
    /// The key to which mailbox letters are sealed.
    pub mailbox_prekey: Option<MailboxPrekey>,
    /// The id of the store that remembers which letters were read.
    pub letter_store: Option<u64>,
    /// Which running copy of the identity signed; another one is noticed by it.
    pub instance: u64,
    /// The longest message that is accepted, in bytes.
    pub message_bytes_max: u32,
    /// After how many seconds without receiving a session is not used any more: 1 to 86,400.
    pub idle_out_seconds: u32,
    /// The last day of validity, in days since 1970 (UTC), at most 90 days after the signing day.
    pub expiry_day: u32,
    /// The key for which this one may act.
    pub parent: Option<PublicKey>,
}

/// The key to which mailbox letters are sealed, besides the identity's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MailboxPrekey {
    /// Its name, never 0.
    pub id: u32,
    /// The X25519 public key.
    pub key: [u8; 32],
}

/// What was read from the signed bytes.
#[derive(Clone, Debug)]
pub(crate) struct ContactValue {
    /// Everything that this version knows.
    pub(crate) known: ContactDraft,
    /// How many strategies only later versions know.
    pub(crate) unknown_strategies: usize,
}

impl ContactDraft {
    /// The bytes to sign, not checked yet.
    pub(crate) fn encode_value(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u8(VERSION);
        out.put_u32(self.expiry_day);
        out.put_u32(self.idle_out_seconds);
        out.put_u32(self.message_bytes_max);
        out.put_u64(self.instance);
        out.put_prefixed(&self.suites);
        out.put_length(self.strategies.len());
        for strategy in &self.strategies {
            strategy.encode(&mut out);
        }
        if let Some(prekey) = &self.mailbox_prekey {
            let body = [&prekey.id.to_le_bytes()[..], &prekey.key].concat();
            put_field(MAILBOX_PREKEY, &body, &mut out);
        }
        if let Some(id) = self.letter_store {
            put_field(LETTER_STORE, &id.to_le_bytes(), &mut out);
        }
        if let Some(parent) = &self.parent {
            put_field(PARENT, parent.as_bytes(), &mut out);
        }
        out
    }
}

impl ContactValue {
    /// Reads and checks what `key` says (or is about to say) under `sequence`.
    pub(crate) fn decode(
        key: PublicKey,
        sequence: u64,
        value: &[u8],
    ) -> Result<Self, ContactError> {
        // The DHT signs the number as a positive 64-bit integer.
        if sequence == 0 || sequence > i64::MAX.cast_unsigned() {
            return Err(ContactError::Sequence);
        }
        let mut reader = Reader::new(value);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(ContactError::Version(version));
        }
        let expiry_day = reader.u32()?;
        let idle_out_seconds = reader.u32()?;
        if !(1..=IDLE_OUT_SECONDS_MAX).contains(&idle_out_seconds) {
            return Err(ContactError::IdleOut);
        }
        let message_bytes_max = reader.u32()?;
        let instance = reader.u64()?;
        let suites = decode_suites(&mut reader)?;
        let (strategies, unknown_strategies) = decode_strategies(key, &mut reader)?;
        let mut known = ContactDraft {
            sequence,
            strategies,
            suites,
            mailbox_prekey: None,
            letter_store: None,
            instance,
            message_bytes_max,
            idle_out_seconds,
            expiry_day,
            parent: None,
        };
        decode_fields(key, &mut reader, &mut known)?;
        Ok(Self { known, unknown_strategies })
    }
}

fn decode_suites(reader: &mut Reader<'_>) -> Result<Vec<u8>, ContactError> {
    let suites = match reader.prefixed(SUITES_MAX) {
        Err(WireError::TooLarge) => return Err(ContactError::Suites),
        other => other?,
    };
    let repeated = |(index, suite)| suites.iter().take(index).any(|earlier| earlier == suite);
    if suites.is_empty() || suites.iter().enumerate().any(repeated) {
        return Err(ContactError::Suites);
    }
    Ok(suites.to_vec())
}

fn decode_strategies(
    key: PublicKey,
    reader: &mut Reader<'_>,
) -> Result<(Vec<Strategy>, usize), ContactError> {
    let count = match reader.varint_max(STRATEGIES_MAX) {
        Err(WireError::TooLarge) => return Err(ContactError::Strategies),
        other => other?,
    };
    let mut strategies = Vec::with_capacity(count);
    for _ in 0..count {
        let Some(strategy) = Strategy::decode_if_known(reader)? else { continue };
        // Nobody is reached at port 0 or through himself.
        let (itself, at) = match &strategy {
            Strategy::Relay { relay, at } => (*relay == key, at.as_ref()),
            other => (false, other.host_port()),
        };
        if itself || at.is_some_and(|at| at.port == 0) {
            return Err(ContactError::Strategies);
        }
        strategies.push(strategy);
    }
    let unknown = count - strategies.len();
    Ok((strategies, unknown))
}

/// Reads the optional fields. Their tags ascend, so that each set of fields has one spelling.
fn decode_fields(
    key: PublicKey,
    reader: &mut Reader<'_>,
    known: &mut ContactDraft,
) -> Result<(), ContactError> {
    let mut least = 1;
    while !reader.is_empty() {
        let tag = reader.u8()?;
        if tag < least {
            return Err(WireError::NotCanonical.into());
        }
        let mut body = Reader::new(reader.prefixed(VALUE_BYTES_MAX)?);
        match tag {
            MAILBOX_PREKEY => {
                let prekey = MailboxPrekey { id: body.u32()?, key: body.array()? };
                if prekey.id == 0 {
                    return Err(ContactError::Prekey);
                }
                known.mailbox_prekey = Some(prekey);
            }
            LETTER_STORE => known.letter_store = Some(body.u64()?),
            PARENT => {
                let parent = PublicKey::from_bytes(body.array()?)?;
                if parent == key {
                    return Err(ContactError::Parent);
                }
                known.parent = Some(parent);
            }
            _ => drop(body.take_rest()),
        }
        body.finish()?;
        // The highest tag can only be the last.
        let Some(next) = tag.checked_add(1) else { break };
        least = next;
    }
    if reader.is_empty() { Ok(()) } else { Err(WireError::TrailingBytes.into()) }
}

fn put_field(tag: u8, body: &[u8], out: &mut Vec<u8>) {
    out.put_u8(tag);
    out.put_prefixed(body);
}

/// So much fits into an item of the DHT (1,000 bytes with the four of its length).
pub(crate) const VALUE_BYTES_MAX: usize = 995;

const VERSION: u8 = 1;
const SUITES_MAX: usize = 16;
const STRATEGIES_MAX: usize = 16;
const IDLE_OUT_SECONDS_MAX: u32 = 24 * 60 * 60;
const MAILBOX_PREKEY: u8 = 1;
const LETTER_STORE: u8 = 2;
const PARENT: u8 = 3;
