//! One handshake, both sides of it, without endpoints: for programs that need very many.
//!
//! Knows no network. Invariant: it gives a root only if both sides have the same and know whom they talk to.

use egtp_proto::crypto::{DhKey, Random, Suite};
use egtp_proto::session::handshake::{Hello, Initiator, LocalKeys, Responder, Root, Welcome};
use egtp_proto::wire::{Header, VERSION};
use egtp_proto::{LiveCard, PrekeyCard, StoreCard, StoreKind};

/// A handshake from `initiator` to `responder`, whose prekey is known, with keys of one moment made anew as an endpoint
/// makes them. `None` if the library refuses a key, or anything does not fit together.
pub fn shake(
    suite: Suite,
    (initiator, responder, prekey): (&LocalKeys, &LocalKeys, &DhKey),
    random: &mut Random,
) -> Option<Root> {
    let ephemeral = DhKey::from_secret(&random.bytes()).ok()?;
    let public = *ephemeral.public();
    let header = Header::Ini {
        version: VERSION,
        suite: suite.id(),
        initiator_session: 1,
        prekey: 1,
        cookie: false,
        puzzle: false,
    };
    let store = StoreCard { kind: StoreKind::Ram, id: 1, generation: 1, age: 0 };
    let card = LiveCard { prekey: None, stores: vec![store] };
    let named = PrekeyCard { id: 1, key: *prekey.public(), lifetime: 60 };
    let hello = Hello { client: false, card: card.clone(), contact_sequence: 0 };
    let (to, said) = ((&responder.public, &named), (&hello, &[][..]));
    let (mut asking, flight) =
        Initiator::start(initiator, to, (suite, &header), ephemeral, said, random).ok()?;
    let own = DhKey::from_secret(&random.bytes()).ok()?;
    let (answering, first) =
        Responder::read(responder, (1, prekey), (suite, &header), &public, &flight, own).ok()?;
    let suites = Suite::ALL.map(Suite::id).to_vec();
    let welcome = Welcome { session: 2, client: false, card, suites, contact_sequence: 0 };
    let (ephemeral, rest, theirs) = answering.finish(&welcome, &[], random).ok()?;
    asking.read(&ephemeral, &rest).ok()?;
    let ours = asking.finish().ok()?;
    (first.remote == initiator.public && ours == theirs).then_some(ours)
}
