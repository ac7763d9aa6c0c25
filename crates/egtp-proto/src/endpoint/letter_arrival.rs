//! Letters to us: opened, and read as if their frames had come in a record.
//!
//! Invariant: whoever brought a letter is told that it may be thrown away only when everything in it was taken, and is on
//! the disk; and a letter that cannot be opened has changed nothing.

use bytes::Bytes;

use super::Endpoint;
use super::frames::{Arrival, Carrier};
use super::journal::Waiting;
use crate::contact::Contact;
use crate::crypto::Suite;
use crate::key::PublicKey;
use crate::output::{Assurance, Event, IdentityId};
use crate::planted::{Bug, is};
use crate::session::letter;
use crate::time::Now;
use crate::wire::shroud::PREFIX_BYTES;
use crate::wire::{Header, VERSION};

/// What was read of a letter. [`Event::LetterRead`] says by this number when it may be thrown away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reading {
    /// The number.
    pub number: u64,
    /// Who sealed it.
    pub from: PublicKey,
}

/// Why a letter was not read. Nothing has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LetterError {
    /// It is no letter, or one to somebody else.
    #[error("this is no letter to this identity")]
    NotForUs,
    /// It was written by a later version, or under a suite that this node does not take. An update may help.
    #[error("this letter is of a version or suite that this program does not know")]
    Unknown,
    /// Its mailbox prekey was erased, or never was ours: the sender has an old contact, and hears nothing.
    #[error("this letter is sealed to a mailbox prekey that is not there any more")]
    PrekeyErased,
    /// It was altered, or is not what it should be inside.
    #[error("this letter is damaged")]
    Damaged,
    /// We have written it ourselves.
    #[error("this letter is from this identity itself")]
    Oneself,
    /// There is no room at the moment, or the disk does not write. The same letter may be brought again.
    #[error("this node has no room for a letter at the moment; bring it again later")]
    Busy,
}

impl Endpoint {
    /// Reads a letter, however it came here.
    ///
    /// # Errors
    /// [`LetterError`]; all but [`LetterError::Busy`] will not be different next time, unless the program is.
    pub fn receive_letter(
        &mut self,
        now: Now,
        identity: IdentityId,
        letter: &[u8],
    ) -> Result<Reading, LetterError> {
        if self.journal.takes_no_more() {
            return Err(LetterError::Busy);
        }
        let own = self.identity(identity).ok_or(LetterError::NotForUs)?;
        let bytes = own.shroud.uncovered_prefix(letter).ok_or(LetterError::NotForUs)?;
        let header = Header::decode(&bytes).map_err(|_| LetterError::NotForUs)?;
        let Header::Letter { version, suite, prekey } = header else {
            return Err(LetterError::NotForUs);
        };
        if version != VERSION {
            return Err(LetterError::Unknown);
        }
        let suite = Suite::from_id(suite).ok_or(LetterError::Unknown)?;
        let key = own.mailbox_prekeys.get(prekey).ok_or(LetterError::PrekeyErased)?;
        let mut packet = letter.to_vec();
        own.shroud.uncover(&mut packet, header.masked_bytes());
        let opened = letter::open(&own.secret_keys, (suite, (prekey, key)), &packet);
        let opened = opened.map_err(|_| LetterError::Damaged)?;
        let from = opened.from;
        if from == own.secret_keys.public {
            return Err(LetterError::Oneself);
        }
        let name = packet.get(PREFIX_BYTES..).and_then(|sealed| sealed.first_chunk().copied());
        let name = name.ok_or(LetterError::Damaged)?;
        let peer = self.peer_code(now.boot, identity, from).ok_or(LetterError::Busy)?;
        self.counters.letters_opened += 1;
        if !opened.contact.is_empty() {
            self.take_contact(peer, &opened.contact);
        }
        let (assurance, carrier) = (Assurance::Letter, Carrier::Letter);
        let arrival = Arrival { peer, identity, name, assurance, carrier };
        let frames = Bytes::copy_from_slice(&opened.frames);
        let all_taken = self.receive_frames(now, arrival, &frames);
        self.letters_made += 1;
        let number = self.letters_made;
        if is(Bug::LetterReadBeforeTheDisk) {
            self.events.push_back(Event::LetterRead { number, all_taken });
        } else {
            self.wait_for_what_is_planned(Waiting::Letter { number, all_taken });
        }
        self.soil(peer);
        Ok(Reading { number, from })
    }

    /// A peer hands over its contact. `None` if that is not its own, or damaged.
    pub(super) fn take_contact(&mut self, code: u32, bytes: &[u8]) -> Option<()> {
        let peer = self.peers.get(code)?;
        let (identity, key) = (peer.identity, peer.key);
        let contact = Contact::decode(bytes).ok().filter(|contact| contact.key() == key)?;
        self.learn_contact(&contact);
        self.events.push_back(Event::Contact { identity, contact: Box::new(contact) });
        Some(())
    }
}
