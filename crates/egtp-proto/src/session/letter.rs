//! A letter: a packet that is whole by itself, for a mailbox or for paste. No session is needed to read it, so no restart
//! on either side makes it unreadable.
//!
//! Noise's one-way pattern `X` with a pre-shared key that only the holder of the mailbox prekey can make; what does not
//! fit its payload follows in pieces under the key that it ends with. Knows bytes, not what they say. Invariant: a letter
//! opens as a whole or not at all, for one recipient and under one mailbox prekey.

use std::cmp::Ordering;

use zeroize::Zeroizing;

use super::handshake::{HandshakeError, LocalKeys};
use crate::contact::Contact;
use crate::contact_value::MailboxPrekey;
use crate::crypto::{AeadKey, DhKey, Noise, NoiseError, Suite, TAG_BYTES, derive};
use crate::key::PublicKey;
use crate::limits::{HANDSHAKE_PAYLOAD_MAX, LETTER_FRAMES_MAX};
use crate::wire::shroud::{PREFIX_BYTES, Shroud};
use crate::wire::{Header, Reader, VERSION, WireError, Writer};

/// What is sealed in a letter.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// The sender's newest contact, encoded; empty if it has none. Where an answer goes is in there.
    pub contact: &'a [u8],
    /// The frames.
    pub frames: &'a [u8],
}

/// What a letter brought.
#[derive(Debug)]
pub struct Opened {
    /// Who sealed it. Whoever stole the recipient's identity key could have done so as well.
    pub from: PublicKey,
    /// Its contact, not checked yet; empty if it has none.
    pub contact: Vec<u8>,
    /// The frames.
    pub frames: Zeroizing<Vec<u8>>,
}

/// Seals a letter. `ephemeral` must be new.
///
/// # Errors
/// [`HandshakeError`]: the prekey is of small order, the suite has no letters, or the contents are too long.
pub fn seal(
    local: &LocalKeys,
    (to, prekey): (&PublicKey, &MailboxPrekey),
    suite: Suite,
    ephemeral: DhKey,
    Contents { contact, frames }: Contents<'_>,
    shroud: &Shroud,
) -> Result<Vec<u8>, HandshakeError> {
    let shared = ephemeral.agree(&prekey.key).map_err(|_| HandshakeError::Agreement)?;
    let psk = psk(&shared, ephemeral.public(), prekey.id, &prekey.key);
    let header = Header::Letter { version: VERSION, suite: suite.id(), prekey: prekey.id };
    let prologue = prologue(&header, to);
    let keys = (&local.dh, Some(ephemeral));
    let mut noise = Noise::letter(suite, keys, Some(&to.to_x25519()), &psk, &prologue)?;
    let mut payload = Zeroizing::new(Vec::with_capacity(64 + contact.len() + frames.len()));
    payload.put_u8(local.public.sign_bit());
    // Of all that follows, so that nothing can be cut off.
    let mut rest = Zeroizing::new(Vec::with_capacity(contact.len() + frames.len() + 8));
    rest.put_prefixed(contact);
    rest.put(frames);
    if HEAD_BYTES + rest.len() > LETTER_PAYLOAD_MAX {
        return Err(WireError::TooLarge.into());
    }
    payload.put_u32(u32::try_from(rest.len()).map_err(|_| WireError::TooLarge)?);
    payload.put(&rest);
    let (first, rest) = payload.split_at(payload.len().min(HANDSHAKE_PAYLOAD_MAX));
    let mut packet = Vec::with_capacity(PREFIX_BYTES + payload.len() + 256);
    packet.extend_from_slice(&header.encode());
    packet.extend_from_slice(&[0; PREFIX_BYTES - crate::wire::shroud::HEADER_BYTES]);
    packet.extend_from_slice(&noise.write(first)?);
    if !rest.is_empty() {
        let key = piece_key(noise, suite)?;
        for (number, piece) in (0..).zip(rest.chunks(PIECE_BYTES)) {
            let mut piece = piece.to_vec();
            let tag = key.seal(nonce(number), &[], &mut piece);
            packet.append(&mut piece);
            packet.extend_from_slice(&tag.map_err(|_| HandshakeError::Agreement)?);
        }
    }
    shroud.cover(&mut packet, header.masked_bytes());
    Ok(packet)
}

