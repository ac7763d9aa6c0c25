//! Any text as a ticket: what is accepted prints as a text that reads back to the same ticket.

use egtp_proto::{SecretKey, Ticket};

use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(ticket) = text.parse::<Ticket>() else { return };
    assert!(ticket.strategies.len() <= Ticket::STRATEGIES_MAX);
    assert_eq!(ticket.to_string().parse().as_ref(), Ok(&ticket));
}

/// A bare key, one with the scheme, and one with a hint of each sort.
pub fn seeds() -> Vec<Seed> {
    let key = SecretKey::from_seed([1; 32]).public();
    let hints = "at=tcp/192.0.2.1:7700&at=udp/[2001:db8::1]:7700&at=quic/example.org:443";
    vec![
        ("bare", key.to_string().into_bytes()),
        ("full", format!("egtp:{key}?{hints}&at=relay/{key}").into_bytes()),
        ("scheme", format!("egtp:{key}").into_bytes()),
    ]
}
