//! What stands in the file, and what a change makes of it within one transaction.

use bytes::Bytes;
use isorun_core::{STORAGE_LIST_MAX, StorageError, StorageQuota, StorageUsage};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError, WriteTransaction,
};

use crate::owner::Owner;
use crate::quota;

/// Values by owner and key.
const VALUES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("values");

/// Bytes and keys by owner; whoever keeps nothing is not in it.
const USAGE: TableDefinition<'static, &str, (u64, u64)> = TableDefinition::new("usage");

/// [`FORMAT`] and the number of the last commit.
const ABOUT: TableDefinition<'static, &str, u64> = TableDefinition::new("isorun");

/// The only form of these tables so far.
const FORMAT: u64 = 1;

/// A change of what one owner keeps.
pub(super) enum Change {
    Set { key: String, value: Bytes, quota: StorageQuota },
    Delete { key: String },
    Clear,
}

/// What has been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Stored,
    /// Whether it was there.
    Deleted(bool),
    Cleared(StorageUsage),
}

/// Makes the tables in a new file, and sees that those of another are ours; `Err` holds what is wrong.
pub(super) fn prepare(database: &Database) -> Result<Result<(), String>, redb::Error> {
    let transaction = database.begin_write()?;
    let is_new = transaction.list_tables()?.next().is_none();
    if !is_new && !transaction.list_tables()?.any(|table| redb::TableHandle::name(&table) == "isorun") {
        return Ok(Err("it is of another program".to_owned()));
    }
    let found = {
        let mut about = transaction.open_table(ABOUT)?;
        if is_new {
            about.insert("format", FORMAT)?;
        }
        about.get("format")?.map(|found| found.value())
    };
    if found != Some(FORMAT) {
        let found = found.unwrap_or_default();
        return Ok(Err(format!("its format is {found}, and this isorun reads {FORMAT}")));
    }
    transaction.open_table(VALUES)?;
    transaction.open_table(USAGE)?;
    if is_new {
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(Ok(()))
}

/// The tables within a transaction that changes them.
pub(super) struct Tables<'t> {
    values: Table<'t, &'static [u8], &'static [u8]>,
    usage: Table<'t, &'static str, (u64, u64)>,
    about: Table<'t, &'static str, u64>,
    changed: bool,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            values: transaction.open_table(VALUES)?,
            usage: transaction.open_table(USAGE)?,
            about: transaction.open_table(ABOUT)?,
            changed: false,
        })
    }

    /// Makes one change, or says why not, which then leaves all as it was. An error of the file spoils the transaction.
    pub(super) fn apply(
        &mut self,
        owner: &Owner,
        change: &Change,
    ) -> Result<Result<Done, StorageError>, redb::StorageError> {
        let before = self.usage.get(owner.as_str())?.map(|usage| read_usage(usage.value())).unwrap_or_default();
        match change {
            Change::Set { key, value, quota } => {
                let place = owner.key(key);
                let old = self.values.get(place.as_slice())?.map(|old| old.value().len());
                let after = match quota::after_set(before, *quota, key.len(), old, value.len()) {
                    Ok(after) => after,
                    Err(error) => return Ok(Err(error)),
                };
                self.values.insert(place.as_slice(), &**value)?;
                self.write_usage(owner, after)?;
                Ok(Ok(Done::Stored))
            }
            Change::Delete { key } => {
                let place = owner.key(key);
                let old = self.values.remove(place.as_slice())?.map(|old| old.value().len());
                if old.is_some() {
                    self.write_usage(owner, quota::after_delete(before, key.len(), old))?;
                }
                Ok(Ok(Done::Deleted(old.is_some())))
            }
            Change::Clear => {
                // One past the zero byte that ends an owner.
                let (from, to) = (owner.key(""), [owner.as_str().as_bytes(), &[1]].concat());
                self.values.retain_in(from.as_slice()..to.as_slice(), |_, _| false)?;
                self.write_usage(owner, StorageUsage::default())?;
                Ok(Ok(Done::Cleared(before)))
            }
        }
    }

    fn write_usage(&mut self, owner: &Owner, usage: StorageUsage) -> Result<(), redb::StorageError> {
        self.changed = true;
        if usage.keys == 0 {
            self.usage.remove(owner.as_str())?;
        } else {
            self.usage.insert(owner.as_str(), (usage.bytes, usage.keys))?;
        }
        Ok(())
    }

    /// Numbers the commit that is to follow; the number of the one before, or none where nothing has changed.
    pub(super) fn number(&mut self) -> Result<Option<u64>, redb::StorageError> {
        if !self.changed {
            return Ok(None);
        }
        let last = self.about.get("commits")?.map_or(0, |last| last.value());
        self.about.insert("commits", last.wrapping_add(1))?;
        Ok(Some(last))
    }
}

/// The number of the last commit in the file.
pub(super) fn last_commit(database: &Database) -> Result<u64, redb::Error> {
    let about = database.begin_read()?.open_table(ABOUT)?;
    Ok(about.get("commits")?.map_or(0, |last| last.value()))
}

pub(super) fn get(transaction: &ReadTransaction, place: &[u8]) -> Result<Option<Bytes>, redb::Error> {
    let values = transaction.open_table(VALUES)?;
    Ok(values.get(place)?.map(|value| Bytes::copy_from_slice(value.value())))
}

pub(super) fn exists(transaction: &ReadTransaction, place: &[u8]) -> Result<bool, redb::Error> {
    Ok(transaction.open_table(VALUES)?.get(place)?.is_some())
}

/// The keys of `owner` that begin with `prefix`, from the first after `after`.
pub(super) fn list(
    transaction: &ReadTransaction,
    owner: &Owner,
    prefix: &str,
    after: Option<&str>,
) -> Result<Vec<String>, redb::Error> {
    let values = transaction.open_table(VALUES)?;
    let (wanted, before) = (owner.key(prefix), owner.key("").len());
    let from = match after {
        // Right behind a key stands that key with a zero byte.
        Some(after) if after >= prefix => [owner.key(after).as_slice(), &[0]].concat(),
        _ => wanted.clone(),
    };
    let mut keys = Vec::new();
    for entry in values.range(from.as_slice()..)? {
        let (place, _) = entry?;
        let place = place.value();
        if !place.starts_with(&wanted) || keys.len() == STORAGE_LIST_MAX {
            break;
        }
        let key = str::from_utf8(&place[before..]);
        keys.push(key.map_err(|_| redb::Error::Corrupted("a key that is no text".to_owned()))?.to_owned());
    }
    Ok(keys)
}

pub(super) fn usage(transaction: &ReadTransaction, owner: &Owner) -> Result<StorageUsage, redb::Error> {
    let usage = transaction.open_table(USAGE)?;
    Ok(usage.get(owner.as_str())?.map(|usage| read_usage(usage.value())).unwrap_or_default())
}

/// Everybody who keeps something, and how much, in order, `most` at most from the first after `after`.
pub(super) fn owners(
    transaction: &ReadTransaction,
    after: Option<&str>,
    most: usize,
) -> Result<Vec<(String, StorageUsage)>, redb::Error> {
    let usage = match transaction.open_table(USAGE) {
        Ok(usage) => usage,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let from = after.map(|after| format!("{after}\0")).unwrap_or_default();
    let mut owners = Vec::new();
    for entry in usage.range(from.as_str()..)?.take(most) {
        let (owner, usage) = entry?;
        owners.push((owner.value().to_owned(), read_usage(usage.value())));
    }
    Ok(owners)
}

fn read_usage((bytes, keys): (u64, u64)) -> StorageUsage {
    StorageUsage { bytes, keys }
}
