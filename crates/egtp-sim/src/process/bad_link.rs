//! A bad link to a server: slow, lossy, and cut now and then.
//!
//! Where the kernel does it, packets on the loopback of a network namespace are dropped, doubled and held to
//! a rate, and connections are ended under both programs' feet. Elsewhere a wire that passes on what it reads
//! is slow, stalls as often as packets would be lost, and is cut; there the kernel loses nothing. Invariant:
//! the loopback of the machine itself is never touched.

use std::fmt;
use std::net::SocketAddr;
use std::process::Command;

use super::dice::Dice;
use super::failure::{Failure, trying};
use super::forwarder::{Forwarder, Quality};

/// What makes the link bad.
#[derive(Debug)]
pub enum BadLink {
    /// The kernel, on the loopback of this namespace; the server listens there.
    Kernel(SocketAddr),
    /// A wire in between.
    Wire(Forwarder),
}

/// What the link has done to packets so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Toll {
    /// Packets that the kernel was given.
    pub packets: u64,
    /// Packets that were dropped by chance.
    pub dropped: u64,
    /// Packets that were dropped because too many waited.
    pub overflowed: u64,
    /// Packets that were doubled.
    pub doubled: u64,
}

impl BadLink {
    /// Makes the loopback of this network namespace bad, of which the process has one of its own.
    ///
    /// # Errors
    /// [`Failure::Usage`] if loopback is up: then it is somebody's already. [`Failure::System`] if the kernel,
    /// or a tool, cannot do it.
    pub fn kernel(server: SocketAddr) -> Result<Self, Failure> {
        let link = called("ip", "link show dev lo")?;
        if !link.contains("state DOWN") {
            let why = "the kernel's link wants a network namespace of its own: unshare --net";
            return Err(Failure::Usage(why.into()));
        }
        // One segment each, so that what is dropped is a packet as a wire would carry it.
        called("ip", "link set dev lo mtu 1500 gso_max_segs 1 up")?;
        called("tc", "qdisc add dev lo clsact")?;
        filter("1", &chance(LOST_PERCENT, DROP, NEXT), &["direct-action"])?;
        let mirror = ["action", "mirred", "egress", "mirror", "dev", "lo"];
        filter("2", &chance(DOUBLED_PERCENT, MATCH, NO_MATCH), &mirror)?;
        called(
            "tc",
            &format!(
                "qdisc add dev lo root tbf rate {BITS_PER_SECOND}bit burst 3000 latency 500ms"
            ),
        )?;
        Ok(Self::Kernel(server))
    }

    /// A bad wire to this server, where the kernel does not help.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub async fn wire(server: SocketAddr, dice: Dice) -> Result<Self, Failure> {
        let quality = Quality::Bad { bits: BITS_PER_SECOND, stalled: LOST_PERCENT, dice };
        Ok(Self::Wire(Forwarder::start_with(server, quality).await?))
    }

    /// Where an asker connects.
    pub const fn address(&self) -> SocketAddr {
        match self {
            Self::Kernel(server) => *server,
            Self::Wire(wire) => wire.address(),
        }
    }

    /// Cuts what is open, at the asker's end, at the server's, or at both; gives back how many ends of
    /// connections were closed. The other end hears of it if that packet is not lost.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub fn cut(&self, dice: &mut Dice) -> Result<u64, Failure> {
        match self {
            Self::Kernel(server) => {
                let port = server.port();
                let ends = match dice.among(1..=3) {
                    1 => format!("sport = :{port}"),
                    2 => format!("dport = :{port}"),
                    _ => format!("( sport = :{port} or dport = :{port} )"),
                };
                let closed = called("ss", &format!("-K -H -t -n state established {ends}"))?;
                Ok(lines(&closed))
            }
            Self::Wire(wire) => {
                let before = wire.open_now();
                wire.cut();
                Ok(before)
            }
        }
    }

    /// What the kernel has done so far; nothing if it is not the kernel.
    ///
    /// # Errors
    /// [`Failure::System`] if it does not say.
    pub fn toll(&self) -> Result<Toll, Failure> {
        if let Self::Wire(_) = self {
            return Ok(Toll::default());
        }
        let queues = called("tc", "-s qdisc show dev lo")?;
        let doubled = called("tc", "-s filter show dev lo egress")?;
        let chance = behind(&queues, "qdisc clsact");
        let queue = behind(&queues, "qdisc tbf");
        Ok(Toll {
            packets: number_before(chance, "pkt"),
            dropped: number_before(chance, ","),
            overflowed: number_before(queue, ","),
            doubled: number_before(behind(&doubled, "Action statistics:"), "pkt"),
        })
    }
}

