//! Letters of the second implementation (section 4.5).
//!
//! Invariant: as for the rest of it, nothing is taken from the product but primitives, headers and frames.

use egtp_proto::crypto::{AeadKey, DhKey, Noise, Suite};
use egtp_proto::wire::{Header, Reader, VERSION, Writer};
use egtp_proto::{MailboxPrekey, PublicKey, SecretKey};

use super::{h, mask, unmask};

const PIECE: usize = 16_384;
const FIRST: usize = 32_768;

/// A letter with these contents.
pub(crate) fn seal(
    from: &SecretKey,
    to: (&PublicKey, &MailboxPrekey),
    suite: Suite,
    e: &DhKey,
    contact: &[u8],
    frames: &[u8],
) -> Vec<u8> {
    let mut rest = Vec::new();
    rest.put_prefixed(contact);
    rest.extend_from_slice(frames);
    let length = u32::try_from(rest.len()).unwrap();
    let payload = [&[from.public().sign_bit()][..], &length.to_le_bytes(), &rest].concat();
    seal_payload(from, to, suite, e, &payload)
}

/// A letter with this payload, whatever that is.
pub(crate) fn seal_payload(
    from: &SecretKey,
    (to, prekey): (&PublicKey, &MailboxPrekey),
    suite: Suite,
    e: &DhKey,
    payload: &[u8],
) -> Vec<u8> {
    let header = Header::Letter { version: VERSION, suite: suite.id(), prekey: prekey.id }.encode();
    let own = DhKey::from_secret(&from.x25519_secret()).unwrap();
    let shared = e.agree(&prekey.key).unwrap();
    let psk = psk(&shared, e.public(), prekey);
    let prologue = prologue(&header, to);
    let keys = (&own, Some(e.clone()));
    let mut noise = Noise::letter(suite, keys, Some(&to.to_x25519()), &psk, &prologue).unwrap();
    let (first, rest) = payload.split_at(payload.len().min(FIRST));
    let mut packet = [&header[..], &[0; 4], &noise.write(first).unwrap()].concat();
    let key = piece_key(noise, suite);
    for (number, piece) in rest.chunks(PIECE).enumerate() {
        let mut piece = piece.to_vec();
        let tag = key.seal(nonce(number), &[], &mut piece).unwrap();
        packet.extend_from_slice(&piece);
        packet.extend_from_slice(&tag);
    }
    mask(to, &mut packet, 16 + 32);
    packet
}

/// What is in a letter: who has sealed it, its contact, its frames.
pub(crate) fn open(
    to: &SecretKey,
    prekey: (u32, &DhKey),
    packet: &[u8],
) -> Option<(PublicKey, Vec<u8>, Vec<u8>)> {
    let (header, plain) = unmask(&to.public(), packet)?;
    let Header::Letter { suite, prekey: id, .. } = header else { return None };
    let (suite, named) = (Suite::from_id(suite)?, MailboxPrekey { id, key: *prekey.1.public() });
    let own = DhKey::from_secret(&to.x25519_secret()).unwrap();
    let e = plain.get(16..48)?.first_chunk::<32>()?;
    let shared = prekey.1.agree(e).ok()?;
    let (psk, prologue) = (psk(&shared, e, &named), prologue(&header.encode(), &to.public()));
    let mut noise = Noise::letter(suite, (&own, None), None, &psk, &prologue).ok()?;
    let sealed = &plain[16..];
    let (first, rest) = sealed.split_at(sealed.len().min(FIRST + 32 + 48 + 16));
    let mut payload = noise.read(first).ok()?.to_vec();
    let from = noise.remote_static()?;
    let key = piece_key(noise, suite);
    for (number, piece) in rest.chunks(PIECE + 16).enumerate() {
        payload.extend_from_slice(key.open(nonce(number), &[], &mut piece.to_vec()).ok()?);
    }
    let mut reader = Reader::new(&payload);
    let sign = reader.u8().ok()?;
    let length = usize::try_from(reader.u32().ok()?).ok()?;
    (length == reader.remaining() && prekey.0 == id).then_some(())?;
    let contact = reader.prefixed(2_000).ok()?.to_vec();
    Some((PublicKey::from_x25519(&from, sign).ok()?, contact, reader.take_rest().to_vec()))
}

fn prologue(header: &[u8; 12], to: &PublicKey) -> Vec<u8> {
    [&b"EGTP2 letter"[..], header, to.as_bytes()].concat()
}

fn psk(shared: &[u8; 32], e: &[u8; 32], prekey: &MailboxPrekey) -> [u8; 32] {
    h("mailbox prekey", &[shared, e, &prekey.key, &prekey.id.to_le_bytes()])
}

fn piece_key(noise: Noise, suite: Suite) -> AeadKey {
    let hash = noise.hash();
    let split = noise.split().unwrap();
    AeadKey::new(suite, &h("letter", &[&split[0], &hash])).unwrap()
}

fn nonce(number: usize) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&u64::try_from(number).unwrap().to_le_bytes());
    nonce
}
