//! Model of the exchange: one asker, one answerer, two messages, and a network that loses, keeps
//! back and repeats.
//!
//! The answerer may crash and forget, its table of dialogs has one place, and all windows are one
//! message wide. Properties: a message is handed over at most once in all lives; outcomes are honest;
//! from every state some way leads to the end of each message.

mod action;
pub mod answerer;
mod asker;
pub mod checks;
pub mod rules;
pub mod scope;
pub mod state;
mod tale;

pub use action::{Action, Exchange};
