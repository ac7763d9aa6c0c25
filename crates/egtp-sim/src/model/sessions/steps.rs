//! What can happen between two peers, and what follows.

use stateright::{Model, Property};

use super::checks::SessionRule;
use super::peer::Without;
use super::state::{Has, Pair, Scope, Session, State, Who, Wrong};
use crate::model::story::Tells;

/// The model.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// The rule that is taken away.
    pub without: Without,
    /// How much may happen.
    pub scope: Scope,
}

/// One step. Numbers are places in the list of sessions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// A peer sends a first flight.
    Open(Who),
    /// A first flight arrives, perhaps very late.
    FlightArrives(usize),
    /// An answer arrives.
    AnswerArrives(usize),
    /// An answer is lost.
    LoseAnswer(usize),
    /// A peer gives up a handshake.
    GiveUp(Who, usize),
    /// A peer sends a record, and it arrives, for what it is worth.
    Send(Who),
    /// A peer sends a record, and the other, who has not the session, denies it.
    SendDenied(Who),
    /// A peer sends a record, and it comes on the wrong lane and is denied though the session is there.
    SendMisplaced(Who),
    /// A denial arrives at a peer.
    HintArrives(Who, usize),
    /// A peer has heard nothing for too long.
    Silence(Who),
    /// A provisional session is given up.
    Expire(Who, usize),
    /// More than ten seconds pass.
    Pass,
    /// A peer restarts: all that it knows is gone.
    Restart(Who),
}

impl Model for Sessions {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            sessions: Vec::new(),
            peers: Pair::default(),
            restarts: 0,
            faults: 0,
            wrong: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        for who in Who::BOTH {
            self.peer_steps(state, who, actions);
        }
        for place in 0..state.sessions.len() {
            self.session_steps(state, place, actions);
        }
        actions.extend(self.scope.time.then_some(Step::Pass));
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut next = last.clone();
        self.apply(&mut next, step)?;
        next.tidy();
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("only so many sessions are kept", |model: &Self, state: &State| {
                let kept = |who| state.peers.of(who).confirmed.len();
                Who::BOTH.iter().all(|who| kept(*who) <= model.scope.kept)
            }),
            Property::always("what works is not taken away", |_, state: &State| {
                state.wrong.is_none()
            }),
        ]
    }
}

impl Sessions {
    fn peer_steps(&self, state: &State, who: Who, steps: &mut Vec<Step>) {
        let peer = state.peers.of(who);
        let choice = state.choice(self.without, who);
        let needs = peer.lost_trust || choice.is_none();
        let room =
            state.sessions.len() < self.scope.places || state.sessions.iter().any(Session::is_over);
        let can_open = self.scope.both_open || who == Who::Left;
        if needs && room && can_open && !state.is_shaking(who) {
            steps.push(Step::Open(who));
        }
        if let Some(place) = choice.filter(|_| !peer.lost_trust) {
            steps.push(Step::Send(who));
            if !state.opens(who.other(), place) {
                steps.push(Step::SendDenied(who));
            } else if state.faults < self.scope.faults {
                steps.push(Step::SendMisplaced(who));
            }
        }
        let can_doubt = !peer.confirmed.is_empty() && !peer.lost_trust && !state.is_shaking(who);
        if can_doubt && self.without != Some(SessionRule::HandshakeAfterSilence) {
            steps.push(Step::Silence(who));
        }
        if state.restarts < self.scope.restarts {
            steps.push(Step::Restart(who));
        }
    }

    fn session_steps(&self, state: &State, place: usize, steps: &mut Vec<Step>) {
        let Some(one) = state.sessions.get(place) else { return };
        let faulty = state.faults < self.scope.faults;
        if one.flight {
            steps.push(Step::FlightArrives(place));
        }
        if one.answer {
            steps.push(Step::AnswerArrives(place));
            steps.extend(faulty.then_some(Step::LoseAnswer(place)));
        }
        for who in Who::BOTH {
            match one.has.of(who) {
                Has::Pending => steps.push(Step::GiveUp(who, place)),
                Has::Provisional => steps.push(Step::Expire(who, place)),
                Has::Nothing | Has::Confirmed { .. } => {}
            }
            if *one.hint.of(who) {
                steps.push(Step::HintArrives(who, place));
            }
        }
    }

