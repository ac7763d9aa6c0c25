//! What sessions at rest take, by how many there are: the product's own proof of that, run for several sizes.

use std::process::Command;

use crate::outcome::Outcome;

/// How many sessions, and bytes for each.
pub type Point = (f64, f64);

const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// How many begin with a real handshake, and how many are woken to prove that they still serve.
const REAL: u32 = 1_000;

/// Runs the example `idle_sessions` for each size; it fails where a session does not serve.
pub fn measure() -> Outcome<Vec<Point>> {
    SIZES.into_iter().map(|size| Ok((f64::from(size), bytes_each(size)?))).collect()
}

fn bytes_each(size: u32) -> Outcome<f64> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new("cargo")
        .args(["run", "--release", "--locked", "--quiet", "--manifest-path", manifest])
        .args(["-p", "egtp-sim", "--example", "idle_sessions", "--"])
        .args([size, REAL, REAL].map(|number| number.to_string()))
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find_map(|line| line.strip_suffix(" each"));
    let each = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    // Not by how it ends: the bound of bytes is for very many, and few pay for tables that are made for more.
    let served = format!("{REAL} of {REAL} opened a fresh record of their peer, 0 one of another");
    each.filter(|_| said.contains(&served))
        .ok_or_else(|| format!("idle_sessions: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// As a table.
pub fn markdown(points: &[Point]) -> String {
    let mut text = String::from(
        "\n### 9. Memory of sessions at rest, as the allocator counts it\n\n| sessions | bytes each |\n|---|---|\n",
    );
    for (sessions, bytes) in points {
        text += &format!("| {sessions} | **{bytes:.1}** |\n");
    }
    text
}
