//! What a relay keeps for somebody who is away: for how long, how much, for whom, and what it deletes. By real nodes.

mod place;

use std::time::Duration;

use egtp::mailbox::{
    ACK, Ack, DepositRefused, GET, HELD, Held, LARGEST, Letters, Mailbox, Measure, PUT,
    decode_mailboxes, encode_count,
};
use egtp::{Allowed, Node, Refusal, RequestError, ServeError, StartError};
use egtp_services::mailbox::{DepositError, Limits, Mailboxes, deposit};
use place::{
    Place, acknowledge, acks_of, ask, bytes_of, get, held, kept, operator, refused, somebody,
};

/// Proves P-14: what it has said to keep is on its disk when it says so.
#[tokio::test]
async fn what_a_relay_has_said_to_keep_is_there_after_it_was_killed() {
    let place = Place::new("killed", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    for count in 1..4_u8 {
        kept(&alice, &relay, &bob, &[count]).await;
        let place = place.as_if_killed(&format!("killed-{count}"));
        let again = place.start().await;
        // Another one who is Bob, and has not met the relay before it was killed.
        let bob = somebody(4).await;
        let letters = get(&bob, &again).await;
        assert_eq!(letters.letters.len(), usize::from(count));
        assert_eq!(letters.letters.last().unwrap().bytes, [count][..]);
    }
}

/// Proves P-15: what is taken care of is deleted, and nothing else ever is.
#[tokio::test]
async fn an_acknowledgement_deletes_the_letter_that_it_names_and_no_other() {
    let place = Place::new("ack", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    for letter in [&b"first"[..], b"second", b"third"] {
        kept(&alice, &relay, &bob, letter).await;
    }
    let all = get(&bob, &relay).await;
    let [first, second, third] = acks_of(&all)[..] else { panic!("{all:?}") };
    let wrong = [
        Ack { name: second.name, ..first },
        Ack { position: third.position + 1, ..third },
        Ack { position: 0, ..first },
    ];
    assert_eq!(acknowledge(&bob, &relay, &wrong).await, 0);
    assert_eq!(get(&bob, &relay).await, all);
    assert_eq!(acknowledge(&bob, &relay, &[second, second]).await, 1);
    assert_eq!(bytes_of(&get(&bob, &relay).await), [&b"first"[..], b"third"]);
    assert_eq!(acknowledge(&bob, &relay, &[first, third]).await, 2);
    // The positions are used again, by other letters.
    kept(&alice, &relay, &bob, b"fourth").await;
    let fourth = get(&bob, &relay).await;
    assert_eq!(fourth.letters[0].position, first.position);
    assert_eq!(acknowledge(&bob, &relay, &[first, second, third]).await, 0);
    assert_eq!(get(&bob, &relay).await, fourth);
}

/// Proves P-15.
#[tokio::test]
async fn only_the_recipient_can_fetch_a_letter_or_have_it_deleted() {
    let place = Place::new("recipient", Limits::default());
    let (alice, bob, mallory) = (somebody(3).await, somebody(4).await, somebody(5).await);
    let relay = place.start().await;
    kept(&alice, &relay, &bob, b"letter").await;
    let acks = acks_of(&get(&bob, &relay).await);
    for other in [&mallory, &alice] {
        assert_eq!(get(other, &relay).await, Letters::default());
        assert_eq!(acknowledge(other, &relay, &acks).await, 0);
        assert_eq!(held(other, &relay).await.letters, 0);
    }
    assert_eq!(bytes_of(&get(&bob, &relay).await), [b"letter"]);
    let asked = ask(&mallory, &relay, LARGEST, encode_count(9).to_vec()).await;
    assert_eq!(asked, Err(RequestError::Refused(Refusal::NotAllowed)));
}

/// Proves P-16: the same bytes again are one letter, until they are taken care of.
#[tokio::test]
async fn a_letter_that_is_left_twice_is_kept_once() {
    let place = Place::new("twice", Limits::default());
    let (alice, bob, carol) = (somebody(3).await, somebody(4).await, somebody(5).await);
    let relay = place.start().await;
    kept(&alice, &relay, &bob, b"letter").await;
    place.clock.shift_wall(60);
    let again = kept(&alice, &relay, &bob, b"letter").await;
    assert_eq!(again + Duration::from_mins(1), Limits::default().kept);
    let letters = get(&bob, &relay).await;
    assert_eq!((bytes_of(&letters), letters.left), (vec![&b"letter"[..]], 0));
    // Nobody can be in another's way with what he has seen of him.
    kept(&carol, &relay, &bob, b"letter").await;
    assert_eq!(get(&bob, &relay).await.letters.len(), 2);
    acknowledge(&bob, &relay, &acks_of(&letters)).await;
    kept(&alice, &relay, &bob, b"letter").await;
    assert_eq!(get(&bob, &relay).await.letters.len(), 2, "it is stored again");
}

/// Proves P-17: each limit is said with its numbers, and what is collected makes room.
#[tokio::test]
async fn who_leaves_too_much_hears_which_limit_it_is_until_the_recipient_has_collected() {
    let limits = Limits {
        mailbox_letters_max: 3,
        share_letters_max: 2,
        share_bytes_max: 100,
        mailbox_bytes_max: 150,
        letter_bytes_max: 90,
        ..Limits::default()
    };
    let place = Place::new("full", limits);
    let (alice, bob, carol) = (somebody(3).await, somebody(4).await, somebody(5).await);
    let relay = place.start().await;
    let too_large = DepositRefused::TooLarge { limit: 90 };
    assert_eq!(refused(&alice, &relay, &bob, &[0; 91]).await, too_large);
    kept(&alice, &relay, &bob, &[0; 90]).await;
    let (measure, held, limit) = (Measure::Bytes, 90, 100);
    let share_full = DepositRefused::ShareFull { measure, held, limit };
    assert_eq!(refused(&alice, &relay, &bob, &[1; 11]).await, share_full);
    kept(&alice, &relay, &bob, &[1; 10]).await;
    let (measure, held, limit) = (Measure::Letters, 2, 2);
    let share_full = DepositRefused::ShareFull { measure, held, limit };
    assert_eq!(refused(&alice, &relay, &bob, b"").await, share_full);
    let (measure, held, limit) = (Measure::Bytes, 100, 150);
    let mailbox_full = DepositRefused::MailboxFull { measure, held, limit };
    assert_eq!(refused(&carol, &relay, &bob, &[2; 51]).await, mailbox_full);
    kept(&carol, &relay, &bob, &[2; 5]).await;
    let (measure, held, limit) = (Measure::Letters, 3, 3);
    let mailbox_full = DepositRefused::MailboxFull { measure, held, limit };
    assert_eq!(refused(&carol, &relay, &bob, b"").await, mailbox_full);
    let all = get(&bob, &relay).await;
    assert_eq!(acknowledge(&bob, &relay, &acks_of(&all)).await, 3);
    kept(&carol, &relay, &bob, b"").await;
    kept(&alice, &relay, &bob, &[0; 90]).await;
    let Held { letters, bytes, letters_max, bytes_max } = self::held(&bob, &relay).await;
    assert_eq!((letters, bytes, letters_max, bytes_max), (2, 90, 3, 150));
}

/// Proves P-17.
#[tokio::test]
async fn a_relay_that_is_full_says_so_and_takes_letters_again_when_there_is_room() {
    let small = [
        Limits { letters_max: 1, ..Limits::default() },
        Limits { bytes_max: 9, ..Limits::default() },
        Limits { mailboxes_max: 1, ..Limits::default() },
    ];
    let (alice, bob, carol) = (somebody(3).await, somebody(4).await, somebody(5).await);
    for (number, limits) in small.into_iter().enumerate() {
        let place = Place::new(&format!("relay-full-{number}"), limits);
        let relay = place.start().await;
        kept(&alice, &relay, &bob, b"letter").await;
        let why = refused(&alice, &relay, &carol, b"another").await;
        assert!(matches!(why, DepositRefused::RelayFull { .. }), "{number}: {why:?}");
        // What has expired makes room, and so does what is collected.
        place.clock.shift_wall(14 * 24 * 3600);
        kept(&alice, &relay, &carol, b"another").await;
        let another = get(&carol, &relay).await;
        acknowledge(&carol, &relay, &acks_of(&another)).await;
        kept(&alice, &relay, &bob, b"letter").await;
        relay.close().await;
    }
}

/// Proves P-14: until then, and no longer.
#[tokio::test]
async fn a_letter_that_nobody_collects_expires() {
    let place = Place::new("expires", Limits::default());
    let (alice, bob) = (somebody(3).await, somebody(4).await);
    let relay = place.start().await;
    kept(&alice, &relay, &bob, b"letter").await;
    let hours = 14 * 24;
    place.clock.shift_wall((hours - 1) * 3600);
    let letters = get(&bob, &relay).await;
    assert_eq!(bytes_of(&letters), [b"letter"]);
    assert!(letters.letters[0].age >= Duration::from_hours(14 * 24 - 1));
    place.clock.shift_wall(3600);
    assert_eq!(get(&bob, &relay).await.letters, []);
    kept(&alice, &relay, &bob, b"new").await;
    assert_eq!(held(&bob, &relay).await.bytes, 3, "and it is deleted");
}

/// Proves P-17: only for those whom the relay knows, and only from those.
#[tokio::test]
async fn a_relay_keeps_letters_only_for_those_and_from_those_that_its_operator_names() {
    let (alice, bob, carol) = (somebody(3).await, somebody(4).await, somebody(5).await);
    let recipients = Allowed::from_iter([bob.key()]);
    let depositing = Allowed::from_iter([alice.key()]);
    let mut place = Place::new("allowed", Limits::default());
    (place.recipients, place.depositing) = (recipients, depositing);
    let relay = place.start().await;
    assert_eq!(refused(&alice, &relay, &carol, b"").await, DepositRefused::UnknownRecipient);
    kept(&alice, &relay, &bob, b"letter").await;
    let not_allowed = deposit(&carol, relay.ticket(), &bob.key(), b"letter").await;
    let refusal = RequestError::Refused(Refusal::NotAllowed);
    assert_eq!(not_allowed, Err(DepositError::Request(refusal)));
    // Whoever has none hears what everybody hears whose mailbox is empty.
    assert_eq!(get(&carol, &relay).await, Letters::default());
    let operator = Node::builder().key(operator()).start().await.unwrap();
    let largest = ask(&operator, &relay, LARGEST, encode_count(9).to_vec()).await.unwrap();
    let mailbox = Mailbox { recipient: bob.key(), letters: 1, bytes: 6 };
    assert_eq!(decode_mailboxes(&largest), Some(vec![mailbox]));
}

/// Proves P-14: it could not keep its word.
#[tokio::test]
async fn a_node_without_a_store_does_not_start_with_a_mailbox() {
    let (mailboxes, _announcer) = Mailboxes::new(Limits::default(), Allowed::Anybody);
    let mut builder = Node::builder();
    for router in mailboxes.routers(Allowed::Anybody, Allowed::Anybody).unwrap() {
        builder = builder.serve(router);
    }
    let refused = builder.start().await.unwrap_err();
    assert!(matches!(refused, StartError::Serve(ServeError::NeedsStore { .. })), "{refused:?}");
    let said =
        "cannot serve: egtp.mailbox.put/1 needs a durable store; give the builder one with `store`";
    assert_eq!(refused.to_string(), said);
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let place = Place::new("strange", Limits::default());
    let bob = somebody(4).await;
    let relay = place.start().await;
    let bodies =
        [(PUT, 31), (PUT, 64), (GET, 11), (GET, 13), (ACK, 23), (ACK, 257 * 24), (HELD, 1)];
    for (kind, bytes) in bodies {
        // No key has this form.
        let asked = ask(&bob, &relay, kind, vec![0xff; bytes]).await;
        assert_eq!(asked, Err(RequestError::Refused(Refusal::Failed)), "{kind} of {bytes} bytes");
    }
}
