//! What the program asks of its node, one command after another.
//!
//! Invariant: whoever waits for an answer gets one, or sees its channel closed.

use egtp_proto::IdentityId;
use egtp_proto::time::Now;

use super::{COMMANDS_PER_ROUND, Driver};
use crate::command::Command;
use crate::serve::Hints;
use crate::store::StoreError;

impl Driver {
    /// Does what the program has asked for, as much as one round has room for. Returns whether there was anything.
    pub(super) fn take_commands(&mut self, now: Now) -> bool {
        if self.taken.is_empty() {
            self.commands.take(&mut self.taken);
        }
        let busy = !self.taken.is_empty();
        for _ in 0..COMMANDS_PER_ROUND {
            let Some(command) = self.taken.pop_front() else { break };
            self.obey(now, command);
        }
        busy
    }

    fn obey(&mut self, now: Now, command: Command) {
        match command {
            Command::Start(start) => self.start(now, start),
            Command::Cancel(slot) => self.let_go(now, &slot),
            Command::Attach(id, answer) => {
                // Who asked may have gone.
                let _ = answer.send(self.kept.slot(&id));
            }
            Command::ListKept(answer) => {
                let _ = answer.send(self.kept.ids());
            }
            Command::Forget(id) => self.forget(now, id),
            Command::Reply(query, reply) => {
                if let Some(open) = self.queries.remove(&query) {
                    self.replied(now, open.id, reply.as_ref().err().copied());
                }
                self.endpoint.reply(now, query, reply);
            }
            Command::Ignore(query) => {
                self.queries.remove(&query);
                self.endpoint.ignore(query);
            }
            Command::Policy(kind, policy) => self.endpoint.set_policy(kind, policy),
            Command::Committed(number, ran) => {
                self.is_writing = false;
                self.endpoint.committed(now, number, ran);
            }
            Command::DiskRefuses => self.endpoint.disk_refuses(),
            Command::BackUp(back_up) => {
                if let Some(writer) = &self.writer {
                    writer.back_up(*back_up);
                } else {
                    let why = "the node has no store";
                    let _ = back_up.answer.send(Err(StoreError::Unavailable { why }));
                }
            }
            Command::Learn(contact) => {
                self.endpoint.learn_contact(&contact);
                self.reach.learn(*contact);
            }
            Command::PeerCard(peer, answer) => {
                // Who asked may have gone.
                let _ = answer.send(self.endpoint.peer_card(now, IdentityId::default(), &peer));
            }
            Command::LearnPeerCard(card) => {
                // One that is of no use costs a round trip, and nothing else.
                self.endpoint.learn_peer_card(now, IdentityId::default(), &card);
            }
            Command::Expect(peers, kind, answer) => {
                // Whoever asked may be gone.
                let _ = answer.send(self.experience.expected(&peers, &kind));
            }
            Command::Hint(to, kind, body) => {
                // Nobody hears what becomes of one.
                let _ = self.hints(now, IdentityId::default()).hint(&to, kind, body);
            }
            Command::TrustRelay(relay, is_trusted) => self.circuits.trust(relay, is_trusted),
            Command::Letters(carrier) => self.carry_letters(carrier),
            Command::Posted(number, posted) => self.endpoint.posted(now, number, posted),
            Command::OpenMailbox(listing) => self.open_mailbox(now, listing),
            Command::ReadLetter(letter, brought) => self.read_letter(now, &letter, brought),
            Command::Disconnected(peer, tell) => self.tell_when_disconnected(peer, tell),
            Command::Status(answer) => {
                // Who asked may have gone.
                let _ = answer.send(self.status());
            }
            Command::Events(answer) => {
                let _ = answer.send(self.feed.watch());
            }
            Command::Close => self.begin_closing(),
        }
    }
}
