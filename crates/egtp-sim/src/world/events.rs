//! What nodes tell, what their programs do about it, and what the programs want.

use bytes::Bytes;
use egtp_proto::{
    Event, IdentityId, MessageClass, MessageEvent, Outcome, Policy, PublicKey, QueryId, RefusedWhy,
    StoreKind, Submission, Taken,
};

use super::chance::happens;
use super::checker::{Acted, Ended, Given, Party, Promise, Sent};
use super::clock::{MILLI, SECOND};
use super::disk::{outlives, wanted};
use super::fault::Fault;
use super::node::Held;
use super::queue::Happening;
use super::run::World;
use super::workload::{Behaviour, Wish, number_of, parse_kind, reply_of};

impl World {
    /// One event of a node.
    pub(crate) fn happened(&mut self, index: Party, event: Event) {
        let asker = self.life_of(index);
        match event {
            Event::Connect { peer, .. } => self.dial(index, &peer),
            Event::Outcome { token, outcome } => self.outcome(index, token, &outcome),
            Event::Soft { token } => {
                let boot = self.boot_of(index).0;
                self.checker.soft(token, asker, boot);
            }
            Event::Taken { token } => self.checker.taken(token, asker),
            Event::Kept { token } => self.checker.kept(token, asker),
            Event::Query(query) => {
                let again = query.redelivered;
                self.given_to_handler(
                    index,
                    query.query,
                    &query.message,
                    (Some(query.room), again),
                );
            }
            Event::Message { query, message, redelivered } => {
                self.given_to_handler(index, query, &message, (None, redelivered));
            }
            Event::QueryClosed { query } => self.withdrawn(index, query),
            Event::Hint(message) => {
                // No honest node sends any.
                let forged = self.is_honest(&message);
                self.checker.check(Promise::NothingForged, !forged, || {
                    format!("node {index} was given a hint that nobody sent")
                });
            }
            Event::Authenticated { peer, path } => {
                self.circuit_proved(index, path);
                self.look_at_name(index, &peer);
            }
            Event::Session { peer, .. } => self.look_at_name(index, &peer),
            _ => {}
        }
    }

    /// Nobody is authenticated who does not exist.
    fn look_at_name(&mut self, index: Party, peer: &PublicKey) {
        let known = self.parties.contains_key(peer);
        self.checker.check(Promise::NothingForged, known, || {
            format!("node {index} authenticated somebody who does not exist")
        });
    }

    pub(crate) fn is_honest(&self, message: &MessageEvent) -> bool {
        self.parties.get(&message.from).is_none_or(|from| *from < self.nodes.len())
    }

    pub(crate) fn life_of(&self, index: Party) -> (Party, u64) {
        (index, self.nodes.get(index).map_or(0, |node| node.life))
    }

    /// The boot clock of a node now, and when it last began to run without a stop.
    fn boot_of(&self, index: Party) -> (u64, u64) {
        let node = self.nodes.get(index);
        node.map_or((0, 0), |node| (node.clocks.boot(self.now), node.awake_since))
    }

    fn outcome(&mut self, index: Party, number: u64, outcome: &Outcome) {
        let (ended, name) = name_outcome(outcome);
        self.hash(name.as_bytes());
        *self.tally.ended.entry(name).or_default() += 1;
        self.tell(|| format!("node {index}: number {number} ended as {name}"));
        if let Some(node) = self.nodes.get_mut(index) {
            node.open.remove(&number);
        }
        let (asker, boot) = (self.life_of(index), self.boot_of(index));
        self.checker.ended(number, asker, boot, ended);
        self.collect(index, number);
        self.probe_ended(number, ended);
        self.rush_ended(number, ended);
        self.trial_ended(number, ended);
    }

    /// A message for a handler.
    fn given_to_handler(
        &mut self,
        index: Party,
        query: QueryId,
        message: &MessageEvent,
        (room, again): (Option<usize>, bool),
    ) {
        let (kind, body) = (message.kind.as_str(), &message.body[..]);
        let from = self.parties.get(&message.from).copied();
        let mut number = number_of(kind, body);
        self.tally.delivered += 1;
        self.tell(|| format!("node {index} is given number {number:?} of {from:?}"));
        self.hash(message.id.as_bytes());
        let wish = number.and_then(|number| self.wishes.get(&number));
        let mut behaviour = wish.map_or(Behaviour::Reply(0), |wish| wish.behaviour);
        let reply_bytes = wish.map_or(0, |wish| wish.reply_bytes);
        if self.is_honest(message) {
            let seen = (room.is_some(), kind, *blake3::hash(body).as_bytes());
            let at = self.life_of(index);
            self.checker.ran(number, at, from, (seen, again));
        } else {
            number = None;
            let [first, ..] = message.id.reference();
            behaviour = match first % 4 {
                0 => Behaviour::Hold,
                1 => Behaviour::Reply(30 * SECOND),
                _ => Behaviour::Reply(0),
            };
        }
        if self.calm && !matches!(behaviour, Behaviour::Refuse(..)) {
            behaviour = Behaviour::Reply(0);
        }
        if number.is_some_and(|number| self.is_fatal(number)) {
            behaviour = Behaviour::Hold;
        }
        let (wants_reply, room) = (room.is_some(), room.unwrap_or(0));
        let held = Held { number, wants_reply, behaviour, reply_bytes, room };
        if let Some(node) = self.nodes.get_mut(index) {
            node.held.insert(query, held);
        }
        let life = self.life_of(index).1;
        match behaviour {
            Behaviour::Reply(0) | Behaviour::Refuse(_, 0) => self.give_answer(index, query),
            Behaviour::Reply(after) | Behaviour::Refuse(_, after) => {
                self.queue.push(self.now + after, Happening::Answer(index, life, query));
            }
            Behaviour::Ignore => self.give_back(index, query),
            Behaviour::Hold => {}
        }
    }

