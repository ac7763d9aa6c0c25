//! Bytes on the wire, in two layers: packets, which a stranger sees, and the frames sealed in them.
//!
//! Everything here is a pure function over bytes. A decoder never allocates before it has checked
//! a bound, and accepts exactly the bytes that its encoder writes.

pub mod frame;
mod heads;
pub mod packet;
mod reader;
mod serials;
pub mod shroud;
mod writer;

pub mod stream;

pub use packet::{Header, Lane, RetryKind, VERSION};
pub use reader::Reader;
pub use serials::Serials;
pub use writer::{Writer, varint_length};

/// Why bytes are not what they should be. Never worth a retry with the same bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The bytes end before the value does.
    #[error("the bytes end too early")]
    Truncated,
    /// Something follows the value.
    #[error("bytes follow after the end")]
    TrailingBytes,
    /// A count or length is above its limit.
    #[error("a length is above its limit")]
    TooLarge,
    /// The value has another, shorter spelling, which is the only accepted one.
    #[error("not the canonical spelling")]
    NotCanonical,
    /// A tag that this version does not know.
    #[error("unknown type {0}")]
    UnknownType(u8),
    /// A field has a value that it must not have.
    #[error("a field has a forbidden value")]
    Forbidden,
}
