//! RETRY: "try again, with this". A fresh live card, or a cookie that proves an address.
//!
//! The card comes sealed under a key that only the identity behind the packet's target can make;
//! the cookie under one that needs no public-key operation. Neither costs the answering side any
//! memory. Invariant: no key is ever used for two different bodies, because 16 random bytes enter it.

use zeroize::Zeroizing;

use super::handshake::SUITES_MAX;
use crate::card::LiveCard;
use crate::crypto::{AeadKey, Random, Suite, derive, keyed, keyed_prefix};
use crate::wire::shroud::{PREFIX_BYTES, Shroud};
use crate::wire::{Header, Reader, RetryKind, WireError, Writer};

/// What a responder tells somebody who knows no prekey of its present life.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Advice {
    /// Its live card.
    pub card: LiveCard,
    /// The suites it takes, in order of preference.
    pub suites: Vec<u8>,
    /// The sequence number of its newest contact; 0: none.
    pub contact_sequence: u64,
}

/// What the key of a RETRY is made of besides the packet's own salt.
pub struct Cause<'a> {
    /// The secret between the INI's ephemeral key and the responder's static key.
    pub shared: &'a [u8; 32],
    /// The MAC of the INI.
    pub mac: &'a [u8; 16],
}

/// Builds the packet that brings `advice`, under the answering identity's own shroud.
pub fn encode_advice(
    session: u32,
    advice: &Advice,
    cause: &Cause<'_>,
    random: &mut Random,
    shroud: &Shroud,
) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(128);
    advice.card.encode(&mut body);
    body.put_prefixed(&advice.suites);
    body.put_u64(advice.contact_sequence);
    let salt = random.bytes();
    let key = advice_key(cause, &salt);
    seal(
        Header::Retry { session, kind: RetryKind::Prekey, puzzle_bits: 0 },
        &salt,
        body,
        &key,
        shroud,
    )
}

/// Reads the advice of an unmasked RETRY.
///
/// # Errors
/// [`WireError::Forbidden`] if it does not authenticate, others if its body is damaged.
pub fn decode_advice(packet: &mut [u8], cause: &Cause<'_>) -> Result<Advice, WireError> {
    let body = open(packet, |salt| advice_key(cause, salt))?;
    let mut reader = Reader::new(body);
    let card = LiveCard::decode(&mut reader)?;
    let suites = reader.prefixed(SUITES_MAX)?.to_vec();
    let contact_sequence = reader.u64()?;
    reader.finish()?;
    Ok(Advice { card, suites, contact_sequence })
}

/// Builds the packet that brings a cookie.
pub fn encode_cookie(
    session: u32,
    cookie: &[u8; 16],
    mac: &[u8; 16],
    random: &mut Random,
    shroud: &Shroud,
) -> Option<Vec<u8>> {
    let salt: [u8; 16] = random.bytes();
    let key = cookie_seal_key(shroud, &salt, mac);
    let header = Header::Retry { session, kind: RetryKind::Cookie, puzzle_bits: 0 };
    seal(header, &salt, cookie.to_vec(), &key, shroud)
}

/// Reads the cookie of an unmasked RETRY. `mac` is that of the INI that caused it.
///
/// # Errors
/// [`WireError::Forbidden`] if it does not belong to that INI.
pub fn decode_cookie(
    packet: &mut [u8],
    mac: &[u8; 16],
    shroud: &Shroud,
) -> Result<[u8; 16], WireError> {
    let body = open(packet, |salt| cookie_seal_key(shroud, salt, mac))?;
    let mut reader = Reader::new(body);
    let cookie = reader.array()?;
    reader.finish()?;
    Ok(cookie)
}

/// The proof that an INI carries: made with the cookie over what identifies the flight.
pub fn cookie_proof(cookie: &[u8; 16], ephemeral: &[u8; 32], noise: &[u8]) -> [u8; 16] {
    let key = derive("cookie proof", &[cookie]);
    keyed_prefix(&key, &[ephemeral, noise])
}

fn advice_key(cause: &Cause<'_>, salt: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    derive("retry", &[cause.shared, salt, cause.mac])
}

fn cookie_seal_key(shroud: &Shroud, salt: &[u8; 16], mac: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(keyed(&shroud.cookie_key(), &[salt, mac]))
}

fn seal(
    header: Header,
    salt: &[u8; 16],
    mut body: Vec<u8>,
    key: &[u8; 32],
    shroud: &Shroud,
) -> Option<Vec<u8>> {
    let header = header.encode();
    let tag = AeadKey::new(Suite::ChaCha20Poly1305, key)?.seal([0; 12], &header, &mut body).ok()?;
    let mut packet = [&header[..], &[0; 4], salt, &body, &tag].concat();
    shroud.cover(&mut packet, 0);
    Some(packet)
}

fn open(
    packet: &mut [u8],
    key: impl FnOnce(&[u8; 16]) -> Zeroizing<[u8; 32]>,
) -> Result<&[u8], WireError> {
    let (prefix, rest) =
        packet.split_first_chunk_mut::<PREFIX_BYTES>().ok_or(WireError::Truncated)?;
    let (salt, sealed) = rest.split_first_chunk_mut::<16>().ok_or(WireError::Truncated)?;
    let header = prefix.first_chunk::<12>().ok_or(WireError::Truncated)?;
    let key = AeadKey::new(Suite::ChaCha20Poly1305, &key(salt)).ok_or(WireError::Forbidden)?;
    key.open([0; 12], header, sealed).map(|body| &*body).map_err(|_| WireError::Forbidden)
}
