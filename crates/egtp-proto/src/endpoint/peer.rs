//! What an endpoint knows of one peer of one identity.
//!
//! Data and small questions about it; decisions are made in the files beside this one.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::asked::Asked;
use super::copies::Lives;
use super::hints::Hints;
use super::mailboxes::Mailbox;
use super::submit::length;
use crate::card::{LiveCard, StoreKind};
use crate::codes::Table;
use crate::crypto::{DhKey, Random, Suite};
use crate::exchange::assembly::Assembly;
use crate::exchange::backoff::RoundTrip;
use crate::exchange::flight::Flight;
use crate::exchange::open_queries::OpenQueries;
use crate::exchange::outbox::Outbox;
use crate::exchange::outboxes::Outboxes;
use crate::exchange::outgoing::{Binding, Outgoing};
use crate::exchange::resend::{Item, Resend};
use crate::exchange::stores::DialogCode;
use crate::key::PublicKey;
use crate::limits::{Limits, REPORTS_MAX};
use crate::message::Kind;
use crate::output::{IdentityId, PathId};
use crate::planted::{Bug, is};
use crate::session::handshake::{Initiator, Responder};
use crate::session::known_suites::KnownSuites;
use crate::session::live::TransmissionName;
use crate::time::Instant;
use crate::timers::TimerId;
use crate::wire::frame::{Class, PartOf, Refused};
use crate::wire::shroud::Shroud;
use crate::wire::{Header, Serials};

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub identity: IdentityId,
    pub key: PublicKey,
    pub shroud: Shroud,
    /// Confirmed sessions, oldest first.
    pub sessions: Vec<u32>,
    /// Sessions that the peer has opened and not confirmed, oldest first.
    pub provisional: Vec<u32>,
    /// Handshakes of ours, oldest first.
    pub attempts: Vec<Attempt>,
    /// A first flight of the peer that is not answered yet.
    pub answering: Option<Box<Answering>>,
    pub card: Option<KnownCard>,
    /// A card from a first flight, to be used once that session is confirmed.
    pub offered: Option<(u32, LiveCard)>,
    pub suites: KnownSuites,
    /// When it last answered that it takes no hybrid suite.
    pub classical_since: Option<Instant>,
    /// After how much silence its sessions are not used any more, as its contact of this number states.
    pub idle_out: Option<(u64, Duration)>,
    /// How letters reach it, if its contact says so.
    pub mailbox: Option<Box<Mailbox>>,
    pub letters: Correspondence,
    /// The number of our contact that it was told last; 0: none.
    pub told_contact: u64,
    /// Whether the peer cannot be called.
    pub client: bool,
    pub path: Option<PathId>,
    /// Where it came from when it opened a session last, until that is tried.
    pub came_by: Option<PathId>,
    /// Most peers are never asked.
    pub asked: Option<Box<Asked>>,
    pub connect: Connect,
    pub trust: Trust,
    pub outboxes: Outboxes,
    /// Kinds that it remembers on its disk, those learned last at the end.
    pub durable_kinds: Vec<Kind>,
    /// How many open messages of ours want a hybrid suite.
    pub post_quantum_open: usize,
    /// Answers that wait to be sent, by query code.
    pub replies: VecDeque<u32>,
    /// Large bodies that are being sent in parts, in turn.
    pub large: VecDeque<Item>,
    pub resend: Resend,
    /// What of them is on its way.
    pub flight: Flight,
    /// How far messages had been sent when a question about that was asked.
    pub asked_about: Option<(u64, Vec<(u32, usize)>)>,
    pub trip: RoundTrip,
    /// Dialogs of the peer to be acknowledged.
    pub acks: Vec<DialogCode>,
    pub ack_due: Option<Instant>,
    pub refusals: Vec<Refused>,
    /// Dialogs that are not ours (any more), and what is closed in them: everything, if no later run may go on with them.
    pub foreign_dialogs: Vec<(u64, Serials)>,
    pub partials: Vec<(u64, u64, PartOf)>,
    pub challenges: Vec<[u8; 8]>,
    /// Most peers are never sent one.
    pub hints: Option<Box<Hints>>,
    pub owes: Owes,
    pub lives: Lives,
    /// What the peer was last told of our live card.
    pub told: (u32, [u32; 2]),
    /// Since when something that wants an answer is out without any sign of life.
    pub silent_since: Option<Instant>,
    /// Not before this do we open another handshake because of a hint or of silence.
    pub handshake_after: Instant,
    pub handshakes_failed: u32,
    /// Requests that we took and whose reply it awaits.
    pub queries: OpenQueries,
    /// Messages besides these that the application has in hand.
    pub held: usize,
    /// Bytes of both.
    pub query_bytes: usize,
    pub assemblies: BTreeMap<(u64, u64), Incoming>,
    pub assembly_bytes: usize,
    pub timer: Option<(Instant, TimerId)>,
    pub dirty: bool,
    /// Whether it was used since the table last looked for somebody to forget.
    pub used: bool,
}

