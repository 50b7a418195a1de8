//! How a change is made: announced in the owner's record, made under its key, and settled by whoever comes next.
//!
//! Each step is taken only where the bucket is still as it was seen, so that two nodes never both take one:
//!
//! 1. The record is settled: if it tells of a change that may have been made, the key says whether it was. If it was not,
//!    the key is written again as it is (it is *fenced*), so that the revision which that change waits for never is.
//! 2. The quota is checked, and the record written with the change in it.
//! 3. The value is written, or removed.
//!
//! The usage is exact at each moment, whoever dies between two steps.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use isorun_core::{StorageError, StorageQuota, StorageUsage};
use tokio::sync::Mutex;

use super::bucket::{Entry, Revisions, WriteError};
use super::record::{Intent, Kind, Record};
use super::subject;
use crate::owner::Owner;
use crate::quota;

/// How often something is begun anew because another node was faster.
const TRIES_MAX: usize = 16;

/// The owners are spread over so many locks: one that is slow delays few others.
const LOCKS: usize = 64;

/// Owners remembered under one lock; what is forgotten is looked up.
const KNOWN_PER_LOCK_MAX: usize = 1_024;

/// Changes what owners keep in a bucket, beside others who do.
pub(super) struct Changes<B> {
    pub(super) bucket: B,
    known: [Mutex<HashMap<Owner, Known>>; LOCKS],
    hasher: RandomState,
}

/// The record of an owner as this node has left it or found it.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Of the record.
    revision: u64,
    /// With the change in the record made, or not, as it is.
    usage: StorageUsage,
}

/// What is to become of a key.
pub(super) enum Change {
    Set { value: Bytes, quota: StorageQuota },
    Delete,
}

fn unavailable(reason: impl Into<String>) -> StorageError {
    StorageError::Unavailable { reason: reason.into() }
}

fn busy() -> StorageError {
    unavailable("other nodes change what this component keeps, all the time")
}

