//! Every bound of the core in one place: its value, the reason for it, and what happens at it.
//!
//! Limits that only one side knows may be changed freely; those marked *wire* are part of the
//! specification and the same everywhere.

use std::time::Duration;

/// Bytes of frames in one record (*wire*). More waiting frames go into the next record.
pub const RECORD_FRAMES_MAX: usize = 16 * 1024;

/// Bytes of a packet on a stream (*wire*): a handshake payload of 32 KiB and its framing. A longer
/// announced length is a stranger.
pub const PACKET_BYTES_MAX: usize = 36 * 1024;

/// Bytes of a handshake payload (*wire*).
pub const HANDSHAKE_PAYLOAD_MAX: usize = 32 * 1024;

/// Bytes of the frames of a letter (*wire*): the longest message and what is around it.
pub const LETTER_FRAMES_MAX: usize = 2 * 1024 * 1024 + 4 * 1024;

/// Bytes of frames of a letter that carries several messages: as many as fit beside the sender's contact in the one
/// message that is sealed at once.
pub const LETTER_FRAMES_USUAL: usize = HANDSHAKE_PAYLOAD_MAX - 2 * 1024;

/// How long a mailbox prekey is the one that a contact lists.
pub const MAILBOX_PREKEY_REPLACED: Duration = Duration::from_hours(7 * 24);

/// How long its secret is kept: a contact that lists it may be signed until it is replaced and is good for 90 days, and
/// a letter may be under way for 14.
pub const MAILBOX_PREKEY_KEPT: Duration = Duration::from_hours((7 + 90 + 14) * 24);

/// How long a letter may be under way (*wire*), and so the longest hard timeout of a message that goes by letters.
pub const LETTER_UNDER_WAY: Duration = Duration::from_hours(14 * 24);

/// Bytes of a hint's body: so many that any fits one record beside its head.
pub const HINT_BYTES_MAX: usize = RECORD_FRAMES_MAX - 256;

/// Bytes of hints that wait for a record, for each peer, see also [`Limits::hint_bytes_max`]. A further one is not sent.
pub const HINTS_BYTES_PER_PEER: usize = 512 * 1024;

/// Bytes of a packet that goes through a relay, in a hint with the key of the peer beside it.
pub const RELAYED_PACKET_MAX: usize = HINT_BYTES_MAX - 64;

/// The shortest packet (*wire*): an empty record. Shorter ones are dropped unread.
pub const PACKET_BYTES_MIN: usize = 32;

/// The shortest first flight (*wire*): so that an answer never exceeds three times what caused it.
pub const INI_BYTES_MIN: usize = 256;

/// The shortest first flight of a hybrid suite (*wire*): as long as a datagram can be that passes nearly
/// everywhere, so that its length tells nothing about what is inside.
pub const INI_BYTES_MIN_HYBRID: usize = 1400;

/// Bytes of a message's kind (*wire*).
pub const KIND_BYTES_MAX: usize = 64;

/// Messages that a first flight or an unconfirmed session may carry (*wire*).
pub const WINDOW_FIRST: u64 = 64;

/// Bytes that may go to an unproven address for each byte that came from there.
pub const UNPROVEN_FACTOR: usize = 3;

/// Messages beyond the lowest missing one that a confirmed session starts with (*wire*).
pub const WINDOW_START: u64 = 1024;

/// What a window grows to at most (*wire*).
pub const WINDOW_MAX: u64 = 65_536;

/// Confirmed sessions kept for each peer (*wire*): the seed's list. A fifth displaces the one that
/// was confirmed first.
pub const SESSIONS_PER_PEER: usize = 4;

/// Unconfirmed sessions kept for each peer: a newer one replaces the oldest of them, never a
/// confirmed one.
pub const PROVISIONAL_PER_PEER: usize = 2;

/// Handshakes of our own for which a late answer still counts, for each peer.
pub const ATTEMPTS_PER_PEER: usize = 3;

/// RETRY packets that one attempt follows before it gives up.
pub const RETRIES_PER_ATTEMPT: u8 = 3;

/// Ranges of serials that an acknowledgement lists (*wire*); what does not fit is listed later.
pub const RANGES_MAX: usize = 32;

