//! Any sequence of writes: what is refused leaves no trace, what is finished is one whole value.
#![no_main]

#[path = "../../crates/neopack/tests/support/fuzzed.rs"]
mod fuzzed;
#[path = "../../crates/neopack/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::operations(data));
