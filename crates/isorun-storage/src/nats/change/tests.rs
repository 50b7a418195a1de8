//! Many nodes at one bucket over a bad network: all that may happen between two steps, by a seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex as Lock;
use proptest::prelude::*;

use super::*;

const QUOTA: StorageQuota = StorageQuota { bytes: 120, keys: 4 };
const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What one request asks for.
#[derive(Debug, Clone)]
enum Request {
    Write(String, Entry),
    Remove(String, u64),
}

/// The bucket, and the network before it.
struct World {
    entries: BTreeMap<String, Entry>,
    last_revision: u64,
    /// Requests that are still on their way, of which nobody waits for an answer any more.
    late: Vec<Request>,
    /// How often each change was made, by its name.
    made: BTreeMap<String, u32>,
    removed: u32,
    ops: u64,
    seed: u64,
    random: u64,
    /// How many of 256 requests go wrong.
    bad: u64,
}

impl World {
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % below
    }

    /// What a server does with it.
    fn take(&mut self, request: &Request) -> Result<u64, WriteError> {
        let (Request::Write(place, Entry { revision: expected, .. }) | Request::Remove(place, expected)) = request;
        let before = self.entries.get(place).cloned().unwrap_or_default();
        if before.revision != *expected {
            return Err(WriteError::Conflict);
        }
        match request {
            Request::Remove(place, _) => {
                self.entries.remove(place);
                self.removed += 1;
            }
            Request::Write(place, entry) => {
                self.last_revision += 1;
                if !place.ends_with(".usage") && before.op != entry.op {
                    *self.made.entry(entry.op.clone()).or_default() += 1;
                    self.removed += u32::from(before.value.is_some() && entry.value.is_none());
                }
                self.entries.insert(place.clone(), Entry { revision: self.last_revision, ..entry.clone() });
            }
        }
        let kept = self.kept();
        assert!(kept.bytes <= QUOTA.bytes && kept.keys <= QUOTA.keys, "over the quota: {kept:?}");
        Ok(self.last_revision)
    }

    /// What there really is.
    fn kept(&self) -> StorageUsage {
        let mut kept = StorageUsage::default();
        for (place, entry) in self.entries.iter().filter(|(place, _)| !place.ends_with(".usage")) {
            if let Some(value) = &entry.value {
                let key = place.rsplit('.').next().unwrap();
                kept.bytes += (key.len() + value.len()) as u64;
                kept.keys += 1;
            }
        }
        kept
    }

    fn bring_one_that_is_late(&mut self) {
        let some = self.late.len() as u64;
        if some > 0 {
            let at = self.random(some) as usize;
            let request = self.late.swap_remove(at);
            // Nobody hears of it.
            let _ = self.take(&request);
        }
    }
}

/// What one node sees of it.
#[derive(Clone)]
struct Node {
    world: Arc<Lock<World>>,
    /// The names of the changes that it began, in order.
    ops: Arc<Lock<Vec<String>>>,
}

impl Node {
    /// Lets others go first, for a while.
    async fn passes(&self) {
        let turns = self.world.lock().random(4);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let mut world = self.world.lock();
        if world.bad > 0 && world.random(64) == 0 {
            world.bring_one_that_is_late();
        }
    }

    async fn send(&self, request: Request) -> Result<u64, WriteError> {
        self.passes().await;
        let answer = {
            let mut world = self.world.lock();
            if world.random(256) >= world.bad {
                world.take(&request)
            } else {
                let unclear = || Err(WriteError::Unclear("no answer".to_owned()));
                match world.random(4) {
                    0 => Err(WriteError::Refused("full".to_owned())),
                    1 => unclear(),
                    2 => world.take(&request).and_then(|_| unclear()),
                    _ => {
                        world.late.push(request);
                        unclear()
                    }
                }
            }
        };
        self.passes().await;
        answer
    }
}

impl Revisions for Node {
    fn prefix(&self) -> &str {
        "$KV.b."
    }

    async fn read(&self, subject: &str) -> Result<Entry, String> {
        self.passes().await;
        let found = {
            let mut world = self.world.lock();
            if world.random(256) < world.bad / 4 {
                return Err("no answer".to_owned());
            }
            world.entries.get(subject).cloned().unwrap_or_default()
        };
        self.passes().await;
        Ok(found)
    }

    async fn write(&self, subject: &str, entry: &Entry) -> Result<u64, WriteError> {
        self.send(Request::Write(subject.to_owned(), entry.clone())).await
    }

