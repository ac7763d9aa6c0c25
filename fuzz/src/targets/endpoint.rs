//! A whole endpoint with small limits among hostile bytes: packets with a correct shroud and MAC,
//! genuine peers that send any frames, replays, reflections and damage, mixed with everything that
//! a driver and an application do. Nothing panics, no table exceeds its limit, every packet fits
//! its path, every message of ours has at most one outcome, and a closed endpoint holds nothing.
//!
//! The input is a script: one byte names a step and a path, and what follows belongs to the step.
//
// Reaches: Frame::decode, Header::decode, Ini::decode, Rsp::decode, packet::decode_unknown,
// Reaches: Responder::read, Initiator::read, retry::decode_advice, retry::decode_cookie.

use egtp_proto::wire::frame::{Ack, Class, DialogHead, Frame, MessageHead, ReplyHead};
use egtp_proto::wire::{Reader, Serials, WireError, Writer};
use egtp_proto::{Lost, StoreKind};

use super::{Seed, frame};
use crate::machine::Machine;

/// See the head of this file.
pub fn run(data: &[u8]) {
    play(data).close();
}

/// Plays a script to its end.
fn play(data: &[u8]) -> Machine {
    let (mut script, mut machine) = (Reader::new(data), Machine::new());
    for _ in 0..STEPS_MAX {
        if step(&mut script, &mut machine).is_err() {
            break;
        }
        machine.settle();
    }
    machine
}

/// Takes one step.
///
/// # Errors
/// The script has ended.
fn step(script: &mut Reader<'_>, machine: &mut Machine) -> Result<(), WireError> {
    let first = script.u8()?;
    // Two paths, one for each of two peers.
    let which = usize::from(first >> 4) % 2;
    match first & 0x0f {
        KNOCK => machine.send(which, |stranger, _| stranger.knock()),
        FLIGHT => {
            let frames = script.prefixed(BYTES_MAX)?;
            machine.send(which, |stranger, _| stranger.flight(&stranger.make_plausible(frames)));
        }
        RECORD => {
            let (frames, lane) = (script.prefixed(BYTES_MAX)?, machine.lane(which));
            machine.send(which, |stranger, now| {
                stranger.record(now, lane, &stranger.make_plausible(frames))
            });
        }
        RAW_RECORD => {
            let (frames, lane) = (script.prefixed(BYTES_MAX)?, machine.lane(which));
            machine.send(which, |stranger, now| stranger.record(now, lane, frames));
        }
        PACKET => machine.inject(which, first >> 5, script.prefixed(BYTES_MAX)?),
        REPLAY => {
            let back = usize::from(script.u8()?);
            machine.send(which, |stranger, _| stranger.recorded(back).map(<[u8]>::to_vec));
        }
        DAMAGE => {
            let (back, at, bits) = (script.u8()?, script.u16()?, script.u8()?);
            machine.send(which, |stranger, _| {
                let mut packet = stranger.recorded(usize::from(back))?.to_vec();
                let index = usize::from(at).checked_rem(packet.len())?;
                packet[index] ^= bits;
                Some(packet)
            });
        }
        REFLECT => machine.reflect(which, usize::from(script.u8()?)),
        WAIT => machine.wait(script.u32()? >> (first >> 4)),
        DEADLINE => machine.wait_for_deadline(),
        SUBMIT => machine.submit(which, script.u8()?, script.u16()?),
        REPLY => machine.reply(script.u8()?, script.u16()?),
        PATH_DOWN => {
            let lost = if first & 0x20 == 0 { Lost::Broken } else { Lost::Closed };
            machine.path_down(which, lost);
        }
        PATH_UP => machine.path_up(which, script.u8()?),
        ROOM => machine.room = usize::from(script.u16()?),
        _ => machine.cancel(usize::from(script.u8()?)),
    }
    Ok(())
}

/// A session with a request in each direction, one in the first flight, and everything around it.
pub fn seeds() -> Vec<Seed> {
    let small = frame::encode(&frame::small());
    let requests = frame::encode(&[dialog(0), request(0, b"first"), request(1, b"second")]);
    let more = frame::encode(&[dialog(5), request(5, b"more"), request(5, b"again")]);
    let reply = ReplyHead { serial: 0, code: 0, reference: [0; 8], status: 0 };
    let ack = Ack { dialog: 0, serials: Serials::below(1), limit: 9, bytes: 1000 };
    let reply =
        frame::encode(&[Frame::Ack(ack), Frame::Replies(0), Frame::Reply(reply, b"the reply")]);
    let closed = frame::encode(&[Frame::Closed { dialog: DIALOG, serials: Serials::below(2) }]);

    let opened = Script::default().up(0).does(KNOCK).with(FLIGHT, &requests);
    // The answer waits for replies until the deadline; a record then confirms the session.
    let confirmed = opened.clone().does(DEADLINE).with(RECORD, &[1]);
    let served = opened.clone().reply(20).reply(9000).does(DEADLINE).with(RECORD, &[1]);
    let served = served.does(DEADLINE).with(RECORD, &closed);
    let asked =
        confirmed.clone().submit(0x38, 30).submit(0x39, 5000).does(DEADLINE).with(RECORD, &reply);
    let rebound =
        served.clone().down().up(0).with(RECORD, &more).does(DEADLINE).replay(0).replay(3);
    let crossed = Script::default().up(1).submit(0x38, 30).does(KNOCK).with(FLIGHT, &requests);
    let crossed = crossed.with(RECORD, &small).does(DEADLINE).does(DEADLINE).with(FLIGHT, &more);
    let header = [0x30, 0, 1, 2, 3, 4, 9, 0, 0, 0, 0, 0];
    let junk = opened.clone().with(PACKET, &[&header[..], &[7; 60]].concat()).damage().reflect();
    [("asked", asked), ("crossed", crossed), ("junk", junk), ("opened", opened)]
        .into_iter()
        .chain([("rebound", rebound), ("served", served)])
        .map(|(name, script)| (name, script.0))
        .collect()
}

