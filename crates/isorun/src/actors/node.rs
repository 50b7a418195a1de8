//! Another host where components live, as whoever operates it looks at it and talks to its components.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{
    BindRequest, CallContext, Callee, ComponentId, ComponentMessage, CorrelationId, DEADLINE_MS_DEFAULT, Delivery,
    Failure, FunctionIndex, MessagePayload, MessagingError, REQUEST_TIMEOUT_MS_MAX, RequestOutcome,
};
use isorun_rpc::RemoteInstance;

use super::dead::DeadLetterPage;
use super::delivery::RemoteDelivery;
use super::logs::{LogPage, LogQuery};
use super::now_ms;
use super::status::{self, COMPONENTS_PAGE_MAX, ComponentStatus};
use super::types::{COMPONENTS, COMPONENTS_INTERFACE, DEAD_LETTERS, LOGS};
use crate::{REFLECT_INSTANCE, RemoteEnd, Runtime, reflect};

/// Most components that [`RemoteNode::components`] gives: the other host says how many there are.
pub const REMOTE_COMPONENTS_MAX: usize = 100_000;

/// Another host where components live: what it says of them, and messages to them.
///
/// Nothing is opened or sent before it is used. What is seen is what the other host lets this one see: the components that
/// it may send messages to.
#[derive(Clone)]
pub struct RemoteNode {
    callee: Arc<RemoteInstance>,
    delivery: Arc<RemoteDelivery>,
}

impl RemoteNode {
    /// The host at the other end of a transport or connection.
    #[must_use]
    pub fn new(runtime: &Runtime, end: impl Into<RemoteEnd>) -> Self {
        let callee = Arc::new(runtime.remote(&end.into(), REFLECT_INSTANCE));
        let delivery = Arc::new(RemoteDelivery::new(callee.clone()));
        Self { callee, delivery }
    }

    /// The components that live there, in the order of their ids, [`REMOTE_COMPONENTS_MAX`] at most; with `ask_health` each
    /// that runs is asked how it is.
    ///
    /// # Errors
    /// A [`Failure`]: the host is not reached, or no components live there.
    pub async fn components(&self, ask_health: bool) -> Result<Vec<ComponentStatus>, Failure> {
        let mut all: Vec<ComponentStatus> = Vec::new();
        loop {
            let after = all.last().map(|last| last.id.as_str());
            let args = status::pack_components(after, COMPONENTS_PAGE_MAX, ask_health).map_err(not_sent)?;
            let results = self.call(COMPONENTS, args, DEADLINE_MS_DEFAULT).await?;
            let (page, more) = status::unpack_components(&results).map_err(strange)?;
            let goes_on = page.first().is_some_and(|first| all.last().is_none_or(|last| last.id < first.id));
            if !page.is_empty() && !goes_on {
                return Err(strange("its components are not in the order of their ids".into()));
            }
            all.extend(page);
            if !more || !goes_on || all.len() >= REMOTE_COMPONENTS_MAX {
                return Ok(all);
            }
        }
    }

    /// Messages of its components that did not come to their end, [`DEAD_LETTERS_PAGE_MAX`](super::DEAD_LETTERS_PAGE_MAX)
    /// at most: the first after `after`, or the last ones there are. A `limit` of 0 is one of 1.
    ///
    /// # Errors
    /// A [`Failure`], as of [`components`](Self::components); [`Refusal::NoSuchFunction`](isorun_core::Refusal) from a host
    /// that is older than this function.
    pub async fn dead_letters(&self, after: Option<u64>, limit: u32) -> Result<DeadLetterPage, Failure> {
        let args = status::pack_dead_letters(after, limit).map_err(not_sent)?;
        let results = self.call(DEAD_LETTERS, args, DEADLINE_MS_DEFAULT).await?;
        DeadLetterPage::unpack(&results).map_err(strange)
    }

