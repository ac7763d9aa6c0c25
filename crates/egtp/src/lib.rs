//! EGTP v2 for programs: messages between identities, over any path.

pub mod clock;
pub mod keyfile;
pub mod lookup;
pub mod path;
