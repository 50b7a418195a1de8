//! Every seed keeps every promise.

use isorun_simulator::{Options, search, simulate_workload};

#[test]
fn a_thousand_seeds_keep_every_promise() {
    let options = Options::default();
    let counts = search(0, 1000, &|seed| simulate_workload(seed, &options), &|_| {});
    match counts {
        Ok(counts) => println!("{counts}"),
        Err(broken) => panic!("{broken}"),
    }
}
