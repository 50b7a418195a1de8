//! `cargo xtask simulate`: as many runs of many hosts as one has time for.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use isorun_simulator::{Options, TRACE_LINES, search, simulate_workload};

use crate::Outcome;

/// Seeds that are run unless it is said.
const SEEDS: u64 = 10_000;

/// The first of them: those before are run by the tests.
const FROM: u64 = 1_000;

/// How often progress is shown, in seeds.
const SHOWN_EVERY: u64 = 64;

/// What to simulate.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Help,
    Some { from: u64, seeds: u64, faults: bool },
    One { seed: u64, trace: bool, faults: bool },
}

/// Runs seeds up to the first that breaks a promise, or one with all that happens in it.
pub fn main(words: &[&str]) -> Outcome {
    match parse(words)? {
        Wish::Help => {
            print!("{HELP}");
            Ok(())
        }
        Wish::Some { from, seeds, faults } => {
            let options = Options { faults, ..Options::default() };
            let started = Instant::now();
            let terminal = std::io::stderr().is_terminal();
            let show = |done: u64| {
                if terminal && (done.is_multiple_of(SHOWN_EVERY) || done == seeds) {
                    eprint!("\r{done} of {seeds} seeds");
                    // What can't be shown is no reason to stop.
                    let _ = std::io::stderr().flush();
                }
            };
            let found = search(from, seeds, &|seed| simulate_workload(seed, &options), &show);
            if terminal {
                eprintln!();
            }
            let counts = found.map_err(|broken| format!("a promise was broken\n{broken}"))?;
            println!("{seeds} seeds from {from} in {:.1?}: {counts}", started.elapsed());
            Ok(())
        }
        Wish::One { seed, trace, faults } => {
            let options = Options { faults, trace_lines: TRACE_LINES, trace_all: trace, ..Options::default() };
            let counts =
                simulate_workload(seed, &options).map_err(|broken| format!("a promise was broken\n{broken}"))?;
            println!("seed {seed}: {counts}");
            Ok(())
        }
    }
}

fn parse(words: &[&str]) -> Outcome<Wish> {
    let (mut seeds, mut from, mut seed, mut trace, mut faults) = (None, None, None, false, true);
    let mut rest = words;
    loop {
        rest = match rest {
            [] => break,
            ["--help" | "-h", ..] => return Ok(Wish::Help),
            ["--seeds", number, tail @ ..] => {
                seeds = Some(self::number("--seeds", number)?);
                tail
            }
            ["--from", number, tail @ ..] => {
                from = Some(self::number("--from", number)?);
                tail
            }
            ["--seed", number, tail @ ..] => {
                seed = Some(self::number("--seed", number)?);
                tail
            }
            ["--trace", tail @ ..] => {
                trace = true;
                tail
            }
            ["--no-faults", tail @ ..] => {
                faults = false;
                tail
            }
            [word, ..] => return Err(format!("simulate: `{word}` is no option here, or lacks its number\n\n{HELP}")),
        };
    }
    match (seed, seeds, from) {
        (Some(seed), None, None) => Ok(Wish::One { seed, trace, faults }),
        (Some(_), _, _) => Err("simulate: `--seed` names one, and goes with neither `--seeds` nor `--from`".to_owned()),
        (None, _, _) if trace => Err("simulate: `--trace` goes with `--seed`".to_owned()),
        (None, _, _) => Ok(Wish::Some { from: from.unwrap_or(FROM), seeds: seeds.unwrap_or(SEEDS), faults }),
    }
}

fn number(option: &str, word: &str) -> Outcome<u64> {
    word.replace('_', "").parse().map_err(|_| format!("simulate: `{option} {word}` wants a number"))
}

const HELP: &str = "\
usage: cargo xtask simulate [--seeds N] [--from S] [--no-faults]
       cargo xtask simulate --seed S [--trace] [--no-faults]

Runs many hosts on a seeded network, with faults and a clock of its own, and checks after every step what isorun
promises of calls. Ends at the first seed that breaks a promise, with the last that happened, and fails.

  --seeds N     how many seeds (10000)
  --from S      the first one (1000: the tests run those before)
  --seed S      one seed alone
  --trace       with all that happens in it, on stderr
  --no-faults   nothing goes wrong but that frames take their time

examples:
  cargo xtask simulate --seeds 100000
  cargo xtask simulate --from 20_000 --seeds 500
  cargo xtask simulate --seed 17 --trace 2> trace.txt

A seed that failed becomes a line of crates/isorun-simulator/tests/regressions.txt, which the tests run again.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_counted_from_where_the_tests_end() {
        assert_eq!(parse(&[]), Ok(Wish::Some { from: FROM, seeds: SEEDS, faults: true }));
        let words = ["--from", "20_000", "--seeds", "5", "--no-faults"];
        assert_eq!(parse(&words), Ok(Wish::Some { from: 20_000, seeds: 5, faults: false }));
        assert_eq!(parse(&["--seed", "7", "--trace"]), Ok(Wish::One { seed: 7, trace: true, faults: true }));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let wrong: [&[&str]; 5] =
            [&["--seeds"], &["--seeds", "many"], &["--trace"], &["--seed", "1", "--seeds", "2"], &["--fast"]];
        for words in wrong {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
