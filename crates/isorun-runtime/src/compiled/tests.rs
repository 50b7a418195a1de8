use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::{EngineOptions, LoadedComponent, WasmtimeEngine};

fn wasm(answer: u32) -> Vec<u8> {
    let text = format!(
        r#"(component (core module $M (func (export "f") (result i32) (i32.const {answer})))
            (core instance $m (instantiate $M)) (func (export "f") (result u32) (canon lift (core func $m "f"))))"#
    );
    wat::parse_str(text).unwrap()
}

fn engine(folder: &Path) -> WasmtimeEngine {
    WasmtimeEngine::with_options(EngineOptions::default().cache(folder)).unwrap()
}

/// Compiles with an engine of its own: how often it compiled, loaded and kept.
async fn counts(folder: &Path, wasm: &[u8]) -> (u64, u64, u64) {
    let engine = engine(folder);
    compile(&engine, wasm).await;
    let counts = engine.compile_counts();
    (counts.compiled, counts.loaded, counts.kept)
}

async fn compile(engine: &WasmtimeEngine, wasm: &[u8]) {
    LoadedComponent::parse(engine, wasm.to_vec()).unwrap().compiled().await.unwrap();
}

const COMPILED: (u64, u64, u64) = (1, 0, 1);
const LOADED: (u64, u64, u64) = (0, 1, 0);
/// As without a folder.
const NOT_KEPT: (u64, u64, u64) = (1, 0, 0);

fn entries(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|extension| extension == ENTRY)).collect()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A folder's key, and the only entry.
fn made(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("key"), entries(folder).pop().unwrap())
}

#[tokio::test]
async fn what_one_engine_compiled_another_loads() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("deep/er");
    assert_eq!(counts(&folder, &wasm(1)).await, COMPILED);
    assert_eq!(counts(&folder, &wasm(1)).await, LOADED);
    // Other bytes are another component.
    assert_eq!(counts(&folder, &wasm(2)).await, COMPILED);
    assert_eq!(entries(&folder).len(), 2);
    let (key, entry) = made(&folder);
    for (path, expected) in [(&folder, 0o700), (&key, 0o600), (&entry, 0o600)] {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, expected, "{path:?}");
    }
    assert_eq!(fs::read(key).unwrap().len(), sealed::KEY_BYTES);
}

#[tokio::test]
async fn an_entry_that_was_changed_anywhere_is_compiled_again_and_replaced() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("c");
    counts(&folder, &wasm(1)).await;
    let (_, entry) = made(&folder);
    let whole = fs::read(&entry).unwrap();
    let engine = engine(&folder);
    let cache = CompiledCache::open(&folder).unwrap();
    let id = EntryId::of(engine.engine(), &wasm(1));
    assert!(cache.load(engine.engine(), &id).is_some());

    let head = 0..SEALED_BYTES + 64;
    let spread = (0..whole.len()).step_by(whole.len() / 200);
    for at in head.chain(spread).chain([whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&entry, &damaged).unwrap();
        assert!(cache.load(engine.engine(), &id).is_none(), "byte {at}");
    }
    for length in [0, 1, SEALED_BYTES - 1, SEALED_BYTES, SEALED_BYTES + 1, whole.len() - 1] {
        fs::write(&entry, &whole[..length]).unwrap();
        assert!(cache.load(engine.engine(), &id).is_none(), "{length} bytes");
    }
    fs::write(&entry, [&whole[..], b"more"].concat()).unwrap();
    assert_eq!(counts(&folder, &wasm(1)).await, COMPILED);
    assert_eq!(counts(&folder, &wasm(1)).await, LOADED);

    // The entry of another component under this one's name.
    counts(&folder, &wasm(2)).await;
    let other = entries(&folder).into_iter().find(|path| *path != entry).unwrap();
    fs::copy(&other, &entry).unwrap();
    assert_eq!(counts(&folder, &wasm(1)).await, COMPILED);
}

