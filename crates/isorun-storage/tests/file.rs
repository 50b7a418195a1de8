//! The file of an embedded storage: opened again, shared, in use, damaged, and not there.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{ComponentId, Storage, StorageQuota, StorageUsage};
use isorun_storage::{OpenError, RedbStorage};

fn id(text: &str) -> ComponentId {
    ComponentId::parse(text).unwrap()
}

fn refused(file: &Path) -> OpenError {
    RedbStorage::open(file).err().unwrap_or_else(|| panic!("{} was opened", file.display()))
}

async fn set(storage: &RedbStorage, owner: &ComponentId, key: &str, value: &'static [u8]) {
    storage.set(owner, key, Bytes::from_static(value), StorageQuota::default()).await.unwrap();
}

#[tokio::test]
async fn what_was_stored_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let storage = RedbStorage::open(&file).unwrap();
    set(&storage, &id("a/b/1"), "k", b"one").await;
    set(&storage, &id("a/b/0"), "k", b"zero").await;
    set(&storage, &id("a/b/0"), "l", b"").await;
    storage.delete(&id("a/b/0"), "k").await.unwrap();
    drop(storage);
    let storage = RedbStorage::open(&file).unwrap();
    assert_eq!(storage.get(&id("a/b/1"), "k").await.unwrap().as_deref(), Some(b"one".as_slice()));
    let owners = storage.owners().await.unwrap();
    let usage = |bytes, keys| StorageUsage { bytes, keys };
    assert_eq!(owners, [(id("a/b/0"), usage(1, 1)), (id("a/b/1"), usage(4, 1))]);
}

#[tokio::test]
async fn all_of_one_owner_is_cleared_and_nothing_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let storage = RedbStorage::open(folder.path().join("file")).unwrap();
    for owner in ["a/b/c", "a/b/c0", "a/b/c-"] {
        set(&storage, &id(owner), "\0", b"v").await;
        set(&storage, &id(owner), "\u{10ffff}", b"v").await;
    }
    assert_eq!(storage.clear(&id("a/b/c")).await, Ok(StorageUsage { bytes: 7, keys: 2 }));
    assert_eq!(storage.clear(&id("a/b/c")).await, Ok(StorageUsage::default()));
    assert_eq!(storage.list_keys(&id("a/b/c"), "", None).await, Ok(Vec::new()));
    assert_eq!(storage.owners().await.unwrap().len(), 2);
    for owner in ["a/b/c0", "a/b/c-"] {
        assert_eq!(storage.list_keys(&id(owner), "", None).await.unwrap(), ["\0", "\u{10ffff}"]);
    }
}

#[tokio::test]
async fn more_owners_than_are_read_in_one_go_are_all_listed() {
    let folder = tempfile::tempdir().unwrap();
    let storage = RedbStorage::open(folder.path().join("file")).unwrap();
    let ids: Vec<_> = (0..2_001).map(|at| id(&format!("a/b/{at:04}"))).collect();
    for some in ids.chunks(500) {
        futures_util::future::join_all(some.iter().map(|id| set(&storage, id, "k", b"v"))).await;
    }
    let owners: Vec<_> = storage.owners().await.unwrap().into_iter().map(|(owner, _)| owner).collect();
    assert!(owners == ids, "{}", owners.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_at_once_share_commits() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(RedbStorage::open(folder.path().join("file")).unwrap());
    let before = storage.commits();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                for at in 0..8 {
                    set(&storage, &id(&format!("a/b/{task}")), &at.to_string(), b"value").await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let commits = storage.commits() - before;
    // One for each of 512 changes without it, and as few as 8 where all 64 come before the first is made.
    assert!((8..=256).contains(&commits), "{commits}");
}

#[tokio::test]
async fn changes_that_change_nothing_cost_no_commit() {
    let folder = tempfile::tempdir().unwrap();
    let storage = RedbStorage::open(folder.path().join("file")).unwrap();
    assert_eq!(storage.delete(&id("a/b/c"), "k").await, Ok(false));
    let quota = StorageQuota { bytes: 0, keys: 0 };
    assert!(storage.set(&id("a/b/c"), "k", Bytes::new(), quota).await.is_err());
    assert_eq!(storage.commits(), 0);
}

#[test]
fn it_works_without_a_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let storage = RedbStorage::open(folder.path().join("file")).unwrap();
    let owner = id("a/b/c");
    // Nothing here drives timers or sockets: whatever polls a future will do.
    futures_util::FutureExt::now_or_never(storage.get(&owner, "k")).unwrap().unwrap();
}

#[test]
fn a_file_in_use_is_refused_and_free_when_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let storage = RedbStorage::open(&file).unwrap();
    let error = refused(&file);
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("stop the other process"), "{error}");
    drop(storage);
    RedbStorage::open(&file).unwrap();
}

#[test]
fn what_is_no_storage_is_refused_with_what_to_do_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(&text, "not a storage at all\n".repeat(1_000)).unwrap();
    let error = refused(&text);
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("put a backup in its place"), "{error}");
    assert_eq!(std::fs::read(&text).unwrap(), "not a storage at all\n".repeat(1_000).as_bytes());

    let short = folder.path().join("short");
    std::fs::write(&short, "x").unwrap();
    assert!(matches!(refused(&short), OpenError::Damaged { .. }), "{:?}", refused(&short));

    let other = folder.path().join("other");
    let database = redb::Database::create(&other).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = refused(&other);
    assert!(error.to_string().contains("of another program"), "{error}");
}

#[test]
fn a_file_of_a_later_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    drop(RedbStorage::open(&file).unwrap());
    let database = redb::Database::create(&file).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(redb::TableDefinition::<&str, u64>::new("isorun")).unwrap().insert("format", 2).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = refused(&file).to_string();
    assert!(error.contains("its format is 2, and this isorun reads 1"), "{error}");
}

#[tokio::test]
async fn a_file_with_a_byte_changed_anywhere_is_refused_or_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let storage = RedbStorage::open(&file).unwrap();
    for at in 0..20 {
        set(&storage, &id("a/b/c"), &at.to_string(), &[0xaa; 3_000]).await;
    }
    drop(storage);
    let whole = std::fs::read(&file).unwrap();
    let (mut refusals, step) = (0, whole.len() / 40);
    for at in (0..whole.len()).step_by(step).chain(0..16) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        std::fs::write(&file, damaged).unwrap();
        match RedbStorage::open(&file) {
            Err(OpenError::Damaged { .. }) => refusals += 1,
            Err(error) => panic!("byte {at}: {error:?}"),
            // That byte was of no page in use, or of a commit before the last.
            Ok(storage) => {
                for key in 0..20 {
                    let value = storage.get(&id("a/b/c"), &key.to_string()).await.unwrap();
                    assert!(value.is_none_or(|value| *value == [0xaa; 3_000]), "byte {at}");
                }
            }
        }
    }
    assert!(refusals > 10, "{refusals}");
}

#[test]
fn a_folder_and_a_place_without_one_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
    assert!(error.to_string().contains("components.redb"), "{error}");
    let error = refused(&folder.path().join("none").join("file"));
    assert!(matches!(error, OpenError::NoFolder { .. }), "{error:?}");
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    drop(RedbStorage::open(&file).unwrap());
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
