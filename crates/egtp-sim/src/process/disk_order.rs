//! The order of a node's disk and network, read from a trace of its system calls.
//!
//! Knows what `strace -f -ttt -yy` writes, and nothing of packets: they are sealed. So it judges runs in
//! which one durable request at a time goes over a session that is there already: each stretch of the trace
//! without a pause is one request. Invariant: a call counts as sending from its begin, as writing or
//! syncing only when it has returned and said that it was done.

use std::collections::HashMap;

/// What a trace shows.
#[derive(Debug, Default)]
pub struct DiskOrder {
    /// Requests in which something was sent to the peer.
    pub requests: usize,
    /// Times that something was sent to the peer.
    pub sent: usize,
    /// Times that a handler did what it was asked.
    pub effects: usize,
    /// Times that the log was on the disk.
    pub synced: usize,
    /// Lines that send, or let a handler act, before what had led to it was on the disk.
    pub early: Vec<String>,
}

impl DiskOrder {
    /// Reads a trace. What began before `from`, in seconds since the Unix epoch, is left out.
    ///
    /// Since the last bytes came from the peer, or since the request began, the log must have been written
    /// and after that synced before anything goes out.
    pub fn read(trace: &str, from: f64) -> Self {
        let mut order = Self::default();
        let mut begun = HashMap::new();
        let mut since = Since::default();
        let (mut last, mut has_sent) = (from, false);
        for (number, line) in trace.lines().enumerate() {
            let Some(Step { thread, at, rest }) = Step::read(line) else { continue };
            if at < from {
                continue;
            }
            let (first, call) = match rest.split_once(" resumed>") {
                Some((_, resumed)) if rest.starts_with("<... ") => {
                    let Some((first, start)) = begun.remove(thread) else { continue };
                    (first, format!("{start}{resumed}"))
                }
                _ => (number, rest.to_owned()),
            };
            let is_begin = first == number;
            if let Some(start) = rest.strip_suffix("<unfinished ...>") {
                begun.insert(thread, (number, start.to_owned()));
            }
            let Some(deed) = Deed::of(&call) else { continue };
            if at - last > PAUSE {
                (since, has_sent) = (Since::default(), false);
            }
            last = at;
            let is_done = result(&call).is_some_and(|result| result > 0);
            match deed {
                Deed::Receive if is_done => since = Since { began: number, ..Since::default() },
                Deed::Write if is_done && first >= since.began => {
                    since.wrote.get_or_insert(number);
                }
                Deed::Sync if result(&call) == Some(0) && !call.contains("INJECTED") => {
                    order.synced += 1;
                    since.is_safe |= since.wrote.is_some_and(|wrote| wrote < first);
                }
                Deed::Send | Deed::Effect if is_begin => {
                    if deed == Deed::Effect {
                        order.effects += 1;
                    } else {
                        order.sent += 1;
                        order.requests += usize::from(!has_sent);
                        has_sent = true;
                    }
                    if !since.is_safe {
                        order.early.push(line.to_owned());
                    }
                }
                _ => {}
            }
        }
        order
    }
}

/// What has happened since bytes came from the peer.
#[derive(Default)]
struct Since {
    /// The line with them.
    began: usize,
    /// The first line after which the log was written.
    wrote: Option<usize>,
    /// Whether it was synced after that.
    is_safe: bool,
}

/// A line of a trace: `thread seconds call`.
struct Step<'a> {
    thread: &'a str,
    at: f64,
    rest: &'a str,
}

impl<'a> Step<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (thread, line) = line.split_once(' ')?;
        let (at, rest) = line.trim_start().split_once(' ')?;
        Some(Self { thread, at: at.parse().ok()?, rest })
    }
}

/// What matters of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Deed {
    Receive,
    Send,
    Write,
    Sync,
    Effect,
}

impl Deed {
    fn of(call: &str) -> Option<Self> {
        let (name, rest) = call.split_once('(')?;
        // The first descriptor, as in `12</place/store.db-wal>` or `19<TCP:[one->other]>`.
        let (_, object) = rest.split_once('<')?;
        let object = object.split_once([',', ')']).map_or(object, |(object, _)| object);
        let object = object.trim_end_matches(['>', ' ']);
        match name {
            "recvfrom" | "recvmsg" | "read" | "readv" => {
                object.starts_with("TCP").then_some(Self::Receive)
            }
            "sendto" | "sendmsg" | "write" | "writev" if object.starts_with("TCP") => {
                Some(Self::Send)
            }
            "write" | "pwrite64" if object.ends_with(LOG) => Some(Self::Write),
            "write" if object.ends_with(EFFECTS) => Some(Self::Effect),
            "fsync" | "fdatasync" => object.ends_with(LOG).then_some(Self::Sync),
            _ => None,
        }
    }
}

