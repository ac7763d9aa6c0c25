//! One file for each target. Its header says what is promised, and which decoders it reaches in
//! comment lines that begin with `Reaches:`. Beside `run` stands `seeds`, which makes the committed
//! corpus: inputs that get far, for mutations to start from.

pub mod contact;
pub mod contact_text;
pub mod endpoint;
pub mod frame;
pub mod handshake;
pub mod header;
pub mod inbox;
pub mod key_text;
pub mod kind;
pub mod letter;
pub mod live_card;
pub mod mailbox;
pub mod node_id;
pub mod outbox;
pub mod packet;
pub mod promises;
pub mod reader;
pub mod retry;
pub mod serials;
pub mod session;
pub mod strategy;
pub mod stream;
pub mod ticket;

use egtp_proto::wire::Reader;

/// A named input.
pub type Seed = (&'static str, Vec<u8>);

/// What was read between two positions of one reader.
///
/// # Panics
/// When the reader has gone back, which no reader may.
pub(crate) fn between<'a>(before: &Reader<'a>, after: &Reader<'_>) -> &'a [u8] {
    let count = before.remaining().checked_sub(after.remaining());
    let count = count.expect("a reader goes forward only");
    before.clone().bytes(count).expect("these bytes were just read")
}