    /// Lines that its components logged.
    ///
    /// # Errors
    /// A [`Failure`], as of [`components`](Self::components); [`Refusal::BadArguments`](isorun_core::Refusal) where there is
    /// no such component that this one may see.
    pub async fn logs(&self, query: &LogQuery) -> Result<LogPage, Failure> {
        let args = status::pack_logs(query).map_err(not_sent)?;
        let results = self.call(LOGS, args, DEADLINE_MS_DEFAULT + u64::from(query.wait_ms)).await?;
        status::unpack_logs(&results).map_err(strange)
    }

    /// Sends one message that wants no answer; waits until it is in its mailbox.
    ///
    /// # Errors
    /// [`MessagingError`], which says whether it may have arrived.
    pub async fn send(
        &self,
        from: &ComponentId,
        to: &ComponentId,
        payload: MessagePayload,
    ) -> Result<(), MessagingError> {
        self.deliver(ComponentMessage {
            timestamp_ms: now_ms(),
            ..ComponentMessage::new(from.clone(), to.clone(), payload)
        })
        .await
    }

    /// Sends a request and waits for its outcome, for `timeout_ms` milliseconds at most: the way there is part of them.
    pub async fn ask(
        &self,
        from: &ComponentId,
        to: &ComponentId,
        payload: MessagePayload,
        timeout_ms: u64,
    ) -> RequestOutcome {
        let timeout_ms = timeout_ms.clamp(1, REQUEST_TIMEOUT_MS_MAX);
        let until = Instant::now() + Duration::from_millis(timeout_ms);
        let mut bytes = [0; 16];
        if let Err(error) = getrandom::fill(&mut bytes) {
            let reason = format!("no correlation id: {error}");
            return RequestOutcome::Failed(MessagingError::DeliveryFailed { may_have_arrived: false, reason });
        }
        let id = CorrelationId::from_random(bytes);
        let message = ComponentMessage {
            correlation_id: Some(id),
            reply_to: Some(from.clone()),
            timestamp_ms: now_ms(),
            timeout_ms: Some(timeout_ms),
            ..ComponentMessage::new(from.clone(), to.clone(), payload)
        };
        match tokio::time::timeout_at(until.into(), self.deliver(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return RequestOutcome::Failed(error),
            Err(_) => return RequestOutcome::Failed(MessagingError::CorrelationTimeout),
        }
        match self.delivery.outcome(id, until).await {
            Ok(outcome) => outcome,
            Err(Failure::Deadline { .. }) => RequestOutcome::Failed(MessagingError::CorrelationTimeout),
            Err(failure) => {
                let reason = failure.to_string();
                RequestOutcome::Failed(MessagingError::DeliveryFailed { may_have_arrived: true, reason })
            }
        }
    }

    async fn deliver(&self, message: ComponentMessage) -> Result<(), MessagingError> {
        message.payload.check()?;
        match self.delivery.deliver(vec![message]).await {
            Ok(mut results) => results.pop().unwrap_or(Ok(())),
            Err(failure) => {
                let may_have_arrived = !matches!(failure, Failure::NotSent { .. } | Failure::Refused(_));
                Err(MessagingError::DeliveryFailed { may_have_arrived, reason: failure.to_string() })
            }
        }
    }

    async fn call(&self, function: &str, args: Bytes, deadline_ms: u64) -> Result<Bytes, Failure> {
        let until = Instant::now() + Duration::from_millis(deadline_ms);
        let late = |_| Failure::Deadline { waited_ms: deadline_ms };
        let call = async {
            let want: BindRequest = reflect::want(COMPONENTS_INTERFACE, &[function])?;
            let bound = self.callee.bind(&want).await?;
            let reply = bound.call(FunctionIndex(0), &CallContext::until(until), args).await;
            Ok(reply.map_err(|failed| failed.failure)?.results)
        };
        tokio::time::timeout_at(until.into(), call).await.map_err(late)?
    }
}

impl std::fmt::Debug for RemoteNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteNode").field("place", &self.callee.place()).finish_non_exhaustive()
    }
}

fn not_sent(cause: String) -> Failure {
    Failure::NotSent { cause }
}

fn strange(detail: String) -> Failure {
    Failure::Unknown { cause: format!("what the host there answered: {detail}") }
}
