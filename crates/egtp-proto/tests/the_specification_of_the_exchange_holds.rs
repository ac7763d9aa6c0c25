//! The rules of section 7 of `docs/spec.md` that no other test proves: what is taken, refused, bound,
//! granted and closed, asked of the inbox alone or seen by a second implementation at the other end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as loudly as tests"
)]

mod second_implementation;

use std::time::Duration;

use bytes::Bytes;
use egtp_proto::crypto::Random;
use egtp_proto::exchange::inbox::{Inbox, Verdict};
use egtp_proto::exchange::outgoing::{Binding, Judgement, Outgoing, State};
use egtp_proto::limits::Limits;
use egtp_proto::message::Canonical;
use egtp_proto::time::Instant;
use egtp_proto::wire::Lane;
use egtp_proto::wire::frame::{
    Class, DialogHead, Frame, MessageHead, Part, PartOf, Refusal, Refused, ReplyHead,
};
use egtp_proto::{Event, Kind, MessageClass, Outcome, PublicKey, SecretKey, StoreKind};
use second_implementation::desk::clocks;
use second_implementation::{Desk, Hand, STORE, frames, message_id, read, request, secs};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An inbox and somebody who knows its store.
struct Counter {
    inbox: Inbox,
    now: Instant,
}

impl Counter {
    fn new(dialogs_max: usize) -> Self {
        let (mut limits, now) = (Limits::default(), Instant::new(secs(100)));
        limits.dialogs_max = dialogs_max;
        let random = &mut Random::from_seed([4; 32]);
        Self { inbox: Inbox::new(StoreKind::Ram, random, &limits, clocks(now), true), now }
    }

    fn head(&self, dialog: u64, generation: u32, low_water: u64) -> DialogHead {
        let store = self.inbox.card(&clocks(self.now)).id;
        DialogHead { kind: StoreKind::Ram, dialog, store, generation, low_water }
    }

    fn generation(&self) -> u32 {
        self.inbox.card(&clocks(self.now)).generation
    }

    /// Whether the message is taken (`None`) or why not.
    fn offer(&mut self, peer: u8, head: &DialogHead, serial: u64) -> Option<Refusal> {
        let (peer, now) = (key(peer), clocks(self.now));
        let place = match self.inbox.place(&peer, head) {
            Ok(place) => place,
            Err(why) => return Some(why),
        };
        match self.inbox.take(&now, &peer, head, place, serial) {
            Verdict::Take(_) => None,
            Verdict::Refuse(why) => Some(why),
            Verdict::Known(_) => unreachable!("serial {serial} was taken before"),
        }
    }
}

fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public()
}

/// Proves: who is forgotten is refused from then on, who displaced him is not.
#[test]
fn forgetting_a_dialog_refuses_what_it_could_have_seen() {
    let mut counter = Counter::new(1);
    let [first, second, third] = [1, 2, 3].map(|dialog| counter.head(dialog, 1, 0));
    assert_eq!(counter.offer(1, &first, 0), None);
    assert_eq!(counter.offer(3, &third, 64), Some(Refusal::Window), "refused before room is made");
    assert_eq!((counter.generation(), counter.offer(1, &first, 1)), (1, None));
    assert_eq!(counter.offer(2, &second, 0), None, "its floor is the one before it displaced");
    assert_eq!(counter.generation(), 2);
    assert_eq!(counter.offer(2, &second, 1), None);
    assert_eq!(counter.offer(1, &first, 2), Some(Refusal::Stale));
    let unissued = counter.head(2, 3, 0);
    assert_eq!(counter.offer(2, &unissued, 2), Some(Refusal::Stale));
    let elsewhere = DialogHead { store: 0, ..second };
    assert_eq!(counter.offer(2, &elsewhere, 2), Some(Refusal::Stale));
    let anew = counter.head(1, 2, 0);
    assert_eq!(counter.offer(1, &anew, 2), None);
}

