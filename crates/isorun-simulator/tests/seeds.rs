//! Every seed keeps every promise.

use isorun_simulator::{Counts, Options, search, simulate_workload};

fn check(first: u64, count: u64, options: &Options) -> Counts {
    let found = search(first, count, &|seed| simulate_workload(seed, options), &|_| {});
    found.unwrap_or_else(|broken| panic!("{broken}"))
}

#[test]
fn a_thousand_seeds_keep_every_promise() {
    let counts = check(0, 1000, &Options::default());
    eprintln!("{counts}");
    // Nothing is checked where nothing happens.
    let Counts { returned, not_sent, unknown, refused, failed, deadline, cancelled, again, faults, .. } = counts;
    for (what, count) in [
        ("returned", returned),
        ("not sent", not_sent),
        ("unknown", unknown),
        ("refused", refused),
        ("failed", failed),
        ("deadline", deadline),
        ("cancelled", cancelled),
        ("made again", again),
        ("faults", faults),
    ] {
        assert!(count > 100, "{what}: {count}");
    }
}

#[test]
fn seeds_that_once_failed_keep_every_promise() {
    for line in include_str!("regressions.txt").lines().filter(|line| !line.starts_with('#')) {
        let seed = line.split_whitespace().next().and_then(|seed| seed.parse().ok());
        check(seed.unwrap_or_else(|| panic!("a line begins with its seed: {line}")), 1, &Options::default());
    }
}

#[test]
fn without_faults_no_call_is_unknown() {
    let counts = check(0, 50, &Options { faults: false, ..Options::default() });
    assert_eq!(counts.unknown, 0);
    assert!(counts.returned > 1000, "{counts}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        let (one, two) = (check(seed, 1, &Options::default()), check(seed, 1, &Options::default()));
        assert_eq!(one, two, "seed {seed}");
    }
}