/// Opens an unmasked letter under one mailbox prekey of ours.
///
/// # Errors
/// [`HandshakeError`]; nothing may be remembered of it then.
pub fn open(
    local: &LocalKeys,
    (suite, prekey): (Suite, (u32, &DhKey)),
    packet: &[u8],
) -> Result<Opened, HandshakeError> {
    let (id, key) = prekey;
    let header = Header::Letter { version: VERSION, suite: suite.id(), prekey: id };
    let sealed = packet.get(PREFIX_BYTES..).ok_or(WireError::Truncated)?;
    let ephemeral = sealed.first_chunk::<32>().ok_or(WireError::Truncated)?;
    if sealed.len() > LETTER_SEALED_MAX {
        return Err(WireError::TooLarge.into());
    }
    let shared = key.agree(ephemeral).map_err(|_| HandshakeError::Agreement)?;
    let psk = psk(&shared, ephemeral, id, key.public());
    let prologue = prologue(&header, &local.public);
    let mut noise = Noise::letter(suite, (&local.dh, None), None, &psk, &prologue)?;
    let (first, rest) = sealed.split_at(sealed.len().min(HANDSHAKE_PAYLOAD_MAX + SEALING_BYTES));
    let mut payload = noise.read(first)?;
    let sealed_by = noise.remote_static().ok_or(NoiseError::OutOfOrder)?;
    if !rest.is_empty() {
        let key = piece_key(noise, suite)?;
        for (number, piece) in (0..).zip(rest.chunks(PIECE_BYTES + TAG_BYTES)) {
            let mut piece = Zeroizing::new(piece.to_vec());
            let plain =
                key.open(nonce(number), &[], &mut piece).map_err(|_| NoiseError::Refused)?;
            payload.extend_from_slice(plain);
        }
    }
    let mut reader = Reader::new(&payload);
    let from = PublicKey::from_x25519(&sealed_by, reader.u8()?)?;
    let length = usize::try_from(reader.u32()?).map_err(|_| WireError::TooLarge)?;
    match length.cmp(&reader.remaining()) {
        Ordering::Less => return Err(WireError::TrailingBytes.into()),
        Ordering::Greater => return Err(WireError::Truncated.into()),
        Ordering::Equal => {}
    }
    let contact = reader.prefixed(Contact::BYTES_MAX)?.to_vec();
    let frames = Zeroizing::new(reader.take_rest().to_vec());
    Ok(Opened { from, contact, frames })
}

fn prologue(header: &Header, recipient: &PublicKey) -> Vec<u8> {
    [&b"EGTP2 letter"[..], &header.encode(), recipient.as_bytes()].concat()
}

fn psk(shared: &[u8; 32], ephemeral: &[u8; 32], id: u32, prekey: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    derive("mailbox prekey", &[shared, ephemeral, prekey, &id.to_le_bytes()])
}

/// The key of what follows the Noise message.
fn piece_key(noise: Noise, suite: Suite) -> Result<AeadKey, HandshakeError> {
    let hash = noise.hash();
    let [forth, _] = &*noise.split()?;
    AeadKey::new(suite, &derive("letter", &[forth, &hash])).ok_or(HandshakeError::Agreement)
}

fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    for (to, from) in nonce.iter_mut().skip(4).zip(number.to_le_bytes()) {
        *to = from;
    }
    nonce
}

