//! What components keep beyond their own lives.

use bytes::Bytes;

use crate::{BoxFuture, ComponentId};

/// Longest key, in bytes; the shortest is 1.
pub const STORAGE_KEY_BYTES_MAX: usize = 512;
/// Largest value, in bytes.
pub const STORAGE_VALUE_BYTES_MAX: usize = 1 << 20;
/// Most keys that one listing gives.
pub const STORAGE_LIST_MAX: usize = 10_000;

/// How much a component may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageQuota {
    /// Bytes of keys and values together. Default 64 MiB.
    pub bytes: u64,
    /// Keys. Default 100,000.
    pub keys: u64,
}

impl Default for StorageQuota {
    fn default() -> Self {
        Self { bytes: 64 << 20, keys: 100_000 }
    }
}

/// How much a component keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StorageUsage {
    /// Bytes of its keys and values together.
    pub bytes: u64,
    /// Its keys.
    pub keys: u64,
}

/// Why a component's storage did not do as it was asked. Nothing has changed then, but for [`Unknown`](Self::Unknown).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// It would keep more than it may.
    #[error(
        "over its quota: {} bytes and {} keys wanted, {} and {} allowed",
        wanted.bytes, wanted.keys, quota.bytes, quota.keys
    )]
    QuotaExceeded {
        /// What it would keep.
        wanted: StorageUsage,
        /// What it may keep.
        quota: StorageQuota,
    },
    /// A key that is empty or longer than [`STORAGE_KEY_BYTES_MAX`].
    #[error("a key of {bytes} bytes; 1 to {STORAGE_KEY_BYTES_MAX} are allowed")]
    InvalidKey {
        /// Its length.
        bytes: usize,
    },
    /// A value longer than [`STORAGE_VALUE_BYTES_MAX`].
    #[error("a value of {bytes} bytes; {STORAGE_VALUE_BYTES_MAX} are allowed")]
    ValueTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The storage can't be reached or does not work; nothing has changed.
    #[error("storage is not available: {reason}")]
    Unavailable {
        /// What it says.
        reason: String,
    },
    /// The storage went while it worked: the change may have been made.
    #[error("it is not known whether this was stored: {reason}")]
    Unknown {
        /// What it says.
        reason: String,
    },
}

/// Checks a key's length.
///
/// # Errors
/// [`StorageError::InvalidKey`].
pub fn check_storage_key(key: &str) -> Result<(), StorageError> {
    if (1..=STORAGE_KEY_BYTES_MAX).contains(&key.len()) {
        Ok(())
    } else {
        Err(StorageError::InvalidKey { bytes: key.len() })
    }
}

/// Keeps bytes under keys, for each component apart.
///
/// What was stored when a future gave `Ok` is still there after the process was killed, unless an implementation says that
/// it keeps nothing. Each change happens whole or not at all.
pub trait Storage: Send + Sync {
    /// The value under a key.
    ///
    /// # Errors
    /// [`StorageError`].
    fn get<'a>(&'a self, owner: &'a ComponentId, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>>;

    /// Stores a value under a key, in the place of the one that was there.
    ///
    /// # Errors
    /// [`StorageError`]; over `quota` nothing changes.
    fn set<'a>(
        &'a self,
        owner: &'a ComponentId,
        key: &'a str,
        value: Bytes,
        quota: StorageQuota,
    ) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Takes a key away; whether it was there.
    ///
    /// # Errors
    /// [`StorageError`].
    fn delete<'a>(&'a self, owner: &'a ComponentId, key: &'a str) -> BoxFuture<'a, Result<bool, StorageError>>;

    /// Whether a key is there.
    ///
    /// # Errors
    /// [`StorageError`].
    fn exists<'a>(&'a self, owner: &'a ComponentId, key: &'a str) -> BoxFuture<'a, Result<bool, StorageError>>;

    /// The keys that begin with `prefix`, in order: [`STORAGE_LIST_MAX`] at most, from the first after `after`.
    ///
    /// # Errors
    /// [`StorageError`].
    fn list_keys<'a>(
        &'a self,
        owner: &'a ComponentId,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<String>, StorageError>>;

    /// What the component keeps.
    ///
    /// # Errors
    /// [`StorageError`].
    fn usage<'a>(&'a self, owner: &'a ComponentId) -> BoxFuture<'a, Result<StorageUsage, StorageError>>;
}
