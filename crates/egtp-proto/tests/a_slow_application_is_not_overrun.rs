//! What the application has in hand counts towards its sender's share, also when nobody waits for a
//! reply: a peer cannot fill the queues of a slow handler without limit.

mod common;

use common::{Handler, World, secs};
use egtp_proto::{MessageClass, Outcome, RefusedWhy};

/// Messages of one peer that the application may have in hand.
const SHARE: usize = 4;

/// Machine 1 keeps what it is given until the test gives it back.
fn world() -> World {
    let mut world = World::with(2, |config| config.limits.queries_per_peer = SHARE);
    world.machines[1].handler = Handler::Hold;
    world
}

fn busy(outcome: Option<&Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Refused(RefusedWhy::Busy { .. })))
}

/// Proves MSG-9, PRO-5.
#[test]
fn a_send_beyond_the_share_is_refused_and_never_accepted_in_vain() {
    let mut world = world();
    let send = |world: &mut World, body: u8| {
        let token = world.submit(0, 1, &[body], MessageClass::Send, None, secs(30));
        world.run(secs(1));
        token
    };
    for body in 0..SHARE {
        let token = send(&mut world, u8::try_from(body).unwrap());
        assert!(matches!(world.outcome(0, token), Some(Outcome::Accepted { .. })), "{body}");
    }
    let token = send(&mut world, 100);
    assert!(busy(world.outcome(0, token)), "{:?}", world.outcome(0, token));
    assert_eq!(world.executions(1, &[100]), 0);
    assert_eq!(world.machines[1].endpoint.sizes().held, SHARE);

    let (query, _) = world.machines[1].waiting.pop_front().unwrap();
    world.machines[1].endpoint.ignore(query);
    let token = send(&mut world, 101);
    assert!(matches!(world.outcome(0, token), Some(Outcome::Accepted { .. })));
    for (query, _) in std::mem::take(&mut world.machines[1].waiting) {
        world.machines[1].endpoint.ignore(query);
    }
    assert_eq!(world.machines[1].endpoint.sizes().held, 0, "given back");
}

/// Proves MSG-9, MSG-10.
#[test]
fn requests_that_their_asker_gave_up_count_until_the_handler_lets_go() {
    let mut world = world();
    for body in 0..SHARE {
        let body = [u8::try_from(body).unwrap()];
        world.submit(0, 1, &body, MessageClass::Request, None, secs(1));
    }
    world.run(secs(3));
    let sizes = world.machines[1].endpoint.sizes();
    assert_eq!((sizes.queries, sizes.held), (0, SHARE), "nobody waits, and the handler works on");
    let token = world.request(0, 1, &[100]);
    world.run(secs(1));
    assert!(busy(world.outcome(0, token)), "{:?}", world.outcome(0, token));

    // Whether it replies, refuses or stays silent makes no difference.
    let held: Vec<_> = world.machines[1].waiting.drain(..).collect();
    world.answer(1, held[0].0, Ok(held[0].1.clone()));
    world.answer(1, held[1].0, Err(RefusedWhy::Failed));
    world.machines[1].endpoint.ignore(held[2].0);
    world.machines[1].endpoint.ignore(held[2].0);
    assert_eq!(world.machines[1].endpoint.sizes().held, 1, "each is given back once");
    world.machines[1].handler = Handler::Echo;
    let token = world.request(0, 1, &[101]);
    world.run(secs(1));
    assert_eq!(world.reply_of(0, token).unwrap(), [101][..]);
}
