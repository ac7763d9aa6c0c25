//! One node of the network: how its endpoint is set up, and what time it believes it is.
//!
//! Invariant: the same index, life and clocks give the same endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use egtp_proto::crypto::{Cipher, Suites};
use egtp_proto::limits::Limits;
use egtp_proto::time::{Instant, Now};
use egtp_proto::{Config, Endpoint, EventCode, PublicKey, QueryId, SecretKey};

use super::NODES;

/// One process and what its application knows.
pub(super) struct Node {
    pub endpoint: Endpoint,
    pub key: PublicKey,
    pub life: u32,
    /// Seconds by which its wall clock is wrong.
    pub wall: i64,
    /// What the application has in hand, by the number of the message.
    pub in_hand: BTreeMap<u64, QueryId>,
    /// What it waits for.
    pub open: BTreeMap<u64, EventCode>,
}

impl Node {
    /// The first life of a node.
    pub(super) fn new(index: usize, now: Duration) -> Self {
        Self {
            endpoint: endpoint(index, 0, now, 0),
            key: secret(index).public(),
            life: 0,
            wall: 0,
            in_hand: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }
}

pub(super) fn endpoint(index: usize, life: u32, now: Duration, wall: i64) -> Endpoint {
    let mut seed = [7; 32];
    seed[0] = u8::try_from(index).unwrap_or(0);
    seed[1..5].copy_from_slice(&life.to_le_bytes());
    let config = Config {
        identities: vec![secret(index).into()],
        limits: limits(),
        seed,
        suites: Suites::all(Cipher::Aes256Gcm),
        reachable: true,
        exclusive: true,
        part: egtp_proto::Part::WHOLE,
    };
    Endpoint::new(config, clocks(now, wall)).expect("the key is good")
}

pub(super) fn secret(index: usize) -> SecretKey {
    SecretKey::from_seed([u8::try_from(index).unwrap_or(0) + 1; 32])
}

/// The wall clock has its own idea of when everything began.
pub(super) fn clocks(now: Duration, wrong: i64) -> Now {
    let epoch = Duration::from_secs(1_700_000_000_u64.saturating_add_signed(wrong));
    Now { boot: Instant::new(now), wall: epoch + now }
}

/// Small, so that a script reaches them.
pub(super) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.message_bytes_max = 40_000;
    limits.reply_bytes_max = 40_000;
    limits.open_max = 12;
    limits.open_bytes_per_peer = 100_000;
    limits.queries_per_peer = 4;
    limits.query_bytes_per_peer = 90_000;
    limits.reassembly_bytes_per_peer = 60_000;
    limits.dialogs_max = 3;
    limits.dialogs_per_peer = 2;
    limits.peers_max = NODES - 1;
    limits.provisional_max = 2;
    limits.flights_per_prekey = 6;
    limits.prekeys_max = 2;
    limits.answers_max = 3;
    limits.unverified_per_second = 20;
    limits.verified_per_second = 50;
    limits
}
