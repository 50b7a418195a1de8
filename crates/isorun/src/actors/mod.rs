//! Components that live and exchange messages: an actor system in a runtime.
//!
//! A component exports `isorun:actor/component-lifecycle` and is known by an id, `namespace/name/instance`. It handles one
//! message after the other, is started again by a supervisor when it fails, and may keep what outlives it. Who its messages
//! go to, and on which node those are, is not its business.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
//! use isorun::actors::{Actor, ActorsOptions, RequestOutcome};
//! use isorun::{ComponentId, Runtime, StorageQuota};
//!
//! let runtime = Runtime::new()?;
//! let actors = runtime.actors(ActorsOptions::new())?;
//!
//! // What a component is made of is linked once, for any number of them.
//! let tally = runtime.load(std::fs::read("guests/prebuilt/tally.wasm")?)?;
//! let tally = actors.kind_with_storage(runtime.builder(&tally), StorageQuota::default()).await?;
//! let [first, second] = ["demo/tally/0", "demo/tally/1"].map(ComponentId::parse);
//! actors.add(Actor::new(first?, &tally)).await?;
//! actors.add(Actor::new(second?, &tally)).await?;
//! actors.start().await.map_err(|exit| exit.to_string())?;
//!
//! let (me, tally) = (ComponentId::parse("demo/me/0")?, ComponentId::parse("demo/tally/0")?);
//! actors.ask(&me, &tally, "add 40", 60_000).await;
//! let outcome = actors.ask(&me, &tally, "add 2", 60_000).await;
//! let RequestOutcome::Replied(sum) = outcome else { panic!("{outcome:?}") };
//! assert_eq!(&sum.data[..], b"42");
//! actors.stop().await;
//! # Ok(())
//! # }
//! ```

mod dead;
pub(crate) mod delivery;
mod ends;
mod kind;
mod logs;
mod node;
mod options;
mod outcomes;
pub(crate) mod status;
mod system;
pub(crate) mod types;
mod wire;

use std::time::{SystemTime, UNIX_EPOCH};

pub use dead::{DEAD_LETTERS_PAGE_MAX, DeadLetterPage};
pub use delivery::{DELIVER_MS_MAX, RemoteDelivery};
pub use isorun_core::{
    CorrelationId, Delivery, MESSAGE_BYTES_MAX, MessagePayload, MessagingError, REQUEST_TIMEOUT_MS_MAX, RequestOutcome,
};
pub use isorun_messaging::{
    ActorSystem, AddChildError, AddError, ComponentRef, DeadLetter, DeadLetterReason, DeadLetters, Exit,
    LifecycleState, MailboxLimits, MessagingStats, RESTARTS_MAX, Restart, Strategy, SupervisorOptions,
};
pub use isorun_storage::{MemoryStorage, NatsStorage, NatsStorageError, NatsStorageOptions, OpenError, RedbStorage};
pub use kind::{Actor, ActorKind};
pub use logs::{LOG_LINES_MAX, LOG_WAIT_MS_MAX, LOOKS_MAX, LogEntry, LogLimits, LogPage, LogQuery};
pub use node::{REMOTE_COMPONENTS_MAX, RemoteNode};
pub use options::ActorsOptions;
pub use outcomes::{OUTCOME_CALLS_MAX, OUTCOMES_MAX};
pub use status::{COMPONENTS_PAGE_MAX, ComponentStatus};
pub use system::{Actors, ActorsError};
pub use types::{COMPONENTS_INTERFACE, DELIVERY_INTERFACE};
pub use wire::DELIVERY_MESSAGES_MAX;

/// Milliseconds since 1970; 0 before.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