    async fn remove(&self, subject: &str, revision: u64) -> Result<bool, WriteError> {
        match self.send(Request::Remove(subject.to_owned(), revision)).await {
            Ok(_) => Ok(true),
            Err(WriteError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn is_up(&self) -> bool {
        self.passes().await;
        let mut world = self.world.lock();
        world.random(256) >= world.bad / 4
    }

    fn new_op(&self) -> String {
        let mut world = self.world.lock();
        world.ops += 1;
        let op = format!("op{}", world.ops);
        self.ops.lock().push(op.clone());
        op
    }
}

/// What became of the changes of a node.
#[derive(Default)]
struct Outcomes {
    deleted: u32,
    deletes_unknown: u32,
}

/// A node that makes `count` changes, one after the other, and is now and then replaced by one that knows nothing.
async fn node(world: Arc<Lock<World>>, owner: Owner, count: u32) -> Outcomes {
    let fresh = || Changes::of(Node { world: Arc::clone(&world), ops: Arc::default() });
    let (mut changes, mut outcomes) = (fresh(), Outcomes::default());
    // With few keys more happens to each.
    let keys = 1 + world.lock().seed % KEYS.len() as u64;
    for _ in 0..count {
        let (key, kind, size, dies_after) = {
            let mut world = world.lock();
            let dies = world.bad > 0 && world.random(8) == 0;
            let dies_after = dies.then(|| world.random(60));
            (KEYS[world.random(keys) as usize], world.random(3), world.random(60), dies_after)
        };
        changes.bucket.ops.lock().clear();
        let change = match kind {
            0 => Change::Delete,
            _ => Change::Set { value: Bytes::from(vec![0; size as usize]), quota: QUOTA },
        };
        let is_delete = kind == 0;
        let made = {
            let making = changes.change(owner.clone(), key, change);
            tokio::pin!(making);
            let mut turns = 0;
            loop {
                if dies_after.is_some_and(|after| turns >= after) {
                    break None;
                }
                match futures_util::FutureExt::now_or_never(&mut making) {
                    Some(made) => break Some(made),
                    None => tokio::task::yield_now().await,
                }
                turns += 1;
            }
        };
        // Each try has a name of its own, and one of them at most was made.
        let ops = changes.bucket.ops.lock().clone();
        let count = |world: &World| ops.iter().map(|op| world.made.get(op).copied().unwrap_or(0)).sum::<u32>();
        let count = count(&world.lock());
        match made {
            None => {
                outcomes.deletes_unknown += u32::from(is_delete);
                changes = fresh();
            }
            Some(Ok(true)) if is_delete => outcomes.deleted += 1,
            Some(Ok(true)) => assert_eq!(count, 1, "said to be stored"),
            Some(Ok(false)) => assert_eq!(count, 0, "said to be absent"),
            Some(Err(StorageError::Unknown { .. })) => {
                assert!(count <= 1);
                outcomes.deletes_unknown += u32::from(is_delete);
            }
            Some(Err(StorageError::Unavailable { .. } | StorageError::QuotaExceeded { .. })) => {
                assert_eq!(count, 0, "said not to be stored");
                // Nor may it ever be: looked at again when all that is late has come.
                let mut world = world.lock();
                for op in ops {
                    world.made.insert(format!("never {op}"), 0);
                }
            }
            Some(Err(error)) => panic!("{error}"),
        }
    }
    outcomes
}

fn runs(seed: u64, bad: u64, nodes: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async move {
        let world = Arc::new(Lock::new(World {
            entries: BTreeMap::new(),
            last_revision: 0,
            late: Vec::new(),
            made: BTreeMap::new(),
            removed: 0,
            ops: 0,
            seed,
            random: seed | 1,
            bad,
        }));
        let owner = Owner::of(&isorun_core::ComponentId::new("a", "b", "c")).unwrap();
        let tasks: Vec<_> = (0..nodes).map(|_| tokio::spawn(node(Arc::clone(&world), owner.clone(), 12))).collect();
        let mut outcomes = Outcomes::default();
        for task in tasks {
            let of_node = task.await.unwrap();
            outcomes.deleted += of_node.deleted;
            outcomes.deletes_unknown += of_node.deletes_unknown;
        }
        world.lock().bad = 0;
        let last = Changes::of(Node { world: Arc::clone(&world), ops: Arc::default() });
        loop {
            assert_eq!(last.count(&owner).await, Ok(world.lock().kept()), "seed {seed}");
            let mut world = world.lock();
            if world.late.is_empty() {
                break;
            }
            world.bring_one_that_is_late();
        }
        // Once more, with a record that is settled and written.
        last.change(owner.clone(), "a", Change::Set { value: Bytes::new(), quota: QUOTA }).await.ok();
        assert_eq!(last.count(&owner).await, Ok(world.lock().kept()), "seed {seed}");
        let world = world.lock();
        for (op, count) in &world.made {
            assert!(*count <= 1, "seed {seed}: {op} was made {count} times");
            let never = world.made.contains_key(&format!("never {op}"));
            assert!(!never || *count == 0, "seed {seed}: {op} was said not to be stored");
        }
        let possible = outcomes.deleted..=outcomes.deleted + outcomes.deletes_unknown;
        assert!(possible.contains(&world.removed), "seed {seed}: {} of {possible:?}", world.removed);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn nodes_over_a_bad_network_count_exactly_and_say_only_what_is_so(
        seed in any::<u64>(), bad in 0_u64..120, nodes in 1_usize..5,
    ) {
        runs(seed, bad, nodes);
    }
}