    /// A handler gives its answer.
    pub(crate) fn answer(&mut self, index: Party, life: u64, query: QueryId) {
        if self.life_of(index) != (index, life)
            || self.put_off(index, Happening::Answer(index, life, query))
        {
            return;
        }
        self.give_answer(index, query);
        self.settle(index);
    }

    /// The same at this moment; what follows from it is left to whoever calls.
    pub(crate) fn give_answer(&mut self, index: Party, query: QueryId) {
        let (_, life) = self.life_of(index);
        let held = self.nodes.get_mut(index).and_then(|node| node.held.remove(&query));
        let Some(held) = held else { return };
        if !held.wants_reply {
            self.with(index, |endpoint, _| endpoint.ignore(query));
            return;
        }
        let number = held.number.unwrap_or(u64::MAX);
        let (reply, given) = if let Behaviour::Refuse(why, _) = held.behaviour {
            (Err(why), Given::Status(why.status()))
        } else {
            let body = reply_of(number, index, life, held.reply_bytes);
            self.relays.keep(&body);
            let given = Given::Reply(*blake3::hash(&body).as_bytes());
            (Ok(Bytes::from(body)), given)
        };
        if let Some(number) = held.number {
            self.checker.given(number, given);
            if reply.as_ref().is_ok_and(|body| body.len() > held.room)
                || matches!(reply, Err(RefusedWhy::NotAllowed))
            {
                self.fired(Fault::Refusal);
            }
        }
        self.with(index, |endpoint, now| endpoint.reply(now, query, reply));
    }

