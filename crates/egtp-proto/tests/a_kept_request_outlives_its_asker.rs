//! A request that is to outlive the run of its asker is asked to its end, whenever the asker is killed, and
//! taken at most once.

mod common;

use common::{EARLIER, Handler, World, millis, secs};
use egtp_proto::crypto::{Cipher, Suites};
use egtp_proto::exchange::durable::SavedOutcome;
use egtp_proto::{
    Event, IdentityId, Lost, MessageClass, NotSent, Outcome, QueryId, RefusedWhy, StoreKind, Taken,
};

/// Both machines have a disk and have spoken; what machine 0 asks now outlives it.
fn world() -> World {
    let mut world = World::new(2);
    world.give_disk(0);
    world.give_disk(1);
    world.request(0, 1, b"hello");
    world.run(secs(1));
    (world.wants, world.keeps) = (StoreKind::Durable, true);
    world
}

fn ask(world: &mut World, body: &[u8]) -> u64 {
    world.submit(0, 1, body, MessageClass::Request, None, secs(300))
}

fn kill_and_restart(world: &mut World, machine: usize, generation: u8) {
    world.kill(machine);
    world.run(secs(1));
    world.restart(machine, generation);
}

fn is_kept(world: &World, token: u64) -> bool {
    let says_so = |event: &Event| matches!(event, Event::Kept { token: one } if *one == token);
    world.machines[0].events.iter().any(says_so)
}

fn saved(world: &World, machine: usize) -> &egtp_proto::exchange::saved::Saved {
    &world.machines[machine].disk.as_ref().unwrap().saved
}

/// Proves LNG-1, X-42: what is to outlive a run is in no hurry. It waits for the peer's disk as for the peer.
#[test]
fn it_waits_for_a_disk_of_its_peer_that_refuses() {
    let mut world = world();
    world.keeps = false;
    world.stick(1, true);
    ask(&mut world, b"on its way to the disk");
    world.run(secs(1));
    world.machines[1].endpoint.disk_refuses();
    world.keeps = true;
    let token = ask(&mut world, b"patient");
    world.run(secs(20));
    assert_eq!(world.outcome(0, token), None);
    world.stick(1, false);
    world.run(secs(60));
    assert_eq!(world.reply_of(0, token).unwrap(), b"patient"[..]);
    assert_eq!(world.executions(1, b"patient"), 1);
    // Our own disk: nothing new is begun that could not be kept.
    world.stick(0, true);
    ask(&mut world, b"on its way to our disk");
    world.machines[0].endpoint.disk_refuses();
    let refused = ask(&mut world, b"one more");
    assert_eq!(world.outcome(0, refused), Some(&Outcome::NotSent(NotSent::DiskRefuses)));
}

/// Proves LNG-1, X-33: it is on the disk, with what it is bound to, before anything of it is sent.
#[test]
fn lng_1_nothing_of_it_leaves_before_the_disk_knows() {
    let mut world = world();
    world.stick(0, true);
    let token = ask(&mut world, b"slow");
    world.run(secs(5));
    assert_eq!((world.executions(1, b"slow"), is_kept(&world, token)), (0, false));
    assert!(saved(&world, 0).asks.is_empty());
    // Others do not wait.
    world.keeps = false;
    world.wants = StoreKind::Ram;
    let ordinary = world.request(0, 1, b"ordinary");
    world.run(secs(1));
    assert!(world.reply_of(0, ordinary).is_some());

    world.stick(0, false);
    world.run(secs(1));
    assert!(is_kept(&world, token));
    assert_eq!(world.reply_of(0, token).unwrap(), b"slow"[..]);
}

