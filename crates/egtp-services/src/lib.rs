//! Services that nodes offer each other.
//!
//! A service is a node with handlers: everything here uses the public API of `egtp` and nothing else,
//! which is also the test that the API is good enough for others. Today that is [`echo`]; relay and
//! tracker will live beside it.

pub mod echo;
