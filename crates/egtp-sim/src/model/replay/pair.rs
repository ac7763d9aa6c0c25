//! A real sender and a real receiver, taken through the steps of a walk.

use std::collections::BTreeMap;
use std::time::Duration;

use egtp_proto::crypto::Random;
use egtp_proto::exchange::inbox::{Inbox, Verdict as RealVerdict};
use egtp_proto::exchange::outgoing::{Binding, Outgoing, State as RealState};
use egtp_proto::limits::Limits;
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::Serials;
use egtp_proto::wire::frame::{Ack, DialogHead, Refusal};
use egtp_proto::{PublicKey, SecretKey, StoreCard, StoreKind};

use super::asker::RealAsker;
use crate::model::exchange::answerer::Verdict;
use crate::model::exchange::scope::Scope;
use crate::model::exchange::state::{Each, End, Query, Standing, State, Which, Why};
use crate::model::exchange::{Action, Exchange};

/// Both ends, and what is between them.
pub(super) struct Pair {
    asker: RealAsker,
    inbox: Inbox,
    /// The ids of the answerer's lives, in order.
    lives: Vec<u64>,
    queries: Each<Query>,
    sealed: BTreeMap<u16, Sealed>,
    acks: Vec<Ack>,
    closed: Option<Serials>,
    statements: BTreeMap<u16, (StoreCard, Instant)>,
    runs: Each<u8>,
    keys: Keys,
    random: Random,
    limits: Limits,
    /// The answerer's clock, and the asker's.
    there: Duration,
    here: Now,
    strangers: u64,
}

struct Keys {
    asker: PublicKey,
    stranger: PublicKey,
}

/// A transmission.
struct Sealed {
    which: Which,
    name: [u8; 8],
    head: DialogHead,
    refused: Option<(Refusal, Binding)>,
}

type Outcome = Result<(), String>;

impl Pair {
    pub(super) fn new(seed: u64, scope: &Scope) -> Option<Self> {
        let keys = Keys { asker: key(1), stranger: key(3) };
        let limits = {
            let mut limits = Limits::default();
            limits.dialogs_max = 1;
            limits
        };
        let mut random = Random::from_seed([u8::try_from(seed % 251).ok()?; 32]);
        let start = START.saturating_add(TICK * 100);
        let here = Now { boot: Instant::new(start), wall: start };
        let inbox = Inbox::new(StoreKind::Ram, &mut random, &limits, here, true);
        let card = inbox.card(&here);
        let asker = RealAsker::new(seed, scope, (&keys.asker, &key(2)), Binding::from(&card))?;
        Some(Self {
            asker,
            inbox,
            lives: vec![card.id],
            queries: Each::same(Query::None),
            sealed: BTreeMap::new(),
            acks: Vec::new(),
            closed: None,
            statements: BTreeMap::new(),
            runs: Each::default(),
            keys,
            random,
            limits,
            there: start,
            here,
            strangers: 0,
        })
    }

    /// How many messages handlers were given.
    pub(super) fn runs(&self) -> u64 {
        Which::ALL.iter().map(|which| u64::from(self.runs.of(*which))).sum()
    }

    fn there(&self) -> Now {
        Now { boot: Instant::new(self.there), wall: self.there }
    }

    fn pass(&mut self, there: Duration, boot: Duration, wall: Duration) {
        self.there += there;
        self.here = Now { boot: self.here.boot.after(boot), wall: self.here.wall + wall };
    }

    /// Does what the model did.
    pub(super) fn step(
        &mut self,
        model: &Exchange,
        last: &State,
        next: &State,
        action: Action,
        tag: u16,
    ) -> Outcome {
        self.pass(MOMENT, MOMENT, MOMENT);
        let tag_of = |place: usize| last.network.transmissions.get(place).map_or(0, |one| one.tag);
        let mut end = Ok(None);
        match action {
            Action::Send(which, _) => self.send(which, tag).ok_or("nothing to send")?,
            Action::Arrive(place) => self.arrive(model, last, place)?,
            Action::HearRefusal(place) => {
                let sealed = self.sealed.get_mut(&tag_of(place)).ok_or("no such transmission")?;
                let (why, card) = sealed.refused.take().ok_or("the code did not refuse it")?;
                end = Ok(self.asker.refused(sealed.which, sealed.name, why, card));
            }
            Action::LoseRefusal(place) => {
                self.sealed.get_mut(&tag_of(place)).ok_or("no such transmission")?.refused = None;
            }
            Action::HearAck => {
                for ack in std::mem::take(&mut self.acks) {
                    self.asker.acknowledged(&ack);
                }
            }
            Action::Reply(which) => *self.queries.at(which) = Query::Answered,
            Action::HearReply(which) => end = Ok(self.asker.replied(which)),
            Action::Close => self.closed = Some(self.asker.outbox.closed().clone()),
            Action::HearClosed => self.hear_closed(last)?,
            Action::Ask => {
                let card = self.inbox.card(&self.there());
                self.statements.insert(tag, (card, self.here.boot));
            }
            Action::HearStatement(place) => {
                let tag = last.network.statements.get(place).map_or(0, |one| one.tag);
                let (card, asked) = self.statements.remove(&tag).ok_or("no such statement")?;
                self.asker.told(&card, asked, &self.here);
            }
            Action::Crash => self.crash(),
            Action::Evict => self.evict()?,
            Action::Tick => self.pass(TICK, TICK, TICK),
            Action::TickAsleep => self.pass(TICK, Duration::ZERO, TICK),
            Action::TickMissed => self.pass(TICK, Duration::ZERO, Duration::ZERO),
            Action::TimeOut(which) => end = Ok(self.asker.time_out(which)),
            Action::GiveUp(which) => end = Ok(self.asker.give_up(which)),
            Action::Lose(_)
            | Action::Vanish(_)
            | Action::LoseAck
            | Action::ReplyAgain(_)
            | Action::LoseReply(_)
            | Action::LoseClosed
            | Action::LoseStatement(_) => {}
        }
        if next.network.ack.is_none() {
            self.acks.clear();
        }
        end.and_then(|end| said(last, next, end))
    }

