//! Mailbox: a relay keeps letters for those who are away.
//!
//! [`Mailboxes`] is the relay's side: what is kept for whom, in the node's own store. [`deposit`] leaves a letter there,
//! a [`Collector`] fetches what has come. What is said is in [`egtp::mailbox`]. A relay sees who leaves how much for
//! whom, and when it is fetched; letters are sealed, so it can delete and delay them, and nothing else. Invariant: that a
//! letter is kept is said only when it is on the disk, and only its recipient's word or its age takes it away.

mod announcer;
mod client;
mod collector;
mod counts;
mod rows;
mod state;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use egtp::clock::{Clock, SystemClock};
use egtp::mailbox::{
    ACK, Deposit, DepositRefused, GET, Get, HELD, LARGEST, LETTER_AROUND, LETTERS_AROUND, PUT,
    decode_acks, decode_count, decode_put, encode_count, encode_mailboxes,
};
use egtp::store::Values;
use egtp::{
    Allowed, Kind, KindError, Message, Node, QueryEvent, Recipient, Refusal, RequestError, Router,
};

pub use self::announcer::Announcer;
pub use self::client::{DepositError, Stored, deposit};
pub use self::collector::{Collector, Incoming, Mail, POLL, Taken};
use self::counts::Tally;
pub use self::counts::{Counts, HeldInAll};
use self::state::State;

/// How much a relay keeps. At each limit a letter is refused with a sentence that says which, and what helps.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Letters for one recipient.
    pub mailbox_letters_max: u32,
    /// Bytes for one recipient.
    pub mailbox_bytes_max: u64,
    /// Letters from one sender for one recipient: nobody fills another's mailbox alone.
    pub share_letters_max: u32,
    /// Bytes from one sender for one recipient.
    pub share_bytes_max: u64,
    /// Recipients for whom anything is kept at a time.
    pub mailboxes_max: u64,
    /// Letters in all.
    pub letters_max: u64,
    /// Bytes in all.
    pub bytes_max: u64,
    /// Bytes of one letter. With [`egtp::mailbox::LETTER_AROUND`] and [`egtp::mailbox::LETTERS_AROUND`] it has to fit the
    /// largest message of the node (`egtp::Limits`), or the letter could be left here and never be fetched.
    pub letter_bytes_max: u32,
    /// How long a letter is kept that nobody collects, in whole seconds by the relay's wall clock.
    pub kept: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mailbox_letters_max: 1_024,
            mailbox_bytes_max: 64 * 1024 * 1024,
            share_letters_max: 256,
            share_bytes_max: 16 * 1024 * 1024,
            mailboxes_max: 16_384,
            letters_max: 1_048_576,
            bytes_max: 4 * 1024 * 1024 * 1024,
            letter_bytes_max: LETTER_BYTES,
            kept: Duration::from_hours(14 * 24),
        }
    }
}

/// The relay's side. Clones keep the same mailboxes.
#[derive(Clone, Debug)]
pub struct Mailboxes {
    limits: Arc<Limits>,
    recipients: Arc<Allowed>,
    clock: Arc<dyn Clock>,
    mail: announcer::Mail,
    tally: Arc<Tally>,
}

impl Mailboxes {
    /// Mailboxes for these recipients, and who tells them that something has come: run it once the node has started.
    pub fn new(limits: Limits, recipients: Allowed) -> (Self, Announcer) {
        let (mail, announcer) = announcer::new();
        let clock = Arc::new(SystemClock);
        let (limits, recipients) = (Arc::new(limits), Arc::new(recipients));
        (Self { limits, recipients, clock, mail, tally: Arc::default() }, announcer)
    }

    /// Another clock, whose wall time says how old letters are. A clock that is set forward makes them expire early.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// What they hold and have done.
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// What a node serves to keep mailboxes: for those who may leave letters, for the recipients, each of whom reaches
    /// its own mailbox alone, and for the operators, who may ask which are the largest. The node needs a store
    /// (`Builder::store`), and does not start without one.
    ///
    /// # Errors
    /// [`KindError`] if the kinds of [`egtp::mailbox`] were no kinds, which they are.
    pub fn routers(
        &self,
        depositing: Allowed,
        operators: Allowed,
    ) -> Result<[Router; 3], KindError> {
        let here = self.clone();
        let deposits =
            self.route(Router::new(), PUT, move |state, query| here.put(state, query))?;
        let deposits = deposits.allow(depositing);
        let collects = self.route(Router::new(), GET, get)?;
        let collects = self.route(collects, ACK, acknowledge)?;
        let collects = self.route(collects, HELD, held)?;
        let operates = self.route(Router::new(), LARGEST, largest)?.allow(operators);
        Ok([deposits, collects, operates])
    }

