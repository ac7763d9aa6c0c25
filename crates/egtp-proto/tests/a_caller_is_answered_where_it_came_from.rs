//! Who cannot be called is reached where it came from, also when nothing else is left of that.

mod common;

use common::{World, secs};

/// Proves S-21, SES-2: the session of a caller is displaced before it is confirmed, so its word that the reply has
/// arrived says nothing to the answerer. It is asked again on its own connection, because it has no address.
#[test]
fn a_caller_whose_session_was_displaced_is_asked_on_its_own_connection() {
    let mut world = World::with(3, |config| config.limits.provisional_max = 1);
    world.callable = vec![false, true, false];
    let tokens = [world.request(0, 1, b"first"), world.request(2, 1, b"second")];
    // For ten seconds the two sessions count as crossed, and the old one may be chosen.
    world.run(secs(25));
    for (machine, token) in [0, 2].into_iter().zip(tokens) {
        assert!(world.reply_of(machine, token).is_some(), "{:?}", world.outcome(machine, token));
    }
    assert_eq!(world.machines[1].executed.len(), 2);
    let sizes = world.machines[1].endpoint.sizes();
    assert_eq!(sizes.queries, 0, "both are known to have their replies");
}
