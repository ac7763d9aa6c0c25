//! `egtp demo`: what becomes of requests when a node is killed, restarted, and fed its own past.
//!
//! One node runs in this process, the other is a child that can be killed for real. Knows only what
//! any program could know: replies, outcomes, and the marks that the other's handler leaves in a
//! file. Invariant: it ends with exit code 0 only if everything that it says was observed.

mod child;
mod recorder;
mod scratch;
mod story;

use std::time::{Duration, Instant};

use clap::Args;
use egtp::{Kind, Message, Node, NotSent, Pending, Progress, RequestError, Strategy, Ticket};

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::json::milliseconds;
use child::Child;
use recorder::Recorder;
use scratch::Scratch;
use story::{Fact, Story};

/// See what happens to requests when a node is killed, restarted, and fed a recording
///
/// Starts two nodes on this machine, and takes a few seconds. Leaves nothing behind.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp demo
  egtp demo --json      each step as an object
  egtp demo -v          with the log of both nodes")]
pub(crate) struct Arguments {}

/// Shows it.
///
/// # Errors
/// When a step shows something else than it should, or cannot be made at all.
pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let limit = tokio::time::timeout(LONGEST, Box::pin(show(context)));
    limit.await.unwrap_or_else(|_| {
        let message = format_args!("the demonstration was not over within {LONGEST:?}");
        Err(Failure::new(Code::ClaimFailed, message))
    })
}

async fn show(context: &Context) -> Result<(), Failure> {
    let mut story = Story::begin(context.output);
    let scratch = Scratch::make()?;
    let alice = Node::builder().start().await?;
    let bob = Child::start(&scratch, alice.key(), None).await?;
    let recorder = Recorder::between(bob.address()).await?;
    let scene = Scene { ticket: through(&recorder, &bob), alice, scratch, recorder };

    story.tell(
        "Alice (a node in this process) asks Bob (another process) three times. For each request \
         that he acts on, Bob's handler adds one mark to a file and replies with their number.",
        &scene.three_requests().await?,
    )?;
    story.tell(
        "A recorder between them has copied every byte that Alice sent. It now sends all of them to \
         Bob again.",
        &scene.replay(3).await?,
    )?;
    let (pending, facts) = scene.killed_at_work(bob).await?;
    story.tell(
        "Alice asks a fourth time, and Bob is killed (kill -9) while he works on it.",
        &facts,
    )?;
    let (bob, facts) = scene.restarted(pending).await?;
    story.tell(
        "Bob is started again with the same key and nothing else: no store, no session. Alice asks \
         a fifth time; the nodes find out by themselves that they need a new session.",
        &facts,
    )?;
    story.tell(
        "The recorder sends everything that Alice has ever sent to the new Bob, who remembers \
         nothing of his former life.",
        &scene.replay(5).await?,
    )?;
    drop(bob);
    let facts = scene.nobody_there().await?;
    story.tell("Bob is gone. Alice asks him at his address, where nobody listens now.", &facts)?;
    scene.alice.close().await;
    story.end()
}

/// Everybody who takes part, but for Bob, who comes and goes.
struct Scene {
    alice: Node,
    ticket: Ticket,
    scratch: Scratch,
    recorder: Recorder,
}

impl Scene {
    async fn three_requests(&self) -> Result<Vec<Fact>, Failure> {
        let mut facts = Vec::new();
        for number in 1..=3_u64 {
            let reply = self.ask("quick")?.await;
            facts.push(counted(number, &reply));
        }
        facts.push(self.marks(3)?);
        Ok(facts)
    }

    async fn replay(&self, expected: u64) -> Result<Vec<Fact>, Failure> {
        let replayed = self.recorder.replay().await?;
        let (streams, sent, answered) = (replayed.streams, replayed.sent, replayed.answered);
        let what = format!(
            "{sent} recorded bytes were sent again, by as many connections as before ({streams}); \
             {answered} bytes came back: at most an answer to the handshake, which only Alice can use"
        );
        let sent = Fact::new("bytes_replayed", sent, what, sent > 0);
        Ok(vec![sent, self.marks(expected)?])
    }

