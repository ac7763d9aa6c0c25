//! A node of this process, as somebody to ask through.
//!
//! Knows no command and no socket. Invariant: what it says of a request that was given up is never more
//! than what is known.

use std::sync::Arc;
use std::time::Instant;

use egtp::lookup::Lookup;
use egtp::path::{Attempts, Became};
use egtp::{
    Message, MessageId, Node, NotSent, Pending, Progress, PublicKey, Recipient, RequestError, Taken,
};
use egtp_services::post::Courier;
use tokio::sync::watch;

use super::Step;
use crate::control::{Question, Wants};
use crate::directory::Directory;
use crate::ended::{self, Ended};
use crate::failure::{Code, Failure};
use crate::message_id::Id;
use crate::outcome::NoReply;
use crate::own_contact;
use crate::peer::{self, Peer};
use crate::progress_line::Part;
use crate::why::{self, Known};

/// A node, and what explains its failures.
#[derive(Clone, Debug)]
pub(crate) struct OwnNode {
    node: Node,
    attempts: Attempts,
    names: Option<Directory>,
    /// Whether peers come to it through relays.
    is_relayed: bool,
    /// Who carries its letters, if that is this one's business.
    courier: Option<Arc<Courier>>,
}

impl OwnNode {
    /// The node that fills this memory of attempts, and where its user keeps names and contacts.
    pub(crate) const fn new(node: Node, attempts: Attempts, names: Option<Directory>) -> Self {
        Self { node, attempts, names, is_relayed: false, courier: None }
    }

    /// The same, and peers come to it through relays.
    pub(crate) fn reached_by_relays(self) -> Self {
        Self { is_relayed: true, ..self }
    }

    /// The same, and what is durable goes by letter to those who are away. An answer finds its way if the last contact of
    /// this directory says where that is.
    ///
    /// # Errors
    /// When that contact is damaged.
    pub(crate) fn writing_letters(self, directory: &Directory) -> Result<Self, Failure> {
        if let Some(contact) = own_contact::last(directory, &directory.key()?)? {
            self.node.learn(contact);
        }
        let courier = Some(Arc::new(Courier::start(self.node.clone())));
        Ok(Self { courier, ..self })
    }

    /// The node itself.
    pub(crate) const fn node(&self) -> &Node {
        &self.node
    }

    /// Who it is.
    pub(crate) fn key(&self) -> PublicKey {
        self.node.key()
    }

    /// Tells peers goodbye and stops.
    pub(crate) async fn close(self) {
        drop(self.courier);
        self.node.close().await;
    }

    /// Whom a text means here.
    ///
    /// # Errors
    /// When nobody is known by it, or it is this node itself.
    pub(crate) fn resolve(&self, peer: &Peer) -> Result<Recipient, Failure> {
        let to = peer.resolve(self.names.as_ref())?;
        refuse_oneself(&self.key(), &to)?;
        Ok(to)
    }

    /// Asks, and follows the request to its end: its outcome, or that `interrupted` has become true.
    pub(crate) async fn ask(
        &self,
        to: &Recipient,
        question: &Question,
        tell: impl FnMut(Step),
        interrupted: watch::Receiver<bool>,
    ) -> Ended {
        let message = Message::new(question.kind.clone(), question.body.clone());
        let request = self.node.request(to.clone(), message).hard_timeout(question.hard);
        let request = match question.soft {
            Some(soft) => request.soft_timeout(soft),
            None => request,
        };
        let request = match question.hard_max {
            Some(longest) => request.hard_timeout_max(longest),
            None => request,
        };
        let request = if question.post_quantum { request.post_quantum() } else { request };
        let request = if question.durable { request.durable() } else { request };
        let pending = match question.wants {
            Wants::Reply => request.start(),
            Wants::Receipt => request.start_send(),
        };
        self.follow(pending, Some(to), tell, interrupted).await
    }

    /// Follows a durable request to its end that this node keeps, as it was begun by this or an earlier run.
    ///
    /// # Errors
    /// [`Code::Usage`] when it keeps no such request.
    pub(crate) async fn follow_kept(
        &self,
        id: MessageId,
        tell: impl FnMut(Step),
        interrupted: watch::Receiver<bool>,
    ) -> Result<Ended, Failure> {
        let pending = self.node.attach(id).await.ok_or_else(|| not_kept(id))?;
        Ok(self.follow(pending, None, tell, interrupted).await)
    }

    /// Gives up a durable request that this node keeps.
    ///
    /// # Errors
    /// [`Code::Usage`] when it keeps no such request.
    pub(crate) async fn forget_kept(&self, id: MessageId) -> Result<(), Failure> {
        if !self.node.kept().await.contains(&id) {
            return Err(not_kept(id));
        }
        self.node.forget(id);
        Ok(())
    }

    /// Writes a backup of the directory of this node to a new file, while the node goes on.
    ///
    /// # Errors
    /// When the node keeps no directory, or the file cannot be made.
    pub(crate) async fn back_up(&self, file: String) -> Result<(), Failure> {
        let Some(directory) = &self.names else {
            return Err(Failure::new(Code::Usage, "this node keeps no directory"));
        };
        Ok(self.node.back_up(file, directory.files_to_keep()?).await?)
    }

