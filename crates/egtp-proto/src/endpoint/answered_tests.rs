//! Which replies fit a request: only those that agree in everything.

use std::time::Duration;

use bytes::Bytes;

use super::{Config, Endpoint, Submission};
use crate::crypto::{Cipher, Suites};
use crate::key::SecretKey;
use crate::limits::Limits;
use crate::message::{Kind, MessageClass};
use crate::output::{Event, IdentityId};
use crate::time::Now;
use crate::wire::frame::ReplyHead;

fn endpoint() -> Endpoint {
    let config = Config {
        identities: vec![SecretKey::from_seed([1; 32]).into()],
        limits: Limits::default(),
        seed: [1; 32],
        suites: Suites::all(Cipher::Aes256Gcm),
        reachable: true,
        exclusive: true,
        part: crate::part::Part::WHOLE,
    };
    Endpoint::new(config, Now::default()).unwrap()
}

fn ask(endpoint: &mut Endpoint, seed: u8) -> (u32, u64, ReplyHead) {
    let to = SecretKey::from_seed([seed; 32]).public();
    let submission = Submission {
        token: seed.into(),
        identity: IdentityId(0),
        to,
        class: MessageClass::Request,
        kind: Kind::new("x/1").unwrap(),
        body: Bytes::new(),
        room: None,
        soft: None,
        hard: Duration::from_secs(9),
        hard_max: Duration::ZERO,
        wants: crate::card::StoreKind::Ram,
        keep: None,
        post_quantum: false,
    };
    let (code, id) = endpoint.submit(Now::default(), submission).unwrap();
    let peer = endpoint.by_key[&(IdentityId(0), to)];
    let dialog = endpoint.outgoing.get(code.0).unwrap().dialog;
    let serial = endpoint.outgoing.get(code.0).unwrap().serial;
    (peer, dialog, ReplyHead { serial, code: code.0, reference: id.reference(), status: 0 })
}

/// Proves MSG-4, MSG-7, HND-9, B-26: a reply that is wrong in its peer, dialog, serial, code or
/// reference changes nothing; the right one still ends the request afterwards.
#[test]
fn a_reply_that_is_wrong_in_anything_leaves_the_request_pending() {
    let mut endpoint = endpoint();
    let (peer, dialog, right) = ask(&mut endpoint, 2);
    let (other_peer, other_dialog, other) = ask(&mut endpoint, 3);
    let mut reference = right.reference;
    reference[7] ^= 1;
    let wrong = [
        (other_peer, dialog, right),
        (other_peer, other_dialog, right),
        (peer, other_dialog, right),
        (peer, dialog, ReplyHead { serial: 1, ..right }),
        (peer, dialog, ReplyHead { code: other.code, ..right }),
        (peer, dialog, ReplyHead { code: 0, ..right }),
        (peer, dialog, ReplyHead { reference, ..right }),
    ];
    for (count, (peer, dialog, head)) in (1..).zip(wrong) {
        endpoint.receive_reply(peer, dialog, &head, Bytes::from_static(b"false"));
        assert_eq!(endpoint.counters.late_dropped, count);
        assert_eq!(endpoint.outgoing.len(), 2);
        assert_eq!(endpoint.next_event(), None);
    }
    endpoint.receive_reply(peer, dialog, &right, Bytes::from_static(b"true"));
    assert!(matches!(endpoint.next_event(), Some(Event::Outcome { token: 2, .. })));
    assert_eq!(endpoint.outgoing.len(), 1);
}
