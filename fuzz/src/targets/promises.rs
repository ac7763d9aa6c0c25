//! Three endpoints that know nothing of each other but their keys, and a network that loses, keeps,
//! repeats, changes and misdirects packets, breaks paths, and restarts machines at any moment. What they
//! report is compared with a naive model of the promises: nothing is acted on twice, not even in a later
//! life; every message has one outcome, which is true; a reply is the one that was given. When all
//! that is over, everybody is understood again.
//!
//! The input is a script (see `script`).
//
// Reaches: Frame::decode, Header::decode, Ini::decode, Rsp::decode, packet::decode_unknown,
// Reaches: Responder::read, Initiator::read, retry::decode_advice, Serials::decode, LiveCard::decode.

use std::time::Duration;

use egtp_proto::{Lost, MessageClass, RefusedWhy};

use super::Seed;
use crate::network::{Network, Wish};
use crate::script::{Draft, Script, Step};

/// See the head of this file.
pub fn run(data: &[u8]) {
    play(data).end();
}

/// Plays a script to its end.
fn play(data: &[u8]) -> Network {
    let mut network = Network::new();
    for step in Script::new(data).take(STEPS_MAX) {
        act(&mut network, step);
        network.settle();
    }
    network
}

fn act(network: &mut Network, mut step: Step<'_>) {
    match step.operation % OPERATIONS {
        SUBMIT => {
            let (from, to) = pair(&mut step);
            let (bits, hard) = (step.small(), step.of(&PATIENCE));
            let class = if bits & 1 == 0 { MessageClass::Request } else { MessageClass::Send };
            let soft = (bits & 2 != 0).then(|| Duration::from_secs(1));
            let room = (bits & 4 != 0).then(|| step.of(&SIZES));
            let bytes = step.of(&SIZES);
            network.submit(from, Wish { to, class, bytes, room, soft, hard });
        }
        ANSWER => {
            let (node, index, bytes) = (step.choice(3), step.small(), step.of(&SIZES));
            network.answer(node, index, Ok(bytes));
        }
        REFUSE => {
            let (node, index, status) = (step.choice(3), step.small(), step.small());
            let status = u8::try_from(status).unwrap_or(1);
            network.answer(node, index, Err(RefusedWhy::from_status(status.max(1))));
        }
        IGNORE => network.ignore(step.choice(3), step.small()),
        CANCEL => network.cancel(step.choice(3), step.small()),
        DELIVER => {
            for _ in 0..=step.small() {
                network.deliver(0);
                network.settle();
            }
        }
        OVERTAKE => network.deliver(step.small()),
        LOSE => network.lose(step.small()),
        REPEAT => network.repeat(step.large(), step.small()),
        MISDIRECT => network.misdirect(step.large(), step.choice(3), step.small()),
        CHANGE => {
            let (back, at, bits) = (step.large(), step.large(), step.small());
            network.repeat_changed(back, at, u8::try_from(bits).unwrap_or(0).max(1));
        }
        WAIT => network.wait(step.of(&SPANS)),
        DEADLINE => network.wait_for_deadline(),
        UP => {
            let (from, to) = pair(&mut step);
            network.connect(from, to, step.small());
        }
        DOWN => {
            let (index, how) = (step.small(), step.small());
            let lost = if how & 1 == 0 { Lost::Broken } else { Lost::Closed };
            // One side may notice long before the other.
            network.disconnect(index, lost, how & 2 == 0);
        }
        RESTART => network.restart(step.choice(3), !step.flag()),
        ROOM => network.room = step.of(&ROOMS),
        CALLABLE => network.callable = u8::try_from(step.small()).unwrap_or(0),
        WALL => network.shift_wall(step.choice(3), step.of(&SHIFTS)),
        _ => network.run(step.of(&SPANS)),
    }
}

/// Two of the three, never the same one.
fn pair(step: &mut Step<'_>) -> (usize, usize) {
    let (from, other) = (step.choice(3), step.choice(2));
    (from, (from + 1 + other) % 3)
}

