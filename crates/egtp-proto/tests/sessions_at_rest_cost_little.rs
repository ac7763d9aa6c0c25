//! A session that nobody has used for half an hour is no more than a root, and serves again at once.

mod common;

use std::time::Duration;

use common::{World, millis, secs};
use egtp_proto::{Contact, ContactDraft, Event, Lost, MessageClass, Outcome, SecretKey};

const ASKER: usize = 0;
const SERVER: usize = 1;

fn mins(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

/// A world in which the asker has asked once, and both have been silent for so long without a connection.
fn silent_for(span: Duration) -> World {
    let mut world = World::new(2);
    let token = world.request(ASKER, SERVER, b"once");
    assert!(world.run_until(secs(5), |world| world.reply_of(ASKER, token).is_some()));
    world.run(secs(1));
    world.cut(ASKER, Lost::Closed);
    world.run(span);
    world
}

fn agreements(world: &World) -> [u64; 2] {
    [ASKER, SERVER].map(|one| world.machines[one].endpoint.counters().agreements)
}

fn ask(world: &mut World, body: &[u8]) -> Duration {
    let (token, begun) = (world.request(ASKER, SERVER, body), world.now);
    assert!(world.run_until(secs(30), |world| world.reply_of(ASKER, token).is_some()));
    world.now.since(begun)
}

/// Proves LIF-1, LIF-2 and S-25: after half an hour a server holds of a client what is in the freezer, nothing
/// else, and the client's next request costs one trip and no key agreement.
#[test]
fn a_client_that_comes_back_within_the_hour_finds_its_session() {
    let mut world = silent_for(mins(40));
    let sizes = world.machines[SERVER].endpoint.sizes();
    assert_eq!((sizes.frozen, sizes.sessions, sizes.peers), (1, 0, 0));
    let before = agreements(&world);
    assert_eq!(ask(&mut world, b"again"), millis(20));
    assert_eq!(agreements(&world), before);
    let sizes = world.machines[SERVER].endpoint.sizes();
    assert_eq!((sizes.frozen, sizes.confirmed, sizes.peers), (0, 1, 1));
    assert_eq!(world.executions(SERVER, b"again"), 1);
}

/// The control of the above: a session in use is not put to rest, nor one whose peer may still write.
#[test]
fn a_session_in_use_is_not_put_to_rest() {
    let mut world = silent_for(mins(20));
    assert_eq!(world.machines[SERVER].endpoint.sizes().frozen, 0);
    for _ in 0..5 {
        ask(&mut world, b"more");
        world.run(mins(10));
    }
    assert_eq!(world.machines[SERVER].endpoint.sizes().frozen, 0);
}

/// Proves S-8, S-25: a packet that does not authenticate wakes nothing, whatever it names.
#[test]
fn a_forged_record_wakes_nothing() {
    let mut world = silent_for(mins(40));
    let (_, there) = world.connect(ASKER, SERVER);
    let sent = world.recorded.len();
    let token = world.request(ASKER, SERVER, b"again");
    let genuine = world.recorded[sent].packet.clone();
    world.network.clear();
    let before = world.machines[SERVER].endpoint.fingerprint();
    for bit in 16 * 8..(genuine.len() - 16) * 8 {
        let mut forged = genuine.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        world.inject(SERVER, there, &forged);
        assert_eq!(world.machines[SERVER].endpoint.fingerprint(), before, "bit {bit}");
    }
    world.inject(SERVER, there, &genuine);
    assert!(world.run_until(secs(5), |world| world.reply_of(ASKER, token).is_some()));
}

/// Proves S-7, S-25: what was recorded before the rest, and the record that ended it, are opened no more.
#[test]
fn what_was_recorded_is_not_opened_after_the_rest() {
    let mut world = silent_for(mins(40));
    let old = world.recorded.clone();
    let (_, there) = world.connect(ASKER, SERVER);
    let opened = |world: &World| world.machines[SERVER].endpoint.counters().records_opened;
    let before = opened(&world);
    for flight in old.iter().filter(|flight| flight.to == SERVER) {
        world.inject(SERVER, there, &flight.packet);
    }
    assert_eq!(opened(&world), before);
    let sent = world.recorded.len();
    ask(&mut world, b"again");
    let (first, before) = (world.recorded[sent].packet.clone(), opened(&world));
    for _ in 0..3 {
        world.inject(SERVER, there, &first);
    }
    assert_eq!(opened(&world), before);
    assert_eq!(world.executions(SERVER, b"again"), 1);
}

/// Whoever is wanted by us comes back, too: here for a request that goes the other way.
#[test]
fn a_frozen_peer_can_be_asked() {
    let mut world = silent_for(mins(40));
    let token = world.request(SERVER, ASKER, b"how are you");
    assert!(world.run_until(secs(5), |world| world.reply_of(SERVER, token).is_some()));
    assert_eq!(world.machines[SERVER].endpoint.sizes().frozen, 0);
    assert_eq!(world.executions(ASKER, b"how are you"), 1);
}

/// Proves LIF-2: memory is the only reason to drop one early, and costs its peer a handshake.
#[test]
fn a_full_freezer_costs_a_handshake_and_nothing_else() {
    let mut world = World::with(8, |config| config.limits.frozen_max = 3);
    let askers = 1..8;
    for asker in askers.clone() {
        let token = world.request(asker, 0, b"once");
        assert!(world.run_until(secs(5), |world| world.reply_of(asker, token).is_some()));
    }
    world.run(secs(1));
    world.cut(0, Lost::Closed);
    world.run(mins(40));
    assert_eq!(world.machines[0].endpoint.sizes().frozen, 3);
    assert_eq!(world.machines[0].endpoint.sizes().peers, 0);
    for asker in askers {
        let token = world.request(asker, 0, b"again");
        assert!(world.run_until(secs(30), |world| world.reply_of(asker, token).is_some()));
    }
    assert_eq!(world.executions(0, b"again"), 7);
}

/// Proves S-14, S-26: what no contact may call usable any more is erased.
#[test]
fn a_session_that_was_silent_for_a_day_is_forgotten() {
    let mut world = silent_for(Duration::from_hours(23));
    assert_eq!(world.machines[SERVER].endpoint.sizes().frozen, 1);
    world.run(Duration::from_hours(2));
    assert_eq!(world.machines[SERVER].endpoint.sizes().frozen, 0);
    ask(&mut world, b"next day");
    assert_eq!(world.executions(SERVER, b"next day"), 1);
}

/// A new first flight of somebody whose session is at rest leaves that session usable for receiving.
#[test]
fn a_restarted_client_displaces_nothing() {
    let mut world = silent_for(mins(40));
    world.kill(ASKER);
    world.restart(ASKER, 1);
    ask(&mut world, b"again");
    world.run(secs(1));
    let sizes = world.machines[SERVER].endpoint.sizes();
    assert_eq!((sizes.frozen, sizes.confirmed), (0, 2));
}

/// Messages that want no reply come back through the freezer as well.
#[test]
fn a_send_wakes_its_session() {
    let mut world = silent_for(mins(40));
    let token = world.submit(ASKER, SERVER, b"note", MessageClass::Send, None, secs(30));
    assert!(world.run_until(secs(5), |world| world.outcome(ASKER, token).is_some()));
    assert!(matches!(world.outcome(ASKER, token), Some(Outcome::Accepted { .. })));
    let opened = world.machines[ASKER].events.iter();
    let sessions = opened.filter(|event| matches!(event, Event::Session { .. })).count();
    assert_eq!(sessions, 1, "the first one served");
}

/// Proves S-14: a contact says for how long its owner keeps sessions, up to a day.
#[test]
fn a_contact_may_state_that_sessions_last_a_day() {
    for (stated, handshakes) in [(86_400, 0), (60, 1)] {
        let mut world = silent_for(mins(100));
        let contact = contact_of_server(stated);
        world.machines[ASKER].endpoint.learn_contact(&contact);
        let before = world.machines[SERVER].endpoint.counters().flights_accepted;
        ask(&mut world, b"again");
        let after = world.machines[SERVER].endpoint.counters().flights_accepted;
        assert_eq!(after - before, handshakes, "{stated} s");
        assert_eq!(world.executions(SERVER, b"again"), 1);
    }
}

fn contact_of_server(idle_out_seconds: u32) -> Contact {
    let draft = ContactDraft {
        sequence: 1,
        strategies: Vec::new(),
        suites: vec![0x12, 0x02, 0x01],
        mailbox_prekey: None,
        letter_store: None,
        instance: 1,
        message_bytes_max: 1 << 21,
        idle_out_seconds,
        expiry_day: 20_000,
        parent: None,
    };
    draft.sign(&SecretKey::from_seed([2; 32]), 20_000).unwrap()
}
