//! Messages between the components of two hosts: this host's end of sending them, and of taking them.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, ComponentMessage, CorrelationId, Delivery, Failure,
    Fault, FunctionIndex, MessagingError, Refusal, Reply, RequestOutcome,
};
use neopack::{Pack, Unpack};
use tokio::sync::{OnceCell, Semaphore};

use super::types::{DELIVER, DELIVERY_INTERFACE, OUTCOME};
use super::wire::{self, DELIVERY_BYTES_MAX, DELIVERY_MESSAGES_MAX, Error, Message, Outcome};
use crate::reflect;

/// How long another host may take to put messages into its mailboxes, in milliseconds.
///
/// It waits for no component to do it; what is slow is the way there. Messages to other components of that host wait
/// meanwhile, since their order is kept.
pub const DELIVER_MS_MAX: u64 = 10_000;

/// Most outcomes that are waited for at one place at once; the next wait for theirs until one of these has come.
///
/// Three quarters of the calls that a connection has, so that deliveries always have room beside them.
pub const OUTCOMES_WAITING_MAX: usize = 768;

const _: () = assert!(OUTCOMES_WAITING_MAX < 1_024);

/// The components of another host, to be sent messages.
///
/// Nothing is opened or sent before the first message. Messages go in their order, many at once, and none is sent again by
/// itself: one whose fate is not known fails as one that may have arrived. Outcomes are waited for at the place where the
/// messages went, as long as the link keeps to it.
pub struct RemoteDelivery {
    callee: Arc<dyn Callee>,
    bound: OnceCell<Arc<dyn Bound>>,
    waiting: Semaphore,
}

/// The places of the functions in what is bound.
const DELIVER_AT: FunctionIndex = FunctionIndex(0);
const OUTCOME_AT: FunctionIndex = FunctionIndex(1);

impl RemoteDelivery {
    /// The components of a host whose own instance is `callee`: an instance `isorun` at the other end of a connection, or a
    /// group of them that keeps to one.
    #[must_use]
    pub fn new(callee: Arc<dyn Callee>) -> Self {
        Self { callee, bound: OnceCell::new(), waiting: Semaphore::new(OUTCOMES_WAITING_MAX) }
    }

    /// Calls one of the functions, and unpacks what it gave with `read`.
    async fn call<T>(
        &self,
        function: FunctionIndex,
        args: Bytes,
        until: Instant,
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let bind = self.bound.get_or_try_init(|| async { self.callee.bind(want()?).await });
        let bound = match tokio::time::timeout_at(until.into(), bind).await {
            Ok(bound) => bound?,
            Err(_) => return Err(Failure::NotSent { cause: "the host there did not answer in time".into() }),
        };
        let cx = CallContext::until(until);
        let call = bound.call(function, &cx, args);
        let started = Instant::now();
        // One that keeps its own time has another second to say more of what happened.
        let reply = match tokio::time::timeout_at((until + Duration::from_secs(1)).into(), call).await {
            Ok(reply) => reply.map_err(|failed| failed.failure)?,
            Err(_) => {
                let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                return Err(Failure::Deadline { waited_ms });
            }
        };
        read(&reply.results)
            .map_err(|detail| Failure::Unknown { cause: format!("what the host there answered: {detail}") })
    }

    /// One delivery that fits into one call.
    async fn deliver_some(&self, messages: &[ComponentMessage]) -> Result<Vec<Result<(), MessagingError>>, Failure> {
        let packed = {
            let messages: Vec<Message<'_>> = messages.iter().map(Message::from).collect();
            pack(&(messages,)).map_err(|detail| Failure::NotSent { cause: detail })?
        };
        let until = Instant::now() + Duration::from_millis(DELIVER_MS_MAX);
        let results = |bytes: &[u8]| {
            let (results,): (Vec<Result<(), Error<'_>>>,) = unpack(bytes)?;
            if results.len() == messages.len() {
                Ok(results.into_iter().map(|result| result.map_err(Into::into)).collect())
            } else {
                Err(format!("{} results for {} messages", results.len(), messages.len()))
            }
        };
        self.call(DELIVER_AT, packed, until, results).await
    }
}

impl Delivery for RemoteDelivery {
    fn deliver(
        &self,
        messages: Vec<ComponentMessage>,
    ) -> BoxFuture<'_, Result<Vec<Result<(), MessagingError>>, Failure>> {
        Box::pin(async move {
            let mut results = Vec::with_capacity(messages.len());
            let mut lost: Option<Failure> = None;
            for some in chunks(&messages) {
                match &lost {
                    // What follows one that was lost could overtake it.
                    Some(failure) => results.extend(some.iter().map(|_| Err(not_delivered(failure)))),
                    None => match self.deliver_some(some).await {
                        Ok(delivered) => results.extend(delivered),
                        Err(failure) if results.is_empty() && some.len() == messages.len() => return Err(failure),
                        Err(failure) => {
                            results.extend(some.iter().map(|_| Err(failed(&failure))));
                            lost = Some(failure);
                        }
                    },
                }
            }
            Ok(results)
        })
    }

