//! Why a program could not even try: something other than a broken promise.
//!
//! Knows no promise. Invariant: says what was tried, and with which result.

use std::io;

use egtp::{ServeError, StartError};
use egtp_proto::KindError;

/// The surroundings failed. The program ends with code 2; nothing was shown either way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The operating system refused something.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A node did not start.
    #[error("a node did not start: {0}")]
    Start(#[from] StartError),
    /// A node does not serve.
    #[error("a node does not serve: {0}")]
    Serve(#[from] ServeError),
    /// A kind is misspelt in the program.
    #[error("not a kind: {0}")]
    Kind(#[from] KindError),
    /// A server process is not as it should be.
    #[error("the server process {what}; run it by hand with the arguments shown: {arguments}")]
    Process {
        /// What it did or did not do.
        what: String,
        /// How it was started.
        arguments: String,
    },
    /// A node has closed although nobody told it to.
    #[error("a node has closed although nobody told it to")]
    Gone,
    /// The program was called wrongly.
    #[error("{0}")]
    Usage(String),
    /// Something that the program waits for did not come; what it would have shown is not shown.
    #[error("waited {seconds} s in vain for {what}")]
    Waited {
        /// For how long.
        seconds: u64,
        /// For what.
        what: String,
    },
}

/// Gives an error of the system the words for what was tried.
pub fn trying<T>(what: impl Into<String>, result: io::Result<T>) -> Result<T, Failure> {
    result.map_err(|source| Failure::System { what: what.into(), source })
}