#[test]
fn x_8_the_low_water_counts_after_the_binding_and_before_the_window() {
    let mut counter = Counter::new(9);
    let low = counter.head(1, 1, 0);
    assert_eq!(counter.offer(1, &low, 0), None);
    let stale = counter.head(1, 7, 9_000);
    assert_eq!(counter.offer(1, &stale, 9_000), Some(Refusal::Stale));
    assert_eq!(counter.offer(1, &low, 1), None, "a stale low water voids nothing");
    assert_eq!(counter.offer(1, &low, 5_000), Some(Refusal::Window));
    let raised = counter.head(1, 1, 4_990);
    assert_eq!(counter.offer(1, &raised, 5_000), None);
}

#[test]
fn x_16_a_window_is_64_then_1024_then_doubles_when_it_passes_quickly() {
    let mut counter = Counter::new(9);
    let head = counter.head(1, 1, 0);
    assert_eq!(counter.offer(1, &head, 64), Some(Refusal::Window));
    assert_eq!(counter.offer(1, &head, 0), None);
    assert_eq!(counter.offer(1, &head, 1_025), Some(Refusal::Window));
    for serial in 1..=1_024 {
        assert_eq!(counter.offer(1, &head, serial), None);
    }
    assert_eq!(counter.offer(1, &head, 1_025 + 2_048), Some(Refusal::Window));
    assert_eq!(counter.offer(1, &head, 1_025 + 2_047), None);
}

/// Proves: one refusal of two frees nothing, and an age that was asked for before the
/// transmission says nothing about it. A refusal of what is not out says nothing, either.
#[test]
fn a_message_is_bound_anew_only_when_all_of_it_was_refused() {
    let (kind, class) = (Kind::new("test/1").unwrap(), MessageClass::Request);
    let id = Canonical::new(&key(1), &key(2), class, 50).id(0, 0, None, kind.as_str(), b"");
    let mut message =
        Outgoing::new(1, 1, StoreKind::Ram, (50, 0), id, class, kind, Bytes::new(), 0, secs(60));
    let at = |seconds| Instant::new(secs(seconds));
    let bound = Binding { kind: StoreKind::Ram, store: 99, generation: 1 };
    message.state = State::Sent;
    message.transmitted(bound, [1; 8], clocks(at(10)));
    message.transmitted(bound, [2; 8], clocks(at(11)));
    let later = clocks(at(12));
    assert_eq!(message.judge(7, 4_096, at(9), &later), Judgement::None);
    assert_eq!(message.judge(99, 4_096, at(12), &later), Judgement::None, "the same life");
    assert_eq!(message.judge(7, 4, at(12), &later), Judgement::Doubtful);
    assert_eq!(message.judge(7, 5, at(12), &later), Judgement::Free);
    assert_eq!(message.refused([1; 8]), Judgement::Doubtful);
    assert_eq!(message.refused([1; 8]), Judgement::None);
    assert_eq!(message.refused([2; 8]), Judgement::Free);

    for number in 1..=200 {
        message.transmitted(bound, [number; 8], clocks(at(13)));
    }
    for number in 150..=200 {
        assert_eq!(message.refused([number; 8]), Judgement::Doubtful, "the latest are told apart");
    }
    let freed = (1..150).any(|number| message.refused([number; 8]) == Judgement::Free);
    assert!(!freed, "what was forgotten counts as never refused");
}

/// A request: serial, event code and body.
type Asked = (u64, u32, Vec<u8>);

/// The dialogs and the requests in a payload.
fn messages(payload: &[u8]) -> (Vec<DialogHead>, Vec<Asked>) {
    let (mut heads, mut list) = (Vec::new(), Vec::new());
    for frame in read(payload) {
        match frame {
            Frame::Dialog(head) => heads.push(head),
            Frame::Message(MessageHead { serial, class, .. }, body) => {
                let Class::Request { code, .. } = class else { continue };
                list.push((serial, code, body.to_vec()));
            }
            _ => {}
        }
    }
    (heads, list)
}

/// Proves: numbers from 0 on, and the same binding at every repetition.
#[test]
fn a_message_keeps_its_number_and_binding_when_it_is_sent_again() {
    let mut desk = Desk::plain();
    let hand = Hand::connect(&mut desk);
    let mut sent = desk.ask(b"a");
    sent.extend(desk.ask(b"b"));
    let (heads, first) = messages(&hand.open(&sent));
    assert_eq!(first.iter().map(|one| one.0).collect::<Vec<_>>(), [0, 1]);
    let (again, repeated) = messages(&hand.open(&desk.wait(millis(700))));
    assert_eq!(first, repeated);
    for head in heads.iter().chain(&again) {
        assert_eq!((head.store, head.generation), (STORE.id, STORE.generation));
        assert_eq!((head.dialog, head.low_water), (heads[0].dialog, 0));
    }
}