    fn outcome(&self, id: CorrelationId, until: Instant) -> BoxFuture<'_, Result<RequestOutcome, Failure>> {
        Box::pin(async move {
            let late = || Failure::Deadline { waited_ms: 0 };
            let turn = tokio::time::timeout_at(until.into(), self.waiting.acquire()).await.map_err(|_| late())?;
            let _turn = turn.map_err(|_| Failure::Cancelled)?;
            let packed = pack(&(id.to_string(),)).map_err(|detail| Failure::NotSent { cause: detail })?;
            let outcome = |bytes: &[u8]| {
                let (outcome,): (Outcome<'_>,) = unpack(bytes)?;
                outcome.checked().map_err(|error| error.to_string())
            };
            self.call(OUTCOME_AT, packed, until, outcome).await
        })
    }
}

impl std::fmt::Debug for RemoteDelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteDelivery").field("is_bound", &self.bound.initialized()).finish_non_exhaustive()
    }
}

/// The messages in parts that each fit into one call, in their order.
fn chunks(messages: &[ComponentMessage]) -> impl Iterator<Item = &[ComponentMessage]> {
    let mut rest = messages;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |message: &&ComponentMessage| {
            bytes += wire::size(message);
            bytes <= DELIVERY_BYTES_MAX
        };
        let count = rest.iter().take(DELIVERY_MESSAGES_MAX).take_while(fits).count();
        // One that is too large is refused by its own limit there.
        let (some, others) = rest.split_at_checked(count.max(1))?;
        rest = others;
        Some(some)
    })
}

/// What became of a message of a delivery that failed.
fn failed(failure: &Failure) -> MessagingError {
    let may_have_arrived = !matches!(failure, Failure::NotSent { .. } | Failure::Refused(_));
    MessagingError::DeliveryFailed { may_have_arrived, reason: failure.to_string() }
}

/// What became of a message that comes after those of a delivery that failed.
fn not_delivered(failure: &Failure) -> MessagingError {
    let reason = format!("those before it were not delivered: {failure}");
    MessagingError::DeliveryFailed { may_have_arrived: false, reason }
}

fn want() -> Result<&'static BindRequest, Failure> {
    static WANT: OnceLock<Result<BindRequest, Failure>> = OnceLock::new();
    let made = WANT.get_or_init(|| reflect::want(DELIVERY_INTERFACE, &[DELIVER, OUTCOME]));
    made.as_ref().map_err(Clone::clone)
}

pub(super) fn pack(value: &impl Pack) -> Result<Bytes, String> {
    neopack::pack(value).map(Into::into).map_err(|error| error.to_string())
}

pub(super) fn unpack<'a, T: Unpack<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    neopack::unpack(bytes).map_err(|error| error.to_string())
}

/// The mailboxes of this host, as one caller bound them.
pub(crate) struct ServedDelivery {
    delivery: Arc<dyn Delivery>,
    functions: Vec<&'static str>,
}

impl ServedDelivery {
    /// These functions of the interface, in their order.
    pub(crate) fn new(delivery: Arc<dyn Delivery>, functions: Vec<&'static str>) -> Self {
        Self { delivery, functions }
    }

    async fn deliver(&self, args: &[u8]) -> Result<Bytes, Failure> {
        let (messages,): (Vec<Message<'_>>,) = unpack(args).map_err(bad_arguments)?;
        if messages.len() > DELIVERY_MESSAGES_MAX {
            let (count, limit) = (messages.len(), DELIVERY_MESSAGES_MAX);
            return Err(bad_arguments(format!("{count} messages at once, {limit} are allowed")));
        }
        // What is no message is answered in its place; the others are delivered.
        let (mut sound, mut results) = (Vec::with_capacity(messages.len()), Vec::with_capacity(messages.len()));
        for message in messages {
            results.push(message.checked().map(|message| sound.push(message)));
        }
        let count = sound.len();
        let mut delivered = self.delivery.deliver(sound).await?.into_iter();
        if delivered.len() != count {
            return Err(Fault::Bug { detail: format!("{} results for {count} messages", delivered.len()) }.into());
        }
        for result in results.iter_mut().filter(|result| result.is_ok()) {
            *result = delivered.next().unwrap_or(Ok(()));
        }
        let results: Vec<Result<(), Error<'_>>> =
            results.iter().map(|result| result.as_ref().map_err(Error::from).copied()).collect();
        pack(&(results,)).map_err(bad_results)
    }

    async fn outcome(&self, args: &[u8], until: Instant) -> Result<Bytes, Failure> {
        let (id,): (&str,) = unpack(args).map_err(bad_arguments)?;
        let id = wire::correlation_id(id).ok_or_else(|| bad_arguments("a correlation id that is no UUID".into()))?;
        let outcome = self.delivery.outcome(id, until).await?;
        pack(&(Outcome::from(&outcome),)).map_err(bad_results)
    }
}

impl Bound for ServedDelivery {
    fn call<'a>(
        &'a self,
        function: FunctionIndex,
        cx: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(async move {
            let results = match self.functions.get(function.0 as usize) {
                Some(&DELIVER) => self.deliver(&args).await?,
                Some(&OUTCOME) => self.outcome(&args, cx.deadline).await?,
                _ => return Err(reflect::no_such_function(function).into()),
            };
            Ok(Reply { results, fuel_used: 0 })
        })
    }
}

pub(super) fn bad_arguments(detail: String) -> Failure {
    Refusal::BadArguments { detail }.into()
}

pub(super) fn bad_results(detail: String) -> Failure {
    Fault::BadResults { detail }.into()
}
