//! Which versions were measured, as the lock file of this workspace says, and of what is installed here.

use std::process::Command;

const LOCK: &str = include_str!("../Cargo.lock");
const SHOWN: [&str; 9] = [
    "iroh",
    "noq",
    "libp2p",
    "libp2p-request-response",
    "quinn",
    "quinn-udp",
    "rustls",
    "tokio",
    "aws-lc-rs",
];

/// What a program of this machine says of its version, if there is one.
fn installed(program: &str) -> Option<String> {
    let said = Command::new(program).arg("--version").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let mut words = said.split_whitespace().map(|word| word.trim_start_matches("v="));
    let version = words.find_map(|word| {
        let version = word.trim_start_matches('v');
        version.starts_with(|first: char| first.is_ascii_digit()).then_some(version)
    })?;
    Some(format!("{program} {version}"))
}

/// Such as `iroh 1.4.1`. A name that is locked twice has both versions.
pub fn all() -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = LOCK.lines();
    while let Some(line) = lines.next() {
        let Some(name) = value(line, "name") else { continue };
        if let Some(version) = lines.next().and_then(|line| value(line, "version"))
            && SHOWN.contains(&name)
        {
            found.push(format!("{name} {version}"));
        }
    }
    found.extend(["redis-server", "nats-server"].into_iter().filter_map(installed));
    found
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')
}
