//! `isorun:actor/storage`, called by a guest that hands everything through.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use common::{call, start_as, system, try_start};
use isorun_core::{
    BoxFuture, Budget, ComponentId, STORAGE_KEY_BYTES_MAX, STORAGE_VALUE_BYTES_MAX, Storage, StorageError,
    StorageQuota, StorageUsage,
};
use isorun_runtime::Instance;
use isorun_runtime::wasmtime::component::Val;
use isorun_storage::{MemoryStorage, RedbStorage};
use isorun_system::ActorStorage;

/// Each function of the interface, exported again under its name.
const THROUGH: &str = r#"(component
    (import "isorun:actor/storage@0.1.0" (instance $s
        (type $usage-def (record
            (field "bytes" u64) (field "keys" u64) (field "quota-bytes" u64) (field "quota-keys" u64)))
        (export "storage-usage" (type $usage (eq $usage-def)))
        (type $error-def (variant
            (case "quota-exceeded" $usage) (case "invalid-key" string) (case "value-too-large" u64)
            (case "unavailable" string) (case "unknown" string)))
        (export "storage-error" (type $error (eq $error-def)))
        (export "get" (func (param "key" string) (result (result (option (list u8)) (error $error)))))
        (export "set" (func (param "key" string) (param "value" (list u8)) (result (result (error $error)))))
        (export "delete" (func (param "key" string) (result (result bool (error $error)))))
        (export "exists" (func (param "key" string) (result (result bool (error $error)))))
        (export "list-keys" (func (param "prefix" string) (result (result (list string) (error $error)))))
        (export "usage" (func (result (result $usage (error $error)))))))
    (alias export $s "storage-usage" (type $usage))
    (alias export $s "storage-error" (type $error))
    (export $usage-out "storage-usage" (type $usage))
    (export $error-out "storage-error" (type $error))
    (core module $M
        (memory (export "memory") 1)
        (global $next (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
            (global.set $next (i32.add (local.get $at) (local.get 3)))
            (block $fits (loop $more
                (br_if $fits (i32.ge_u (i32.mul (memory.size) (i32.const 65536)) (global.get $next)))
                (drop (memory.grow (i32.const 1)))
                (br $more)))
            (local.get $at)))
    (core instance $m (instantiate $M))
    (alias core export $m "memory" (core memory $memory))
    (alias core export $m "realloc" (core func $realloc))
    (core func $get (canon lower (func $s "get") (memory $memory) (realloc $realloc)))
    (core func $set (canon lower (func $s "set") (memory $memory) (realloc $realloc)))
    (core func $delete (canon lower (func $s "delete") (memory $memory) (realloc $realloc)))
    (core func $exists (canon lower (func $s "exists") (memory $memory) (realloc $realloc)))
    (core func $list (canon lower (func $s "list-keys") (memory $memory) (realloc $realloc)))
    (core func $usage-of (canon lower (func $s "usage") (memory $memory) (realloc $realloc)))
    (core module $T
        (import "s" "get" (func $get (param i32 i32 i32)))
        (import "s" "set" (func $set (param i32 i32 i32 i32 i32)))
        (import "s" "delete" (func $delete (param i32 i32 i32)))
        (import "s" "exists" (func $exists (param i32 i32 i32)))
        (import "s" "list-keys" (func $list (param i32 i32 i32)))
        (import "s" "usage" (func $usage (param i32)))
        (func (export "get") (param i32 i32) (result i32)
            (call $get (local.get 0) (local.get 1) (i32.const 64)) (i32.const 64))
        (func (export "set") (param i32 i32 i32 i32) (result i32)
            (call $set (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 64)) (i32.const 64))
        (func (export "delete") (param i32 i32) (result i32)
            (call $delete (local.get 0) (local.get 1) (i32.const 64)) (i32.const 64))
        (func (export "exists") (param i32 i32) (result i32)
            (call $exists (local.get 0) (local.get 1) (i32.const 64)) (i32.const 64))
        (func (export "list-keys") (param i32 i32) (result i32)
            (call $list (local.get 0) (local.get 1) (i32.const 64)) (i32.const 64))
        (func (export "usage") (result i32) (call $usage (i32.const 64)) (i32.const 64)))
    (core instance $t (instantiate $T (with "s" (instance
        (export "get" (func $get)) (export "set" (func $set)) (export "delete" (func $delete))
        (export "exists" (func $exists)) (export "list-keys" (func $list)) (export "usage" (func $usage-of))))))
    (func (export "get") (param "key" string) (result (result (option (list u8)) (error $error-out)))
        (canon lift (core func $t "get") (memory $memory) (realloc $realloc)))
    (func (export "set") (param "key" string) (param "value" (list u8)) (result (result (error $error-out)))
        (canon lift (core func $t "set") (memory $memory) (realloc $realloc)))
    (func (export "delete") (param "key" string) (result (result bool (error $error-out)))
        (canon lift (core func $t "delete") (memory $memory) (realloc $realloc)))
    (func (export "exists") (param "key" string) (result (result bool (error $error-out)))
        (canon lift (core func $t "exists") (memory $memory) (realloc $realloc)))
    (func (export "list-keys") (param "prefix" string) (result (result (list string) (error $error-out)))
        (canon lift (core func $t "list-keys") (memory $memory) (realloc $realloc)))
    (func (export "usage") (result (result $usage-out (error $error-out)))
        (canon lift (core func $t "usage") (memory $memory) (realloc $realloc))))"#;

