#!/usr/bin/env python3
"""Decodes packets.txt and packets_hybrid.txt and computes letters.txt and message_id.txt again, from their
descriptions alone.

Shares nothing with the product but the description. Needs Python 3.9 and the packages `blake3` and
`cryptography`, of which versions from 47 on have ML-KEM; without it the hybrid packets fail. Ends with code
0 when everything fits.
"""
import hashlib
import hmac
import pathlib
import sys

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PROTOCOL = b"Noise_IKpsk0_25519_ChaChaPoly_SHA256"
HYBRID = {
    0x11: (b"Noise_IKpsk0+psk2_25519_ChaChaPoly_SHA256", ChaCha20Poly1305, "little"),
    0x12: (b"Noise_IKpsk0+psk2_25519_AESGCM_SHA256", AESGCM, "big"),
}
LETTERS = {
    0x01: (b"Noise_Xpsk0_25519_ChaChaPoly_SHA256", ChaCha20Poly1305, "little"),
    0x02: (b"Noise_Xpsk0_25519_AESGCM_SHA256", AESGCM, "big"),
}
STORE = (3).to_bytes(8, "little") + (4).to_bytes(4, "little") + (5).to_bytes(2, "little")
CARD = b"\x02" + STORE


def derive(purpose, *parts):
    return blake3(b"".join(parts), derive_key_context="EGTP v2 2026 " + purpose).digest()


def keyed(key, *parts, length=32):
    return blake3(b"".join(parts), key=key).digest(length=length)


def raw(public):
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def identity(seed):
    """Ed25519 public key, and the X25519 pair that follows from it."""
    secret = hashlib.sha512(seed).digest()[:32]
    return raw(Ed25519PrivateKey.from_private_bytes(seed).public_key()), pair(secret)


def pair(secret):
    private = X25519PrivateKey.from_private_bytes(secret)
    return private, raw(private.public_key())


def agree(private, public):
    return private.exchange(X25519PublicKey.from_public_bytes(public))


def mask(key, packet, count):
    pad = keyed(derive("shroud", key), packet[-16:], length=count)
    return bytes(a ^ b for a, b in zip(packet, pad)) + packet[count:]


def checked(packet, key, masked):
    """The unmasked packet, after its check bytes and, where the type has one, its MAC."""
    plain = mask(key, packet, 16 + masked)
    assert plain[12:16] == bytes(4), "check bytes"
    if masked:
        assert keyed(derive("mac1", key), plain[:-16])[:16] == plain[-16:], "MAC"
    return plain


def nonce(counter):
    return bytes(4) + counter.to_bytes(8, "little")


class Symmetric:
    """SymmetricState and CipherState of Noise, as far as IKpsk0, IKpsk0+psk2 and Xpsk0 need them."""

    def __init__(self, prologue, protocol=PROTOCOL, cipher=ChaCha20Poly1305, order="little"):
        # A name that is no longer than a hash stands for itself.
        name = protocol.ljust(32, b"\0") if len(protocol) <= 32 else hashlib.sha256(protocol).digest()
        self.chain = self.hash = name
        self.cipher, self.order = cipher, order
        self.mix_hash(prologue)

    def mix_hash(self, data):
        self.hash = hashlib.sha256(self.hash + data).digest()

    def expand(self, material, count):
        temp = hmac.digest(self.chain, material, "sha256")
        out, last = [], b""
        for index in range(count):
            last = hmac.digest(temp, last + bytes([index + 1]), "sha256")
            out.append(last)
        return out

    def mix_key(self, material):
        self.chain, self.key = self.expand(material, 2)
        self.counter = 0

    def mix_key_and_hash(self, material):
        self.chain, middle, self.key = self.expand(material, 3)
        self.mix_hash(middle)
        self.counter = 0

    def ephemeral(self, public):
        self.mix_hash(public)
        self.mix_key(public)

    def seal(self, plain):
        number = bytes(4) + self.counter.to_bytes(8, self.order)
        sealed = self.cipher(self.key).encrypt(number, plain, self.hash)
        self.counter += 1
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed):
        number = bytes(4) + self.counter.to_bytes(8, self.order)
        plain = self.cipher(self.key).decrypt(number, sealed, self.hash)
        self.counter += 1
        self.mix_hash(sealed)
        return plain