/// What we know of the peer's live card.
#[derive(Clone, Debug)]
pub(super) struct KnownCard {
    pub card: LiveCard,
    pub learned: Instant,
    /// Whether an earlier life of ours had heard it, and this one has not used it yet.
    pub is_kept: bool,
}

/// What the next record must bring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owes {
    /// A record at once, even an empty one.
    pub record: bool,
    /// Our live card: the peer seems not to know it.
    pub card: bool,
    /// Word that it runs twice.
    pub copies: bool,
}

/// How letters to the peer fare.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Correspondence {
    /// How often they were kept by nobody since one was.
    pub unwanted: u32,
    /// When what was in those is written again.
    pub again: Instant,
    /// Whether a reply has come by letter, and its sender is to hear so, or it would be written again.
    pub has_reply: bool,
}

/// How far a path to the peer is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connect {
    pub asked: bool,
    pub failures: u32,
    pub after: Instant,
}

/// Whether the peer still has the sessions that we have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trust {
    /// Nothing speaks against it.
    Good,
    /// Its path broke: ask for a sign of life before entrusting a message to a session.
    Suspect {
        /// When we asked.
        asked: Option<Instant>,
    },
    /// A hint, or silence: only a new handshake helps.
    Gone,
}

/// A handshake that we began.
#[derive(Debug)]
pub(super) struct Attempt {
    pub session: u32,
    pub ephemeral: DhKey,
    pub suite: Suite,
    pub header: Header,
    /// The Noise message without its ephemeral key, or a knock's padding.
    pub noise: Vec<u8>,
    /// The MAC of the packet as last sent.
    pub mac: [u8; 16],
    /// `None` for a knock, and once it has failed.
    pub flight: Option<Initiator>,
    pub packet: Vec<u8>,
    pub asked: Instant,
    pub next: Instant,
    pub sends: u32,
    pub retries: u8,
    /// Whether it follows on one whose answer allowed a better suite: that is done once.
    pub is_second: bool,
    /// Whether it is still repeated; if not, only a late answer is awaited.
    pub active: bool,
}

/// A first flight of the peer that waits for its answer.
#[derive(Debug)]
pub(super) struct Answering {
    pub session: u32,
    pub remote_session: u32,
    pub responder: Responder,
    pub suite: Suite,
    pub ephemeral: [u8; 32],
    pub path: PathId,
    pub due: Instant,
    /// Queries that came with the flight and have no reply yet.
    pub waiting: u32,
}

/// A large message that has begun to arrive.
#[derive(Debug)]
pub(super) struct Incoming {
    pub class: Class,
    pub kind: Kind,
    pub assembly: Assembly,
    /// Bytes of it that the application has been told of.
    pub told: usize,
    /// The transmissions that it came with, those of first parts: a refusal names each.
    pub names: Vec<TransmissionName>,
}

impl Peer {
    /// Whether one more message of so many bytes fits its share of what the application has in hand.
    pub(super) fn has_share_left(&self, bytes: usize, limits: &Limits) -> bool {
        let held = if is(Bug::HandsUncounted) { 0 } else { self.held };
        self.queries.len() + held < limits.queries_per_peer
            && !self.queries.are_scattered()
            && self.query_bytes.saturating_add(bytes) <= limits.query_bytes_per_peer
    }

