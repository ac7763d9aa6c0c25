//! Manners towards those who do not speak our protocol: listen a while, say nothing, go.
//!
//! Closing at once, or after a fixed time, would tell a prober what it found; so would an answer.
//! Invariant: not one byte is ever written here, and only a bounded number linger at a time.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::shared::Shared;

/// Reads and throws away for a random while. `read_before` is what had been read already. Returns
/// at once when too many linger already; the caller then closes.
pub(super) async fn linger(stream: &TcpStream, shared: &Shared, read_before: usize) {
    let Some(_slot) = shared.slots.lingerer() else { return };
    let Some(stay) = random_stay() else { return };
    let bytes_max = shared.limits.lingerer_bytes_max.saturating_sub(read_before);
    // Either the stay is over or the other end has gone: both mean closing.
    drop(timeout(stay, discard(stream, bytes_max)).await);
}

async fn discard(stream: &TcpStream, bytes_max: usize) {
    let mut thrown_away = 0;
    let mut buffer = [0; 512];
    while thrown_away < bytes_max {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => thrown_away += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    std::future::pending::<()>().await;
}

fn random_stay() -> Option<Duration> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).ok()?;
    let milliseconds = u64::from(u32::from_le_bytes(random)) % (STAY_MAX - STAY_MIN + 1);
    Some(Duration::from_millis(STAY_MIN + milliseconds))
}

/// Between these many milliseconds.
const STAY_MIN: u64 = 5_000;
const STAY_MAX: u64 = 20_000;