def check_packets(vectors):
    (key_a, (_, dh_a)), (key_b, (secret_b, dh_b)) = identity(b"\1" * 32), identity(b"\2" * 32)
    (_, e_a), (prekey, prekey_public) = pair(b"\3" * 32), pair(b"\4" * 32)
    e_b_secret, e_b = pair(b"\5" * 32)
    target = hashlib.sha1(key_b + b"egtp2").digest()[:8]
    session_a, session_b = bytes.fromhex("04030201"), bytes.fromhex("14131211")

    knock = checked(vectors["knock"], key_b, 48)
    assert knock[:12] == b"\x10\x01" + session_a + bytes(6)
    assert knock[16:80] == e_a + target + bytes(8) + b"\xc0" * 16
    assert knock[80:-16] == b"\xd0" * 160 and len(knock) == 256

    retry = checked(vectors["retry_prekey"], key_b, 0)
    assert retry[:12] == b"\x40\x00" + session_a + bytes(6)
    key = derive("retry", agree(secret_b, e_a), retry[16:32], knock[-16:])
    body = ChaCha20Poly1305(key).decrypt(bytes(12), retry[32:], retry[:12])
    lifetime = (7200).to_bytes(2, "little")
    card = b"\x03" + (6).to_bytes(4, "little") + prekey_public + lifetime + STORE
    assert body == card + b"\x02\x01\x02" + (8).to_bytes(8, "little")

    ini = checked(vectors["ini"], key_b, 48)
    header = b"\x10\x01" + session_a + (6).to_bytes(4, "little") + bytes(2)
    assert ini[:12] == header
    assert ini[16:80] == e_a + target + bytes(8) + b"\xc0" * 16
    noise = Symmetric(b"EGTP2 live" + header + target + key_b)
    noise.mix_hash(dh_b)
    prekey_id = (6).to_bytes(4, "little")
    psk = derive("prekey", agree(prekey, e_a), e_a, prekey_public, prekey_id)
    noise.mix_key_and_hash(psk)
    noise.ephemeral(e_a)
    noise.mix_key(agree(secret_b, e_a))
    assert noise.open(ini[80:128]) == dh_a
    noise.mix_key(agree(secret_b, dh_a))
    hello = noise.open(ini[128:-16])
    said = bytes([key_a[31] >> 7, 0]) + CARD + (7).to_bytes(8, "little") + b"\x01"
    assert hello == said + bytes(len(hello) - len(said)) and len(ini) == 256

    retry = checked(vectors["retry_cookie"], key_b, 0)
    assert retry[:12] == b"\x40\x01" + session_a + bytes(6)
    key = keyed(derive("retry cookie", derive("mac1", key_b)), retry[16:32], ini[-16:])
    assert ChaCha20Poly1305(key).decrypt(bytes(12), retry[32:], retry[:12]) == b"\xcc" * 16

    rsp = checked(vectors["rsp"], key_a, 32)
    assert rsp[:12] == b"\x20\x01" + session_a + bytes(6) and rsp[16:48] == e_b
    noise.ephemeral(e_b)
    noise.mix_key(agree(e_b_secret, e_a))
    noise.mix_key(agree(e_b_secret, dh_a))
    welcome = session_b + b"\x01" + CARD + b"\x02\x01\x02" + bytes(8) + b"\x01\x00"
    assert noise.open(rsp[48:-16]) == welcome
    root = derive("root", *noise.expand(b"", 2), noise.hash)
    assert (root, noise.hash) == (vectors["root"], vectors["hash"])

    for epoch in range(2):
        forth, back = derive("initiator to responder", root), derive("responder to initiator", root)
        root = derive("next root", root)
        for name, key, receiver, session, lane in [
            (f"record_a_epoch_{epoch}", forth, key_b, session_b, 0),
            (f"record_b_epoch_{epoch}", back, key_a, session_a, 0),
            (f"record_b_epoch_{epoch}_relay", back, key_a, session_a, 1),
        ]:
            if name not in vectors:
                continue
            record = checked(vectors[name], receiver, 0)
            assert record[:12] == bytes([0x30 | lane << 2, epoch]) + session + bytes(6), name
            sealed = ChaCha20Poly1305(key).decrypt(nonce(lane << 62), record[16:], record[:12])
            assert sealed == b"\x01\x00", name

    unknown = checked(vectors["unknown"], key_b, 16)
    assert unknown[:12] == b"\x50\x00" + session_b + bytes(6)
    assert unknown[16:-16] == vectors["record_a_epoch_0"][-16:] and len(unknown) == 48


