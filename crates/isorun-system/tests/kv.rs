//! The key-value store, from guests and from the host.

mod common;

use std::collections::BTreeMap;

use common::{call, prebuilt, start, system};
use isorun_runtime::wasmtime::component::Val;
use isorun_system::{BYTES_MAX, ENTRIES_MAX, ENTRY_BYTES, Entry, InMemoryKv, KvError};
use proptest::prelude::*;

fn fixture() -> InMemoryKv {
    InMemoryKv::new().deny("denied").absent_is_error("missing")
}

fn entry(key: &str, bytes: usize) -> Entry {
    Entry { key: key.into(), value: vec![7; bytes], ..Entry::default() }
}

fn ok(value: u64) -> Vec<Val> {
    vec![Val::Result(Ok(Some(Box::new(Val::U64(value)))))]
}

#[tokio::test]
async fn an_app_finds_every_function_and_every_rule() {
    let app = start(prebuilt("kv-app"), &[system("demo:kv/store", fixture())]).await;
    for _ in 0..2 {
        assert_eq!(call(&app, "run", &[Val::U32(40)]).await, ok(820));
    }
}

#[tokio::test]
async fn an_app_misses_a_rule_that_nobody_made() {
    let app = start(prebuilt("kv-app"), &[system("demo:kv/store@0.1.7", InMemoryKv::new())]).await;
    let [Val::Result(Err(_))] = call(&app, "run", &[Val::U32(1)]).await[..] else { panic!("no rule, no error") };
}

#[tokio::test]
async fn all_instances_and_the_host_see_one_store() {
    let kv = fixture();
    let first = start(prebuilt("kv-app"), &[system("demo:kv/store", kv.clone())]).await;
    let second = start(prebuilt("kv-app"), &[system("*", kv.clone())]).await;
    assert_eq!(call(&first, "run", &[Val::U32(3)]).await, ok(6));
    assert_eq!(kv.len(), 3);
    assert_eq!(call(&second, "run", &[Val::U32(2)]).await, ok(3));
    assert_eq!(kv.len(), 2);
    assert_eq!(kv.get("k/0001").unwrap().unwrap().version, 1);
}

#[test]
fn a_denied_key_is_neither_read_nor_written_nor_shown() {
    let kv = InMemoryKv::new();
    kv.put(entry("b", 1)).unwrap();
    let kv = kv.deny("b");
    assert_eq!(kv.get("b"), Err(KvError::Denied));
    assert_eq!(kv.put(entry("b", 1)), Err(KvError::Denied));
    assert_eq!(kv.scan(""), []);
}

#[test]
fn an_absent_key_is_an_error_only_by_rule_and_only_while_absent() {
    let kv = InMemoryKv::new().absent_is_error("a");
    assert_eq!(kv.get("a"), Err(KvError::NotFound("a".into())));
    assert_eq!(kv.get("b"), Ok(None));
    kv.put(entry("a", 1)).unwrap();
    assert!(kv.get("a").unwrap().is_some());
}

#[test]
fn an_empty_key_is_refused() {
    assert_eq!(InMemoryKv::new().put(entry("", 1)), Err(KvError::Io("empty key".into())));
}

#[test]
fn entries_are_taken_up_to_the_limit() {
    let kv = InMemoryKv::new();
    for at in 0..ENTRIES_MAX {
        assert_eq!(kv.put(entry(&at.to_string(), 0)), Ok(1));
    }
    assert_eq!(kv.put(entry("one more", 0)), Err(KvError::Io("full: 100000 entries".into())));
    assert_eq!(kv.put(entry("0", 0)), Ok(2), "an entry that is there can still be replaced");
    kv.clear();
    assert_eq!(kv.put(entry("one more", 0)), Ok(1));
}

#[test]
fn bytes_are_taken_up_to_the_limit() {
    let kv = InMemoryKv::new();
    let most = BYTES_MAX - ENTRY_BYTES - 1;
    assert!(matches!(kv.put(entry("k", most + 1)), Err(KvError::Io(why)) if why.starts_with("full: ")));
    assert!(kv.is_empty());
    assert_eq!(kv.put(entry("k", most)), Ok(1));
    assert_eq!(kv.put(entry("k", most)), Ok(2), "what is replaced makes room");
    assert!(matches!(kv.put(entry("l", 0)), Err(KvError::Io(_))));
    assert_eq!(kv.put(entry("k", most - ENTRY_BYTES - 1)), Ok(3));
    assert_eq!(kv.put(entry("l", 0)), Ok(1));
}

#[test]
fn empty_tags_count() {
    let tags = vec![String::new(); BYTES_MAX / ENTRY_BYTES];
    let put = InMemoryKv::new().put(Entry { key: "k".into(), tags, ..Entry::default() });
    assert!(matches!(put, Err(KvError::Io(_))));
}

#[derive(Debug, Clone)]
enum Op {
    Put(String, Vec<u8>),
    Get(String),
    Scan(String),
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    let key = || "[ab]{1,3}";
    prop_oneof![
        6 => (key(), any::<Vec<u8>>()).prop_map(|(key, value)| Op::Put(key, value)),
        3 => key().prop_map(Op::Get),
        2 => "[ab]{0,2}".prop_map(Op::Scan),
        1 => Just(Op::Clear),
    ]
}

proptest! {
    #[test]
    fn it_does_what_a_map_does(ops in proptest::collection::vec(op(), 0..60)) {
        let kv = InMemoryKv::new();
        let mut model: BTreeMap<String, (Vec<u8>, u64)> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Put(key, value) => {
                    let slot = model.entry(key.clone()).or_default();
                    *slot = (value.clone(), slot.1 + 1);
                    prop_assert_eq!(kv.put(Entry { key, value, ..Entry::default() }), Ok(slot.1));
                }
                Op::Get(key) => {
                    let found = kv.get(&key).unwrap().map(|entry| (entry.value.clone(), entry.version));
                    prop_assert_eq!(found, model.get(&key).cloned());
                }
                Op::Scan(prefix) => {
                    let found: Vec<_> = kv.scan(&prefix).iter().map(|entry| entry.key.clone()).collect();
                    let wanted: Vec<_> = model.keys().filter(|key| key.starts_with(&prefix)).cloned().collect();
                    prop_assert_eq!(found, wanted);
                }
                Op::Clear => {
                    kv.clear();
                    model.clear();
                }
            }
            prop_assert_eq!(kv.len(), model.len());
        }
    }
}
