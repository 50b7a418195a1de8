//! What every storage does, whatever it keeps its values in. Each check has owners of its own.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;

use bytes::Bytes;
use isorun_core::{
    ComponentId, STORAGE_KEY_BYTES_MAX, STORAGE_LIST_MAX, STORAGE_VALUE_BYTES_MAX, Storage, StorageError, StorageQuota,
    StorageUsage,
};
use proptest::prelude::*;

pub fn owner(name: &str) -> ComponentId {
    ComponentId::parse(&format!("demo/{name}/0")).unwrap()
}

pub const PLENTY: StorageQuota = StorageQuota { bytes: 64 << 20, keys: 100_000 };

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn usage(bytes: u64, keys: u64) -> StorageUsage {
    StorageUsage { bytes, keys }
}

/// A value is found under its key, as it was put last, until it is taken away.
pub async fn values_come_back(storage: &dyn Storage) {
    let me = &owner("values");
    assert_eq!(storage.get(me, "k").await, Ok(None));
    assert_eq!(storage.usage(me).await, Ok(usage(0, 0)));
    for value in ["", "first", "the second, which is longer", "3"] {
        storage.set(me, "k", bytes(value), PLENTY).await.unwrap();
        assert_eq!(storage.get(me, "k").await, Ok(Some(bytes(value))));
        assert_eq!(storage.exists(me, "k").await, Ok(true));
        assert_eq!(storage.usage(me).await, Ok(usage(1 + value.len() as u64, 1)));
    }
    assert_eq!(storage.delete(me, "k").await, Ok(true));
    assert_eq!(storage.delete(me, "k").await, Ok(false));
    assert_eq!((storage.get(me, "k").await, storage.exists(me, "k").await), (Ok(None), Ok(false)));
    assert_eq!(storage.usage(me).await, Ok(usage(0, 0)));
    storage.set(me, "k", bytes("again"), PLENTY).await.unwrap();
    assert_eq!(storage.get(me, "k").await, Ok(Some(bytes("again"))));
}

/// Keys and values at their limits are taken, and one byte more is refused, with nothing changed.
pub async fn limits_hold(storage: &dyn Storage) {
    let me = &owner("limits");
    let (longest, longer) = ("k".repeat(STORAGE_KEY_BYTES_MAX), "k".repeat(STORAGE_KEY_BYTES_MAX + 1));
    // Two bytes a character, and nothing that any other system would call a plain name.
    let widest = "\u{e9}".repeat(STORAGE_KEY_BYTES_MAX / 2);
    for key in [&longest, &widest] {
        storage.set(me, key, bytes("v"), PLENTY).await.unwrap();
        assert_eq!(storage.get(me, key).await, Ok(Some(bytes("v"))));
        assert_eq!(storage.delete(me, key).await, Ok(true));
    }
    for key in ["", &longer] {
        let refused = StorageError::InvalidKey { bytes: key.len() };
        assert_eq!(storage.set(me, key, bytes("v"), PLENTY).await, Err(refused.clone()));
        assert_eq!(storage.get(me, key).await, Err(refused.clone()));
        assert_eq!(storage.exists(me, key).await, Err(refused.clone()));
        assert_eq!(storage.delete(me, key).await, Err(refused));
    }
    let largest = Bytes::from(vec![0xff; STORAGE_VALUE_BYTES_MAX]);
    storage.set(me, "large", largest.clone(), PLENTY).await.unwrap();
    assert_eq!(storage.get(me, "large").await.unwrap().as_deref(), Some(&*largest));
    let larger = Bytes::from(vec![0; STORAGE_VALUE_BYTES_MAX + 1]);
    let refused = StorageError::ValueTooLarge { bytes: STORAGE_VALUE_BYTES_MAX + 1 };
    assert_eq!(storage.set(me, "large", larger, PLENTY).await, Err(refused));
    assert_eq!(storage.get(me, "large").await.unwrap().as_deref(), Some(&*largest));
    assert_eq!(storage.usage(me).await, Ok(usage(5 + STORAGE_VALUE_BYTES_MAX as u64, 1)));
}