/// Proves LNG-1, LNG-2: its plain data are in the store while it is open, and go with the same batch that
/// brings its outcome.
#[test]
fn lng_2_it_is_deleted_when_it_completes() {
    let mut world = world();
    world.machines[1].handler = Handler::Hold;
    let token = ask(&mut world, b"pay");
    world.run(secs(1));
    let kept = &saved(&world, 0).asks[0];
    assert_eq!((&kept.body[..], kept.kind.as_str()), (&b"pay"[..], "test/1"));
    assert!(kept.binding.is_some());

    let (query, _) = world.machines[1].waiting.pop_front().unwrap();
    world.answer(1, query, Ok("paid".into()));
    world.run(secs(1));
    assert_eq!(world.reply_of(0, token).unwrap(), b"paid"[..]);
    assert!(saved(&world, 0).asks.is_empty());
    let SavedOutcome { id, outcome } = saved(&world, 0).outcomes[0].clone();
    assert!(matches!(outcome, Outcome::Reply { body, .. } if body == b"paid"[..]));

    world.machines[0].endpoint.collected(IdentityId(0), id);
    world.settle();
    assert!(saved(&world, 0).outcomes.is_empty(), "the application has it");
}

/// Proves LNG-3: days later, and after both have been restarted, the reply finds the request, which has
/// another event code by then and the same id.
#[test]
fn lng_3_its_reply_is_matched_after_a_restart() {
    let mut world = world();
    world.machines[1].handler = Handler::Hold;
    let token = world.submit(0, 1, b"letter", MessageClass::Request, None, secs(20 * 3600));
    world.run(secs(1));
    let id = saved(&world, 0).asks[0].id;
    for generation in 1..=3 {
        kill_and_restart(&mut world, 0, generation);
        world.run(secs(3600));
        assert_eq!(saved(&world, 0).asks[0].id, id);
    }
    let (query, _) = world.machines[1].waiting.pop_front().unwrap();
    world.answer(1, query, Ok("answer".into()));
    world.run(secs(60));
    assert_eq!(world.outcome(0, token), None, "that run has ended");
    assert_eq!(world.reply_of(0, EARLIER).unwrap(), b"answer"[..]);
    assert_eq!(world.executions(1, b"letter"), 1);
}

/// Proves LNG-4: what need not outlive a run costs no write, at either end.
#[test]
fn lng_4_ordinary_requests_never_touch_the_disk() {
    let mut world = world();
    (world.wants, world.keeps) = (StoreKind::Ram, false);
    let commits = |world: &World, machine: usize| {
        world.machines[machine].disk.as_ref().map_or(0, |disk| disk.commits)
    };
    let before = (commits(&world, 0), commits(&world, 1));
    for number in 0..100_u8 {
        let token = world.request(0, 1, &[number]);
        world.run(millis(100));
        assert!(world.reply_of(0, token).is_some());
    }
    assert_eq!((commits(&world, 0), commits(&world, 1)), before);
    world.keeps = true;
    ask(&mut world, b"kept");
    world.run(secs(1));
    assert!(commits(&world, 0) > before.0, "the control: this one does");
}

/// Proves X-34: a reply counts once it is on the disk, and only then may its sender forget it.
#[test]
fn a_reply_that_the_disk_had_not_got_is_asked_for_again() {
    let mut world = world();
    world.machines[1].handler = Handler::Hold;
    let token = ask(&mut world, b"pay");
    world.run(secs(1));
    world.stick(0, true);
    let (query, _) = world.machines[1].waiting.pop_front().unwrap();
    world.answer(1, query, Ok("paid".into()));
    world.run(secs(10));
    assert_eq!(world.outcome(0, token), None);
    assert_eq!(saved(&world, 1).queries.len(), 1, "its sender keeps it");
    world.machines[0].disk.as_mut().unwrap().is_stuck = false;
    kill_and_restart(&mut world, 0, 1);
    world.run(secs(20));
    assert_eq!(world.reply_of(0, EARLIER).unwrap(), b"paid"[..]);
    assert_eq!((world.outcome(0, token), world.executions(1, b"pay")), (None, 1));
    assert!(saved(&world, 1).queries.is_empty(), "and then forgets it");
}

/// Proves X-35: what an earlier run may have sent is never taken for refused.
#[test]
fn a_refusal_does_not_free_what_an_earlier_run_may_have_sent() {
    let mut world = world();
    // It arrives and runs, and nothing is heard of it.
    world.tamper = |flight| flight.from != 1;
    ask(&mut world, b"pay");
    world.run(millis(200));
    assert_eq!(world.executions(1, b"pay"), 1);
    world.kill(0);
    // The receiver loses its store, and is long up by all clocks.
    world.kill(1);
    world.tamper = |_| true;
    world.machines[1].disk = None;
    world.run(secs(1));
    world.restart(1, 1);
    world.give_disk(1);
    world.machines[1].disk.as_mut().unwrap().saved.store += 1;
    world.kill(1);
    world.restart(1, 2);
    world.run(secs(100));
    world.restart(0, 1);
    world.run(secs(60));
    assert!(matches!(world.outcome(0, EARLIER), Some(Outcome::Unknown { .. })));
    assert_eq!(world.executions(1, b"pay"), 1, "in all lives and stores");
}

