//! What mailboxes hold, as a state in the values of a store.
//!
//! Each call runs inside one transaction of the store, is told the time, and costs a few rows for each letter that it
//! stores, gives out or deletes, however many are held. Knows no nodes. Invariant: the loads of a sender's share, of a
//! mailbox and of all of them are what their letters amount to, and none is above its limit when a letter is added.

use std::time::Duration;

use bytes::Bytes;
use egtp::mailbox::{
    ACKS_MAX, Ack, Deposit, DepositRefused, Get, Held, LETTER_AROUND, LETTERS_AROUND, Letter,
    LetterName, Letters, Mailbox, Measure,
};
use egtp::store::Values;
use egtp::{PublicKey, Refusal};

use super::Limits;
use super::rows::{self, Head, Load, Row, Summary, Total};

/// The mailboxes, for the time of one transaction.
pub(super) struct State<'a> {
    values: &'a mut dyn Values,
    limits: &'a Limits,
    /// In seconds since the Unix epoch.
    now: u64,
}

/// What a letter is added to: its sender's share in a mailbox, the mailbox if there is one, all of them.
#[derive(Clone, Copy, Debug)]
struct Loads {
    share: Load,
    mailbox: Option<Summary>,
    total: Total,
}

impl<'a> State<'a> {
    /// `now` is the time since the Unix epoch.
    pub(super) fn new(values: &'a mut dyn Values, limits: &'a Limits, now: Duration) -> Self {
        Self { values, limits, now: now.as_secs() }
    }

    /// Keeps a letter for a recipient, if there is room.
    pub(super) fn deposit(
        &mut self,
        sender: PublicKey,
        recipient: PublicKey,
        letter: &[u8],
    ) -> Result<Deposit, Refusal> {
        let bytes = u64::try_from(letter.len()).unwrap_or(u64::MAX);
        if bytes > self.limits.letter_bytes_max.into() {
            let limit = self.limits.letter_bytes_max;
            return Ok(Deposit::Refused(DepositRefused::TooLarge { limit }));
        }
        self.sweep()?;
        self.sweep_mailbox(&recipient)?;
        let (sender, name) = (*sender.as_bytes(), LetterName::of(letter));
        let head = Head { stored_at: self.now, sender, name, bytes };
        if let Some(kept) = self.kept(&recipient, &head)? {
            return Ok(Deposit::Stored { kept });
        }
        let loads = self.loads(&recipient, &head)?;
        if let Some(refused) = self.refusal(&loads, &head) {
            return Ok(Deposit::Refused(refused));
        }
        self.add(&recipient, &head, letter, loads)?;
        Ok(Deposit::Stored { kept: self.limits.kept })
    }

    /// The oldest letters of a mailbox that have room, both in what the recipient wants and in the reply.
    pub(super) fn get(
        &mut self,
        recipient: &PublicKey,
        get: Get,
        room: usize,
    ) -> Result<Letters, Refusal> {
        let summary: Summary = self.read_or_default(&rows::summary(recipient))?;
        let wanted = usize::try_from(get.largest).unwrap_or(usize::MAX);
        let mut room = wanted.min(room).saturating_sub(LETTERS_AROUND);
        let (mut letters, mut after) = (Vec::new(), get.after);
        while letters.len() < ACKS_MAX {
            let Some((position, head)) = self.next_head(recipient, after)? else { break };
            after = position;
            let size = usize::try_from(head.bytes).unwrap_or(usize::MAX);
            let size = size.saturating_add(LETTER_AROUND);
            // One that is too large for what is wanted hides no others behind it.
            let is_passed_over =
                self.is_expired(head.stored_at) || letters.is_empty() && size > room;
            if is_passed_over {
                continue;
            }
            if size > room {
                break;
            }
            room -= size;
            let bytes = self.values.get(&rows::letter(recipient, position))?;
            let bytes = Bytes::from(bytes.ok_or(Refusal::Failed)?);
            let age = Duration::from_secs(self.now.saturating_sub(head.stored_at));
            let sender = PublicKey::from_bytes(head.sender).map_err(|_| Refusal::Failed)?;
            letters.push(Letter { position, sender, age, bytes });
        }
        let given = u64::try_from(letters.len()).unwrap_or(u64::MAX);
        let left = small(summary.load.letters.saturating_sub(given));
        Ok(Letters { left, letters })
    }

    /// Deletes the letters of a mailbox of which both the position and the name fit, and says how many.
    pub(super) fn acknowledge(
        &mut self,
        recipient: &PublicKey,
        acks: &[Ack],
    ) -> Result<u32, Refusal> {
        let mut deleted = 0_u32;
        for ack in acks {
            let head: Option<Head> = self.read(&rows::head(recipient, ack.position))?;
            if let Some(head) = head.filter(|head| head.name == ack.name) {
                self.remove(recipient, ack.position, &head)?;
                deleted = deleted.saturating_add(1);
            }
        }
        Ok(deleted)
    }

