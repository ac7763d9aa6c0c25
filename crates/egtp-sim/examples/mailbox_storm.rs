//! A relay dies again and again while letters are left with it and fetched.
//!
//! `mailbox_storm [--rounds 150] [--messages 50000] [--relay honest] [--seed N]`. In each round the relay, a process, dies
//! by SIGKILL at a random moment, when some letters were stored since it began, and now and then while it starts; then it
//! starts again with the same key, port and disk. Meanwhile senders leave numbered letters, each again until the relay
//! has said that it is stored, and two recipients fetch them: one by [`Collector`], one by asking itself, so that it knows
//! which of its acknowledgements were answered. `--relay early`, `deletes-none` or `deletes-next` are controls, which must
//! be caught. Invariant: what was promised is judged when nothing is under way any more and the mailboxes stand still.

use std::path::PathBuf;
use std::process::{Child, ExitCode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use egtp::mailbox::{ACK, Ack, GET, Get, HELD, Held, LetterName, Letters, encode_acks};
use egtp::{Kind, Message, Node, PublicKey, SecretKey, Strategy, Ticket, keyfile};
use egtp_services::mailbox::{Collector, Incoming, Mail, Taken, deposit};
use egtp_sim::process::actor::{end, folder, start, word};
use egtp_sim::process::arguments::Arguments;
use egtp_sim::process::dice::Dice;
use egtp_sim::process::failure::Failure;
use egtp_sim::process::letter_census::{LetterCensus, letter};
use egtp_sim::process::mailbox_relay::{HONEST, Mistake, keep_letters};
use egtp_sim::process::report::{Checks, run, say};
use egtp_sim::process::scratch::{Scratch, free_address};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

fn main() -> ExitCode {
    run(|| async {
        let arguments = Arguments::read(&["--rounds", "--messages", "--relay", "--seed"])?;
        match arguments.words()[..] {
            [] => storm(&arguments).await,
            ["relay", folder, port, mistake] => {
                keep_letters(folder.as_ref(), port, Mistake::from_word(mistake)?).await?;
                Ok(Checks::new())
            }
            _ => Err(Failure::Usage(
                "mailbox_storm [--rounds N] [--messages N] [--relay honest|early|deletes-none|deletes-next] \
                 [--seed N]"
                    .into(),
            )),
        }
    })
}

/// The whole run.
async fn storm(arguments: &Arguments) -> Result<Checks, Failure> {
    let (seed, rounds) = (arguments.seed()?, arguments.number("--rounds", 150)?);
    let messages = arguments.number("--messages", 50_000)?;
    let mistake = arguments.text("--relay").unwrap_or_else(|| HONEST.to_owned());
    Mistake::from_word(&mistake)?;
    say(format_args!(
        "mailbox_storm: seed {seed}, {rounds} rounds, {messages} letters, relay {mistake}"
    ));
    let (begun, mut dice) = (Instant::now(), Dice::from_seed(seed));
    let mut relay = Relay::set(mistake)?;
    let post = Post::new();
    let recipients = [node().await?, node().await?];
    let keys = recipients.each_ref().map(Node::key);
    let mut fetching = JoinSet::new();
    let [collected, asking] = &recipients;
    let mail = Mail::new();
    let (serving, router) = (collected.clone(), mail.router()?);
    fetching.spawn(async move { serving.serve(router).await.map_err(|_| Failure::Gone) });
    fetching.spawn(fetch(asking.clone(), relay.ticket.clone(), post.clone()));
    let collector = collect(collected, &relay.ticket, &mail, &post);
    let (end_of_new, new) = watch::channel(true);
    let mut leaving = JoinSet::new();
    for _ in 0..SENDERS {
        let sender = node().await?;
        for _ in 0..IN_FLIGHT {
            let (to, post, new) = (relay.ticket.clone(), post.clone(), new.clone());
            leaving.spawn(leave(sender.clone(), to, keys, post, new));
        }
    }

    let (mut slowest, mut early) = (Duration::ZERO, 0_u64);
    for round in 1..=rounds {
        if dice.among(1..=10) == 1 {
            relay.start()?;
            sleep(dice.millis(0..=60)).await;
            relay.kill()?;
            early += 1;
        }
        let before = post.stored();
        relay.start()?;
        let took = post.stores(before + 1, &format!("round {round}")).await?;
        slowest = slowest.max(took);
        // Some letters more, and a moment that has nothing to do with them.
        let share = messages / rounds.max(1);
        post.stores(before + dice.among(1..=2 * share), &format!("round {round}")).await?;
        sleep(dice.millis(0..=30)).await;
        relay.kill()?;
        sleep(dice.millis(5..=50)).await;
    }
    let under_fire = post.stored();
    relay.start()?;
    post.stores(messages, "the rest").await?;
    // Those that send begin no other letter.
    let _ = end_of_new.send(false);
    let all = async { while leaving.join_next().await.is_some() {} };
    timeout(STEP_MAX, all).await.map_err(|_| waited("an answer to each letter"))?;
    // One that has just failed waits long before it looks again.
    drop(collector);
    let collector = collect(collected, &relay.ticket, &mail, &post);
    let mut left = Vec::new();
    for recipient in &recipients {
        left.push(stays(recipient, &relay.ticket).await?);
    }
    drop(collector);
    if let Some(ended) = fetching.try_join_next() {
        ended.map_err(|_| Failure::Gone)??;
    }
    relay.kill()?;

    let census = post.lock();
    say(format_args!(
        "  {early} more deaths while starting, {under_fire} letters stored between deaths, {:?} in all",
        begun.elapsed()
    ));
    say(format_args!("  {rounds} rounds: {census}, slowest resumption {slowest:?}"));
    let mut checks = Checks::new();
    census.judge(messages, &mut checks);
    let limit = RESUME_MAX.as_secs_f64();
    checks.at_most("seconds until a letter was stored again", &slowest.as_secs_f64(), &limit);
    for (whose, left) in ["the collector's", "the asker's"].into_iter().zip(left) {
        checks.equal(&format!("letters that stay in {whose} mailbox"), &left, &0);
    }
    Ok(checks)
}

/// The process that is killed.
struct Relay {
    _scratch: Scratch,
    folder: PathBuf,
    port: String,
    mistake: String,
    ticket: Ticket,
    child: Option<Child>,
}

impl Relay {
    fn set(mistake: String) -> Result<Self, Failure> {
        let scratch = Scratch::new("mailbox-storm")?;
        let folder = folder(&scratch, "relay")?;
        let not_started = |error: keyfile::KeyFileError| Failure::Start(error.into());
        let key: SecretKey = keyfile::load_or_create(&folder.join("key")).map_err(not_started)?;
        let at = free_address()?;
        let ticket = Ticket { key: key.public(), strategies: vec![Strategy::Tcp(at.into())] };
        let port = at.port().to_string();
        Ok(Self { _scratch: scratch, folder, port, mistake, ticket, child: None })
    }

    fn start(&mut self) -> Result<(), Failure> {
        self.child = Some(start(&["relay", word(&self.folder)?, &self.port, &self.mistake])?);
        Ok(())
    }

    fn kill(&mut self) -> Result<(), Failure> {
        end(self.child.take())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // A run that has failed leaves no process behind.
        let _ = self.kill();
    }
}

/// The census, and how far it is. Clones share both.
#[derive(Clone)]
struct Post {
    census: Arc<Mutex<LetterCensus>>,
    stored: watch::Sender<u64>,
}

impl Post {
    fn new() -> Self {
        let census = Arc::new(Mutex::new(LetterCensus::new()));
        Self { census, stored: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, LetterCensus> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self) -> u64 {
        *self.stored.borrow()
    }

    /// Waits until so many letters are stored, and says how long it took.
    async fn stores(&self, count: u64, when: &str) -> Result<Duration, Failure> {
        let (begun, mut stored) = (Instant::now(), self.stored.subscribe());
        let wait = stored.wait_for(|stored| *stored >= count);
        let come = timeout(STEP_MAX, wait).await;
        come.map_err(|_| waited(&format!("{count} letters ({when})")))?
            .map_err(|_| Failure::Gone)?;
        Ok(begun.elapsed())
    }
}

async fn node() -> Result<Node, Failure> {
    Ok(Node::builder().only_instance().start().await?)
}

/// Leaves one letter after another, each until it is stored, for one recipient and the other in turn.
async fn leave(
    node: Node,
    relay: Ticket,
    recipients: [PublicKey; 2],
    post: Post,
    new: watch::Receiver<bool>,
) {
    while *new.borrow() {
        let number = post.lock().write();
        let [even, odd] = &recipients;
        let recipient = if number.is_multiple_of(2) { even } else { odd };
        loop {
            post.lock().left(number);
            if deposit(&node, &relay, recipient, &letter(number)).await.is_ok() {
                break;
            }
            sleep(PAUSE).await;
        }
        let mut census = post.lock();
        census.stored(number);
        post.stored.send_replace(census.stored_count());
    }
}

/// Fetches as programs do.
fn collect(node: &Node, relay: &Ticket, mail: &Mail, post: &Post) -> Collector {
    let post = post.clone();
    let take = move |letter: Incoming| {
        post.lock().came([&letter.bytes[..]]);
        std::future::ready(Taken::Done)
    };
    Collector::start_polling(node.clone(), relay.clone(), mail, POLL, take)
}

/// Fetches, and writes down which acknowledgements were answered.
async fn fetch(node: Node, relay: Ticket, post: Post) -> Result<(), Failure> {
    let get = Get { largest: 1024 * 1024, after: 0 };
    loop {
        let reply = ask(&node, &relay, GET, get.encode()).await?;
        let letters = reply.and_then(|reply| Letters::decode(&reply)).unwrap_or_default().letters;
        if letters.is_empty() {
            sleep(PAUSE).await;
            continue;
        }
        let numbers = post.lock().came(letters.iter().map(|letter| &letter.bytes[..]));
        let acks: Vec<Ack> = letters
            .iter()
            .map(|one| Ack { position: one.position, name: LetterName::of(&one.bytes) })
            .collect();
        if ask(&node, &relay, ACK, encode_acks(&acks)).await?.is_some() {
            let mut census = post.lock();
            for number in numbers {
                census.gone(number);
            }
        }
    }
}

/// The answer of a relay, or none if it has died meanwhile.
async fn ask(
    node: &Node,
    relay: &Ticket,
    kind: &str,
    body: Bytes,
) -> Result<Option<Bytes>, Failure> {
    let message = Message::new(Kind::new(kind)?, body);
    let asked = node.request(relay, message).hard_timeout(STEP_MAX).await;
    Ok(asked.ok().map(|reply| reply.body))
}

/// How many letters a mailbox holds when it does not change any more.
async fn stays(node: &Node, relay: &Ticket) -> Result<u32, Failure> {
    let (mut last, mut since) = (u32::MAX, Instant::now());
    while last > 0 && since.elapsed() < STANDS_STILL {
        let held = ask(node, relay, HELD, Bytes::new()).await?;
        let held = held.and_then(|held| Held::decode(&held)).ok_or(Failure::Gone)?.letters;
        if held != last {
            (last, since) = (held, Instant::now());
        }
        sleep(PAUSE).await;
    }
    Ok(last)
}

fn waited(what: &str) -> Failure {
    Failure::Waited { seconds: STEP_MAX.as_secs(), what: what.to_owned() }
}

/// Nodes that leave letters, and letters that each has under way.
const SENDERS: usize = 4;
const IN_FLIGHT: usize = 32;
/// Within which letters are stored again.
const RESUME_MAX: Duration = Duration::from_secs(10);
/// How long anything may take that is waited for.
const STEP_MAX: Duration = Duration::from_mins(1);
/// After it a mailbox that is not empty stays so.
const STANDS_STILL: Duration = Duration::from_secs(10);
/// Between two looks, and before something is tried again.
const PAUSE: Duration = Duration::from_millis(10);
/// How often a collector looks that hears nothing.
const POLL: Duration = Duration::from_millis(100);
