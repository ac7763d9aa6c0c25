//! One file for each target. Its header says what is promised, and which decoders it reaches in
//! comment lines that begin with `Reaches:`.

pub mod reader;