impl fmt::Display for BadLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kilobits = BITS_PER_SECOND / 1000;
        match self {
            Self::Kernel(_) => write!(
                f,
                "the kernel: {kilobits} kbit/s, {LOST_PERCENT} % of packets lost, {DOUBLED_PERCENT} % doubled"
            ),
            Self::Wire(_) => write!(
                f,
                "a wire of {kilobits} kbit/s that stalls for {LOST_PERCENT} % of its packets; the kernel loses nothing"
            ),
        }
    }
}

/// Adds a filter on what leaves.
fn filter(order: &str, program: &str, rest: &[&str]) -> Result<(), Failure> {
    let words = ["filter", "add", "dev", "lo", "egress", "prio", order, "bpf", "bytecode", program];
    call("tc", &[&words, rest].concat())?;
    Ok(())
}

/// A packet filter of four instructions: load a random number, compare it, and say one thing or the other.
fn chance(percent: u64, then: u32, otherwise: u32) -> String {
    let below = u64::from(u32::MAX) * percent / 100;
    format!("4,32 0 0 {RANDOM},53 1 0 {below},6 0 0 {then},6 0 0 {otherwise}")
}

/// Runs a tool with these words, and gives back what it says.
fn called(tool: &str, words: &str) -> Result<String, Failure> {
    call(tool, &words.split(' ').collect::<Vec<_>>())
}

fn call(tool: &str, words: &[&str]) -> Result<String, Failure> {
    let what = format!("run {tool} {}", words.join(" "));
    let output = trying(what.clone(), Command::new(tool).args(words).output())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return trying(what, Err(std::io::Error::other(said)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn lines(text: &str) -> u64 {
    u64::try_from(text.lines().filter(|line| !line.trim().is_empty()).count()).unwrap_or(0)
}

/// The text after this phrase.
fn behind<'a>(text: &'a str, phrase: &str) -> &'a str {
    text.split_once(phrase).map_or("", |(_, rest)| rest)
}

/// The number in front of the first word, or end of a word, like this: of `1740 pkt (dropped 36,` 1740 is
/// before `pkt` and 36 before `,`.
fn number_before(text: &str, mark: &str) -> u64 {
    let front = text.split_once(mark).map_or("", |(front, _)| front);
    front.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// What passes in a second, both ways together: a poor telephone line.
const BITS_PER_SECOND: u64 = 300_000;
/// Packets that are lost, of a hundred.
const LOST_PERCENT: u64 = 20;
/// Packets that arrive twice, of a hundred that are not lost.
const DOUBLED_PERCENT: u64 = 10;
/// Where a packet filter finds a random number: `SKF_AD_OFF + SKF_AD_RANDOM`.
const RANDOM: u32 = 0xffff_f000 + 56;
/// What a filter says that decides itself: drop it (`TC_ACT_SHOT`).
const DROP: u32 = 2;
/// What it says otherwise: ask the next filter (`TC_ACT_UNSPEC`, -1).
const NEXT: u32 = u32::MAX;
/// What a filter says that only looks: this is one for the action.
const MATCH: u32 = u32::MAX;
/// What it says otherwise.
const NO_MATCH: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_counts_is_read() {
        let said = "qdisc tbf 1: root rate 300Kbit\n Sent 79 bytes 1740 pkt (dropped 3, overlimits 0)\n \
                    backlog 0b\nqdisc clsact ffff: parent ffff:fff1 \n Sent 98 bytes 2176 pkt (dropped 436, o";
        let (chance, queue) = (behind(said, "qdisc clsact"), behind(said, "qdisc tbf"));
        assert_eq!((number_before(chance, "pkt"), number_before(chance, ",")), (2176, 436));
        assert_eq!(number_before(queue, ","), 3);
        assert_eq!(number_before("", "pkt"), 0);
    }

    #[test]
    fn a_fifth_of_all_numbers_is_dropped_and_the_rest_passes_on() {
        let program = "4,32 0 0 4294963256,53 1 0 858993459,6 0 0 2,6 0 0 4294967295";
        assert_eq!(chance(20, DROP, NEXT), program);
        let doubled = chance(10, MATCH, NO_MATCH);
        assert!(doubled.ends_with("53 1 0 429496729,6 0 0 4294967295,6 0 0 0"), "{doubled}");
    }
}