    fn apply(&self, state: &mut State, step: Step) -> Option<()> {
        match step {
            Step::Open(who) => state.open(who),
            Step::FlightArrives(place) => return self.flight_arrives(state, place),
            Step::AnswerArrives(place) => return self.answer_arrives(state, place),
            Step::LoseAnswer(place) => {
                state.faults += 1;
                state.sessions.get_mut(place)?.answer = false;
            }
            Step::GiveUp(who, place) | Step::Expire(who, place) => state.drop_session(who, place),
            Step::Send(who) => return self.send(state, who),
            Step::SendDenied(who) => return self.deny(state, who),
            Step::SendMisplaced(who) => {
                state.faults += 1;
                return self.deny(state, who);
            }
            Step::HintArrives(who, place) => return self.hint_arrives(state, who, place),
            Step::Silence(who) => state.doubt_all(who),
            Step::Pass => {
                for who in Who::BOTH {
                    let peer = state.peers.at(who);
                    peer.long_unheard |= !peer.recent.is_empty();
                    peer.long_unconfirmed |= !peer.close.is_empty();
                }
            }
            Step::Restart(who) => {
                state.restarts += 1;
                state.restart(who);
            }
        }
        Some(())
    }

    fn flight_arrives(&self, state: &mut State, place: usize) -> Option<()> {
        let one = state.sessions.get_mut(place)?;
        let who = one.opened_by.other();
        // Accepted once.
        one.flight = false;
        one.answer = true;
        let other = who.other();
        let chose = state.choice(self.without, who).filter(|chosen| state.opens(other, *chosen));
        if self.without == Some(SessionRule::ProvisionalWaits) {
            state.confirm(self.without, self.scope, who, place);
        } else {
            let older =
                (0..state.sessions.len()).find(|older| state.has(who, *older) == Has::Provisional);
            if let Some(older) = older {
                state.drop_session(who, older);
            }
            state.set(who, place, Has::Provisional);
        }
        let chooses = state.choice(self.without, who);
        let turned = chose.is_some() && !chooses.is_some_and(|place| state.opens(other, place));
        if turned {
            state.wrong = Some(Wrong::FlightTurnedAway);
        }
        Some(())
    }

    fn answer_arrives(&self, state: &mut State, place: usize) -> Option<()> {
        let one = state.sessions.get_mut(place)?;
        one.answer = false;
        let who = one.opened_by;
        if *one.has.of(who) == Has::Pending {
            state.confirm(self.without, self.scope, who, place);
        }
        Some(())
    }

    fn send(&self, state: &mut State, sender: Who) -> Option<()> {
        let place = state.choice(self.without, sender)?;
        let who = sender.other();
        let after_a_while = state.peers.of(who).long_unheard;
        match state.has(who, place) {
            Has::Nothing | Has::Pending => return Some(()),
            Has::Provisional => state.confirm(self.without, self.scope, who, place),
            Has::Confirmed { .. } => state.heard(who, place),
        }
        let chosen = state.choice(self.without, who)?;
        if after_a_while && !state.opens(sender, chosen) {
            state.wrong = Some(Wrong::ChoseUnheard);
        }
        Some(())
    }

    fn deny(&self, state: &mut State, sender: Who) -> Option<()> {
        let place = state.choice(self.without, sender)?;
        *state.sessions.get_mut(place)?.hint.at(sender) = true;
        Some(())
    }

