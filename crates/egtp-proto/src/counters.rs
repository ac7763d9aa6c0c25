//! What an endpoint has counted, as plain data. Nothing depends on it.

/// Counts since the endpoint was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Packets that arrived.
    pub packets_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Bytes of packets sent.
    pub bytes_sent: u64,
    /// Records opened.
    pub records_opened: u64,
    /// Records sealed.
    pub records_sealed: u64,
    /// First flights let through.
    pub flights_accepted: u64,
    /// Connections handed over to another endpoint of the same identity, because their peer is its.
    pub handed_over: u64,
    /// Sessions put to rest with peers of whom nothing else is kept.
    pub sessions_frozen: u64,
    /// Such sessions that came back into use.
    pub sessions_thawed: u64,
    /// Handshakes of ours that were answered.
    pub handshakes_finished: u64,
    /// Public-key operations (key agreements).
    pub agreements: u64,
    /// Operations with ML-KEM: key pairs made, secrets encapsulated and decapsulated.
    pub encapsulations: u64,
    /// RETRY packets sent.
    pub retries_sent: u64,
    /// Unknown-session hints sent.
    pub unknown_sent: u64,
    /// Packets not sent, because nobody has proved to be at that address and has sent enough.
    pub unproven_held: u64,
    /// Requests and sends of ours.
    pub submitted: u64,
    /// Transmissions of messages, repetitions included.
    pub transmissions: u64,
    /// Letters written.
    pub letters_sealed: u64,
    /// Letters read.
    pub letters_opened: u64,
    /// Messages handed to handlers.
    pub taken: u64,
    /// Messages that had been taken before.
    pub duplicates: u64,
    /// Replies that fitted no open request: late, repeated or misdirected.
    pub late_dropped: u64,
    /// Packets dropped, by the check that refused them.
    pub dropped: Dropped,
}

/// Packets dropped, by the check that refused them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Dropped {
    /// Shorter or longer than any packet.
    pub length: u64,
    /// The four check bytes: not meant for us.
    pub shroud: u64,
    /// An unknown type, or a reserved bit set.
    pub header: u64,
    /// A MAC of a handshake packet.
    pub mac: u64,
    /// A first flight that names another identity.
    pub target: u64,
    /// A first flight that was let through before.
    pub flight_seen: u64,
    /// A handshake message that does not authenticate.
    pub handshake: u64,
    /// An answer to no handshake of ours, or a second one.
    pub answer: u64,
    /// A record of a session or epoch that we do not have.
    pub unknown_session: u64,
    /// A record counter seen before.
    pub replayed: u64,
    /// A record that does not authenticate.
    pub forged: u64,
    /// A hint that echoes nothing we sent, or came too soon.
    pub hint: u64,
    /// A RETRY that does not belong to a handshake of ours, or a second one.
    pub retry: u64,
    /// Over a budget.
    pub budget: u64,
    /// An authenticated peer broke the frame format.
    pub frames: u64,
    /// A handshake or message from ourselves.
    pub oneself: u64,
    /// From a peer of another endpoint of the same identity, on a connection that is somebody's already.
    pub elsewhere: u64,
}

impl Dropped {
    /// The sum.
    pub const fn total(&self) -> u64 {
        self.length
            + self.shroud
            + self.header
            + self.mac
            + self.target
            + self.flight_seen
            + self.handshake
            + self.answer
            + self.unknown_session
            + self.replayed
            + self.forged
            + self.hint
            + self.retry
            + self.budget
            + self.frames
            + self.oneself
            + self.elsewhere
    }
}

/// Adds every field, so that counts of several endpoints can be shown as one. One that is not named does not compile.
macro_rules! sums {
    ($type:ident: $($field:ident)*) => {
        impl std::ops::AddAssign for $type {
            fn add_assign(&mut self, other: Self) {
                let Self { $($field),* } = other;
                $(self.$field += $field;)*
            }
        }
    };
}
pub(crate) use sums;

sums!(Counters:
    packets_received packets_sent bytes_sent records_opened records_sealed flights_accepted handed_over
    sessions_frozen sessions_thawed handshakes_finished agreements encapsulations retries_sent unknown_sent
    unproven_held submitted transmissions letters_sealed letters_opened taken duplicates late_dropped dropped
);

sums!(Dropped:
    length shroud header mac target flight_seen handshake answer unknown_session replayed forged hint retry budget
    frames oneself elsewhere
);
