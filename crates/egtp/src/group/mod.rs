//! Many requests as one: a known number of them, so many under way at once, all or a failure.
//!
//! Knows no packet and no peer: each member is a request that the caller's function makes. Invariant: a
//! member has one result, is never given out twice, and is asked for again only if it was certainly not
//! begun; when the group is over, nothing of it is under way.

mod again;
mod member;
mod pieces;

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use egtp_proto::MessageId;
use tokio::time::{Instant, Sleep, sleep_until};

pub use self::member::{GroupError, GroupId, Member, MemberReply};
pub use self::pieces::Pieces;
use crate::message::Reply;
use crate::request::{Pending, Request};

/// Members under way unless [`Group::under_way`] says otherwise. Eight of the largest messages are a
/// quarter of what a peer puts together at once for one sender, so that the rest stays for others.
const UNDER_WAY: usize = 8;

/// The most that may be under way: each look at the group looks at all of them.
const UNDER_WAY_MAX: usize = 1024;

/// A group of requests. Nothing happens until it is awaited, and it goes on while it is awaited.
///
/// There are as many members as said at the beginning, each a place in a fixed array. [`Group::next`]
/// gives the replies as they come, or after [`Group::in_order`] by position; awaiting the group itself
/// gives all of them. The group ends when all members are done, or with the first that has failed for
/// good: the others are dropped then, as they are when the group is. (A durable request outlives that, as
/// it outlives everything.)
///
/// A member is asked for again, after a pause, when it was not sent for want of room or of a way to the
/// peer, or when the peer refused it as busy: up to 8 times in about 18 s. What the peer may have begun
/// is never asked twice. The pauses need a tokio runtime with its timer.
///
/// ```
/// # async fn copy(node: &egtp::Node, ticket: &egtp::Ticket, kind: egtp::Kind) -> Result<(), egtp::GroupError> {
/// use egtp::{Group, Message};
///
/// let ask = |member: egtp::Member| {
///     node.request(ticket, Message::new(kind.clone(), member.index.to_string()))
/// };
/// let mut group = Group::new(100, ask).under_way(4).in_order();
/// while let Some(piece) = group.next().await? {
///     println!("{}: {} bytes", piece.member, piece.reply.body.len());
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a group does nothing until it is awaited"]
pub struct Group<'a> {
    id: GroupId,
    ask: Box<dyn FnMut(Member) -> Request + Send + 'a>,
    /// Where each member is, by its position.
    places: Box<[Place]>,
    /// Members below it have been begun at least once.
    begun: usize,
    /// Members that are begun and not done.
    open: Vec<Open>,
    under_way_max: usize,
    order: Order,
    /// In order: the next position to be given out.
    given: usize,
    progress: GroupProgress,
    alarm: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

/// How far a group is. No number ever becomes smaller, except `under_way`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GroupProgress {
    /// Members in all.
    pub members: usize,
    /// Members that have their reply.
    pub done: usize,
    /// Members that have their reply, and all before them as well: the finished run at the beginning.
    pub retired: usize,
    /// Members that are asked for now, or are about to be asked for again.
    pub under_way: usize,
    /// Bytes of the requests of those that are done.
    pub bytes_asked: u64,
    /// Bytes of the replies.
    pub bytes_replied: u64,
}

#[derive(Debug)]
enum Place {
    /// Not begun, or under way.
    Open,
    /// Its reply waits for those before it.
    Held(Box<MemberReply>),
    /// Its reply was given out.
    Done,
}

#[derive(Debug)]
struct Open {
    member: Member,
    tries: u32,
    bytes: usize,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Asked(Pending),
    /// It is asked for again then.
    Pausing(Instant),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Order {
    AsTheyCome,
    ByPosition,
}

impl<'a> Group<'a> {
    /// So many members. `ask` makes the request for each, when its turn comes, and once more each time
    /// that it is asked for again.
    pub fn new(members: usize, ask: impl FnMut(Member) -> Request + Send + 'a) -> Self {
        Self {
            id: GroupId::next(),
            ask: Box::new(ask),
            places: (0..members).map(|_| Place::Open).collect(),
            begun: 0,
            open: Vec::new(),
            under_way_max: UNDER_WAY,
            order: Order::AsTheyCome,
            given: 0,
            progress: GroupProgress { members, ..GroupProgress::default() },
            alarm: None,
            is_over: false,
        }
    }

    /// How many members may be under way at once: at least 1, at most 1,024. Default: 8.
    pub fn under_way(mut self, max: usize) -> Self {
        self.under_way_max = max.clamp(1, UNDER_WAY_MAX);
        self
    }

    /// [`Group::next`] gives the replies by position. Those that came early are held, and count as under
    /// way: a member that is slow holds up the others instead of filling the memory.
    pub fn in_order(mut self) -> Self {
        self.order = Order::ByPosition;
        self
    }

    /// Its name in this process.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// How far it is.
    pub fn progress(&self) -> GroupProgress {
        GroupProgress { under_way: self.open.len(), ..self.progress }
    }

    /// Which member a message is, while it is under way: to recognize it in what the node tells of
    /// itself, such as [`Node::events`](crate::Node::events). `None` if it is not one of this group.
    pub fn member(&self, id: MessageId) -> Option<Member> {
        let open = self.open.iter().find(|open| match &open.step {
            Step::Asked(pending) => pending.id() == Some(id),
            Step::Pausing(_) => false,
        });
        open.map(|open| open.member)
    }

