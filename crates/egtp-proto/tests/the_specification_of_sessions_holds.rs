//! The rules of section 5 of `docs/spec.md` that no other test proves: epochs, lanes, windows, and
//! what is said on a session and about one that is not there.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as loudly as tests"
)]

mod second_implementation;

use egtp_proto::crypto::{Cipher, Role, Suite, Suites};
use egtp_proto::session::epoch::{Epochs, OpenError};
use egtp_proto::time::Instant;
use egtp_proto::wire::frame::Frame;
use egtp_proto::wire::{Header, Lane};
use egtp_proto::{Event, IdentityId, PathId, Source};
use second_implementation::{Desk, Hand, PATH, frames, mac, secs, unmask};

/// One sealed record: lane, epoch and counter, header, ciphertext and tag.
type Sealed = ((Lane, u8, u64), [u8; 12], Vec<u8>);

fn seal(epochs: &mut Epochs, now: Instant, lane: Lane) -> Sealed {
    let (mut bytes, mut at) = (b"frames".to_vec(), (lane, 0, 0));
    let sealed = epochs.seal(now, lane, &mut bytes, |epoch, counter| {
        at = (lane, epoch, counter);
        Header::Record { lane, epoch, session: 1, counter }.encode()
    });
    let (header, tag) = sealed.unwrap();
    bytes.extend_from_slice(&tag);
    (at, header, bytes)
}

fn open(epochs: &mut Epochs, now: Instant, record: &Sealed) -> Result<bool, OpenError> {
    epochs.open(now, record.0, &record.1, &mut record.2.clone())
}

fn both_ends() -> (Epochs, Epochs, Instant) {
    let now = Instant::new(secs(0));
    let end = |role| Epochs::new(role, Suite::Aes256Gcm, &[7; 32], now).unwrap();
    (end(Role::Initiator), end(Role::Responder), now)
}

/// Proves S-4, S-5, S-6.
#[test]
fn epochs_follow_the_clock_of_the_sender_and_the_old_ones_end() {
    let (mut ours, mut theirs, start) = both_ends();
    let quarter = |count: u64| start.after(secs(900 * count));
    let early = seal(&mut ours, start, Lane::Direct);
    let (_, _, late) =
        (1..=2).fold(early.clone(), |_, n| seal(&mut ours, quarter(n), Lane::Direct));
    assert!(!late.is_empty());
    let third = seal(&mut ours, quarter(3), Lane::Direct);
    assert_eq!(third.0, (Lane::Direct, 3, 0));
    let mut forged = third.clone();
    forged.2[0] ^= 1;
    assert_eq!(open(&mut theirs, quarter(3), &forged), Err(OpenError::Forged));
    assert_eq!(seal(&mut theirs, start, Lane::Direct).0.1, 0, "a forgery moves nobody on");
    assert_eq!(open(&mut theirs, quarter(3), &third), Ok(true));
    assert_eq!(seal(&mut theirs, quarter(3), Lane::Direct).0.1, 3);
    let two_minutes = quarter(3).after(secs(120));
    assert_eq!(open(&mut theirs, two_minutes, &early), Ok(false));
    assert_eq!(open(&mut theirs, two_minutes.after(secs(1)), &early), Err(OpenError::UnknownEpoch));

    let (mut ours, mut theirs, _) = both_ends();
    let far = (0..=4).map(|n| seal(&mut ours, quarter(n), Lane::Direct)).last().unwrap();
    assert_eq!(open(&mut theirs, quarter(4), &far), Err(OpenError::UnknownEpoch));
}

/// Proves S-3, S-7, S-8: lanes count apart, from 0 on, a window has 1,984 places, a forgery moves nothing.
#[test]
fn each_lane_has_a_window_that_only_genuine_records_move() {
    let (mut ours, mut theirs, now) = both_ends();
    let direct: Vec<_> = (0..2_000).map(|_| seal(&mut ours, now, Lane::Direct)).collect();
    let relay = seal(&mut ours, now, Lane::Relay);
    assert_eq!((direct[1_999].0.2, relay.0.2), (1_999, 0));
    let mut forged = direct[1_999].clone();
    forged.2[3] ^= 1;
    assert_eq!(open(&mut theirs, now, &forged), Err(OpenError::Forged));
    for index in [0, 1_999, 16] {
        assert!(open(&mut theirs, now, &direct[index]).is_ok(), "{index}");
        assert_eq!(open(&mut theirs, now, &direct[index]), Err(OpenError::Replayed));
    }
    assert_eq!(open(&mut theirs, now, &direct[15]), Err(OpenError::Replayed));
    assert_eq!(open(&mut theirs, now, &relay), Ok(true));
}