    pub(super) fn new(
        identity: IdentityId,
        own: &PublicKey,
        key: PublicKey,
        random: &mut Random,
        now: Instant,
    ) -> Self {
        Self {
            identity,
            key,
            shroud: Shroud::new(&key),
            sessions: Vec::new(),
            provisional: Vec::new(),
            attempts: Vec::new(),
            answering: None,
            card: None,
            offered: None,
            suites: KnownSuites::default(),
            classical_since: None,
            idle_out: None,
            mailbox: None,
            letters: Correspondence::default(),
            told_contact: 0,
            client: false,
            path: None,
            came_by: None,
            asked: None,
            connect: Connect::default(),
            trust: Trust::Good,
            outboxes: Outboxes::new(Outbox::new(StoreKind::Ram, random.u64(), own, &key)),
            post_quantum_open: 0,
            durable_kinds: Vec::new(),
            replies: VecDeque::new(),
            large: VecDeque::new(),
            resend: Resend::default(),
            flight: Flight::default(),
            asked_about: None,
            trip: RoundTrip::default(),
            acks: Vec::new(),
            ack_due: None,
            refusals: Vec::new(),
            foreign_dialogs: Vec::new(),
            partials: Vec::new(),
            challenges: Vec::new(),
            hints: None,
            owes: Owes::default(),
            lives: Lives::default(),
            told: (0, [0; 2]),
            silent_since: None,
            handshake_after: now,
            handshakes_failed: 0,
            queries: OpenQueries::default(),
            held: 0,
            query_bytes: 0,
            assemblies: BTreeMap::new(),
            assembly_bytes: 0,
            timer: None,
            dirty: false,
            used: true,
        }
    }

    /// Whether a message or reply waits to be sent: worth opening a path and a session for.
    pub(super) fn is_pressing(&self) -> bool {
        self.outboxes.queued() > 0
            || !self.replies.is_empty()
            || !self.large.is_empty()
            || self.owes_letter_answers()
    }

    /// Whether what came by letter is still to be answered, and nothing stands by which that would go unasked.
    fn owes_letter_answers(&self) -> bool {
        let is_unconnected = self.path.is_none() || self.sessions.is_empty();
        let refuses = !self.refusals.is_empty() && self.mailbox.is_some();
        let closes = self.letters.has_reply
            && self.mailbox.is_some()
            && self.outboxes.kept().is_some_and(Outbox::has_news);
        let acknowledges = || self.acks.iter().any(|place| place.kind == StoreKind::Letter);
        is_unconnected && (refuses || closes || acknowledges())
    }

    /// Notes how far large messages have been sent, as it is asked whether all before this byte has arrived.
    pub(super) fn note_offsets(&mut self, mark: u64, outgoing: &Table<Outgoing>) {
        if self.asked_about.is_some() {
            return;
        }
        let offsets = self.large.iter().filter_map(|item| match item {
            Item::Message(code) => Some((*code, outgoing.get(*code)?.offset)),
            Item::Reply(_) | Item::Ack(_) => None,
        });
        self.asked_about = Some((mark, offsets.take(ASKED_ABOUT_MAX).collect()));
    }

    /// Messages of this kind are remembered on the peer's disk.
    pub(super) fn learn_durable_kind(&mut self, kind: &Kind) {
        if !self.durable_kinds.contains(kind) {
            if self.durable_kinds.len() >= DURABLE_KINDS_MAX {
                self.durable_kinds.remove(0);
            }
            self.durable_kinds.push(kind.clone());
        }
    }

    /// Whether messages wait that cannot be bound, because the peer's card is not known: it came with a flight
    /// whose session was never confirmed. A handshake brings it.
    pub(super) fn lacks_card(&self) -> bool {
        self.card.is_none() && self.outboxes.queued() > 0
    }

    /// Whether messages of ours are open at a peer that may have begun a new life: only a handshake tells
    /// what has become of them, also of those that nothing more is sent of.
    pub(super) fn awaits_word(&self) -> bool {
        self.trust == Trust::Gone && !self.outboxes.is_empty()
    }

