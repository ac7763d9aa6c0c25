//! A node that another process runs, as a command uses it.
//!
//! Invariant: whatever becomes of the owner, everything that was asked through it ends, and what is not
//! known of it is not made up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use egtp::{PublicKey, Taken};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};

use super::call::{Call, Question, Service, What, Which};
use super::connection::CALLS_MAX;
use super::exchange::{Exchange, Line};
use super::line::Lines;
use super::{Fields, Happened, Report, served, socket};
use crate::asker::{Step, becomes_true};
use crate::directory::Directory;
use crate::ended::Ended;
use crate::failure::{Code, Failure};
use crate::message_id::Id;
use crate::progress_line::Part;
use crate::ready::Ready;

/// A node of another process. Clones are the same connection; the last one ends what is under way.
#[derive(Clone, Debug)]
pub(crate) struct Attached(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: PublicKey,
    owner: String,
    line: Line,
    next: AtomicU64,
    /// For as many calls as the owner takes at a time.
    room: Semaphore,
}

impl Attached {
    /// Attaches to the owner of a directory. `None` if nobody listens there.
    ///
    /// # Errors
    /// When somebody does, and does not let us use the node.
    pub(crate) async fn to(directory: &Directory) -> Result<Option<Self>, Failure> {
        let failed = |error| {
            let path = directory.path().display();
            let message = format_args!("could not use the node that runs on {path}: {error}");
            Failure::new(Code::Io, message)
        };
        let Some(stream) = socket::connect(directory.path()).await.map_err(failed)? else {
            return Ok(None);
        };
        let hello = tokio::time::timeout(HELLO_TIME, Self::over(stream));
        if let Ok(attached) = hello.await {
            return attached;
        }
        let owner = directory.owner()?.unwrap_or_else(|| "another process".to_owned());
        let path = directory.path().display();
        let message = format_args!("{path} belongs to {owner}, which does not answer");
        let next = "see what that process does; once it has ended, run this again";
        Err(Failure::with_next(Code::Owned, message, next))
    }

    async fn over(stream: UnixStream) -> Result<Option<Self>, Failure> {
        let (read, write) = stream.into_split();
        let mut lines = Lines::new(read);
        // An owner that is ending closes the connection before it says anything.
        let Ok(Some(hello)) = lines.next().await else { return Ok(None) };
        if let Some(failure) = hello.failure().map_err(|why| not_understood(&why))? {
            return Err(failure);
        }
        let key = hello.needed("public_key", Fields::parsed).map_err(|why| not_understood(&why))?;
        let owner =
            hello.needed("owner", Fields::text).map_err(|why| not_understood(&why))?.to_owned();
        let line = Line::over(lines, write);
        let (next, room) = (AtomicU64::new(1), Semaphore::new(CALLS_MAX));
        Ok(Some(Self(Arc::new(Inner { key, owner, line, next, room }))))
    }

    /// Who the node is.
    pub(crate) fn key(&self) -> PublicKey {
        self.0.key
    }

    /// Who runs it.
    pub(crate) fn owner(&self) -> &str {
        &self.0.owner
    }

    /// Asks, and follows the request to its end, as a node of this process would.
    ///
    /// # Errors
    /// When the owner would not ask.
    pub(crate) async fn ask(
        &self,
        question: &Question,
        tell: impl FnMut(Step),
        interrupted: watch::Receiver<bool>,
    ) -> Result<Ended, Failure> {
        self.follow(What::Request(question.clone()), tell, interrupted).await
    }

    /// Follows a durable request to its end that the node keeps.
    ///
    /// # Errors
    /// [`Code::Usage`] when it keeps no such request.
    pub(crate) async fn take(
        &self,
        id: Id,
        tell: impl FnMut(Step),
        interrupted: watch::Receiver<bool>,
    ) -> Result<Ended, Failure> {
        self.follow(What::Take(id), tell, interrupted).await
    }

