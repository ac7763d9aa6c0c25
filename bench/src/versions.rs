//! Which versions were measured, as the lock file of this workspace says.

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
    found
}

fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')
}