    async fn killed_at_work(&self, bob: Child) -> Result<(Pending, Vec<Fact>), Failure> {
        let mut pending = self.ask("slow")?;
        let taken = matches!(pending.progress().await, Ok(Progress::Taken));
        let what = "Alice was told that Bob has taken the request and works on it";
        let taken = Fact::new("taken", u64::from(taken), what, taken);
        self.scratch.wait_for_marks(4).await?;
        bob.kill().await?;
        self.scratch.end_handler();
        self.alice_notices().await;
        let killed = Fact::new("killed", 1, "Bob was killed before he could reply", true);
        Ok((pending, vec![taken, self.marks(4)?, killed]))
    }

    /// Waits until Alice's node knows that the connection is gone. What it would still entrust to the
    /// old session could only end as `unknown` while the new Bob is younger than two seconds.
    async fn alice_notices(&self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline
            && self.alice.status().await.is_some_and(|status| status.connections > 0)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn restarted(&self, pending: Pending) -> Result<(Child, Vec<Fact>), Failure> {
        let target = Some(self.recorder.target());
        let bob = Child::start(&self.scratch, self.alice.key(), target).await?;
        let is_same = bob.ticket().key == self.ticket.key;
        let same = Fact::new("same_key", u64::from(is_same), "Bob has the same key", is_same);
        let asked = Instant::now();
        let reply = counted(5, &self.ask("quick")?.await);
        let outcome = pending.await;
        let took = milliseconds(asked.elapsed());
        let held = matches!(outcome, Err(RequestError::Unknown { .. }));
        let what = match outcome {
            Err(RequestError::Unknown { .. }) => format!(
                "{took:.1} ms after she asked, her fourth request ended as `unknown`: Bob may have \
                 acted on it (he had), and nobody repeats it behind her back"
            ),
            Ok(reply) => format!("unexpectedly, the fourth got the reply {}", text(&reply.body)),
            Err(error) => format!("unexpectedly, the fourth ended so: {error}"),
        };
        let unknown = Fact::new("unknown_after_ms", took, what, held);
        Ok((bob, vec![same, reply, unknown, self.marks(5)?]))
    }

    async fn nobody_there(&self) -> Result<Vec<Fact>, Failure> {
        let nowhere: Ticket = Ticket {
            key: self.ticket.key,
            strategies: vec![Strategy::Tcp(self.recorder.target().into())],
        };
        // A fresh node, which has no connection and no older hint.
        let stranger = Node::builder().start().await?;
        let started = Instant::now();
        let outcome = stranger.request(nowhere, Message::new(kind()?, "quick")).await;
        let took = started.elapsed();
        stranger.close().await;
        let is_not_sent = matches!(outcome, Err(RequestError::NotSent(NotSent::Unreachable)));
        let held = is_not_sent && took < Duration::from_secs(1);
        let what = match outcome {
            Err(error) => format!("after {:.1} ms: {error}", milliseconds(took)),
            Ok(_) => "unexpectedly, somebody replied".to_owned(),
        };
        Ok(vec![Fact::new("not_sent_after_ms", milliseconds(took), what, held), self.marks(5)?])
    }

    fn ask(&self, body: &'static str) -> Result<Pending, Failure> {
        let request = self.alice.request(&self.ticket, Message::new(kind()?, body));
        Ok(request.hard_timeout(PATIENCE).start())
    }

    fn marks(&self, expected: u64) -> Result<Fact, Failure> {
        let marks = self.scratch.marks()?;
        let what = format!("Bob's file has {marks} marks");
        Ok(Fact::new("marks", marks, what, marks == expected))
    }
}

fn counted(expected: u64, reply: &Result<egtp::Reply, RequestError>) -> Fact {
    match reply {
        Ok(reply) => {
            let (number, took) = (text(&reply.body), milliseconds(reply.took));
            let what = format!("Bob replied {number} after {took:.1} ms");
            Fact::new("reply_after_ms", took, what, number == expected.to_string())
        }
        Err(error) => Fact::new("reply_after_ms", 0, format!("unexpectedly: {error}"), false),
    }
}

fn through(recorder: &Recorder, bob: &Child) -> Ticket {
    let at = Strategy::Tcp(recorder.address().into());
    Ticket { key: bob.ticket().key, strategies: vec![at] }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim().to_owned()
}

fn kind() -> Result<Kind, Failure> {
    Kind::new(child::KIND).map_err(|error| Failure::new(Code::Internal, error))
}

/// A demonstration that takes longer shows that something is wrong.
const LONGEST: Duration = Duration::from_secs(30);
/// How long Alice waits for a reply.
const PATIENCE: Duration = Duration::from_secs(10);
