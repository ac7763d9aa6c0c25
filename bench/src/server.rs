//! The server's process: one side's server, and somebody who answers the client about it.

use std::io::BufRead;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::outcome::Outcome;
use crate::plan::Cell;
use crate::sides::{Side, Visitor};
use crate::system;

pub fn run(cell: &Cell) -> Outcome<()> {
    // Before anything starts a thread: threads inherit it.
    if let Some((_, core)) = cell.work.cores() {
        system::pin(core)?;
    }
    std::thread::spawn(answer_orders);
    cell.row.side.visit(Serve(*cell))
}

struct Serve(Cell);

impl Visitor for Serve {
    type Output = Outcome<()>;

    fn visit<S: Side>(self) -> Outcome<()> {
        let runtime = self.0.row.runtime.build()?;
        // Spawned, so that it is a worker's work on the runtime that has workers.
        let serving = runtime.spawn(S::serve(self.0.work.raises_limits()));
        runtime.block_on(serving)?
    }
}

/// Tells the client where we are. Called once, when connections are taken.
pub fn announce(address: impl std::fmt::Display) {
    println!("{address}");
}

/// How many requests were answered, by those sides that count.
pub static SERVED: AtomicU64 = AtomicU64::new(0);

fn answer_orders() {
    for line in std::io::stdin().lock().lines() {
        match line.as_deref() {
            Ok("used") => {
                let used = system::used().expect("the processor time of this process");
                println!("{}", used.as_micros());
            }
            Ok("served") => println!("{}", SERVED.load(Relaxed)),
            _ => break,
        }
    }
    // The client has gone.
    std::process::exit(0);
}
