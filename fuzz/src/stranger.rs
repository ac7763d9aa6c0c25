//! A peer made by hand: genuine keys, a genuine handshake, and frames that say whatever the fuzzer
//! likes. So inputs get behind the cryptography, where an honest peer would never go.
//!
//! Knows the wire and the handshake, nothing of the endpoint's inside. It learns from what the
//! endpoint sends which dialogs and requests there are, so that its lies can be plausible.
//! Invariant: the same calls give the same packets.

use bytes::{Bytes, BytesMut};
use egtp_proto::crypto::{DhKey, Random, Role, Suite};
use egtp_proto::message::Canonical;
use egtp_proto::session::handshake::{Hello, Initiator, LocalKeys};
use egtp_proto::session::live::Session;
use egtp_proto::session::retry::{Advice, Cause, decode_advice};
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::frame::{Class, Frame, ReplyHead};
use egtp_proto::wire::packet::{Ini, Rsp};
use egtp_proto::wire::shroud::Shroud;
use egtp_proto::wire::{Header, Lane, Reader, RetryKind, VERSION};
use egtp_proto::{LiveCard, MessageClass, PublicKey, SecretKey, StoreCard, StoreKind};

/// See the head of this file.
pub struct Stranger {
    keys: LocalKeys,
    random: Random,
    /// Whom it talks to.
    theirs: PublicKey,
    to_them: Shroud,
    to_us: Shroud,
    /// The knock that waits for its advice: session, ephemeral key, MAC.
    knock: Option<(u32, DhKey, [u8; 16])>,
    advice: Option<Advice>,
    flight: Option<(Initiator, Suite)>,
    session: Option<Session>,
    /// Requests of the endpoint that have not been answered here.
    asked: Vec<(u64, ReplyHead)>,
    /// All that it has sent, for replays.
    sent: Vec<Vec<u8>>,
}

