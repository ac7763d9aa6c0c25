//! What the owner does for others, one call each: asks, looks, and tells what happens.
//!
//! Knows no connection but the way out. Invariant: each ends with one last object, unless nobody reads.

use egtp::clock::{Clock, SystemClock};
use egtp::events::Missed;
use tokio::sync::watch;

use super::call::{Question, Which};
use super::happened::Happened;
use super::host::{self, Host};
use super::mailer::Mailer;
use crate::asker::{Step, becomes_true};
use crate::failure::Failure;
use crate::json::Object;

/// Asks for somebody else.
pub(super) async fn ask(
    host: Host,
    mailer: Mailer,
    number: u64,
    question: Question,
    cancelled: watch::Receiver<bool>,
) {
    let to = match host.own().resolve(&question.peer) {
        Ok(to) => to,
        Err(failure) => {
            let _ = mailer.send(&failed(number, &failure)).await;
            return;
        }
    };
    let tell = |step| {
        let name = match step {
            Step::Taken => "taken",
            Step::Slow => "slow",
        };
        // Its end says all of it again.
        let _ = mailer.send_now(&event(number, name));
    };
    let ended = host.own().ask(&to, &question, tell, cancelled).await;
    let _ = mailer.send(&ended.write(event(number, "ended"))).await;
}

/// Says what the node holds.
pub(super) async fn report(host: Host, mailer: Mailer, number: u64) {
    let object = match host.report().await {
        Ok(report) => report.write(event(number, "status")),
        Err(failure) => failed(number, &failure),
    };
    let _ = mailer.send(&object).await;
}

/// Tells what happens in the node until nobody wants to hear it.
pub(super) async fn tell(
    host: Host,
    mailer: Mailer,
    number: u64,
    which: Which,
    mut cancelled: watch::Receiver<bool>,
) {
    let Some(mut events) = host.own().node().events().await else {
        let _ = mailer.send(&failed(number, &host::closing())).await;
        return;
    };
    let of_call = || Object::new().with("call", number);
    let past: Vec<Happened> = events.past().map(|event| Happened::new(&event)).collect();
    if which == Which::Past {
        for happened in past {
            if mailer.send(&happened.write(of_call())).await.is_err() {
                return;
            }
        }
        let _ = mailer.send(&event(number, "ended")).await;
        return;
    }
    // From now on nothing is lost unless it is said.
    let _ = mailer.send(&event(number, "watching")).await;
    loop {
        let next = tokio::select! {
            next = events.next() => next,
            () = becomes_true(&mut cancelled) => {
                let _ = mailer.send(&event(number, "ended")).await;
                return;
            }
        };
        let happened = match next {
            Some(Ok(event)) => Happened::new(&event),
            Some(Err(Missed(count))) => Happened::missed(count, SystemClock.wall()),
            None => {
                let _ = mailer.send(&failed(number, &host::closing())).await;
                return;
            }
        };
        if mailer.send(&happened.write(of_call())).await.is_err() {
            return;
        }
    }
}

/// An event of a call.
pub(super) fn event(number: u64, name: &'static str) -> Object {
    Object::new().with("call", number).with("event", name)
}

/// A call that has come to nothing.
pub(super) fn failed(number: u64, failure: &Failure) -> Object {
    event(number, "failed").object("error", failure.object())
}
