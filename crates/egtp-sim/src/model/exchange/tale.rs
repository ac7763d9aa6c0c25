//! The steps of the exchange in words.

use super::action::{Action, Exchange};
use super::state::{Carrier, State, Transmission, Which};
use crate::model::story::Tells;

impl Tells for Exchange {
    fn sentence(&self, state: &State, action: &Action) -> String {
        let one =
            |place: usize| state.network.transmissions.get(place).map(name).unwrap_or_default();
        let card = state.asker.card;
        match *action {
            Action::Send(which, carrier) => {
                let message = state.asker.messages.of(which);
                let kept = self.rules.has(super::rules::Rule::BindingKept);
                let bound = message.bound.filter(|_| kept).unwrap_or(card);
                format!(
                    "the asker sends {} in {}, bound to life {} generation {}",
                    said(which),
                    carried(carrier),
                    bound.life,
                    bound.generation
                )
            }
            Action::Arrive(place) => format!("{} arrives", one(place)),
            Action::Lose(place) => format!("{} is lost", one(place)),
            Action::Vanish(place) => format!("the last copy of {} is gone", one(place)),
            Action::HearRefusal(place) => format!("the refusal of {} arrives", one(place)),
            Action::LoseRefusal(place) => format!("the refusal of {} is lost", one(place)),
            Action::HearAck => "the acknowledgement arrives".into(),
            Action::LoseAck => "the acknowledgement is lost".into(),
            Action::Reply(which) => format!("the handler replies to {}", said(which)),
            Action::ReplyAgain(which) => format!("the reply to {} is sent again", said(which)),
            Action::HearReply(which) => format!("the reply to {} arrives", said(which)),
            Action::LoseReply(which) => format!("the reply to {} is lost", said(which)),
            Action::Close => "the asker tells what is closed".into(),
            Action::HearClosed => "what is closed arrives".into(),
            Action::LoseClosed => "what is closed is lost".into(),
            Action::Ask => format!(
                "in a handshake the answerer states life {} generation {} age {}",
                state.answerer.life, state.answerer.generation, state.answerer.age
            ),
            Action::HearStatement(place) => {
                let life = state.network.statements.get(place).map_or(0, |one| one.card.life);
                format!("the statement of life {life} arrives")
            }
            Action::LoseStatement(_) => "the statement is lost".into(),
            Action::Crash => "the answerer crashes and begins a new life".into(),
            Action::Evict => "a stranger takes the asker's place in the answerer's table".into(),
            Action::Tick => "time passes".into(),
            Action::TickAsleep => "time passes, and the asker's boot clock stands still".into(),
            Action::TickMissed => "time passes, and the asker's clocks miss it".into(),
            Action::TimeOut(which) => format!("{} times out", said(which)),
            Action::GiveUp(which) => format!("the doubt about {} ends it as unknown", said(which)),
        }
    }
}

const fn said(which: Which) -> &'static str {
    match which {
        Which::First => "message 0",
        Which::Second => "message 1",
        Which::Third => "message 2",
    }
}

const fn carried(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Record => "a record",
        Carrier::Flight => "a first flight",
        Carrier::Letter => "a letter",
    }
}

fn name(one: &Transmission) -> String {
    let (life, generation) = (one.bound.life, one.bound.generation);
    format!("{} with {} ({life}.{generation})", carried(one.carrier), said(one.message))
}
