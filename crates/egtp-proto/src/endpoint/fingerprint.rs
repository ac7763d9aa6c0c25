//! A hash over everything that an endpoint remembers.
//!
//! For tests and people who doubt: a packet that was refused must leave it as it was. Counters, the
//! budgets of the running second and the generator of random bytes are not memory, and left out.

use std::fmt::{self, Write};

use super::{Endpoint, Slot};

impl Endpoint {
    /// The hash. Walks over all tables: not for the path of a packet.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut text = Hashed(blake3::Hasher::new());
        // A hasher takes everything; there is no error to hand on.
        let _ = self.describe(&mut text);
        *text.0.finalize().as_bytes()
    }

    fn describe(&self, text: &mut Hashed) -> fmt::Result {
        for (code, peer) in self.peers.iter() {
            write!(text, "{code} {peer:?}")?;
        }
        for (id, slot) in self.sessions.iter() {
            match slot {
                Slot::Pending { peer } => write!(text, "{id} pending {peer}")?,
                Slot::Live(session) => {
                    write!(text, "{id} ")?;
                    session.describe(text)?;
                }
            }
        }
        write!(text, "{:?}", self.freezer)?;
        for (code, outgoing) in self.outgoing.iter() {
            write!(text, "{code} {outgoing:?}")?;
        }
        for (code, query) in self.queries.iter() {
            write!(text, "{code} {query:?}")?;
        }
        for identity in &self.identities {
            write!(text, "{:?} {:?}", identity.stores, identity.prekeys)?;
        }
        write!(text, "{:?} {:?} {}", self.events, self.journal, self.answers.len())
    }
}

struct Hashed(blake3::Hasher);

impl Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}
