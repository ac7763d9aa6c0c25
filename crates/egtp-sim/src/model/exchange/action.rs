//! What can happen in the model of the exchange, and what follows.

use stateright::{Model, Property};

use super::answerer::Verdict;
use super::rules::{Rule, Rules};
use super::scope::Scope;
use super::state::{
    Ack, Answerer, Asker, Binding, Carrier, Each, End, Facts, Network, Query, Spent, Standing,
    State, Statement, Transmission, Which, Why, Wrong,
};

/// The model.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The rules that hold.
    pub rules: Rules,
    /// How much may happen.
    pub scope: Scope,
}

/// One step. Numbers are places in the lists of the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// The asker sends a message, for the first time or again.
    Send(Which, Carrier),
    /// A transmission arrives.
    Arrive(usize),
    /// A record is lost.
    Lose(usize),
    /// The last copy of something that could be repeated is gone.
    Vanish(usize),
    /// A refusal arrives.
    HearRefusal(usize),
    /// A refusal is lost.
    LoseRefusal(usize),
    /// The acknowledgement arrives.
    HearAck,
    /// The acknowledgement is lost.
    LoseAck,
    /// The handler replies.
    Reply(Which),
    /// The answerer sends a reply again.
    ReplyAgain(Which),
    /// A reply arrives.
    HearReply(Which),
    /// A reply is lost.
    LoseReply(Which),
    /// The asker tells what is closed.
    Close,
    /// That arrives.
    HearClosed,
    /// That is lost.
    LoseClosed,
    /// The asker opens a handshake, and the answerer states its life, generation and age.
    Ask,
    /// The statement arrives.
    HearStatement(usize),
    /// The statement is lost.
    LoseStatement(usize),
    /// The answerer loses its memory and begins a new life.
    Crash,
    /// A stranger's message takes the asker's place in the answerer's table.
    Evict,
    /// Time passes.
    Tick,
    /// Time passes and the asker's boot clock stands still.
    TickAsleep,
    /// Time passes and neither clock of the asker counts it.
    TickMissed,
    /// The hard timeout of a message.
    TimeOut(Which),
    /// The end of a doubt.
    GiveUp(Which),
}

impl Model for Exchange {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let age = if self.scope.time { self.scope.age_max } else { 0 };
        vec![State {
            asker: Asker::new(&self.scope),
            answerer: Answerer::born(1, age),
            network: Network::default(),
            facts: Facts::default(),
            spent: Spent::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.sender_actions(state, actions);
        self.network_actions(state, actions);
        let (spent, scope) = (&state.spent, &self.scope);
        for which in Which::ALL {
            match state.answerer.queries.of(which) {
                Query::Held => actions.push(Action::Reply(which)),
                Query::Answered if !state.network.replies.of(which) => {
                    actions.push(Action::ReplyAgain(which));
                }
                Query::Answered | Query::None => {}
            }
        }
        if spent.crashes < scope.crashes {
            actions.push(Action::Crash);
        }
        if spent.evictions < scope.evictions
            && state.answerer.stranger.is_none()
            && (scope.evicts_open || state.answerer.is_idle())
        {
            actions.push(Action::Evict);
        }
        if scope.time {
            actions.push(Action::Tick);
            if scope.sleeps {
                actions.push(Action::TickAsleep);
            }
            if spent.missed < scope.missed {
                actions.push(Action::TickMissed);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        self.apply(&mut next, action)?;
        next.tidy(self.rules);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a message is handed over at most once", |_, state: &State| {
                Which::ALL.iter().all(|which| state.facts.runs.of(*which) <= 1)
            }),
            Property::always("an outcome is honest", |_, state: &State| {
                Which::ALL.iter().all(|which| is_honest(state, *which))
            }),
            Property::always("what is remembered is believed", |_, state: &State| {
                state.facts.wrong.is_none()
            }),
        ]
    }
}

/// Whether no outcome has been proved wrong since.
fn is_honest(state: &State, which: Which) -> bool {
    let message = state.asker.messages.of(which);
    let ran = state.facts.runs.of(which) > 0;
    !(ran && message.standing == Standing::Over { surely_not: true })
}

/// Notes when an outcome says what is not true at its moment.
fn note(state: &mut State, which: Which, end: Option<End>) {
    let ran = state.facts.runs.of(which) > 0;
    let memory_was_lost = state.spent.crashes + state.spent.evictions > 0;
    let wrong = match end {
        Some(End::Busy | End::TimedOutNotTaken) if ran => Wrong::SaidNotTaken,
        Some(End::Reply | End::Accepted | End::TimedOutTaken) if !ran => Wrong::SaidTaken,
        Some(End::Unknown) if !memory_was_lost => Wrong::SaidUnknown,
        _ => return,
    };
    state.facts.wrong = Some(wrong);
}

