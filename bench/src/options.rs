//! What the person who measures may choose.

use crate::outcome::Outcome;
use crate::plan::{CLIENTS_MAX, Measure, PUSHED};
use crate::sides::{self, Name};

pub const HELP: &str = "\
usage: bench/run [OPTIONS]

  --quick             1 round of 1 second, 500 clients, measures 1 and 2 only
  --rounds N          every figure N times, interleaved (default 5)
  --seconds N         measured for each figure, after the warm-up (default 2)
  --only SIDE,...     only these: tcp udp egtp egtp-inline egtp-spin egtp-batch egtp-classical
                      egtp-knock egtp-loops egtp-durable egtp-relayed egtp-relayed-share
                      egtp-mailbox quinn quinn-dgram iroh libp2p-tcp libp2p-quic sqlite redis
                      redis-pipe jetstream
                      (libp2p stands for both of its transports)
  --measure N,...     only these: 1 many in flight, 2 latency, 3 bulk, 4 connections, 5 memory,
                      6 fewer and more in flight, with plots (SVG) beside the JSON,
                      7 durable requests, beside SQLite (its row counts as the best peer there),
                      8 the server's processor time beside 5,000 idle clients,
                      9 memory of sessions at rest, from a thousand to a million, with a plot,
                      10 a node of two loops beside one of one, asked by 40 clients,
                      11 requests by a relay, beside the direct path,
                      12 letters left with a relay, beside streams of Redis and JetStream,
                      13 what a relay pays for each client that is registered and idle
  --clients N         in measure 13 (default 10000); each takes an open file at either end
  --runtime KIND      only ct (tokio's current-thread runtime) or mt (its default one)
  --wait N            before each figure, wait up to N seconds for a machine that is less than 10 %
                      busy (default 0: do not wait)
  --out FILE          where the JSON goes (default: out/result.json beside Cargo.toml)
  --plan              only say what would be measured, and how long it would take
";

#[derive(Clone, Debug)]
pub struct Options {
    pub rounds: u32,
    pub seconds: f64,
    pub sides: Vec<Name>,
    pub measures: Vec<Measure>,
    /// `None`: both.
    pub runtime: Option<String>,
    /// Seconds that an idle machine may be waited for, before each figure.
    pub wait: f64,
    pub out: String,
    pub plan_only: bool,
    /// How many are registered at a relay.
    pub clients: u32,
}

impl Options {
    pub fn from_words(words: &[String]) -> Outcome<Self> {
        let mut options = Self {
            rounds: 5,
            seconds: 2.0,
            sides: sides::ALL.to_vec(),
            measures: Measure::ALL.to_vec(),
            runtime: None,
            wait: 0.0,
            out: concat!(env!("CARGO_MANIFEST_DIR"), "/out/result.json").to_owned(),
            plan_only: false,
            clients: 10_000,
        };
        // Before the others, so that it is the same wherever it stands.
        if words.iter().any(|word| word == "--quick") {
            (options.rounds, options.seconds, options.clients) = (1, 1.0, 500);
            options.measures = vec![Measure::Many, Measure::Latency];
        }
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().cloned().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--quick" => {}
                "--rounds" => options.rounds = value()?.parse()?,
                "--seconds" => options.seconds = value()?.parse()?,
                "--only" => options.sides = sides::parse(&value()?)?,
                "--measure" => {
                    let numbers = value()?;
                    let measures = numbers.split(',').map(Measure::from_number);
                    options.measures = measures.collect::<Outcome<_>>()?;
                }
                "--runtime" => options.runtime = Some(value()?),
                "--wait" => options.wait = value()?.parse()?,
                "--out" => options.out = value()?,
                "--clients" => options.clients = value()?.parse()?,
                "--plan" => options.plan_only = true,
                "--help" | "-h" => {
                    print!("{HELP}");
                    std::process::exit(0);
                }
                _ => return Err(format!("unknown option {word}\n\n{HELP}").into()),
            }
        }
        if options.rounds == 0 || !(0.1..=600.0).contains(&options.seconds) {
            return Err("at least one round, and 0.1 to 600 seconds".into());
        }
        if !(PUSHED..=CLIENTS_MAX).contains(&options.clients) {
            return Err(format!("{PUSHED} to {CLIENTS_MAX} clients").into());
        }
        if !(0.0..=3600.0).contains(&options.wait) {
            return Err("waiting takes 0 to 3600 seconds".into());
        }
        Ok(options)
    }
}
