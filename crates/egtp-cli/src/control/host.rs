//! The node behind the control socket, and who answers what in it.
//!
//! Knows no connection. Invariant: a kind is answered by one process at a time, and it is known which.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use egtp::Kind;

use super::Report;
use crate::asker::OwnNode;
use crate::failure::{Code, Failure};
use crate::inbox::Inbox;
use crate::json::Object;
use crate::ready::Ready;

/// A node that others may use. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Host(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    own: OwnNode,
    owner: String,
    /// How it is reached, if it stays.
    ready: Option<Ready>,
    answered: Mutex<BTreeMap<Kind, String>>,
    /// What it was sent and nothing answers, if it keeps that.
    inbox: Option<Inbox>,
}

/// That a kind is answered by somebody, until it is dropped.
#[derive(Debug)]
pub(super) struct Answering {
    host: Host,
    kind: Kind,
}

impl Host {
    /// A node that this process runs for this command, and that ends with it.
    pub(crate) fn new(own: OwnNode, command: &str) -> Self {
        Self::of(own, command, None, None)
    }

    /// A node that stays, and answers these kinds itself.
    pub(crate) fn staying(own: OwnNode, command: &str, ready: Ready, inbox: Inbox) -> Self {
        Self::of(own, command, Some(ready), Some(inbox))
    }

    /// Where messages wait that nothing answers.
    pub(super) fn inbox(&self) -> Option<&Inbox> {
        self.0.inbox.as_ref()
    }

    fn of(own: OwnNode, command: &str, ready: Option<Ready>, inbox: Option<Inbox>) -> Self {
        let owner = process(std::process::id(), command);
        let kinds = ready.iter().flat_map(|ready| &ready.kinds);
        let answered = Mutex::new(kinds.map(|kind| (kind.clone(), owner.clone())).collect());
        Self(Arc::new(Inner { own, owner, ready, answered, inbox }))
    }

    /// The node, to ask through.
    pub(super) fn own(&self) -> &OwnNode {
        &self.0.own
    }

    /// The first thing that is said to whoever attaches.
    pub(super) fn hello(&self) -> Object {
        let key = self.0.own.key();
        Object::new()
            .with("event", "hello")
            .text("public_key", key)
            .text("node_id", key.node_id())
            .with("owner", &*self.0.owner)
            .with("version", env!("CARGO_PKG_VERSION"))
    }

    /// What the node holds now.
    ///
    /// # Errors
    /// [`Code::Closing`] when it has ended.
    pub(super) async fn report(&self) -> Result<Report, Failure> {
        let status = self.0.own.node().status().await;
        let kinds = self.lock().iter().map(|(kind, by)| (kind.to_string(), by.clone())).collect();
        status.map(|status| Report::new(&status, kinds)).ok_or_else(closing)
    }

    /// Enters who is about to answer a kind; and what there is to say when it does.
    ///
    /// # Errors
    /// [`Code::Usage`] when somebody answers it already, [`Code::Owned`] when this node does not stay.
    pub(super) fn answer(&self, kind: &Kind, by: String) -> Result<(Answering, Ready), Failure> {
        let Some(ready) = &self.0.ready else {
            let message = format_args!(
                "this data directory belongs to {}, which ends with its own question",
                self.0.owner
            );
            return Err(Failure::with_next(Code::Owned, message, "try again when it has ended"));
        };
        let mut answered = self.lock();
        if let Some(other) = answered.get(kind) {
            let message = format_args!("{kind} is answered already, by {other}");
            let next = "stop that process, or answer another kind";
            return Err(Failure::with_next(Code::Usage, message, next));
        }
        answered.insert(kind.clone(), by);
        let others = answered.keys().filter(|other| *other != kind).cloned();
        let kinds = std::iter::once(kind.clone()).chain(others).collect();
        drop(answered);
        let answering = Answering { host: self.clone(), kind: kind.clone() };
        Ok((answering, Ready { kinds, ..ready.clone() }))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, String>> {
        self.0.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.host.lock().remove(&self.kind);
    }
}

/// How a process is named, here and in the lock of a directory.
pub(super) fn process(id: impl std::fmt::Display, command: &str) -> String {
    format!("process {id} (egtp {command})")
}

/// The node ends.
pub(super) fn closing() -> Failure {
    Failure::new(Code::Closing, "this node is closing")
}
