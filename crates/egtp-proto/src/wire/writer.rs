//! The mirror of the reader: how numbers and byte strings are appended to a buffer.

/// Appending in wire form. Implemented for `Vec<u8>`; all numbers are little-endian.
pub trait Writer {
    /// Appends bytes as they are.
    fn put(&mut self, bytes: &[u8]);

    /// Appends one byte.
    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// Appends two bytes.
    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    /// Appends four bytes.
    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    /// Appends eight bytes.
    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    /// Appends a number in its only variable-length spelling (one to ten bytes).
    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put_u8(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.put_u8(value.to_le_bytes()[0]);
    }

    /// Appends a length as a variable-length number.
    fn put_length(&mut self, length: usize) {
        self.put_varint(u64::try_from(length).unwrap_or(u64::MAX));
    }

    /// Appends bytes preceded by their length.
    fn put_prefixed(&mut self, bytes: &[u8]) {
        self.put_length(bytes.len());
        self.put(bytes);
    }
}

impl Writer for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }
}

/// How many bytes [`Writer::put_varint`] uses for `value`.
pub const fn varint_length(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announced_length_is_the_written_one() {
        for shift in 0..64 {
            for value in [(1_u64 << shift) - 1, 1 << shift, u64::MAX] {
                let mut bytes = Vec::new();
                bytes.put_varint(value);
                assert_eq!(bytes.len(), varint_length(value), "{value}");
            }
        }
    }
}
