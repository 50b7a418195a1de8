//! Any bytes as derived types: refused, or a value that packs to the same bytes.
#![no_main]

#[path = "../../crates/neopack-derive/tests/support/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::typed(data));
