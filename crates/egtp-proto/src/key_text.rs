//! How a key is written for people: bech32m, whose checksum catches a mistyped character.
//!
//! Knows two kinds of text and 32 bytes, not what the bytes mean. Invariant: every key has one
//! text in small letters; the same in capitals (as QR codes prefer) is read too, a mixture is not.

use std::fmt;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, ByteIterExt, Fe32IterExt, Hrp};
use zeroize::Zeroizing;

use crate::key::KeyError;

/// Which of the two texts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// `egtp1…`
    Public,
    /// `egtp-secret-1…`
    Secret,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Public => "egtp",
            Self::Secret => "egtp-secret-",
        }
    }

    /// What the text claims to be, before its checksum is looked at.
    fn claimed(text: &str) -> Result<Self, KeyError> {
        let begins = |kind: &Self| {
            let (prefix, length) = (kind.prefix(), kind.prefix().len());
            let (head, rest) = text.split_at_checked(length).unwrap_or_default();
            head.eq_ignore_ascii_case(prefix) && rest.starts_with('1')
        };
        [Self::Public, Self::Secret].into_iter().find(begins).ok_or(KeyError::WrongPrefix)
    }
}

/// Writes the text character by character, so that no copy of a secret stays in a buffer.
pub(crate) fn write(kind: Kind, bytes: &[u8; 32], out: &mut impl fmt::Write) -> fmt::Result {
    let prefix = Hrp::parse(kind.prefix()).map_err(|_| fmt::Error)?;
    let characters = bytes.iter().copied().bytes_to_fes().with_checksum::<Bech32m>(&prefix).chars();
    for character in characters {
        out.write_char(character)?;
    }
    Ok(())
}

/// Reads a text of the given kind.
pub(crate) fn read(kind: Kind, text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(KeyError::Mistyped);
    }
    match (kind, Kind::claimed(text)?) {
        (Kind::Public, Kind::Secret) => return Err(KeyError::SecretGiven),
        (Kind::Secret, Kind::Public) => return Err(KeyError::PublicGiven),
        _ => {}
    }
    let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|_| KeyError::Mistyped)?;
    // The last `1` separates; an earlier one would have hidden a longer prefix from us.
    if checked.hrp().len() != kind.prefix().len() {
        return Err(KeyError::Mistyped);
    }
    // 32 bytes leave four bits of padding, which would otherwise give each key sixteen texts.
    checked.validate_segwit_padding().map_err(|_| KeyError::Mistyped)?;
    let mut bytes = Zeroizing::new([0_u8; 32]);
    let mut source = checked.byte_iter();
    for slot in bytes.iter_mut() {
        *slot = source.next().ok_or(KeyError::Mistyped)?;
    }
    if source.next().is_some() {
        return Err(KeyError::Mistyped);
    }
    Ok(bytes)
}

/// How many characters the text of a secret key has, so that its buffer never moves.
pub(crate) const SECRET_TEXT_BYTES: usize = 12 + 1 + 52 + 6;

/// Nothing longer is worth a look.
const TEXT_BYTES_MAX: usize = 128;
