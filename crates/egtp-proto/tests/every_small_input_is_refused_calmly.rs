//! Every decoder on every input of up to two bytes: nothing panics, and what is accepted is what the
//! encoder writes. The list of decoders is that of the sources.

mod decoders;

use std::collections::BTreeSet;
use std::thread;

use bytes::BytesMut;
use decoders::{DECODERS, Decoder, defined};
use egtp_proto::wire::stream::{Deframer, Direction, LengthMask, StreamKey};

#[test]
fn no_decoder_is_missing_from_the_list() {
    let listed = DECODERS.iter().map(|decoder| decoder.name.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(listed, defined(), "the list and the sources differ");
    assert_eq!(listed.len(), DECODERS.len(), "one is listed twice");
}

/// Proves MSG-3.
#[test]
fn every_input_of_up_to_two_bytes_is_handled() {
    let inputs = small_inputs();
    assert_eq!(inputs.len(), 1 + 256 + 65_536);
    let mut counts = Vec::new();
    thread::scope(|scope| {
        // The slowest are the two that make key agreements.
        let (slow, quick): (Vec<_>, Vec<_>) =
            DECODERS.iter().partition(|decoder| decoder.name.ends_with("::read"));
        let work = slow.into_iter().map(|one| vec![one]).chain([quick]);
        let workers = work.map(|work| scope.spawn(|| accepted(work, &inputs))).collect::<Vec<_>>();
        for worker in workers {
            counts.extend(worker.join().expect("a decoder panicked"));
        }
    });
    for (name, count) in &counts {
        println!("{name}: {} inputs, {count} accepted", inputs.len());
    }
    assert_eq!(counts.len(), DECODERS.len());
    // Nothing that is sealed, signed or a key is so short; these are all that can be.
    let short = counts.iter().filter(|(_, count)| *count > 0).map(|(name, _)| *name);
    let expected = [
        "Frame::decode",
        "Header::decode",
        "HostName::from_str",
        "Kind::from_str",
        "Serials::decode",
        "Strategy::decode_if_known",
    ];
    assert_eq!(short.collect::<BTreeSet<_>>(), BTreeSet::from(expected));
}

#[test]
fn no_stream_begins_with_so_little() {
    let key = StreamKey::new(&[1; 32]);
    for input in small_inputs() {
        let mask = LengthMask::new(&key, &[7; 16], Direction::FromDialer);
        let found = Deframer::new(mask).next(&mut BytesMut::from(&input[..]));
        assert!(!matches!(found, Ok(Some(_))), "{input:02x?}");
    }
}

/// How many of the inputs each decoder accepts.
fn accepted(work: Vec<&Decoder>, inputs: &[Vec<u8>]) -> Vec<(&'static str, usize)> {
    let count = |one: &Decoder| inputs.iter().filter(|input| (one.accepts)(input)).count();
    work.into_iter().map(|one| (one.name, count(one))).collect()
}

/// All of 0, 1 and 2 bytes.
fn small_inputs() -> Vec<Vec<u8>> {
    let one = (0..=u8::MAX).map(|byte| vec![byte]);
    let two = (0..=u8::MAX).flat_map(|first| (0..=u8::MAX).map(move |second| vec![first, second]));
    [vec![]].into_iter().chain(one).chain(two).collect()
}