    /// The ids of the durable requests that the node keeps.
    ///
    /// # Errors
    /// What the owner says; [`Code::Closing`] when it has ended.
    pub(crate) async fn kept(&self) -> Result<Vec<Id>, Failure> {
        let mut exchange = self.begin(What::Kept).await.ok_or_else(|| self.has_ended())?;
        let mut kept = Vec::new();
        loop {
            let fields = exchange.next().await.ok_or_else(|| self.has_ended())?;
            match name(&fields)? {
                "kept" => {
                    let id = fields.needed("id", Fields::parsed);
                    kept.push(id.map_err(|why| not_understood(&why))?);
                }
                "ended" => return Ok(kept),
                "failed" => return Err(failure(&fields)),
                _ => {}
            }
        }
    }

    /// Gives one of them up.
    ///
    /// # Errors
    /// [`Code::Usage`] when the node keeps no such request; [`Code::Closing`] when its owner has ended.
    pub(crate) async fn forget(&self, id: Id) -> Result<(), Failure> {
        self.have_done(What::Forget(id)).await
    }

    /// Backs the directory up to this new file, which must be an absolute path.
    ///
    /// # Errors
    /// What the owner says; [`Code::Closing`] when it has ended.
    pub(crate) async fn back_up(&self, file: String) -> Result<(), Failure> {
        self.have_done(What::BackUp(file)).await
    }

    /// Has something done of which nothing is told but its end.
    async fn have_done(&self, what: What) -> Result<(), Failure> {
        let mut exchange = self.begin(what).await.ok_or_else(|| self.has_ended())?;
        loop {
            let fields = exchange.next().await.ok_or_else(|| self.has_ended())?;
            match name(&fields)? {
                "ended" => return Ok(()),
                "failed" => return Err(failure(&fields)),
                _ => {}
            }
        }
    }

    /// Follows a request, of which the owner tells, to its end.
    async fn follow(
        &self,
        what: What,
        mut tell: impl FnMut(Step),
        mut interrupted: watch::Receiver<bool>,
    ) -> Result<Ended, Failure> {
        // Never closed.
        let _permit = self.0.room.acquire().await;
        let started = Instant::now();
        let mut kept = if let What::Take(id) = &what { Some(*id) } else { None };
        let (mut taken, mut soft_timeouts) = (Taken::Unknown, 0);
        let Some(mut exchange) = self.begin(what).await else {
            // It did not even get to the owner.
            return Ok(Ended::lost(self.owner(), kept, Taken::No, (started.elapsed(), 0)));
        };
        let mut is_cancelled = false;
        loop {
            let answer = tokio::select! {
                biased;
                answer = exchange.next() => answer,
                () = becomes_true(&mut interrupted), if !is_cancelled => {
                    is_cancelled = true;
                    // The owner knows what is known of it, and says so.
                    exchange.say(What::Cancel).await;
                    continue;
                }
            };
            let Some(fields) = answer else {
                let so_far = (started.elapsed(), soft_timeouts);
                return Ok(Ended::lost(self.owner(), kept, taken, so_far));
            };
            match name(&fields)? {
                "kept" => {
                    let id: Id =
                        fields.needed("id", Fields::parsed).map_err(|why| not_understood(&why))?;
                    kept = Some(id);
                    tell(Step::Kept(id));
                }
                "in_memory" => tell(Step::InMemory),
                "stored" => tell(Step::Stored),
                "taken" => {
                    taken = Taken::Yes;
                    tell(Step::Taken);
                }
                "slow" => {
                    soft_timeouts += 1;
                    tell(Step::Slow);
                }
                "sent" => tell(Step::Sent(part(&fields)?)),
                "received" => tell(Step::Received(part(&fields)?)),
                "ended" => return Ended::read(&fields).map_err(|why| not_understood(&why)),
                "failed" => return Err(failure(&fields)),
                // A later version may say more.
                _ => {}
            }
        }
    }

    /// What the node holds; `None` when its owner has ended.
    ///
    /// # Errors
    /// What the owner says.
    pub(crate) async fn report(&self) -> Result<Option<Report>, Failure> {
        let Some(mut exchange) = self.begin(What::Status).await else { return Ok(None) };
        loop {
            let Some(fields) = exchange.next().await else { return Ok(None) };
            match name(&fields)? {
                "status" => {
                    return Report::read(&fields).map(Some).map_err(|why| not_understood(&why));
                }
                "failed" => return Err(failure(&fields)),
                _ => {}
            }
        }
    }

