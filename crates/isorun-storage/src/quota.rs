//! What a change makes of an owner's usage.

use isorun_core::{STORAGE_VALUE_BYTES_MAX, StorageError, StorageQuota, StorageUsage, check_storage_key};

/// Checks what does not depend on what is there.
pub(crate) fn check(key: &str, value: &[u8]) -> Result<(), StorageError> {
    check_storage_key(key)?;
    if value.len() > STORAGE_VALUE_BYTES_MAX {
        return Err(StorageError::ValueTooLarge { bytes: value.len() });
    }
    Ok(())
}

/// The usage after a key of `key` bytes has got a value of `new` bytes in the place of one of `old`.
///
/// What makes less is allowed over the quota too: a component whose quota was lowered can come down to it.
pub(crate) fn after_set(
    before: StorageUsage,
    quota: StorageQuota,
    key: usize,
    old: Option<usize>,
    new: usize,
) -> Result<StorageUsage, StorageError> {
    let without = after_delete(before, key, old);
    let wanted =
        StorageUsage { bytes: without.bytes.saturating_add((key + new) as u64), keys: without.keys.saturating_add(1) };
    let too_many_bytes = wanted.bytes > quota.bytes && wanted.bytes > before.bytes;
    let too_many_keys = wanted.keys > quota.keys && wanted.keys > before.keys;
    if too_many_bytes || too_many_keys {
        return Err(StorageError::QuotaExceeded { wanted, quota });
    }
    Ok(wanted)
}

/// The usage after a key of `key` bytes has gone, with its value of `old` bytes if it had one.
pub(crate) fn after_delete(before: StorageUsage, key: usize, old: Option<usize>) -> StorageUsage {
    match old {
        None => before,
        Some(old) => {
            StorageUsage { bytes: before.bytes.saturating_sub((key + old) as u64), keys: before.keys.saturating_sub(1) }
        }
    }
}