def check_hybrid(vectors, suite):
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

    vectors = {name[:-3]: value for name, value in vectors.items() if name.endswith(f"_{suite:02x}")}
    (key_a, (_, dh_a)), (key_b, (secret_b, dh_b)) = identity(b"\1" * 32), identity(b"\2" * 32)
    (_, e_a), (prekey, prekey_public) = pair(b"\3" * 32), pair(b"\4" * 32)
    e_b_secret, e_b = pair(b"\5" * 32)
    target = hashlib.sha1(key_b + b"egtp2").digest()[:8]
    session_a, session_b = bytes.fromhex("04030201"), bytes.fromhex("14131211")
    kem = MLKEM768PrivateKey.from_seed_bytes(vectors["kem_seed"])
    kem_key = kem.public_key().public_bytes_raw()
    protocol, cipher, order = HYBRID[suite]

    ini = checked(vectors["ini"], key_b, 48)
    prekey_id = (6).to_bytes(4, "little")
    header = bytes([0x10, suite]) + session_a + prekey_id + bytes(2)
    assert ini[:12] == header and len(ini) >= 1400
    assert ini[16:80] == e_a + target + bytes(8) + b"\xc0" * 16
    noise = Symmetric(b"EGTP2 live" + header + target + key_b, protocol, cipher, order)
    noise.mix_hash(dh_b)
    noise.mix_key_and_hash(derive("prekey", agree(prekey, e_a), e_a, prekey_public, prekey_id))
    noise.ephemeral(e_a)
    noise.mix_key(agree(secret_b, e_a))
    assert noise.open(ini[80:128]) == dh_a
    noise.mix_key(agree(secret_b, dh_a))
    hello = noise.open(ini[128:-16])
    said = kem_key + bytes([key_a[31] >> 7, 0]) + CARD + (7).to_bytes(8, "little") + b"\x01"
    assert hello == said + bytes(len(hello) - len(said))

    rsp = checked(vectors["rsp"], key_a, 32 + 1088)
    assert rsp[:12] == bytes([0x20, suite]) + session_a + bytes(6) and rsp[16:48] == e_b
    ciphertext = rsp[48:1136]
    noise.ephemeral(e_b)
    noise.mix_key(agree(e_b_secret, e_a))
    noise.mix_key(agree(e_b_secret, dh_a))
    noise.mix_key_and_hash(derive("kem", kem.decapsulate(ciphertext), ciphertext, kem_key))
    welcome = session_b + b"\x01" + CARD + b"\x04\x12\x11\x02\x01" + bytes(8) + b"\x01\x00"
    assert noise.open(rsp[1136:-16]) == welcome
    root = derive("root", *noise.expand(b"", 2), noise.hash)
    assert (root, noise.hash) == (vectors["root"], vectors["hash"])

    record = checked(vectors["record"], key_b, 0)
    assert record[:12] == b"\x30\x00" + session_b + bytes(6)
    key = derive("initiator to responder", root)
    assert cipher(key).decrypt(nonce(0), record[16:], record[:12]) == b"\x01\x00"


