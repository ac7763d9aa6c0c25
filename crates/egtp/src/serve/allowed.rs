//! Who may ask: decided for each query by the identity that its sender has proved.
//!
//! Knows no kinds. Invariant: what is said of a key depends on that key alone, and on what the list says at that moment.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use egtp_proto::PublicKey;

/// Who may ask.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Allowed {
    /// Everybody who can prove an identity.
    Anybody,
    /// These identities.
    Only(HashSet<PublicKey>),
    /// Everybody but these.
    Except(HashSet<PublicKey>),
    /// Whoever the list names when a query comes.
    Listed(AllowList),
}

impl Allowed {
    /// Whether it admits somebody.
    pub fn admits(&self, key: &PublicKey) -> bool {
        match self {
            Self::Anybody => true,
            Self::Only(keys) => keys.contains(key),
            Self::Except(keys) => !keys.contains(key),
            Self::Listed(list) => list.admits(key),
        }
    }

    /// The same without these identities; of a list, what it says now.
    #[must_use]
    pub fn without(self, banned: &HashSet<PublicKey>) -> Self {
        match self {
            Self::Anybody => Self::Except(banned.clone()),
            Self::Only(keys) => Self::Only(keys.difference(banned).copied().collect()),
            Self::Except(keys) => Self::Except(keys.union(banned).copied().collect()),
            Self::Listed(list) => list.now().without(banned),
        }
    }
}

impl FromIterator<PublicKey> for Allowed {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        Self::Only(keys.into_iter().collect())
    }
}

impl From<Option<HashSet<PublicKey>>> for Allowed {
    /// `None` is everybody.
    fn from(keys: Option<HashSet<PublicKey>>) -> Self {
        keys.map_or(Self::Anybody, Self::Only)
    }
}

/// Who may ask, where that changes while the node runs. Clones are the same list; what is set counts from the next query
/// on, and queries that are in hand go on.
#[derive(Clone, Debug)]
pub struct AllowList(Arc<RwLock<Allowed>>);

impl AllowList {
    /// A list that says this at first.
    pub fn new(allowed: Allowed) -> Self {
        Self(Arc::new(RwLock::new(flat(allowed))))
    }

    /// Says something else from now on.
    pub fn set(&self, allowed: Allowed) {
        let allowed = flat(allowed);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = allowed;
    }

    /// What it says now.
    pub fn now(&self) -> Allowed {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn admits(&self, key: &PublicKey) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).admits(key)
    }
}

impl Eq for AllowList {}

impl PartialEq for AllowList {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<AllowList> for Allowed {
    fn from(list: AllowList) -> Self {
        Self::Listed(list)
    }
}

/// What a list says now, instead of the list: none is ever asked inside of another, or of itself.
fn flat(allowed: Allowed) -> Allowed {
    match allowed {
        Allowed::Listed(list) => list.now(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use egtp_proto::SecretKey;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed([seed; 32]).public()
    }

    #[test]
    fn whoever_is_taken_off_is_admitted_by_none_of_them() {
        let (guest, banned) = (key(1), HashSet::from([key(2)]));
        let all = [
            Allowed::Anybody,
            Allowed::from_iter([key(1), key(2)]),
            Allowed::Except(HashSet::from([key(3)])),
            AllowList::new(Allowed::Anybody).into(),
        ];
        for allowed in all {
            assert!(allowed.admits(&guest) && allowed.admits(&key(2)), "{allowed:?}");
            let allowed = allowed.without(&banned);
            assert!(allowed.admits(&guest) && !allowed.admits(&key(2)), "{allowed:?}");
            assert!(!allowed.admits(&key(3)) || allowed == Allowed::Except(banned.clone()));
        }
    }

    #[test]
    fn a_list_that_is_set_to_itself_says_what_it_said() {
        let list = AllowList::new(Allowed::from_iter([key(1)]));
        let copy = Allowed::from(list.clone());
        list.set(copy.clone());
        assert!(copy.admits(&key(1)) && !copy.admits(&key(2)));
        list.set(Allowed::from_iter([key(2)]));
        assert!(!copy.admits(&key(1)) && copy.admits(&key(2)), "clones are the same list");
    }
}