/// Proves: asked again in another record, a request is not taken again and its reply comes
/// again.
#[test]
fn a_repeated_request_gets_its_reply_again() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let payload = frames(&[hand.dialog(), request(0, b"once", 9)]);
    for _ in 0..2 {
        let record = hand.record(Lane::Direct, &payload);
        let sent = desk.take(&record);
        let answer = hand.open(&sent);
        assert!(read(&answer).iter().any(|frame| matches!(frame, Frame::Reply(_, b"once"))));
    }
    assert_eq!(desk.queries(), 1);
}

#[test]
fn x_11_busy_is_reported_when_no_other_transmission_may_have_been_taken() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let mut sent = desk.ask(b"work");
    let (heads, list) = messages(&hand.open(&sent));
    sent.extend(desk.wait(millis(700)));
    assert_eq!(sent.len(), 2);
    for (index, packet) in sent.iter().enumerate() {
        let transmission = *packet[packet.len() - 16..].first_chunk().unwrap();
        let (dialog, serial, why) = (heads[0].dialog, list[0].0, Refusal::Busy);
        let refused = Refused { dialog, serial, transmission, why, retry_ms: 250 };
        let record = hand.record(Lane::Direct, &frames(&[Frame::Refused(refused)]));
        desk.take(&record);
        let ended = desk
            .events
            .iter()
            .any(|event| matches!(event, Event::Outcome { outcome: Outcome::Refused(_), .. }));
        assert_eq!(ended, index == 1);
    }
}

#[test]
fn x_17_no_more_is_sent_than_the_receiver_has_granted() {
    let mut desk = Desk::plain();
    let hand = Hand::connect(&mut desk);
    let mut sent = Vec::new();
    for _ in 0..1_100 {
        sent.extend(desk.ask(b"x"));
    }
    let (_, list) = messages(&hand.open(&sent));
    assert_eq!(list.iter().map(|one| one.0).max(), Some(1_023));
}

#[test]
fn x_18_what_was_taken_is_acknowledged_within_25_milliseconds() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let head = MessageHead { serial: 0, class: Class::Send, kind: "note/1" };
    let payload = frames(&[hand.dialog(), Frame::Message(head, b"hello")]);
    let record = hand.record(Lane::Direct, &payload);
    let mut sent = desk.take(&record);
    sent.extend(desk.wait(millis(25)));
    let answer = hand.open(&sent);
    let acknowledged = read(&answer).into_iter().find_map(|frame| match frame {
        Frame::Ack(ack) => Some(ack),
        _ => None,
    });
    let ack = acknowledged.expect("an acknowledgement");
    assert_eq!((ack.dialog, ack.serials.base(), ack.limit), (50, 1, 1_025));
}

/// Proves: a reply with one wrong name has no effect; the right one ends the request, and
/// its sender is told that it can forget it.
#[test]
fn a_reply_names_its_request_completely_and_is_then_closed() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let sent = desk.ask(b"?");
    let (heads, list) = messages(&hand.open(&sent));
    let (dialog, (serial, code, _)) = (heads[0].dialog, list[0].clone());
    let reference = message_id(&desk.key, &hand.secret.public(), (dialog, serial), b"?");
    let right = ReplyHead { serial, code, reference, status: 0 };
    let wrong = [
        (dialog ^ 1, right),
        (dialog, ReplyHead { serial: 1, ..right }),
        (dialog, ReplyHead { code: code ^ 1, ..right }),
        (dialog, ReplyHead { reference: [0; 8], ..right }),
    ];
    let mut reply = |desk: &mut Desk, dialog, head| {
        let payload = frames(&[Frame::Replies(dialog), Frame::Reply(head, b"!")]);
        let record = hand.record(Lane::Direct, &payload);
        desk.take(&record);
    };
    let over = |desk: &Desk| desk.events.iter().any(|event| matches!(event, Event::Outcome { .. }));
    for (dialog, head) in wrong {
        reply(&mut desk, dialog, head);
        assert!(!over(&desk));
    }
    reply(&mut desk, dialog, right);
    assert!(over(&desk));
    let told = hand.open(&desk.wait(millis(25)));
    let closed = read(&told).into_iter().any(|frame| match frame {
        Frame::Closed { dialog: named, serials } => named == dialog && serials.contains(serial),
        _ => false,
    });
    assert!(closed, "{:?}", read(&told));
}

