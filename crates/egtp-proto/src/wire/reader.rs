//! The fields of whatever comes from outside are read here, and nowhere else by offset.
//!
//! A [`Reader`] walks over a borrowed slice; every step is checked and nothing is allocated.
//! Invariant: a step that fails leaves the reader where it was.

use super::WireError;

/// A checked cursor over bytes from outside.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether all bytes have been read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer are left.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// All bytes that are left; there may be none.
    pub fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the end.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, little-endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer are left.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer are left.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer are left.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A variable-length number: seven bits a byte, least significant first, at most ten bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the end, [`WireError::NotCanonical`] for a number that has a
    /// shorter spelling or does not fit 64 bits.
    pub fn varint(&mut self) -> Result<u64, WireError> {
        match self.rest.split_first() {
            Some((byte, rest)) if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().enumerate().take(10) {
            let low = u64::from(byte & 0x7f);
            if index == 9 && byte > 1 {
                return Err(WireError::NotCanonical);
            }
            // At most 7 * 9 = 63: the shift cannot overflow.
            value |= low << (7 * u32::try_from(index).unwrap_or(0));
            if byte & 0x80 == 0 {
                if byte == 0 && index > 0 {
                    return Err(WireError::NotCanonical);
                }
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(WireError::Truncated)
    }

    /// A variable-length number that must not exceed `max`: bound first, allocate later.
    ///
    /// # Errors
    /// As [`Reader::varint`], and [`WireError::TooLarge`] above `max`.
    pub fn varint_max(&mut self, max: usize) -> Result<usize, WireError> {
        let mut ahead = self.clone();
        let value = usize::try_from(ahead.varint()?).map_err(|_| WireError::TooLarge)?;
        if value > max {
            return Err(WireError::TooLarge);
        }
        *self = ahead;
        Ok(value)
    }

    /// Bytes preceded by their length as a variable-length number, at most `max` of them.
    ///
    /// # Errors
    /// As [`Reader::varint_max`] and [`Reader::bytes`].
    pub fn prefixed(&mut self, max: usize) -> Result<&'a [u8], WireError> {
        let mut ahead = self.clone();
        let length = ahead.varint_max(max)?;
        let bytes = ahead.bytes(length)?;
        *self = ahead;
        Ok(bytes)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`WireError::TrailingBytes`] when something is left.
    pub const fn finish(self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::TrailingBytes) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Writer;

    #[test]
    fn a_failed_step_leaves_the_reader_where_it_was() {
        let mut reader = Reader::new(&[5, 1, 2]);
        assert_eq!(reader.prefixed(9), Err(WireError::Truncated));
        assert_eq!(reader.prefixed(4), Err(WireError::TooLarge));
        assert_eq!(reader.u32(), Err(WireError::Truncated));
        assert_eq!(reader.remaining(), 3);
    }

    /// Proves W-1.
    #[test]
    fn msg_3_a_number_with_a_longer_spelling_is_refused() {
        for bytes in [&[0x80, 0x00][..], &[0xff, 0x80, 0x00], &[0xff; 10]] {
            assert_eq!(Reader::new(bytes).varint(), Err(WireError::NotCanonical), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn every_number_reads_back(value: u64) {
            let mut bytes = Vec::new();
            bytes.put_varint(value);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert!(reader.is_empty());
        }

        /// Proves W-1.
        #[test]
        fn every_accepted_spelling_is_the_one_we_write(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.varint() {
                let mut again = Vec::new();
                again.put_varint(value);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - reader.remaining()]);
            }
        }
    }
}
