//! Any sequence of operations on two ends, and of frames that neither sent: every request ends once.
#![no_main]

#[path = "../../crates/neorpc/tests/support/fuzzed.rs"]
mod fuzzed;
#[path = "../../crates/neorpc/tests/support/pair.rs"]
mod pair;
#[path = "../../crates/neorpc/tests/support/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::connections(data));
