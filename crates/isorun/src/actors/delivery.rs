//! Messages between the components of two hosts: this host's end of sending them, and of taking them.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, ComponentMessage, CorrelationId, Delivery, Failure,
    Fault, FunctionIndex, MessagingError, Refusal, Reply, RequestOutcome,
};
use neopack::{Pack, Unpack};
use tokio::sync::OnceCell;

use super::outcomes::{GATHER_MS, OUTCOMES_MAX, OUTCOMES_WAIT_MS_MAX, Waiting};
use super::types::{DELIVER, DELIVERY_INTERFACE, OUTCOME, OUTCOMES};
use super::wire::{self, DELIVERY_BYTES_MAX, DELIVERY_MESSAGES_MAX, Error, Message, OUTCOMES_BYTES, Outcome};
use crate::reflect;

/// How long another host may take to put messages into its mailboxes, in milliseconds.
///
/// It waits for no component to do it; what is slow is the way there. Messages to other components of that host wait
/// meanwhile, since their order is kept.
pub const DELIVER_MS_MAX: u64 = 10_000;

/// The components of another host, to be sent messages.
///
/// Nothing is opened or sent before the first message. Messages go in their order, many at once, and none is sent again by
/// itself: one whose fate is not known fails as one that may have arrived. Outcomes are waited for at the place where the
/// messages went, as long as the link keeps to it, and together: a component that does not answer delays no other's answer.
pub struct RemoteDelivery {
    far: Arc<Far>,
}

/// The other host, and what is waited for there.
struct Far {
    callee: Arc<dyn Callee>,
    bound: OnceCell<Arc<dyn Bound>>,
    waiting: Waiting,
}

/// The places of the functions in what is bound.
const DELIVER_AT: FunctionIndex = FunctionIndex(0);
const OUTCOMES_AT: FunctionIndex = FunctionIndex(1);

impl RemoteDelivery {
    /// The components of a host whose own instance is `callee`: an instance `isorun` at the other end of a connection, or a
    /// group of them that keeps to one.
    #[must_use]
    pub fn new(callee: Arc<dyn Callee>) -> Self {
        Self { far: Arc::new(Far { callee, bound: OnceCell::new(), waiting: Waiting::default() }) }
    }
}

impl Far {
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

    /// Begins the calls that are due for outcomes that are waited for.
    fn fetch(self: &Arc<Self>) {
        while let Some(ids) = self.waiting.begin() {
            let far = self.clone();
            tokio::spawn(async move {
                let came = far.outcomes(&ids).await;
                let gathers = far.waiting.over(ids, came);
                far.fetch();
                if gathers {
                    tokio::time::sleep(Duration::from_millis(GATHER_MS)).await;
                    far.waiting.gathered();
                    far.fetch();
                }
            });
        }
    }

    /// Waits for some of these; gives those that came.
    async fn outcomes(&self, ids: &[CorrelationId]) -> Result<Vec<(CorrelationId, RequestOutcome)>, Failure> {
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let packed = pack(&(texts, OUTCOMES_WAIT_MS_MAX)).map_err(|detail| Failure::NotSent { cause: detail })?;
        // Longer than it waits there: what it brings is given once.
        let until = Instant::now() + Duration::from_millis(u64::from(OUTCOMES_WAIT_MS_MAX) + DELIVER_MS_MAX);
        let results = |bytes: &[u8]| {
            at_most(bytes, ids.len(), "outcomes")?;
            let (came,): (Vec<(&str, Outcome<'_>)>,) = unpack(bytes)?;
            let known = |(id, outcome): (&str, Outcome<'_>)| {
                let id = wire::correlation_id(id).ok_or("a correlation id that is no UUID")?;
                Ok((id, outcome.checked().unwrap_or_else(|error| lost(error.to_string()))))
            };
            came.into_iter().map(known).collect()
        };
        match self.call(OUTCOMES_AT, packed, until, results).await {
            // Of the call, and not of the requests.
            Err(Failure::Deadline { .. }) => {
                Err(Failure::Unknown { cause: "the host there did not say in time what became of it".into() })
            }
            came => came,
        }
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
                    None => match self.far.deliver_some(some).await {
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
            let started = Instant::now();
            let outcome = self.far.waiting.join(id);
            self.far.fetch();
            match tokio::time::timeout_at(until.into(), outcome).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(Failure::Unknown { cause: "its outcome is fetched by another call".into() }),
                Err(_) => {
                    let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                    Err(Failure::Deadline { waited_ms })
                }
            }
        })
    }
}

