//! The server's process: one side's server, and somebody who answers the client about it.

use std::io::BufRead;
use std::process::Child;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

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
    match cell.row.side.visit(Serve(*cell)) {
        // The client waits for an address, and hears this instead; it says it to others.
        Err(why) if !ANNOUNCED.load(Relaxed) => println!("{FAILED}{why}"),
        served => return served,
    }
    Ok(())
}

/// What a server says before the reason for which it serves nobody.
pub const FAILED: &str = "failed: ";

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
    ANNOUNCED.store(true, Relaxed);
    println!("{address}");
}

static ANNOUNCED: AtomicBool = AtomicBool::new(false);

/// How many requests were answered, by those sides that count.
pub static SERVED: AtomicU64 = AtomicU64::new(0);

/// A process that serves for this one: its processor time counts, and it ends with us.
pub fn owns(child: Child) {
    if let Some(mut earlier) = OWNED.lock().expect("nothing panics with it").replace(child) {
        let _ = earlier.kill();
        let _ = earlier.wait();
    }
}

static OWNED: Mutex<Option<Child>> = Mutex::new(None);

/// Answers the client about this process until that has gone; then ends it.
pub fn answer_orders() {
    for line in std::io::stdin().lock().lines() {
        match line.as_deref() {
            Ok("used") => {
                let mut used = system::used().expect("the processor time of this process");
                if let Some(child) = &*OWNED.lock().expect("nothing panics with it") {
                    used += system::used_by(child.id()).expect("that of the one that serves");
                }
                println!("{}", used.as_micros());
            }
            Ok("served") => println!("{}", SERVED.load(Relaxed)),
            _ => break,
        }
    }
    // The client has gone. What is on the disk stays as it is: nobody is told to finish.
    if let Some(child) = &mut *OWNED.lock().expect("nothing panics with it") {
        let _ = child.kill();
        let _ = child.wait();
    }
    std::process::exit(0);
}