impl<B: Revisions> Changes<B> {
    pub(super) fn of(bucket: B) -> Self {
        Self { bucket, known: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }

    /// Forgets what the owner keeps.
    pub(super) async fn forget(&self, owner: &Owner) {
        self.known_of(owner).lock().await.remove(owner);
    }

    /// Makes a change; whether there was anything to be done.
    pub(super) async fn change(&self, owner: Owner, key: &str, change: Change) -> Result<bool, StorageError> {
        let place = subject::value(self.bucket.prefix(), &owner, key);
        // Changes of one owner come one after the other here, and only other nodes are in each other's way.
        let mut all_known = self.known_of(&owner).lock().await;
        if all_known.len() >= KNOWN_PER_LOCK_MAX {
            all_known.clear();
        }
        for _ in 0..TRIES_MAX {
            // Put back when all went well, so that what goes wrong or is dropped is looked up anew.
            let remembered = all_known.remove(&owner);
            let known = match remembered {
                Some(known) => known,
                None => self.settle(&owner).await?,
            };
            let found = self.bucket.read(&place).await.map_err(unavailable)?;
            let old = found.value.as_ref().map(Bytes::len);
            let after = match &change {
                Change::Set { value, quota } => quota::after_set(known.usage, *quota, key.len(), old, value.len()),
                Change::Delete if old.is_none() => {
                    all_known.insert(owner, known);
                    return Ok(false);
                }
                Change::Delete => Ok(quota::after_delete(known.usage, key.len(), old)),
            };
            let after = match after {
                Ok(after) => after,
                // Another node may have made room since.
                Err(_) if remembered.is_some() => continue,
                Err(error) => {
                    all_known.insert(owner, known);
                    return Err(error);
                }
            };
            let kind = match &change {
                Change::Set { .. } => Kind::Set,
                Change::Delete => Kind::Delete,
            };
            let op = self.bucket.new_op();
            let intent = Intent { kind, op, key: key.to_owned(), base: found.revision, after };
            let revision = match self.announce(&owner, known, &intent).await {
                Ok(revision) => revision,
                Err(WriteError::Conflict) => continue,
                // An announcement alone changes nothing.
                Err(WriteError::Refused(reason) | WriteError::Unclear(reason)) => return Err(unavailable(reason)),
            };
            match self.make(&place, &found, &intent.op, &change).await {
                Ok(()) => {
                    all_known.insert(owner, Known { revision, usage: after });
                    return Ok(true);
                }
                // Another node has fenced it.
                Err(WriteError::Conflict) => {}
                Err(WriteError::Refused(reason)) => {
                    all_known.insert(owner, Known { revision, usage: known.usage });
                    return Err(unavailable(reason));
                }
                Err(WriteError::Unclear(reason)) => {
                    return self.find_out(&owner, &place, &intent, revision, reason).await.map(|()| true);
                }
            }
        }
        Err(busy())
    }

    /// What the owner keeps, without changing anything.
    pub(super) async fn count(&self, owner: &Owner) -> Result<StorageUsage, String> {
        for _ in 0..TRIES_MAX {
            let (revision, record) = self.record(owner).await?;
            let Some(intent) = record.intent else { return Ok(record.usage) };
            let found = self.bucket.read(&subject::value(self.bucket.prefix(), owner, &intent.key)).await?;
            // Another change may have been made since the record was read, of the same key even.
            if self.is_latest(owner, revision).await {
                return Ok(if was_made(&intent, &found) { intent.after } else { record.usage });
            }
        }
        Err(busy().to_string())
    }

    fn known_of(&self, owner: &Owner) -> &Mutex<HashMap<Owner, Known>> {
        // LOCKS is small, so that the remainder fits.
        &self.known[(self.hasher.hash_one(owner) % LOCKS as u64) as usize]
    }

    async fn announce(&self, owner: &Owner, known: Known, intent: &Intent) -> Result<u64, WriteError> {
        let record = Record { usage: known.usage, intent: Some(intent.clone()) };
        let entry = Entry {
            revision: known.revision,
            op: intent.op.clone(),
            fenced: false,
            value: Some(record.to_text().into()),
        };
        self.bucket.write(&subject::usage(self.bucket.prefix(), owner), &entry).await
    }

    async fn make(&self, place: &str, found: &Entry, op: &str, change: &Change) -> Result<(), WriteError> {
        let value = match change {
            Change::Set { value, .. } => Some(value.clone()),
            Change::Delete if found.fenced => None,
            Change::Delete => {
                let removed = self.bucket.remove(place, found.revision).await?;
                return if removed { Ok(()) } else { Err(WriteError::Conflict) };
            }
        };
        let entry = Entry { revision: found.revision, op: op.to_owned(), fenced: found.fenced, value };
        self.bucket.write(place, &entry).await.map(drop)
    }

    /// The owner's record, and its revision.
    async fn record(&self, owner: &Owner) -> Result<(u64, Record), String> {
        let entry = self.bucket.read(&subject::usage(self.bucket.prefix(), owner)).await?;
        let Some(text) = entry.value else {
            return Ok((entry.revision, Record { usage: StorageUsage::default(), intent: None }));
        };
        let record = str::from_utf8(&text).ok().and_then(Record::from_text);
        let record = record.ok_or_else(|| format!("the usage record of {} is not one of isorun", owner.as_str()))?;
        Ok((entry.revision, record))
    }

    /// Whether nobody has written the owner's record since.
    async fn is_latest(&self, owner: &Owner, revision: u64) -> bool {
        self.record(owner).await.is_ok_and(|(found, _)| found == revision)
    }

    /// The owner's record, and what it keeps once the change in it has been made, or never will be.
    async fn settle(&self, owner: &Owner) -> Result<Known, StorageError> {
        for _ in 0..TRIES_MAX {
            let (revision, record) = self.record(owner).await.map_err(unavailable)?;
            let Some(intent) = record.intent else { return Ok(Known { revision, usage: record.usage }) };
            let place = subject::value(self.bucket.prefix(), owner, &intent.key);
            let found = self.bucket.read(&place).await.map_err(unavailable)?;
            if was_made(&intent, &found) {
                return Ok(Known { revision, usage: intent.after });
            }
            if found.revision != intent.base {
                // Fenced by another who came this far.
                return Ok(Known { revision, usage: record.usage });
            }
            match self.fence(&place, &found).await {
                Ok(()) => return Ok(Known { revision, usage: record.usage }),
                Err(WriteError::Conflict) => {}
                Err(WriteError::Refused(reason) | WriteError::Unclear(reason)) => return Err(unavailable(reason)),
            }
        }
        Err(busy())
    }

    /// Writes a key again as it is: whoever waits to write over that revision is too late.
    async fn fence(&self, place: &str, found: &Entry) -> Result<(), WriteError> {
        let fenced = found.fenced || found.revision == 0;
        self.bucket.write(place, &Entry { fenced, ..found.clone() }).await.map(drop)
    }

    /// Whether a change was made of which the answer did not come.
    async fn find_out(
        &self,
        owner: &Owner,
        place: &str,
        intent: &Intent,
        revision: u64,
        reason: String,
    ) -> Result<(), StorageError> {
        let unknown = |reason| Err(StorageError::Unknown { reason });
        for _ in 0..TRIES_MAX {
            if !self.bucket.is_up().await {
                return unknown(reason);
            }
            let Ok(found) = self.bucket.read(place).await else { return unknown(reason) };
            if was_made(intent, &found) {
                return match intent.kind {
                    Kind::Set => Ok(()),
                    // Another node may have settled this one, and taken the key away itself.
                    Kind::Delete if self.is_latest(owner, revision).await => Ok(()),
                    Kind::Delete => unknown(reason),
                };
            }
            if found.revision != intent.base {
                return unknown(reason);
            }
            match self.fence(place, &found).await {
                Err(WriteError::Conflict) => {}
                Err(WriteError::Refused(_) | WriteError::Unclear(_)) => return unknown(reason),
                // Unless another node has settled it, and changed that key since, it was not made and never will be.
                Ok(()) if self.is_latest(owner, revision).await => return Err(unavailable(reason)),
                Ok(()) => return unknown(reason),
            }
        }
        unknown(reason)
    }
}

/// Whether a change that no other has followed was made, by what stands under its key.
fn was_made(intent: &Intent, found: &Entry) -> bool {
    match intent.kind {
        Kind::Set => found.op == intent.op,
        Kind::Delete => found.value.is_none(),
    }
}