/// Refusals that wait for a record, for each peer: more than one record of the smallest messages
/// causes. More are dropped: the sender sends again, and may end as `Unknown` what was only refused.
pub const REFUSALS_MAX: usize = 4096;

/// Foreign dialogs and partial reports that wait for a record, of each sort and for each peer; more
/// are dropped, and caused again by the sender's own repetition.
pub const REPORTS_MAX: usize = 256;

/// How long a first flight is repeated as the same packet before another is made (*wire*).
pub const FIRST_FLIGHT: Duration = Duration::from_secs(8);

/// How long the same answer is given to a repeated first flight (*wire*).
pub const ANSWER_KEPT: Duration = Duration::from_secs(10);

/// How long a responder holds its answer back for replies (*wire*).
pub const ANSWER_DELAY: Duration = Duration::from_millis(5);

/// How long an acknowledgement waits for a record to ride in.
pub const ACK_DELAY: Duration = Duration::from_millis(25);

/// How long an unconfirmed session is kept.
pub const PROVISIONAL_KEPT: Duration = Duration::from_mins(1);

/// A prekey is replaced after this long (*wire*: its lifetime is stated on the card).
pub const PREKEY_REPLACED: Duration = Duration::from_mins(15);

/// A prekey's secret and its duplicate filter are kept this long.
pub const PREKEY_KEPT: Duration = Duration::from_hours(2);

/// An epoch's keys are left behind after this much use.
pub const EPOCH_USED: Duration = Duration::from_mins(15);

/// Records after which an epoch is left behind (*wire*).
pub const EPOCH_RECORDS: u64 = 1 << 23;

/// How long the keys of a past epoch still open records that were slow on a direct path.
pub const EPOCH_KEPT: Duration = Duration::from_mins(2);

/// The same once records have come by a relay, which may hold them up.
pub const EPOCH_KEPT_RELAY: Duration = Duration::from_mins(30);

/// The keys of an epoch that began this long ago are erased although no record has begun the next one: nobody
/// seals under them any more.
pub const EPOCH_RESTS: Duration = Duration::from_mins(30);

/// How often sessions are looked at for such.
pub const SWEEP_EVERY: Duration = Duration::from_mins(5);

/// A session at rest on which nothing was received for this long is forgotten: no contact may state that it is
/// still used for sending.
pub const FROZEN_KEPT: Duration = Duration::from_hours(24);

/// A session in use this long is replaced by a new handshake.
pub const SESSION_USED: Duration = Duration::from_hours(2);

/// Two events on different sessions within this time count as crossed (*wire*).
pub const CROSSED: Duration = Duration::from_secs(10);

