//! The sender's side of the model: what it may send, and what it makes of answers.
//!
//! Follows sections 7.1 to 7.4 of the specification, not the code. Invariant: a message that has
//! ended never changes again, so it has one outcome.

use super::rules::{Rule, Rules};
use super::scope::{MARGIN, Scope};
use super::state::{
    Ack, Asker, Binding, Each, End, Message, Network, Standing, Statement, Which, Why,
};

impl Message {
    /// One that was not sent, or has ended.
    const fn new(standing: Standing) -> Self {
        Self { standing, bound: None, unrefusable: false, boot: 0, wall: 0 }
    }
}

impl Asker {
    /// A sender that has a session with the first life, and messages that nobody has seen.
    pub fn new(scope: &Scope) -> Self {
        let mut messages = Each::same(Message::new(Standing::Open));
        for which in Which::ALL {
            if which.serial() >= scope.messages {
                *messages.at(which) = Message::new(Standing::Over { surely_not: true });
            }
        }
        Self {
            messages,
            card: Binding { life: 1, generation: 1 },
            session: 1,
            limit: scope.window,
            untold: false,
        }
    }

    /// What is over.
    pub fn closed(&self) -> Each<bool> {
        let mut closed = Each::default();
        for which in Which::ALL {
            *closed.at(which) = self.is_over(which);
        }
        closed
    }

    /// Whether a message is over.
    pub fn is_over(&self, which: Which) -> bool {
        matches!(self.messages.of(which).standing, Standing::Over { .. })
    }

    /// Whether a message may be sent (again) now.
    pub fn may_send(&self, rules: Rules, scope: &Scope, which: Which) -> bool {
        let message = self.messages.of(which);
        let again = message.bound.is_some();
        message.standing == Standing::Open
            && self.has_credit(rules, scope, which)
            && (!again || rules.has(Rule::SentAgain))
    }

    /// Whether the answerer will not refuse a message for lack of window. What is closed gives its
    /// credit back: the low water goes with the message and is applied first.
    fn has_credit(&self, rules: Rules, scope: &Scope, which: Which) -> bool {
        let sure = self.closed().base() + scope.window;
        let follows = rules.has(Rule::CreditFollows);
        which.serial() < if follows { self.limit.max(sure) } else { self.limit }
    }

    /// Whether nothing can have come of a message: each transmission was refused.
    pub fn is_surely_refused(&self, network: &Network, which: Which) -> bool {
        !self.messages.of(which).unrefusable
            && !network.transmissions.iter().any(|one| one.message == which && one.counts)
    }

    /// Ends a message.
    fn end(&mut self, which: Which, end: End) -> Option<End> {
        if self.is_over(which) {
            return None;
        }
        let surely_not = matches!(end, End::Busy | End::TimedOutNotTaken);
        *self.messages.at(which) = Message::new(Standing::Over { surely_not });
        self.untold = true;
        Some(end)
    }

    /// The end of a doubt.
    pub fn give_up(&mut self, which: Which) -> Option<End> {
        self.end(which, End::Unknown)
    }

    /// The hard timeout.
    pub fn time_out(&mut self, network: &Network, which: Which) -> Option<End> {
        let end = match self.messages.of(which).standing {
            Standing::Taken | Standing::Doubtful { taken: true } => End::TimedOutTaken,
            _ if self.is_surely_refused(network, which) => End::TimedOutNotTaken,
            _ => End::TimedOutUnknown,
        };
        self.end(which, end)
    }

    /// Takes in an acknowledgement; gives the sends that it ends.
    pub fn acknowledged(&mut self, scope: &Scope, ack: Ack) -> Each<Option<End>> {
        let mut ends = Each::default();
        self.limit = self.limit.max(ack.limit);
        for which in Which::ALL {
            if !ack.taken.of(which) || self.is_over(which) {
                continue;
            }
            if !scope.requests.of(which) {
                *ends.at(which) = self.end(which, End::Accepted);
                continue;
            }
            let message = self.messages.at(which);
            message.standing = match message.standing {
                Standing::Doubtful { .. } => Standing::Doubtful { taken: true },
                _ => Standing::Taken,
            };
        }
        ends
    }

    /// Takes in a reply.
    pub fn replied(&mut self, which: Which) -> Option<End> {
        // If it was over, the answerer has not heard so: it is told again.
        self.untold = true;
        self.end(which, End::Reply)
    }

    /// Takes in the refusal of a transmission. `counted`: it did count as not refused until now, and
    /// its refusal is definitive.
    pub fn refused(
        &mut self,
        rules: Rules,
        network: &mut Network,
        which: Which,
        why: Why,
        counted: bool,
    ) -> Option<End> {
        if self.is_over(which) {
            return None;
        }
        let free =
            counted && (self.is_surely_refused(network, which) || !rules.has(Rule::EachRefused));
        match (why, free) {
            (Why::Stale, true) => self.rebind(network, which),
            (Why::Stale, false) => self.doubt(which),
            (Why::Busy, true) => return self.end(which, End::Busy),
            (Why::Busy, false) if !rules.has(Rule::BusyIsCertain) => {
                return self.end(which, End::Busy);
            }
            (Why::Window | Why::Busy, _) => {}
        }
        None
    }

    /// Binds a message anew at its next transmission.
    fn rebind(&mut self, network: &mut Network, which: Which) {
        *self.messages.at(which) = Message::new(Standing::Open);
        for one in &mut network.transmissions {
            one.counts = one.counts && one.message != which;
        }
        for statement in &mut network.statements {
            *statement.covers.at(which) = false;
        }
    }

    fn doubt(&mut self, which: Which) {
        let message = self.messages.at(which);
        message.standing = match message.standing {
            Standing::Open => Standing::Doubtful { taken: false },
            Standing::Taken => Standing::Doubtful { taken: true },
            other => other,
        };
    }

    /// Takes in what the answerer states of itself in a handshake; there is a session with it now.
    pub fn told(
        &mut self,
        rules: Rules,
        scope: &Scope,
        network: &mut Network,
        statement: Statement,
    ) {
        let base = self.closed().base();
        self.limit = if statement.card.life == self.card.life {
            self.limit.max(base + scope.window)
        } else {
            base + scope.window
        };
        self.card = statement.card;
        self.session = statement.card.life;
        for which in Which::ALL {
            if !self.is_over(which) {
                self.judge(rules, network, which, statement);
            }
        }
    }

    /// What a statement about another life means for a message.
    fn judge(&mut self, rules: Rules, network: &mut Network, which: Which, statement: Statement) {
        let message = self.messages.of(which);
        let Some(bound) = message.bound else { return };
        if bound.life == statement.card.life {
            return;
        }
        if message.standing != Standing::Open {
            return self.doubt(which);
        }
        if self.is_surely_refused(network, which) {
            return self.rebind(network, which);
        }
        if !statement.covers.of(which) && rules.has(Rule::FreshStatement) {
            return;
        }
        let elapsed = if rules.has(Rule::LargerClock) {
            message.boot.max(message.wall)
        } else {
            message.boot
        };
        let margin = if rules.has(Rule::AgeMargin) { MARGIN } else { 0 };
        if elapsed + margin < statement.age || !rules.has(Rule::AgeRule) {
            self.rebind(network, which);
        } else {
            self.doubt(which);
        }
    }
}
