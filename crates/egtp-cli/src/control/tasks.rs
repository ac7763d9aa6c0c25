//! What the owner does for others, one call each: asks, looks, and tells what happens.
//!
//! Knows no connection but the way out. Invariant: each ends with one last object, unless nobody reads.

use egtp::MessageId;
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
use crate::progress_line::Part;

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
    let ended = host.own().ask(&to, &question, telling(&mailer, number), cancelled).await;
    let _ = mailer.send(&ended.write(event(number, "ended"))).await;
}

/// Names the durable requests that the node keeps.
pub(super) async fn list_kept(host: Host, mailer: Mailer, number: u64) {
    for id in host.own().node().kept().await {
        if mailer.send(&event(number, "kept").text("id", id)).await.is_err() {
            return;
        }
    }
    let _ = mailer.send(&event(number, "ended")).await;
}

/// Follows one of them to its end.
pub(super) async fn take(
    host: Host,
    mailer: Mailer,
    number: u64,
    id: MessageId,
    cancelled: watch::Receiver<bool>,
) {
    let object = match host.own().follow_kept(id, telling(&mailer, number), cancelled).await {
        Ok(ended) => ended.write(event(number, "ended")),
        Err(failure) => failed(number, &failure),
    };
    let _ = mailer.send(&object).await;
}

/// Gives one of them up.
pub(super) async fn forget(host: Host, mailer: Mailer, number: u64, id: MessageId) {
    let object = match host.own().forget_kept(id).await {
        Ok(()) => event(number, "ended"),
        Err(failure) => failed(number, &failure),
    };
    let _ = mailer.send(&object).await;
}

/// Backs the directory up.
pub(super) async fn back_up(host: Host, mailer: Mailer, number: u64, file: String) {
    let object = match host.own().back_up(file).await {
        Ok(()) => event(number, "ended"),
        Err(failure) => failed(number, &failure),
    };
    let _ = mailer.send(&object).await;
}

/// Tells the steps of a request.
fn telling(mailer: &Mailer, number: u64) -> impl FnMut(Step) {
    move |step| {
        let object = match step {
            Step::Kept(id) => event(number, "kept").text("id", id),
            Step::InMemory => event(number, "in_memory"),
            Step::Stored => event(number, "stored"),
            Step::Taken => event(number, "taken"),
            Step::Slow => event(number, "slow"),
            Step::Sent(part) => write_part(event(number, "sent"), part),
            Step::Received(part) => write_part(event(number, "received"), part),
        };
        // Its end says all of it again.
        let _ = mailer.send_now(&object);
    }
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

fn write_part(object: Object, Part { bytes, total }: Part) -> Object {
    object.with("bytes", bytes).with("total", total)
}

/// An event of a call.
pub(super) fn event(number: u64, name: &'static str) -> Object {
    Object::new().with("call", number).with("event", name)
}

/// A call that has come to nothing.
pub(super) fn failed(number: u64, failure: &Failure) -> Object {
    event(number, "failed").object("error", failure.object())
}