/// A conversation, and one story for each thing that can go wrong with it.
pub fn seeds() -> Vec<Seed> {
    let ask = Draft::default().then(SUBMIT, &[0, 0, 0, 3, 1]);
    let talk = ask.clone().then(RUN, &[2]).then(ANSWER, &[1, 0, 2]).then(RUN, &[2]);
    let large = Draft::default().then(SUBMIT, &[0, 0, 0, 3, 4]).then(RUN, &[2]);
    let large = large.then(ANSWER, &[1, 0, 4]).then(LOSE, &[1]).then(RUN, &[3]);
    let tell =
        Draft::default().then(SUBMIT, &[1, 0, 1, 3, 2]).then(RUN, &[2]).then(IGNORE, &[2, 0]);
    let crossed =
        ask.clone().then(SUBMIT, &[1, 1, 2, 3, 1]).repeat(&talk, 1).then(REFUSE, &[0, 0, 2]);
    let crossed = crossed.then(RUN, &[2]);
    let forgot = talk.clone().repeat(&ask, 1).then(DELIVER, &[3]).then(RESTART, &[1]);
    let forgot = forgot.then(REPEAT, &[0]).then(REPEAT, &[3]).then(RUN, &[3]).repeat(&talk, 1);
    let asker = talk.clone().repeat(&ask, 1).then(RUN, &[2]).then(RESTART, &[0]).repeat(&talk, 1);
    let asker = asker.then(ANSWER, &[1, 0, 1]).then(RUN, &[4]);
    let replayed = (0..12).fold(talk.clone(), |draft, back| draft.then(REPEAT, &[back, 0, back]));
    let replayed =
        replayed.then(MISDIRECT, &[0, 0, 2]).then(CHANGE, &[1, 0, 40, 0, 1]).then(RUN, &[2]);
    let broken =
        talk.clone().repeat(&ask, 1).then(DELIVER, &[0]).then(DOWN, &[0, 0]).then(RUN, &[3]);
    let broken = broken.then(ANSWER, &[1, 0, 1]).then(DOWN, &[0, 2]).then(RUN, &[4]);
    let late =
        ask.clone().then(CANCEL, &[0, 0]).repeat(&ask, 3).then(OVERTAKE, &[1]).then(WAIT, &[4]);
    let late = late.then(ROOM, &[1]).then(DEADLINE, &[]).then(WALL, &[0, 1]).then(RUN, &[4]);
    let alone = Draft::default().then(CALLABLE, &[0]).repeat(&ask, 2).then(RUN, &[3]);
    let alone = alone.then(UP, &[1, 1, 0]).repeat(&ask, 1).then(RUN, &[3]).then(ANSWER, &[1, 0, 0]);
    // More than a handler may have in hand, and nobody waits for most of it any more.
    let hasty = Draft::default().then(SUBMIT, &[0, 0, 0, 1, 1]);
    let crowded = Draft::default().repeat(&hasty, 4).then(RUN, &[2]).repeat(&hasty, 4);
    let crowded = crowded.then(RUN, &[2]).repeat(&hasty, 4).then(RUN, &[2]).repeat(&ask, 4);
    let crowded = crowded.then(RUN, &[2]).then(ANSWER, &[1, 127, 1]).then(RUN, &[3]);
    [("alone", alone), ("asker", asker), ("broken", broken), ("crossed", crossed)]
        .into_iter()
        .chain([
            ("crowded", crowded),
            ("forgot", forgot),
            ("large", large),
            ("late", late),
            ("replayed", replayed),
        ])
        .chain([("talk", talk), ("tell", tell)])
        .map(|(name, draft)| (name, draft.0))
        .collect()
}

const SUBMIT: u8 = 0;
const ANSWER: u8 = 1;
const REFUSE: u8 = 2;
const IGNORE: u8 = 3;
const CANCEL: u8 = 4;
const DELIVER: u8 = 5;
const OVERTAKE: u8 = 6;
const LOSE: u8 = 7;
const REPEAT: u8 = 8;
const MISDIRECT: u8 = 9;
const CHANGE: u8 = 10;
const WAIT: u8 = 11;
const DEADLINE: u8 = 12;
const UP: u8 = 13;
const DOWN: u8 = 14;
const RESTART: u8 = 15;
const ROOM: u8 = 16;
const CALLABLE: u8 = 17;
const WALL: u8 = 18;
const RUN: u8 = 19;
const OPERATIONS: u8 = 20;

/// Bytes of a body: within a frame, within a record, in parts, and more than anybody takes.
const SIZES: [usize; 6] = [0, 60, 3_000, 9_000, 30_000, 50_000];
const PATIENCE: [Duration; 5] = [
    Duration::from_millis(1),
    Duration::from_millis(700),
    Duration::from_secs(6),
    Duration::from_secs(30),
    Duration::from_mins(10),
];
const SPANS: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_millis(30),
    Duration::from_millis(900),
    Duration::from_secs(8),
    Duration::from_secs(70),
    Duration::from_secs(1_000),
    Duration::from_secs(4_000),
    Duration::from_secs(8_000),
];
/// Everything, one packet, nothing.
const ROOMS: [usize; 3] = [1 << 20, 40_000, 0];
/// Seconds by which a wall clock is wrong.
const SHIFTS: [i64; 5] = [0, 3_600, -3_600, 300_000_000, -300_000_000];
/// More would only repeat, and each may cost a handshake.
const STEPS_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_reach_what_they_are_for() {
        for (name, script) in seeds() {
            let network = play(&script);
            let tally = network.tally();
            match name {
                "alone" | "crowded" | "late" => {
                    assert!(tally.ended > tally.replies, "{name}: {tally:?}");
                }
                "tell" => assert_eq!((tally.handed, tally.ended), (1, 1), "{tally:?}"),
                _ => assert!(tally.replies > 0, "{name}: {tally:?}"),
            }
            if name == "crossed" {
                assert_eq!(tally.refused, 1);
            }
            network.end();
        }
    }
}
