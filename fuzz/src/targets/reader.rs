//! Any sequence of reading steps over any bytes: no step panics, a failed one leaves the reader
//! where it was, and what is accepted is what the writer writes.
//!
//! The first bytes choose the steps, the rest is read.
//
// Reaches: Reader::bytes, Reader::array, Reader::varint, Reader::varint_max, Reader::prefixed.

use egtp_proto::wire::{Reader, WireError, Writer, varint_length};

use super::Seed;

/// See the head of this file.
pub fn run(data: &[u8]) {
    let Some((steps, bytes)) = data.split_at_checked(data.len().min(STEPS)) else { return };
    let mut reader = Reader::new(bytes);
    for &step in steps {
        let before = reader.clone();
        let outcome = take(&mut reader, step);
        let consumed = before.remaining().checked_sub(reader.remaining()).expect("only forward");
        match outcome {
            Ok(written) => {
                let mut mirrored = before;
                let read = mirrored.bytes(consumed).expect("they were just read");
                assert_eq!(read, written, "the writer writes what the reader accepted");
            }
            Err(_) => assert_eq!(consumed, 0, "a failed step leaves the reader where it was"),
        }
    }
    let left = reader.remaining();
    assert_eq!(reader.finish().is_ok(), left == 0);
}

/// Takes one step, and gives back the bytes that the writer makes of what was read.
fn take(reader: &mut Reader<'_>, step: u8) -> Result<Vec<u8>, WireError> {
    let mut written = Vec::new();
    // The upper bits of a step are its argument.
    let argument = usize::from(step >> 3);
    match step & 7 {
        0 => written.put_u8(reader.u8()?),
        1 => written.put_u16(reader.u16()?),
        2 => written.put_u32(reader.u32()?),
        3 => written.put_u64(reader.u64()?),
        4 => {
            let value = reader.varint()?;
            written.put_varint(value);
            assert_eq!(written.len(), varint_length(value));
        }
        5 => {
            let value = reader.varint_max(argument)?;
            assert!(value <= argument);
            written.put_length(value);
        }
        6 => {
            let bytes = reader.prefixed(argument)?;
            assert!(bytes.len() <= argument);
            written.put_prefixed(bytes);
        }
        _ => written.put(reader.bytes(argument)?),
    }
    Ok(written)
}

/// Numbers of all sorts, byte strings with their length, and numbers spelled too long.
pub fn seeds() -> Vec<Seed> {
    let mut prefixed = vec![0x46, 0x4e, 0x0f, 4, 0, 1, 2, 3, 3];
    prefixed.extend_from_slice(b"abc\t123456789");
    prefixed.extend_from_slice(&[0xff; 9]);
    prefixed.extend_from_slice(b"\x01rest");
    vec![
        ("longer-spelling", vec![4, 5, 6, 4, 4, 4, 4, 4, 0xff, 0x80, 0]),
        ("numbers", vec![4, 4, 6, 11, 2, 3, 1, 0, 0x80, 1, 0]),
        ("prefixed", prefixed),
    ]
}

/// How many steps are taken at most.
const STEPS: usize = 8;