impl Exchange {
    fn sender_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let (asker, network) = (&state.asker, &state.network);
        for which in Which::ALL {
            if asker.may_send(self.rules, &self.scope, which)
                && network.transmissions.len() < self.scope.transmissions
            {
                actions.extend(self.scope.carriers.iter().map(|one| Action::Send(which, *one)));
            }
            if self.scope.timeouts.of(which) && !asker.is_over(which) {
                actions.push(Action::TimeOut(which));
            }
            if matches!(asker.messages.of(which).standing, Standing::Doubtful { .. }) {
                actions.push(Action::GiveUp(which));
            }
        }
        if asker.untold && network.closed.is_none() {
            actions.push(Action::Close);
        }
        if network.statements.len() < self.scope.statements {
            actions.push(Action::Ask);
        }
    }

    fn network_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let network = &state.network;
        let loses = state.spent.losses < self.scope.losses;
        for (place, one) in network.transmissions.iter().enumerate() {
            if one.flying {
                actions.push(Action::Arrive(place));
                match one.carrier {
                    Carrier::Record if loses => actions.push(Action::Lose(place)),
                    Carrier::Record => {}
                    Carrier::Flight | Carrier::Letter => actions.push(Action::Vanish(place)),
                }
            }
            if one.refused.is_some() {
                actions.push(Action::HearRefusal(place));
                if loses {
                    actions.push(Action::LoseRefusal(place));
                }
            }
        }
        if network.ack.is_some() {
            actions.push(Action::HearAck);
            actions.extend(loses.then_some(Action::LoseAck));
        }
        for which in Which::ALL {
            if network.replies.of(which) {
                actions.push(Action::HearReply(which));
                actions.extend(loses.then_some(Action::LoseReply(which)));
            }
        }
        if network.closed.is_some() {
            actions.push(Action::HearClosed);
            actions.extend(loses.then_some(Action::LoseClosed));
        }
        for place in 0..network.statements.len() {
            actions.push(Action::HearStatement(place));
            actions.push(Action::LoseStatement(place));
        }
    }

    fn apply(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Send(which, carrier) => self.send(state, which, carrier),
            Action::Arrive(place) => return self.arrive(state, place),
            Action::Lose(place) => {
                state.spent.losses += 1;
                state.network.transmissions.get_mut(place)?.flying = false;
            }
            Action::Vanish(place) => state.network.transmissions.get_mut(place)?.flying = false,
            Action::HearRefusal(place) => return self.hear_refusal(state, place),
            Action::LoseRefusal(place) => {
                state.spent.losses += 1;
                state.network.transmissions.get_mut(place)?.refused = None;
            }
            Action::HearAck => {
                let ack = state.network.ack.take()?;
                let ends = state.asker.acknowledged(&self.scope, ack);
                for which in Which::ALL {
                    note(state, which, ends.of(which));
                }
            }
            Action::LoseAck => {
                state.spent.losses += 1;
                state.network.ack = None;
            }
            Action::Reply(which) => {
                *state.answerer.queries.at(which) =
                    if self.rules.has(Rule::ReplyKept) { Query::Answered } else { Query::None };
                *state.network.replies.at(which) = true;
            }
            Action::ReplyAgain(which) => *state.network.replies.at(which) = true,
            Action::HearReply(which) => {
                *state.network.replies.at(which) = false;
                let end = state.asker.replied(which);
                note(state, which, end);
            }
            Action::LoseReply(which) => {
                state.spent.losses += 1;
                *state.network.replies.at(which) = false;
            }
            Action::Close => {
                state.asker.untold = false;
                state.network.closed = Some((state.asker.session, state.asker.closed()));
            }
            Action::HearClosed => {
                let (life, closed) = state.network.closed.take()?;
                if life == state.answerer.life {
                    state.answerer.close(closed);
                }
            }
            Action::LoseClosed => {
                state.spent.losses += 1;
                state.network.closed = None;
            }
            Action::Ask => Self::ask(state),
            Action::HearStatement(place) => {
                let statement = state.network.statements.remove(place);
                state.asker.told(self.rules, &self.scope, &mut state.network, statement);
            }
            Action::LoseStatement(place) => {
                state.network.statements.remove(place);
            }
            Action::Crash => {
                state.spent.crashes += 1;
                state.answerer = Answerer::born(state.answerer.life + 1, 0);
            }
            Action::Evict => {
                state.spent.evictions += 1;
                state.answerer.make_room_for_stranger(self.rules);
            }
            Action::Tick => self.tick(state, true, true),
            Action::TickAsleep => self.tick(state, false, true),
            Action::TickMissed => {
                state.spent.missed += 1;
                self.tick(state, false, false);
            }
            Action::TimeOut(which) => {
                let end = state.asker.time_out(&state.network, which);
                note(state, which, end);
            }
            Action::GiveUp(which) => {
                let end = state.asker.give_up(which);
                note(state, which, end);
            }
        }
        Some(())
    }

    fn send(&self, state: &mut State, which: Which, carrier: Carrier) {
        let asker = &mut state.asker;
        let card = asker.card;
        let sealed = match carrier {
            Carrier::Record => asker.session,
            Carrier::Flight => card.life,
            // Opened in any life.
            Carrier::Letter => 0,
        };
        let low_water = asker.closed().base();
        let message = asker.messages.at(which);
        if message.bound.is_none() || !self.rules.has(Rule::BindingKept) {
            message.bound = Some(card);
        }
        let Some(bound) = message.bound else { return };
        state.network.transmissions.push(Transmission {
            message: which,
            carrier,
            bound,
            sealed,
            low_water,
            flying: true,
            refused: None,
            counts: true,
            tag: 0,
        });
    }

    fn arrive(&self, state: &mut State, place: usize) -> Option<()> {
        let one = state.network.transmissions.get_mut(place)?;
        let opens = match one.carrier {
            Carrier::Record | Carrier::Flight => one.sealed == state.answerer.life,
            Carrier::Letter => true,
        };
        one.flying = match one.carrier {
            Carrier::Record => opens && !self.rules.has(Rule::ReplayWindow),
            Carrier::Flight => opens && !self.rules.has(Rule::FlightFilter),
            Carrier::Letter => true,
        };
        if !opens {
            return Some(());
        }
        let one = *one;
        let State { answerer, facts, network, .. } = state;
        let verdict = answerer.receive(self.rules, &self.scope, &one, facts, network);
        if let Verdict::Refuse(why) = verdict {
            network.transmissions.get_mut(place)?.refused = Some((why, answerer.card()));
        }
        Some(())
    }

    fn hear_refusal(&self, state: &mut State, place: usize) -> Option<()> {
        let one = state.network.transmissions.get_mut(place)?;
        let (why, card) = one.refused.take()?;
        let copies = one.carrier == Carrier::Letter && self.rules.has(Rule::CopiesStay);
        // Otherwise it was sent under a binding that is over.
        let concerns = one.counts;
        let counted = concerns && !copies;
        one.counts = concerns && copies;
        let which = one.message;
        if why == Why::Stale {
            state.asker.card = card;
        }
        if !concerns {
            return Some(());
        }
        let end = state.asker.refused(self.rules, &mut state.network, which, why, counted);
        note(state, which, end);
        Some(())
    }

    fn ask(state: &mut State) {
        let mut covers = Each::default();
        for which in Which::ALL {
            *covers.at(which) = state.asker.messages.of(which).bound.is_some();
        }
        let statement =
            Statement { card: state.answerer.card(), age: state.answerer.age, covers, tag: 0 };
        state.network.statements.push(statement);
    }

    fn tick(&self, state: &mut State, boot: bool, wall: bool) {
        let age_max = self.scope.age_max;
        state.answerer.age = (state.answerer.age + 1).min(age_max);
        for which in Which::ALL {
            let message = state.asker.messages.at(which);
            if message.bound.is_some() {
                message.boot = (message.boot + u8::from(boot)).min(age_max);
                message.wall = (message.wall + u8::from(wall)).min(age_max);
            }
        }
    }
}

