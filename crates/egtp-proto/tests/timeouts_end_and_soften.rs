//! Hard timeouts end a request and free everything; soft ones are only news.

mod common;

use common::{Handler, World, millis, secs};
use egtp_proto::{Event, MessageClass, Outcome, Taken};

/// Proves TMO-1, TMO-2, MSG-10: a handler that never answers costs the asker its hard timeout, then
/// nothing of the request is left, and a late answer has no effect.
/// Proves X-25.
#[test]
fn a_hard_timeout_frees_everything_and_a_late_answer_has_no_effect() {
    let mut world = World::new(2);
    world.machines[1].handler = Handler::Hold;
    let token = world.submit(0, 1, b"slow", MessageClass::Request, None, secs(3));
    world.run(millis(2900));
    assert_eq!(world.outcome(0, token), None);
    let (query, body) = world.machines[1].waiting.pop_front().unwrap();
    // Answered at the last moment: the answer is still on its way when the timeout comes.
    world.delay = millis(500);
    world.answer(1, query, Ok(body));
    world.run(secs(5));
    assert_eq!(world.outcome(0, token), Some(&Outcome::TimedOut { taken: Taken::Yes }));
    let sizes = world.machines[0].endpoint.sizes();
    assert_eq!(sizes.open, 0);
    assert!(world.machines[0].endpoint.counters().late_dropped > 0);
    assert_eq!(world.machines[1].endpoint.sizes().queries, 0, "the other side forgets it too");
}

/// Proves TMO-1: the answering side frees the query when the asker's patience is over, and tells the
/// handler.
/// Proves X-20.
#[test]
fn the_receiver_forgets_a_query_when_its_time_is_over() {
    let mut world = World::new(2);
    world.machines[1].handler = Handler::Hold;
    world.submit(0, 1, b"slow", MessageClass::Request, None, secs(3));
    world.run(secs(1));
    assert_eq!(world.machines[1].endpoint.sizes().queries, 1);
    world.cut(0, egtp_proto::Lost::Broken);
    world.machines[0].up = false;
    world.run(secs(4));
    assert_eq!(world.machines[1].endpoint.sizes().queries, 0);
    let closed = |event: &Event| matches!(event, Event::QueryClosed { .. });
    assert_eq!(world.machines[1].events.iter().filter(|event| closed(event)).count(), 1);
}

/// Proves TMO-3, TMO-4, B-10: the soft timeout is reported once and harms nothing.
#[test]
fn late_reply_after_soft_timeout_is_still_delivered() {
    let mut world = World::new(2);
    world.machines[1].handler = Handler::Hold;
    let token = world.submit(0, 1, b"hi", MessageClass::Request, Some(secs(1)), secs(10));
    world.run(secs(5));
    let soft = |event: &&Event| matches!(event, Event::Soft { .. });
    assert_eq!(world.machines[0].events.iter().filter(soft).count(), 1);
    assert_eq!(world.outcome(0, token), None);
    let (query, body) = world.machines[1].waiting.pop_front().unwrap();
    world.answer(1, query, Ok(body));
    world.run(secs(1));
    assert_eq!(world.reply_of(0, token).unwrap(), "hi");
}

/// Proves B-9: one request that times out disturbs none of 99 others to the same peer.
#[test]
fn a_timeout_does_not_disturb_other_requests() {
    let mut world = World::new(2);
    world.machines[1].handler = Handler::Hold;
    let slow = world.submit(0, 1, b"slow", MessageClass::Request, None, secs(2));
    let others: Vec<u64> = (0..99_u8).map(|n| world.request(0, 1, &[n])).collect();
    let handshakes = |world: &World| world.machines[0].endpoint.counters().handshakes_finished;
    world.run(secs(1));
    let before = handshakes(&world);
    world.run(secs(2));
    assert!(matches!(world.outcome(0, slow), Some(Outcome::TimedOut { .. })));
    while let Some((query, body)) = world.machines[1].waiting.pop_front() {
        world.answer(1, query, Ok(body));
    }
    world.run(secs(1));
    for token in others {
        assert!(world.reply_of(0, token).is_some());
    }
    assert_eq!(handshakes(&world), before, "no session was given up");
}

/// Proves MSG-11: what never left ends with `taken: no`.
#[test]
fn a_request_that_never_left_was_certainly_not_taken() {
    let mut world = World::new(2);
    // Nothing gets through, and so nothing but a knock is ever sent.
    world.tamper = |_| false;
    let token = world.submit(0, 1, b"lost", MessageClass::Request, None, secs(3));
    world.run(secs(4));
    assert_eq!(world.outcome(0, token), Some(&Outcome::TimedOut { taken: Taken::No }));
}

/// Proves MSG-11: what left and was never answered for may have been taken.
#[test]
fn a_request_that_left_without_an_answer_may_have_been_taken() {
    let mut world = World::new(2);
    let first = world.request(0, 1, b"first");
    world.run(secs(1));
    assert!(world.reply_of(0, first).is_some());
    world.tamper = |flight| flight.from == 0;
    let token = world.submit(0, 1, b"mute", MessageClass::Request, None, secs(4));
    world.run(secs(10));
    assert_eq!(world.outcome(0, token), Some(&Outcome::TimedOut { taken: Taken::Unknown }));
    assert_eq!(world.executions(1, b"mute"), 1);
}

/// Proves TMO-5: after the soft timeout another peer is asked; both answers arrive.
#[test]
fn an_impatient_asker_asks_another_and_gets_both_answers() {
    let mut world = World::new(3);
    world.machines[1].handler = Handler::Hold;
    let first = world.submit(0, 1, b"who?", MessageClass::Request, Some(secs(1)), secs(10));
    world.run(millis(1100));
    assert!(world.machines[0].events.iter().any(|event| matches!(event, Event::Soft { .. })));
    let second = world.request(0, 2, b"who?");
    world.run(secs(1));
    assert!(world.reply_of(0, second).is_some());
    let (query, body) = world.machines[1].waiting.pop_front().unwrap();
    world.answer(1, query, Ok(body));
    world.run(secs(1));
    assert!(world.reply_of(0, first).is_some());
}

/// Proves SES-14, B-29: wall clocks a year off, either way and jumping, change nothing.
/// Proves X-27.
#[test]
fn wrong_wall_clocks_do_not_stop_communication() {
    let year = secs(365 * 86_400);
    let mut world = World::new(2);
    world.machines[0].wall_offset = year;
    let first = world.request(0, 1, b"first");
    world.run(secs(1));
    assert!(world.reply_of(0, first).is_some());
    world.machines[0].wall_offset = secs(0);
    world.machines[1].wall_offset = year;
    let second = world.request(0, 1, b"second");
    world.run(secs(1));
    assert!(world.reply_of(0, second).is_some());
    world.kill(1);
    world.run(secs(10));
    world.restart(1, 1);
    world.machines[1].wall_offset = secs(0);
    let third = world.request(0, 1, b"third");
    assert!(world.run_until(secs(10), |world| world.reply_of(0, third).is_some()));
}

/// Proves EVT-9: a handshake that has lost its path waits for another one, and not in a loop.
#[test]
fn a_handshake_without_a_path_wakes_nobody_up() {
    let mut world = World::new(2);
    world.delay = millis(300);
    let token = world.request(0, 1, b"lost");
    world.run(millis(100));
    world.kill(1);
    let before = world.steps;
    world.run(secs(7));
    let steps = world.steps - before;
    assert!(steps < 200, "{steps} wake-ups in seven seconds; {:?}", world.outcome(0, token));
}