/// Bounds that an operator chooses. All are finite; [`Limits::default`] suits a node on a small
/// machine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one message's body. A longer one is not sent, and refused on arrival.
    pub message_bytes_max: usize,
    /// The same for messages of a client: of a peer that cannot be called.
    pub from_client_bytes_max: usize,
    /// The same for messages and replies to a client. A longer message is not sent, a longer reply is refused.
    pub to_client_bytes_max: usize,
    /// Bytes of one reply's body that a request reserves room for, unless it says otherwise.
    pub reply_bytes_max: usize,
    /// Open requests and sends of this endpoint. Above it a new one ends as `NotSent(Busy)`.
    pub open_max: usize,
    /// Bytes of bodies of open requests to one peer. Above it a new one ends as `NotSent(Busy)`.
    pub open_bytes_per_peer: usize,
    /// Messages of one peer that the application has in hand, and replies that are not yet
    /// acknowledged. Above it the peer is told `Busy`.
    pub queries_per_peer: usize,
    /// Bytes of such messages and replies of one peer. Above it the peer is told `Busy`.
    pub query_bytes_per_peer: usize,
    /// Bytes of unfinished large messages of one peer. Above it the peer is told `Busy`.
    pub reassembly_bytes_per_peer: usize,
    /// Dialogs that each store remembers in all. Above it the least recently used one without open queries is
    /// forgotten, and the floor rises so that nothing it had seen can be taken again.
    pub dialogs_max: usize,
    /// Dialogs of one peer in each store. The next one displaces that peer's own oldest.
    pub dialogs_per_peer: usize,
    /// Dialogs that a store for letters remembers in all, and of one peer. Above it what begins another one is left in the
    /// mailbox: such a store forgets nothing before the mailbox prekeys are erased that it was taken under.
    pub letter_dialogs_max: usize,
    /// See above.
    pub letter_dialogs_per_peer: usize,
    /// Dialogs of ours for what outlives our runs that are remembered although nothing is open in them, one of a peer. Above
    /// it one of them is left to the disk, and the next such message to that peer begins another.
    pub kept_dialogs_max: usize,
    /// Peers with any state but a session at rest. Above it the least recently used one without open work is
    /// forgotten; its sessions are put to rest if they can be, else it costs it one handshake.
    pub peers_max: usize,
    /// Sessions at rest with peers of whom nothing else is remembered, of about 105 bytes each. Above it one of
    /// those that came first is forgotten, which costs its peer one handshake.
    pub frozen_max: usize,
    /// Unconfirmed sessions in all: what strangers with valid keys can make us remember.
    pub provisional_max: usize,
    /// First flights remembered for each prekey. When full, the prekey is replaced early.
    pub flights_per_prekey: usize,
    /// Prekeys kept. The oldest is forgotten early, which costs its users one round trip.
    pub prekeys_max: usize,
    /// Answers kept for repeated first flights.
    pub answers_max: usize,
    /// Handshake answers a second to sources that have not proved their address.
    pub unverified_per_second: u32,
    /// The same for sources that have.
    pub verified_per_second: u32,
    /// Bytes of hints that wait for a record, for all peers together, as at a relay. From half of it on each peer has less
    /// than [`HINTS_BYTES_PER_PEER`], and from three quarters on one hint. Above it a further one is not sent.
    pub hint_bytes_max: usize,
    /// A session on which nothing was received for this long is not used for sending, unless the peer's contact
    /// states another time.
    pub idle_out: Duration,
    /// The longest hard timeout; a longer one is shortened to it.
    pub hard_timeout_max: Duration,
}

impl Limits {
    /// Bytes of the longest body that is ever taken: one that passes no single bound by itself.
    #[must_use]
    pub fn largest_taken(&self, from_client: bool) -> usize {
        let role = if from_client { self.from_client_bytes_max } else { usize::MAX };
        self.message_bytes_max
            .min(role)
            .min(self.query_bytes_per_peer)
            .min(self.reassembly_bytes_per_peer)
    }

    /// The longest hard timeout of a message that outlives runs, since it may go by letter.
    #[must_use]
    pub fn longest_kept(&self) -> Duration {
        self.hard_timeout_max.max(LETTER_UNDER_WAY)
    }

    /// Bytes of the longest body that is sent.
    #[must_use]
    pub fn largest_sent(&self, to_client: bool) -> usize {
        let role = if to_client { self.to_client_bytes_max } else { usize::MAX };
        self.message_bytes_max.min(role)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 2 * 1024 * 1024,
            from_client_bytes_max: 2 * 1024 * 1024,
            to_client_bytes_max: 2 * 1024 * 1024,
            reply_bytes_max: 2 * 1024 * 1024,
            open_max: 262_144,
            open_bytes_per_peer: 256 * 1024 * 1024,
            queries_per_peer: 65_536,
            query_bytes_per_peer: 256 * 1024 * 1024,
            reassembly_bytes_per_peer: 64 * 1024 * 1024,
            dialogs_max: 262_144,
            dialogs_per_peer: 4,
            letter_dialogs_max: 65_536,
            letter_dialogs_per_peer: 16,
            kept_dialogs_max: 65_536,
            peers_max: 262_144,
            frozen_max: 1_048_576,
            provisional_max: 4096,
            flights_per_prekey: 65_536,
            prekeys_max: 16,
            answers_max: 1024,
            unverified_per_second: 2_000,
            verified_per_second: 20_000,
            hint_bytes_max: 64 * 1024 * 1024,
            idle_out: Duration::from_hours(1),
            hard_timeout_max: Duration::from_hours(24),
        }
    }
}
