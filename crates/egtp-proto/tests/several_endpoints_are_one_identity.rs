//! A node of several endpoints: whatever part a connection comes to, its peer is served by one and the same.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use egtp_proto::crypto::{Cipher, Suites};
use egtp_proto::limits::Limits;
use egtp_proto::time::{Instant, Now};
use egtp_proto::wire::Lane;
use egtp_proto::{
    Config, Elsewhere, Endpoint, Event, IdentityId, Kind, Lost, MessageClass, Outcome, Part,
    PathId, PublicKey, SecretKey, Sink, Source, StoreKind, Submission,
};

const US: IdentityId = IdentityId(0);

/// A node of several parts and those who ask it, with nothing between them that takes time.
struct Town {
    parts: Vec<Endpoint>,
    part: Part,
    server: PublicKey,
    clients: Vec<Client>,
    now: Instant,
    /// Who has called on a path, and the part that it is at now.
    paths: HashMap<PathId, (usize, usize)>,
    next_path: u64,
    /// The part that the next connection comes to, and by how many they go on.
    next_part: usize,
    on_the_way: VecDeque<(PathId, bool, Vec<u8>)>,
    /// How many packets still come to the node, and those that did not any more.
    let_through: usize,
    held: Vec<Vec<u8>>,
    /// What was sent to the node.
    sent: Vec<(PathId, Vec<u8>)>,
    /// What the node sent.
    answered: Vec<(PathId, Vec<u8>)>,
    /// Part, peer and body of what handlers were given.
    executed: Vec<(usize, PublicKey, Bytes)>,
}

struct Client {
    endpoint: Endpoint,
    key: PublicKey,
    asked: u64,
    outcomes: BTreeMap<u64, Outcome>,
}

#[derive(Default)]
struct Out(Vec<(PathId, Vec<u8>)>);

impl Sink for Out {
    fn room(&self, _path: PathId) -> usize {
        1 << 20
    }

    fn send(&mut self, path: PathId, packet: Vec<u8>) {
        self.0.push((path, packet));
    }
}

fn endpoint(seed: u8, part: &Part, now: Instant, limits: Limits) -> (Endpoint, PublicKey) {
    let secret = SecretKey::from_seed([seed; 32]);
    let key = secret.public();
    let mut random = [seed; 32];
    random[1] = u8::try_from(part.index()).unwrap();
    let config = Config {
        identities: vec![secret.into()],
        limits,
        seed: random,
        suites: Suites::all(Cipher::Aes256Gcm),
        reachable: true,
        exclusive: true,
        part: part.clone(),
    };
    (Endpoint::new(config, both(now)).unwrap(), key)
}

fn both(now: Instant) -> Now {
    Now { boot: now, wall: now.since_start() }
}

impl Town {
    fn new(parts: u16, clients: u8) -> Self {
        Self::with(parts, clients, &Limits::default())
    }

    fn with(parts: u16, clients: u8, limits: &Limits) -> Self {
        let now = Instant::new(Duration::from_secs(1000));
        let split: Vec<Part> = Part::split(parts, [77; 32]).collect();
        let server = SecretKey::from_seed([200; 32]).public();
        let clients = (0..clients).map(|seed| {
            let (endpoint, key) = endpoint(seed, &Part::WHOLE, now, Limits::default());
            Client { endpoint, key, asked: 0, outcomes: BTreeMap::new() }
        });
        Self {
            parts: split.iter().map(|part| endpoint(200, part, now, limits.clone()).0).collect(),
            part: split[0].clone(),
            server,
            clients: clients.collect(),
            now,
            paths: HashMap::new(),
            next_path: 1,
            next_part: 0,
            on_the_way: VecDeque::new(),
            let_through: usize::MAX,
            held: Vec::new(),
            sent: Vec::new(),
            answered: Vec::new(),
            executed: Vec::new(),
        }
    }

    fn of(&self, client: usize) -> usize {
        usize::from(self.part.of_peer(&self.clients[client].key))
    }

    /// Clients of the first part, and of others.
    fn by_part(&self) -> (Vec<usize>, Vec<usize>) {
        (0..self.clients.len()).partition(|client| self.of(*client) == 0)
    }

    /// A record of a client's session, as it went to the node.
    fn record_of(&mut self, client: usize) -> Vec<u8> {
        self.ask(client, "to have something to send");
        self.sent.last().unwrap().1.clone()
    }

    /// A client's first flight, which has not come to the node: it knocked at the first part, and flies to its prekey.
    fn flight_of(&mut self, client: usize, body: &str) -> Vec<u8> {
        (self.next_part, self.let_through) = (0, 1);
        self.ask(client, body);
        self.let_through = usize::MAX;
        let [flight] = &*std::mem::take(&mut self.held) else { panic!("one packet is held") };
        flight.clone()
    }

