//! The table of exit codes: a number for shells, a name for programs, a meaning, a next step.
//!
//! `egtp errors` prints it. Knows no command. Invariant: every name is there once, and every code
//! says what to do next.

use std::process::ExitCode;

/// Every way to fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Code {
    Internal,
    Io,
    Damaged,
    Owned,
    Listen,
    ClaimFailed,
    CommandFailed,
    Usage,
    Oneself,
    NeedsNode,
    NotFound,
    NotSent,
    Refused,
    TimedOut,
    Unknown,
    Closing,
    Interrupted,
    ReaderGone,
}

impl Code {
    /// All of them, in the order of their exit codes.
    pub(crate) const ALL: [Self; 18] = [
        Self::Internal,
        Self::Io,
        Self::Damaged,
        Self::Owned,
        Self::Listen,
        Self::ClaimFailed,
        Self::CommandFailed,
        Self::Usage,
        Self::Oneself,
        Self::NeedsNode,
        Self::NotFound,
        Self::NotSent,
        Self::Refused,
        Self::TimedOut,
        Self::Unknown,
        Self::Closing,
        Self::Interrupted,
        Self::ReaderGone,
    ];

    /// The exit code of the process.
    pub(crate) const fn exit(self) -> u8 {
        self.row().0
    }

    /// The name in JSON.
    pub(crate) const fn name(self) -> &'static str {
        self.row().1
    }

    /// What it means.
    pub(crate) const fn meaning(self) -> &'static str {
        self.row().2
    }

    /// What to do, where the failure itself knows nothing better.
    pub(crate) const fn next(self) -> &'static str {
        self.row().3
    }

    /// What to do after a mistake in the command line of this command.
    pub(crate) fn next_for(command: &str) -> String {
        SEE_EXAMPLES.replace("COMMAND", command)
    }

    /// Exit code, name, meaning, next step.
    const fn row(self) -> (u8, &'static str, &'static str, &'static str) {
        match self {
            Self::Internal => (
                1,
                "internal",
                "something that should not happen",
                "run it again with -vv, and report what it says",
            ),
            Self::Io => (
                1,
                "io",
                "the operating system refused to read or write something",
                "look at the path that is named: its permissions, and the space on its disk",
            ),
            Self::Damaged => (
                1,
                "damaged",
                "a file of the data directory cannot be used; it was left as it is",
                "repair or restore the file that is named; nothing replaces it for you",
            ),
            Self::Owned => (
                1,
                "data_owned",
                "another process uses this data directory",
                "stop that process, or give this command another --data or none",
            ),
            Self::Listen => (
                1,
                "listen",
                "an address or port to listen at cannot be had",
                "stop whoever uses the port, or name another with --listen tcp/HOST:PORT",
            ),
            Self::ClaimFailed => (
                1,
                "claim_failed",
                "the demonstration saw something else than it promised",
                "run it again with -vv, and report what it says",
            ),
            Self::CommandFailed => (1, "command_failed", COMMAND_FAILED, MEND_COMMAND),
            Self::Usage => {
                (2, "usage", "the command line or configuration is not understood", SEE_EXAMPLES)
            }
            Self::Oneself => (
                2,
                "oneself",
                "the peer is this node itself, and a session with oneself is an error",
                "ask from another identity: another --data, or none",
            ),
            Self::NeedsNode => (
                3,
                "needs_node",
                "this needs a running node, and none is there",
                "start one in another terminal: egtp up",
            ),
            Self::NotFound => (
                4,
                "not_found",
                "no lookup knows how to reach the peer; nothing was sent",
                "use the peer's ticket, or import its contact: egtp contact import",
            ),
            Self::NotSent => (
                5,
                "not_sent",
                "the peer's address is known, but nothing left this machine",
                "see whether the peer is up and its address right; repeating does no harm",
            ),
            Self::Refused => (
                6,
                "refused",
                "the peer answered that it will not serve this",
                "ask its operator: the reason says what to change",
            ),
            Self::TimedOut => (
                7,
                "timed_out",
                "no reply within the hard timeout",
                "repeat only if `taken` is `no`, or if doing it twice does no harm",
            ),
            Self::Unknown => (
                8,
                "unknown",
                "the peer was restarted meanwhile: it may have acted, or not",
                "ask the application what happened before you repeat it",
            ),
            Self::Closing => {
                (10, "closing", "this node is closing", "start it again; what was open has ended")
            }
            Self::Interrupted => (
                130,
                "interrupted",
                "you interrupted it; `taken` says what is known of the request under way",
                "repeat only if `taken` is `no`, or if doing it twice does no harm",
            ),
            Self::ReaderGone => (
                141,
                "reader_gone",
                "whoever read the output has stopped reading; nothing more is said about it",
                "nothing, if that was meant, as with head; else keep the output in a file",
            ),
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.exit())
    }
}

/// The general advice; whoever knows the command fills it in.
const COMMAND_FAILED: &str =
    "a command that was to take a message has failed, and the message stays";
const MEND_COMMAND: &str = "mend the command, and run this again";
const SEE_EXAMPLES: &str = "see the examples: egtp help COMMAND";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_distinct_names_and_each_says_what_to_do() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| !code.next().is_empty() && code.exit() != 0));
        assert!(Code::ALL.is_sorted_by_key(|code| code.exit()));
    }
}
