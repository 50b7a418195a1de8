//! How many changes a second one file takes, beside what the disk and redb alone do in the same run.
//!
//! `cargo run --release -p isorun-storage --example figures [FOLDER]`; the folder says which disk.
#![allow(clippy::print_stdout, reason = "it is what this is for")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{ComponentId, Storage, StorageQuota};
use isorun_storage::{MemoryStorage, RedbStorage};

/// How long each is measured.
const MEASURED: Duration = Duration::from_secs(3);

/// Bytes of each value.
const VALUE_BYTES: usize = 100;

/// Runs `once` for the time, and gives how often a second.
fn rate(mut once: impl FnMut(u64)) -> f64 {
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < MEASURED {
        once(count);
        count += 1;
    }
    count as f64 / started.elapsed().as_secs_f64()
}

/// One page written over and synchronised: nothing durable is faster.
fn disk(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("page")).expect("a file");
    file.write_all(&[0; 4_096]).and_then(|()| file.sync_all()).expect("a page");
    rate(|count| {
        use std::os::unix::fs::FileExt;
        file.write_all_at(&[count as u8; 4_096], 0).and_then(|()| file.sync_data()).expect("a page");
    })
}

/// One value in one commit, without owners, quotas, threads or tasks.
fn redb_alone(folder: &Path) -> f64 {
    const TABLE: redb::TableDefinition<'static, &str, &[u8]> = redb::TableDefinition::new("t");
    let database = redb::Database::create(folder.join("redb")).expect("a file");
    rate(|count| {
        let transaction = database.begin_write().expect("a transaction");
        let key = format!("key {}", count % 1_000);
        let mut table = transaction.open_table(TABLE).expect("a table");
        table.insert(key.as_str(), &[7; VALUE_BYTES][..]).expect("room");
        drop(table);
        transaction.commit().expect("a disk that works");
    })
}

/// So many components, each of which stores one value after the other; changes a second together.
async fn writers(storage: Arc<dyn Storage>, writers: usize) -> f64 {
    let started = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                let owner = ComponentId::new("demo", "writer", writer.to_string());
                let mut count = 0_u64;
                while started.elapsed() < MEASURED {
                    let key = format!("key {}", count % 1_000);
                    let value = Bytes::from_static(&[7; VALUE_BYTES]);
                    storage.set(&owner, &key, value, StorageQuota::default()).await.expect("a disk that works");
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await.expect("a task that ends");
    }
    count as f64 / started.elapsed().as_secs_f64()
}

async fn reads(storage: &dyn Storage) -> f64 {
    let owner = ComponentId::new("demo", "writer", "0");
    let (started, mut count) = (Instant::now(), 0_u64);
    while started.elapsed() < MEASURED {
        storage.get(&owner, &format!("key {}", count % 1_000)).await.expect("a disk that works");
        count += 1;
    }
    count as f64 / started.elapsed().as_secs_f64()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let place = std::env::args().nth(1).unwrap_or_else(|| std::env::temp_dir().display().to_string());
    let folder = tempfile::tempdir_in(place).expect("a folder");
    println!("{:>12.0}  pages written and synchronised a second", disk(folder.path()));
    println!("{:>12.0}  commits of redb alone, one value each", redb_alone(folder.path()));
    for count in [1, 8, 64] {
        let file = folder.path().join(format!("isorun {count}"));
        let storage = Arc::new(RedbStorage::open(&file).expect("a file"));
        let before = storage.commits();
        let sets = writers(storage.clone(), count).await;
        let commits = (storage.commits() - before) as f64 / MEASURED.as_secs_f64();
        println!("{sets:>12.0}  sets of {count} writers at once, in {commits:.0} commits");
        if count == 1 {
            println!("{:>12.0}  gets, one after the other", reads(&*storage).await);
        }
        if count == 64 {
            let bytes = std::fs::metadata(&file).map_or(0, |file| file.len());
            drop(storage);
            let started = Instant::now();
            drop(RedbStorage::open(&file).expect("a file"));
            println!(
                "{:>9.1} ms  to open a file of {:.1} MB",
                started.elapsed().as_secs_f64() * 1e3,
                bytes as f64 / 1e6
            );
        }
    }
    println!("{:>12.0}  sets in memory, one after the other", writers(Arc::new(MemoryStorage::new()), 1).await);
}