/// A script under construction.
#[derive(Clone, Default)]
struct Script(Vec<u8>);

impl Script {
    fn does(mut self, step: u8) -> Self {
        self.0.put_u8(step);
        self
    }

    fn with(mut self, step: u8, bytes: &[u8]) -> Self {
        self.0.put_u8(step);
        self.0.put_prefixed(bytes);
        self
    }

    fn up(self, opened: u8) -> Self {
        let mut up = self.does(PATH_UP);
        up.0.put_u8(opened);
        up
    }

    fn down(self) -> Self {
        self.does(PATH_DOWN)
    }

    fn submit(self, class: u8, bytes: u16) -> Self {
        let mut submit = self.does(SUBMIT);
        submit.0.put_u8(class);
        submit.0.put_u16(bytes);
        submit
    }

    fn reply(self, bytes: u16) -> Self {
        let mut reply = self.does(REPLY);
        reply.0.put_u8(0);
        reply.0.put_u16(bytes);
        reply
    }

    fn replay(self, back: u8) -> Self {
        let mut replay = self.does(REPLAY);
        replay.0.put_u8(back);
        replay
    }

    fn damage(self) -> Self {
        let mut damage = self.does(DAMAGE);
        damage.0.put(&[0, 20, 0, 1]);
        damage
    }

    fn reflect(self) -> Self {
        let mut reflect = self.does(REFLECT);
        reflect.0.put_u8(0);
        reflect
    }
}

/// Store 0 stands for the endpoint's present one.
fn dialog(low_water: u64) -> Frame<'static> {
    let (kind, dialog) = (StoreKind::Ram, DIALOG);
    Frame::Dialog(DialogHead { kind, dialog, store: 0, generation: 0, low_water })
}

fn request(serial: u64, body: &[u8]) -> Frame<'_> {
    let class = Class::Request { code: 3, hard_ms: 30_000, room: 20_000 };
    Frame::Message(MessageHead { serial, class, kind: "test/1" }, body)
}

const DIALOG: u64 = 0x1111;
/// More would only repeat, and each may cost a handshake.
const STEPS_MAX: usize = 64;
const BYTES_MAX: usize = 4096;

const KNOCK: u8 = 0;
const FLIGHT: u8 = 1;
const RECORD: u8 = 2;
const RAW_RECORD: u8 = 3;
const PACKET: u8 = 4;
const REPLAY: u8 = 5;
const DAMAGE: u8 = 6;
const REFLECT: u8 = 7;
const WAIT: u8 = 8;
const DEADLINE: u8 = 9;
const SUBMIT: u8 = 10;
const REPLY: u8 = 11;
const PATH_DOWN: u8 = 12;
const PATH_UP: u8 = 13;
const ROOM: u8 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    /// What the seed of this name makes the endpoint do.
    fn played(name: &str) -> Machine {
        let seeds = seeds();
        let (_, script) = seeds.iter().find(|(known, _)| *known == name).expect("a seed");
        play(script)
    }

    #[test]
    fn the_seeds_get_behind_the_cryptography() {
        let opened = played("opened");
        assert_eq!(opened.counters().flights_accepted, 1);
        assert_eq!(opened.counters().taken, 2);

        let served = played("served");
        assert_eq!(served.counters().records_opened, 2);
        assert_eq!(served.sizes().queries, 0, "both replies were closed");

        let rebound = played("rebound");
        assert_eq!(
            rebound.counters().taken,
            3,
            "one request of the second dialog was a repetition"
        );

        let asked = played("asked");
        assert_eq!(asked.replies(), 1);

        let junk = played("junk");
        assert_eq!(junk.counters().taken, 2);
        assert!(junk.counters().dropped.total() >= 3);
    }

    #[test]
    fn the_same_script_gives_the_same_packets() {
        for (name, script) in seeds() {
            assert_eq!(play(&script).sent(), play(&script).sent(), "{name}");
        }
    }
}
