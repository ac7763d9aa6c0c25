//! Letters in the small world: a mailbox that keeps them, and machines that take and send some.

use std::collections::BTreeMap;

use egtp_proto::{
    Contact, ContactDraft, Event, IdentityId, LetterError, Letters, OwnMailbox, Posted, SecretKey,
    StoreKind,
};

use super::World;

/// Letters that are kept for machines, and what machines have heard of each other's mailboxes.
#[derive(Default)]
pub struct Post {
    /// By the machine that they are for, in the order in which they came.
    pub kept: BTreeMap<usize, Vec<Vec<u8>>>,
    /// Every letter that was ever kept, with its writer and reader.
    pub recorded: Vec<(usize, usize, Vec<u8>)>,
    /// Whether letters are refused.
    pub is_closed: bool,
    /// The newest contact of each machine that takes letters.
    pub contacts: BTreeMap<usize, Contact>,
    /// What each machine knows of each other.
    known: BTreeMap<(usize, usize), Contact>,
    /// Which letters were read, by the machine that read them and their number.
    read: BTreeMap<(usize, u64), bool>,
}

impl Post {
    /// A machine is killed: the next life of it numbers what it reads anew.
    pub fn forget_readings(&mut self, machine: usize) {
        self.read.retain(|(reader, _), _| *reader != machine);
    }
}

impl World {
    /// Two machines with disks that take letters, and know so of each other; machine 1 is down.
    pub fn of_letters() -> Self {
        let mut world = Self::without_disks(2, |_| {});
        for machine in 0..2 {
            world.give_disk(machine);
            world.open_mailbox(machine);
        }
        world.introduce(0, 1);
        world.callable = vec![false, false];
        (world.wants, world.keeps) = (StoreKind::Durable, true);
        world.kill(1);
        world
    }

    /// A machine with a disk takes letters and sends some, in this life.
    pub fn open_mailbox(&mut self, machine: usize) {
        let now = self.at(machine);
        let endpoint = &mut self.machines[machine].endpoint;
        endpoint.open_mailbox(now, IdentityId(0));
        endpoint.send_letters(IdentityId(0), Letters::Wanted);
        self.settle();
    }

    /// A machine is handed the newest contact of another, and finds it whenever it looks for that one.
    pub fn introduce(&mut self, machine: usize, other: usize) {
        let contact = self.post.contacts[&other].clone();
        self.machines[machine].endpoint.learn_contact(&contact);
        self.post.known.insert((machine, other), contact);
    }

    /// A machine looks for another.
    pub(super) fn look_up(&mut self, machine: usize, other: usize) {
        if let Some(contact) = self.post.known.get(&(machine, other)) {
            self.machines[machine].endpoint.learn_contact(contact);
        }
    }

    /// What happened with letters.
    pub(super) fn post_event(&mut self, machine: usize, event: Event) {
        let now = self.at(machine);
        match event {
            Event::Mailbox { mailbox, .. } => self.sign_contact(machine, mailbox),
            Event::Contact { contact, .. } => {
                let key = contact.key();
                let other = self.machines.iter().position(|one| one.key == key).unwrap();
                self.post.known.insert((machine, other), *contact);
            }
            Event::Letter { to, number, letter, .. } => {
                let posted = if self.post.is_closed { Posted::Failed } else { Posted::Stored };
                if posted == Posted::Stored {
                    let to = self.machines.iter().position(|one| one.key == to).unwrap();
                    self.post.recorded.push((machine, to, letter.to_vec()));
                    self.post.kept.entry(to).or_default().push(letter.to_vec());
                }
                self.machines[machine].endpoint.posted(now, number, posted);
            }
            Event::LetterRead { number, all_taken } => {
                self.post.read.insert((machine, number), all_taken);
            }
            _ => {}
        }
    }

    /// A machine lists what is to be listed, in a contact that it signs.
    fn sign_contact(&mut self, machine: usize, mailbox: OwnMailbox) {
        let letters = self.machines[machine].disk.as_ref().unwrap().saved.letters.as_ref();
        let is_there = letters.is_some_and(|letters| {
            letters.store == mailbox.store
                && letters.prekeys.iter().any(|one| one.id == mailbox.prekey.id)
        });
        assert!(is_there, "a mailbox prekey is named that is not on the disk");
        let before = self.post.contacts.get(&machine).map_or(0, Contact::sequence);
        let draft = ContactDraft {
            sequence: before + 1,
            strategies: Vec::new(),
            suites: vec![1, 2],
            mailbox_prekey: Some(mailbox.prekey),
            letter_store: Some(mailbox.store),
            instance: 1,
            message_bytes_max: 1 << 21,
            idle_out_seconds: 3600,
            expiry_day: 20_000,
            parent: None,
        };
        let secret = SecretKey::from_seed([self.machines[machine].seed; 32]);
        let contact = draft.sign(&secret, 19_990).unwrap();
        self.machines[machine].endpoint.learn_contact(&contact);
        self.post.contacts.insert(machine, contact);
    }

    /// A machine fetches what is kept for it. What was not taken, or is not on its disk yet, stays. Why letters were
    /// refused for good.
    pub fn fetch(&mut self, machine: usize) -> Vec<LetterError> {
        let mut refused = Vec::new();
        for letter in self.post.kept.remove(&machine).unwrap_or_default() {
            match self.bring(machine, &letter) {
                Ok(true) => {}
                Ok(false) | Err(LetterError::Busy) => {
                    self.post.kept.entry(machine).or_default().push(letter);
                }
                Err(error) => refused.push(error),
            }
        }
        refused
    }

    /// Brings one letter. Whether it may be thrown away.
    pub fn bring(&mut self, machine: usize, letter: &[u8]) -> Result<bool, LetterError> {
        let now = self.at(machine);
        let read = self.machines[machine].endpoint.receive_letter(now, IdentityId(0), letter)?;
        self.settle();
        Ok(self.post.read.get(&(machine, read.number)).copied().unwrap_or(false))
    }

    /// Letters that wait for a machine.
    pub fn letters_for(&self, machine: usize) -> usize {
        self.post.kept.get(&machine).map_or(0, Vec::len)
    }
}
