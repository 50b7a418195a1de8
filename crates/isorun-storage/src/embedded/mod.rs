//! One file for all components of a node.

mod file;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use isorun_core::{
    BoxFuture, ComponentId, STORAGE_VALUE_BYTES_MAX, Storage, StorageError, StorageQuota, StorageUsage,
    check_storage_key,
};
use redb::{ReadTransaction, ReadableDatabase};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;

pub use file::{CACHE_BYTES, OpenError};

use crate::owner::Owner;
use crate::quota;
use file::Kept;
use tables::{Change, Done};
use writer::Job;

/// Changes that wait for the next commit; more wait for room.
pub const QUEUE_CHANGES_MAX: usize = 1_024;

/// Bytes of values that wait for the next commit; more wait for room.
pub const QUEUE_BYTES_MAX: usize = 32 << 20;

/// Reads that go on at once, each on a thread that may wait for the disk.
pub const READS_MAX: usize = 16;

/// Owners that are read in one go.
const OWNERS_PAGE: usize = 1_000;

// Any value finds room.
const _: () = assert!(STORAGE_VALUE_BYTES_MAX <= QUEUE_BYTES_MAX && QUEUE_BYTES_MAX <= Semaphore::MAX_PERMITS);

/// Keeps everything in one file, with redb: durable when a change says `Ok`, whatever ends the process or the machine.
///
/// One process at a time has the file. Changes of any number of components that come while the disk is busy go into one
/// commit together, so that many writers share what a commit costs. What a component keeps stays when the component is
/// removed, until [`clear`](Self::clear).
///
/// Its changes are made by a thread of its own, and reads go to tokio's threads for what may block; without a runtime
/// they are done at once.
pub struct RedbStorage {
    shared: Arc<Shared>,
    /// None once it is dropped.
    queue: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    file: Kept,
    /// Transactions that made it to the disk.
    commits: AtomicU64,
    room: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

impl RedbStorage {
    /// Opens the file, or makes it, readable and writable by this user alone.
    ///
    /// The whole file is read once, so that damage is found now and not later: the time grows with its size, and the thread
    /// waits for it.
    ///
    /// # Errors
    /// [`OpenError`], which says what to do.
    pub fn open(file: impl AsRef<Path>) -> Result<Self, OpenError> {
        let file = file.as_ref();
        let kept = Kept::open(file::at(file))?;
        Self::over(kept).map_err(|cause| OpenError::Io { file: file.to_owned(), cause })
    }

    fn over(file: Kept) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            file,
            commits: AtomicU64::new(0),
            room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            reads: Arc::new(Semaphore::new(READS_MAX)),
        });
        let (queue, jobs) = mpsc::channel(QUEUE_CHANGES_MAX);
        let of_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("isorun-storage".to_owned())
            .spawn(move || writer::run(&of_writer.file, &of_writer.commits, jobs))?;
        Ok(Self { shared, queue: Some(queue), writer: Some(writer) })
    }

    /// Everybody who keeps something, and how much, in the order of their ids.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`].
    pub async fn owners(&self) -> Result<Vec<(ComponentId, StorageUsage)>, StorageError> {
        let mut found: Vec<(ComponentId, StorageUsage)> = Vec::new();
        loop {
            let after = found.last().map(|(owner, _)| owner.to_string_id());
            let page = self.read(move |file| tables::owners(file, after.as_deref(), OWNERS_PAGE)).await?;
            let is_last = page.len() < OWNERS_PAGE;
            for (owner, usage) in page {
                let owner = ComponentId::parse(&owner);
                found.push((owner.map_err(|error| StorageError::Unavailable { reason: error.to_string() })?, usage));
            }
            if is_last {
                return Ok(found);
            }
        }
    }

    /// Takes away all that a component keeps, at once; how much that was.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn clear(&self, owner: &ComponentId) -> Result<StorageUsage, StorageError> {
        match self.change(owner, Change::Clear, 0).await? {
            Done::Cleared(usage) => Ok(usage),
            Done::Stored | Done::Deleted(_) => Err(not_its_answer()),
        }
    }

    /// How many commits have been made since it was opened: at most one for each change, fewer where many write at once.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Queues a change, and waits until it is on the disk.
    async fn change(&self, owner: &ComponentId, change: Change, bytes: usize) -> Result<Done, StorageError> {
        let owner = Owner::of(owner)?;
        let gone = || StorageError::Unavailable { reason: "it has been closed".to_owned() };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.shared.room).acquire_many_owned(bytes).await.map_err(|_| gone())?;
        let (answer, answered) = oneshot::channel();
        let job = Job { owner, change, answer, _room: room };
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(job).await.map_err(|_| gone())?;
        // The writer answers all that it takes, unless it is no more.
        answered.await.unwrap_or_else(|_| Err(StorageError::Unknown { reason: "its writer has ended".to_owned() }))
    }

    /// Reads on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StorageError> {
        let unavailable = |reason| StorageError::Unavailable { reason };
        let shared = Arc::clone(&self.shared);
        let work = move || shared.file.with(|database| read(&database.begin_read()?));
        if Handle::try_current().is_err() {
            return work().map_err(unavailable);
        }
        let permit = Arc::clone(&self.shared.reads).acquire_owned().await;
        let work = move || {
            let _permit = permit;
            work()
        };
        match spawn_blocking(work).await {
            Ok(done) => done.map_err(unavailable),
            Err(error) => Err(unavailable(error.to_string())),
        }
    }
}

