//! `demo:kv/store`, in the host's memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use isorun_runtime::{HostState, SystemComponent};
use parking_lot::Mutex;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

/// Most entries that a store holds.
pub const ENTRIES_MAX: usize = 100_000;

/// Most bytes that all entries of a store come to: keys, values, tags, and [`ENTRY_BYTES`] for each entry and tag.
pub const BYTES_MAX: usize = 64 << 20;

/// What an entry, and each of its tags, is counted as beside its text, in bytes.
///
/// So a guest can't fill the host with a million empty tags.
pub const ENTRY_BYTES: usize = 64;

// Every entry that is admitted by count could be admitted by size.
const _: () = assert!(ENTRIES_MAX * ENTRY_BYTES < BYTES_MAX);

const INTERFACE: &str = "demo:kv/store@0.1.0";

/// One entry of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Entry {
    /// What it is found by; never empty.
    pub key: String,
    /// What it holds.
    pub value: Vec<u8>,
    /// Words about it.
    pub tags: Vec<String>,
    /// How often it has been put; what a `put` says of it is ignored.
    pub version: u64,
}

impl Entry {
    /// What it is counted as, in bytes.
    fn bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.len() + ENTRY_BYTES).sum();
        ENTRY_BYTES + self.key.len() + self.value.len() + tags
    }
}

/// Why a store did not do as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower, thiserror::Error)]
#[component(variant)]
pub enum KvError {
    /// There is no entry, and the store has a rule that makes that an error.
    #[component(name = "not-found")]
    #[error("not found: `{0}`")]
    NotFound(String),
    /// The store has a rule that keeps this key from everybody.
    #[component(name = "denied")]
    #[error("denied")]
    Denied,
    /// The store can't hold it.
    #[component(name = "io")]
    #[error("{0}")]
    Io(String),
}

/// A key-value store in memory that serves `demo:kv/store@0.1.0`.
///
/// Cloning is cheap and gives the same store: all instances linked to it see
/// the same entries. It holds at most [`ENTRIES_MAX`] entries of [`BYTES_MAX`]
/// bytes together.
///
/// ```
/// use isorun_system::{Entry, InMemoryKv, KvError};
///
/// let kv = InMemoryKv::new().deny("secret").absent_is_error("config");
/// assert_eq!(kv.put(Entry { key: "a".into(), ..Entry::default() }), Ok(1));
/// assert_eq!(kv.put(Entry { key: "a".into(), ..Entry::default() }), Ok(2));
/// assert_eq!(kv.get("b"), Ok(None));
/// assert_eq!(kv.get("config"), Err(KvError::NotFound("config".into())));
/// assert_eq!(kv.get("secret"), Err(KvError::Denied));
/// ```
#[derive(Debug, Clone, Default)]
pub struct InMemoryKv {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    entries: BTreeMap<String, Arc<Entry>>,
    /// What all entries are counted as.
    bytes: usize,
    denied: BTreeSet<String>,
    absent_is_error: BTreeSet<String>,
}

impl InMemoryKv {
    /// An empty store without rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps `key` from everybody: to get and to put it is [`KvError::Denied`], and no scan shows it.
    #[must_use]
    pub fn deny(self, key: impl Into<String>) -> Self {
        self.shared.lock().denied.insert(key.into());
        self
    }

    /// Makes it [`KvError::NotFound`] to get `key` while there is no such entry.
    #[must_use]
    pub fn absent_is_error(self, key: impl Into<String>) -> Self {
        self.shared.lock().absent_is_error.insert(key.into());
        self
    }

    /// The entry under `key`.
    ///
    /// # Errors
    /// [`KvError::Denied`] and [`KvError::NotFound`], where the store has a rule about the key.
    pub fn get(&self, key: &str) -> Result<Option<Arc<Entry>>, KvError> {
        let shared = self.shared.lock();
        if shared.denied.contains(key) {
            return Err(KvError::Denied);
        }
        match shared.entries.get(key) {
            Some(entry) => Ok(Some(entry.clone())),
            None if shared.absent_is_error.contains(key) => Err(KvError::NotFound(key.to_owned())),
            None => Ok(None),
        }
    }

    /// Stores an entry and returns its new version: one more than that of the entry it replaces, else 1.
    ///
    /// # Errors
    /// [`KvError::Denied`] by rule; [`KvError::Io`] for an empty key, or where
    /// the store would hold more than [`ENTRIES_MAX`] or [`BYTES_MAX`].
    pub fn put(&self, mut entry: Entry) -> Result<u64, KvError> {
        if entry.key.is_empty() {
            return Err(KvError::Io("empty key".into()));
        }
        let mut shared = self.shared.lock();
        if shared.denied.contains(&entry.key) {
            return Err(KvError::Denied);
        }
        let before = shared.entries.get(&entry.key);
        if before.is_none() && shared.entries.len() >= ENTRIES_MAX {
            return Err(KvError::Io(format!("full: {ENTRIES_MAX} entries")));
        }
        let bytes = shared.bytes - before.map_or(0, |before| before.bytes()) + entry.bytes();
        if bytes > BYTES_MAX {
            return Err(KvError::Io(format!("full: {bytes} bytes wanted, limit {BYTES_MAX}")));
        }
        entry.version = before.map_or(0, |before| before.version) + 1;
        let version = entry.version;
        shared.bytes = bytes;
        shared.entries.insert(entry.key.clone(), Arc::new(entry));
        Ok(version)
    }

    /// All entries whose key starts with `prefix`, in the order of their keys.
    #[must_use]
    pub fn scan(&self, prefix: &str) -> Vec<Arc<Entry>> {
        let shared = self.shared.lock();
        let from = shared.entries.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| !shared.denied.contains(*key))
            .map(|(_, entry)| entry.clone())
            .collect()
    }

    /// Forgets all entries; the rules stay.
    pub fn clear(&self) {
        let mut shared = self.shared.lock();
        shared.entries.clear();
        shared.bytes = 0;
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.lock().entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl SystemComponent for InMemoryKv {
    fn interfaces(&self) -> Vec<String> {
        vec![INTERFACE.into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        type Cx<'a> = StoreContextMut<'a, HostState>;
        let mut store = linker.instance(INTERFACE)?;
        let kv = self.clone();
        store.func_wrap("get", move |_: Cx<'_>, (key,): (String,)| Ok((kv.get(&key),)))?;
        let kv = self.clone();
        store.func_wrap("put", move |_: Cx<'_>, (entry,): (Entry,)| Ok((kv.put(entry),)))?;
        let kv = self.clone();
        store.func_wrap("scan", move |_: Cx<'_>, (prefix,): (String,)| Ok((kv.scan(&prefix),)))?;
        let kv = self.clone();
        store.func_wrap("clear", move |_: Cx<'_>, (): ()| {
            kv.clear();
            Ok(())
        })
    }

    /// The entries are no store's: there is nothing to do.
    fn configure(&self, _state: &mut HostState) -> wasmtime::Result<()> {
        Ok(())
    }
}
