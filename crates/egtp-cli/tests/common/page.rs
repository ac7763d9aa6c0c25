//! Reading the page that a node has for whoever watches over it.

use std::io::{Read, Write};
use std::net::TcpStream;

/// What a page says, and what kind of answer it is.
pub fn page(url: &str, method: &str, path: &str) -> (u16, String) {
    let address = url.trim_start_matches("http://").split('/').next().expect("an address");
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").expect("it can be asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and hangs up");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.expect("a status"), body.expect("a body"))
}

/// The number behind a name, with its labels.
pub fn number(page: &str, name: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in {page}"))
}