/// Proves X-35, H-29: a later run finds that the peer has no hybrid suite any more; what an earlier one may
/// have sent is not called unsent for that.
#[test]
fn a_post_quantum_request_of_an_earlier_run_is_not_called_unsent() {
    let mut world = world();
    world.post_quantum = true;
    world.machines[1].handler = Handler::Hold;
    world.tamper = |flight| flight.from != 1 || flight.packet.len() > 1_000;
    ask(&mut world, b"secret");
    world.run(millis(500));
    world.tamper = |_| true;
    assert_eq!(world.executions(1, b"secret"), 1);
    world.kill(0);
    world.kill(1);
    world.machines[1].config = |config| config.suites = Suites::classical(Cipher::Aes256Gcm);
    world.restart(1, 1);
    world.restart(0, 1);
    world.run(secs(30));
    assert!(matches!(world.outcome(0, EARLIER), Some(Outcome::Unknown { .. })));
}

/// Proves H-29: while the peer has no hybrid suite, a message that may have been sent waits, and no handshake
/// after the other is made to ask for one.
#[test]
fn a_post_quantum_request_waits_quietly_for_a_peer_that_has_no_hybrid_suite() {
    let mut world = world();
    world.post_quantum = true;
    world.tamper = |flight| flight.from != 0;
    ask(&mut world, b"secret");
    world.run(millis(500));
    world.kill(0);
    world.kill(1);
    world.tamper = |_| true;
    world.machines[1].config = |config| config.suites = Suites::classical(Cipher::Aes256Gcm);
    world.restart(1, 1);
    world.restart(0, 1);
    world.run(secs(60));
    assert_eq!(world.outcome(0, EARLIER), None);
    let handshakes = world.machines[0].endpoint.counters().handshakes_finished;
    assert!(handshakes <= 3, "{handshakes} handshakes within a minute");
    world.machines[1].config = |config| config.suites = Suites::all(Cipher::Aes256Gcm);
    kill_and_restart(&mut world, 1, 2);
    world.run(secs(200));
    assert_eq!(world.reply_of(0, EARLIER).unwrap(), b"secret"[..]);
    assert_eq!(world.executions(1, b"secret"), 1);
}

/// Proves X-33: a message of which certainly nothing was sent is bound anew like any other.
#[test]
fn what_was_never_sent_is_asked_of_whatever_store_there_is() {
    let mut world = world();
    world.kill(1);
    ask(&mut world, b"first");
    world.run(secs(5));
    kill_and_restart(&mut world, 0, 1);
    world.machines[1].disk = None;
    world.restart(1, 1);
    world.run(secs(30));
    assert_eq!(world.reply_of(0, EARLIER).unwrap(), b"first"[..]);
}

/// Proves X-36: its hard timeout goes on while nobody runs.
#[test]
fn it_times_out_also_while_its_asker_is_down() {
    let mut world = world();
    world.kill(1);
    ask(&mut world, b"in vain");
    world.run(secs(5));
    world.kill(0);
    world.run(secs(400));
    world.restart(0, 1);
    world.run(secs(1));
    assert_eq!(world.outcome(0, EARLIER), Some(&Outcome::TimedOut { taken: Taken::No }));
    assert!(saved(&world, 0).asks.is_empty());
}

/// Proves X-36: a path that cannot be had does not end it.
#[test]
fn it_waits_for_a_peer_that_is_down() {
    let mut world = world();
    world.kill(1);
    let token = ask(&mut world, b"later");
    world.run(secs(60));
    assert_eq!(world.outcome(0, token), None);
    world.restart(1, 1);
    world.run(secs(30));
    assert_eq!(world.reply_of(0, token).unwrap(), b"later"[..]);
}

