//! How letters that a relay has kept come to their recipient: when it is back, as soon as one is left, and after all that
//! can go wrong. By real nodes.

mod place;

use std::time::Duration;

use bytes::Bytes;
use egtp::mailbox::DepositRefused;
use egtp::path::{Attempts, Became};
use egtp::testing::{Network, spawn};
use egtp_services::mailbox::{Collector, Incoming, Limits, Mail, Taken};
use place::{Place, collect, emptied, heard, kept, refused, relay_key, somebody};
use tokio::sync::mpsc::unbounded_channel;

/// Proves P-14: what it has said to keep outlives the relay's process.
#[tokio::test]
async fn a_letter_waits_for_somebody_who_is_away_also_while_the_relay_is_started_again() {
    let place = Place::new("away", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    for letter in [&b"first"[..], b"second"] {
        assert_eq!(kept(&alice, &relay, &bob, letter).await, Limits::default().kept);
    }
    relay.close().await;
    let relay = place.start().await;
    kept(&alice, &relay, &bob, b"third").await;
    let (_mail, _collector, mut told) = collect(&bob, &relay);
    for letter in ["first", "second", "third"] {
        let incoming = heard(&mut told).await.unwrap();
        assert_eq!((incoming.sender, incoming.bytes), (alice.key(), Bytes::from(letter)));
        assert_eq!(incoming.relay, relay.key());
    }
}

/// Proves P-18.
#[tokio::test]
async fn a_letter_comes_as_soon_as_it_is_left_to_whoever_is_there() {
    let place = Place::new("push", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    kept(&alice, &relay, &bob, b"before").await;
    let (_mail, _collector, mut told) = collect(&bob, &relay);
    assert_eq!(heard(&mut told).await.unwrap().bytes, "before");
    // Until it has been acknowledged the collector has not finished its first look, after which the next one is minutes
    // away.
    emptied(&bob, &relay).await;
    for letter in ["one", "two", "three"] {
        kept(&alice, &relay, &bob, letter.as_bytes()).await;
        assert_eq!(heard(&mut told).await.unwrap().bytes, letter);
    }
}

/// Proves P-19: what stays hides nothing: a collector that cannot make use of the oldest letters gets those behind them.
#[tokio::test]
async fn a_letter_that_its_taker_leaves_for_later_comes_again_and_holds_up_no_other() {
    let place = Place::new("later", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    // More than come at a time.
    for number in 0..300_u16 {
        let from = if number % 2 == 0 { &alice } else { &bob };
        kept(from, &relay, &bob, &number.to_le_bytes()).await;
    }
    let (tell, mut told) = unbounded_channel();
    let mut looks = 0;
    let take = move |letter: Incoming| {
        let number = u16::from_le_bytes(letter.bytes[..].try_into().unwrap());
        looks += 1;
        tell.send(number).unwrap();
        // All but the last at the first look.
        let is_later = looks <= 300 && number < 299;
        async move { if is_later { Taken::Later } else { Taken::Done } }
    };
    let poll = Duration::from_millis(1);
    let ticket = relay.ticket();
    let _collector = Collector::start_polling(bob.clone(), ticket, &Mail::new(), poll, take);
    for number in (0..300).chain(0..299) {
        assert_eq!(heard(&mut told).await, Some(number));
    }
    emptied(&bob, &relay).await;
}

/// It goes on when the relay is there again, without anybody doing anything.
#[tokio::test]
async fn a_collector_outlives_its_relay_and_ends_with_its_node() {
    let place = Place::new("outlives", Limits::default());
    let network = Network::new(1);
    let start = || {
        let (builder, announcer) = place.built_on(network.node_with_key(relay_key()));
        let relay = spawn(builder).unwrap();
        tokio::spawn(announcer.run(relay.clone()));
        relay
    };
    let relay = start();
    let ticket = relay.ticket();
    relay.close().await;
    let (alice, attempts) = (spawn(network.node()).unwrap(), Attempts::default());
    let bob = spawn(network.node().attempts(attempts.clone())).unwrap();
    let (tell, mut told) = unbounded_channel();
    let take = move |letter: Incoming| {
        tell.send(letter.bytes).unwrap();
        async { Taken::Done }
    };
    let _collector = Collector::start(bob.clone(), ticket.clone(), &Mail::new(), take);
    while !attempts.of(&ticket.key).iter().any(|one| matches!(one.became, Became::Failed(_))) {
        tokio::task::yield_now().await;
    }
    let relay = start();
    kept(&alice, &relay, &bob, b"letter").await;
    assert_eq!(heard(&mut told).await.unwrap(), "letter");
    bob.close().await;
    assert_eq!(heard(&mut told).await, None);
    assert!(told.is_closed(), "whoever took letters is gone");
}

/// Proves P-19: a relay whose node sends less at a time than a collector would take gives what it can send.
#[tokio::test]
async fn letters_come_also_from_a_relay_that_sends_little_at_a_time() {
    let place = Place::new("little", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let mut limits = egtp::Limits::default();
    limits.to_client_bytes_max = 256 * 1024;
    let relay = place.start_with(|builder| builder.limits(limits)).await;
    for number in 0..6 {
        kept(&alice, &relay, &bob, &vec![number; 100_000]).await;
    }
    let (_mail, _collector, mut told) = collect(&bob, &relay);
    for number in 0..6 {
        assert_eq!(heard(&mut told).await.unwrap().bytes, vec![number; 100_000]);
    }
}

/// The longest letter that a relay takes by default is one that it can give out by default.
#[tokio::test]
async fn the_longest_letter_that_is_kept_can_be_fetched() {
    let place = Place::new("longest", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    let limit = Limits::default().letter_bytes_max;
    let letter = vec![7; usize::try_from(limit).unwrap() + 1];
    assert_eq!(refused(&alice, &relay, &bob, &letter).await, DepositRefused::TooLarge { limit });
    kept(&alice, &relay, &bob, &letter[1..]).await;
    let (_mail, _collector, mut told) = collect(&bob, &relay);
    assert_eq!(heard(&mut told).await.unwrap().bytes, letter[1..]);
}
