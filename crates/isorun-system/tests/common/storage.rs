//! A storage that is in memory, holds little, and gives every error there is.

use std::collections::BTreeMap;
use std::sync::Arc;

use isorun_runtime::wasmtime::component::{ComponentType, Linker, Lower};
use isorun_runtime::wasmtime::{self, StoreContextMut};
use isorun_runtime::{HostState, SystemComponent};
use parking_lot::Mutex;

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
struct Usage {
    bytes: u64,
    keys: u64,
    #[component(name = "quota-bytes")]
    quota_bytes: u64,
    #[component(name = "quota-keys")]
    quota_keys: u64,
}

#[derive(Clone, ComponentType, Lower)]
#[component(variant)]
enum Refusal {
    #[component(name = "quota-exceeded")]
    QuotaExceeded(Usage),
    #[component(name = "invalid-key")]
    InvalidKey(String),
    #[component(name = "value-too-large")]
    ValueTooLarge(u64),
    #[component(name = "unavailable")]
    Unavailable(String),
    #[component(name = "unknown")]
    Unknown(String),
}

/// Up to four keys, with values of up to 16 bytes. The keys `down` and `lost` are errors.
#[derive(Clone, Default)]
pub struct Small {
    pub entries: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Small {
    fn check(key: &str) -> Result<(), Refusal> {
        match key {
            "" => Err(Refusal::InvalidKey("empty".into())),
            "down" => Err(Refusal::Unavailable("not now".into())),
            "lost" => Err(Refusal::Unknown("who knows".into())),
            _ => Ok(()),
        }
    }

    fn usage(&self) -> Usage {
        let entries = self.entries.lock();
        let bytes = entries.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() as u64;
        Usage { bytes, keys: entries.len() as u64, quota_bytes: 1_000, quota_keys: 4 }
    }

    fn set(&self, key: String, value: Vec<u8>) -> Result<(), Refusal> {
        Self::check(&key)?;
        if value.len() > 16 {
            return Err(Refusal::ValueTooLarge(16));
        }
        let usage = self.usage();
        let mut entries = self.entries.lock();
        if usage.keys >= usage.quota_keys && !entries.contains_key(&key) {
            return Err(Refusal::QuotaExceeded(usage));
        }
        entries.insert(key, value);
        Ok(())
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        self.entries.lock().keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }
}

impl SystemComponent for Small {
    fn interfaces(&self) -> Vec<String> {
        vec!["isorun:actor/storage@0.1.0".into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        type Cx<'a> = StoreContextMut<'a, HostState>;
        let mut storage = linker.instance("isorun:actor/storage@0.1.0")?;
        let all = self.clone();
        storage.func_wrap("get", move |_: Cx<'_>, (key,): (String,)| {
            Ok((Self::check(&key).map(|()| all.entries.lock().get(&key).cloned()),))
        })?;
        let all = self.clone();
        storage.func_wrap("set", move |_: Cx<'_>, (key, value): (String, Vec<u8>)| Ok((all.set(key, value),)))?;
        let all = self.clone();
        storage.func_wrap("delete", move |_: Cx<'_>, (key,): (String,)| {
            Ok((Self::check(&key).map(|()| all.entries.lock().remove(&key).is_some()),))
        })?;
        let all = self.clone();
        storage.func_wrap("exists", move |_: Cx<'_>, (key,): (String,)| {
            Ok((Self::check(&key).map(|()| all.entries.lock().contains_key(&key)),))
        })?;
        let all = self.clone();
        storage.func_wrap("list-keys", move |_: Cx<'_>, (prefix,): (String,)| {
            Ok((Ok::<_, Refusal>(all.keys(&prefix)),))
        })?;
        let all = self.clone();
        storage.func_wrap("usage", move |_: Cx<'_>, (): ()| Ok((Ok::<_, Refusal>(all.usage()),)))
    }

    fn configure(&self, _: &mut HostState) -> wasmtime::Result<()> {
        Ok(())
    }
}