    /// How much a mailbox holds.
    pub(super) fn held(&mut self, recipient: &PublicKey) -> Result<Held, Refusal> {
        let Summary { load, .. } = self.read_or_default(&rows::summary(recipient))?;
        Ok(Held {
            letters: small(load.letters),
            bytes: load.bytes,
            letters_max: self.limits.mailbox_letters_max,
            bytes_max: self.limits.mailbox_bytes_max,
        })
    }

    /// The mailboxes with the most bytes, so many at most, the largest first.
    pub(super) fn largest(&mut self, most: u32) -> Result<Vec<Mailbox>, Refusal> {
        let (mut found, mut after) = (Vec::new(), rows::largest());
        for _ in 0..most {
            let Some((key, _)) = self.values.next(&after)? else { break };
            let Some(recipient) = rows::ranked(&key) else { break };
            let Summary { load, .. } = self.read_or_default(&rows::summary(&recipient))?;
            found.push(Mailbox { recipient, letters: small(load.letters), bytes: load.bytes });
            after = key;
        }
        Ok(found)
    }

    /// For how long the same letter of the same sender is kept already, if it is.
    fn kept(&mut self, recipient: &PublicKey, head: &Head) -> Result<Option<Duration>, Refusal> {
        let place = rows::place(recipient, &head.sender, head.name);
        let Some(position) = self.read(&place)? else { return Ok(None) };
        let there: Head = self.read(&rows::head(recipient, position))?.ok_or(Refusal::Failed)?;
        if self.is_expired(there.stored_at) {
            self.remove(recipient, position, &there)?;
            return Ok(None);
        }
        let age = Duration::from_secs(self.now.saturating_sub(there.stored_at));
        Ok(Some(self.limits.kept.saturating_sub(age)))
    }

    /// What is held of what a letter would be added to.
    fn loads(&mut self, recipient: &PublicKey, head: &Head) -> Result<Loads, Refusal> {
        Ok(Loads {
            share: self.read_or_default(&rows::share(recipient, &head.sender))?,
            mailbox: self.read(&rows::summary(recipient))?,
            total: self.read_or_default(&rows::total())?,
        })
    }

    /// Why a letter finds no room. The sender's own share first: how full the mailbox is concerns him only after that.
    fn refusal(&self, loads: &Loads, head: &Head) -> Option<DepositRefused> {
        let limits = self.limits;
        let Loads { share, mailbox, total } = *loads;
        let share_max =
            Load { letters: limits.share_letters_max.into(), bytes: limits.share_bytes_max };
        if let Some((measure, held, limit)) = short(share, head.bytes, share_max) {
            return Some(DepositRefused::ShareFull { measure, held, limit });
        }
        let mailbox_max =
            Load { letters: limits.mailbox_letters_max.into(), bytes: limits.mailbox_bytes_max };
        let load = mailbox.unwrap_or_default().load;
        if let Some((measure, held, limit)) = short(load, head.bytes, mailbox_max) {
            return Some(DepositRefused::MailboxFull { measure, held, limit });
        }
        let total_max = Load { letters: limits.letters_max, bytes: limits.bytes_max };
        let is_one_too_many = mailbox.is_none() && total.mailboxes >= limits.mailboxes_max;
        let is_full = is_one_too_many || short(total.load, head.bytes, total_max).is_some();
        is_full.then_some(DepositRefused::RelayFull { retry_after: RETRY_AFTER })
    }

    fn add(
        &mut self,
        recipient: &PublicKey,
        head: &Head,
        letter: &[u8],
        loads: Loads,
    ) -> Result<(), Refusal> {
        let Summary { last, load } = loads.mailbox.unwrap_or_default();
        let position = last.checked_add(1).ok_or(Refusal::Failed)?;
        let summary = Summary { last: position, load: load.with(head.bytes) };
        self.summarize(recipient, (loads.mailbox, summary), loads.total)?;
        let share_key = rows::share(recipient, &head.sender);
        self.write(&share_key, &loads.share.with(head.bytes))?;
        self.write(&rows::head(recipient, position), head)?;
        self.write(&rows::place(recipient, &head.sender, head.name), &position)?;
        self.values.put(&rows::age(head.stored_at, recipient, position), &[])?;
        Ok(self.values.put(&rows::letter(recipient, position), letter)?)
    }

