//! A JetStream key-value bucket, for components that are spread over machines.

mod bucket;
mod change;
mod record;
mod subject;

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::ContextBuilder;
use async_nats::jetstream::context::KeyValueErrorKind;
use async_nats::jetstream::stream::{self, DiscardPolicy, StorageType};
use bytes::Bytes;
use isorun_core::{
    BoxFuture, ComponentId, STORAGE_LIST_MAX, STORAGE_VALUE_BYTES_MAX, Storage, StorageError, StorageQuota,
    StorageUsage, check_storage_key,
};
use isorun_transport_nats::{NatsConnectError, NatsConnection, NatsOptions, NatsServer};

use crate::owner::Owner;
use crate::quota;
use bucket::{Bucket, Revisions, with_causes};
use change::{Change, Changes};

/// How long the server may take to answer one request, in milliseconds. A change takes four at most, and some more where
/// another node or a loss got in between.
pub const NATS_ANSWER_MS_MAX: u64 = 5_000;

/// What a message takes beside its value, in bytes, at most.
const MESSAGE_EXTRA_BYTES: usize = 512;

/// Which bucket a [`NatsStorage`] keeps things in, and how it comes to be.
#[derive(Debug, Clone)]
pub struct NatsStorageOptions {
    /// Its name: letters, digits, `-` and `_`. Default `isorun-components`.
    pub bucket: String,
    /// On how many servers of a cluster it is kept, where it is made: 1, 3 or 5. Default 1.
    pub replicas: usize,
    /// Most bytes that all components together may keep, where it is made; none, as by default, for what the server has.
    pub bytes_max: Option<u64>,
    /// Who this is to the server.
    pub nats: NatsOptions,
}

impl Default for NatsStorageOptions {
    fn default() -> Self {
        Self { bucket: "isorun-components".to_owned(), replicas: 1, bytes_max: None, nats: NatsOptions::default() }
    }
}

/// Why there is no [`NatsStorage`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsStorageError {
    /// The server can't be reached, or refuses.
    #[error(transparent)]
    Connect(#[from] NatsConnectError),
    /// The server takes smaller messages than a value may be large.
    #[error(
        "the NATS server takes messages of {found} bytes, and {wanted} are needed: set `max_payload: {wanted}` in its configuration"
    )]
    MaxPayload {
        /// What it takes.
        found: usize,
        /// What is needed.
        wanted: usize,
    },
    /// There is no bucket, and none could be made.
    #[error(
        "no bucket `{bucket}` at the NATS server: {cause}; JetStream has to be on (`-js`, or `jetstream {{}}` in its configuration)"
    )]
    Bucket {
        /// Its name.
        bucket: String,
        /// What the server says.
        cause: String,
    },
    /// There is a bucket of another kind.
    #[error("the bucket `{bucket}` would not keep what components store: {problem}; name another, and it is made")]
    Unfit {
        /// Its name.
        bucket: String,
        /// What it does.
        problem: &'static str,
    },
}

/// Keeps everything in a bucket of NATS JetStream, so that a component finds what it stored from whichever node it runs on.
///
/// The quota holds and the usage is exact with any number of nodes: a change is announced in a record of its owner, then
/// made, and whoever comes next settles it. That costs two writes and a read at the server for each change, and changes of
/// *one* component from two nodes at once are in each other's way. Each change happens once or not at all; where the answer
/// does not come, the server is asked what became of it. What is acknowledged outlasts a crash of the server, and a power
/// cut as far as its replicas and `sync_interval` go. What a component keeps stays when it is removed, until
/// [`clear`](Self::clear).
///
/// Listing keys reads the names of all that the component has, from the server.
///
/// ```no_run
/// use isorun_core::{ComponentId, Storage};
/// use isorun_storage::{NatsStorage, NatsStorageOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = "nats://127.0.0.1:4222".parse()?;
/// let storage = NatsStorage::connect(&server, NatsStorageOptions::default()).await?;
/// let counter = ComponentId::parse("demo/counter/0")?;
/// storage.set(&counter, "count", "7".into(), Default::default()).await?;
/// # Ok(())
/// # }
/// ```
pub struct NatsStorage {
    changes: Changes<Bucket>,
}

impl NatsStorage {
    /// Connects, and makes the bucket unless it is there.
    ///
    /// # Errors
    /// [`NatsStorageError`], which says what to do.
    pub async fn connect(server: &NatsServer, options: NatsStorageOptions) -> Result<Self, NatsStorageError> {
        let connection = NatsConnection::open(server, &options.nats, "isorun storage").await?;
        let found = connection.client().server_info().max_payload;
        let wanted = STORAGE_VALUE_BYTES_MAX + MESSAGE_EXTRA_BYTES;
        if found < wanted {
            return Err(NatsStorageError::MaxPayload { found, wanted });
        }
        let context = ContextBuilder::new()
            .timeout(Duration::from_millis(NATS_ANSWER_MS_MAX))
            .ack_timeout(Duration::from_millis(NATS_ANSWER_MS_MAX))
            .build(connection.client().clone());
        let store = match context.get_key_value(&options.bucket).await {
            Ok(store) => Ok(store),
            Err(error) if error.kind() == KeyValueErrorKind::GetBucket => {
                let made = context.create_stream(bucket_config(&options)).await;
                match made {
                    Ok(_) => context.get_key_value(&options.bucket).await.map_err(|error| with_causes(&error)),
                    Err(error) => Err(with_causes(&error)),
                }
            }
            Err(error) => Err(with_causes(&error)),
        };
        let store = store.map_err(|cause| NatsStorageError::Bucket { bucket: options.bucket.clone(), cause })?;
        let config = &store.stream.cached_info().config;
        let problem = if config.max_messages_per_subject != 1 {
            "it keeps a history"
        } else if config.max_age != Duration::ZERO {
            "what is in it expires"
        } else if config.storage == StorageType::Memory {
            "it is kept in memory"
        } else if config.discard != DiscardPolicy::New {
            "what is old goes when it is full"
        } else if config.deny_purge {
            "nothing in it can be removed"
        } else {
            return Ok(Self { changes: Changes::of(Bucket { connection, store, context }) });
        };
        Err(NatsStorageError::Unfit { bucket: options.bucket, problem })
    }

