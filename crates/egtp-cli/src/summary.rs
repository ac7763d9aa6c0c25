//! Many outcomes in two lines.
//!
//! Knows outcomes, not how they came about. Invariant: its exit code is the highest that occurred.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::ended::Ended;

/// Counts and times of requests that have ended.
#[derive(Debug)]
pub(crate) struct Summary {
    since: Instant,
    by_name: BTreeMap<&'static str, u32>,
    took: Vec<Duration>,
    highest: u8,
}

impl Summary {
    /// Begins to count, and to measure time.
    pub(crate) fn begin() -> Self {
        Self { since: Instant::now(), by_name: BTreeMap::new(), took: Vec::new(), highest: 0 }
    }

    /// Takes one in.
    pub(crate) fn count(&mut self, ended: &Ended) {
        *self.by_name.entry(ended.outcome).or_default() += 1;
        if ended.reply.is_some() {
            self.took.push(ended.took);
        }
        let exit = ended.code().map_or(0, crate::failure::Code::exit);
        self.highest = self.highest.max(exit);
    }

    /// The highest exit code of all.
    pub(crate) fn exit_code(&self) -> ExitCode {
        self.highest.into()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> =
            self.by_name.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let seconds = self.since.elapsed().as_secs_f64();
        let all: u32 = self.by_name.values().sum();
        let noun = if all == 1 { "request" } else { "requests" };
        write!(f, "{all} {noun} in {seconds:.3} s: {}", counts.join(", "))?;
        let mut took = self.took.clone();
        took.sort_unstable();
        let at = |percent| percentile(&took, percent).as_secs_f64() * 1e3;
        if !took.is_empty() {
            let (half, most, all) = (at(50), at(99), at(100));
            write!(
                f,
                "\nreplies took {half:.3} ms (50 %), {most:.3} ms (99 %), {all:.3} ms (100 %)"
            )?;
        }
        Ok(())
    }
}

/// The shortest time within which so many percent of all were done (nearest rank), of times in order.
fn percentile(took: &[Duration], percent: usize) -> Duration {
    let rank = (took.len() * percent).div_ceil(100);
    took.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_within_which_so_many_were_done() {
        let took = |count: u64| (1..=count).map(Duration::from_secs).collect::<Vec<_>>();
        for (count, percent, seconds) in [
            (3, 99, 3),
            (3, 50, 2),
            (2, 50, 1),
            (1, 99, 1),
            (100, 99, 99),
            (200, 50, 100),
            (0, 50, 0),
        ] {
            let found = percentile(&took(count), percent);
            assert_eq!(found, Duration::from_secs(seconds), "{percent} % of {count}");
        }
    }
}