impl State {
    /// Brings the state into its one form: nothing is kept that can have no effect.
    fn tidy(&mut self, rules: Rules) {
        let Self { asker, network, answerer, .. } = self;
        for one in &mut network.transmissions {
            let gone = one.carrier != Carrier::Letter && one.sealed != answerer.life;
            let over = asker.is_over(one.message);
            let pointless = over && rules == Rules::ALL && answerer.will_refuse(one);
            one.flying &= !(gone || pointless);
            one.counts &= !over;
            if over {
                // Nobody asks any more why it was refused.
                one.refused = None;
            }
            if !one.flying {
                (one.sealed, one.low_water) = (0, 0);
                if one.carrier == Carrier::Flight {
                    one.carrier = Carrier::Record;
                }
            }
        }
        network.transmissions.retain(|one| {
            let stays = one.flying || one.refused.is_some();
            if !stays && one.counts {
                asker.messages.at(one.message).unrefusable = true;
            }
            stays
        });
        network.transmissions.sort_unstable();
        network.statements.sort_unstable();
        network.statements.dedup();
        let is_news = |ack: Ack| {
            let heard = |which| {
                let standing = asker.messages.of(which).standing;
                matches!(
                    standing,
                    Standing::Taken | Standing::Doubtful { taken: true } | Standing::Over { .. }
                )
            };
            ack.limit > asker.limit
                || Which::ALL.iter().any(|which| ack.taken.of(*which) && !heard(*which))
        };
        network.ack = network.ack.filter(|ack| is_news(*ack));
        for which in Which::ALL {
            let message = asker.messages.at(which);
            if message.standing != Standing::Open {
                (message.boot, message.wall) = (0, 0);
            }
        }
        if Which::ALL.iter().all(|which| asker.is_over(*which)) {
            // All is said; only the answerer may still be wrong.
            network.statements.clear();
            network.ack = None;
            asker.card = asker.card.min(FIRST_CARD);
            asker.limit = 0;
        }
    }
}

const FIRST_CARD: Binding = Binding { life: 1, generation: 1 };
