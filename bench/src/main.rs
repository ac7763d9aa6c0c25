//! EGTP beside plain TCP, raw UDP, quinn, iroh, libp2p, SQLite, Redis and NATS: the same measurements, in one run on
//! one machine.
//!
//! One program in four roles. The *runner* (no role named) starts a *client* for each figure, and
//! the client starts its *server*, and a *relay* where there is one between them; so a side that panics or
//! hangs takes nothing else with it, and the processor time of all of them can be told apart. `bench/run`
//! builds and runs it.

mod at_rest;
mod bodies;
mod client;
mod options;
mod outcome;
mod plan;
mod plots;
mod processes;
mod registered;
mod relay;
mod requests;
mod runner;
mod runtimes;
mod server;
mod sides;
mod system;
mod tables;
mod tally;
mod versions;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (role, rest) = match arguments.split_first() {
        Some((first, rest)) if ["client", "server", "relay"].contains(&first.as_str()) => {
            (first.as_str(), rest)
        }
        _ => ("runner", arguments.as_slice()),
    };
    let result = match role {
        "client" => plan::Cell::from_words(rest).and_then(|cell| client::run(&cell)),
        "server" => plan::Cell::from_words(rest).and_then(|cell| server::run(&cell)),
        "relay" => plan::Cell::from_words(rest).and_then(|cell| relay::run(&cell)),
        _ => options::Options::from_words(rest).and_then(|options| runner::run(&options)),
    };
    if let Err(why) = result {
        eprintln!("{why}");
        std::process::exit(1);
    }
}
