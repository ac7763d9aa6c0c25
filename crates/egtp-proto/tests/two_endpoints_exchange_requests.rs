//! The plain case, over a link without faults.

mod common;

use common::{World, secs};
use egtp_proto::{MessageClass, Outcome};

/// Proves MSG-2, MSG-4, MSG-5.
/// Proves X-22.
#[test]
fn a_request_to_a_key_gets_its_reply() {
    let mut world = World::new(2);
    let token = world.request(0, 1, b"hello");
    world.run(secs(2));
    assert_eq!(world.reply_of(0, token).unwrap(), "hello");
    assert_eq!(world.executions(1, b"hello"), 1);
    let sizes = world.machines[1].endpoint.sizes();
    assert_eq!(sizes.queries, 0, "the reply was acknowledged and forgotten");
}

#[test]
fn a_send_is_accepted() {
    let mut world = World::new(2);
    let token = world.submit(0, 1, b"note", MessageClass::Send, None, secs(5));
    world.run(secs(2));
    assert!(matches!(world.outcome(0, token), Some(Outcome::Accepted { .. })));
    assert_eq!(world.executions(1, b"note"), 1);
}

#[test]
fn a_thousand_requests_at_once_share_packets() {
    let mut world = World::new(2);
    let first = world.request(0, 1, b"first");
    world.run(secs(1));
    assert!(world.reply_of(0, first).is_some());
    let before = world.machines[0].endpoint.counters().packets_sent;
    let tokens: Vec<u64> = (0..1000_u32)
        .map(|n| {
            let token = world.next_token;
            world.next_token += 1;
            let submission = egtp_proto::Submission {
                token,
                identity: egtp_proto::IdentityId(0),
                to: world.key(1),
                class: MessageClass::Request,
                kind: egtp_proto::Kind::new("test/1").unwrap(),
                body: n.to_le_bytes().to_vec().into(),
                room: None,
                soft: None,
                hard: secs(10),
                hard_max: std::time::Duration::ZERO,
                wants: egtp_proto::StoreKind::Ram,
                keep: None,
                post_quantum: false,
            };
            let now = world.at(0);
            world.machines[0].endpoint.submit(now, submission).unwrap();
            token
        })
        .collect();
    world.run(secs(2));
    for (n, token) in tokens.iter().enumerate() {
        assert_eq!(world.reply_of(0, *token).unwrap(), u32::try_from(n).unwrap().to_le_bytes()[..]);
    }
    let packets = world.machines[0].endpoint.counters().packets_sent - before;
    assert!(packets < 20, "{packets} packets for a thousand requests");
}

/// Proves X-23.
#[test]
fn a_large_message_and_a_large_reply_arrive_whole() {
    let mut world = World::new(2);
    let body: Vec<u8> = (0..1_500_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let token = world.request(0, 1, &body);
    let small = world.request(0, 1, b"small");
    world.run(secs(5));
    assert_eq!(world.reply_of(0, token).unwrap(), body);
    assert_eq!(world.reply_of(0, small).unwrap(), "small");
    assert_eq!(world.machines[1].executed[0], "small", "the small one overtakes");
}
