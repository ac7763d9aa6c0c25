//! Serving for a node that another process runs: queries come through its control socket.
//!
//! Knows nothing of sockets. Invariant: the kind is answered while this process lives, and every query
//! that it was given is answered or given back.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::context::Context;
use crate::control::{Attached, Held, Served, Service};
use crate::exec::Exec;
use crate::failure::Failure;
use crate::json::Object;
use crate::query::Query;
use crate::signals::Signals;

/// Answers a kind by a command, or by echo without one, until a signal comes.
///
/// # Errors
/// When the kind is answered already, or the owner of the node ends.
pub(crate) async fn serve(
    context: &Context,
    attached: &Attached,
    service: Service,
    exec: Option<Arc<Exec>>,
) -> Result<(), Failure> {
    let mut signals = Signals::catch()?;
    let (ready, mut served) = tokio::select! {
        served = attached.serve(service) => served?,
        () = signals.next() => return Ok(()),
    };
    context.output.say(format_args!("Answering for the node of {}.", attached.owner()));
    ready.announce(context.output)?;
    let mut running = JoinSet::new();
    let ended = tokio::select! {
        ended = answer_all(&mut served, exec.as_ref(), &mut running) => Some(ended),
        () = signals.next() => None,
    };
    signals.give_up_on_next();
    // Whoever read the events may have gone.
    let _ = context.output.event(&Object::new().with("event", "closing"));
    // Commands end with it, and their queries are given back.
    running.shutdown().await;
    match ended {
        None => {
            context.output.say("Stopping.");
            Ok(())
        }
        Some(Err(failure)) => Err(failure),
        Some(Ok(())) => Err(attached.has_ended()),
    }
}

async fn answer_all(
    served: &mut Served,
    exec: Option<&Arc<Exec>>,
    running: &mut JoinSet<()>,
) -> Result<(), Failure> {
    loop {
        tokio::select! {
            held = served.next() => match held? {
                Some(held) => drop(running.spawn(answer(held, exec.cloned()))),
                None => return Ok(()),
            },
            Some(_) = running.join_next() => {}
        }
    }
}

async fn answer(held: Held, exec: Option<Arc<Exec>>) {
    let Some(exec) = exec else {
        let body = held.body.clone();
        return held.reply(body).await;
    };
    exec.answer(Query::Attached(held)).await;
}
