//! All that every storage does, of those that need no server.

mod contract;

use std::time::Duration;

use contract::{Op, does_what_a_map_does, op};
use isorun_core::Storage;
use isorun_storage::{MemoryStorage, RedbStorage};
use proptest::prelude::*;

/// What is bounded in itself ends long before.
const LIMIT: Duration = Duration::from_secs(110);

fn run(check: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, check).await.expect("it hangs") });
}

/// Each check with each storage; that in NATS is left out where there is no server.
macro_rules! checks {
    ($($check:ident),* $(,)?) => {
        mod memory {
            $(#[test]
            fn $check() {
                let storage = isorun_storage::MemoryStorage::new();
                super::run(super::contract::$check(&storage));
            })*
        }

        mod embedded {
            $(#[test]
            fn $check() {
                let folder = tempfile::tempdir().unwrap();
                let storage = isorun_storage::RedbStorage::open(folder.path().join("file")).unwrap();
                super::run(super::contract::$check(&storage));
            })*
        }
    };
}

checks!(
    values_come_back,
    limits_hold,
    quotas_hold,
    owners_are_apart,
    keys_are_listed,
    listings_are_bounded,
    writers_at_once_share_a_quota,
);

fn does(storage: &dyn Storage, ops: &[Op]) {
    run(does_what_a_map_does(storage, ops));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn memory_does_what_a_map_does(ops in proptest::collection::vec(op(), 0..60)) {
        does(&MemoryStorage::new(), &ops);
    }

    #[test]
    fn a_file_does_what_a_map_does(ops in proptest::collection::vec(op(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        does(&RedbStorage::open(folder.path().join("file")).unwrap(), &ops);
    }
}
