//! Any bytes: refused, or a value whose items encode to the same bytes.
#![no_main]

#[path = "../../crates/neopack/tests/support/fuzzed.rs"]
mod fuzzed;
#[path = "../../crates/neopack/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::values(data));