    fn send(&mut self, which: Which, tag: u16) -> Option<()> {
        let mut name = [0; 8];
        name.split_at_mut(2).0.copy_from_slice(&tag.to_le_bytes());
        let Binding { store, generation, .. } = self.asker.send(which, name, self.here)?;
        let outbox = &self.asker.outbox;
        let (dialog, low_water) = (outbox.dialog(), outbox.closed().base());
        let head = DialogHead { kind: StoreKind::Ram, dialog, store, generation, low_water };
        self.sealed.insert(tag, Sealed { which, name, head, refused: None });
        Some(())
    }

    fn arrive(&mut self, model: &Exchange, last: &State, place: usize) -> Outcome {
        let one = last.network.transmissions.get(place).ok_or("no such transmission")?;
        if one.sealed != last.answerer.life {
            return Ok(());
        }
        let State { mut answerer, mut facts, mut network, .. } = last.clone();
        let expected = answerer.receive(model.rules, &model.scope, one, &mut facts, &mut network);
        let now = self.there();
        let sealed = self.sealed.get(&one.tag).ok_or("no such transmission")?;
        let (which, head) = (sealed.which, sealed.head);
        let serial = self.asker.serial(which);
        let peer = self.keys.asker;
        let verdict = match self.inbox.place(&peer, &head) {
            Err(why) => RealVerdict::Refuse(why),
            Ok(place) => {
                self.withdraw(&Serials::below(head.low_water));
                let open = Which::ALL.iter().filter(|one| self.queries.of(**one) != Query::None);
                if open.count() < model.scope.in_hand {
                    self.inbox.take(&now, &peer, &head, place, serial)
                } else {
                    match self.inbox.would_take(place, head.low_water, serial) {
                        RealVerdict::Take(_) => RealVerdict::Refuse(Refusal::Busy),
                        other => other,
                    }
                }
            }
        };
        let agrees = match (expected, verdict) {
            (Verdict::Take, RealVerdict::Take(_)) | (Verdict::Known, RealVerdict::Known(_)) => true,
            (Verdict::Refuse(why), RealVerdict::Refuse(real)) => real == refusal(why),
            _ => false,
        };
        if !agrees {
            return Err(format!("the model says {expected:?}, the code {verdict:?}"));
        }
        self.note(model, one.tag, verdict);
        Ok(())
    }

    /// What follows from a verdict.
    fn note(&mut self, model: &Exchange, tag: u16, verdict: RealVerdict) {
        let card = self.inbox.card(&self.there());
        let Some(sealed) = self.sealed.get_mut(&tag) else { return };
        let which = sealed.which;
        let place = match verdict {
            RealVerdict::Refuse(why) => {
                sealed.refused = Some((why, Binding::from(&card)));
                return;
            }
            RealVerdict::Take(place) => {
                *self.runs.at(which) += 1;
                if model.scope.requests.of(which) {
                    *self.queries.at(which) = Query::Held;
                    if let Some(dialog) = self.inbox.dialog_mut(place) {
                        dialog.open += 1;
                    }
                }
                place
            }
            RealVerdict::Known(place) => place,
        };
        if let Some(dialog) = self.inbox.dialog(place) {
            let (serials, limit) = (dialog.acknowledged().clone(), dialog.limit());
            self.acks.push(Ack { dialog: dialog.id(), serials, limit, bytes: u64::MAX });
        }
    }

    fn hear_closed(&mut self, last: &State) -> Outcome {
        let serials = self.closed.take().ok_or("nothing was closed")?;
        let life = last.network.closed.map(|(life, _)| life);
        if life == Some(last.answerer.life) {
            self.inbox.close(&self.keys.asker, self.asker.outbox.dialog(), &serials);
            self.withdraw(&serials);
        }
        Ok(())
    }

