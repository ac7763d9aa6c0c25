//! Tells the program which commit it was built from, where git can say so.
//!
//! Knows nothing about the program. Invariant: without git, or outside of a checkout, the build
//! succeeds and the commit reads `unknown`.

use std::io::Write;
use std::process::Command;

fn main() {
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".into());
    let mut lines = format!("cargo:rustc-env=EGTP_COMMIT={commit}\n");
    // The log of HEAD grows with every commit and every switch of branches.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            lines = format!("{lines}cargo:rerun-if-changed={path}\n");
        }
    }
    lines.push_str("cargo:rerun-if-changed=build.rs\n");
    // Cargo reads these lines from the standard output; without a reader there is no build.
    let _ = std::io::stdout().write_all(lines.as_bytes());
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