    fn remove(&mut self, recipient: &PublicKey, position: u64, head: &Head) -> Result<(), Refusal> {
        let before: Summary = self.read_or_default(&rows::summary(recipient))?;
        let summary = Summary { load: before.load.without(head.bytes), ..before };
        let total = self.read_or_default(&rows::total())?;
        self.summarize(recipient, (Some(before), summary), total)?;
        let share: Load = self.read_or_default(&rows::share(recipient, &head.sender))?;
        let share = share.without(head.bytes);
        let share_key = rows::share(recipient, &head.sender);
        if share.letters == 0 {
            self.values.remove(&share_key)?;
        } else {
            self.write(&share_key, &share)?;
        }
        self.values.remove(&rows::head(recipient, position))?;
        self.values.remove(&rows::place(recipient, &head.sender, head.name))?;
        self.values.remove(&rows::age(head.stored_at, recipient, position))?;
        Ok(self.values.remove(&rows::letter(recipient, position))?)
    }

    /// Writes down what a mailbox amounts to now, and what that means for all of them.
    fn summarize(
        &mut self,
        recipient: &PublicKey,
        (before, now): (Option<Summary>, Summary),
        mut total: Total,
    ) -> Result<(), Refusal> {
        let was = before.unwrap_or_default().load;
        total.load.letters =
            total.load.letters.saturating_sub(was.letters).saturating_add(now.load.letters);
        total.load.bytes =
            total.load.bytes.saturating_sub(was.bytes).saturating_add(now.load.bytes);
        total.mailboxes = total.mailboxes.saturating_add(before.is_none().into());
        if before.is_some() {
            self.values.remove(&rows::rank(was.bytes, recipient))?;
        }
        if now.load.letters == 0 {
            // Nothing of it stays, so that one which is empty is as one that never was.
            total.mailboxes = total.mailboxes.saturating_sub(1);
            self.values.remove(&rows::summary(recipient))?;
        } else {
            self.write(&rows::summary(recipient), &now)?;
            self.values.put(&rows::rank(now.load.bytes, recipient), &[])?;
        }
        self.write(&rows::total(), &total)
    }

    /// Deletes some of the letters that have been there for too long.
    fn sweep(&mut self) -> Result<(), Refusal> {
        for _ in 0..SWEPT_MAX {
            let Some((key, _)) = self.values.next(&rows::oldest())? else { break };
            if !rows::age_of(&key).is_some_and(|stored_at| self.is_expired(stored_at)) {
                break;
            }
            let Some((recipient, position)) = rows::aged(&key) else { break };
            let head: Option<Head> = self.read(&rows::head(&recipient, position))?;
            self.remove(&recipient, position, &head.ok_or(Refusal::Failed)?)?;
        }
        Ok(())
    }

    /// Deletes some of those in one mailbox, for which room is wanted.
    fn sweep_mailbox(&mut self, recipient: &PublicKey) -> Result<(), Refusal> {
        for _ in 0..SWEPT_MAX {
            let Some((position, head)) = self.next_head(recipient, 0)? else { break };
            if !self.is_expired(head.stored_at) {
                break;
            }
            self.remove(recipient, position, &head)?;
        }
        Ok(())
    }

    fn next_head(
        &mut self,
        recipient: &PublicKey,
        after: u64,
    ) -> Result<Option<(u64, Head)>, Refusal> {
        let Some((key, value)) = self.values.next(&rows::head(recipient, after))? else {
            return Ok(None);
        };
        let Some(position) = rows::position_of(&key, recipient) else { return Ok(None) };
        Ok(Some((position, Head::decode(&value).ok_or(Refusal::Failed)?)))
    }

    /// A clock that was set back makes letters younger, and none expire.
    fn is_expired(&self, stored_at: u64) -> bool {
        self.now.saturating_sub(stored_at) >= self.limits.kept.as_secs()
    }

    fn read<R: Row>(&mut self, key: &[u8]) -> Result<Option<R>, Refusal> {
        let Some(value) = self.values.get(key)? else { return Ok(None) };
        R::decode(&value).map(Some).ok_or(Refusal::Failed)
    }

    fn read_or_default<R: Row + Default>(&mut self, key: &[u8]) -> Result<R, Refusal> {
        Ok(self.read(key)?.unwrap_or_default())
    }

    fn write(&mut self, key: &[u8], row: &impl Row) -> Result<(), Refusal> {
        Ok(self.values.put(key, &row.encode())?)
    }
}

/// What is short if one more letter of so many bytes comes, how much of it is held, and how much may be.
fn short(load: Load, bytes: u64, limit: Load) -> Option<(Measure, u64, u64)> {
    let with = load.with(bytes);
    if with.letters > limit.letters {
        return Some((Measure::Letters, load.letters, limit.letters));
    }
    (with.bytes > limit.bytes).then_some((Measure::Bytes, load.bytes, limit.bytes))
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Letters that one deposit deletes because they have expired: more than it brings, so that they never pile up.
const SWEPT_MAX: usize = 16;
/// When a sender is to try again for whom the relay has no room: recipients collect all the time.
const RETRY_AFTER: Duration = Duration::from_mins(1);

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