/// A quota is used up to its last byte and key, and not beyond; what makes less is always taken.
pub async fn quotas_hold(storage: &dyn Storage) {
    let me = &owner("quota");
    let quota = StorageQuota { bytes: 10, keys: 2 };
    let refused = |bytes, keys, quota| Err(StorageError::QuotaExceeded { wanted: usage(bytes, keys), quota });
    storage.set(me, "a", bytes("1234"), quota).await.unwrap();
    assert_eq!(storage.set(me, "b", bytes("12345"), quota).await, refused(11, 2, quota));
    assert_eq!(storage.get(me, "b").await, Ok(None));
    storage.set(me, "b", bytes("1234"), quota).await.unwrap();
    assert_eq!(storage.usage(me).await, Ok(usage(10, 2)));
    assert_eq!(storage.set(me, "a", bytes("12345"), quota).await, refused(11, 2, quota));
    assert_eq!(storage.get(me, "a").await, Ok(Some(bytes("1234"))));
    storage.set(me, "a", bytes("1"), quota).await.unwrap();
    assert_eq!(storage.set(me, "c", bytes(""), quota).await, refused(8, 3, quota));
    assert_eq!(storage.usage(me).await, Ok(usage(7, 2)));
    let lowered = StorageQuota { bytes: 3, keys: 1 };
    assert_eq!(storage.set(me, "b", bytes("12345"), lowered).await, refused(8, 2, lowered));
    storage.set(me, "b", bytes("123"), lowered).await.unwrap();
    assert_eq!(storage.delete(me, "a").await, Ok(true));
    assert_eq!(storage.usage(me).await, Ok(usage(4, 1)));
    assert_eq!(storage.delete(me, "b").await, Ok(true));
    assert_eq!(
        storage.set(me, "a", bytes("1"), StorageQuota { bytes: 0, keys: 0 }).await,
        refused(2, 1, StorageQuota { bytes: 0, keys: 0 })
    );
    assert_eq!(storage.usage(me).await, Ok(usage(0, 0)));
}

/// Whoever keeps something sees nothing of what others keep, however alike their names and keys are.
pub async fn owners_are_apart(storage: &dyn Storage) {
    let ids = ["a/b/c", "a/b/cd", "a/b/c.", "a/b/c-", "a/b.c/d", "a.b/c/d", "A/b/c", "a-/b/c", "a/b/C"];
    let ids: Vec<_> = ids.iter().map(|id| ComponentId::parse(id).unwrap()).collect();
    for id in &ids {
        for key in ["k", "d\0k", "/d/k", ".k.x", "*", ">", "u"] {
            storage.set(id, key, bytes(&format!("{id} {key}")), PLENTY).await.unwrap();
        }
    }
    for id in &ids {
        let keys = storage.list_keys(id, "", None).await.unwrap();
        assert_eq!(keys, ["*", ".k.x", "/d/k", ">", "d\0k", "k", "u"], "{id}");
        for key in keys {
            assert_eq!(storage.get(id, &key).await, Ok(Some(bytes(&format!("{id} {key}")))));
        }
    }
    storage.delete(&ids[0], "k").await.unwrap();
    assert_eq!(storage.exists(&ids[1], "k").await, Ok(true));
    let before = storage.usage(&ids[1]).await.unwrap();
    storage.set(&ids[0], "more", bytes("value"), PLENTY).await.unwrap();
    assert_eq!(storage.usage(&ids[1]).await, Ok(before));
    let not_plain = ComponentId::new("a/b", "c", "d");
    assert!(matches!(storage.get(&not_plain, "k").await, Err(StorageError::Unavailable { .. })));
    assert!(matches!(storage.set(&not_plain, "k", bytes(""), PLENTY).await, Err(StorageError::Unavailable { .. })));
}

/// Keys are listed in the order of their bytes, by what they begin with, from the one after.
pub async fn keys_are_listed(storage: &dyn Storage) {
    let me = &owner("listed");
    let keys = ["a", "a/", "a/1", "a/10", "a/2", "a0", "b", "\u{e9}", "\u{e9}t\u{e9}", "\u{10ffff}", "\0", " "];
    for key in keys {
        storage.set(me, key, bytes("v"), PLENTY).await.unwrap();
    }
    let mut sorted = keys.map(str::to_owned).to_vec();
    sorted.sort();
    let prefixes = ["", "a", "a/", "a/1", "b", "c", "\u{e9}", "\u{10ffff}", "\u{10ffff}\0", "\0"];
    for prefix in prefixes {
        for after in [None, Some(""), Some("a"), Some("a/1"), Some("a/15"), Some("c"), Some("\u{10ffff}")] {
            let begins = sorted.iter().filter(|key| key.starts_with(prefix));
            let expected: Vec<_> =
                begins.filter(|key| after.is_none_or(|after| key.as_str() > after)).cloned().collect();
            assert_eq!(storage.list_keys(me, prefix, after).await, Ok(expected), "{prefix:?} {after:?}");
        }
    }
    assert_eq!(storage.list_keys(me, &"k".repeat(2_000), None).await, Ok(Vec::new()));
    assert_eq!(storage.list_keys(me, "", Some(&"\u{10ffff}".repeat(2_000))).await, Ok(Vec::new()));
    assert_eq!(storage.list_keys(&owner("nobody"), "", None).await, Ok(Vec::new()));
}

