//! A JetStream key-value bucket, written to only where it is as one has seen it.

use std::error::Error;
use std::time::Duration;

use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, PurgeErrorKind};
use async_nats::jetstream::{self, Context, kv};
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use futures_util::StreamExt;
use isorun_transport_nats::NatsConnection;

/// Which change made what stands under a subject.
const OP: &str = "Isorun-Op";

/// A key under which a change was once kept from being made while nothing was there: what revision 0 it waits for must
/// never come again, so that the key is never removed without a trace.
const FENCED: &str = "Isorun-Fenced";

/// As all clients of key-value buckets mark what is deleted.
const KV_OPERATION: &str = "KV-Operation";

/// Messages that one request for the keys asks for.
const LISTED_PER_REQUEST: usize = 500;

/// How long the server keeps a listing of which nobody asks for the rest.
const LISTING_IDLE: Duration = Duration::from_secs(30);

/// What stands under a subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Larger with each change; 0 where there is nothing.
    pub(super) revision: u64,
    /// The change that made it; empty for a trace that none has made.
    pub(super) op: String,
    pub(super) fenced: bool,
    /// None for a trace of what was deleted.
    pub(super) value: Option<Bytes>,
}

/// Why something was not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// It has another revision than was expected. Nothing was written.
    Conflict,
    /// The server said no, or it was never sent. Nothing was written.
    Refused(String),
    /// Nobody said whether it was written.
    Unclear(String),
}

/// What a change needs of a bucket.
pub(super) trait Revisions: Send + Sync {
    /// What all subjects of the bucket begin with.
    fn prefix(&self) -> &str;

    /// What stands there now, for everybody.
    fn read(&self, subject: &str) -> impl Future<Output = Result<Entry, String>> + Send;

    /// Writes what `entry` holds in the place of `entry.revision`; its revision.
    fn write(&self, subject: &str, entry: &Entry) -> impl Future<Output = Result<u64, WriteError>> + Send;

    /// Takes away what stands there with that revision, without a trace; whether it did.
    fn remove(&self, subject: &str, revision: u64) -> impl Future<Output = Result<bool, WriteError>> + Send;

    /// Whether it can be reached; it may wait for that a little.
    fn is_up(&self) -> impl Future<Output = bool> + Send;

    /// A name for a change that no other has.
    fn new_op(&self) -> String;
}

pub(super) struct Bucket {
    pub(super) connection: NatsConnection,
    pub(super) store: kv::Store,
    pub(super) context: Context,
}

impl Revisions for Bucket {
    fn prefix(&self) -> &str {
        &self.store.prefix
    }

    /// As the leader of the bucket has it.
    async fn read(&self, subject: &str) -> Result<Entry, String> {
        let message = match self.store.stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(Entry::default()),
            Err(error) => return Err(with_causes(&error)),
        };
        let text = |name| message.headers.get(name).map(HeaderValue::as_str);
        Ok(Entry {
            revision: message.sequence,
            op: text(OP).unwrap_or_default().to_owned(),
            fenced: text(FENCED).is_some(),
            value: text(KV_OPERATION).is_none().then_some(message.payload),
        })
    }

    async fn write(&self, subject: &str, entry: &Entry) -> Result<u64, WriteError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(entry.revision));
        headers.insert(OP, entry.op.as_str());
        if entry.fenced {
            headers.insert(FENCED, "1");
        }
        if entry.value.is_none() {
            headers.insert(KV_OPERATION, "DEL");
        }
        let payload = entry.value.clone().unwrap_or_default();
        let sent = self.context.publish_with_headers(subject.to_owned(), headers, payload).await;
        // What could not be handed to the connection was not sent.
        let acknowledged = sent.map_err(|error| WriteError::Refused(with_causes(&error)))?;
        match acknowledged.await {
            Ok(acknowledged) => Ok(acknowledged.sequence),
            Err(error) => Err(match error.kind() {
                PublishErrorKind::WrongLastSequence => WriteError::Conflict,
                PublishErrorKind::StreamNotFound => WriteError::Refused("the bucket is not there".to_owned()),
                _ => unless_refused(error.source(), with_causes(&error)),
            }),
        }
    }

    async fn remove(&self, subject: &str, revision: u64) -> Result<bool, WriteError> {
        match self.store.stream.purge().sequence(revision + 1).filter(subject).await {
            Ok(done) => Ok(done.purged > 0),
            Err(error) => Err(match error.kind() {
                PurgeErrorKind::JetStream(said) => unless_refused(Some(&said), said.to_string()),
                PurgeErrorKind::Request | PurgeErrorKind::TimedOut => WriteError::Unclear(with_causes(&error)),
            }),
        }
    }

    async fn is_up(&self) -> bool {
        self.connection.is_up().await
    }

    fn new_op(&self) -> String {
        self.connection.client().new_inbox().rsplit('.').next().unwrap_or_default().to_owned()
    }
}

impl Bucket {
    /// Takes away all that stands under the subjects; how many those were.
    pub(super) async fn remove_all(&self, subjects: &str) -> Result<u64, String> {
        let removed = self.store.stream.purge().filter(subjects).await;
        removed.map(|done| done.purged).map_err(|error| with_causes(&error))
    }

    /// Tells `found` the subject of each value below `prefix`, in no order.
    pub(super) async fn list(&self, prefix: &str, mut found: impl FnMut(&str)) -> Result<(), String> {
        let config = pull::Config {
            filter_subject: format!("{prefix}>"),
            headers_only: true,
            deliver_policy: DeliverPolicy::LastPerSubject,
            ack_policy: AckPolicy::None,
            inactive_threshold: LISTING_IDLE,
            memory_storage: true,
            ..Default::default()
        };
        let consumer = self.store.stream.create_consumer(config).await.map_err(|error| with_causes(&error))?;
        let mut left = consumer.cached_info().num_pending;
        while left > 0 {
            let batch = consumer.fetch().max_messages(LISTED_PER_REQUEST).messages().await;
            let mut batch = batch.map_err(|error| with_causes(&error))?;
            // Where one has been overwritten since, it comes later or not at all.
            let mut left_now = 0;
            while let Some(message) = batch.next().await {
                let message = message.map_err(|error| with_causes(&*error))?;
                left_now = message.info().map_err(|error| with_causes(&*error))?.pending;
                if message.headers.as_ref().is_none_or(|headers| headers.get(KV_OPERATION).is_none()) {
                    found(&message.subject);
                }
            }
            left = left_now;
        }
        // Nobody asks for more of it: if this is lost, the server finds out by itself.
        let _ = self.store.stream.delete_consumer(&consumer.cached_info().name).await;
        Ok(())
    }
}

/// What the server said no to was not done, unless it could not say for sure.
fn unless_refused(source: Option<&(dyn Error + 'static)>, reason: String) -> WriteError {
    /// As in HTTP: it has no leader now, or it is starting.
    const UNAVAILABLE: usize = 503;
    match source.and_then(|source| source.downcast_ref::<jetstream::Error>()) {
        Some(said) if said.code() != UNAVAILABLE => WriteError::Refused(reason),
        _ => WriteError::Unclear(reason),
    }
}

/// An error and what it was caused by, on one line.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text += ": ";
            text += &next_text;
        }
        cause = next.source();
    }
    text
}
