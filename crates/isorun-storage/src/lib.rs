//! What components keep beyond their own lives: embedded and durable, in memory, or in NATS JetStream.
//!
//! All three are a [`Storage`](isorun_core::Storage), and keep what one component stores apart from what any other does.
//!
//! | | kept over a crash of the process | over a power cut | for components on |
//! |---|---|---|---|
//! | [`RedbStorage`] | yes | yes | one node |
//! | [`NatsStorage`] | yes | as the server's replicas and its `sync_interval` have it | many |
//! | [`MemoryStorage`] | no | no | one node |
//!
//! ```
//! use bytes::Bytes;
//! use isorun_core::{ComponentId, Storage, StorageQuota};
//! use isorun_storage::RedbStorage;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("components.redb");
//! let storage = RedbStorage::open(&file)?;
//! let counter = ComponentId::parse("demo/counter/0")?;
//! storage.set(&counter, "count", Bytes::from_static(b"7"), StorageQuota::default()).await?;
//! drop(storage);
//!
//! let again = RedbStorage::open(&file)?;
//! assert_eq!(again.get(&counter, "count").await?.as_deref(), Some(b"7".as_slice()));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod embedded;
mod memory;
mod nats;
mod owner;
mod quota;

pub use embedded::{CACHE_BYTES, OpenError, QUEUE_BYTES_MAX, QUEUE_CHANGES_MAX, READS_MAX, RedbStorage};
pub use memory::MemoryStorage;
pub use nats::{NATS_ANSWER_MS_MAX, NatsStorage, NatsStorageError, NatsStorageOptions};