/// Sign and length.
const HEAD_BYTES: usize = 5;
/// Bytes that Noise adds: the ephemeral key, the sealed static key, the tag.
const SEALING_BYTES: usize = 32 + 32 + 2 * TAG_BYTES;
/// Bytes of a piece of what does not fit the Noise message, before it is sealed.
const PIECE_BYTES: usize = 16 * 1024;
/// Bytes of all that is sealed.
const LETTER_PAYLOAD_MAX: usize = HEAD_BYTES + 2 + Contact::BYTES_MAX + LETTER_FRAMES_MAX;
/// The same as sealed.
const LETTER_SEALED_MAX: usize =
    LETTER_PAYLOAD_MAX + SEALING_BYTES + (LETTER_PAYLOAD_MAX / PIECE_BYTES + 1) * TAG_BYTES;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;

    fn keys(seed: u8) -> LocalKeys {
        LocalKeys::new(&SecretKey::from_seed([seed; 32])).unwrap()
    }

    fn dh(seed: u8) -> DhKey {
        DhKey::from_secret(&[seed; 32]).unwrap()
    }

    fn sealed(suite: Suite, contact: &[u8], frames: &[u8]) -> Vec<u8> {
        let (own, to) = (keys(1), keys(2));
        let prekey = MailboxPrekey { id: 7, key: *dh(3).public() };
        let shroud = Shroud::new(&to.public);
        let contents = Contents { contact, frames };
        seal(&own, (&to.public, &prekey), suite, dh(4), contents, &shroud).unwrap()
    }

    fn opened(suite: Suite, packet: &[u8]) -> Result<Opened, HandshakeError> {
        let to = keys(2);
        let mut packet = packet.to_vec();
        Shroud::new(&to.public).uncover(&mut packet, 32);
        open(&to, (suite, (7, &dh(3))), &packet)
    }

    #[test]
    fn a_letter_of_any_length_opens_as_it_was_sealed() {
        for suite in Suite::CLASSICAL {
            for length in [0, 1, 32_700, 32_757, 32_758, 32_759, 49_141, 49_142, 49_143, 200_000] {
                let frames: Vec<u8> =
                    (0..length).map(|index: usize| index.to_le_bytes()[0]).collect();
                let letter = opened(suite, &sealed(suite, b"contact", &frames)).unwrap();
                assert_eq!(letter.from, keys(1).public);
                assert_eq!((&letter.contact[..], &**letter.frames), (&b"contact"[..], &*frames));
            }
        }
    }

    #[test]
    fn a_letter_that_was_cut_off_or_went_on_is_refused() {
        let suite = Suite::ChaCha20Poly1305;
        let whole = sealed(suite, b"", &vec![5; 70_000]);
        let mut unmasked = whole.clone();
        let to = keys(2);
        Shroud::new(&to.public).uncover(&mut unmasked, 32);
        // Whole pieces are missing, so that each that is left opens.
        let first = PREFIX_BYTES + HANDSHAKE_PAYLOAD_MAX + SEALING_BYTES;
        for pieces in 0..2 {
            let cut = &unmasked[..first + pieces * (PIECE_BYTES + TAG_BYTES)];
            let refused = open(&to, (suite, (7, &dh(3))), cut).unwrap_err();
            assert_eq!(refused, HandshakeError::Payload(WireError::Truncated), "{pieces}");
        }
        let longer = [&unmasked[..], &[0; 16]].concat();
        assert!(open(&to, (suite, (7, &dh(3))), &longer).is_err());
    }

    #[test]
    fn a_letter_opens_under_its_own_prekey_and_suite_alone() {
        let suite = Suite::Aes256Gcm;
        let mut packet = sealed(suite, b"", b"frames");
        Shroud::new(&keys(2).public).uncover(&mut packet, 32);
        let refused = |local: &LocalKeys, suite, id, key| {
            open(local, (suite, (id, &dh(key))), &packet).unwrap_err()
        };
        let own = keys(2);
        let noise = HandshakeError::Noise(NoiseError::Refused);
        assert_eq!(refused(&own, suite, 7, 5), noise, "another prekey");
        assert_eq!(refused(&own, suite, 8, 3), noise, "another id");
        assert_eq!(refused(&own, Suite::ChaCha20Poly1305, 7, 3), noise, "another suite");
        assert_eq!(refused(&keys(5), suite, 7, 3), noise, "somebody else's");
        assert!(open(&own, (suite, (7, &dh(3))), &packet).is_ok());
    }

    #[test]
    fn every_flipped_bit_of_a_short_letter_is_noticed() {
        let suite = Suite::Aes256Gcm;
        let packet = sealed(suite, b"c", b"frames");
        let to = keys(2);
        let shroud = Shroud::new(&to.public);
        for bit in 0..packet.len() * 8 {
            let mut altered = packet.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let is_ours = shroud.uncovered_prefix(&altered).is_some_and(|header| {
                Header::decode(&header)
                    == Ok(Header::Letter { version: VERSION, suite: suite.id(), prekey: 7 })
            });
            assert!(!is_ours || opened(suite, &altered).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn what_is_too_long_for_a_letter_is_not_sealed() {
        let (own, to) = (keys(1), keys(2));
        let prekey = MailboxPrekey { id: 7, key: *dh(3).public() };
        let frames = vec![0; LETTER_PAYLOAD_MAX];
        let contents = Contents { contact: &[], frames: &frames };
        let shroud = Shroud::new(&to.public);
        let refused = seal(&own, (&to.public, &prekey), Suite::Aes256Gcm, dh(4), contents, &shroud);
        assert_eq!(refused.unwrap_err(), HandshakeError::Payload(WireError::TooLarge));
    }
}
