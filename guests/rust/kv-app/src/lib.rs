//! Uses every function of `demo:kv/store` and checks every answer.

wit_bindgen::generate!({ path: "../../../wit/kv.wit", world: "app" });

use demo::kv::store::{Entry, Error, clear, get, put, scan};

struct App;

impl Guest for App {
    fn run(n: u32) -> Result<u64, String> {
        let mut sum = 0;
        clear();
        for i in 0..n {
            sum += put_and_get(i)?;
        }
        if !matches!(get("denied"), Err(Error::Denied)) {
            return Err("`denied` was not denied".to_owned());
        }
        if !matches!(get("missing"), Err(Error::NotFound(_))) {
            return Err("`missing` was not missing".to_owned());
        }
        if !matches!(get("nope"), Ok(None)) {
            return Err("`nope` is there".to_owned());
        }
        let all = scan("k/");
        if all.len() != n as usize {
            return Err(format!("the scan has {} entries instead of {n}", all.len()));
        }
        Ok(sum + all.iter().map(|entry| entry.value.len() as u64).sum::<u64>())
    }
}

/// Puts entry `i` (`i` bytes of value `i`), gets it back and compares; returns its version.
fn put_and_get(i: u32) -> Result<u64, String> {
    let mut entry = Entry {
        key: format!("k/{i:04}"),
        value: vec![i as u8; i as usize],
        tags: vec!["a".to_owned(), format!("t{i:04}")],
        version: 0,
    };
    entry.version = put(&entry).map_err(|e| format!("put failed: {e}"))?;
    let found = get(&entry.key).map_err(|e| format!("get failed: {e}"))?.ok_or("an entry was lost")?;
    let same = found.key == entry.key
        && found.value == entry.value
        && found.tags == entry.tags
        && found.version == entry.version;
    if same { Ok(entry.version) } else { Err(format!("an entry differs: {found:?}")) }
}

export!(App);
