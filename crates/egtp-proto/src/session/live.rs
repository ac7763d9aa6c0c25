//! One session: keys with a peer, independent of any path.
//!
//! Seals and opens records and remembers what the choice of a session and the unknown-session hint
//! need. Knows no frames. Invariant: nothing moves before a record was authenticated.

use bytes::BytesMut;

use super::choice::Candidate;
use super::epoch::{Epochs, OpenError};
use super::frozen::{Facts, Frozen, Owner};
use crate::crypto::{Role, Suite};
use crate::limits::EPOCH_USED;
use crate::time::Instant;
use crate::wire::shroud::{PREFIX_BYTES, Shroud};
use crate::wire::{Header, Lane};

/// Keys shared with a peer.
#[derive(Debug)]
pub struct Session {
    /// Which peer, as the endpoint numbers them.
    pub peer: u32,
    /// Which side we were in the handshake.
    pub role: Role,
    /// The suite in use.
    pub suite: Suite,
    /// The peer's id for this session.
    pub remote_id: u32,
    /// The handshake hash: the same on both sides, known to nobody else.
    pub hash: [u8; 32],
    /// When the handshake was made.
    pub made: Instant,
    /// When it became certain that the peer has the keys; `None` while provisional.
    pub confirmed: Option<Instant>,
    /// When the last authenticated record arrived.
    pub received: Instant,
    /// Whether something speaks against the peer still having the keys: a hint, or silence. Ends with
    /// the next record that opens.
    pub doubted: bool,
    /// Whether a hybrid one has taken its place: it still receives, and is not used for sending.
    pub is_retired: bool,
    epochs: Epochs,
    /// The tags of the last records sent, which an unknown-session hint must echo.
    tags: [[u8; 16]; 4],
    sent: usize,
}

/// What a record is named by when it is refused.
pub type TransmissionName = [u8; 8];

impl Session {
    /// A session from a finished handshake. `None` only if the library refuses a key.
    pub fn new(
        peer: u32,
        role: Role,
        suite: Suite,
        remote_id: u32,
        (root, hash): (&[u8; 32], [u8; 32]),
        now: Instant,
    ) -> Option<Self> {
        let epochs = Epochs::new(role, suite, root, now)?;
        let confirmed = (role == Role::Initiator).then_some(now);
        Some(Self {
            peer,
            role,
            suite,
            remote_id,
            hash,
            made: now,
            confirmed,
            received: now,
            doubted: false,
            is_retired: false,
            epochs,
            tags: [[0; 16]; 4],
            sent: 0,
        })
    }

    /// A session that was at rest, as the endpoint's `peer`. `None` only for what [`Frozen::new`] has not made.
    pub fn thaw(frozen: &Frozen, peer: u32) -> Option<Self> {
        let facts = frozen.facts()?;
        let mut hash = [0; 32];
        hash.iter_mut().zip(facts.hash).for_each(|(to, from)| *to = from);
        Some(Self {
            peer,
            role: facts.role,
            suite: facts.suite,
            remote_id: facts.remote_id,
            hash,
            made: facts.made,
            confirmed: Some(facts.made),
            received: facts.received,
            doubted: facts.doubted,
            is_retired: facts.is_retired,
            epochs: Epochs::resting(facts.role, facts.suite, frozen.root(), facts.epoch),
            tags: [[0; 16]; 4],
            sent: 0,
        })
    }

    /// Erases keys that neither side uses any more. Returns whether the session is at rest.
    pub fn rest(&mut self, now: Instant) -> bool {
        // The peer follows at once where it hears us: its epoch is younger than ours by no more than that.
        if self.confirmed.is_some() && now.since(self.received) >= EPOCH_USED {
            self.epochs.rest(now);
        }
        self.epochs.rested().is_some()
    }

    /// What is left of a session at rest: `None` for one in use.
    pub fn freeze(&self, id: u32, owner: Owner) -> Option<Frozen> {
        let (root, epoch) = self.epochs.rested()?;
        let facts = Facts {
            owner,
            id,
            remote_id: self.remote_id,
            made: self.made,
            received: self.received,
            hash: self.hash.first_chunk().copied().unwrap_or_default(),
            epoch,
            role: self.role,
            suite: self.suite,
            doubted: self.doubted,
            is_retired: self.is_retired,
        };
        Frozen::new(&facts, root)
    }

    /// Seals `packet` (16 bytes of room, then frames) in place as a record and names it.
    pub fn seal(
        &mut self,
        now: Instant,
        lane: Lane,
        packet: &mut Vec<u8>,
        shroud: &Shroud,
    ) -> Option<TransmissionName> {
        let session = self.remote_id;
        let frames = packet.get_mut(PREFIX_BYTES..)?;
        let (header, tag) = self.epochs.seal(now, lane, frames, |epoch, counter| {
            Header::Record { lane, epoch, session, counter }.encode()
        })?;
        packet.get_mut(..header.len())?.copy_from_slice(&header);
        packet.extend_from_slice(&tag);
        shroud.cover(packet, 0);
        if let Some(slot) = self.tags.get_mut(self.sent % 4) {
            *slot = tag;
        }
        self.sent = self.sent.wrapping_add(1);
        tag.first_chunk().copied()
    }

    /// Whether a record opens, of which a copy is tried: what has changed is to be thrown away.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn would_open(
        mut self,
        now: Instant,
        header: &[u8; 12],
        place: (Lane, u8, u64),
        packet: &[u8],
    ) -> Result<(), OpenError> {
        self.epochs.precheck(now, place.0, place.1, place.2)?;
        self.open(now, header, place, &mut BytesMut::from(packet)).map(|_| ())
    }

    /// Opens a record in place: on success `packet` is cut down to its frames. Returns the
    /// transmission's name and whether it is the newest of its lane.
    ///
    /// # Errors
    /// [`OpenError`]; nothing but the packet's bytes has changed then.
    pub fn open(
        &mut self,
        now: Instant,
        header: &[u8; 12],
        (lane, epoch, counter): (Lane, u8, u64),
        packet: &mut BytesMut,
    ) -> Result<(TransmissionName, bool), OpenError> {
        let tag: [u8; 16] = packet.last_chunk().copied().ok_or(OpenError::Forged)?;
        let bytes = packet.get_mut(PREFIX_BYTES..).ok_or(OpenError::Forged)?;
        let newest = self.epochs.open(now, (lane, epoch, counter), header, bytes)?;
        self.received = now;
        self.doubted = false;
        let end = packet.len().saturating_sub(tag.len());
        packet.truncate(end);
        let _prefix = packet.split_to(PREFIX_BYTES.min(end));
        Ok((tag.first_chunk().copied().unwrap_or_default(), newest))
    }

    /// Whether `tag` is that of one of the last four records sent.
    pub fn sent_lately(&self, tag: &[u8; 16]) -> bool {
        self.tags.iter().take(self.sent).any(|sent| sent == tag)
    }

    /// Appends what tells two states of this session apart to a text.
    ///
    /// # Errors
    /// Those of the text.
    pub fn describe(&self, text: &mut impl std::fmt::Write) -> std::fmt::Result {
        write!(text, "{self:?}")?;
        self.epochs.progress().try_for_each(|progress| write!(text, "{progress:?}"))
    }

    /// What the choice of a session to send on looks at; `None` while provisional, and once retired.
    pub fn candidate(&self, id: u32) -> Option<Candidate> {
        let confirmed = self.confirmed.filter(|_| !self.is_retired)?;
        let (received, suite, hash) = (self.received, self.suite, self.hash);
        Some(Candidate { session: id, role: self.role, confirmed, received, suite, hash })
    }
}