/// The number that a call has returned, if it has.
fn result(call: &str) -> Option<i64> {
    let (_, result) = call.rsplit_once(" = ")?;
    result.split(' ').next()?.parse().ok()
}

/// A request is over when so many seconds have passed without any of these calls.
const PAUSE: f64 = 0.25;
/// What the log of a store is called.
const LOG: &str = "/store.db-wal";
/// The file that the handlers of such a run append to.
const EFFECTS: &str = "/counted";

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVE: &str =
        r#"recvfrom(19<TCP:[127.0.0.1:1->127.0.0.1:2]>, ""..., 4096, 0, NULL, NULL) = 80"#;
    const WRITE: &str = r#"pwrite64(12</x/store.db-wal>, ""..., 24, 78312) = 24"#;
    const SYNC: &str = "fsync(12</x/store.db-wal>) = 0";
    const SEND: &str = "writev(19<TCP:[127.0.0.1:1->127.0.0.1:2]>, [...], 1) = 51";
    const EFFECT: &str = r#"write(1</x/counted>, ""..., 5) = 5"#;

    fn order(calls: &[&str]) -> DiskOrder {
        let lines = calls.iter().enumerate().map(|(number, call)| {
            let thread = if call.contains("sync") { 8 } else { 7 };
            format!("{thread}  10.{number:06} {call}\n")
        });
        DiskOrder::read(&lines.collect::<String>(), 1.0)
    }

    #[test]
    fn what_goes_out_after_the_sync_is_in_order() {
        let order = order(&[RECEIVE, WRITE, WRITE, SYNC, EFFECT, SEND, RECEIVE, WRITE, SYNC, SEND]);
        assert_eq!((order.requests, order.sent, order.effects, order.synced), (1, 2, 1, 2));
        assert_eq!(order.early, [""; 0]);
    }

    #[test]
    fn what_goes_out_before_a_sync_that_counts_is_early() {
        let injected = "fsync(12</x/store.db-wal>) = 0 (INJECTED)";
        let failed = "fsync(12</x/store.db-wal>) = -1 EIO (Input/output error)";
        let elsewhere = "fsync(12</x/store.db>) = 0";
        for calls in [
            &[RECEIVE, SEND][..],
            &[RECEIVE, WRITE, SEND, SYNC],
            &[RECEIVE, SYNC, WRITE, SEND],
            &[WRITE, SYNC, RECEIVE, SEND],
            &[RECEIVE, WRITE, injected, SEND],
            &[RECEIVE, WRITE, failed, SEND],
            &[RECEIVE, WRITE, elsewhere, SEND],
            &[RECEIVE, WRITE, EFFECT, SYNC, SEND],
            &[WRITE, SEND, SYNC],
        ] {
            assert_eq!(order(calls).early.len(), 1, "{calls:?}");
        }
    }

    #[test]
    fn a_sync_counts_when_it_has_returned_and_a_send_when_it_begins() {
        let (begin, end) =
            ("fsync(12</x/store.db-wal> <unfinished ...>", "<... fsync resumed>) = 0");
        assert_eq!(order(&[RECEIVE, WRITE, begin, end, SEND]).early.len(), 0);
        assert_eq!(order(&[RECEIVE, WRITE, begin, SEND, end]).early.len(), 1);
        let (begin, end) = (
            "writev(19<TCP:[127.0.0.1:1->127.0.0.1:2]>, [...], 1 <unfinished ...>",
            "<... writev resumed>) = 51",
        );
        let order = order(&[RECEIVE, WRITE, begin, SYNC, end]);
        assert_eq!((order.sent, order.early.len()), (1, 1));
    }

    #[test]
    fn after_a_pause_what_was_synced_before_does_not_count() {
        let lines = [(1.0, RECEIVE), (1.1, WRITE), (1.2, SYNC), (1.3, SEND), (1.9, SEND)];
        let lines = lines.map(|(at, call)| format!("7 {at} {call}\n"));
        let order = DiskOrder::read(&lines.concat(), 0.5);
        assert_eq!((order.requests, order.early.len()), (2, 1));
        assert_eq!(DiskOrder::read(&lines.concat(), 1.5).requests, 1);
    }
}