    /// Whether a path is worth opening: something is to be sent, or a reply is awaited that the peer,
    /// who may be unable to call us, can only send where it hears from us.
    pub(super) fn wants_path(&self) -> bool {
        self.is_pressing() || !self.outboxes.is_empty()
    }

    /// Whether there is anything to tell the peer now.
    pub(super) fn has_news(&self, now: Instant) -> bool {
        self.is_pressing()
            || self.owes.record
            || !self.refusals.is_empty()
            || !self.foreign_dialogs.is_empty()
            || !self.partials.is_empty()
            || !self.challenges.is_empty()
            || self.hints.as_ref().is_some_and(|hints| !hints.is_empty())
            || self.ack_due.is_some_and(|due| due <= now)
    }

    /// Whether a card that an earlier life had heard waits here to be used, and can still be.
    pub(super) fn awaits_use(&self, now: Instant) -> bool {
        self.card.as_ref().is_some_and(|known| known.is_kept) && self.fresh_prekey(now).is_some()
    }

    /// Whether it may be forgotten without harm to anything under way.
    pub(super) fn is_idle(&self) -> bool {
        self.outboxes.is_empty()
            && self.queries.is_empty()
            && self.held == 0
            && self.answering.is_none()
            && !self.attempts.iter().any(|attempt| attempt.active)
    }

    /// Whether nothing would be missed if only its sessions were kept: we have never asked it anything, and
    /// nothing is under way.
    pub(super) fn is_only_sessions(&self) -> bool {
        self.is_idle()
            && self.path.is_none()
            && self.outboxes.is_unused()
            && self.provisional.is_empty()
            && self.assemblies.is_empty()
            && self.acks.is_empty()
            && !self.owes.copies
            && !self.is_pressing()
    }

    /// Plans an acknowledgement of a dialog.
    pub(super) fn owe_ack(&mut self, place: DialogCode, due: Instant) {
        if !self.acks.contains(&place) {
            self.acks.push(place);
        }
        self.ack_due = Some(self.ack_due.map_or(due, |earlier| earlier.min(due)));
    }

    /// What new messages that want this store are bound to: the peer's store of that kind as last heard
    /// of, or the one that it has.
    pub(super) fn binding(&self, wants: StoreKind) -> Option<Binding> {
        let stores = &self.card.as_ref()?.card.stores;
        let wanted = stores.iter().find(|store| store.kind == wants);
        wanted.or_else(|| stores.first()).map(Binding::from)
    }

    /// What a message is bound to, or will be when it is sent now.
    pub(super) fn binding_of(&self, one: &Outgoing) -> Option<Binding> {
        one.binding().or_else(|| self.first_binding(one))
    }

    /// Bytes of a message are no longer under way.
    pub(super) fn landed(&mut self, one: &Outgoing) {
        if let Some(outbox) = self.outboxes.of_mut(one.dialog) {
            outbox.landed(length(one));
        }
    }

    /// The prekey of the card, if its stated lifetime is not over.
    pub(super) fn fresh_prekey(&self, now: Instant) -> Option<crate::card::PrekeyCard> {
        let known = self.card.as_ref()?;
        let prekey = known.card.prekey?;
        let lifetime = Duration::from_secs(u64::from(prekey.lifetime));
        (now.since(known.learned) < lifetime).then_some(prekey)
    }

    /// After how much silence the peer's memory of us is in doubt.
    pub(super) fn patience(&self) -> Duration {
        (self.trip.timeout() * 3).max(Duration::from_secs(5))
    }

    /// Whether a handshake of ours is under way.
    pub(super) fn is_shaking(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.active)
    }
}

/// Kinds of a peer that are known to be remembered on its disk. Of one that was forgotten, the next message
/// costs a refusal.
const DURABLE_KINDS_MAX: usize = 16;

/// Large messages whose progress is told at a time; of others only that they are taken.
const ASKED_ABOUT_MAX: usize = 64;

/// Plans a report of how much of a large body has arrived.
pub(super) fn owe_partial(peer: &mut Peer, name: (u64, u64, PartOf)) {
    if peer.partials.len() < REPORTS_MAX && !peer.partials.contains(&name) {
        peer.partials.push(name);
    }
}
