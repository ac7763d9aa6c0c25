//! Services that nodes offer each other.
//!
//! A service is a node with handlers: everything here uses the public API of `egtp` and nothing else,
//! which is also the test that the API is good enough for others. Today these are [`echo`],
//! [`relay`] and [`mailbox`], and the [`post`] that carries letters between nodes and mailboxes; a tracker will live beside
//! them.

pub mod echo;
pub mod mailbox;
pub mod post;
pub mod relay;
