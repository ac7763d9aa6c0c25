//! What the operating system knows: cores, processor time, memory.

use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
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

/// That of another process, in hundredths of a second.
pub fn used_by(process: u32) -> Outcome<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Its name may be anything, and is in brackets.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in its stat")?;
    let ticks = |at: usize| -> Outcome<u64> {
        Ok(fields.split_whitespace().nth(at).ok_or("a short stat")?.parse()?)
    };
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

/// Lets this process, and those that it starts, have so many files open.
pub fn raise_open_files(needed: u64) -> Outcome<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= needed {
        return Ok(());
    }
    // Only some may raise the hard limit.
    let raised = setrlimit(Resource::RLIMIT_NOFILE, needed, hard.max(needed));
    raised.map_err(|_| {
        format!("could not run: {needed} open files are needed at either end, {hard} are allowed")
            .into()
    })
}

/// Memory of the kernel, of the machine as a whole.
pub struct KernelMemory {
    /// Bytes of its objects: sockets, files, and what is queued in them.
    pub slab: f64,
    /// Bytes that TCP counts as its buffers.
    pub tcp_buffers: f64,
}

impl KernelMemory {
    pub fn read() -> Outcome<Self> {
        let number = |path: &str, line: &str, before: &str| -> Outcome<f64> {
            let text = std::fs::read_to_string(path)?;
            let line = text.lines().find(|one| one.starts_with(line)).ok_or("no such line")?;
            let mut words = line.split_whitespace().skip_while(|word| *word != before).skip(1);
            Ok(words.next().ok_or("no number")?.parse()?)
        };
        let pages = number("/proc/net/sockstat", "TCP:", "mem")?;
        let slab = number("/proc/meminfo", "Slab:", "Slab:")?;
        Ok(Self { slab: slab * 1024.0, tcp_buffers: pages * 4096.0 })
    }

    pub fn since(&self, before: &Self) -> Self {
        Self { slab: self.slab - before.slab, tcp_buffers: self.tcp_buffers - before.tcp_buffers }
    }
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

/// Where a server's process finds which folder its client has for both.
pub const FOLDER: &str = "EGTP_BENCH_FOLDER";

/// Where the folder of this process is, or that of its client. Most have nothing to put there.
pub fn place() -> std::path::PathBuf {
    let of_client = std::env::var_os(FOLDER).map(std::path::PathBuf::from);
    of_client.unwrap_or_else(|| scratch(std::process::id()))
}

/// That folder, made if it is not there.
pub fn folder() -> Outcome<std::path::PathBuf> {
    let folder = place();
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Refuses to measure a disk that is none.
pub fn must_be_on_disk() -> Outcome<()> {
    let folder = folder()?;
    if statfs(&folder)?.filesystem_type() != TMPFS_MAGIC {
        return Ok(());
    }
    Err("could not run: the folder for temporary files is in memory; name another one, TMPDIR=…"
        .into())
}