    async fn follow(
        &self,
        mut pending: Pending,
        to: Option<&Recipient>,
        mut tell: impl FnMut(Step),
        mut interrupted: watch::Receiver<bool>,
    ) -> Ended {
        let started = Instant::now();
        let mut soft_timeouts = 0;
        let mut is_kept = to.is_none();
        let mut is_taken = false;
        let result = loop {
            // What has happened already counts, also if the signal came with it.
            let progress = tokio::select! {
                biased;
                progress = pending.progress() => progress,
                () = becomes_true(&mut interrupted) => {
                    let unheard = || to.map_or(Taken::Unknown, |to| self.may_have_taken(to));
                    let taken = if is_taken { Taken::Yes } else { unheard() };
                    break Err(NoReply::Interrupted(taken));
                }
            };
            match progress {
                Ok(Progress::Replied(reply)) => break Ok(reply),
                Ok(Progress::Kept) => {
                    is_kept = true;
                    if let Some(id) = pending.id() {
                        tell(Step::Kept(Id(id)));
                    }
                }
                Ok(Progress::InMemory) => tell(Step::InMemory),
                Ok(Progress::Stored) => tell(Step::Stored),
                Ok(Progress::Taken) => {
                    is_taken = true;
                    tell(Step::Taken);
                }
                Ok(Progress::Slow) => {
                    soft_timeouts += 1;
                    tell(Step::Slow);
                }
                Ok(Progress::Sent { bytes, total }) => tell(Step::Sent(Part { bytes, total })),
                Ok(Progress::Received { bytes, total }) => {
                    tell(Step::Received(Part { bytes, total }));
                }
                Ok(_) => {}
                Err(error) => break Err(NoReply::Outcome(error)),
            }
        };
        let (id, took) = (pending.id(), started.elapsed());
        // Forgotten before it is explained: nobody waits for it any more.
        drop(pending);
        match result {
            Ok(reply) => Ended::replied(id, reply, took, soft_timeouts),
            Err(no_reply) => {
                let mut failure = match to {
                    Some(to) => self.explain(to, &no_reply).await,
                    None => Failure::with_next(no_reply.code(), &no_reply, no_reply.next()),
                };
                let goes_on = is_kept && failure_of_this_run(&no_reply);
                if let Some(id) = id.filter(|_| goes_on) {
                    failure.next = ended::how_it_goes_on(Id(id));
                }
                Ended::without_reply(id, &no_reply, failure, took, soft_timeouts)
            }
        }
    }

    /// Whether the peer may have taken a request of which nothing was heard yet.
    fn may_have_taken(&self, to: &Recipient) -> Taken {
        // Who is listened for may have connected by itself, of which no attempt tells.
        if self.is_relayed || !self.node.listening().is_empty() {
            return Taken::Unknown;
        }
        let attempts = self.attempts.of(&to.key);
        let is_open = |became| matches!(became, Became::Unproved | Became::Proved);
        // Without a connection nothing of it can have left this machine.
        if attempts.iter().any(|one| is_open(one.became)) { Taken::Unknown } else { Taken::No }
    }

    /// Why there was no reply, and what to do, with what is known of the peer's addresses.
    async fn explain(&self, to: &Recipient, no_reply: &NoReply) -> Failure {
        let attempts = self.attempts.of(&to.key);
        let not_found = NoReply::Outcome(RequestError::NotSent(NotSent::NotFound));
        let mut known = Known::Addresses(to.hints.clone());
        if *no_reply == not_found
            && let Some(directory) = &self.names
        {
            match peer::lookup_in(directory).resolve(to.key).await {
                Ok(Some(contact)) => known.add(contact.strategies()),
                Ok(None) => {}
                Err(error) => known = Known::NotReadable(error.to_string()),
            }
        }
        why::failure(no_reply, &attempts, &known)
    }
}

/// Whether a request that the disk keeps goes on although there was no reply.
const fn failure_of_this_run(no_reply: &NoReply) -> bool {
    matches!(no_reply, NoReply::Interrupted(_) | NoReply::Outcome(RequestError::Closing))
}

fn not_kept(id: MessageId) -> Failure {
    let message = format_args!("this node keeps no durable request {id}");
    Failure::with_next(Code::Usage, message, "see those that it keeps: egtp events kept")
}

/// A session with oneself is an error, found before anything is asked.
pub(super) fn refuse_oneself(own: &PublicKey, to: &Recipient) -> Result<(), Failure> {
    if *own == to.key {
        return Err(Failure::new(Code::Oneself, Code::Oneself.meaning()));
    }
    Ok(())
}

/// Never, once nobody can set it any more.
pub(crate) async fn becomes_true(interrupted: &mut watch::Receiver<bool>) {
    if interrupted.wait_for(|is_so| *is_so).await.is_err() {
        std::future::pending::<()>().await;
    }
}