/// Proves X-33: what the receiver alone is to remember uses no serials of the dialog that outlives the run,
/// or a later run would give them to something else, which would count as taken before.
#[test]
fn a_later_run_gives_no_serial_twice() {
    let mut world = world();
    ask(&mut world, b"kept");
    world.keeps = false;
    for number in 0..5 {
        ask(&mut world, &[number]);
    }
    world.keeps = true;
    world.machines[1].handler = Handler::Hold;
    ask(&mut world, b"open");
    world.keeps = false;
    ask(&mut world, b"not kept");
    world.run(secs(1));
    kill_and_restart(&mut world, 0, 1);
    world.machines[1].handler = Handler::Echo;
    world.keeps = true;
    let token = ask(&mut world, b"new");
    world.run(secs(5));
    assert_eq!(world.reply_of(0, token).unwrap(), b"new"[..]);
}

/// Machine 1 holds a request of machine 0, which has given it up, without its hearing so, and begun anew.
fn given_up_unheard(world: &mut World) -> QueryId {
    world.machines[1].handler = Handler::Hold;
    ask(world, b"given up");
    world.run(secs(1));
    let (to, id) = (world.key(1), saved(world, 0).asks[0].id);
    let code = world.machines[0].endpoint.find(&to, &id).unwrap();
    world.cut(0, Lost::Closed);
    world.machines[0].endpoint.cancel(code);
    world.settle();
    kill_and_restart(world, 0, 1);
    world.machines[1].waiting.pop_front().unwrap().0
}

/// The reply comes all the same, when the two meet for another reason.
fn reply_comes_late(world: &mut World, query: QueryId) {
    world.answer(1, query, Ok("too late".into()));
    world.machines[1].handler = Handler::Echo;
    (world.wants, world.keeps) = (StoreKind::Ram, false);
    world.request(0, 1, b"hello again");
    world.run(secs(60));
    assert!(world.machines[0].endpoint.counters().late_dropped > 0, "the late reply has come");
    (world.wants, world.keeps) = (StoreKind::Durable, true);
}

/// Proves X-19, LNG-3: a reply that comes when nothing is open closes its request, and not what the next requests of that
/// dialog will be: they would count as taken, and nobody would ever run them.
#[test]
fn a_reply_that_nobody_waits_for_closes_no_request_that_is_yet_to_come() {
    let mut world = world();
    let query = given_up_unheard(&mut world);
    reply_comes_late(&mut world, query);
    let token = ask(&mut world, b"new");
    world.run(secs(60));
    assert_eq!(world.executions(1, b"new"), 1);
    assert_eq!(world.reply_of(0, token).unwrap(), b"new"[..]);
}

/// Proves X-19, LNG-3: the same where this run does not know the dialog any more, and a later one goes on with it.
#[test]
fn a_dialog_that_was_left_to_the_disk_is_closed_as_far_as_it_was_replied_to() {
    let mut world = World::with(3, |config| config.limits.kept_dialogs_max = 1);
    world.give_disk(0);
    world.give_disk(1);
    world.request(0, 1, b"hello");
    world.run(secs(1));
    (world.wants, world.keeps) = (StoreKind::Durable, true);
    let query = given_up_unheard(&mut world);
    // For that of another peer there is room, and none for this one besides.
    let token = world.submit(0, 2, b"elsewhere", MessageClass::Request, None, secs(300));
    world.run(secs(1));
    assert!(world.reply_of(0, token).is_some());
    reply_comes_late(&mut world, query);
    world.kill(0);
    let to = world.key(1);
    world.machines[0].disk.as_mut().unwrap().saved.outboxes.retain(|one| one.peer == to);
    world.restart(0, 2);
    let token = ask(&mut world, b"new");
    world.run(secs(60));
    assert_eq!(world.executions(1, b"new"), 1);
    assert_eq!(world.reply_of(0, token).unwrap(), b"new"[..]);
}

