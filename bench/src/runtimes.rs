//! The two runtimes that users of tokio have. Client and server always use the same kind.

use tokio::runtime::{Builder, Runtime};

use crate::outcome::Outcome;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Tokio's current-thread runtime.
    CurrentThread,
    /// Tokio's default: as many workers as there are cores.
    MultiThread,
    /// No runtime does the work: blocking calls on a thread.
    Blocking,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::CurrentThread, Self::MultiThread, Self::Blocking];

    pub const fn word(self) -> &'static str {
        match self {
            Self::CurrentThread => "ct",
            Self::MultiThread => "mt",
            Self::Blocking => "blocking",
        }
    }

    pub fn from_word(word: &str) -> Outcome<Self> {
        let found = Self::ALL.into_iter().find(|one| one.word() == word);
        Ok(found.ok_or("no such runtime")?)
    }

    pub fn build(self) -> Outcome<Runtime> {
        let mut builder = match self {
            Self::MultiThread => Builder::new_multi_thread(),
            Self::CurrentThread | Self::Blocking => Builder::new_current_thread(),
        };
        Ok(builder.enable_all().build()?)
    }
}