#[test]
fn x_21_a_reply_longer_than_the_room_is_a_refusal() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let payload = frames(&[hand.dialog(), request(0, b"longer", 5)]);
    let record = hand.record(Lane::Direct, &payload);
    let answer = hand.open(&desk.take(&record));
    let refused = read(&answer).into_iter().any(|frame| match frame {
        Frame::Reply(head, body) => head.status == 5 && body.is_empty(),
        _ => false,
    });
    assert!(refused);
}

/// Proves: nothing is handed over before the last part, and a part that does not follow is
/// answered with how much is there.
#[test]
fn parts_are_put_together_in_order_and_a_gap_is_reported() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let class = Class::Request { code: 1, hard_ms: 9_000, room: 99 };
    let head = Some(MessageHead { serial: 0, class, kind: "test/1" });
    let part = |offset, bytes| Part { serial: 0, offset, total: 9, bytes };
    let mut send = |desk: &mut Desk, part, head| {
        let payload = frames(&[hand.dialog(), Frame::Fragment(part, head)]);
        let record = hand.record(Lane::Direct, &payload);
        hand.open(&desk.take(&record))
    };
    send(&mut desk, part(0, b"abc"), head);
    let answer = send(&mut desk, part(6, b"ghi"), None);
    let of = PartOf::Message;
    let expected = Frame::Partial { dialog: 50, serial: 0, of, received: 3 };
    assert!(read(&answer).contains(&expected));
    assert_eq!(desk.queries(), 0);
    send(&mut desk, part(3, b"defghi"), None);
    assert_eq!(desk.queries(), 1);
}

#[test]
fn s_10_a_record_holds_no_more_than_16_kib_of_frames() {
    let mut desk = Desk::plain();
    let hand = Hand::connect(&mut desk);
    let mut sent = desk.ask(&vec![1; 100_000]);
    for length in [8_000, 8_192, 8_193, 7_000, 16_384] {
        sent.extend(desk.ask(&vec![1; length]));
    }
    assert!(!hand.open(&sent).is_empty());
    assert!(sent.iter().all(|packet| packet.len() <= 16 + 16 * 1024 + 16));
}

#[test]
fn w_9_what_stands_before_an_unreadable_frame_counts_and_the_rest_does_not() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let mut payload = frames(&[hand.dialog(), request(0, b"before", 9)]);
    payload.push(0xee);
    payload.extend(frames(&[request(1, b"after", 9)]));
    let record = hand.record(Lane::Direct, &payload);
    desk.take(&record);
    assert_eq!((desk.queries(), desk.endpoint.counters().dropped.frames), (1, 1));
}

#[test]
fn m_3_a_hint_is_handed_over_and_never_acknowledged() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let hint = Frame::Hint { kind: "here/1", body: b"" };
    let record = hand.record(Lane::Direct, &frames(&[hint]));
    assert!(desk.take(&record).is_empty());
    assert!(desk.events.iter().any(|event| matches!(event, Event::Hint(_))));
    assert!(desk.wait(secs(2)).is_empty());
}

/// More questions about parts in one record than are kept: the newest are answered.
/// Proves X-40.
#[test]
fn x_40_of_too_many_questions_the_newest_are_answered() {
    let mut desk = Desk::plain();
    let mut hand = Hand::connect(&mut desk);
    let asked: Vec<Frame<'_>> = (0..20).map(|number| Frame::PathChallenge([number; 8])).collect();
    let record = hand.record(Lane::Direct, &frames(&asked));
    let sent = desk.take(&record);
    let opened = hand.open(&sent);
    let answered = read(&opened).into_iter().filter_map(|frame| match frame {
        Frame::PathResponse(bytes) => Some(bytes[0]),
        _ => None,
    });
    assert_eq!(answered.collect::<Vec<u8>>(), (12..20).rev().collect::<Vec<u8>>());
}