const QUOTA: StorageQuota = StorageQuota { bytes: 4 << 20, keys: 3 };

fn text(text: impl Into<String>) -> Val {
    Val::String(text.into())
}

fn list(bytes: &[u8]) -> Val {
    Val::List(bytes.iter().map(|byte| Val::U8(*byte)).collect())
}

fn ok(value: Val) -> Vec<Val> {
    vec![Val::Result(Ok(Some(Box::new(value))))]
}

fn done() -> Vec<Val> {
    vec![Val::Result(Ok(None))]
}

fn error(case: &str, of: Val) -> Vec<Val> {
    vec![Val::Result(Err(Some(Box::new(Val::Variant(case.into(), Some(Box::new(of)))))))]
}

fn usage(bytes: u64, keys: u64) -> Val {
    let field = |name: &str, value| (name.to_owned(), Val::U64(value));
    Val::Record(vec![
        field("bytes", bytes),
        field("keys", keys),
        field("quota-bytes", QUOTA.bytes),
        field("quota-keys", QUOTA.keys),
    ])
}

async fn actor(id: &str, storage: Arc<dyn Storage>) -> Instance {
    start_as(id, THROUGH, &[system("isorun:actor/storage", ActorStorage::new(storage).quotas(|_| QUOTA))]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_keeps_values_finds_them_again_and_nobody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let storage: Arc<dyn Storage> = Arc::new(RedbStorage::open(&file).unwrap());
    let app = actor("demo/kv/0", Arc::clone(&storage)).await;
    assert_eq!(call(&app, "get", &[text("k/1")]).await, ok(Val::Option(None)));
    assert_eq!(call(&app, "set", &[text("k/1"), list(b"one")]).await, done());
    assert_eq!(call(&app, "set", &[text("k/2"), list(b"")]).await, done());
    assert_eq!(call(&app, "set", &[text("l"), list(b"l")]).await, done());
    assert_eq!(call(&app, "get", &[text("k/1")]).await, ok(Val::Option(Some(Box::new(list(b"one"))))));
    assert_eq!(call(&app, "exists", &[text("k/2")]).await, ok(Val::Bool(true)));
    assert_eq!(call(&app, "list-keys", &[text("k/")]).await, ok(Val::List(vec![text("k/1"), text("k/2")])));
    assert_eq!(call(&app, "list-keys", &[text("k".repeat(10_000))]).await, ok(Val::List(Vec::new())));
    assert_eq!(call(&app, "delete", &[text("k/2")]).await, ok(Val::Bool(true)));
    assert_eq!(call(&app, "delete", &[text("k/2")]).await, ok(Val::Bool(false)));
    assert_eq!(call(&app, "usage", &[]).await, ok(usage(8, 2)));
    let neighbour = actor("demo/kv/1", Arc::clone(&storage)).await;
    assert_eq!(call(&neighbour, "list-keys", &[text("")]).await, ok(Val::List(Vec::new())));
    assert_eq!(call(&neighbour, "usage", &[]).await, ok(usage(0, 0)));
    drop((app, neighbour, storage));

    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let elsewhere = actor("demo/kv/0", storage).await;
    assert_eq!(call(&elsewhere, "exists", &[text("l")]).await, ok(Val::Bool(false)));
}

#[tokio::test]
async fn what_is_over_a_limit_is_an_error_that_the_guest_is_given() {
    let app = actor("demo/kv/0", Arc::new(MemoryStorage::new())).await;
    let largest = vec![7; STORAGE_VALUE_BYTES_MAX];
    assert_eq!(call(&app, "set", &[text("k"), list(&largest)]).await, done());
    let too_large = error("value-too-large", Val::U64(STORAGE_VALUE_BYTES_MAX as u64));
    assert_eq!(call(&app, "set", &[text("k"), list(&[&largest[..], &[7]].concat())]).await, too_large);
    let longest = "k".repeat(STORAGE_KEY_BYTES_MAX);
    assert_eq!(call(&app, "set", &[text(&longest), list(b"")]).await, done());
    for key in [String::new(), longest + "k"] {
        let refused = error("invalid-key", text(format!("a key of {} bytes; 1 to 512 are allowed", key.len())));
        for function in ["get", "delete", "exists"] {
            assert_eq!(call(&app, function, &[text(&key)]).await, refused);
        }
        assert_eq!(call(&app, "set", &[text(&key), list(b"")]).await, refused);
    }
    assert_eq!(call(&app, "set", &[text("m"), list(b"v")]).await, done());
    let wanted = usage(1 + STORAGE_VALUE_BYTES_MAX as u64 + 512 + 2 + 1, 4);
    assert_eq!(call(&app, "set", &[text("n"), list(b"")]).await, error("quota-exceeded", wanted));
}

/// Says that it can't, or does not know.
struct Failing(AtomicBool);

impl Failing {
    fn fail<T: Send + 'static>(&self) -> BoxFuture<'_, Result<T, StorageError>> {
        let reason = "the disk".to_owned();
        let unknown = self.0.load(Ordering::SeqCst);
        let error = if unknown { StorageError::Unknown { reason } } else { StorageError::Unavailable { reason } };
        Box::pin(std::future::ready(Err(error)))
    }
}

impl Storage for Failing {
    fn get<'a>(&'a self, _: &'a ComponentId, _: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        self.fail()
    }

    fn set<'a>(
        &'a self,
        _: &'a ComponentId,
        _: &'a str,
        _: Bytes,
        _: StorageQuota,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        self.fail()
    }

    fn delete<'a>(&'a self, _: &'a ComponentId, _: &'a str) -> BoxFuture<'a, Result<bool, StorageError>> {
        self.fail()
    }

    fn exists<'a>(&'a self, _: &'a ComponentId, _: &'a str) -> BoxFuture<'a, Result<bool, StorageError>> {
        self.fail()
    }

    fn list_keys<'a>(
        &'a self,
        _: &'a ComponentId,
        _: &'a str,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<String>, StorageError>> {
        self.fail()
    }

    fn usage<'a>(&'a self, _: &'a ComponentId) -> BoxFuture<'a, Result<StorageUsage, StorageError>> {
        self.fail()
    }
}

#[tokio::test]
async fn a_storage_that_fails_is_an_error_that_says_whether_it_may_have_stored() {
    let storage = Arc::new(Failing(AtomicBool::new(false)));
    let app = actor("demo/kv/0", storage.clone()).await;
    for (unknown, case) in [(false, "unavailable"), (true, "unknown")] {
        storage.0.store(unknown, Ordering::SeqCst);
        let failed = error(case, text("the disk"));
        assert_eq!(call(&app, "set", &[text("k"), list(b"")]).await, failed);
        assert_eq!(call(&app, "usage", &[]).await, failed);
        for function in ["get", "delete", "exists", "list-keys"] {
            assert_eq!(call(&app, function, &[text("k")]).await, failed);
        }
    }
}

#[tokio::test]
async fn an_instance_without_an_id_keeps_nothing() {
    let links = [system("isorun:actor/storage", ActorStorage::new(Arc::new(MemoryStorage::new())))];
    let error = try_start(THROUGH, &links, Budget::default()).await.err().unwrap().to_string();
    assert!(error.contains("isorun:actor is for components that have an id"), "{error}");
}
