//! The generation of a store: what new messages are to be bound to. It rises as dialogs are forgotten.
//!
//! The parts of a node issue the same one, since a peer may hear it from any of them, and what it then binds must be
//! good where it belongs. Invariant: it never falls, and no part refuses as unheard of what another one has issued.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// See the head of this file.
#[derive(Debug)]
pub struct Generation {
    own: u32,
    /// The highest of all parts, where there are several.
    of_all: Option<Arc<AtomicU32>>,
}

impl Generation {
    /// One that is nobody else's.
    pub const fn of_one(own: u32) -> Self {
        Self { own, of_all: None }
    }

    /// One that other parts issue too.
    #[must_use]
    pub fn of_parts(self, of_all: Arc<AtomicU32>) -> Self {
        of_all.fetch_max(self.own, Ordering::AcqRel);
        Self { of_all: Some(of_all), ..self }
    }

    /// The present one.
    pub fn present(&self) -> u32 {
        match &self.of_all {
            // Whoever was told of a higher one was told after it was there.
            Some(of_all) => of_all.load(Ordering::Acquire).max(self.own),
            None => self.own,
        }
    }

    /// Rises if it is not above this floor: nobody new could be heard.
    pub fn rise_above(&mut self, floor: u32) {
        if floor < self.present() {
            return;
        }
        self.own = self.present().saturating_add(1);
        if let Some(of_all) = &self.of_all {
            of_all.fetch_max(self.own, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_issue_what_any_of_them_has_issued() {
        let of_all = Arc::default();
        let mut one = Generation::of_one(1).of_parts(Arc::clone(&of_all));
        let mut other = Generation::of_one(1).of_parts(of_all);
        (0..4).for_each(|_| one.rise_above(one.present()));
        assert_eq!((one.present(), other.present()), (5, 5));
        other.rise_above(4);
        assert_eq!(other.present(), 5, "it is above that");
        other.rise_above(5);
        assert_eq!((one.present(), other.present()), (6, 6));
    }
}
