//! Handlers that run inside a node's disk: what they answer, and what the checker is told once that is
//! there.

use bytes::Bytes;
use egtp_proto::exchange::durable::{Ran, Run};

use super::checker::{Given, Party};
use super::disk::Booked;
use super::run::World;
use super::workload::{Behaviour, number_of, reply_of};

impl World {
    /// What the handler of a message gives.
    pub(crate) fn handle_on_disk(&mut self, index: Party, run: Run) -> Booked {
        let message = &run.event.message;
        let number = number_of(message.kind.as_str(), &message.body);
        let wish = number.and_then(|number| self.wishes.get(&number));
        let life = self.life_of(index).1;
        let reply = match wish.map(|wish| (wish.behaviour, wish.reply_bytes)) {
            Some((Behaviour::Refuse(why, _), _)) => Err(why),
            Some((_, length)) => {
                let reply = reply_of(number.unwrap_or(u64::MAX), index, life, length);
                self.relays.keep(&reply);
                Ok(Bytes::from(reply))
            }
            None => Ok(Bytes::new()),
        };
        let ran = Ran::new(&run.event, reply);
        Booked { run, ran }
    }

    /// It is on the disk, with all that belongs to it.
    pub(crate) fn has_booked(&mut self, index: Party, booked: &[Booked]) {
        for Booked { run, ran } in booked {
            let message = &run.event.message;
            let (kind, body) = (message.kind.as_str(), &message.body[..]);
            self.tally.delivered += 1;
            self.hash(message.id.as_bytes());
            if !self.is_honest(message) {
                continue;
            }
            let number = number_of(kind, body);
            self.tell(|| format!("node {index} has booked number {number:?}"));
            let from = self.parties.get(&message.from).copied();
            let seen = (run.wants_reply, kind, *blake3::hash(body).as_bytes());
            let at = self.life_of(index);
            self.checker.ran(number, at, from, (seen, false));
            let Some(number) = number else { continue };
            let given = match ran.answer.status {
                0 => Given::Reply(*blake3::hash(&ran.answer.body).as_bytes()),
                status => Given::Status(status),
            };
            self.checker.given(number, given);
        }
    }
}