def letter(suite, contact, frames):
    (key_a, (secret_a, dh_a)), (key_b, (_, dh_b)) = identity(b"\1" * 32), identity(b"\2" * 32)
    (e_secret, e), (_, prekey) = pair(b"\3" * 32), pair(b"\4" * 32)
    protocol, cipher, order = LETTERS[suite]
    number = (6).to_bytes(4, "little")
    header = bytes([0x60, suite]) + number + bytes(6)
    noise = Symmetric(b"EGTP2 letter" + header + key_b, protocol, cipher, order)
    noise.mix_hash(dh_b)
    noise.mix_key_and_hash(derive("mailbox prekey", agree(e_secret, prekey), e, prekey, number))
    noise.ephemeral(e)
    noise.mix_key(agree(e_secret, dh_b))
    static = noise.seal(dh_a)
    noise.mix_key(agree(secret_a, dh_b))
    rest = bytes([len(contact)]) + contact + frames
    payload = bytes([key_a[31] >> 7]) + len(rest).to_bytes(4, "little") + rest
    message = e + static + noise.seal(payload[:32768])
    key, left = derive("letter", noise.expand(b"", 2)[0], noise.hash), payload[32768:]
    for index in range(0, len(left), 16384):
        message += cipher(key).encrypt(nonce(index // 16384), left[index : index + 16384], None)
    return mask(key_b, header + bytes(4) + message, 48)


def check_letters(vectors):
    long = bytes(index % 251 for index in range(60000))
    for suite in LETTERS:
        assert letter(suite, b"", bytes(3)) == vectors[f"short_{suite:02x}"]
        assert letter(suite, b"whoever", bytes(3)) == vectors[f"contact_{suite:02x}"]
        digest = blake3(letter(suite, b"", long)).digest()
        assert digest == vectors[f"hash_of_long_{suite:02x}"]


def check_message_ids(vectors):
    key_a, key_b = identity(b"\1" * 32)[0], identity(b"\2" * 32)[0]
    there, back = 0x0102030405060708, 0x1112131415161718

    def number(value):
        return value.to_bytes(8, "little")

    def message_id(sender, to, kind_of, dialog, serial, flags, reference, kind, body):
        head = b"EGTP2 message, canonical form 1\0" + sender + to + bytes([kind_of])
        head += number(dialog) + bytes(23)
        assert len(head) == 128
        rest = number(serial) + bytes([flags, len(reference)]) + reference
        rest += bytes([len(kind)]) + kind + number(len(body))
        rest += body if len(body) <= 4096 else blake3(body).digest()
        return hashlib.sha256(head + rest).digest()

    kind, body, long = b"block.get/1", b"which block?", bytes(i % 256 for i in range(5000))
    short = message_id(key_a, key_b, 0, there, 3, 0, b"", kind, body)
    assert vectors == {
        "short": short,
        "send": message_id(key_a, key_b, 1, there, 3, 0, b"", kind, body),
        "whole": message_id(key_a, key_b, 0, there, 4, 0, b"", kind, long[:4096]),
        "long": message_id(key_a, key_b, 0, there, 4, 0, b"", kind, long),
        "reply": message_id(key_b, key_a, 2, back, 5, 1, short, b"", b"this one"),
    }


def read(name):
    text = pathlib.Path(__file__).with_name(name).read_text(encoding="ascii")
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {name: bytes.fromhex(value) for name, value in lines}


if __name__ == "__main__":
    check_packets(read("packets.txt"))
    for hybrid in HYBRID:
        check_hybrid(read("packets_hybrid.txt"), hybrid)
    check_letters(read("letters.txt"))
    check_message_ids(read("message_id.txt"))
    sys.stdout.write("packets.txt, packets_hybrid.txt, letters.txt and message_id.txt hold\n")