#[tokio::test]
async fn an_entry_of_another_key_or_another_engine_is_not_loaded() {
    let home = tempfile::tempdir().unwrap();
    let (mine, theirs) = (home.path().join("mine"), home.path().join("theirs"));
    counts(&mine, &wasm(1)).await;
    counts(&theirs, &wasm(1)).await;
    let ((_, entry), (key, other)) = (made(&mine), made(&theirs));
    assert_eq!(entry.file_name(), other.file_name(), "one id wherever it is kept");
    fs::copy(&other, &entry).unwrap();
    assert_eq!(counts(&mine, &wasm(1)).await, COMPILED);
    // A new key makes all that was there strange.
    fs::remove_file(&key).unwrap();
    assert_eq!(counts(&theirs, &wasm(1)).await, COMPILED);

    let plain = Engine::default();
    assert_ne!(EntryId::of(&plain, &wasm(1)), EntryId::of(engine(&mine).engine(), &wasm(1)));
    assert_eq!(EntryId::of(engine(&theirs).engine(), &wasm(1)), EntryId::of(engine(&mine).engine(), &wasm(1)));
    // Even under the seal, the engine refuses what is not its own.
    let cache = CompiledCache::open(&mine).unwrap();
    let id = EntryId::of(engine(&mine).engine(), &wasm(3));
    assert!(cache.keep(&id, &Component::new(&plain, wasm(3)).unwrap()));
    assert_eq!(counts(&mine, &wasm(3)).await, COMPILED);
}

#[tokio::test]
async fn a_folder_or_a_key_that_others_could_write_is_not_used() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("c");
    counts(&folder, &wasm(1)).await;
    let refused = |why: &str| match CompiledCache::open(&folder) {
        Err(error @ CacheError::NotPrivate { .. }) => assert!(error.to_string().contains(why), "{error}"),
        other => panic!("{why}: {other:?}"),
    };
    for open in [0o777, 0o720, 0o702] {
        mode(&folder, open);
        refused("can be written by others");
        assert_eq!(counts(&folder, &wasm(1)).await, NOT_KEPT);
    }
    // Others may see that there is something.
    mode(&folder, 0o755);
    assert_eq!(counts(&folder, &wasm(1)).await, LOADED);

    let (key, _) = made(&folder);
    for open in [0o644, 0o620, 0o606] {
        mode(&key, open);
        refused("can be read or written by others");
    }
    assert_eq!(counts(&folder, &wasm(1)).await, NOT_KEPT);
    mode(&key, 0o600);
    for length in [31, 33] {
        fs::write(&key, vec![0; length]).unwrap();
        assert!(matches!(CompiledCache::open(&folder), Err(CacheError::Io { .. })));
    }
    // A key that is a link to a file somebody knows.
    fs::write(home.path().join("known"), [0; 32]).unwrap();
    mode(&home.path().join("known"), 0o600);
    fs::remove_file(&key).unwrap();
    std::os::unix::fs::symlink(home.path().join("known"), &key).unwrap();
    assert!(matches!(CompiledCache::open(&folder), Err(CacheError::Io { .. })));
    fs::remove_file(&key).unwrap();

    // A folder above in which others could put another one.
    mode(home.path(), 0o777);
    refused("can be written by others");
    mode(home.path(), 0o1777);
    CompiledCache::open(&folder).unwrap();

    let link = home.path().join("link");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    let error = CompiledCache::open(&link).unwrap_err();
    assert!(error.to_string().contains("is a symbolic link"), "{error}");
    assert_eq!(counts(&link, &wasm(1)).await, NOT_KEPT);
    assert!(matches!(CompiledCache::open(made(&folder).1), Err(CacheError::Io { .. })));
}

