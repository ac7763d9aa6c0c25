//! Cookies: under load a stranger must show that it receives at the address it sends from.
//!
//! A cookie is a keyed hash over the source under a secret that changes every two minutes; nothing
//! is remembered for anybody. Invariant: a cookie is worth nothing from another source, or after
//! four minutes.

use std::time::Duration;

use subtle::ConstantTimeEq;

use super::retry::cookie_proof;
use crate::crypto::{Random, keyed_prefix};
use crate::time::Instant;

/// How long a secret makes cookies; it is accepted for as long again.
const TURN: Duration = Duration::from_mins(2);

/// Makes and checks cookies.
pub struct Cookies {
    present: [u8; 32],
    previous: [u8; 32],
    turned: Instant,
}

impl Cookies {
    /// Starts with fresh secrets.
    pub fn new(random: &mut Random, now: Instant) -> Self {
        Self { present: random.bytes(), previous: random.bytes(), turned: now }
    }

    /// The cookie of `source`: whatever names where an answer would go.
    pub fn make(&mut self, random: &mut Random, now: Instant, source: &[u8]) -> [u8; 16] {
        self.turn(random, now);
        keyed_prefix(&self.present, &[source])
    }

    /// Whether `proof` was made from a cookie of `source`.
    pub fn accepts(
        &mut self,
        random: &mut Random,
        now: Instant,
        source: &[u8],
        (ephemeral, noise, proof): (&[u8; 32], &[u8], &[u8; 16]),
    ) -> bool {
        self.turn(random, now);
        [&self.present, &self.previous].into_iter().any(|secret| {
            let cookie = keyed_prefix(secret, &[source]);
            cookie_proof(&cookie, ephemeral, noise).ct_eq(proof).into()
        })
    }

    fn turn(&mut self, random: &mut Random, now: Instant) {
        let age = now.since(self.turned);
        if age < TURN {
            return;
        }
        let is_late = age >= TURN * 2;
        self.previous = if is_late { random.bytes() } else { self.present };
        self.present = random.bytes();
        // Since it was due: the secret before would otherwise be accepted for up to six minutes.
        self.turned = if is_late { now } else { self.turned.after(TURN) };
    }
}
