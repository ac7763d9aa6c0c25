//! A request that its receiver had taken when it died is known to be unknown soon, not at its hard
//! timeout: its asker finds out by itself that a new life has begun.

mod common;

use common::{Handler, World, secs};
use egtp_proto::{MessageClass, Outcome, StoreKind};

/// Machine 0 cannot be called, so that only itself can find out; machine 1 takes a request and dies.
fn outcome_after_death(wants: StoreKind) -> Option<Outcome> {
    let mut world = World::new(2);
    world.callable[0] = false;
    if wants == StoreKind::Durable {
        world.give_disk(1);
    }
    world.machines[1].handler = Handler::Hold;
    world.wants = wants;
    let token = world.submit(0, 1, b"pay", MessageClass::Request, None, secs(600));
    world.run(secs(1));
    assert_eq!(world.executions(1, b"pay"), 1);
    world.kill(1);
    world.run(secs(2));
    world.restart(1, 1);
    world.run(secs(25));
    assert_eq!(world.executions(1, b"pay"), 1, "not run again");
    world.outcome(0, token).cloned()
}

/// Proves RTY-3, SES-9.
#[test]
fn a_request_taken_by_a_life_that_is_gone_is_unknown_soon() {
    let outcome = outcome_after_death(StoreKind::Ram);
    assert!(matches!(outcome, Some(Outcome::Unknown { .. })), "{outcome:?}");
}

/// Proves RTY-2, X-32.
#[test]
fn a_durable_request_that_was_with_its_handler_is_unknown_soon() {
    let outcome = outcome_after_death(StoreKind::Durable);
    assert!(matches!(outcome, Some(Outcome::Unknown { .. })), "{outcome:?}");
}
