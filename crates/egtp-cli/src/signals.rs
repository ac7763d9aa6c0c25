//! SIGINT, SIGTERM and SIGHUP.
//!
//! Knows nothing of what is to be stopped. Invariant: the first one asks, the second one ends the
//! process at once; a SIGHUP that was ignored when we were started, as `nohup` does, stays ignored.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Code, Failure};

/// The signals that ask this process to stop.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    /// To stop.
    Stop,
    /// To read the configuration again, or to stop where there is nothing to read.
    Reload,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let caught = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(Code::Internal, format_args!("cannot catch signals: {error}"))
            })
        };
        let is_ignored = std::fs::read_to_string("/proc/self/status")
            .is_ok_and(|status| ignores(&status, SignalKind::hangup()));
        let hangup = if is_ignored { None } else { Some(caught(SignalKind::hangup())?) };
        let interrupt = caught(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: caught(SignalKind::terminate())?, hangup })
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        self.told().await;
    }

    /// Waits for the next one, and says what it means to who can read its configuration again. Cancel safe.
    pub(crate) async fn told(&mut self) -> Told {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = hangup => Told::Reload,
        }
    }

    /// From now on the next one ends the process.
    pub(crate) fn give_up_on_next(mut self) {
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(Code::Interrupted.exit().into());
        });
    }
}

/// Whether the status of a process, as Linux writes it, says that a signal is ignored. Elsewhere
/// there is no such file, and the signal counts as not ignored.
fn ignores(status: &str, kind: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    // Signals are counted from 1.
    let bit = u32::try_from(kind.as_raw_value()).unwrap_or(0).saturating_sub(1);
    mask.checked_shr(bit).is_some_and(|rest| rest & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_read_from_the_mask() {
        let hangup = SignalKind::hangup();
        assert!(ignores("Name:\tx\nSigIgn:\t0000000000000001\n", hangup));
        assert!(!ignores("SigIgn:\t0000000000001002\n", hangup));
        assert!(ignores("SigIgn:\t0000000000001002\n", SignalKind::interrupt()));
        for broken in ["", "SigIgn:", "SigIgn:\tzz", "SigBlk:\t1"] {
            assert!(!ignores(broken, hangup), "{broken}");
        }
    }
}