impl Drop for RedbStorage {
    /// Waits for the commit that is being made, if one is, so that the file is free afterwards.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        self.shared.file.close();
    }
}

impl std::fmt::Debug for RedbStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbStorage").field("commits", &self.commits()).finish_non_exhaustive()
    }
}

impl Storage for RedbStorage {
    fn get<'a>(&'a self, owner: &'a ComponentId, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        Box::pin(async move {
            let place = place(owner, key)?;
            self.read(move |file| tables::get(file, &place)).await
        })
    }

    fn set<'a>(
        &'a self,
        owner: &'a ComponentId,
        key: &'a str,
        value: Bytes,
        quota: StorageQuota,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            quota::check(key, &value)?;
            let bytes = value.len();
            match self.change(owner, Change::Set { key: key.to_owned(), value, quota }, bytes).await? {
                Done::Stored => Ok(()),
                Done::Deleted(_) | Done::Cleared(_) => Err(not_its_answer()),
            }
        })
    }

    fn delete<'a>(&'a self, owner: &'a ComponentId, key: &'a str) -> BoxFuture<'a, Result<bool, StorageError>> {
        Box::pin(async move {
            check_storage_key(key)?;
            match self.change(owner, Change::Delete { key: key.to_owned() }, 0).await? {
                Done::Deleted(was_there) => Ok(was_there),
                Done::Stored | Done::Cleared(_) => Err(not_its_answer()),
            }
        })
    }

    fn exists<'a>(&'a self, owner: &'a ComponentId, key: &'a str) -> BoxFuture<'a, Result<bool, StorageError>> {
        Box::pin(async move {
            let place = place(owner, key)?;
            self.read(move |file| tables::exists(file, &place)).await
        })
    }

    fn list_keys<'a>(
        &'a self,
        owner: &'a ComponentId,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<String>, StorageError>> {
        Box::pin(async move {
            let (owner, prefix, after) = (Owner::of(owner)?, prefix.to_owned(), after.map(str::to_owned));
            self.read(move |file| tables::list(file, &owner, &prefix, after.as_deref())).await
        })
    }

    fn usage<'a>(&'a self, owner: &'a ComponentId) -> BoxFuture<'a, Result<StorageUsage, StorageError>> {
        Box::pin(async move {
            let owner = Owner::of(owner)?;
            self.read(move |file| tables::usage(file, &owner)).await
        })
    }
}

fn place(owner: &ComponentId, key: &str) -> Result<Vec<u8>, StorageError> {
    check_storage_key(key)?;
    Ok(Owner::of(owner)?.key(key))
}

/// The writer answers each change with what it is about, so this is never seen.
fn not_its_answer() -> StorageError {
    StorageError::Unknown { reason: "the answer is of another change".to_owned() }
}
