//! In which order a peer's addresses, its relays and the lookups have their turn, and what comes late.

use std::future::poll_fn;
use std::task::Poll;

use egtp_proto::SecretKey;

use super::*;
use crate::lookup::BoxFuture;

fn dialed(steps: &[Step]) -> Vec<(DialId, Strategy)> {
    let dial = |step: &Step| match step {
        Step::Dial(dial, _, strategy) => Some((*dial, strategy.clone())),
        Step::Failed(..) => None,
    };
    steps.iter().filter_map(dial).collect()
}

/// A search for a peer whose ticket names a relay before its own address, and what it dials first.
fn begun() -> (Reach, Vec<(DialId, Strategy)>, [Strategy; 2]) {
    let key = |seed| SecretKey::from_seed([seed; 32]).public();
    let relay = Strategy::Relay { relay: key(2), at: None };
    let own: Strategy = "tcp/192.0.2.1:7700".parse().unwrap();
    let mut reach = Reach::new(Vec::new(), 0);
    reach.hint(key(1), &[relay.clone(), own.clone()]);
    let steps = reach.search(IdentityId(0), key(1), |_| true);
    let first = dialed(&steps);
    (reach, first, [relay, own])
}

#[tokio::test(start_paused = true)]
async fn an_address_of_the_peer_itself_has_a_head_start_before_its_relay() {
    let (mut reach, first, [relay, own]) = begun();
    assert_eq!(first.iter().map(|(_, to)| to).collect::<Vec<_>>(), [&own]);
    let begun = tokio::time::Instant::now();
    let steps = next(&mut reach).await;
    assert_eq!(dialed(&steps).pop().map(|(_, to)| to), Some(relay));
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn when_the_peer_itself_cannot_be_called_its_relay_is_asked_at_once() {
    let (mut reach, first, [relay, _]) = begun();
    let failed = first.first().map(|(dial, _)| *dial).unwrap();
    let next = dialed(&reach.failed(failed, |_| true));
    assert_eq!(next.iter().map(|(_, to)| to).collect::<Vec<_>>(), [&relay]);
}

/// The next that has been waited for, if anything is.
async fn next(reach: &mut Reach) -> Vec<Step> {
    poll_fn(|context| match reach.poll(context, |_| true) {
        Some(steps) => Poll::Ready(steps),
        None => Poll::Pending,
    })
    .await
}

#[test]
fn a_dial_of_an_earlier_search_that_fails_late_does_not_end_the_present_one() {
    let key = SecretKey::from_seed([1; 32]).public();
    let at = |port: u16| Strategy::Tcp(format!("192.0.2.1:{port}").parse().unwrap());
    let mut reach = Reach::new(Vec::new(), 0);
    reach.hint(key, &[at(1), at(2)]);
    let search = |reach: &mut Reach| {
        let dialed = dialed(&reach.search(IdentityId(0), key, |_| true));
        [dialed[0].0, dialed[1].0]
    };
    let earlier = search(&mut reach);
    assert!(reach.opened(earlier[0]).is_some());
    reach.proved(&key, &at(1));
    let present = search(&mut reach);
    assert!(reach.failed(earlier[1], |_| true).is_empty());
    let steps = reach.failed(present[0], |_| true);
    assert!(steps.is_empty(), "the other one is still being dialed: {steps:?}");
    let steps = reach.failed(present[1], |_| true);
    assert!(matches!(&steps[..], [Step::Failed(..)]), "the control: {steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_head_start_of_an_earlier_search_is_not_that_of_the_present_one() {
    let (mut reach, first, [relay, own]) = begun();
    // What it waits for has begun.
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_millis(200)).await;
    assert!(reach.opened(first[0].0).is_some());
    let key = SecretKey::from_seed([1; 32]).public();
    reach.proved(&key, &own);
    let begun = tokio::time::Instant::now();
    assert_eq!(dialed(&reach.search(IdentityId(0), key, |_| true)).len(), 1);
    let mut steps = Vec::new();
    while steps.is_empty() {
        steps = next(&mut reach).await;
    }
    assert_eq!(dialed(&steps).pop().map(|(_, to)| to), Some(relay));
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
}

/// Knows nothing, and takes a second to say so.
#[derive(Debug)]
struct Slow;

impl Lookup for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn resolve(&self, _: PublicKey) -> BoxFuture<'_, Result<Option<Contact>, LookupError>> {
        let answer = tokio::time::Instant::now() + Duration::from_secs(1);
        Box::pin(async move {
            tokio::time::sleep_until(answer).await;
            Ok(None)
        })
    }

    fn publish(&self, _: Contact) -> BoxFuture<'_, Result<(), LookupError>> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_lookups_to_an_earlier_search_does_not_end_the_present_one() {
    let key = SecretKey::from_seed([1; 32]).public();
    let own: Strategy = "tcp/192.0.2.1:7700".parse().unwrap();
    let mut reach = Reach::new(vec![Arc::new(Slow)], 0);
    assert!(reach.search(IdentityId(0), key, |_| true).is_empty());
    // Meanwhile somebody says where the peer is.
    reach.hint(key, std::slice::from_ref(&own));
    let steps = dialed(&reach.search(IdentityId(0), key, |_| true));
    assert!(reach.opened(steps[0].0).is_some());
    reach.proved(&key, &own);
    // What it waits for has begun.
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_millis(500)).await;
    let begun = tokio::time::Instant::now();
    let steps = dialed(&reach.search(IdentityId(0), key, |_| true));
    assert!(reach.failed(steps[0].0, |_| true).is_empty(), "the lookups are asked");
    let mut steps = Vec::new();
    while steps.is_empty() {
        steps = next(&mut reach).await;
    }
    assert!(matches!(&steps[..], [Step::Failed(..)]), "{steps:?}");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// What is dialed next, as time passes.
