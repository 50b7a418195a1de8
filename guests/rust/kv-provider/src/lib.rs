//! `demo:kv/store` in memory.

wit_bindgen::generate!({ path: "../../../wit/kv.wit", world: "provider" });

use std::cell::RefCell;
use std::collections::BTreeMap;

use exports::demo::kv::store::{Entry, Error, Guest};

thread_local! {
    static ENTRIES: RefCell<BTreeMap<String, Entry>> = const { RefCell::new(BTreeMap::new()) };
}

struct Provider;

impl Guest for Provider {
    fn get(key: String) -> Result<Option<Entry>, Error> {
        match key.as_str() {
            "denied" => Err(Error::Denied),
            "missing" => Err(Error::NotFound(key)),
            _ => Ok(ENTRIES.with_borrow(|entries| entries.get(&key).cloned())),
        }
    }

    fn put(mut e: Entry) -> Result<u64, Error> {
        if e.key.is_empty() {
            return Err(Error::Io("empty key".to_owned()));
        }
        ENTRIES.with_borrow_mut(|entries| {
            e.version = entries.get(&e.key).map_or(0, |before| before.version) + 1;
            let version = e.version;
            entries.insert(e.key.clone(), e);
            Ok(version)
        })
    }

    fn scan(prefix: String) -> Vec<Entry> {
        ENTRIES.with_borrow(|entries| {
            let from = entries.range(prefix.clone()..);
            from.take_while(|(key, _)| key.starts_with(&prefix)).map(|(_, entry)| entry.clone()).collect()
        })
    }

    fn clear() {
        ENTRIES.with_borrow_mut(BTreeMap::clear);
    }
}

export!(Provider);
