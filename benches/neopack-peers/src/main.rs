//! neopack against rmp-serde, ciborium, minicbor and postcard.
//!
//! **Question:** does a self-describing, canonical, bounded encoding have to be slower than its peers?
//!
//! **Unit:** nanoseconds of CPU per operation, the median of the rounds with the quartiles around it, and allocations per
//! operation. All operations take turns in every round, so that a busy machine slows all alike.
//!
//! **Anchor:** postcard, which is not self-describing: its bytes mean nothing without the type, and it checks less. The
//! other three tag every value as neopack does.
//!
//! `neopack` is the derived code, as the peers' is; `neopack by hand` are the same bytes item by item, through the encoder
//! and decoder that know no types. `postcard slice` is postcard into a slice of the right size, its fastest way out.
//!
//! Every codec encodes into a buffer that it uses again. `decode` makes values that own all of themselves, `borrow` values
//! that borrow text and bytes from the input; ciborium reads from a stream and has no such form.
//!
//! ```text
//! cargo run --release --manifest-path benches/neopack-peers/Cargo.toml -- [--rounds N] [--only TEXT] [--json FILE]
//! ```

mod by_hand;
mod measure;
mod payloads;
mod peers;

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::measure::{Case, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    rounds: usize,
    only: String,
    json: Option<String>,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { rounds: 25, only: String::new(), json: None };
        while let Some(option) = args.next() {
            let value = args.next().ok_or_else(|| format!("{option} wants a value"))?;
            match option.as_str() {
                "--rounds" => options.rounds = value.parse().map_err(|e| format!("--rounds {value}: {e}"))?,
                "--only" => options.only = value,
                "--json" => options.json = Some(value),
                _ => return Err(format!("{option}: expected --rounds N, --only TEXT or --json FILE")),
            }
        }
        if options.rounds == 0 {
            return Err("--rounds 0: expected 1 or more".to_owned());
        }
        Ok(options)
    }
}

fn run(args: impl Iterator<Item = String>) -> Result<(), String> {
    let options = Options::parse(args)?;
    let mut cases = peers::cases(&|name| name.contains(&options.only));
    for _ in 0..options.rounds {
        cases.iter_mut().for_each(Case::round);
    }
    println!(
        "{:<12} {:<7} {:<16} {:>7} {:>10} {:>21} {:>7}",
        "payload", "way", "codec", "bytes", "ns", "quartiles", "allocs"
    );
    for case in &cases {
        let [low, middle, high] = case.quartiles();
        println!(
            "{:<12} {:<7} {:<16} {:>7} {middle:>10.1} {:>21} {:>7}",
            case.payload,
            case.way.name(),
            case.codec,
            case.bytes,
            format!("[{low:.1}, {high:.1}]"),
            case.allocations
        );
    }
    match options.json {
        Some(file) => std::fs::write(&file, json(&cases, options.rounds)).map_err(|e| format!("{file}: {e}")),
        None => Ok(()),
    }
}

/// All that was measured; every text in it is one of ours and needs no escapes.
fn json(cases: &[Case], rounds: usize) -> String {
    let mut out = format!("{{\"unit\": \"CPU ns per operation\", \"rounds\": {rounds}, \"cases\": [");
    for (place, case) in cases.iter().enumerate() {
        let [low, middle, high] = case.quartiles();
        let comma = if place == 0 { "" } else { "," };
        let (payload, way, codec) = (case.payload, case.way.name(), case.codec);
        let (bytes, allocations) = (case.bytes, case.allocations);
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "{comma}\n  {{\"payload\": \"{payload}\", \"way\": \"{way}\", \"codec\": \"{codec}\", \"bytes\": {bytes}, \
             \"ns\": {middle:.2}, \"ns_quartiles\": [{low:.2}, {high:.2}], \"allocations\": {allocations}}}"
        );
    }
    out.push_str("\n]}\n");
    out
}