async fn next_dialed(reach: &mut Reach) -> Vec<(DialId, Strategy)> {
    let mut steps = Vec::new();
    while steps.is_empty() {
        steps = next(reach).await;
    }
    dialed(&steps)
}

#[tokio::test(start_paused = true)]
async fn what_was_opened_and_proved_nothing_is_tried_when_all_else_has_had_its_time() {
    let (mut reach, first, [relay, own]) = begun();
    let key = SecretKey::from_seed([1; 32]).public();
    assert!(reach.opened(first[0].0).is_some());
    // The address has accepted a connection, and that was all.
    let steps = dialed(&reach.search(IdentityId(0), key, |_| true));
    assert_eq!(steps.iter().map(|(_, to)| to).collect::<Vec<_>>(), [&relay]);
    let begun = tokio::time::Instant::now();
    let late = next_dialed(&mut reach).await;
    assert_eq!(late.iter().map(|(_, to)| to).collect::<Vec<_>>(), [&own]);
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    // The relay was slower, and nobody has proved anything on the address: next time both are in doubt, and the one
    // that was tried least lately comes first.
    assert!(reach.opened(steps[0].0).is_some());
    let steps = dialed(&reach.search(IdentityId(0), key, |_| true));
    assert_eq!(steps.iter().map(|(_, to)| to).collect::<Vec<_>>(), [&own]);
    let second = dialed(&reach.failed(steps[0].0, |_| true));
    assert_eq!(second.iter().map(|(_, to)| to).collect::<Vec<_>>(), [&relay], "at once");
    assert!(reach.opened(second[0].0).is_some());
    reach.proved(&key, &relay);
    let steps = dialed(&reach.search(IdentityId(0), key, |_| true));
    assert_eq!(steps.iter().map(|(_, to)| to).collect::<Vec<_>>(), [&relay], "forgiven");
}

#[tokio::test(start_paused = true)]
async fn the_lookups_are_asked_before_what_led_nowhere_last_time() {
    let (mut reach, first, [relay, own]) = begun();
    let key = SecretKey::from_seed([1; 32]).public();
    assert!(reach.opened(first[0].0).is_some());
    reach.hint(key, std::slice::from_ref(&own));
    reach.lookups = vec![Arc::new(Slow)];
    assert!(reach.search(IdentityId(0), key, |_| true).is_empty());
    let begun = tokio::time::Instant::now();
    // They know nothing better.
    let steps = next_dialed(&mut reach).await;
    assert_eq!(steps.iter().map(|(_, to)| to).collect::<Vec<_>>(), [&own]);
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    // Somebody does, while it is dialed.
    reach.hint(key, &[own, relay.clone()]);
    let steps = dialed(&reach.failed(steps[0].0, |_| true));
    assert_eq!(steps.iter().map(|(_, to)| to).collect::<Vec<_>>(), [&relay]);
}
