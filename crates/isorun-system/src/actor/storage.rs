//! `isorun:actor/storage`: what a component keeps beyond its own life.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{
    ComponentId, STORAGE_KEY_BYTES_MAX, STORAGE_VALUE_BYTES_MAX, Storage, StorageError, StorageQuota, StorageUsage,
    check_storage_key,
};
use isorun_runtime::{HostState, SystemComponent};
use wasmtime::component::{ComponentType, Linker, Lower, WasmList, WasmStr};

use super::wire::Cx;
use super::{configure, myself};

const INTERFACE: &str = "isorun:actor/storage@0.1.0";

/// How much the component of that id may keep.
type QuotaOf = dyn Fn(&ComponentId) -> StorageQuota + Send + Sync;

/// Lets components keep bytes under keys: serves `isorun:actor/storage@0.1.0` to all components of a node.
///
/// Whoever's store a call comes from owns what it keeps, apart from what any other component does; its instance must have
/// a component id for a name, or it is not started. A call suspends the component until its change is durable, and no
/// thread. Limits are checked before anything is copied out of the guest, and each error of the storage is one that the
/// guest is given. Cloning is cheap.
///
/// ```
/// use std::sync::Arc;
///
/// use isorun_core::{Storage, StorageQuota};
/// use isorun_runtime::SystemComponent;
/// use isorun_system::ActorStorage;
///
/// # fn storage(storage: Arc<dyn Storage>) {
/// let little = StorageQuota { bytes: 1 << 20, keys: 100 };
/// let host = ActorStorage::new(storage)
///     .quotas(move |id| if id.namespace() == "demo" { little } else { StorageQuota::default() });
/// assert_eq!(host.interfaces(), ["isorun:actor/storage@0.1.0"]);
/// # }
/// ```
#[derive(Clone)]
pub struct ActorStorage {
    storage: Arc<dyn Storage>,
    quota_of: Arc<QuotaOf>,
}

impl ActorStorage {
    /// The interface to that storage, with [`StorageQuota::default`] for each component.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, quota_of: Arc::new(|_| StorageQuota::default()) }
    }

    /// Says how much each component may keep; asked with each `set` and `usage`, so that it may change.
    #[must_use]
    pub fn quotas(mut self, quota_of: impl Fn(&ComponentId) -> StorageQuota + Send + Sync + 'static) -> Self {
        self.quota_of = Arc::new(quota_of);
        self
    }

    async fn get(self, key: Asked<String>) -> Answer<Option<Vec<u8>>> {
        let (owner, key) = key?;
        Ok(self.storage.get(&owner, &key).await?.map(Vec::from))
    }

    async fn set(self, asked: Asked<(String, Bytes)>) -> Answer<()> {
        let (owner, (key, value)) = asked?;
        let quota = (self.quota_of)(&owner);
        Ok(self.storage.set(&owner, &key, value, quota).await?)
    }

    async fn delete(self, key: Asked<String>) -> Answer<bool> {
        let (owner, key) = key?;
        Ok(self.storage.delete(&owner, &key).await?)
    }

    async fn exists(self, key: Asked<String>) -> Answer<bool> {
        let (owner, key) = key?;
        Ok(self.storage.exists(&owner, &key).await?)
    }

    async fn list_keys(self, prefix: Asked<Option<String>>) -> Answer<Vec<String>> {
        let (owner, prefix) = prefix?;
        let Some(prefix) = prefix else { return Ok(Vec::new()) };
        Ok(self.storage.list_keys(&owner, &prefix, None).await?)
    }

    async fn usage(self, owner: Asked<()>) -> Answer<Usage> {
        let (owner, ()) = owner?;
        let usage = self.storage.usage(&owner).await?;
        Ok(Usage::of(usage, (self.quota_of)(&owner)))
    }
}

impl fmt::Debug for ActorStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorStorage").finish_non_exhaustive()
    }
}

/// Who asks, and for what; or why that can't be asked.
type Asked<T> = Result<(ComponentId, T), Stop>;

type Answer<T> = Result<T, Stop>;

/// Why a host function ends early: with an error that the guest is given, or with the guest.
enum Stop {
    Refused(StorageError),
    Trap(wasmtime::Error),
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        Self::Refused(error)
    }
}