/// A listing ends at its limit, and goes on from there.
pub async fn listings_are_bounded(storage: &dyn Storage) {
    let me = &owner("many");
    let sets = (0..=STORAGE_LIST_MAX).map(|at| async move {
        storage.set(&owner("many"), &format!("{at:05}"), Bytes::new(), PLENTY).await.unwrap();
    });
    let mut sets = sets.collect::<Vec<_>>();
    while !sets.is_empty() {
        let some = sets.split_off(sets.len().saturating_sub(500));
        futures_util::future::join_all(some).await;
    }
    let first = storage.list_keys(me, "", None).await.unwrap();
    assert_eq!((first.len(), first.last().map(String::as_str)), (STORAGE_LIST_MAX, Some("09999")));
    let rest = storage.list_keys(me, "", first.last().map(String::as_str)).await.unwrap();
    assert_eq!(rest, ["10000"]);
    assert_eq!(storage.usage(me).await, Ok(usage(5 * 10_001, 10_001)));
}

/// Whoever writes at the same time stays within the quota together, and the usage is exact.
pub async fn writers_at_once_share_a_quota(storage: &dyn Storage) {
    let me = &owner("at-once");
    let quota = StorageQuota { bytes: 1_000, keys: 20 };
    let sets = (0..40).map(|at| {
        let key = format!("{at:02}");
        async move { storage.set(&owner("at-once"), &key, Bytes::from_static(b"12345678"), quota).await }
    });
    let done = futures_util::future::join_all(sets).await;
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 20, "{done:?}");
    assert_eq!(storage.list_keys(me, "", None).await.unwrap().len(), 20);
    assert_eq!(storage.usage(me).await, Ok(usage(200, 20)));
}

/// Something that a component does.
#[derive(Debug, Clone)]
pub enum Op {
    Set { owner: u8, key: String, value: usize, quota: StorageQuota },
    Delete { owner: u8, key: String },
    Get { owner: u8, key: String },
    List { owner: u8, prefix: String, after: Option<String> },
}

pub fn op() -> impl Strategy<Value = Op> {
    let key = || prop_oneof!["[ab]{1,3}", "[a\u{e9}\\.*> ]{1,3}"];
    let quota = (0_u64..400, 0_u64..6).prop_map(|(bytes, keys)| StorageQuota { bytes, keys });
    prop_oneof![
        4 => (0_u8..3, key(), 0_usize..120, quota).prop_map(|(owner, key, value, quota)| Op::Set { owner, key, value, quota }),
        2 => (0_u8..3, key()).prop_map(|(owner, key)| Op::Delete { owner, key }),
        1 => (0_u8..3, key()).prop_map(|(owner, key)| Op::Get { owner, key }),
        1 => (0_u8..3, "[ab]{0,2}", proptest::option::of(key()))
            .prop_map(|(owner, prefix, after)| Op::List { owner, prefix, after }),
    ]
}

/// Does `ops`, and what they should do to a map; both must say the same.
pub async fn does_what_a_map_does(storage: &dyn Storage, ops: &[Op]) {
    let names = ["one", "on", "one.e"].map(owner);
    let mut model: [BTreeMap<String, Bytes>; 3] = Default::default();
    let used = |kept: &BTreeMap<String, Bytes>| {
        usage(kept.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum(), kept.len() as u64)
    };
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Set { owner, key, value, quota } => {
                let kept = &mut model[usize::from(*owner)];
                let value = Bytes::from(vec![at as u8; *value]);
                let (before, mut after) = (used(kept), kept.clone());
                after.insert(key.clone(), value.clone());
                let wanted = used(&after);
                let over = (wanted.bytes > quota.bytes && wanted.bytes > before.bytes)
                    || (wanted.keys > quota.keys && wanted.keys > before.keys);
                let expected = if over { Err(StorageError::QuotaExceeded { wanted, quota: *quota }) } else { Ok(()) };
                if !over {
                    *kept = after;
                }
                assert_eq!(storage.set(&names[usize::from(*owner)], key, value, *quota).await, expected, "{op:?}");
            }
            Op::Delete { owner, key } => {
                let was_there = model[usize::from(*owner)].remove(key).is_some();
                assert_eq!(storage.delete(&names[usize::from(*owner)], key).await, Ok(was_there), "{op:?}");
            }
            Op::Get { owner, key } => {
                let expected = model[usize::from(*owner)].get(key).cloned();
                assert_eq!(storage.get(&names[usize::from(*owner)], key).await, Ok(expected), "{op:?}");
            }
            Op::List { owner, prefix, after } => {
                let begins = model[usize::from(*owner)].keys().filter(|key| key.starts_with(prefix.as_str()));
                let expected = begins.filter(|key| after.as_ref().is_none_or(|after| *key > after)).cloned().collect();
                let found = storage.list_keys(&names[usize::from(*owner)], prefix, after.as_deref()).await;
                assert_eq!(found, Ok(expected), "{op:?}");
            }
        }
    }
    for (name, kept) in names.iter().zip(&model) {
        assert_eq!(storage.usage(name).await, Ok(used(kept)));
        assert_eq!(storage.list_keys(name, "", None).await, Ok(kept.keys().cloned().collect()));
    }
}
