//! The simulator finds each fault that is planted in neorpc, or in its own hosts.

use std::fmt::Write as _;

use isorun_simulator_planted::{Options, search, simulate_workload};
use neorpc::planted::{Fault, plant};

/// Seeds within which each fault must be found: as many as every test run tries.
const SEEDS_MAX: u64 = 1_000;

/// The first seed that finds `fault`, and what it says.
fn find(fault: Fault) -> Option<(u64, String)> {
    (0..SEEDS_MAX).find_map(|seed| {
        plant(Some(fault));
        let broken = simulate_workload(seed, &Options::default()).err();
        plant(None);
        broken.map(|broken| (seed, broken.promise))
    })
}

#[test]
fn each_planted_fault_is_found() {
    let mut table = String::new();
    let mut missed = Vec::new();
    for fault in Fault::ALL {
        match find(fault) {
            Some((seed, promise)) => writeln!(table, "{:>4} seeds  {fault:?}: {promise}", seed + 1).unwrap(),
            None => missed.push(fault),
        }
    }
    eprintln!("{table}");
    assert!(missed.is_empty(), "not found within {SEEDS_MAX} seeds: {missed:?}");
}

#[test]
fn with_nothing_planted_nothing_is_found() {
    let found = search(0, 100, &|seed| simulate_workload(seed, &Options::default()), &|_| {});
    found.unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn what_is_found_says_how_it_came_to_be() {
    plant(Some(Fault::AnsweredTwice));
    let (seed, _) = find(Fault::AnsweredTwice).unwrap();
    plant(Some(Fault::AnsweredTwice));
    let broken = simulate_workload(seed, &Options::default()).unwrap_err();
    plant(None);
    let text = broken.to_string();
    assert!(text.contains(&format!("cargo xtask simulate --seed {seed} --trace")), "{text}");
    assert!(text.contains("was answered twice"), "{text}");
    assert!(broken.trace.len() > 10, "{text}");
}