#[tokio::test]
async fn an_entry_that_is_no_file_is_compiled_again() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("c");
    counts(&folder, &wasm(1)).await;
    let (key, entry) = made(&folder);
    // A link is not followed, and replaced.
    let moved = home.path().join("moved");
    fs::rename(&entry, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &entry).unwrap();
    assert_eq!(counts(&folder, &wasm(1)).await, COMPILED);
    assert!(entry.symlink_metadata().unwrap().is_file());
    // A pipe keeps nobody waiting.
    fs::remove_file(&entry).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&entry).status().unwrap().success());
    assert_eq!(counts(&folder, &wasm(1)).await, COMPILED);
    // One that is too large is not read. It takes no room on the disk.
    fs::File::create(&entry).unwrap().set_len(CACHE_ENTRY_BYTES_MAX + 1).unwrap();
    assert_eq!(counts(&folder, &wasm(1)).await, COMPILED);
    // A folder in its place can't be replaced: compiled, and not kept.
    fs::remove_file(&entry).unwrap();
    fs::create_dir(&entry).unwrap();
    fs::write(entry.join("in it"), "").unwrap();
    assert_eq!(counts(&folder, &wasm(1)).await, NOT_KEPT);
    assert!(key.exists());
    assert!(!partials(&folder));
}

fn partials(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| entry.unwrap().path().extension().is_some_and(|e| e == "partial"))
}

#[tokio::test]
async fn without_a_folder_that_can_be_made_everything_still_works() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), "").unwrap();
    for folder in [home.path().join("file"), home.path().join("file/below"), PathBuf::from("/proc/nowhere")] {
        assert_eq!(counts(&folder, &wasm(1)).await, NOT_KEPT, "{folder:?}");
    }
    // Gone while it was used.
    let folder = home.path().join("c");
    let engine = engine(&folder);
    compile(&engine, &wasm(1)).await;
    fs::remove_dir_all(&folder).unwrap();
    compile(&engine, &wasm(2)).await;
    let counts = engine.compile_counts();
    assert_eq!((counts.compiled, counts.loaded, counts.kept), (2, 0, 1));
}

#[test]
fn many_threads_with_engines_of_their_own_share_one_folder() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("c");
    let one = |_| {
        let folder = folder.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for answer in [1, 2] {
                    let (compiled, loaded, kept) = counts(&folder, &wasm(answer)).await;
                    assert!(compiled + loaded == 1 && kept == compiled, "{compiled} {loaded} {kept}");
                }
            });
        })
    };
    let threads: Vec<_> = (0..8).map(one).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(entries(&folder).len(), 2);
    assert!(!partials(&folder));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for answer in [1, 2] {
        assert_eq!(runtime.block_on(counts(&folder, &wasm(answer))), LOADED);
    }
}

#[tokio::test]
async fn what_was_used_least_lately_goes_first_and_the_bound_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("c");
    let mut cache = CompiledCache::open(&folder).unwrap();
    let engine = engine(&folder);
    let now = SystemTime::now();
    let file = |answer| folder.join(EntryId::of(engine.engine(), &wasm(answer)).file());
    let age = |path: &Path, minutes: u64| {
        let used = now - Duration::from_secs(60 * minutes);
        fs::File::open(path).unwrap().set_modified(used).unwrap();
    };
    for answer in 0..4 {
        compile(&engine, &wasm(answer)).await;
        age(&file(answer), 10 + u64::from(answer));
    }
    // The oldest is used once more.
    assert_eq!(counts(&folder, &wasm(3)).await, LOADED);
    let size = file(0).metadata().unwrap().len();
    fs::write(folder.join("left.partial"), "half").unwrap();
    age(&folder.join("left.partial"), 120);
    fs::write(folder.join("new.partial"), "half").unwrap();

    cache.bytes_max = 3 * size + size / 2;
    let id = EntryId::of(engine.engine(), &wasm(9));
    assert!(cache.keep(&id, &Component::new(engine.engine(), wasm(9)).unwrap()));
    let there: Vec<bool> = [0, 1, 2, 3, 9].map(|answer| file(answer).exists()).to_vec();
    assert_eq!(there, [true, false, false, true, true]);
    assert!(!folder.join("left.partial").exists() && folder.join("new.partial").exists());
    assert!(folder.join("key").exists());
}

#[test]
fn a_key_shows_nothing_of_itself() {
    let key = Key::new([0xab; sealed::KEY_BYTES]);
    assert_eq!(format!("{key:?} {key:#?}"), "Key(..) Key(..)");
}