    /// Answers a kind for the node: what is ready then, and its queries.
    ///
    /// # Errors
    /// What the owner says, such as that the kind is answered already; [`Code::Closing`] when it has
    /// ended.
    pub(crate) async fn serve(&self, service: Service) -> Result<(Ready, served::Served), Failure> {
        let mut exchange =
            self.begin(What::Serve(service)).await.ok_or_else(|| self.has_ended())?;
        loop {
            let Some(fields) = exchange.next().await else { return Err(self.has_ended()) };
            match name(&fields)? {
                "ready" => {
                    let ready = Ready::read(&fields).map_err(|why| not_understood(&why))?;
                    return Ok((ready, served::Served::new(exchange)));
                }
                "failed" => return Err(failure(&fields)),
                _ => {}
            }
        }
    }

    /// The messages of the node's inbox: those that are there, or also those that come.
    ///
    /// # Errors
    /// [`Code::Closing`] when its owner has ended.
    pub(crate) async fn inbox(&self, follow: bool) -> Result<served::Served, Failure> {
        let exchange = self.begin(What::Inbox { follow }).await.ok_or_else(|| self.has_ended())?;
        Ok(served::Served::new(exchange))
    }

    /// What happens in the node. Returns when those that come can be waited for.
    ///
    /// # Errors
    /// What the owner says; [`Code::Closing`] when it has ended.
    pub(crate) async fn events(&self, which: Which) -> Result<Happenings, Failure> {
        let exchange = self.begin(What::Events(which)).await.ok_or_else(|| self.has_ended())?;
        let mut happenings = Happenings { exchange, attached: self.clone() };
        if which == Which::Live {
            let begun = happenings.exchange.next().await.ok_or_else(|| self.has_ended())?;
            if name(&begun)? == "failed" {
                return Err(failure(&begun));
            }
        }
        Ok(happenings)
    }

    /// The owner has ended, and with it whatever was under way.
    pub(crate) fn has_ended(&self) -> Failure {
        let message = format_args!("{} has ended, and the node with it", self.owner());
        Failure::new(Code::Closing, message)
    }

    /// Begins a call; `None` when the owner takes nothing more.
    async fn begin(&self, what: What) -> Option<Exchange> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.line.begin(Call { number, what }).await
    }
}

/// Events of the node of another process.
#[derive(Debug)]
pub(crate) struct Happenings {
    exchange: Exchange,
    attached: Attached,
}

impl Happenings {
    /// The next one; `None` when there are no more. Cancel safe.
    ///
    /// # Errors
    /// [`Code::Closing`] when the owner ends.
    pub(crate) async fn next(&mut self) -> Result<Option<Happened>, Failure> {
        let Some(fields) = self.exchange.next().await else {
            let message = format_args!(
                "{} has ended, or has given up telling because what it told was not read",
                self.attached.owner()
            );
            return Err(Failure::new(Code::Closing, message));
        };
        match name(&fields)? {
            "ended" => Ok(None),
            "failed" => Err(failure(&fields)),
            _ => Happened::read(&fields).map(Some).map_err(|why| not_understood(&why)),
        }
    }
}

/// Which event this is.
pub(super) fn name(fields: &Fields) -> Result<&str, Failure> {
    fields.needed("event", Fields::text).map_err(|why| not_understood(&why))
}

/// How far a body is.
fn part(fields: &Fields) -> Result<Part, Failure> {
    let bytes = |name| {
        let number = fields.needed(name, Fields::number).map_err(|why| not_understood(&why))?;
        Ok::<_, Failure>(usize::try_from(number).unwrap_or(usize::MAX))
    };
    Ok(Part { bytes: bytes("bytes")?, total: bytes("total")? })
}

/// The failure that was said.
pub(super) fn failure(fields: &Fields) -> Failure {
    match fields.failure() {
        Ok(Some(failure)) => failure,
        Ok(None) => not_understood("a failure without an error"),
        Err(why) => not_understood(&why),
    }
}

fn not_understood(why: &str) -> Failure {
    let message = format_args!("the owner of the data directory is not understood: {why}");
    let next = "stop it, and start it with the same version of this program";
    Failure::with_next(Code::Internal, message, next)
}

/// Far more than an owner needs that runs at all.
const HELLO_TIME: Duration = Duration::from_secs(2);
