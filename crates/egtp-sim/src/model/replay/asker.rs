//! The real sender: an outbox and its outgoing messages, with what an endpoint does around them.
//!
//! The few lines that an endpoint has between a frame and these parts are repeated here; everything
//! that is decided is decided by the code.

use bytes::Bytes;
use egtp_proto::exchange::outbox::Outbox;
use egtp_proto::exchange::outgoing::{Binding, Consequence, Judgement, Outgoing, State};
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::frame::{Ack, Refusal};
use egtp_proto::{Kind, MessageClass, PublicKey, StoreCard, StoreKind, Taken};

use crate::model::exchange::scope::Scope;
use crate::model::exchange::state::{Each, End, Which};

/// The real sender.
pub(super) struct RealAsker {
    pub(super) outbox: Outbox,
    messages: Vec<(Which, Outgoing)>,
    serials: Each<u64>,
    card: Binding,
}

impl RealAsker {
    /// A sender with its messages. Serials lie so far apart that a window of the code holds as many
    /// messages as one of the model; the serials between are closed.
    pub(super) fn new(
        seed: u64,
        scope: &Scope,
        keys: (&PublicKey, &PublicKey),
        card: Binding,
    ) -> Option<Self> {
        let mut outbox = Outbox::new(StoreKind::Ram, seed, keys.0, keys.1);
        let kind = Kind::new("walk/1").ok()?;
        let between = if scope.window == 1 && scope.messages > 1 { GAP } else { 0 };
        let mut messages = Vec::new();
        let mut serials = Each::same(0);
        for which in Which::ALL.into_iter().filter(|which| which.serial() < scope.messages) {
            let is_request = scope.requests.of(which);
            let class = if is_request { MessageClass::Request } else { MessageClass::Send };
            let (serial, id) = outbox.number(class, kind.as_str(), b"");
            let code = u32::from(which.serial());
            outbox.open(serial, code, 0);
            *serials.at(which) = serial;
            let hard = std::time::Duration::from_hours(1);
            let one = Outgoing::new(
                0,
                0,
                StoreKind::Ram,
                (seed, serial),
                id,
                class,
                kind.clone(),
                Bytes::new(),
                0,
                hard,
            );
            messages.push((which, one));
            if which.serial() + 1 < scope.messages {
                for _ in 0..between {
                    let (serial, _) = outbox.number(MessageClass::Send, kind.as_str(), b"");
                    outbox.open(serial, code, 0);
                    outbox.close(serial, 0);
                }
            }
        }
        Some(Self { outbox, messages, serials, card })
    }

    /// The real number of a message.
    pub(super) const fn serial(&self, which: Which) -> u64 {
        self.serials.of(which)
    }

    /// A message that is not over.
    pub(super) fn message(&self, which: Which) -> Option<&Outgoing> {
        self.messages.iter().find(|(one, _)| *one == which).map(|(_, message)| message)
    }

    fn message_mut(&mut self, which: Which) -> Option<&mut Outgoing> {
        self.messages.iter_mut().find(|(one, _)| *one == which).map(|(_, message)| message)
    }

    /// Whether it would be sent if its turn came.
    pub(super) fn may_send(&self, which: Which) -> bool {
        self.message(which).is_some_and(|one| {
            matches!(one.state, State::Queued | State::Sent) && self.outbox.may_send(one.serial, 0)
        })
    }

    /// Notes a transmission and says what it is bound to.
    pub(super) fn send(&mut self, which: Which, name: [u8; 8], now: Now) -> Option<Binding> {
        let card = self.card;
        let one = self.message_mut(which)?;
        let binding = one.binding().unwrap_or(card);
        one.transmitted(binding, name, now);
        one.state = State::Sent;
        Some(binding)
    }

    fn end(&mut self, which: Which, end: End) -> Option<End> {
        let serial = self.message(which)?.serial;
        self.messages.retain(|(one, _)| *one != which);
        self.outbox.close(serial, 0);
        Some(end)
    }

    pub(super) fn time_out(&mut self, which: Which) -> Option<End> {
        let one = self.message(which)?;
        let end = match one.taken() {
            Taken::Yes => End::TimedOutTaken,
            Taken::Unknown => End::TimedOutUnknown,
            Taken::No => End::TimedOutNotTaken,
        };
        self.end(which, end)
    }

    pub(super) fn give_up(&mut self, which: Which) -> Option<End> {
        self.end(which, End::Unknown)
    }

    pub(super) fn replied(&mut self, which: Which) -> Option<End> {
        self.end(which, End::Reply)
    }

    /// Takes in an acknowledgement; returns the sends that it ended.
    pub(super) fn acknowledged(&mut self, ack: &Ack) -> Vec<Which> {
        let codes = self.outbox.acknowledge(ack);
        let mut accepted = Vec::new();
        for which in Which::ALL {
            if !codes.contains(&u32::from(which.serial())) {
                continue;
            }
            let Some(one) = self.message_mut(which) else { continue };
            if one.class == MessageClass::Send {
                self.end(which, End::Accepted);
                accepted.push(which);
            } else {
                one.acknowledged();
            }
        }
        accepted
    }

    /// Takes in a refusal and the card that comes with it.
    pub(super) fn refused(
        &mut self,
        which: Which,
        name: [u8; 8],
        why: Refusal,
        card: Binding,
    ) -> Option<End> {
        if why == Refusal::Stale {
            self.learn(card);
        }
        let one = self.message_mut(which)?;
        match one.after_refusal(name, why) {
            Consequence::BindAnew | Consequence::BindToDisk => one.unbind(),
            Consequence::Doubt => one.doubt(),
            Consequence::End(_) => return self.end(which, End::Busy),
            Consequence::Wait | Consequence::None => {}
        }
        None
    }

    fn learn(&mut self, card: Binding) {
        if card.store != self.card.store {
            self.outbox.restart_credit();
        }
        self.card = card;
    }

    /// Takes in what the receiver stated in a handshake that began at `asked`; there is a session.
    pub(super) fn told(&mut self, card: &StoreCard, asked: Instant, now: &Now) {
        self.learn(Binding::from(card));
        for (_, one) in &mut self.messages {
            match one.judge(card.id, card.age, asked, now) {
                Judgement::Free => one.unbind(),
                Judgement::Doubtful => one.doubt(),
                Judgement::None => {}
            }
        }
        self.outbox.confirmed();
    }
}

/// Closed serials between two messages: with them a window of 1,024 holds one message.
const GAP: u64 = 1023;
