//! What a client does with a relay that answers, is slow, forgets it, refuses it or is silent.

use super::*;

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn acts(choice: &mut Choice) -> Vec<Act> {
    std::iter::from_fn(|| choice.next_act()).collect()
}

fn hears(choice: &mut Choice, now: Duration, heard: Heard) -> Vec<Act> {
    choice.hear(heard, now);
    acts(choice)
}

fn ticks(choice: &mut Choice, now: Duration) -> Vec<Act> {
    choice.tick(now);
    acts(choice)
}

/// One that is registered at the first of so many relays.
fn settled(relays: usize) -> Choice {
    let mut choice = Choice::new(relays, Duration::ZERO);
    assert_eq!(acts(&mut choice), [Act::Come(0), Act::Register]);
    assert_eq!(hears(&mut choice, Duration::ZERO, Heard::Taken), [Act::Look]);
    assert_eq!(choice.registered_at(), None);
    assert_eq!(hears(&mut choice, Duration::ZERO, Heard::Registered(true)), [Act::Settle]);
    assert_eq!(choice.registered_at(), Some(0));
    choice
}

#[test]
fn a_registration_is_renewed_in_time_and_the_relay_looked_at_in_between() {
    let mut choice = settled(2);
    assert_eq!(choice.wakes_at(), Some(PROBE_EVERY));
    assert_eq!(ticks(&mut choice, seconds(24)), []);
    assert_eq!(ticks(&mut choice, seconds(25)), [Act::Look]);
    assert_eq!(choice.wakes_at(), None, "the question has an end of its own");
    assert_eq!(hears(&mut choice, seconds(26), Heard::Registered(true)), []);
    assert_eq!(choice.wakes_at(), Some(RENEWAL));
    assert_eq!(ticks(&mut choice, RENEWAL), [Act::Register]);
    assert_eq!(choice.registered_at(), Some(0), "also while it asks for more time");
    assert_eq!(hears(&mut choice, seconds(46), Heard::Taken), [Act::Look]);
    assert_eq!(hears(&mut choice, seconds(46), Heard::Registered(true)), [Act::Settle]);
    assert_eq!(choice.wakes_at(), Some(seconds(46) + PROBE_EVERY));
}

/// Proves B-18: slowness is no reason, up to ten seconds, and nor is a relay that has forgotten it.
#[test]
fn a_relay_that_is_slow_or_has_forgotten_the_node_is_not_left() {
    let mut choice = settled(2);
    // It enters late what it has taken.
    assert_eq!(ticks(&mut choice, RENEWAL), [Act::Register]);
    assert_eq!(hears(&mut choice, seconds(54), Heard::Taken), [Act::Look]);
    assert_eq!(hears(&mut choice, seconds(55), Heard::Registered(false)), []);
    assert_eq!(ticks(&mut choice, seconds(55) + LOOK_EVERY), [Act::Look]);
    // Later than that, or it has entered it and forgotten it at once.
    assert_eq!(hears(&mut choice, seconds(57), Heard::Registered(false)), [Act::Register]);
    assert_eq!(hears(&mut choice, seconds(58), Heard::Taken), [Act::Look]);
    assert_eq!(hears(&mut choice, seconds(63), Heard::Registered(true)), [Act::Settle]);
    // It has forgotten it, and the connection breaks.
    assert_eq!(hears(&mut choice, seconds(70), Heard::Disconnected), [Act::Look]);
    assert_eq!(hears(&mut choice, seconds(70), Heard::Disconnected), [], "one question at a time");
    assert_eq!(hears(&mut choice, seconds(79), Heard::Registered(false)), [Act::Register]);
    assert_eq!(hears(&mut choice, seconds(80), Heard::Taken), [Act::Look]);
    assert_eq!(hears(&mut choice, seconds(80), Heard::Registered(true)), [Act::Settle]);
    // Another running copy of this node has registered.
    assert_eq!(hears(&mut choice, seconds(81), Heard::Ended), [Act::Register]);
    assert_eq!(choice.registered_at(), Some(0));
}

#[test]
fn what_the_relay_says_of_the_node_comes_before_the_end_of_the_registration() {
    let failed = Heard::Failed(Asked::Register);
    for (heard, known, then) in [
        (Heard::Ended, true, vec![Act::Register]),
        (failed, false, vec![Act::Register]),
        (failed, true, vec![Act::Leave(0), Act::Come(1), Act::Register]),
    ] {
        let mut choice = settled(2);
        assert_eq!(hears(&mut choice, seconds(1), Heard::Disconnected), [Act::Look]);
        assert_eq!(hears(&mut choice, seconds(2), heard), []);
        assert_eq!(hears(&mut choice, seconds(3), Heard::Registered(known)), then);
    }
}

#[test]
fn a_relay_that_does_not_answer_or_refuses_is_left_for_the_next_one() {
    let left = [Act::Leave(0), Act::Come(1), Act::Register];
    // It does not take the registration.
    let mut choice = Choice::new(2, Duration::ZERO);
    acts(&mut choice);
    assert_eq!(choice.wakes_at(), Some(PATIENCE));
    assert_eq!(ticks(&mut choice, PATIENCE), left);
    // It refuses it.
    let mut choice = Choice::new(2, Duration::ZERO);
    acts(&mut choice);
    assert_eq!(hears(&mut choice, seconds(1), Heard::Failed(Asked::Register)), left);
    // It never enters it.
    let mut choice = Choice::new(2, Duration::ZERO);
    acts(&mut choice);
    assert_eq!(hears(&mut choice, seconds(1), Heard::Taken), [Act::Look]);
    assert_eq!(hears(&mut choice, seconds(5), Heard::Registered(false)), [Act::Register]);
    assert_eq!(hears(&mut choice, seconds(6), Heard::Taken), [Act::Look]);
    assert_eq!(hears(&mut choice, seconds(7), Heard::Registered(false)), []);
    assert_eq!(ticks(&mut choice, seconds(11)), left, "asked again, and given no more time");
    // It is silent later.
    let mut choice = settled(2);
    assert_eq!(ticks(&mut choice, PROBE_EVERY), [Act::Look]);
    assert_eq!(hears(&mut choice, seconds(35), Heard::Failed(Asked::Look)), left);
    assert_eq!(choice.registered_at(), None);
}

#[test]
fn where_none_answers_it_rests_longer_and_longer_up_to_a_bound() {
    let mut choice = Choice::new(2, Duration::ZERO);
    let refused = Heard::Failed(Asked::Register);
    let mut now = Duration::ZERO;
    for pause in [500, 1_000, 2_000, 3_000, 3_000].map(Duration::from_millis) {
        assert_eq!(acts(&mut choice), [Act::Come(0), Act::Register]);
        assert_eq!(hears(&mut choice, now, refused), [Act::Leave(0), Act::Come(1), Act::Register]);
        assert_eq!(hears(&mut choice, now, refused), [Act::Leave(1)]);
        assert_eq!(choice.wakes_at(), Some(now + pause));
        now += pause;
        choice.tick(now);
    }
}

#[test]
fn without_any_relay_it_rests_and_asks_nothing() {
    let mut choice = Choice::new(0, Duration::ZERO);
    for _ in 0..10 {
        assert_eq!(acts(&mut choice), []);
        let wake = choice.wakes_at().unwrap();
        choice.tick(wake);
    }
}
