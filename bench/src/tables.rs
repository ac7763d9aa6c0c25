//! The result as Markdown: a table for each measure, with the ratios that count.

use std::fmt::Write;

use crate::options::Options;
use crate::plan::{IDLE_CONNECTIONS, IDLE_MANY, PEERS, Work};
use crate::runner::{Result, Spread};
use crate::sides::Name;
use crate::{system, versions};

/// A column: its heading, and the figure in it.
type Column = (&'static str, &'static str);

/// What a table shows: heading, columns (the first is compared), and whether less is better.
struct Shape {
    title: String,
    columns: &'static [Column],
    less_is_better: bool,
    against: &'static [Against],
}

/// What rows are held against: a heading, and whose best row it is.
type Against = (&'static str, fn(Name) -> bool);

const PEERS_AND_TCP: &[Against] =
    &[("× best peer", Name::is_peer), ("× TCP", |name| matches!(name, Name::Tcp))];
const DIRECT: &[Against] = &[("× direct path", |name| matches!(name, Name::Egtp))];
const STORES: &[Against] =
    &[("× Redis", Name::is_redis), ("× JetStream", |name| matches!(name, Name::JetStream))];
const NOBODY: &[Against] = &[];

const RATE: &[Column] = &[
    ("per second", "per_second"),
    ("CPU s per million", "cpu_per_million"),
    ("client", "client_cpu_per_million"),
    ("server", "server_cpu_per_million"),
    ("cores used", "cores_used"),
    ("by others", "cores_of_others"),
];
const BULK: &[Column] = &[
    ("MB/s", "mb_per_second"),
    ("messages/s", "per_second"),
    ("cores used", "cores_used"),
    ("by others", "cores_of_others"),
];
const LATENCY: &[Column] = &[
    ("p50 µs", "p50_us"),
    ("p99 µs", "p99_us"),
    ("CPU µs each", "cpu_per_million"),
    ("by others", "cores_of_others"),
];
const CONNECTIONS: &[Column] = &[
    ("per second", "per_second"),
    // Seconds per million are microseconds each.
    ("CPU µs each", "cpu_per_million"),
    ("client", "client_cpu_per_million"),
    ("server", "server_cpu_per_million"),
    ("cores used", "cores_used"),
    ("by others", "cores_of_others"),
];
const QUIET: &[Column] =
    &[("server, % of a core", "server_busy_percent"), ("KiB each", "server_kib")];
const LOOPS: &[Column] = &[
    ("served per CPU s, times loops", "capacity"),
    ("per second", "per_second"),
    ("server CPU s per million", "server_cpu_per_million"),
    ("by others", "cores_of_others"),
];
const FORWARDED: &[Column] = &[
    ("per second", "per_second"),
    ("MB/s", "mb_per_second"),
    // Seconds per million are microseconds each.
    ("relay, CPU µs each", "relay_cpu_per_million"),
    ("an end, CPU µs each", "end_cpu_per_million"),
    ("client", "client_cpu_per_million"),
    ("server", "server_cpu_per_million"),
    ("cores used", "cores_used"),
    ("by others", "cores_of_others"),
];
const REGISTERED: &[Column] = &[
    ("relay, KiB each", "relay_kib"),
    ("kernel objects, KiB each", "kernel_slab_kib"),
    ("TCP buffers, KiB each", "kernel_buffers_kib"),
    ("relay, % of a core", "relay_busy_percent"),
    ("clients, % of a core", "clients_busy_percent"),
    ("by others", "cores_of_others"),
    ("of 100 within 1 s", "push_within_1_s"),
    ("half after ms", "push_p50_ms"),
    ("all after ms", "push_last_ms"),
    ("entered per second", "entered_per_second"),
];
const MEMORY: &[Column] = &[("server KiB each", "server_kib"), ("client KiB each", "client_kib")];

fn shape(work: Work, clients: u32) -> Shape {
    let (title, columns, less_is_better) = match work {
        Work::Many => ("1. Requests with 1,000 in flight, 128 bytes".to_owned(), RATE, false),
        Work::SameCore => {
            ("2. Latency, one in flight, 128 bytes, one core for both".to_owned(), LATENCY, true)
        }
        Work::TwoCores => {
            ("2. Latency, one in flight, 128 bytes, a core for each".to_owned(), LATENCY, true)
        }
        Work::Bulk100K => ("3. 100 KiB messages, 16 at once".to_owned(), BULK, false),
        Work::Bulk2M => ("3. 2 MiB messages, 4 at once".to_owned(), BULK, false),
        Work::Connect64 => {
            ("4. New connections with a first request, 64 at once".to_owned(), CONNECTIONS, false)
        }
        Work::Connect1 => {
            ("4. New connections with a first request, one by one".to_owned(), CONNECTIONS, false)
        }
        Work::InFlight1 => ("6. Requests with 1 in flight, 128 bytes".to_owned(), RATE, false),
        Work::InFlight10 => ("6. Requests with 10 in flight, 128 bytes".to_owned(), RATE, false),
        Work::InFlight100 => ("6. Requests with 100 in flight, 128 bytes".to_owned(), RATE, false),
        Work::InFlight1k => ("6. Requests with 1,000 in flight, 128 bytes".to_owned(), RATE, false),
        Work::InFlight10k => {
            ("6. Requests with 10,000 in flight, 128 bytes".to_owned(), RATE, false)
        }
        Work::OnDisk => ("7. Durable requests, 1,000 in flight, 128 bytes".to_owned(), RATE, false),
        Work::IdleCpu => {
            (format!("8. What a server does beside {IDLE_MANY} idle clients"), QUIET, true)
        }
        Work::ManyPeers => {
            (format!("10. Loops of a server: 1,000 in flight of {PEERS} clients"), LOOPS, false)
        }
        Work::Idle => {
            (format!("5. Memory for each of {IDLE_CONNECTIONS} idle connections"), MEMORY, true)
        }
        Work::Forward => {
            ("11. Forwarding, 1,000 in flight, 128 bytes".to_owned(), FORWARDED, false)
        }
        Work::Forward100K => {
            ("11. Forwarding, 100 KiB messages, 16 at once".to_owned(), FORWARDED, false)
        }
        Work::Stored64 => ("12. Stored letters of 1 KiB, 64 in flight".to_owned(), RATE, false),
        Work::Stored512 => ("12. Stored letters of 1 KiB, 512 in flight".to_owned(), RATE, false),
        Work::Registered => {
            (format!("13. A relay beside {clients} clients that are idle"), REGISTERED, true)
        }
    };
    let against = match work {
        Work::Forward | Work::Forward100K => DIRECT,
        Work::Stored64 | Work::Stored512 => STORES,
        Work::Registered => NOBODY,
        _ => PEERS_AND_TCP,
    };
    Shape { title, columns, less_is_better, against }
}

pub fn markdown(options: &Options, results: &[Result]) -> String {
    let mut text = format!(
        "Machine: {}. {} round(s) of {} s; a cell is the median (min–max).\n",
        system::describe(),
        options.rounds,
        options.seconds
    );
    text += "ct: tokio's current-thread runtime at both ends; mt: its default one. \
             × best peer, × TCP and the like: how many times as good as the best row of any encrypted peer, and \
             of plain TCP, in this table, by the first column of figures; above 1 is better. \
             By others: cores that were busy with something else; far above 0, a row says little.\n";
    writeln!(text, "Versions: {}.", versions::all().join(", ")).expect("a string grows");
    for work in Work::ALL {
        let rows: Vec<&Result> = results.iter().filter(|result| result.work == work).collect();
        if !rows.is_empty() {
            table(&mut text, &shape(work, options.clients), &rows);
        }
    }
    text
}

fn table(text: &mut String, shape: &Shape, rows: &[&Result]) {
    let (_, compared) = shape.columns[0];
    let best = |wanted: &dyn Fn(Name) -> bool| {
        let values = rows
            .iter()
            .filter(|result| wanted(result.row.side))
            .filter_map(|result| Some(result.spread(compared)?.median));
        if shape.less_is_better {
            values.min_by(f64::total_cmp)
        } else {
            values.max_by(f64::total_cmp)
        }
    };
    let others: Vec<Option<f64>> = shape.against.iter().map(|(_, is_one)| best(is_one)).collect();
    let mut heading = String::from("| side | runtime |");
    let mut line = String::from("|---|---|");
    for (name, _) in shape.columns {
        heading += &format!(" {name} |");
        line += "---|";
    }
    for (name, _) in shape.against {
        heading += &format!(" {name} |");
        line += "---|";
    }
    *text += &format!("\n### {}\n\n{heading}\n{line}\n", shape.title);
    for result in rows {
        *text += &format!("| {} | {} |", result.row.side.title(), result.row.runtime.word());
        let value = result.spread(compared);
        if value.is_none() {
            let why = result.failures.last().map_or("not run", String::as_str);
            let failed = if why.starts_with("could not run") { "" } else { "failed: " };
            *text += &format!(" {failed}{} |", short(why));
            *text += &" |".repeat(shape.columns.len() + shape.against.len() - 1);
            text.push('\n');
            continue;
        }
        for (_, name) in shape.columns {
            *text += &format!(
                " {} |",
                result.spread(name).map_or("–".to_owned(), |spread| cell(&spread))
            );
        }
        for other in others.iter().copied() {
            *text += &format!(" {} |", ratio(value.as_ref(), other, shape.less_is_better));
        }
        if !result.failures.is_empty() {
            let (count, why) = (result.failures.len(), short(&result.failures[0]));
            *text += &format!(" {count} round(s) failed: {why} |");
        }
        text.push('\n');
    }
}

/// A reason that fits into a table; the result file has all of it.
fn short(why: &str) -> String {
    let mut text: String = why.chars().take(160).collect();
    if text.len() < why.len() {
        text.push('…');
    }
    text.replace('|', "/")
}

fn ratio(value: Option<&Spread>, other: Option<f64>, less_is_better: bool) -> String {
    let (Some(value), Some(other)) = (value, other) else { return "–".to_owned() };
    let ratio = if less_is_better { other / value.median } else { value.median / other };
    if ratio < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.2}") }
}

fn cell(spread: &Spread) -> String {
    if spread.runs.len() == 1 {
        return format!("**{}**", number(spread.median));
    }
    format!("**{}** ({}–{})", number(spread.median), number(spread.min), number(spread.max))
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.2} M", value / 1e6),
        size if size >= 1e5 => format!("{:.0} k", value / 1e3),
        size if size >= 1e4 => format!("{:.1} k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
