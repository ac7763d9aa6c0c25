//! The list of fuzz targets.
//!
//! A target is a function from bytes to nothing that panics when a promise is broken. Coverage
//! guided fuzzing and the seeded runner call the same functions, so what one finds the other
//! repeats. Invariant: every file in `targets` is in [`TARGETS`], in `Cargo.toml` and in
//! `fuzz_targets`; a test of the product's workspace keeps it so.

#![forbid(unsafe_code)]

pub mod mutation;
pub mod targets;

/// One function that takes hostile bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also that of its corpus folder.
    pub name: &'static str,
    /// Panics when a promise is broken, and on nothing else.
    pub run: fn(&[u8]),
}

/// All targets, by name.
pub const TARGETS: &[Target] = &[Target { name: "reader", run: targets::reader::run }];
