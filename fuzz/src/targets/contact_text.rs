//! Any text as a contact: as it is, and as the text of a value that its owner has signed. What is
//! accepted prints as the same text, but for spaces and line breaks put in on the way.

use egtp_proto::Contact;

use super::{Seed, contact};

/// See the head of this file.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(read) = text.parse::<Contact>() else { return };
    let solid: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    assert_eq!(read.to_text(), solid);
}

/// Both example contacts, one of them broken into lines.
pub fn seeds() -> Vec<Seed> {
    let [(_, client), (_, full)] = contact::examples();
    let lines = full.to_text().as_bytes().chunks(60).collect::<Vec<_>>().join(&b"\r\n "[..]);
    vec![("client", client.to_text().into_bytes()), ("full-in-lines", lines)]
}