/// Proves LNG-3: dialogs that have ended take no room from those that go on.
#[test]
fn what_is_open_finds_room_however_many_were_asked_before() {
    let mut world = World::with(6, |config| config.limits.peers_max = 2);
    world.give_disk(0);
    (world.wants, world.keeps) = (StoreKind::Durable, true);
    world.machines[5].handler = Handler::Hold;
    world.submit(0, 5, b"open", MessageClass::Request, None, secs(3_000));
    world.run(secs(1));
    for to in 1..5 {
        let token = world.submit(0, to, b"done", MessageClass::Request, None, secs(300));
        world.run(secs(30));
        assert!(world.reply_of(0, token).is_some());
    }
    assert_eq!(saved(&world, 0).asks.len(), 1);
    kill_and_restart(&mut world, 0, 1);
    world.run(secs(60));
    let (query, _) = world.machines[5].waiting.pop_front().unwrap();
    world.answer(5, query, Ok("at last".into()));
    world.run(secs(60));
    assert_eq!(world.reply_of(0, EARLIER).unwrap(), b"at last"[..]);
}

#[test]
fn what_was_given_up_is_not_asked_by_the_next_run() {
    let mut world = world();
    world.kill(1);
    let token = ask(&mut world, b"never mind");
    world.run(secs(1));
    let (to, id) = (world.key(1), saved(&world, 0).asks[0].id);
    let code = world.machines[0].endpoint.find(&to, &id).unwrap();
    world.machines[0].endpoint.cancel(code);
    world.settle();
    assert!(saved(&world, 0).asks.is_empty() && saved(&world, 0).outcomes.is_empty());
    kill_and_restart(&mut world, 0, 1);
    world.restart(1, 1);
    world.run(secs(60));
    assert_eq!((world.outcome(0, token), world.executions(1, b"never mind")), (None, 0));
}

/// Proves LNG-3: a run that ends in order tells the application so, and the next goes on.
#[test]
fn a_closing_node_leaves_it_to_the_next_run() {
    let mut world = world();
    world.machines[1].handler = Handler::Hold;
    let token = ask(&mut world, b"pay");
    world.run(secs(1));
    world.machines[0].endpoint.close();
    world.settle();
    assert_eq!(world.outcome(0, token), Some(&Outcome::Closing));
    kill_and_restart(&mut world, 0, 1);
    let (query, _) = world.machines[1].waiting.pop_front().unwrap();
    world.answer(1, query, Err(RefusedWhy::NotAllowed));
    world.run(secs(30));
    let refused = Outcome::Refused(RefusedWhy::NotAllowed);
    assert_eq!(world.outcome(0, EARLIER), Some(&refused));
}

/// Proves RTY-2, LNG-3, X-33, X-34: both sides killed again and again at odd moments, their disks stuck now
/// and then: each message has one outcome in the end, none ran twice, and each reply is of one that ran.
#[test]
fn each_of_many_ends_once_over_many_lives_of_both_sides() {
    let mut world = world();
    let mut bodies = Vec::new();
    for life in 1..=30_u8 {
        for number in 0..8_u8 {
            let body = [life, number];
            ask(&mut world, &body);
            bodies.push(body);
            world.run(millis(5));
        }
        let machine = usize::from(life % 3 == 0);
        world.stick(machine, life % 4 == 0);
        world.run(millis(u64::from(life) * 3));
        world.machines[machine].disk.as_mut().unwrap().is_stuck = false;
        kill_and_restart(&mut world, machine, life);
        world.run(secs(u64::from(life % 7)));
    }
    world.run(secs(400));
    for body in &bodies {
        assert!(world.executions(1, body) <= 1, "{body:?} ran twice");
    }
    assert!(saved(&world, 0).asks.is_empty(), "nothing is open");
    let ended = &saved(&world, 0).outcomes;
    let replies = ended.iter().filter(|one| matches!(one.outcome, Outcome::Reply { .. }));
    let replies = replies.count();
    let unknown = ended.iter().filter(|one| matches!(one.outcome, Outcome::Unknown { .. }));
    let unknown = unknown.count();
    let never_kept = bodies.len() - ended.len();
    assert_eq!(replies + unknown, ended.len(), "{ended:?}");
    assert!(replies > 150 && never_kept < 60, "{replies} {unknown} {never_kept}");
    let ran = bodies.iter().filter(|body| world.executions(1, *body) == 1).count();
    assert!(ran >= replies && ran <= replies + unknown);
}
