//! Naive models: what the product promises, said a second time with sets and lists.
//!
//! They share no code with the product and need not be quick. Invariant: a model says what must
//! happen before the product is asked.

pub mod inbox;
pub mod outbox;
pub mod promises;
pub mod session;
