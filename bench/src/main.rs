//! EGTP beside a plain length-prefixed TCP echo, in one run on one machine.
//!
//! `egtp-bench [SECONDS]` starts each server as a process of its own, pinned to the second core, and
//! measures from this process, pinned to the first. Every figure is the median of three runs; the
//! ratio of two figures of one run is what counts, seconds alone prove nothing on a shared machine.

mod egtp_side;
mod machine;
mod plain_side;

use std::time::Duration;

use machine::Server;

/// What is measured, once for each side.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Requests a second with 1,000 tasks in flight, 128-byte bodies both ways.
    pub many: f64,
    /// Median microseconds of one request at a time, 128-byte bodies.
    pub alone: f64,
    /// Megabytes (10^6) a second, 100 KiB requests echoed, 16 in flight; counted one way.
    pub bulk: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", "egtp"] => machine::serve(egtp_side::serve()),
        ["serve", "plain"] => machine::serve(plain_side::serve()),
        _ => measure(words.first().and_then(|word| word.parse().ok()).unwrap_or(2)),
    }
}

fn measure(seconds: u64) {
    let span = Duration::from_secs(seconds);
    machine::pin(0);
    let mut rows: Vec<(Figures, Figures)> = Vec::new();
    for run in 1..=3 {
        let plain = {
            let server = Server::start("plain");
            machine::run(plain_side::measure(server.line.clone(), span))
        };
        let egtp = {
            let server = Server::start("egtp");
            machine::run(egtp_side::measure(server.line.clone(), span))
        };
        eprintln!("run {run}: plain {plain:?}, egtp {egtp:?}");
        rows.push((plain, egtp));
    }
    let server = Server::start("egtp");
    let handshakes = machine::run(egtp_side::handshakes(server.line.clone(), span));
    let idle = machine::run(egtp_side::idle(server.line.clone(), server.id(), 2000));
    drop(server);
    println!("| measure | plain TCP echo | EGTP | ratio |");
    println!("|---|---|---|---|");
    row("requests/s, 1,000 tasks, 128 B", &rows, |one| one.many);
    row("median latency, µs, 128 B", &rows, |one| one.alone);
    row("MB/s, 100 KiB, 16 in flight", &rows, |one| one.bulk);
    println!("| handshakes/s with first request, sequential | - | {handshakes:.0} | - |");
    println!("| server bytes per idle session, 2,000 sessions | - | {idle:.0} | - |");
}

fn row(name: &str, rows: &[(Figures, Figures)], figure: impl Fn(&Figures) -> f64) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let plain = median(rows.iter().map(|(plain, _)| figure(plain)).collect());
    let egtp = median(rows.iter().map(|(_, egtp)| figure(egtp)).collect());
    let ratio = median(rows.iter().map(|(plain, egtp)| figure(egtp) / figure(plain)).collect());
    println!("| {name} | {plain:.1} | {egtp:.1} | {ratio:.2} |");
}
