//! The list of fuzz targets.
//!
//! A target is a function from bytes to nothing that panics when a promise is broken. Coverage
//! guided fuzzing and the seeded runner call the same functions, so what one finds the other
//! repeats. Invariant: every file in `targets` is in [`TARGETS`], in `Cargo.toml` and in
//! `fuzz_targets`; a test of the product's workspace keeps it so.

#![forbid(unsafe_code)]

pub mod machine;
pub mod mutation;
pub mod naive;
pub mod network;
pub mod outbound;
pub mod script;
pub mod stranger;
pub mod targets;

use targets::Seed;

/// One function that takes hostile bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also that of its corpus folder.
    pub name: &'static str,
    /// Panics when a promise is broken, and on nothing else.
    pub run: fn(&[u8]),
    /// Makes the inputs that its corpus begins with.
    pub seeds: fn() -> Vec<Seed>,
}

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    Target { name: "contact", run: targets::contact::run, seeds: targets::contact::seeds },
    Target {
        name: "contact_text",
        run: targets::contact_text::run,
        seeds: targets::contact_text::seeds,
    },
    Target { name: "endpoint", run: targets::endpoint::run, seeds: targets::endpoint::seeds },
    Target { name: "frame", run: targets::frame::run, seeds: targets::frame::seeds },
    Target { name: "handshake", run: targets::handshake::run, seeds: targets::handshake::seeds },
    Target { name: "header", run: targets::header::run, seeds: targets::header::seeds },
    Target { name: "inbox", run: targets::inbox::run, seeds: targets::inbox::seeds },
    Target { name: "key_text", run: targets::key_text::run, seeds: targets::key_text::seeds },
    Target { name: "kind", run: targets::kind::run, seeds: targets::kind::seeds },
    Target { name: "letter", run: targets::letter::run, seeds: targets::letter::seeds },
    Target { name: "live_card", run: targets::live_card::run, seeds: targets::live_card::seeds },
    Target { name: "mailbox", run: targets::mailbox::run, seeds: targets::mailbox::seeds },
    Target { name: "node_id", run: targets::node_id::run, seeds: targets::node_id::seeds },
    Target { name: "outbox", run: targets::outbox::run, seeds: targets::outbox::seeds },
    Target { name: "packet", run: targets::packet::run, seeds: targets::packet::seeds },
    Target { name: "promises", run: targets::promises::run, seeds: targets::promises::seeds },
    Target { name: "reader", run: targets::reader::run, seeds: targets::reader::seeds },
    Target { name: "retry", run: targets::retry::run, seeds: targets::retry::seeds },
    Target { name: "serials", run: targets::serials::run, seeds: targets::serials::seeds },
    Target { name: "session", run: targets::session::run, seeds: targets::session::seeds },
    Target { name: "strategy", run: targets::strategy::run, seeds: targets::strategy::seeds },
    Target { name: "stream", run: targets::stream::run, seeds: targets::stream::seeds },
    Target { name: "ticket", run: targets::ticket::run, seeds: targets::ticket::seeds },
];