    /// Takes away all that a component keeps. It must not be running, on any node: what it stores meanwhile may stay
    /// uncounted.
    ///
    /// # Errors
    /// [`StorageError::Unknown`] where a part of it may be left: do it again.
    pub async fn clear(&self, owner: &ComponentId) -> Result<(), StorageError> {
        let owner = Owner::of(owner)?;
        self.is_there().await?;
        self.changes.forget(&owner).await;
        let all = subject::all(self.bucket().prefix(), &owner);
        self.bucket().remove_all(&all).await.map(drop).map_err(|reason| StorageError::Unknown { reason })
    }

    fn bucket(&self) -> &Bucket {
        &self.changes.bucket
    }

    /// Says so at once where the server is not there.
    async fn is_there(&self) -> Result<(), StorageError> {
        if self.bucket().is_up().await {
            return Ok(());
        }
        Err(StorageError::Unavailable { reason: "the NATS server is not there".to_owned() })
    }

    async fn change_one(&self, owner: &ComponentId, key: &str, change: Change) -> Result<bool, StorageError> {
        let owner = Owner::of(owner)?;
        self.is_there().await?;
        self.changes.change(owner, key, change).await
    }

    async fn read(&self, owner: &ComponentId, key: &str) -> Result<Option<Bytes>, StorageError> {
        check_storage_key(key)?;
        let place = subject::value(self.bucket().prefix(), &Owner::of(owner)?, key);
        self.is_there().await?;
        let entry = self.bucket().read(&place).await.map_err(|reason| StorageError::Unavailable { reason })?;
        Ok(entry.value)
    }

    async fn list(&self, owner: &ComponentId, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StorageError> {
        let below = subject::values(self.bucket().prefix(), &Owner::of(owner)?);
        self.is_there().await?;
        let mut keys = BTreeSet::new();
        let listed = self.bucket().list(&below, |place| {
            let key = place.strip_prefix(&below).and_then(subject::text);
            if let Some(key) =
                key.filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after))
            {
                keys.insert(key);
                if keys.len() > STORAGE_LIST_MAX {
                    keys.pop_last();
                }
            }
        });
        listed.await.map_err(|reason| StorageError::Unavailable { reason })?;
        Ok(keys.into_iter().collect())
    }
}

/// What makes a stream a key-value bucket, as all clients make one.
///
/// The library asks for the limits of the account first, in a form that servers before 2.10 don't answer in.
fn bucket_config(options: &NatsStorageOptions) -> stream::Config {
    stream::Config {
        name: format!("KV_{}", options.bucket),
        description: Some("what components of isorun keep".to_owned()),
        subjects: vec![format!("$KV.{}.>", options.bucket)],
        max_messages_per_subject: 1,
        max_bytes: options.bytes_max.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: options.replicas,
        allow_rollup: true,
        allow_direct: true,
        deny_delete: true,
        ..Default::default()
    }
}

impl std::fmt::Debug for NatsStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsStorage").field("bucket", &self.bucket().store.name).finish_non_exhaustive()
    }
}

impl Storage for NatsStorage {
    fn get<'a>(&'a self, owner: &'a ComponentId, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        Box::pin(self.read(owner, key))
    }

    fn set<'a>(
        &'a self,
        owner: &'a ComponentId,
        key: &'a str,
        value: Bytes,
        quota: StorageQuota,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            quota::check(key, &value)?;
            self.change_one(owner, key, Change::Set { value, quota }).await.map(drop)
        })
    }

    fn delete<'a>(&'a self, owner: &'a ComponentId, key: &'a str) -> BoxFuture<'a, Result<bool, StorageError>> {
        Box::pin(async move {
            check_storage_key(key)?;
            self.change_one(owner, key, Change::Delete).await
        })
    }

    fn exists<'a>(&'a self, owner: &'a ComponentId, key: &'a str) -> BoxFuture<'a, Result<bool, StorageError>> {
        Box::pin(async move { self.read(owner, key).await.map(|value| value.is_some()) })
    }

    fn list_keys<'a>(
        &'a self,
        owner: &'a ComponentId,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<String>, StorageError>> {
        Box::pin(self.list(owner, prefix, after))
    }

    fn usage<'a>(&'a self, owner: &'a ComponentId) -> BoxFuture<'a, Result<StorageUsage, StorageError>> {
        Box::pin(async move {
            let owner = Owner::of(owner)?;
            self.is_there().await?;
            self.changes.count(&owner).await.map_err(|reason| StorageError::Unavailable { reason })
        })
    }
}
