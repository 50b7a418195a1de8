//! A process that stores, killed at any moment a hundred times: what it was told is stored is there, whole.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{ComponentId, Storage, StorageError, StorageQuota, StorageUsage};
use isorun_storage::{OpenError, RedbStorage};
use proptest::prelude::Rng;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const ROUNDS: u64 = 100;
const TASKS: usize = 4;

/// So tight that it is met now and then.
const QUOTA: StorageQuota = StorageQuota { bytes: 60_000, keys: 12 };

/// Where the process that is killed has its file, and the steps that its tasks begin with.
const FILE: &str = "ISORUN_STORAGE_KILLED_FILE";
const STEPS: &str = "ISORUN_STORAGE_KILLED_STEPS";

fn owner(task: usize) -> ComponentId {
    ComponentId::new("demo", "killed", task.to_string())
}

/// What a task does as its step of that number.
enum Step {
    Set(String, Bytes),
    Delete(String),
}

fn step(task: usize, step: u64) -> Step {
    // A different order of keys and sizes for each task, and the same each time.
    let mixed = (step + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(task as u32 * 7);
    let key = format!("key {}", mixed % 16);
    if (mixed >> 32).is_multiple_of(5) {
        return Step::Delete(key);
    }
    // The number of the step, over and over: a part of another value would be seen.
    let length = if (mixed >> 40).is_multiple_of(4) { 12_000 } else { (mixed >> 48) as usize % 600 };
    Step::Set(key, step.to_le_bytes().into_iter().cycle().take(length).collect())
}

/// What the steps so far should have made.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model(BTreeMap<String, Bytes>);

impl Model {
    fn usage(&self) -> StorageUsage {
        let bytes = self.0.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        StorageUsage { bytes, keys: self.0.len() as u64 }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Delete(key) => drop(self.0.remove(&key)),
            Step::Set(key, value) => {
                let mut after = self.clone();
                after.0.insert(key, value);
                let (before, wanted) = (self.usage(), after.usage());
                if (wanted.bytes <= QUOTA.bytes || wanted.bytes <= before.bytes)
                    && (wanted.keys <= QUOTA.keys || wanted.keys <= before.keys)
                {
                    *self = after;
                }
            }
        }
    }
}

/// Not a test by itself: the process that the test below kills is this binary, told to run this alone.
#[test]
fn stores_until_it_is_killed() {
    let (Ok(file), Ok(steps)) = (std::env::var(FILE), std::env::var(STEPS)) else { return };
    let steps: Vec<u64> = steps.split(',').map(|step| step.parse().unwrap()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async move {
        let storage = Arc::new(RedbStorage::open(file).unwrap());
        let tasks =
            steps.into_iter().enumerate().map(|(task, first)| tokio::spawn(stores(Arc::clone(&storage), task, first)));
        futures_util::future::join_all(tasks).await;
    });
}

/// Goes on until it is killed, or nobody reads what it says.
async fn stores(storage: Arc<RedbStorage>, task: usize, first: u64) {
    let owner = owner(task);
    for at in first.. {
        match step(task, at) {
            Step::Set(key, value) => match storage.set(&owner, &key, value, QUOTA).await {
                Ok(()) | Err(StorageError::QuotaExceeded { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            Step::Delete(key) => drop(storage.delete(&owner, &key).await.unwrap()),
        }
        if writeln!(std::io::stdout(), "done {task} {at}").is_err() {
            return;
        }
    }
}

/// Ends with the value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs it until it has said so many times that something is done; the last step of each task that it said was done.
fn run_and_kill(file: &Path, steps: &[u64], until: u64) -> [Option<u64>; TASKS] {
    let steps: Vec<_> = steps.iter().map(u64::to_string).collect();
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["stores_until_it_is_killed", "--exact", "--nocapture"]).env(FILE, file).env(STEPS, steps.join(","));
    let process = process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut process = Killed(process);
    let mut said = BufReader::new(process.0.stdout.take().unwrap());
    let mut done = [None; TASKS];
    let mut hear = |line: &str| {
        // A line without its end was cut by the kill.
        let Some(line) = line.strip_suffix('\n').and_then(|line| line.strip_prefix("done ")) else { return false };
        let (task, step) = line.split_once(' ').unwrap();
        done[task.parse::<usize>().unwrap()] = Some(step.parse().unwrap());
        true
    };
    let (mut line, mut heard) = (String::new(), 0);
    while heard < until {
        line.clear();
        if said.read_line(&mut line).unwrap() == 0 {
            let mut why = String::new();
            process.0.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            panic!("it ended by itself: {why}");
        }
        heard += u64::from(hear(&line));
    }
    if heard > 0 {
        // It has the file, and nobody else.
        assert!(matches!(RedbStorage::open(file), Err(OpenError::InUse { .. })));
    }
    process.0.kill().unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    for line in rest.split_inclusive('\n') {
        hear(line);
    }
    done
}

/// All that a task's owner keeps, and what it is counted as.
async fn kept(storage: &RedbStorage, task: usize) -> (Model, StorageUsage) {
    let owner = owner(task);
    let mut found = Model::default();
    for key in storage.list_keys(&owner, "", None).await.unwrap() {
        let value = storage.get(&owner, &key).await.unwrap().unwrap();
        found.0.insert(key, value);
    }
    (found, storage.usage(&owner).await.unwrap())
}

#[test]
fn what_was_stored_outlasts_a_hundred_kills_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let mut random = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut models = vec![Model::default(); TASKS];
    let mut steps = vec![0; TASKS];
    let mut under_way = 0;
    for round in 0..ROUNDS {
        let until = random.rng().next_u64() % 25;
        let done = run_and_kill(&file, &steps, until);
        let storage = RedbStorage::open(&file).unwrap();
        for task in 0..TASKS {
            for at in steps[task]..done[task].map_or(steps[task], |last| last + 1) {
                models[task].take(step(task, at));
                steps[task] = at + 1;
            }
            let (found, usage) = runtime.block_on(kept(&storage, task));
            // The step that was under way has been done, or not: nothing between.
            if found != models[task] {
                models[task].take(step(task, steps[task]));
                steps[task] += 1;
                under_way += 1;
            }
            assert!(found == models[task], "round {round}, task {task}, step {}: {:?}", steps[task], found.0.keys());
            assert_eq!(usage, found.usage(), "round {round}, task {task}");
        }
    }
    eprintln!("{} steps, {under_way} of which were done and not said to be", steps.iter().sum::<u64>());
    assert!(steps.iter().all(|steps| *steps > ROUNDS), "{steps:?}");
}

/// Another each time: the moments are not repeatable anyhow.
fn seed() -> [u8; 32] {
    use std::hash::{BuildHasher, RandomState};
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&RandomState::new().hash_one(0_u8).to_le_bytes());
    seed
}