    /// The next reply; `None` when the group is over. Cancel safe: what was under way stays so.
    ///
    /// # Errors
    /// The first member that has failed for good. The group is over then, also for replies that are held.
    pub async fn next(&mut self) -> Result<Option<MemberReply>, GroupError> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The same as [`Group::next`], for futures and streams that are written by hand.
    ///
    /// # Errors
    /// As [`Group::next`].
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<MemberReply>, GroupError>> {
        if self.is_over {
            return Poll::Ready(Ok(None));
        }
        loop {
            self.begin();
            if let Some(reply) = self.take_held() {
                return Poll::Ready(Ok(Some(reply)));
            }
            if self.open.is_empty() {
                self.is_over = true;
                return Poll::Ready(Ok(None));
            }
            match self.poll_open(context) {
                Poll::Ready(Ok(early)) => {
                    if let Some(reply) = early {
                        // The next one is under way while the caller makes use of this one.
                        self.begin();
                        return Poll::Ready(Ok(Some(reply)));
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.is_over = true;
                    self.open.clear();
                    self.places = Box::default();
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    if self.poll_alarm(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Begins as many members as may be under way, and asks again for those whose pause is over.
    fn begin(&mut self) {
        if self.open.iter().any(|open| matches!(open.step, Step::Pausing(_))) {
            let now = Instant::now();
            for open in &mut self.open {
                if matches!(open.step, Step::Pausing(until) if until <= now) {
                    open.tries += 1;
                    (open.bytes, open.step) = asked((self.ask)(open.member));
                }
            }
        }
        while self.open.len() < self.under_way_max && self.begun < self.end_of_window() {
            let member = Member { group: self.id, index: self.begun };
            self.begun += 1;
            let (bytes, step) = asked((self.ask)(member));
            self.open.push(Open { member, tries: 1, bytes, step });
        }
    }

    /// The first position that must not be begun yet.
    fn end_of_window(&self) -> usize {
        match self.order {
            Order::AsTheyCome => self.places.len(),
            Order::ByPosition => {
                self.places.len().min(self.given.saturating_add(self.under_way_max))
            }
        }
    }

    /// What is next in order, if it has come.
    fn take_held(&mut self) -> Option<MemberReply> {
        let place = self.places.get_mut(self.given)?;
        if !matches!(place, Place::Held(_)) {
            return None;
        }
        let Place::Held(reply) = std::mem::replace(place, Place::Done) else { return None };
        self.given += 1;
        // There is room for another one now.
        self.begin();
        Some(*reply)
    }

    /// Looks at everything under way until something has ended. Gives out a reply that need not wait.
    fn poll_open(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<MemberReply>, GroupError>> {
        for index in 0..self.open.len() {
            let Some(open) = self.open.get_mut(index) else { break };
            let Step::Asked(pending) = &mut open.step else { continue };
            let Poll::Ready(outcome) = Pin::new(pending).poll(context) else { continue };
            let (member, tries) = (open.member, open.tries);
            match outcome {
                Ok(reply) => {
                    let open = self.open.remove(index);
                    return Poll::Ready(Ok(self.done(&open, reply)));
                }
                Err(source) => {
                    let Some(pause) = again::pause(&source, tries) else {
                        return Poll::Ready(Err(GroupError { member, tries, source }));
                    };
                    open.step = Step::Pausing(Instant::now() + pause);
                }
            }
        }
        Poll::Pending
    }

    /// Writes down a reply. Returns it, unless it has to wait for those before it.
    fn done(&mut self, open: &Open, reply: Reply) -> Option<MemberReply> {
        self.progress.done += 1;
        self.progress.bytes_asked += length(open.bytes);
        self.progress.bytes_replied += length(reply.body.len());
        let reply = MemberReply { member: open.member, reply, tries: open.tries };
        let place = self.places.get_mut(open.member.index)?;
        let early = match self.order {
            Order::AsTheyCome => {
                *place = Place::Done;
                Some(reply)
            }
            Order::ByPosition => {
                *place = Place::Held(Box::new(reply));
                None
            }
        };
        let finished = self.places.iter().skip(self.progress.retired);
        self.progress.retired += finished.take_while(|one| !matches!(one, Place::Open)).count();
        early
    }

    /// Waits for the end of the first pause, if any.
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let pauses = self.open.iter().filter_map(|open| match open.step {
            Step::Pausing(until) => Some(until),
            Step::Asked(_) => None,
        });
        let Some(until) = pauses.min() else { return Poll::Pending };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if alarm.deadline() != until {
            alarm.as_mut().reset(until);
        }
        alarm.as_mut().poll(context)
    }
}

impl<'a> IntoFuture for Group<'a> {
    type Output = Result<Vec<Reply>, GroupError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    /// All replies, by position. They are kept until the last one is there.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut group = self.in_order();
            let mut replies = Vec::with_capacity(group.places.len());
            while let Some(one) = group.next().await? {
                replies.push(one.reply);
            }
            Ok(replies)
        })
    }
}

impl fmt::Debug for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = self.progress();
        f.debug_struct("Group")
            .field("id", &self.id)
            .field("progress", &progress)
            .finish_non_exhaustive()
    }
}

fn asked(request: Request) -> (usize, Step) {
    let bytes = request.body_bytes();
    (bytes, Step::Asked(request.start()))
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