impl From<wasmtime::Error> for Stop {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

/// What the guest gets.
async fn answered<T>(answer: impl Future<Output = Answer<T>>) -> wasmtime::Result<(Result<T, Refusal>,)> {
    match answer.await {
        Ok(value) => Ok((Ok(value),)),
        Err(Stop::Refused(error)) => Ok((Err(error.into()),)),
        Err(Stop::Trap(error)) => Err(error),
    }
}

fn read_key(cx: &Cx<'_>, key: &WasmStr) -> Asked<String> {
    let key = key.to_str(cx)?;
    check_storage_key(&key)?;
    Ok((myself(cx.data())?.clone(), key.into_owned()))
}

fn read_entry(cx: &Cx<'_>, key: &WasmStr, value: &WasmList<u8>) -> Asked<(String, Bytes)> {
    let (owner, key) = read_key(cx, key)?;
    if value.len() > STORAGE_VALUE_BYTES_MAX {
        return Err(StorageError::ValueTooLarge { bytes: value.len() }.into());
    }
    Ok((owner, (key, Bytes::copy_from_slice(value.as_le_slice(cx)))))
}

/// None for a prefix longer than any key.
fn read_prefix(cx: &Cx<'_>, prefix: &WasmStr) -> Asked<Option<String>> {
    let prefix = prefix.to_str(cx)?;
    let prefix = (prefix.len() <= STORAGE_KEY_BYTES_MAX).then(|| prefix.into_owned());
    Ok((myself(cx.data())?.clone(), prefix))
}

/// `storage-usage`
#[derive(ComponentType, Lower)]
#[component(record)]
struct Usage {
    bytes: u64,
    keys: u64,
    #[component(name = "quota-bytes")]
    quota_bytes: u64,
    #[component(name = "quota-keys")]
    quota_keys: u64,
}

impl Usage {
    fn of(usage: StorageUsage, quota: StorageQuota) -> Self {
        Self { bytes: usage.bytes, keys: usage.keys, quota_bytes: quota.bytes, quota_keys: quota.keys }
    }
}

/// `storage-error`
#[derive(ComponentType, Lower)]
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

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::QuotaExceeded { wanted, quota } => Self::QuotaExceeded(Usage::of(wanted, quota)),
            StorageError::InvalidKey { .. } => Self::InvalidKey(error.to_string()),
            StorageError::ValueTooLarge { .. } => Self::ValueTooLarge(STORAGE_VALUE_BYTES_MAX as u64),
            StorageError::Unavailable { reason } => Self::Unavailable(reason),
            StorageError::Unknown { reason } => Self::Unknown(reason),
            // One that came later promises nothing.
            error => Self::Unknown(error.to_string()),
        }
    }
}

impl SystemComponent for ActorStorage {
    fn interfaces(&self) -> Vec<String> {
        vec![INTERFACE.into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let mut interface = linker.instance(INTERFACE)?;
        let host = self.clone();
        interface.func_wrap_async("get", move |cx: Cx<'_>, (key,): (WasmStr,)| {
            Box::new(answered(host.clone().get(read_key(&cx, &key))))
        })?;
        let host = self.clone();
        interface.func_wrap_async("set", move |cx: Cx<'_>, (key, value): (WasmStr, WasmList<u8>)| {
            Box::new(answered(host.clone().set(read_entry(&cx, &key, &value))))
        })?;
        let host = self.clone();
        interface.func_wrap_async("delete", move |cx: Cx<'_>, (key,): (WasmStr,)| {
            Box::new(answered(host.clone().delete(read_key(&cx, &key))))
        })?;
        let host = self.clone();
        interface.func_wrap_async("exists", move |cx: Cx<'_>, (key,): (WasmStr,)| {
            Box::new(answered(host.clone().exists(read_key(&cx, &key))))
        })?;
        let host = self.clone();
        interface.func_wrap_async("list-keys", move |cx: Cx<'_>, (prefix,): (WasmStr,)| {
            Box::new(answered(host.clone().list_keys(read_prefix(&cx, &prefix))))
        })?;
        let host = self.clone();
        interface.func_wrap_async("usage", move |cx: Cx<'_>, (): ()| {
            let owner = myself(cx.data()).map(|owner| (owner.clone(), ())).map_err(Stop::from);
            Box::new(answered(host.clone().usage(owner)))
        })
    }

    /// Notes whose store it is.
    fn configure(&self, state: &mut HostState) -> wasmtime::Result<()> {
        configure(state)
    }
}
