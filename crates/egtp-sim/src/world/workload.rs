//! What the programs on the nodes want: requests and sends, how their handlers treat them, and the
//! bodies that tell them apart.
//!
//! Invariant: a body of at least 16 bytes begins with the number of its message, and a shorter one
//! has it in its kind; so whoever sees one knows which it is.

use egtp_proto::{Kind, RefusedWhy};

use super::chance::{dice, filler, happens, spread};
use super::checker::Party;
use super::clock::{HOUR, MILLI, MINUTE, SECOND, Time};
use super::fault::Fault;
use super::plan::Plan;

/// What a handler does with a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Behaviour {
    /// Replies after this long; at once if zero.
    Reply(Time),
    /// Refuses after this long.
    Refuse(RefusedWhy, Time),
    /// Gives it back without an answer.
    Ignore,
    /// Never answers; gives it back when it is told that nobody waits any more.
    Hold,
}

/// One message that a program wants to send.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub number: u64,
    pub from: Party,
    pub to: Party,
    pub wants_reply: bool,
    pub kind: String,
    pub body: Vec<u8>,
    pub reply_bytes: usize,
    pub room: Option<usize>,
    pub behaviour: Behaviour,
    pub soft: Option<Time>,
    pub hard: Time,
    pub cancel: Option<Time>,
    /// Whether it may travel only under post-quantum keys.
    pub post_quantum: bool,
    /// The faults of the workload that made it what it is.
    pub made_by: Vec<Fault>,
}

impl Wish {
    /// What the message with this number is; `parties` counts the hostile peer, who is the last.
    pub(crate) fn draw(plan: &Plan, number: u64, parties: Party) -> Self {
        let mut of = dice(plan.seed, "wish", number);
        let mut made_by = Vec::new();
        let mut on = |of: &mut _, fault, per_mille: u64| {
            let strength = plan.strength(fault);
            let now = strength > 0 && happens(of, per_mille * strength / 100);
            if now {
                made_by.push(fault);
            }
            now
        };
        let honest = usize::try_from(plan.nodes).unwrap_or(2).max(2);
        let from = of.index(honest);
        let to = (from + 1 + of.index(parties.max(2) - 1)) % parties.max(2);
        let wants_reply = !on(&mut of, Fault::Send, 400);
        let body_bytes = if on(&mut of, Fault::LargeBody, 150) {
            spread(&mut of, 1024, 64 * 1024) * if happens(&mut of, 20) { 32 } else { 1 }
        } else {
            of.among(0..=400)
        };
        let reply_bytes = match of.among(0..=9) {
            0 => 0,
            1 => body_bytes.min(64 * 1024),
            _ => of.among(24..=300),
        };
        let hard = if on(&mut of, Fault::ShortTimeout, 500) {
            spread(&mut of, 1, 5000) * MILLI
        } else if happens(&mut of, 4) {
            spread(&mut of, 1, 26) * HOUR
        } else {
            spread(&mut of, 5, 600) * SECOND
        };
        let soft = on(&mut of, Fault::SoftTimeout, 700)
            .then(|| spread(&mut of, 1, (hard / MILLI).max(1)) * MILLI);
        let mut room = None;
        let mut behaviour = Behaviour::Reply(0);
        if on(&mut of, Fault::SlowHandler, 400) {
            let after = spread(&mut of, 1, 10 * MINUTE / MILLI) * MILLI;
            behaviour = Behaviour::Reply(after);
        } else if on(&mut of, Fault::SilentHandler, 200) {
            let holds = happens(&mut of, 500);
            behaviour = if holds { Behaviour::Hold } else { Behaviour::Ignore };
        } else if on(&mut of, Fault::Refusal, 250) {
            let busy = RefusedWhy::Busy { retry_after: std::time::Duration::ZERO };
            let reasons =
                [RefusedWhy::Failed, RefusedWhy::UnknownKind, RefusedWhy::NotAllowed, busy];
            let why = of.pick(&reasons).copied().unwrap_or(RefusedWhy::Failed);
            let after = of.pick(&[0, 10 * MILLI, 3 * SECOND]).copied().unwrap_or(0);
            behaviour = Behaviour::Refuse(why, after);
            if happens(&mut of, 200) {
                (behaviour, room) = (Behaviour::Reply(0), Some(0));
            }
        }
        let cancel = on(&mut of, Fault::Cancel, 250).then(|| of.among(0..=hard.min(20 * SECOND)));
        let mut reply_bytes = reply_bytes;
        if plan.strength(Fault::LargeReply) > 0 {
            // A sequence of its own, so that it changes no plan without it.
            let mut of = dice(plan.seed, "large reply", number);
            if on(&mut of, Fault::LargeReply, 300) {
                reply_bytes = spread(&mut of, 512, WHOLE_REPLY);
            }
        }
        let body_bytes = usize::try_from(body_bytes).unwrap_or(0);
        let kind = kind_of(number, body_bytes, of.index(KINDS.len()));
        let body = body_of(number, body_bytes);
        let reply_bytes = usize::try_from(reply_bytes).unwrap_or(0);
        Self {
            number,
            from,
            to,
            wants_reply,
            kind,
            body,
            reply_bytes,
            room,
            behaviour,
            soft,
            hard,
            cancel,
            // A sequence of its own, so that it changes no plan.
            post_quantum: happens(&mut dice(plan.seed, "post quantum", number), 100),
            made_by,
        }
    }