    /// Inside the store's transaction, so that whatever is said is on the disk before anybody hears it.
    fn route(
        &self,
        router: Router,
        kind: &str,
        handle: impl Fn(&mut State<'_>, &QueryEvent) -> Result<Bytes, Refusal> + Send + Sync + 'static,
    ) -> Result<Router, KindError> {
        let (limits, clock) = (Arc::clone(&self.limits), Arc::clone(&self.clock));
        let tally = Arc::clone(&self.tally);
        let answer = move |values: &mut dyn Values, query: &QueryEvent| {
            let mut state = State::new(values, &limits, clock.wall());
            let answer = handle(&mut state, query);
            tally.take(&mut state);
            answer
        };
        Ok(router.transact(Kind::new(kind)?, answer))
    }

    fn put(&self, state: &mut State<'_>, query: &QueryEvent) -> Result<Bytes, Refusal> {
        let (recipient, letter) = decode_put(&query.message.body).ok_or(Refusal::Failed)?;
        if !self.recipients.admits(&recipient) {
            self.tally.deposit(&UNKNOWN_RECIPIENT);
            return Ok(UNKNOWN_RECIPIENT.encode());
        }
        let deposit = state.deposit(query.message.from, recipient, &letter)?;
        self.tally.deposit(&deposit);
        if matches!(deposit, Deposit::Stored { .. }) {
            // Whoever asks because of it is answered by a later transaction, and finds the letter.
            self.mail.tell(recipient);
        }
        Ok(deposit.encode())
    }
}

fn get(state: &mut State<'_>, query: &QueryEvent) -> Result<Bytes, Refusal> {
    let get = Get::decode(&query.message.body).ok_or(Refusal::Failed)?;
    Ok(state.get(&query.message.from, get, query.room)?.encode())
}

fn acknowledge(state: &mut State<'_>, query: &QueryEvent) -> Result<Bytes, Refusal> {
    let acks = decode_acks(&query.message.body).ok_or(Refusal::Failed)?;
    let deleted = state.acknowledge(&query.message.from, &acks)?;
    Ok(Bytes::copy_from_slice(&encode_count(deleted)))
}

fn held(state: &mut State<'_>, query: &QueryEvent) -> Result<Bytes, Refusal> {
    if !query.message.body.is_empty() {
        return Err(Refusal::Failed);
    }
    Ok(state.held(&query.message.from)?.encode())
}

fn largest(state: &mut State<'_>, query: &QueryEvent) -> Result<Bytes, Refusal> {
    let most = decode_count(&query.message.body).ok_or(Refusal::Failed)?;
    Ok(encode_mailboxes(&state.largest(most.min(LISTED_MAX))?))
}

/// Asks a relay, and waits as long as a slow one may take for a large letter.
async fn ask(
    node: &Node,
    relay: impl Into<Recipient>,
    kind: &'static str,
    body: Bytes,
) -> Result<Bytes, RequestError> {
    // They are kinds.
    let Ok(kind) = Kind::new(kind) else { return Err(RequestError::Refused(Refusal::UnknownKind)) };
    let request = node.request(relay, Message::new(kind, body));
    let request = request.hard_timeout(PATIENCE).hard_timeout_max(PATIENCE_MAX);
    Ok(request.await?.body)
}

/// How long a relay may take to answer, and while bytes of a large letter are arriving.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_MAX: Duration = Duration::from_mins(10);
const UNKNOWN_RECIPIENT: Deposit = Deposit::Refused(DepositRefused::UnknownRecipient);
/// Mailboxes that an operator is shown at a time.
const LISTED_MAX: u32 = 1_024;
/// Bytes of the longest letter that a node with the limits it has by default can pass on: its largest message is one of
/// 2 MiB.
const LETTER_BYTES: u32 = 2 * 1024 * 1024 - 4 * 1024;
const _: () = assert!(LETTER_AROUND + LETTERS_AROUND <= 4 * 1024);