    fn hint_arrives(&self, state: &mut State, who: Who, place: usize) -> Option<()> {
        *state.sessions.get_mut(place)?.hint.at(who) = false;
        if !matches!(state.has(who, place), Has::Confirmed { .. }) {
            return Some(());
        }
        let had_common = state.has_common();
        if self.without == Some(SessionRule::HintsDeleteNothing) {
            state.drop_session(who, place);
        } else {
            state.set(who, place, Has::Confirmed { doubted: true });
            let is_good = |one: &usize| state.has(who, *one) == Has::Confirmed { doubted: false };
            if !state.peers.of(who).confirmed.iter().any(is_good) && !state.is_shaking(who) {
                state.doubt_all(who);
            }
        }
        if had_common && !state.has_common() {
            state.wrong = Some(Wrong::HintTookSession);
        }
        Some(())
    }
}

impl State {
    fn open(&mut self, who: Who) {
        let mut session = Session {
            opened_by: who,
            flight: true,
            answer: false,
            has: Pair::default(),
            hint: Pair::default(),
        };
        *session.has.at(who) = Has::Pending;
        match self.sessions.iter_mut().find(|one| one.is_over()) {
            Some(free) => *free = session,
            None => self.sessions.push(session),
        }
    }

    fn restart(&mut self, who: Who) {
        for place in 0..self.sessions.len() {
            self.drop_session(who, place);
        }
        *self.peers.at(who) = super::state::Peer::default();
        for one in &mut self.sessions {
            // Its prekey is gone, so what was sealed to it cannot be accepted any more.
            one.flight &= one.opened_by == who;
        }
    }

    /// Nothing is kept that can have no effect.
    fn tidy(&mut self) {
        for one in &mut self.sessions {
            let waits = *one.has.of(one.opened_by) == Has::Pending;
            one.answer &= waits;
            for who in Who::BOTH {
                let is_confirmed = matches!(one.has.of(who), Has::Confirmed { .. });
                *one.hint.at(who) &= is_confirmed;
            }
        }
        while self.sessions.last().is_some_and(Session::is_over) {
            self.sessions.pop();
        }
        for one in self.sessions.iter_mut().filter(|one| one.is_over()) {
            one.opened_by = Who::Left;
        }
    }
}

impl Session {
    /// Whether nobody knows it any more.
    pub fn is_over(&self) -> bool {
        !self.flight
            && !self.answer
            && Who::BOTH.iter().all(|who| *self.has.of(*who) == Has::Nothing && !self.hint.of(*who))
    }
}

impl Tells for Sessions {
    fn sentence(&self, state: &State, step: &Step) -> String {
        let name = |who: &Who| match who {
            Who::Left => "left",
            Who::Right => "right",
        };
        let opener = |place: usize| {
            let by = state.sessions.get(place).map_or("", |one| name(&one.opened_by));
            format!("session {place} (opened by {by})")
        };
        let chosen = |who: Who| state.choice(self.without, who).map(opener).unwrap_or_default();
        match step {
            Step::Open(who) => format!("{} sends a first flight", name(who)),
            Step::FlightArrives(place) => format!("the first flight of {} arrives", opener(*place)),
            Step::AnswerArrives(place) => format!("the answer for {} arrives", opener(*place)),
            Step::LoseAnswer(place) => format!("the answer for {} is lost", opener(*place)),
            Step::GiveUp(who, place) => format!("{} gives up {}", name(who), opener(*place)),
            Step::Send(who) => format!("{} sends a record on {}", name(who), chosen(*who)),
            Step::SendDenied(who) => format!(
                "{} sends a record on {}, and {} has no such session and says so",
                name(who),
                chosen(*who),
                name(&who.other())
            ),
            Step::SendMisplaced(who) => format!(
                "{} sends a record on {}; it comes on the wrong lane and is denied",
                name(who),
                chosen(*who)
            ),
            Step::HintArrives(who, place) => {
                format!("the denial of {} arrives at {}", opener(*place), name(who))
            }
            Step::Silence(who) => format!("{} has heard nothing for too long", name(who)),
            Step::Expire(who, place) => {
                format!("{} waits no longer for {}", name(who), opener(*place))
            }
            Step::Pass => "more than ten seconds pass".into(),
            Step::Restart(who) => format!("{} restarts and knows nothing", name(who)),
        }
    }
}