impl std::fmt::Debug for RemoteDelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteDelivery").field("is_bound", &self.far.bound.initialized()).finish_non_exhaustive()
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
    let made = WANT.get_or_init(|| reflect::want(DELIVERY_INTERFACE, &[DELIVER, OUTCOMES]));
    made.as_ref().map_err(Clone::clone)
}

pub(super) fn pack(value: &impl Pack) -> Result<Bytes, String> {
    neopack::pack(value).map(Into::into).map_err(|error| error.to_string())
}

pub(super) fn unpack<'a, T: Unpack<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    neopack::unpack(bytes).map_err(|error| error.to_string())
}

/// That the first of some packed values is a list of no more than that many, before any of them is unpacked.
fn at_most(bytes: &[u8], limit: usize, what: &str) -> Result<(), String> {
    let mut front = neopack::Decoder::new(bytes);
    let count = front.struct_begin().and_then(|()| front.list_begin()).map_err(|error| error.to_string())?;
    if count as usize > limit { Err(format!("{count} {what} at once, {limit} are allowed")) } else { Ok(()) }
}

/// The outcome of a request whose answer is not to be had.
fn lost(reason: String) -> RequestOutcome {
    RequestOutcome::Failed(MessagingError::DeliveryFailed { may_have_arrived: true, reason })
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
        at_most(args, DELIVERY_MESSAGES_MAX, "messages").map_err(bad_arguments)?;
        let (messages,): (Vec<Message<'_>>,) = unpack(args).map_err(bad_arguments)?;
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

    async fn outcomes(&self, args: &[u8], until: Instant) -> Result<Bytes, Failure> {
        at_most(args, OUTCOMES_MAX, "outcomes").map_err(bad_arguments)?;
        let (ids, wait_ms): (Vec<&str>, u32) = unpack(args).map_err(bad_arguments)?;
        let wait = Duration::from_millis(wait_ms.min(OUTCOMES_WAIT_MS_MAX).into());
        let until = until.min(Instant::now() + wait);
        let mut waits = Vec::with_capacity(ids.len());
        for id in ids {
            let id =
                wire::correlation_id(id).ok_or_else(|| bad_arguments("a correlation id that is no UUID".into()))?;
            waits.push((id, self.delivery.outcome(id, until)));
        }
        let (mut came, mut bytes) = (Vec::new(), 0);
        // What is taken is given in this very answer: between the two nothing is awaited.
        poll_fn(|cx| {
            let mut at = 0;
            while at < waits.len() && bytes < OUTCOMES_BYTES {
                let Poll::Ready(outcome) = waits[at].1.as_mut().poll(cx) else {
                    at += 1;
                    continue;
                };
                let (id, _) = waits.swap_remove(at);
                let outcome = match outcome {
                    Ok(outcome) => outcome,
                    Err(Failure::Deadline { .. }) => continue,
                    Err(failure) => lost(failure.to_string()),
                };
                bytes += wire::outcome_size(&outcome);
                came.push((id.to_string(), outcome));
            }
            if came.is_empty() && !waits.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        let came: Vec<_> = came.iter().map(|(id, outcome)| (id.as_str(), Outcome::from(outcome))).collect();
        pack(&(came,)).map_err(bad_results)
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
                Some(&OUTCOMES) => self.outcomes(&args, cx.deadline).await?,
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