/// Proves S-9, S-16: a record of another lane is one of an unknown session; the answer echoes its
/// tag, is no longer than what caused it, and short records get none.
#[test]
fn an_unknown_session_is_answered_by_its_tag_only() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let record = hand.record(Lane::Relay, &[0; 16]);
    let sent = desk.take(&record);
    let (header, plain) = unmask(&desk.key, &sent[0]).unwrap();
    assert!(matches!(header, Header::Unknown { .. }) && plain.len() == 48);
    assert_eq!(plain[16..32], record[record.len() - 16..]);
    assert_eq!(plain[32..], mac(&desk.key, &plain[..32]));
    let short = hand.record(Lane::Relay, &[0; 15]);
    assert!(desk.take(&short).is_empty());
}

#[test]
fn s_11_a_record_without_frames_confirms_a_session_and_answers_a_ping() {
    let mut desk = Desk::plain();
    let mut hand = Hand::new(2, desk.key);
    hand.knock(&mut desk);
    let flight = hand.flight(&[]);
    hand.answer(&desk.take(&flight));
    let empty = hand.record(Lane::Direct, &[]);
    desk.take(&empty);
    assert!(desk.events.iter().any(|event| matches!(event, Event::Session { .. })));
    let ping = hand.record(Lane::Direct, &frames(&[Frame::Ping]));
    let sent = desk.take(&ping);
    assert_eq!((sent.len(), sent[0].len(), hand.open(&sent).len()), (1, 32, 0));
}

/// Proves PRO-4: whoever lets only the records of the weaker session through cannot choose it for us.
#[test]
fn s_23_once_a_hybrid_session_is_confirmed_an_earlier_weaker_one_carries_nothing() {
    let mut desk = Desk::new(Source::Verified, |config| {
        config.suites = Suites::all(Cipher::ChaCha20Poly1305);
    });
    let mut hand = Hand::connect(&mut desk);
    let weak = hand.keys.take();
    hand.suite = Suite::HybridChaCha20Poly1305.id();
    let flight = hand.flight(&[]);
    hand.answer(&desk.take(&flight));
    let confirmation = hand.record(Lane::Direct, &[0]);
    desk.take(&confirmation);

    // Long after the confirmation only the weaker session is heard from.
    desk.wait(secs(20));
    let strong = std::mem::replace(&mut hand.keys, weak);
    let ping = hand.record(Lane::Direct, &frames(&[Frame::Ping]));
    let sent = desk.take(&ping);
    assert_eq!(sent.len(), 1, "it receives, and the question is answered");
    hand.keys = strong;
    hand.open(&sent);
}

#[test]
fn s_22_after_a_goodbye_nothing_is_sent_on_the_session() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let goodbye = hand.record(Lane::Direct, &frames(&[Frame::Close]));
    desk.take(&goodbye);
    let sent = desk.ask(b"anew");
    assert!(!sent.is_empty() && hand.open(&sent).is_empty());
}

/// Proves PRO-5.
#[test]
fn s_21_only_the_newest_record_moves_a_peer_to_another_path() {
    let (mut desk, other) = (Desk::plain(), PathId(3));
    let mut hand = Hand::connect(&mut desk);
    let (id, source, lane) = (IdentityId(0), Source::Verified, Lane::Direct);
    desk.endpoint.path_up(other, id, None, source, lane);
    let [old, new, newest] = [0; 3].map(|_: u8| hand.record(Lane::Direct, &[0; 16]));
    let mut path_after = |path, record: &[u8]| {
        desk.take_on(path, record);
        desk.ask(b"where are you?");
        desk.last_path
    };
    assert_eq!(path_after(other, &new), Some(other));
    assert_eq!(path_after(PATH, &old), Some(other), "late, by the way that was left");
    assert_eq!(path_after(PATH, &newest), Some(PATH));
}