    fn give_back(&mut self, index: Party, query: QueryId) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.held.remove(&query);
        }
        self.with(index, |endpoint, _| endpoint.ignore(query));
    }

    /// Nobody waits for the answer any more. A handler that is at work answers into the void later.
    fn withdrawn(&mut self, index: Party, query: QueryId) {
        let held = self.nodes.get(index).and_then(|node| node.held.get(&query));
        if held.is_some_and(|held| held.behaviour == Behaviour::Hold) {
            self.fired(Fault::SilentHandler);
            self.give_back(index, query);
        }
    }

    /// A request of the workload begins.
    pub(crate) fn ask(&mut self, number: u64) {
        let wish = Wish::draw(&self.plan, number, self.parties());
        let (from, to) = (wish.from, wish.to);
        if self.put_off(from, Happening::Ask(number)) {
            return;
        }
        for fault in wish.made_by.clone() {
            self.fired(fault);
        }
        let (hard, both) = (wish.hard, self.strength(Fault::BothSides));
        self.submit(wish);
        if both > 0 && to < self.nodes.len() && happens(self.dice_of(Fault::BothSides), both * 5) {
            self.fired(Fault::BothSides);
            self.numbers += 1;
            let number = self.numbers;
            if self.nodes.get(to).is_some_and(|node| node.acts(self.now)) {
                self.submit(Wish::plain(number, to, from, hard));
            }
        }
    }

    /// Hands a message to a node, which sends it.
    pub(crate) fn submit(&mut self, wish: Wish) {
        let from = wish.from;
        self.hand_in(wish);
        self.settle(from);
    }

    /// Hands a message to a node, which sends it with whatever it does next.
    pub(crate) fn hand_in(&mut self, wish: Wish) {
        let (now, number, from) = (self.now, wish.number, wish.from);
        let Some(to) = self.keys.get(wish.to).copied() else { return };
        let Some(kind) = parse_kind(&wish.kind) else { return };
        let policy = self.nodes.get(wish.to).map(|node| node.policy(&kind)).unwrap_or_default();
        let Some(node) = self.nodes.get_mut(from) else { return };
        if !node.acts(now) {
            return;
        }
        let outlives = node.disk.is_some() && outlives(&self.plan, &wish);
        let longest =
            if outlives { node.limits.longest_kept() } else { node.limits.hard_timeout_max };
        let hard = std::time::Duration::from_nanos(wish.hard).min(longest);
        let hard_nanos = u64::try_from(hard.as_nanos()).unwrap_or(u64::MAX);
        let begun = node.clocks.boot(now);
        let wants = wanted(&self.plan, number);
        let sent = Sent {
            from,
            life: node.life,
            to: wish.to,
            wants_reply: wish.wants_reply,
            kind: wish.kind.clone(),
            body: *blake3::hash(&wish.body).as_bytes(),
            begun,
            soft: wish.soft.filter(|soft| *soft < hard_nanos),
            hard: hard_nanos,
            is_honest: wish.to < self.nodes.len(),
            durable: match policy {
                Policy::AtMostOnce => wants == StoreKind::Durable,
                // There its handler runs on the disk.
                Policy::Transaction => false,
                Policy::Redeliver => true,
            },
            redelivered: policy == Policy::Redeliver,
            outlives,
        };
        let submission = Submission {
            token: number,
            identity: IdentityId(0),
            to,
            class: if wish.wants_reply { MessageClass::Request } else { MessageClass::Send },
            kind,
            body: Bytes::from(wish.body.clone()),
            room: wish.room,
            soft: wish.soft.map(std::time::Duration::from_nanos),
            hard,
            hard_max: hard,
            wants,
            keep: outlives.then(Vec::new),
            post_quantum: wish.post_quantum,
        };
        self.tell(|| {
            let Wish { to, behaviour, body, hard, .. } = &wish;
            let bytes = body.len();
            let seconds = hard / SECOND;
            format!(
                "node {from} asks {to}: number {number}, {bytes} bytes, {behaviour:?}, {seconds} s"
            )
        });
        self.tally.messages += 1;
        if sent.is_honest {
            self.relays.keep(&wish.body);
        }
        self.checker.sent(number, sent);
        if let Some(after) = wish.cancel {
            self.queue.push(now + after, Happening::Cancel(number));
        }
        self.wishes.insert(number, wish);
        match self.with(from, |endpoint, now| endpoint.submit(now, submission)) {
            Some(Ok((code, id))) => {
                if outlives {
                    self.outlived.insert(number, id);
                }
                if let Some(node) = self.nodes.get_mut(from) {
                    node.open.insert(number, code);
                }
                self.queue.push(now, Happening::Due(number));
            }
            Some(Err(why)) => self.outcome(from, number, &Outcome::NotSent(why)),
            None => {}
        }
    }

    /// The asker gives up.
    pub(crate) fn cancel(&mut self, number: u64) {
        let Some(record) = self.checker.record(number).filter(|record| record.is_open()) else {
            return;
        };
        let from = record.sent.from;
        if self.put_off(from, Happening::Cancel(number)) {
            return;
        }
        let Some(code) = self.nodes.get_mut(from).and_then(|node| node.open.remove(&number)) else {
            return;
        };
        self.tell(|| format!("node {from} gives up number {number}"));
        self.checker.cancelled(number);
        self.with(from, |endpoint, _| endpoint.cancel(code));
        self.settle(from);
    }

    /// Looks whether a hard timeout has been kept, once it should have been.
    pub(crate) fn due(&mut self, number: u64) {
        let Some(record) = self.checker.record(number).filter(|record| record.is_open()) else {
            return;
        };
        let from = record.sent.from;
        let due = record.sent.begun.saturating_add(record.sent.hard);
        let late = record.late_max(self.checker.disk_wait_max);
        if self.put_off(from, Happening::Due(number)) {
            return;
        }
        let Some(node) = self.nodes.get(from) else { return };
        let by = due.max(node.awake_since).saturating_add(late + MILLI);
        if node.clocks.boot(self.now) >= by {
            self.checker.overdue(number);
            return;
        }
        let later = node.clocks.moment_of(by);
        self.queue.push(later.unwrap_or(self.now + SECOND), Happening::Due(number));
    }
}

/// An outcome in the checker's words, and its name in reports.
pub(crate) fn name_outcome(outcome: &Outcome) -> (Ended, &'static str) {
    match outcome {
        Outcome::Reply { body, .. } => (Ended::Reply(*blake3::hash(body).as_bytes()), "reply"),
        Outcome::Accepted { .. } => (Ended::Accepted, "accepted"),
        Outcome::Refused(RefusedWhy::Busy { retry_after }) if !retry_after.is_zero() => {
            (Ended::RefusedUnseen, "refused (busy)")
        }
        Outcome::Refused(RefusedWhy::TooLarge) => (Ended::TooLarge, "refused (too large)"),
        Outcome::Refused(why) => (Ended::RefusedByHandler(why.status()), "refused (handler)"),
        Outcome::NotSent(_) => (Ended::NotSent, "not sent"),
        Outcome::TimedOut { taken: Taken::Yes } => {
            (Ended::TimedOut(Acted::Yes), "timed out (taken)")
        }
        Outcome::TimedOut { taken: Taken::No } => {
            (Ended::TimedOut(Acted::No), "timed out (not taken)")
        }
        Outcome::TimedOut { taken: Taken::Unknown } => {
            (Ended::TimedOut(Acted::Unknown), "timed out (unknown)")
        }
        Outcome::Unknown { .. } => (Ended::Unknown, "unknown"),
        Outcome::Closing => (Ended::Closing, "closing"),
    }
}
