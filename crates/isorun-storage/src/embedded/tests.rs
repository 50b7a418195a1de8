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

/// A file on a disk that does so many more writes and syncs, and then none; and has room up to some byte of the file.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    left: Arc<AtomicU64>,
    room: Arc<AtomicU64>,
}

impl Disk {
    fn use_up(&self, end: u64) -> io::Result<()> {
        let used = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if used.is_err() {
            return Err(io::Error::other("the disk is gone"));
        }
        // What lies before that has its place already.
        if end > self.room.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
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
        self.use_up(len)?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.use_up(0)?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.use_up(offset + data.len() as u64)?;
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

/// What the disk still does, and its room.
type Limits = (Arc<AtomicU64>, Arc<AtomicU64>);

fn over_a_disk(path: &Path) -> (RedbStorage, Limits) {
    let limits: Limits = (Arc::new(AtomicU64::new(MANY)), Arc::new(AtomicU64::new(MANY)));
    let (path, of_disk) = (path.to_owned(), limits.clone());
    let kept = Kept::open(Box::new(move || {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let (left, room) = of_disk.clone();
        let disk = Disk { file: FileBackend::new(file).unwrap(), left, room };
        open_database(&path, |builder| builder.create_with_backend(disk))
    }));
    (RedbStorage::over(kept.unwrap()).unwrap(), limits)
}

fn value(round: u64) -> Bytes {
    // Larger each time, so that the file has to grow too.
    Bytes::from(vec![round as u8; 40_000 + 1_000 * round as usize])
}

#[tokio::test]
async fn a_disk_that_fails_at_any_moment_tears_nothing_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, (left, _)) = over_a_disk(&folder.path().join("file"));
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
async fn on_a_full_disk_everything_is_still_read_and_with_room_all_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let (storage, (_, room)) = over_a_disk(&file);
    let owner = ComponentId::parse("demo/kv/0").unwrap();
    storage.set(&owner, "first", value(1), StorageQuota::default()).await.unwrap();
    room.store(std::fs::metadata(&file).unwrap().len(), Ordering::SeqCst);
    let mut stored = 0;
    let error = loop {
        match storage.set(&owner, &stored.to_string(), value(2), StorageQuota::default()).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, StorageError::Unavailable { .. }), "{error}");
    let refused = storage.set(&owner, "another", value(2), StorageQuota::default()).await;
    assert!(matches!(refused, Err(StorageError::Unavailable { .. })), "{refused:?}");
    assert_eq!(storage.get(&owner, "first").await, Ok(Some(value(1))));
    for key in 0..stored {
        assert_eq!(storage.get(&owner, &key.to_string()).await, Ok(Some(value(2))));
    }
    assert_eq!(storage.usage(&owner).await.unwrap().keys, stored + 1);
    room.store(MANY, Ordering::SeqCst);
    storage.set(&owner, "another", value(2), StorageQuota::default()).await.unwrap();
    assert_eq!(storage.usage(&owner).await.unwrap().keys, stored + 2);
}

#[tokio::test]
async fn a_disk_that_is_gone_is_an_error_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, (left, _)) = over_a_disk(&folder.path().join("file"));
    let owner = ComponentId::parse("demo/kv/0").unwrap();
    storage.set(&owner, "k", value(1), StorageQuota::default()).await.unwrap();
    left.store(0, Ordering::SeqCst);
    for _ in 0..3 {
        let error = storage.set(&owner, "k", value(2), StorageQuota::default()).await.unwrap_err();
        assert!(matches!(error, StorageError::Unavailable { .. } | StorageError::Unknown { .. }), "{error}");
        let refused = storage.get(&owner, "k").await;
        assert!(matches!(refused, Err(StorageError::Unavailable { .. })), "{refused:?}");
    }
    left.store(MANY, Ordering::SeqCst);
    assert_eq!(storage.get(&owner, "k").await, Ok(Some(value(1))));
}