    /// A plain request, as it is made when the faults have ended.
    pub(crate) fn plain(number: u64, from: Party, to: Party, hard: Time) -> Self {
        Self {
            number,
            from,
            to,
            wants_reply: true,
            kind: kind_of(number, PLAIN_BYTES, 0),
            body: body_of(number, PLAIN_BYTES),
            reply_bytes: PLAIN_BYTES,
            room: None,
            behaviour: Behaviour::Reply(0),
            soft: None,
            hard,
            cancel: None,
            post_quantum: false,
            made_by: Vec::new(),
        }
    }
}

/// The reply of a handler: it names the message, who answered, and in which life.
pub(crate) fn reply_of(number: u64, by: Party, life: u64, length: usize) -> Vec<u8> {
    let by = u64::try_from(by).unwrap_or(u64::MAX);
    let mut reply = [number.to_le_bytes(), by.to_le_bytes(), life.to_le_bytes()].concat();
    reply.extend(filler(!number, length.saturating_sub(reply.len())));
    reply.truncate(length);
    reply
}

/// The number that a message says it has.
pub(crate) fn number_of(kind: &str, body: &[u8]) -> Option<u64> {
    if let Some(text) = kind.strip_prefix(SHORT_KIND) {
        return text.parse().ok();
    }
    let (number, rest) = body.split_first_chunk::<8>()?;
    let number = u64::from_le_bytes(*number);
    rest.starts_with(&mark(number)).then_some(number)
}

/// The kind for calls of [`Kind::new`]; those made here are all good.
pub(crate) fn parse_kind(text: &str) -> Option<Kind> {
    Kind::new(text).ok()
}

fn kind_of(number: u64, body_bytes: usize, which: usize) -> String {
    if body_bytes < NUMBER_BYTES {
        return format!("{SHORT_KIND}{number}");
    }
    KINDS.get(which).copied().unwrap_or("echo/1").to_owned()
}

fn body_of(number: u64, length: usize) -> Vec<u8> {
    let mut body = [number.to_le_bytes(), mark(number)].concat();
    body.extend(filler(number, length.saturating_sub(body.len())));
    body.truncate(length);
    body
}

/// Eight more bytes, so that no other bytes look like a number by chance.
fn mark(number: u64) -> [u8; 8] {
    (number.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x6567_7470_7369_6d21).to_le_bytes()
}

/// Bytes that name a message at the front of its body.
const NUMBER_BYTES: usize = 16;
/// Bytes of a plain request and of its reply.
const PLAIN_BYTES: usize = 40;
/// Bytes of a reply that still travels in the answer to a first flight, about.
const WHOLE_REPLY: u64 = 8 * 1024;
/// What the kinds of bodies begin with that are too short for a number.
const SHORT_KIND: &str = "short/";
const KINDS: [&str; 5] = [
    "echo/1",
    "a",
    "block.get/2",
    "größe/1",
    "a-kind-of-sixty-four-bytes-which-is-as-long-as-a-kind-may-be/123",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_can_be_told_by_its_kind_and_body() {
        let plan = Plan::draw(3);
        for number in 0..500 {
            let parties = usize::try_from(plan.nodes).unwrap() + 1;
            let wish = Wish::draw(&plan, number, parties);
            assert_eq!(number_of(&wish.kind, &wish.body), Some(number));
            assert!(parse_kind(&wish.kind).is_some(), "{}", wish.kind);
            assert!(wish.from != wish.to && wish.from < parties - 1 && wish.to < parties);
        }
    }

    #[test]
    fn other_bytes_have_no_number() {
        assert_eq!(number_of("echo/1", &[7; 40]), None);
        assert_eq!(number_of("echo/1", b"short"), None);
    }
}
