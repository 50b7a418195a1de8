//! Any bytes: refused, or a frame that survives a round trip.
#![no_main]

#[path = "../../crates/neorpc/tests/support/fuzzed.rs"]
mod fuzzed;
#[path = "../../crates/neorpc/tests/support/pair.rs"]
mod pair;
#[path = "../../crates/neorpc/tests/support/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::frames(data));
