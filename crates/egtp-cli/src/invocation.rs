//! How this program was called, so that the commands it prints can be copied.
//!
//! Knows no command. Invariant: what it prints calls the same program again.

/// The words in front of the command: `cargo run --release --`, a path, or `egtp`.
pub(crate) fn egtp() -> String {
    let by_cargo = std::env::var_os("CARGO").is_some();
    if by_cargo && std::env::var_os("CARGO_MANIFEST_DIR").is_some() {
        return "cargo run --release --".to_owned();
    }
    let called = std::env::args().next().unwrap_or_default();
    if called.contains('/') { called } else { "egtp".to_owned() }
}
