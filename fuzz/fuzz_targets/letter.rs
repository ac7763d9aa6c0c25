//! Lets libFuzzer run the target of this name.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| egtp_fuzz::targets::letter::run(data));
