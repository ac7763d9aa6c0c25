//! One JSON object on each line, read without trusting how long a line is.
//!
//! Knows no fields. Invariant: never more than the longest line that means something is kept.

use bytes::BytesMut;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Fields;

/// Objects from a stream.
#[derive(Debug)]
pub(super) struct Lines<R> {
    from: R,
    buffer: BytesMut,
    /// So much of the buffer is known to hold no end of a line.
    searched: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, buffer: BytesMut::new(), searched: 0 }
    }

    /// The next object; `None` when the stream has ended or failed, also in the middle of a line. Cancel
    /// safe.
    ///
    /// # Errors
    /// Why what came is no object.
    pub(super) async fn next(&mut self) -> Result<Option<Fields>, String> {
        loop {
            let unsearched = self.buffer.iter().skip(self.searched);
            if let Some(found) = unsearched.copied().position(|byte| byte == b'\n') {
                let line = self.buffer.split_to(self.searched + found + 1);
                self.searched = 0;
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return parse(&line).map(Some);
            }
            self.searched = self.buffer.len();
            if self.searched > LINE_BYTES_MAX {
                return Err(format!("a line is longer than {LINE_BYTES_MAX} bytes"));
            }
            self.buffer.reserve(READ_BYTES);
            let read = self.from.read_buf(&mut self.buffer).await;
            if read.unwrap_or(0) == 0 {
                return Ok(None);
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<Fields, String> {
    match serde_json::from_slice(line) {
        Ok(Value::Object(fields)) => Ok(Fields::from(fields)),
        Ok(_) => Err("a line is JSON, but no object".to_owned()),
        Err(error) => Err(format!("a line is no JSON: {error}")),
    }
}

/// The longest line: a body of 2 MiB as base64 (a third more), and room for the other fields, of which
/// a ticket with all its addresses is the longest (2.3 kB).
pub(super) const LINE_BYTES_MAX: usize = 2 * 1024 * 1024 / 3 * 4 + 16 * 1024;
/// How much is read at a time.
const READ_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(bytes: &[u8]) -> (usize, Option<String>) {
        let mut lines = Lines::new(bytes);
        let mut count = 0;
        loop {
            match lines.next().await {
                Ok(Some(_)) => count += 1,
                Ok(None) => return (count, None),
                Err(why) => return (count, Some(why)),
            }
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn each_line_is_an_object_and_anything_else_is_rubbish() {
        assert!(matches!(all(b"{}\n\n {\"a\":1}\n").await, (2, None)));
        assert!(matches!(all(b"{}\n{\"cut\":").await, (1, None)));
        for rubbish in [&b"hello\n"[..], b"[1]\n", b"{}{}\n", b"\xff\xfe\n", b"{\"a\":}\n", b"\0\n"]
        {
            assert!(matches!(all(rubbish).await, (0, Some(_))), "{rubbish:?}");
        }
        let deep = [vec![b'['; 100_000], vec![b'\n']].concat();
        assert!(matches!(all(&deep).await, (0, Some(_))));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_line_without_an_end_is_given_up_and_the_largest_body_fits() {
        let endless = vec![b' '; 2 * LINE_BYTES_MAX];
        assert!(matches!(all(&endless).await, (0, Some(_))));
        let body = "A".repeat((2 * 1024 * 1024_usize).div_ceil(3) * 4);
        let line = format!("{{\"body_base64\":\"{body}\"}}\n");
        assert!(matches!(all(line.as_bytes()).await, (1, None)));
    }
}
