//! X25519: key pairs and shared secrets.
//!
//! Invariant: a shared secret that is all zero (the peer's key was of small order) is never
//! returned.

use std::sync::Arc;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Why a key or a shared secret was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DhError {
    /// The secret could not be imported. Does not happen for 32 bytes.
    #[error("the secret key was refused")]
    Secret,
    /// The other side's key is of small order: the shared secret would be known to everybody.
    #[error("the public key is of small order")]
    SmallOrder,
}

/// An X25519 key pair. Clones share it.
#[derive(Clone)]
pub struct DhKey(Arc<Inner>);

struct Inner {
    private: PrivateKey,
    public: [u8; 32],
}

impl DhKey {
    /// The pair of a 32-byte secret (clamped when used, as RFC 7748 says).
    ///
    /// # Errors
    /// [`DhError::Secret`] if the library refuses the secret.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, DhError> {
        let private = PrivateKey::from_private_key(&X25519, secret).map_err(|_| DhError::Secret)?;
        let public = private.compute_public_key().map_err(|_| DhError::Secret)?;
        let public = <[u8; 32]>::try_from(public.as_ref()).map_err(|_| DhError::Secret)?;
        Ok(Self(Arc::new(Inner { private, public })))
    }

    /// The public half.
    pub fn public(&self) -> &[u8; 32] {
        &self.0.public
    }

    /// The secret shared with the owner of `public`.
    ///
    /// # Errors
    /// [`DhError::SmallOrder`] if it would be all zero.
    pub fn agree(&self, public: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, DhError> {
        let mut shared = Zeroizing::new([0_u8; 32]);
        agree(
            &self.0.private,
            UnparsedPublicKey::new(&X25519, public),
            DhError::SmallOrder,
            |secret| {
                let secret = <&[u8; 32]>::try_from(secret).map_err(|_| DhError::SmallOrder)?;
                shared.copy_from_slice(secret);
                Ok(())
            },
        )?;
        if bool::from(shared.ct_eq(&[0; 32])) {
            return Err(DhError::SmallOrder);
        }
        Ok(shared)
    }
}

impl std::fmt::Debug for DhKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DhKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_compute_the_same_secret() {
        let a = DhKey::from_secret(&[1; 32]).unwrap();
        let b = DhKey::from_secret(&[2; 32]).unwrap();
        assert_eq!(*a.agree(b.public()).unwrap(), *b.agree(a.public()).unwrap());
    }

    /// Proves H-1.
    #[test]
    fn keys_of_small_order_are_refused() {
        let a = DhKey::from_secret(&[1; 32]).unwrap();
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(a.agree(&[0; 32]).unwrap_err(), DhError::SmallOrder);
        assert_eq!(a.agree(&one).unwrap_err(), DhError::SmallOrder);
    }
}
