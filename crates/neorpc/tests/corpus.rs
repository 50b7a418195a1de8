//! What fuzzing kept, once more: every input of the corpora does what the fuzz targets ask of it.

#[path = "support/fuzzed.rs"]
mod fuzzed;
#[path = "support/pair.rs"]
mod pair;
mod support;
#[path = "support/world.rs"]
mod world;

use std::path::Path;

/// Most bytes of one target's corpus: it is there to be replayed at every run of the tests.
const CORPUS_BYTES_MAX: usize = 60 << 10;

/// Says which input was at work if the test fails with it.
struct Named<'a>(&'a Path);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with {}", self.0.display());
        }
    }
}

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 12, "{} inputs in {}", files.len(), folder.display());
    let mut size = 0;
    for file in files {
        let input = std::fs::read(&file).unwrap();
        let _named = Named(&file);
        size += input.len();
        run(&input);
    }
    assert!(size <= CORPUS_BYTES_MAX, "{size} bytes in {}", folder.display());
}

#[test]
fn every_input_kept_by_fuzzing_is_refused_or_a_frame_that_survives_a_round_trip() {
    replay("neorpc_frames", fuzzed::frames);
}

#[test]
fn every_sequence_kept_by_fuzzing_ends_every_request_once() {
    replay("neorpc_connections", fuzzed::connections);
}

#[test]
fn every_example_of_the_specification_does_what_the_fuzz_targets_ask() {
    for vector in support::vectors() {
        fuzzed::frames(&vector.bytes);
        fuzzed::connections(&vector.bytes);
    }
}
