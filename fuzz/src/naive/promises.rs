//! What is promised of every message, whatever happens: a list of messages and what became of each.
//!
//! Knows who asked whom for what and what handlers were given and gave back; nothing of sessions,
//! packets or time but deadlines. A body begins with the number of its message, so nothing has to be
//! believed of what an endpoint says about it.

use std::time::Duration;

use egtp_proto::{MessageClass, Outcome, RefusedWhy, Taken};

/// All messages, by number.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    tally: Tally,
}

/// How much has happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Messages that handlers were given.
    pub handed: usize,
    /// Outcomes.
    pub ended: usize,
    /// Replies among them.
    pub replies: usize,
    /// Refusals by handlers among them.
    pub refused: usize,
}

#[derive(Debug)]
struct Entry {
    from: usize,
    to: usize,
    class: MessageClass,
    body: Vec<u8>,
    room: usize,
    soft: bool,
    due: Duration,
    state: State,
    /// The life of the receiver in which a handler was given it.
    handed: Option<u32>,
    /// What the handler gave back.
    answer: Option<Result<Vec<u8>, RefusedWhy>>,
    /// The outcome says that it never ran and never will.
    must_not_run: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    Ended,
    /// Nobody wants to know any more: cancelled, or its process is gone.
    Forgotten,
}

impl Ledger {
    /// Notes a message that is about to be submitted, and returns its number and body.
    pub fn note(
        &mut self,
        (from, to): (usize, usize),
        class: MessageClass,
        bytes: usize,
        room: usize,
        soft: bool,
        due: Duration,
    ) -> (u64, Vec<u8>) {
        let number = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        let mut body = number.to_le_bytes().to_vec();
        body.resize(bytes.max(8), number.to_le_bytes()[0] ^ 0x55);
        self.entries.push(Entry {
            from,
            to,
            class,
            body: body.clone(),
            room,
            soft,
            due,
            state: State::Open,
            handed: None,
            answer: None,
            must_not_run: false,
        });
        (number, body)
    }

    /// It was not accepted: nothing may ever come of it.
    pub fn rejected(&mut self, number: u64) {
        let entry = self.entry(number);
        entry.state = State::Ended;
        entry.must_not_run = true;
    }

    /// The application or its process does not wait for it any more.
    pub fn forgotten(&mut self, number: u64) {
        self.entry(number).state = State::Forgotten;
    }

    /// A handler at `at`, in its `life`, was given a message of `from`.
    ///
    /// # Panics
    /// When it must not have been.
    pub fn handed(
        &mut self,
        (from, at): (usize, usize),
        life: u32,
        class: MessageClass,
        body: &[u8],
    ) -> u64 {
        let number = body.first_chunk().map(|number| u64::from_le_bytes(*number));
        let number = number.expect("nobody sends so little");
        let entry = self.entry(number);
        assert_eq!((entry.from, entry.to, entry.class), (from, at, class), "message {number}");
        assert_eq!(entry.body, body, "message {number}");
        assert_eq!(entry.handed, None, "message {number} runs again, in life {life}");
        assert!(!entry.must_not_run, "message {number} runs although it was said not to");
        entry.handed = Some(life);
        self.tally.handed += 1;
        number
    }

    /// The handler gives a reply of so many bytes, which is returned, or refuses.
    ///
    /// # Errors
    /// The refusal. The first answer counts, whatever is given later.
    pub fn answers(
        &mut self,
        number: u64,
        reply: Result<usize, RefusedWhy>,
    ) -> Result<Vec<u8>, RefusedWhy> {
        let entry = self.entry(number);
        let reply = reply.map(|bytes| {
            let mut body = (!number).to_le_bytes().to_vec();
            body.resize(bytes.max(8), number.to_le_bytes()[0]);
            body
        });
        entry.answer.get_or_insert(reply).clone()
    }

    /// The receiver is said to have taken it.
    ///
    /// # Panics
    /// When that is not so.
    pub fn taken(&mut self, at: usize, number: u64) {
        let entry = self.open(at, number);
        assert_eq!(entry.class, MessageClass::Request);
        assert!(entry.handed.is_some(), "message {number} was not taken");
    }

    /// It is said to be slow.
    ///
    /// # Panics
    /// When nobody wanted to know, or was told before.
    pub fn slow(&mut self, at: usize, number: u64) {
        let entry = self.open(at, number);
        assert!(std::mem::take(&mut entry.soft), "message {number} is slow again");
    }

    /// It has ended.
    ///
    /// # Panics
    /// When the outcome is not the only one, or not true.
    pub fn ended(&mut self, at: usize, number: u64, now: Duration, outcome: &Outcome) {
        let entry = self.open(at, number);
        entry.state = State::Ended;
        let ran = entry.handed.is_some();
        let (mut replies, mut refused) = (0, 0);
        match outcome {
            Outcome::Reply { body, .. } => {
                let given = entry.answer.as_ref().and_then(|answer| answer.as_ref().ok());
                assert_eq!(given.map(Vec::as_slice), Some(&body[..]), "message {number}");
                assert_eq!(entry.class, MessageClass::Request);
                assert!(body.len() <= entry.room);
                replies = 1;
            }
            Outcome::Accepted { .. } => {
                assert_eq!(entry.class, MessageClass::Send);
                assert!(ran, "message {number} was not accepted");
            }
            Outcome::Refused(why) => match &entry.answer {
                Some(Err(given)) => {
                    assert_eq!(given.status(), why.status(), "message {number}");
                    refused = 1;
                }
                Some(Ok(body)) => {
                    assert!(body.len() > entry.room, "message {number} was answered");
                    assert_eq!(*why, RefusedWhy::TooLarge);
                }
                None => {
                    assert!(matches!(why, RefusedWhy::Busy { .. } | RefusedWhy::TooLarge));
                    entry.must_not_run = true;
                }
            },
            Outcome::NotSent(_) | Outcome::TimedOut { taken: Taken::No } => {
                entry.must_not_run = true;
            }
            Outcome::TimedOut { taken: Taken::Yes } => assert!(ran, "message {number}"),
            Outcome::TimedOut { taken: Taken::Unknown }
            | Outcome::Unknown { .. }
            | Outcome::Closing => {}
        }
        if matches!(outcome, Outcome::TimedOut { .. }) {
            assert!(now >= entry.due, "message {number} timed out early");
        }
        assert!(!(ran && entry.must_not_run), "message {number} ran: {outcome:?}");
        self.tally.ended += 1;
        self.tally.replies += replies;
        self.tally.refused += refused;
    }

    /// How many messages of `node` are open; none of them is overdue.
    ///
    /// # Panics
    /// When one is.
    pub fn open_at(&self, node: usize, now: Duration) -> usize {
        let open =
            self.entries.iter().filter(|entry| entry.from == node && entry.state == State::Open);
        // Deadlines are kept in steps of a millisecond.
        let step = Duration::from_millis(1);
        open.inspect(|entry| assert!(now <= entry.due + step, "overdue: {entry:?}")).count()
    }

    /// What has happened.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    fn open(&mut self, at: usize, number: u64) -> &mut Entry {
        let entry = self.entry(number);
        assert_eq!(entry.from, at);
        assert_eq!(entry.state, State::Open, "news of message {number}, which is over");
        entry
    }

    fn entry(&mut self, number: u64) -> &mut Entry {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        self.entries.get_mut(index).expect("nobody ever sent such a message")
    }
}
