//! A place in a group, what comes back for it, and how a group fails.
//!
//! Names are for this process: nothing here goes over the wire. Invariant: no two groups of a process
//! have the same id.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::RequestError;
use crate::message::Reply;

/// The name of a group, different from that of every other group of this process. It tells whose a
/// member is when several groups are awaited in one place.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupId(u64);

impl GroupId {
    pub(super) fn next() -> Self {
        static ISSUED: AtomicU64 = AtomicU64::new(1);
        Self(ISSUED.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}", self.0)
    }
}

/// One place in one group. Everything that a group says of a request names it so.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Member {
    /// The group.
    pub group: GroupId,
    /// The position in it, from 0 to one less than the number of members.
    pub index: usize,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, member {}", self.group, self.index)
    }
}

/// What came back for a member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MemberReply {
    /// Which.
    pub member: Member,
    /// The reply.
    pub reply: Reply,
    /// How often the group has asked, this time included.
    pub tries: u32,
}

/// Why a group ended early: this member has failed, and the others were dropped. What became of those
/// that were under way is not known; those that had been given out before are done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{member} failed at try {tries}: {source}")]
pub struct GroupError {
    /// Which.
    pub member: Member,
    /// How often the group has asked, this time included.
    pub tries: u32,
    /// Why the last time failed.
    pub source: RequestError,
}
