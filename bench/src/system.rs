//! What the operating system knows: cores, processor time, memory.

use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;

use crate::outcome::Outcome;

/// Pins this thread, and all that it starts, to a core.
pub fn pin(core: usize) -> Outcome<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}

/// Processor time of this process so far, user and system, of all its threads.
pub fn used() -> Outcome<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let of = |time: TimeVal| -> Outcome<Duration> {
        let micros = u64::try_from(time.tv_sec())? * 1_000_000 + u64::try_from(time.tv_usec())?;
        Ok(Duration::from_micros(micros))
    };
    Ok(of(usage.user_time())? + of(usage.system_time())?)
}

/// Bytes of memory that a process occupies.
pub fn resident(process: u32) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no number after VmRSS")?.parse()?;
    Ok(kib * 1024.0)
}

/// Processor time that the whole machine has spent on anything.
pub fn busy() -> Outcome<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("an empty /proc/stat")?;
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
    // user nice system idle iowait irq softirq steal; guests are in user already.
    let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|&at| ticks.get(at)).sum();
    // USER_HZ is 100 on every Linux that Rust runs on.
    Ok(Duration::from_millis(busy * 10))
}

/// Waits until the machine is less than a tenth busy, or `limit` has passed.
pub fn wait_until_idle(limit: Duration) -> Outcome<()> {
    // Long enough for the ticks that processor time is counted in.
    let look = Duration::from_millis(500);
    let cores = u32::try_from(std::thread::available_parallelism()?.get())?;
    let begun = Instant::now();
    while begun.elapsed() < limit {
        let (before, at) = (busy()?, Instant::now());
        std::thread::sleep(look);
        if busy()?.saturating_sub(before) < at.elapsed() * cores / 10 {
            break;
        }
    }
    Ok(())
}

/// One line about this machine.
pub fn describe() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("?");
    let model = model.trim_start_matches([':', ' ', '\t']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores, {model}, Linux {}", kernel.trim())
}

/// Where a process of ours keeps files, if it has any. On a real disk, where the folder for temporary files is.
pub fn scratch(process: u32) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("egtp-bench-{process}"))
}
