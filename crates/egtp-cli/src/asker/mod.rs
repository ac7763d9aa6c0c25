//! Where to ask: at a node of this process, or through one that another process runs.
//!
//! Whoever asks does not know which it is. Invariant: without a named directory nothing is written, and
//! the identity ends with the process.

mod own;

use egtp::lookup::Lookup;
use egtp::path::Attempts;
use egtp::store::SqliteStore;
use egtp::{Builder, Node, Recipient};
use tokio::sync::watch;

pub(crate) use self::own::{OwnNode, becomes_true};
use crate::access::{self, Access};
use crate::context::Context;
use crate::control::{Attached, Control, Host, Question};
use crate::directory::{Directory, Ownership};
use crate::ended::Ended;
use crate::failure::{Code, Failure};
use crate::message_id::Id;
use crate::peer::{self, Peer};
use crate::progress_line::Part;
use crate::signals::Signals;

/// Somewhere to ask, and whom to ask.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// Whom.
    pub(crate) to: Recipient,
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    /// A node that ends with this process.
    Own(OwnNode),
    /// Another process.
    Attached(Attached),
}

/// An asker, and the directory while this process owns one.
#[derive(Debug)]
pub(crate) struct Asking {
    /// Where and whom to ask.
    pub(crate) asker: Asker,
    kept: Option<(Control, Ownership)>,
}

/// What happens to a request before its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// It is on the disk of the node that asks, under this id: it goes on whoever is killed.
    Kept(Id),
    /// The peer has no disk to remember it on, although it should.
    InMemory,
    /// Somebody keeps it for the peer, who is away.
    Stored,
    /// The peer has taken it.
    Taken,
    /// Its soft timeout has passed.
    Slow,
    /// Bytes of its large body have arrived at the peer.
    Sent(Part),
    /// Bytes of its large reply have arrived here.
    Received(Part),
}

impl Asking {
    /// Finds out whom the command line means and where to ask, and starts a node if there is none.
    ///
    /// # Errors
    /// When the peer is unknown or this identity itself, or the directory cannot be used.
    pub(crate) async fn start(
        context: &Context,
        command: &str,
        peer: &Peer,
        memory: Memory,
    ) -> Result<Self, Failure> {
        let names = context.names();
        let to = peer.resolve(names.as_ref())?;
        if let Some(directory) = context.named_directory() {
            let key = directory.key()?;
            own::refuse_oneself(&key.public(), &to)?;
            return match access::to(directory, command).await? {
                Access::Guest(attached) => Ok(Self::nothing_kept(to, At::Attached(attached))),
                Access::Owner(ownership) => {
                    let store = match memory {
                        Memory::Ram => None,
                        Memory::Disk => Some(SqliteStore::open(directory.store())?),
                    };
                    let settle = |builder: Builder| {
                        let builder = builder.key(key).only_instance();
                        if let Some(store) = store { builder.store(store) } else { builder }
                    };
                    let own = start(names, settle).await?;
                    let own = match memory {
                        Memory::Ram => own,
                        Memory::Disk => own.writing_letters(directory)?,
                    };
                    let control = Control::listen(directory, Host::new(own.clone(), command))?;
                    let asker = Asker { to, at: At::Own(own) };
                    Ok(Self { asker, kept: Some((control, ownership)) })
                }
            };
        }
        if let Some(attached) = running_node(context).await
            && attached.key() != to.key
        {
            context.output.say(format_args!(
                "Asking through {}, as {}...; --ephemeral asks from a fresh identity.",
                attached.owner(),
                attached.key().short()
            ));
            return Ok(Self::nothing_kept(to, At::Attached(attached)));
        }
        let own = start(names, |builder| builder).await?;
        own::refuse_oneself(&own.key(), &to)?;
        context.output.say(format_args!(
            "Asking from a fresh identity in memory ({}...); --data DIR asks from a kept one.",
            own.key().short()
        ));
        if memory == Memory::Disk {
            context
                .output
                .say("--durable keeps nothing on this side then: it ends with this command.");
        }
        Ok(Self::nothing_kept(to, At::Own(own)))
    }

    /// A signal came before anything was asked.
    pub(crate) fn interrupted() -> Failure {
        let message = "interrupted before anything was asked";
        Failure::with_next(Code::Interrupted, message, "run it again: nothing was sent")
    }

    const fn nothing_kept(to: Recipient, at: At) -> Self {
        Self { asker: Asker { to, at }, kept: None }
    }

    /// Ends: the peer learns that we have its replies, and of what we want no reply any more. Others
    /// that ask through this node are waited for unless `wait` says no, until a signal comes.
    pub(crate) async fn close(self, context: &Context, mut signals: Signals, wait: Wait) {
        let At::Own(own) = self.asker.at else { return signals.give_up_on_next() };
        let Some((mut control, ownership)) = self.kept else {
            signals.give_up_on_next();
            return own.close().await;
        };
        control.take_no_more().await;
        let guests = control.guests();
        if wait == Wait::ForOthers && guests > 0 {
            context.output.say(format_args!(
                "Others ask through this process ({guests}); it ends with them, or with Ctrl-C."
            ));
            tokio::select! {
                () = control.deserted() => {}
                () = signals.next() => {}
            }
        }
        signals.give_up_on_next();
        control.say_closing();
        own.close().await;
        control.finish().await;
        drop(ownership);
    }
}

impl Asker {
    /// Asks, and follows the request to its end: its outcome, or that `interrupted` has become true.
    ///
    /// # Errors
    /// When it could not even be asked.
    pub(crate) async fn ask(
        &self,
        question: &Question,
        tell: impl FnMut(Step),
        interrupted: watch::Receiver<bool>,
    ) -> Result<Ended, Failure> {
        match &self.at {
            At::Own(own) => Ok(own.ask(&self.to, question, tell, interrupted).await),
            At::Attached(attached) => attached.ask(question, tell, interrupted).await,
        }
    }
}

/// Where a node of this process remembers what it asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Memory {
    /// In its memory: nothing is written.
    Ram,
    /// Also in the store of its directory, if it has a directory.
    Disk,
}

/// Whether whoever ends waits for others that use its node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wait {
    /// It does.
    ForOthers,
    /// It does not: it was interrupted.
    ForNobody,
}

/// The node that runs on the usual directory, if there is one, and a directory may be used at all.
async fn running_node(context: &Context) -> Option<Attached> {
    let directory = context.names()?;
    // What cannot be used here is no reason not to ask: nobody has named it.
    Attached::to(&directory).await.ok().flatten()
}

async fn start(
    names: Option<Directory>,
    settle: impl FnOnce(Builder) -> Builder,
) -> Result<OwnNode, Failure> {
    let attempts = Attempts::default();
    let mut builder = settle(Node::builder().attempts(attempts.clone()));
    if let Some(lookup) = names.as_ref().map(lookup) {
        builder = builder.lookup(lookup);
    }
    Ok(OwnNode::new(builder.start().await?, attempts, names))
}

fn lookup(directory: &Directory) -> impl Lookup + use<> {
    peer::lookup_in(directory)
}