    fn withdraw(&mut self, closed: &Serials) {
        for which in Which::ALL {
            let query = self.queries.at(which);
            if *query != Query::None && closed.contains(self.asker.serial(which)) {
                *query = Query::None;
                let head = self.head(self.asker.outbox.dialog());
                if let Ok(egtp_proto::exchange::inbox::Place::Known(code)) =
                    self.inbox.place(&self.keys.asker, &head)
                    && let Some(dialog) = self.inbox.dialog_mut(code)
                {
                    dialog.open -= 1;
                }
            }
        }
    }

    fn head(&self, dialog: u64) -> DialogHead {
        let card = self.inbox.card(&self.there());
        let (store, generation) = (card.id, card.generation);
        DialogHead { kind: StoreKind::Ram, dialog, store, generation, low_water: 0 }
    }

    fn crash(&mut self) {
        let now = self.there();
        self.inbox = Inbox::new(StoreKind::Ram, &mut self.random, &self.limits, now, true);
        self.lives.push(self.inbox.card(&now).id);
        self.queries = Each::same(Query::None);
    }

    fn evict(&mut self) -> Outcome {
        self.strangers += 1;
        let (now, head, peer) = (self.there(), self.head(self.strangers), self.keys.stranger);
        let place = self.inbox.place(&peer, &head).map_err(|why| format!("stranger: {why:?}"))?;
        match self.inbox.take(&now, &peer, &head, place, 0) {
            RealVerdict::Take(_) => Ok(()),
            other => Err(format!("the stranger's message is not taken: {other:?}")),
        }
    }

    /// Whether both say the same about everything that can be seen.
    pub(super) fn agrees(&self, model: &Exchange, state: &State) -> Outcome {
        if self.inbox.generation() != u32::from(state.answerer.generation) {
            return Err(format!("the code issues generation {}", self.inbox.generation()));
        }
        for which in Which::ALL.into_iter().filter(|one| one.serial() < model.scope.messages) {
            if self.runs.of(which).min(2) != state.facts.runs.of(which) {
                return Err(format!("the code ran {which:?} {} times", self.runs.of(which)));
            }
            let message = state.asker.messages.of(which);
            let real = self.asker.message(which);
            let standing = real.map(|one| one.state);
            let same = match message.standing {
                Standing::Open => matches!(standing, Some(RealState::Queued | RealState::Sent)),
                Standing::Taken => standing == Some(RealState::Taken),
                Standing::Doubtful { taken } => standing == Some(RealState::Doubtful { taken }),
                Standing::Over { .. } => standing.is_none(),
            };
            if !same {
                return Err(format!("{which:?} is {:?}, the code {standing:?}", message.standing));
            }
            let binding = real.and_then(Outgoing::binding);
            let bound = message.bound.and_then(|bound| {
                let life = self.lives.get(usize::from(bound.life).checked_sub(1)?)?;
                let generation = u32::from(bound.generation);
                Some(Binding { kind: StoreKind::Ram, store: *life, generation })
            });
            if binding != bound {
                return Err(format!("{which:?} is bound to {bound:?}, in the code {binding:?}"));
            }
            let may = state.asker.may_send(model.rules, &model.scope, which);
            if self.asker.may_send(which) != may {
                return Err(format!("{which:?} may be sent: {may}; the code does not agree"));
            }
        }
        Ok(())
    }
}

/// Compares the outcome of a step that ends at most one message by its own name.
fn said(last: &State, next: &State, end: Option<End>) -> Outcome {
    let Some(end) = end else { return Ok(()) };
    let surely_not = matches!(end, End::Busy | End::TimedOutNotTaken);
    let ended = Which::ALL.into_iter().find(|which| {
        last.asker.messages.of(*which).standing != next.asker.messages.of(*which).standing
    });
    let standing = ended.map(|which| next.asker.messages.of(which).standing);
    if standing == Some(Standing::Over { surely_not }) {
        Ok(())
    } else {
        Err(format!("the code says {end:?}, the model {standing:?}"))
    }
}

const fn refusal(why: Why) -> Refusal {
    match why {
        Why::Stale => Refusal::Stale,
        Why::Window => Refusal::Window,
        Why::Busy => Refusal::Busy,
    }
}

fn key(seed: u8) -> PublicKey {
    static KEYS: std::sync::OnceLock<Vec<PublicKey>> = std::sync::OnceLock::new();
    let keys =
        KEYS.get_or_init(|| (0..4).map(|seed| SecretKey::from_seed([seed; 32]).public()).collect());
    keys.iter()
        .copied()
        .nth(usize::from(seed))
        .unwrap_or_else(|| SecretKey::from_seed([seed; 32]).public())
}

/// When a walk begins, by all clocks.
const START: Duration = Duration::from_secs(1000);
/// One tick of the model: the margin of the code's age rule is 2 s and that of the model one tick.
const TICK: Duration = Duration::from_secs(2);
/// How long a step takes that takes no time in the model: enough to tell before from after.
const MOMENT: Duration = Duration::from_micros(1);