impl Stranger {
    /// The peer with the key of `seed`, who wants to talk to `theirs`.
    ///
    /// # Panics
    /// When the library refuses a key, which it does not.
    pub fn new(seed: u8, theirs: PublicKey) -> Self {
        let keys = LocalKeys::new(&SecretKey::from_seed([seed; 32])).expect("the key is good");
        let (to_them, to_us) = (Shroud::new(&theirs), Shroud::new(&keys.public));
        Self {
            keys,
            random: Random::from_seed([seed; 32]),
            theirs,
            to_them,
            to_us,
            knock: None,
            advice: None,
            flight: None,
            session: None,
            asked: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Its key.
    pub const fn key(&self) -> PublicKey {
        self.keys.public
    }

    /// One of the packets that it has sent, the newest first.
    pub fn recorded(&self, back: usize) -> Option<&[u8]> {
        self.sent.iter().rev().nth(back).map(Vec::as_slice)
    }

    /// Knocks.
    pub fn knock(&mut self) -> Option<Vec<u8>> {
        let (header, ephemeral) = (header(0), self.fresh()?);
        let noise: [u8; 160] = self.random.bytes();
        let packet = self.ini(&header, &ephemeral, &noise);
        self.knock = Some((SESSION, ephemeral, *packet.last_chunk()?));
        Some(self.keep(packet))
    }

    /// A first flight with these frames; a knock when it knows no prekey.
    pub fn flight(&mut self, frames: &[u8]) -> Option<Vec<u8>> {
        let prekey = self.advice.as_ref().and_then(|advice| advice.card.prekey);
        let Some(prekey) = prekey else { return self.knock() };
        let (header, ephemeral) = (header(prekey.id), self.fresh()?);
        let store = StoreCard { kind: StoreKind::Ram, id: 99, generation: 1, age: 0 };
        let card = LiveCard { prekey: None, stores: vec![store] };
        let hello = Hello { client: false, card, contact_sequence: 0 };
        let (initiator, noise) = Initiator::start(
            &self.keys,
            (&self.theirs, &prekey),
            (SUITE, &header),
            ephemeral.clone(),
            (&hello, frames),
            &mut self.random,
        )
        .ok()?;
        self.flight = Some((initiator, SUITE));
        let packet = self.ini(&header, &ephemeral, &noise);
        Some(self.keep(packet))
    }

    /// A record with these frames, if there is a session.
    pub fn record(&mut self, now: Now, lane: Lane, frames: &[u8]) -> Option<Vec<u8>> {
        let mut packet = [&[0; 16], frames].concat();
        self.session.as_mut()?.seal(now.boot, lane, &mut packet, &self.to_them)?;
        Some(self.keep(packet))
    }

    /// Takes what the endpoint sent: advice, an answer, or a record.
    pub fn receive(&mut self, now: Now, packet: &[u8]) {
        let taken = self.take_advice(packet).or_else(|| self.take_answer(now.boot, packet));
        if taken.is_none() {
            self.take_record(now.boot, packet);
        }
    }

    /// The same frames with plausible names in place of zeros: the present store of the endpoint, a
    /// request that it waits for. Stops at what is no frame.
    pub fn make_plausible(&self, bytes: &[u8]) -> Vec<u8> {
        let store = self.advice.as_ref().and_then(|advice| advice.card.stores.first());
        let (dialog, asked) = match self.asked.last() {
            Some((dialog, asked)) => (*dialog, Some(asked)),
            None => (0, None),
        };
        let (mut reader, mut out) = (Reader::new(bytes), Vec::new());
        while let Ok(mut frame) = Frame::decode(&mut reader) {
            match (&mut frame, store, asked) {
                (Frame::Dialog(head), Some(store), _) if head.store == 0 => {
                    head.store = store.id;
                    head.generation = store.generation.saturating_add(head.generation);
                }
                (Frame::Replies(named) | Frame::Partial { dialog: named, .. }, _, _)
                    if *named == 0 =>
                {
                    *named = dialog;
                }
                (Frame::Ack(ack), _, _) if ack.dialog == 0 => ack.dialog = dialog,
                (Frame::Refused(refused), _, _) if refused.dialog == 0 => refused.dialog = dialog,
                (Frame::Reply(head, _) | Frame::ReplyFragment(_, Some(head)), _, Some(asked))
                    if head.code == 0 =>
                {
                    *head = ReplyHead { status: head.status, ..*asked };
                }
                _ => {}
            }
            frame.encode(&mut out);
        }
        out
    }

    fn take_advice(&mut self, packet: &[u8]) -> Option<()> {
        let header = Header::decode(&self.to_them.uncovered_prefix(packet)?).ok()?;
        let Header::Retry { session, kind: RetryKind::Prekey, .. } = header else { return None };
        let (knock, ephemeral, mac) = self.knock.as_ref()?;
        let shared = ephemeral.agree(&self.theirs.to_x25519()).ok()?;
        let mut packet = packet.to_vec();
        self.to_them.uncover(&mut packet, header.masked_bytes());
        let cause = Cause { shared: &shared, mac };
        let advice = decode_advice(&mut packet, &cause).ok().filter(|_| session == *knock)?;
        self.advice = Some(advice);
        Some(())
    }

    fn take_answer(&mut self, now: Instant, packet: &[u8]) -> Option<()> {
        let header = Header::decode(&self.to_us.uncovered_prefix(packet)?).ok()?;
        let Header::Rsp { .. } = header else { return None };
        let mut packet = packet.to_vec();
        self.to_us.uncover(&mut packet, header.masked_bytes());
        let rsp = Rsp::decode(&packet, &self.to_us).ok()?;
        let (mut initiator, suite) = self.flight.take()?;
        let (welcome, frames) = initiator.read(&rsp.ephemeral, rsp.noise).ok()?;
        let (root, hash) = initiator.finish().ok()?;
        let remote = welcome.session;
        self.session = Session::new(0, Role::Initiator, suite, remote, (&root, hash), now);
        self.learn(&frames);
        Some(())
    }

    fn take_record(&mut self, now: Instant, packet: &[u8]) -> Option<()> {
        let bytes = self.to_us.uncovered_prefix(packet)?;
        let Ok(Header::Record { lane, epoch, counter, .. }) = Header::decode(&bytes) else {
            return None;
        };
        let mut packet = BytesMut::from(packet);
        let session = self.session.as_mut()?;
        session.open(now, &bytes, (lane, epoch, counter), &mut packet).ok()?;
        self.learn(&packet.freeze());
        Some(())
    }

    /// Remembers what the endpoint asks.
    fn learn(&mut self, frames: &[u8]) {
        let frames = Bytes::copy_from_slice(frames);
        let (mut reader, mut dialog) = (Reader::new(&frames), 0);
        while let Ok(frame) = Frame::decode(&mut reader) {
            match frame {
                Frame::Dialog(head) => dialog = head.dialog,
                Frame::Message(head, body) => {
                    let Class::Request { code, .. } = head.class else { continue };
                    let class = MessageClass::Request;
                    let form = Canonical::new(&self.theirs, &self.keys.public, class, dialog);
                    let reference = form.id(head.serial, 0, None, head.kind, body).reference();
                    let reply = ReplyHead { serial: head.serial, code, reference, status: 0 };
                    self.asked.push((dialog, reply));
                }
                _ => {}
            }
        }
    }

    fn ini(&mut self, header: &Header, ephemeral: &DhKey, noise: &[u8]) -> Vec<u8> {
        let target = self.theirs.node_id().as_bytes().first_chunk().copied().unwrap_or_default();
        let (ephemeral, cookie) = (*ephemeral.public(), self.random.bytes());
        Ini { ephemeral, target, puzzle: [0; 8], cookie, noise, mac: [0; 16] }
            .encode(header, &self.to_them)
    }

    fn fresh(&mut self) -> Option<DhKey> {
        DhKey::from_secret(&self.random.bytes()).ok()
    }

    fn keep(&mut self, packet: Vec<u8>) -> Vec<u8> {
        self.sent.push(packet.clone());
        packet
    }
}

fn header(prekey: u32) -> Header {
    let (version, suite, initiator_session) = (VERSION, SUITE.id(), SESSION);
    Header::Ini { version, suite, initiator_session, prekey, cookie: false, puzzle: false }
}

/// Its own id of every session: it needs no more than one.
const SESSION: u32 = 77;
const SUITE: Suite = Suite::Aes256Gcm;
