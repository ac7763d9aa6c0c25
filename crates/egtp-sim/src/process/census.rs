//! What the askers were told about each request, held against what the server has counted.
//!
//! Knows neither nodes nor processes, only the two lists. Invariant: each rule names the bodies that
//! break it, so that a broken promise can be looked into.

use std::collections::{BTreeMap, HashMap};

use egtp::{RequestError, Taken};

use super::report::{Checks, say};

/// How one request ended, as its asker was told.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Ending {
    /// The reply, with the body that was sent.
    Reply,
    /// A reply with another body: somebody else's.
    ForeignReply,
    /// Refused by the peer.
    Refused,
    /// Nothing left this machine.
    NotSent,
    /// The hard timeout; the peer is known to have taken it.
    TimedOutTaken,
    /// The hard timeout; the peer is known not to have taken it.
    TimedOutNotTaken,
    /// The hard timeout; nobody knows.
    TimedOutUnknown,
    /// The peer lost its memory.
    Unknown,
    /// The asker's node was closing.
    Closing,
    /// None was given long after the hard timeout.
    Never,
}

/// What of a request must be true at the server.
enum Rule {
    Once,
    Never,
    AtMostOnce,
}

impl Ending {
    /// The ending that a library call tells; `sent` is the body of the request.
    pub fn of(result: &Result<egtp::Reply, RequestError>, sent: &[u8]) -> Self {
        match result {
            Ok(reply) if reply.body == sent => Self::Reply,
            Ok(_) => Self::ForeignReply,
            Err(RequestError::Refused(_)) => Self::Refused,
            Err(RequestError::NotSent(_)) => Self::NotSent,
            Err(RequestError::TimedOut { taken: Taken::Yes, .. }) => Self::TimedOutTaken,
            Err(RequestError::TimedOut { taken: Taken::No, .. }) => Self::TimedOutNotTaken,
            Err(RequestError::TimedOut { .. }) => Self::TimedOutUnknown,
            Err(RequestError::Unknown { .. }) => Self::Unknown,
            Err(_) => Self::Closing,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::ForeignReply => "reply with another body",
            Self::Refused => "refused",
            Self::NotSent => "not_sent",
            Self::TimedOutTaken => "timed_out taken=yes",
            Self::TimedOutNotTaken => "timed_out taken=no",
            Self::TimedOutUnknown => "timed_out taken=unknown",
            Self::Unknown => "unknown",
            Self::Closing => "closing",
            Self::Never => "no outcome",
        }
    }

    const fn rule(self) -> Rule {
        match self {
            Self::Reply | Self::ForeignReply => Rule::Once,
            Self::Refused | Self::NotSent | Self::TimedOutNotTaken => Rule::Never,
            // Taken is what the receiver marks before its handler runs: killed in between, it has
            // taken a message and counted nothing.
            Self::TimedOutTaken
            | Self::TimedOutUnknown
            | Self::Unknown
            | Self::Closing
            | Self::Never => Rule::AtMostOnce,
        }
    }
}

/// All requests of a run by their bodies, each with its endings.
#[derive(Debug, Default)]
pub struct Census {
    endings: HashMap<String, Vec<Ending>>,
}

impl Census {
    /// No request yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A request was begun.
    pub fn begun(&mut self, body: &str) {
        self.endings.entry(body.to_owned()).or_default();
    }

    /// A request has ended.
    pub fn ended(&mut self, body: &str, ending: Ending) {
        self.endings.entry(body.to_owned()).or_default().push(ending);
    }

    /// How many requests were begun.
    pub fn requests(&self) -> usize {
        self.endings.len()
    }

    /// Prints the endings by kind, and claims that the server has counted as they say.
    pub fn judge(&self, counted: &HashMap<String, u64>, checks: &mut Checks) {
        let mut kinds = BTreeMap::<Ending, (u64, u64)>::new();
        let lines: u64 = counted.values().sum();
        for (body, endings) in &self.endings {
            for ending in endings {
                let (requests, count) = kinds.entry(*ending).or_default();
                *requests += 1;
                *count += counted.get(body).copied().unwrap_or(0);
            }
        }
        say(format_args!("  {} requests, {lines} counted lines", self.requests()));
        for (ending, (requests, count)) in kinds {
            say(format_args!("    {requests:>8} {:<24} {count:>8} counted", ending.word()));
        }
        checks.none("no body is counted twice", &self.breaking(counted, |_, count| count > 1));
        checks.none(
            "every reply is counted",
            &self.breaking(counted, |ending, count| {
                matches!(ending.rule(), Rule::Once) && count == 0
            }),
        );
        checks.none(
            "not_sent, refused and timed_out taken=no are never counted",
            &self.breaking(counted, |ending, count| {
                matches!(ending.rule(), Rule::Never) && count > 0
            }),
        );
        checks.none(
            "every reply is the one to its request",
            &self.breaking(counted, |ending, _| ending == Ending::ForeignReply),
        );
        checks.none("every request has exactly one outcome", &self.without_one_outcome());
        let strangers = counted.keys().filter(|body| !self.endings.contains_key(*body)).cloned();
        checks.none("every counted body was asked for", &strangers.collect::<Vec<_>>());
    }

    fn breaking(
        &self,
        counted: &HashMap<String, u64>,
        breaks: impl Fn(Ending, u64) -> bool,
    ) -> Vec<String> {
        let mut offenders = Vec::new();
        for (body, endings) in &self.endings {
            let count = counted.get(body).copied().unwrap_or(0);
            for ending in endings.iter().filter(|ending| breaks(**ending, count)) {
                offenders.push(format!("{body}: {}, counted {count} times", ending.word()));
            }
        }
        offenders
    }

    fn without_one_outcome(&self) -> Vec<String> {
        let broken = self.endings.iter().filter(|(_, endings)| !has_one_outcome(endings));
        broken.map(|(body, endings)| format!("{body}: {endings:?}")).collect()
    }
}

fn has_one_outcome(endings: &[Ending]) -> bool {
    matches!(endings, [ending] if *ending != Ending::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offenders(ending: Ending, count: u64) -> usize {
        let mut census = Census::new();
        census.begun("a");
        census.ended("a", ending);
        let counted = HashMap::from([("a".to_owned(), count)]);
        let mut checks = Checks::new();
        census.judge(&counted, &mut checks);
        checks.broken()
    }

    #[test]
    fn each_outcome_allows_the_counts_that_it_promises_and_no_other() {
        assert_eq!(offenders(Ending::Reply, 1), 0);
        assert_eq!(offenders(Ending::Reply, 0), 1);
        assert_eq!(offenders(Ending::Reply, 2), 1);
        assert_eq!(offenders(Ending::NotSent, 0), 0);
        assert_eq!(offenders(Ending::NotSent, 1), 1);
        assert_eq!(offenders(Ending::TimedOutNotTaken, 1), 1);
        assert_eq!(offenders(Ending::Unknown, 1), 0);
        assert_eq!(offenders(Ending::Unknown, 2), 1);
        assert_eq!(offenders(Ending::Never, 0), 1);
    }

    #[test]
    fn a_request_without_an_outcome_and_a_body_that_nobody_sent_are_found() {
        let mut census = Census::new();
        census.begun("a");
        let mut checks = Checks::new();
        census.judge(&HashMap::from([("b".to_owned(), 1)]), &mut checks);
        assert_eq!(checks.broken(), 2);
    }
}
