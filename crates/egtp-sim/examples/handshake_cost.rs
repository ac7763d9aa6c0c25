//! What a handshake costs with each suite: both sides, on one thread, from the first message to the root.
//!
//! The suites take turns in one run, so that a busy machine slows all of them down alike: the ratio is what
//! counts. Proves nothing; `cargo run --release -p egtp-sim --example handshake_cost` prints a table.

use std::time::{Duration, Instant};

use egtp_proto::SecretKey;
use egtp_proto::crypto::{DhKey, Random, Suite};
use egtp_proto::session::handshake::LocalKeys;
use egtp_sim::shake::shake;

/// Handshakes of each suite in a round, and rounds; the fastest round counts.
const IN_A_ROUND: u32 = 200;
const ROUNDS: u32 = 10;

fn main() {
    let mut fastest = Suite::ALL.map(|_| Duration::MAX);
    let mut random = Random::from_seed([1; 32]);
    let prekey = DhKey::from_secret(&random.bytes());
    let (Some(alice), Some(bob), Ok(prekey)) = (keys(1), keys(2), prekey) else { return };
    for _ in 0..ROUNDS {
        for (suite, fastest) in Suite::ALL.into_iter().zip(&mut fastest) {
            let begun = Instant::now();
            for _ in 0..IN_A_ROUND {
                let done = shake(suite, (&alice, &bob, &prekey), &mut random);
                assert!(done.is_some(), "a handshake failed");
            }
            *fastest = begun.elapsed().min(*fastest);
        }
    }
    println!("| suite | µs | ratio to the suite without ML-KEM |");
    println!("|---|---|---|");
    for (suite, time) in Suite::ALL.into_iter().zip(fastest) {
        let like = |other: &Suite| other.cipher() == suite.cipher() && !other.is_hybrid();
        let plain = Suite::ALL.iter().position(like).and_then(|index| fastest.get(index));
        let ratio = plain.map_or(1.0, |plain| time.as_secs_f64() / plain.as_secs_f64());
        let micros = time.as_secs_f64() * 1e6 / f64::from(IN_A_ROUND);
        println!("| {suite:?} | {micros:.0} | {ratio:.2} |");
    }
}

fn keys(seed: u8) -> Option<LocalKeys> {
    LocalKeys::new(&SecretKey::from_seed([seed; 32]))
}
