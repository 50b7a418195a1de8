//! A disk that fails, at every moment that it can.

use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use isorun_core::{ComponentId, Storage, StorageError, StorageQuota};
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::file::{Kept, open_database};
use super::*;

/// A file on a disk that does so many more writes and syncs, and then none.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    left: Arc<AtomicU64>,
}

impl Disk {
    fn use_up(&self) -> io::Result<()> {
        let used = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        used.map(drop).map_err(|_| io::Error::from(io::ErrorKind::StorageFull))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.use_up()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.use_up()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.use_up()?;
        self.file.write(offset, data)
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

const MANY: u64 = u64::MAX;

fn over_a_disk(path: &Path) -> (RedbStorage, Arc<AtomicU64>) {
    let left = Arc::new(AtomicU64::new(MANY));
    let (path, of_disk) = (path.to_owned(), Arc::clone(&left));
    let kept = Kept::open(Box::new(move || {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let disk = Disk { file: FileBackend::new(file).unwrap(), left: Arc::clone(&of_disk) };
        open_database(&path, |builder| builder.create_with_backend(disk))
    }));
    (RedbStorage::over(kept.unwrap()).unwrap(), left)
}

fn value(round: u64) -> Bytes {
    // Larger each time, so that the file has to grow too.
    Bytes::from(vec![round as u8; 40_000 + 1_000 * round as usize])
}

#[tokio::test]
async fn a_disk_that_fails_at_any_moment_tears_nothing_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, left) = over_a_disk(&folder.path().join("file"));
    let owner = ComponentId::parse("demo/kv/0").unwrap();
    let quota = StorageQuota::default();
    let (mut unavailable, mut unknown) = (0, 0);
    let mut known = None;
    for round in 0..60 {
        left.store(round, Ordering::SeqCst);
        let outcome = storage.set(&owner, "k", value(round), quota).await;
        left.store(MANY, Ordering::SeqCst);
        let found = storage.get(&owner, "k").await.unwrap();
        match outcome {
            Ok(()) => assert_eq!(found, Some(value(round))),
            Err(StorageError::Unavailable { .. }) => {
                assert_eq!(found, known, "round {round}");
                unavailable += 1;
            }
            Err(StorageError::Unknown { .. }) => {
                assert!(found == known || found == Some(value(round)), "round {round}");
                unknown += 1;
            }
            Err(error) => panic!("{error}"),
        }
        let bytes = found.as_ref().map_or(0, |found| found.len() as u64 + 1);
        assert_eq!(storage.usage(&owner).await.unwrap().bytes, bytes);
        storage.set(&owner, "other", value(round), quota).await.unwrap();
        storage.delete(&owner, "other").await.unwrap();
        known = found;
    }
    assert!(unavailable + unknown > 0 && known.is_some(), "{unavailable} {unknown}");
}

#[tokio::test]
async fn on_a_full_disk_everything_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, left) = over_a_disk(&folder.path().join("file"));
    let owner = ComponentId::parse("demo/kv/0").unwrap();
    storage.set(&owner, "k", value(1), StorageQuota::default()).await.unwrap();
    left.store(0, Ordering::SeqCst);
    for _ in 0..3 {
        let error = storage.set(&owner, "k", value(2), StorageQuota::default()).await.unwrap_err();
        assert!(matches!(error, StorageError::Unavailable { .. } | StorageError::Unknown { .. }), "{error}");
    }
    let refused = storage.get(&owner, "k").await;
    left.store(MANY, Ordering::SeqCst);
    // Opening it again wants to write a little, so that it may have to wait for that too.
    assert!(matches!(&refused, Ok(Some(_)) | Err(StorageError::Unavailable { .. })), "{refused:?}");
    assert_eq!(storage.get(&owner, "k").await, Ok(Some(value(1))));
}
