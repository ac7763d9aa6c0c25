//! What a session at rest costs, with the places by which it is found: bytes as the allocator counts them.

use std::time::Duration;

use egtp_proto::crypto::{Role, Suite};
use egtp_proto::session::frozen::{Facts, Freezer, Frozen, Owner};
use egtp_proto::time::Instant;
use egtp_proto::{IdentityId, SecretKey};

const PEERS: u32 = 500;
const SESSIONS: u32 = 20_000;

/// Proves LIF-2: at most 128 bytes each, wherever tables are in their growth.
#[test]
fn a_session_at_rest_takes_at_most_128_bytes() {
    let keys: Vec<_> = (0..PEERS)
        .map(|number| {
            let mut seed = [0; 32];
            seed[..4].copy_from_slice(&number.to_le_bytes());
            SecretKey::from_seed(seed).public()
        })
        .collect();
    let mut kept = None;
    let memory = allocation_counter::measure(|| {
        let mut freezer = Freezer::new(usize::MAX, &[1; 32]);
        for (id, key) in (1..=SESSIONS).zip(keys.iter().cycle()) {
            let owner = Owner { identity: IdentityId(0), peer: *key, client: true, suspect: false };
            let facts = Facts {
                owner,
                id,
                remote_id: id,
                made: Instant::new(Duration::from_secs(1)),
                received: Instant::new(Duration::from_secs(2)),
                hash: [0; 4],
                epoch: 0,
                role: Role::Responder,
                suite: Suite::HybridAes256Gcm,
                doubted: false,
                is_retired: false,
            };
            freezer.put(Frozen::new(&facts, &[7; 32]).unwrap());
        }
        kept = Some(freezer);
    });
    assert_eq!(kept.map(|freezer| freezer.len()), Some(20_000));
    let each = memory.bytes_current / i64::from(SESSIONS);
    println!("{each} bytes each for {SESSIONS} sessions");
    assert!((88..=128).contains(&each), "{each} bytes each");
}