    /// Lets a client ask; its outcome has the token of its number.
    fn ask(&mut self, client: usize, body: &str) {
        let token = self.clients[client].asked;
        self.clients[client].asked += 1;
        let submission = Submission {
            token,
            identity: US,
            to: self.server,
            class: MessageClass::Request,
            kind: Kind::new("test.echo/1").unwrap(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            soft: None,
            hard: Duration::from_mins(1),
            hard_max: Duration::from_mins(1),
            room: None,
            wants: StoreKind::Ram,
            keep: None,
            post_quantum: false,
        };
        self.clients[client].endpoint.submit(both(self.now), submission).unwrap();
        // Answers wait some milliseconds for more to say.
        (0..20).for_each(|_| self.pass(Duration::from_millis(2)));
    }

    /// The bodies that a client has been replied, in the order in which it asked.
    fn replies(&self, client: usize) -> Vec<Bytes> {
        let outcomes = self.clients[client].outcomes.values();
        let bodies = outcomes.map(|outcome| match outcome {
            Outcome::Reply { body, .. } => body.clone(),
            other => panic!("{other:?}"),
        });
        bodies.collect()
    }

    /// Somebody connects, and comes to the next part in turn.
    fn connect(&mut self, client: usize) -> PathId {
        let path = PathId(self.next_path);
        self.next_path += 1;
        let part = self.next_part % self.parts.len();
        self.next_part += 1;
        self.paths.insert(path, (client, part));
        self.parts[part].path_up(path, US, None, Source::Verified, Lane::Direct);
        path
    }

    fn disconnect_all(&mut self) {
        let now = both(self.now);
        for (path, (client, part)) in std::mem::take(&mut self.paths) {
            self.parts[part].path_down(now, path, Lost::Closed);
            self.clients[client].endpoint.path_down(now, path, Lost::Closed);
        }
        self.settle();
    }

    /// A packet comes to the node; the connection goes on until it is with whom it belongs to.
    fn deliver(&mut self, path: PathId, packet: &[u8]) {
        let now = both(self.now);
        let Some((client, mut part)) = self.paths.get(&path).copied() else { return };
        self.parts[part].receive(now, path, BytesMut::from(packet));
        while let Some(elsewhere) = self.parts[part].take_elsewhere() {
            let Elsewhere::Part { path: moved, part: to, stray } = elsewhere else {
                self.paths.remove(&path);
                return self.clients[client].endpoint.path_down(now, path, Lost::Broken);
            };
            assert_eq!(moved, path);
            assert_ne!(usize::from(to), part);
            part = usize::from(to);
            self.parts[part].path_up(path, US, None, Source::Verified, Lane::Direct);
            self.parts[part].adopt(now, path, stray);
            self.paths.insert(path, (client, part));
        }
    }

    /// Everything happens that happens without time passing.
    fn settle(&mut self) {
        loop {
            let is_quiet = !self.run_parts() & !self.run_clients();
            let Some((path, is_to_node, packet)) = self.on_the_way.pop_front() else {
                if is_quiet {
                    return;
                }
                continue;
            };
            if is_to_node && self.let_through == 0 {
                self.held.push(packet);
            } else if is_to_node {
                self.let_through -= 1;
                self.sent.push((path, packet.clone()));
                self.deliver(path, &packet);
            } else if let Some((client, _)) = self.paths.get(&path) {
                self.answered.push((path, packet.clone()));
                let now = both(self.now);
                self.clients[*client].endpoint.receive(now, path, BytesMut::from(&packet[..]));
            }
        }
    }

    fn run_parts(&mut self) -> bool {
        let (now, mut has_moved) = (both(self.now), false);
        for (index, part) in self.parts.iter_mut().enumerate() {
            part.tick(now);
            while let Some(event) = part.next_event() {
                has_moved = true;
                if let Event::Query(query) = event {
                    let message = query.message;
                    self.executed.push((index, message.from, message.body.clone()));
                    part.reply(now, query.query, Ok(message.body));
                }
            }
            let mut out = Out::default();
            part.transmit(now, &mut out);
            let packets = out.0.into_iter().map(|(path, packet)| (path, false, packet));
            self.on_the_way.extend(packets);
        }
        has_moved
    }

    fn run_clients(&mut self) -> bool {
        let (now, mut has_moved) = (both(self.now), false);
        for index in 0..self.clients.len() {
            self.clients[index].endpoint.tick(now);
            while let Some(event) = self.clients[index].endpoint.next_event() {
                has_moved = true;
                match event {
                    Event::Connect { peer, .. } => {
                        let path = self.connect(index);
                        let (source, lane) = (Source::Verified, Lane::Direct);
                        let client = &mut self.clients[index].endpoint;
                        client.path_up(path, US, Some(peer), source, lane);
                    }
                    Event::Outcome { token, outcome } => {
                        self.clients[index].outcomes.insert(token, outcome);
                    }
                    _ => {}
                }
            }
            let mut out = Out::default();
            self.clients[index].endpoint.transmit(now, &mut out);
            let packets = out.0.into_iter().map(|(path, packet)| (path, true, packet));
            self.on_the_way.extend(packets);
        }
        has_moved
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.settle();
    }

    fn moves(&self) -> u64 {
        self.parts.iter().map(|part| part.counters().handed_over).sum()
    }
}

/// Proves X-3: whatever part a connection comes to, its peer is served by one, and a request is taken once.
#[test]
fn every_peer_is_served_by_its_part_wherever_it_comes_in() {
    let mut town = Town::new(4, 40);
    for round in 0..3 {
        for client in 0..40 {
            town.ask(client, &format!("{client} {round}"));
        }
        // Sessions outlive connections, which come in elsewhere the next time.
        town.disconnect_all();
        town.next_part += 1;
    }
    for client in 0..40 {
        let wanted: Vec<String> = (0..3).map(|round| format!("{client} {round}")).collect();
        assert_eq!(town.replies(client), wanted);
        let key = town.clients[client].key;
        let executed: Vec<_> = town.executed.iter().filter(|(_, from, _)| *from == key).collect();
        assert_eq!(executed.len(), 3);
        assert!(executed.iter().all(|(part, ..)| *part == town.of(client)));
    }
    let made: u64 = town.parts.iter().map(|part| part.counters().flights_accepted).sum();
    assert_eq!(made, 40, "one handshake each");
    assert!(town.moves() >= 60, "{} of 120 connections moved", town.moves());
}

/// Proves H-9, H-10: a first flight that comes again to any part is answered as before, and taken once.
#[test]
fn a_repeated_first_flight_is_taken_once_wherever_it_arrives() {
    for client in 0..4 {
        let mut town = Town::new(3, 4);
        town.ask(client, "once");
        let flights = town.sent.clone();
        let answers: Vec<Vec<u8>> =
            town.answered.iter().map(|(_, packet)| packet.clone()).collect();
        for part in 0..3 {
            for (_, flight) in &flights {
                town.next_part = part;
                let before = town.answered.len();
                let path = town.connect(client);
                town.deliver(path, flight);
                town.settle();
                // A knock is answered by whoever hears it, and what was in a session is refused.
                if flight == &flights[1].1 {
                    assert_eq!(town.answered.len(), before + 1);
                    assert!(answers.contains(&town.answered[before].1), "the same answer");
                }
            }
        }
        // And where the first one came, which is with its part now.
        let before = town.answered.len();
        town.deliver(flights[1].0, &flights[1].1);
        town.settle();
        assert!(answers.contains(&town.answered[before].1), "the same answer");
        assert_eq!(town.executed.len(), 1);
    }
}

/// Proves H-10: a first flight that comes again before its answer is made, where it came or elsewhere, is not taken for
/// one that is unknown.
#[test]
fn a_first_flight_may_come_again_before_it_is_answered() {
    for (client, part) in (0..4).flat_map(|client| (0..3).map(move |part| (client, part))) {
        for is_elsewhere in [false, true] {
            let mut town = Town::new(3, 4);
            let flight = town.flight_of(client, "once");
            let first = *town.paths.keys().next().unwrap();
            let before = town.answered.len();
            town.deliver(first, &flight);
            town.next_part = part;
            let path = if is_elsewhere { town.connect(client) } else { first };
            let (key, source) = (town.server, Source::Verified);
            town.clients[client].endpoint.path_up(path, US, Some(key), source, Lane::Direct);
            town.deliver(path, &flight);
            (0..20).for_each(|_| town.pass(Duration::from_millis(2)));
            assert_eq!(town.answered[before].0, path, "where it came last");
            assert_eq!(town.replies(client), ["once"]);
            assert_eq!(town.executed.len(), 1);
            let retries: u64 = town.parts.iter().map(|part| part.counters().retries_sent).sum();
            assert_eq!(retries, 1, "for the knock");
        }
    }
}

/// What was to be sent on a connection goes along when it turns out to be another part's.
#[test]
fn an_answer_that_has_not_left_goes_along() {
    let mut town = Town::new(2, 30);
    let (ours, theirs) = town.by_part();
    let record = town.record_of(theirs[0]);
    town.ask(ours[0], "to have a knock");
    let knock = town.sent[town.sent.len() - 3].1.clone();
    let before = town.answered.len();
    town.next_part = 0;
    let path = town.connect(ours[0]);
    town.deliver(path, &knock);
    town.deliver(path, &record);
    town.settle();
    assert_eq!(town.paths[&path].1, 1, "it went where the session is");
    assert_eq!(town.answered.len(), before + 1);
    assert_eq!(town.answered[before].0, path);
}

/// Proves X-2: a peer binds what it sends to the generation that it was told, by whichever part.
#[test]
fn a_generation_that_another_part_told_of_is_good() {
    let mut limits = Limits::default();
    limits.dialogs_max = 2;
    for answering in 0..2 {
        let mut town = Town::with(2, 30, &limits);
        let (filling, other) = town.by_part();
        for client in filling {
            town.ask(client, "fills the table");
        }
        // The first part has forgotten most of them, and issues a higher generation; whoever knocks hears it.
        let before = town.sent.len();
        town.next_part = answering;
        town.ask(other[0], "of the other part");
        assert_eq!(town.replies(other[0]), ["of the other part"]);
        assert_eq!(town.executed.iter().filter(|(part, ..)| *part == 1).count(), 1);
        let binding = town.parts.iter().map(|part| part.sizes().dialogs).collect::<Vec<_>>();
        assert_eq!(binding, [2, 1]);
        // A knock, the flight with the request, and what acknowledges the reply: it was not refused and sent anew.
        assert!(town.sent.len() - before <= 3, "{} packets", town.sent.len() - before);
    }
}

/// Parts do not hand strangers round.
#[test]
fn a_stranger_cannot_keep_parts_busy_with_each_other() {
    let mut town = Town::new(2, 30);
    let (ours, theirs) = town.by_part();
    let records = [ours[0], theirs[0]].map(|client| town.record_of(client));
    let before = town.moves();
    let path = town.connect(0);
    for _ in 0..100 {
        // Recorded: of a session of one part and one of the other, in turns.
        for record in &records {
            town.deliver(path, record);
            town.settle();
        }
    }
    assert_eq!(town.moves() - before, 3);
    assert!(!town.paths.contains_key(&path), "and then it is closed");
    town.pass(Duration::from_secs(1));
    assert_eq!(town.executed.len(), 2);
}

/// A connection that was handed on too often is closed, and its first flight is not held against its peer.
#[test]
fn who_was_handed_on_too_often_comes_anew_and_is_heard() {
    let mut town = Town::new(2, 30);
    let (ours, theirs) = town.by_part();
    let records = [ours[0], theirs[0]].map(|client| town.record_of(client));
    let flight = town.flight_of(theirs[1], "late");
    let path = *town.paths.iter().find(|(_, at)| at.0 == theirs[1]).unwrap().0;
    // Three moves: to the second part, back, and there again; the flight is under a prekey of the first.
    for record in [&records[1], &records[0], &records[1]] {
        town.deliver(path, record);
    }
    town.deliver(path, &flight);
    assert!(!town.paths.contains_key(&path));
    (0..40).for_each(|_| town.pass(Duration::from_millis(100)));
    assert_eq!(town.replies(theirs[1]), ["late"]);
    assert_eq!(town.executed.len(), 3);
}

/// Proves H-9 and its other side: a flight that nobody goes on with, because its connection was lost on the way to the
/// peer's part, is let through when it comes again.
#[test]
fn a_first_flight_that_was_lost_on_its_way_is_welcome_again() {
    let mut town = Town::new(2, 30);
    let (_, theirs) = town.by_part();
    let flight = town.flight_of(theirs[0], "again");
    let path = *town.paths.keys().next().unwrap();
    let now = both(town.now);
    town.parts[0].receive(now, path, BytesMut::from(&flight[..]));
    let Some(Elsewhere::Part { stray, .. }) = town.parts[0].take_elsewhere() else {
        panic!("it is the other part's");
    };
    town.parts[0].take_back(stray);
    town.paths.remove(&path);
    town.clients[theirs[0]].endpoint.path_down(now, path, Lost::Broken);
    (0..10).for_each(|_| town.pass(Duration::from_millis(100)));
    assert_eq!(town.replies(theirs[0]), ["again"]);
    assert_eq!(town.executed.len(), 1);
    let made = town.parts[1].counters().flights_accepted;
    assert_eq!((made, town.parts[0].counters().dropped.flight_seen), (1, 0), "the same flight");
}

/// A connection is one peer's: another one, who is another part's, is not heard on it.
#[test]
fn a_connection_belongs_to_the_first_who_has_shown_himself_on_it() {
    let mut town = Town::new(2, 30);
    let (ours, theirs) = town.by_part();
    town.ask(ours[0], "first");
    let path = *town.paths.keys().next().unwrap();
    let flight = town.flight_of(theirs[0], "second");
    town.deliver(path, &flight);
    town.settle();
    assert_eq!(town.parts[0].counters().dropped.elsewhere, 1);
    assert_eq!(town.executed.len(), 1);
    assert_eq!(town.paths[&path].1, 0, "the connection stays where it was");
}
