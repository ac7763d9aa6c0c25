//! The log: to stderr, for those who look for a fault.
//!
//! Invariant: never a body, a whole key or a secret; what the library logs has been written so.

use tracing_subscriber::EnvFilter;

/// Begins to log at this level, unless `EGTP_LOG` has a filter of its own.
pub(crate) fn begin(level: &str) {
    let wanted = std::env::var("EGTP_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = EnvFilter::builder().parse_lossy(wanted.as_deref().unwrap_or(level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter);
    // Only fails when somebody else logs already; then there is a log.
    let _ = subscriber.with_writer(std::io::stderr).with_ansi(false).try_init();
}
