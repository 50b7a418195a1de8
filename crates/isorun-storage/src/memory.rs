//! Storage that ends with the process.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use isorun_core::{
    BoxFuture, ComponentId, STORAGE_LIST_MAX, Storage, StorageError, StorageQuota, StorageUsage, check_storage_key,
};
use parking_lot::Mutex;

use crate::owner::Owner;
use crate::quota;

/// Keeps all in memory and **nothing beyond the process**: for tests, and for components whose data may go.
///
/// It does otherwise what [`RedbStorage`](crate::RedbStorage) does.
///
/// ```
/// use isorun_core::{ComponentId, Storage};
/// use isorun_storage::MemoryStorage;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let storage = MemoryStorage::new();
/// let (one, other) = (ComponentId::parse("demo/kv/0")?, ComponentId::parse("demo/kv/1")?);
/// storage.set(&one, "k", "v".into(), Default::default()).await?;
/// assert!(storage.exists(&one, "k").await? && !storage.exists(&other, "k").await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct MemoryStorage {
    owners: Mutex<BTreeMap<Owner, Kept>>,
}

/// What one owner keeps; there is none for who keeps nothing.
#[derive(Debug, Default)]
struct Kept {
    usage: StorageUsage,
    values: BTreeMap<String, Bytes>,
}

impl MemoryStorage {
    /// A storage that is empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn set_now(&self, owner: &ComponentId, key: &str, value: Bytes, quota: StorageQuota) -> Result<(), StorageError> {
        quota::check(key, &value)?;
        let owner = Owner::of(owner)?;
        let mut owners = self.owners.lock();
        let (usage, old) =
            owners.get(&owner).map_or_else(Default::default, |kept| (kept.usage, kept.values.get(key).map(Bytes::len)));
        let usage = quota::after_set(usage, quota, key.len(), old, value.len())?;
        let kept = owners.entry(owner).or_default();
        kept.usage = usage;
        kept.values.insert(key.to_owned(), value);
        Ok(())
    }

    fn delete_now(&self, owner: &ComponentId, key: &str) -> Result<bool, StorageError> {
        check_storage_key(key)?;
        let owner = Owner::of(owner)?;
        let mut owners = self.owners.lock();
        let Some(kept) = owners.get_mut(&owner) else { return Ok(false) };
        let Some(old) = kept.values.remove(key) else { return Ok(false) };
        kept.usage = quota::after_delete(kept.usage, key.len(), Some(old.len()));
        if kept.values.is_empty() {
            owners.remove(&owner);
        }
        Ok(true)
    }

    fn list_now(&self, owner: &ComponentId, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StorageError> {
        let owner = Owner::of(owner)?;
        let owners = self.owners.lock();
        let Some(kept) = owners.get(&owner) else { return Ok(Vec::new()) };
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let keys = kept.values.range::<str, _>((from, Bound::Unbounded)).map(|(key, _)| key);
        Ok(keys.take_while(|key| key.starts_with(prefix)).take(STORAGE_LIST_MAX).cloned().collect())
    }

    fn read<T>(
        &self,
        owner: &ComponentId,
        key: &str,
        read: impl FnOnce(Option<&Bytes>) -> T,
    ) -> Result<T, StorageError> {
        check_storage_key(key)?;
        let owner = Owner::of(owner)?;
        Ok(read(self.owners.lock().get(&owner).and_then(|kept| kept.values.get(key))))
    }
}

impl Storage for MemoryStorage {
    fn get<'a>(&'a self, owner: &'a ComponentId, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        Box::pin(async move { self.read(owner, key, |value| value.cloned()) })
    }

    fn set<'a>(
        &'a self,
        owner: &'a ComponentId,
        key: &'a str,
        value: Bytes,
        quota: StorageQuota,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        // A value may be a part of a large buffer, which it must not hold.
        Box::pin(async move { self.set_now(owner, key, Bytes::copy_from_slice(&value), quota) })
    }

    fn delete<'a>(&'a self, owner: &'a ComponentId, key: &'a str) -> BoxFuture<'a, Result<bool, StorageError>> {
        Box::pin(async move { self.delete_now(owner, key) })
    }

    fn exists<'a>(&'a self, owner: &'a ComponentId, key: &'a str) -> BoxFuture<'a, Result<bool, StorageError>> {
        Box::pin(async move { self.read(owner, key, |value| value.is_some()) })
    }

    fn list_keys<'a>(
        &'a self,
        owner: &'a ComponentId,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<String>, StorageError>> {
        Box::pin(async move { self.list_now(owner, prefix, after) })
    }

    fn usage<'a>(&'a self, owner: &'a ComponentId) -> BoxFuture<'a, Result<StorageUsage, StorageError>> {
        Box::pin(async move {
            let owner = Owner::of(owner)?;
            Ok(self.owners.lock().get(&owner).map(|kept| kept.usage).unwrap_or_default())
        })
    }
}
