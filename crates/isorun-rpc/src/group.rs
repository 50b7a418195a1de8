//! One link to several places: each call goes to one of them, and to another where that is safe.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, Failure, FunctionIndex, Refusal, Reply,
};
use metrics::counter;
use neorpc::Description;
use neorpc::places::{Change, Chosen, Mark, Others, PLACES_MAX, PlaceIndex, Places, Rules, Tried};
use neorpc::retry::{Next, Retry, RetryPolicy, Stage};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout, timeout_at};

use crate::peer::{not_sent, now};
use crate::remote::{Live, RemoteBound, RemoteInstance};

/// How long a bind waits for the other places once one holds, in milliseconds; those that are slower are looked at beside
/// the calls.
pub const OTHERS_MS: u64 = 1_000;

/// How often a call of an idempotent link is made where nothing else is said and there are fewer places.
pub const IDEMPOTENT_ATTEMPTS: u32 = 3;

/// Which place a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Balance {
    /// What the instances say: sticky, unless none of them keeps state.
    #[default]
    AsServed,
    /// All calls go to one place as long as that is there.
    Sticky,
    /// Each call goes to the less busy of two places.
    Spread,
}

/// The same instance at several places, to be called like one here; clones share what they know of the places.
///
/// A call goes to the one of two random places that has fewer calls in flight. A place that is lost or keeps failing is
/// left out for a time that grows, and comes back once it binds again. Where the instances keep state, all calls go to one
/// place, and to another only when that is gone: this is logged, and counted ([`moves`](Self::moves)).
///
/// A call is made once at each place as long as it was *not sent*, and only then: what is *unknown* is made again where
/// [`idempotent`](Self::idempotent) says so. It waits for no connection while another place is ready. A call that fails in
/// the end says how often and where it was made.
///
/// ```
/// use std::sync::Arc;
/// use isorun_rpc::{Balance, Link, PeerOptions, RemoteGroup};
/// # use isorun_core::Transport;
/// # fn f(a: Arc<dyn Transport>, b: Arc<dyn Transport>) {
///
/// let places = [a, b].map(|transport| Link::new(transport, PeerOptions::default()).instance("kv"));
/// let kv = RemoteGroup::new(places, Balance::AsServed).idempotent().attempts(5);
/// assert_eq!(kv.places().len(), 2);
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteGroup {
    shared: Arc<Shared>,
    idempotent: bool,
    attempts: Option<u32>,
}

struct Shared {
    places: Vec<Place>,
    balance: Balance,
    choice: Mutex<Choice>,
}

struct Place {
    remote: RemoteInstance,
    name: String,
}

/// What is known of the places, behind a lock that is never held while something is awaited.
struct Choice {
    places: Places,
    /// For each place: why it is out, or what was wrong last.
    failures: Vec<Option<Failure>>,
    /// An instance said that it keeps state, or did not say.
    state_kept: bool,
}

/// What a group knows of one of its places.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaceStatus {
    /// The instance and where it is, as messages name it.
    pub place: String,
    /// It takes calls; where not, it is left out for now, or was not needed yet.
    pub is_up: bool,
    /// All calls go there, as the instance keeps state.
    pub is_home: bool,
    /// Calls that are there now.
    pub in_flight: u32,
    /// Why it is left out.
    pub failure: Option<Failure>,
}

impl RemoteGroup {
    /// The instance at these places; nothing is opened or sent before it is used.
    ///
    /// There may be [`PLACES_MAX`] places; more are left out.
    #[must_use]
    pub fn new(places: impl IntoIterator<Item = RemoteInstance>, balance: Balance) -> Self {
        let place = |remote: RemoteInstance| Place { name: remote.place(), remote };
        let places: Vec<Place> = places.into_iter().take(PLACES_MAX).map(place).collect();
        let mut choice = Choice {
            places: Places::new(places.len(), Rules::default(), fastrand::u64(..), now()),
            failures: vec![None; places.len()],
            state_kept: false,
        };
        if balance == Balance::Sticky {
            choice.places.set_sticky();
        }
        let shared = Shared { places, balance, choice: Mutex::new(choice) };
        Self { shared: Arc::new(shared), idempotent: false, attempts: None }
    }

    /// This group, for calls that may run twice: they are made again too where it is not known whether they ran.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// This group, for calls that are made so often at most; 1 to [`ATTEMPTS_MAX`](neorpc::retry::ATTEMPTS_MAX). Unless set: once at
    /// each place, and [`IDEMPOTENT_ATTEMPTS`] times at least where they are idempotent.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// The instance at each place.
    pub fn instances(&self) -> impl Iterator<Item = &RemoteInstance> {
        self.shared.places.iter().map(|place| &place.remote)
    }

    /// What is known of each place.
    #[must_use]
    pub fn places(&self) -> Vec<PlaceStatus> {
        let choice = self.shared.choice.lock();
        let home = choice.places.home();
        let known = self.shared.places.iter().zip(&choice.failures).enumerate();
        let status = known.map(|(at, (place, failure))| {
            let (at, is_up) = (PlaceIndex(at), choice.places.is_up(PlaceIndex(at)));
            PlaceStatus {
                place: place.name.clone(),
                is_up,
                is_home: home == Some(at),
                in_flight: choice.places.in_flight(at),
                failure: failure.clone().filter(|_| !is_up),
            }
        });
        status.collect()
    }

    /// How often the calls of a link that keeps to one place had to go to another, where the state is another.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.shared.choice.lock().places.moves()
    }

    /// The functions of one interface, bound and checked at the first call instead of now.
    #[must_use]
    pub fn bind_lazy(&self, want: BindRequest) -> Arc<dyn Bound> {
        Arc::new(self.unbound(&want))
    }

    fn unbound(&self, want: &BindRequest) -> GroupBound {
        let bounds = self.shared.places.iter().map(|place| Arc::new(place.remote.unbound(want.clone()))).collect();
        GroupBound { shared: Arc::clone(&self.shared), bounds, policy: self.policy() }
    }

    fn policy(&self) -> RetryPolicy {
        let places = u32::try_from(self.shared.places.len()).unwrap_or(0);
        // Once more than there are places: one whose connection went is looked for again before its state is given up.
        let unless_set = if self.idempotent { IDEMPOTENT_ATTEMPTS.max(places + 1) } else { places + 1 };
        RetryPolicy { idempotent: self.idempotent, ..RetryPolicy::tries(self.attempts.unwrap_or(unless_set)) }
    }

    /// Binds at every place at once, and gives the failure of each that did not.
    async fn bind_all(&self, bound: &GroupBound) -> Result<(), Vec<(PlaceIndex, Failure)>> {
        let mut binds = JoinSet::new();
        for at in 0..bound.bounds.len() {
            let (shared, bind) = (Arc::clone(&bound.shared), Arc::clone(&bound.bounds[at]));
            let at = PlaceIndex(at);
            binds.spawn(async move {
                let result = shared.ready(at, &bind, false).await.map(drop);
                shared.probed(at, result.clone());
                (at, result)
            });
        }
        let (mut failures, mut holds) = (Vec::new(), false);
        loop {
            let next = if holds {
                let Ok(next) = timeout(Duration::from_millis(OTHERS_MS), binds.join_next()).await else {
                    binds.detach_all();
                    break;
                };
                next
            } else {
                binds.join_next().await
            };
            match next {
                Some(Ok((_, Ok(())))) => holds = true,
                Some(Ok((at, Err(failure)))) => failures.push((at, failure)),
                // Only a panic ends a task otherwise, and that place has no binding.
                Some(Err(_)) => {}
                None => break,
            }
        }
        if holds { Ok(()) } else { Err(failures) }
    }
}

impl Callee for RemoteGroup {
    fn bind<'a>(&'a self, want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async move {
            let bound = self.unbound(want);
            match self.bind_all(&bound).await {
                Ok(()) => Ok(Arc::new(bound) as Arc<dyn Bound>),
                Err(failures) => Err(self.shared.no_place(failures)),
            }
        })
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(async move {
            let mut failures = Vec::new();
            for (at, place) in self.shared.places.iter().enumerate() {
                match place.remote.describe().await {
                    Ok(ledger) => return Ok(ledger),
                    Err(failure) => failures.push((PlaceIndex(at), failure)),
                }
            }
            Err(self.shared.no_place(failures))
        })
    }

    fn keeps_state(&self) -> Option<bool> {
        let choice = self.shared.choice.lock();
        choice.places.is_sticky().then_some(true)
    }
}

impl Shared {
    /// What numbers are labelled with: where it is, as the operator wrote it.
    fn link(&self, place: PlaceIndex) -> String {
        self.places.get(place.0).map_or_else(String::new, |place| place.remote.link().place())
    }

    fn name(&self, place: PlaceIndex) -> &str {
        self.places.get(place.0).map_or("nowhere", |place| &place.name)
    }

    /// A binding at a place, after asking there whether the instance keeps state.
    async fn ready(&self, place: PlaceIndex, bound: &RemoteBound, by_call: bool) -> Result<Arc<Live>, Failure> {
        let live = bound.live().await?;
        if self.balance == Balance::AsServed && !self.choice.lock().state_kept {
            let Some(found) = self.places.get(place.0) else { return Ok(live) };
            match live.describe(found.remote.name()).await {
                Ok(Description { keeps_state: Some(false), .. }) => return Ok(live),
                // An instance that does not say is treated as one that does.
                Ok(_) | Err(Failure::Refused(_) | Failure::Failed(_)) => {}
                Err(failure) => return Err(failure),
            }
            let mut choice = self.choice.lock();
            choice.state_kept = true;
            if by_call {
                choice.places.stick_to(place);
            } else {
                choice.places.set_sticky();
            }
            drop(choice);
            tracing::debug!(place = found.name, "keeps state: all calls of the link go to one place");
        }
        Ok(live)
    }

    /// Whether all calls go to another place.
    fn is_elsewhere(&self, place: PlaceIndex) -> bool {
        let choice = self.choice.lock();
        choice.places.is_sticky() && choice.places.home().is_some_and(|home| home != place)
    }

    /// Whether all calls go to this place.
    fn is_home(&self, place: PlaceIndex) -> bool {
        let choice = self.choice.lock();
        choice.places.is_sticky() && choice.places.home() == Some(place)
    }

    /// Notes how an attempt to bind at a place went, beside any call.
    fn probed(&self, place: PlaceIndex, result: Result<(), Failure>) {
        let mut choice = self.choice.lock();
        let change = choice.places.probed(now(), place, result.is_ok());
        let new = choice.fails_anew(place, result.as_ref().err());
        drop(choice);
        match (change, result) {
            (Some(Change::Back), _) => tracing::info!(place = self.name(place), "takes calls"),
            (_, Err(failure)) if new => tracing::warn!(place = self.name(place), %failure, "left out"),
            _ => {}
        }
    }

    fn done(&self, chosen: Chosen, mark: Mark, failure: Option<&Failure>) {
        let mut choice = self.choice.lock();
        let change = choice.places.done(now(), chosen, mark);
        if let Some(Change::Out(_)) = change {
            choice.fails_anew(chosen.place, failure);
        }
        drop(choice);
        let place = self.name(chosen.place);
        match change {
            Some(Change::Out(time)) => {
                counter!("isorun_places_left_out_total", "link" => self.link(chosen.place)).increment(1);
                let failure = failure.map_or_else(|| "the connection ended".to_owned(), Failure::to_string);
                tracing::warn!(
                    place,
                    failure,
                    out_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
                    "left out"
                );
            }
            Some(Change::Back) => tracing::info!(place, "takes calls again"),
            None => {}
        }
    }

    /// No place binds: the failure that says most of the types, or of all why.
    fn no_place(&self, failures: Vec<(PlaceIndex, Failure)>) -> Failure {
        let words = || {
            let each = failures.iter().map(|(at, failure)| format!("{}: {failure}", self.name(*at)));
            each.collect::<Vec<_>>().join("; ")
        };
        let refused = |(_, failure): &&(PlaceIndex, Failure)| matches!(failure, Failure::Refused(_));
        let incompatible =
            failures.iter().find(|(_, failure)| matches!(failure, Failure::Refused(Refusal::Incompatible { .. })));
        match incompatible.or_else(|| failures.iter().find(refused)) {
            Some((_, Failure::Refused(Refusal::Incompatible { ledger, .. }))) => {
                Refusal::Incompatible { detail: words(), ledger: ledger.clone() }.into()
            }
            Some((_, failure)) if failures.len() == 1 || failures.iter().all(|(_, other)| other == failure) => {
                failure.clone()
            }
            _ => not_sent(if failures.is_empty() { "the link has no places".to_owned() } else { words() }),
        }
    }
}

impl Choice {
    /// Keeps why a place is out; whether that is news.
    fn fails_anew(&mut self, place: PlaceIndex, failure: Option<&Failure>) -> bool {
        let Some(known) = self.failures.get_mut(place.0) else { return false };
        let is_new = known.as_ref() != failure;
        if is_new {
            *known = failure.cloned();
        }
        is_new
    }
}

struct GroupBound {
    shared: Arc<Shared>,
    /// One for each place.
    bounds: Vec<Arc<RemoteBound>>,
    policy: RetryPolicy,
}

/// What one call has been through.
#[derive(Default)]
struct Course {
    tried: Tried,
    retry: Option<Retry>,
    fuel_used: u64,
}

impl GroupBound {
    async fn call_somewhere(
        &self,
        function: FunctionIndex,
        cx: &CallContext,
        args: Bytes,
    ) -> Result<Reply, CallFailed> {
        let mut course = Course::default();
        loop {
            let Some(place) = self.choose(&course.tried) else {
                return Err(not_sent("the link has no places".to_owned()).into());
            };
            course.tried.insert(place.chosen.place);
            let (stage, failed) = match self.call_at(place, &course, function, cx, args.clone()).await {
                Outcome::Returned(Ok(mut reply)) => {
                    reply.fuel_used = reply.fuel_used.saturating_add(course.fuel_used);
                    return Ok(reply);
                }
                Outcome::Skipped => continue,
                Outcome::Moved(at) => {
                    course.tried.remove(at);
                    continue;
                }
                Outcome::Unbound(at, failure) => ((at, Stage::Bind), CallFailed::from(failure)),
                Outcome::Returned(Err((at, failed))) => ((at, Stage::Call), failed),
                Outcome::Local(mut failed) => {
                    failed.fuel_used = failed.fuel_used.saturating_add(course.fuel_used);
                    return Err(failed);
                }
            };
            course.fuel_used = course.fuel_used.saturating_add(failed.fuel_used);
            let next = {
                let mut choice = self.shared.choice.lock();
                let others = choice.places.others(&course.tried);
                let retry = course.retry.get_or_insert_with(|| Retry::new(self.policy, choice.places.seed()));
                retry.failed(now(), cx.deadline, stage.0, stage.1, &failed.failure, others)
            };
            if next != Next::GiveUp {
                counter!("isorun_calls_made_again_total", "link" => self.shared.link(stage.0)).increment(1);
            }
            match next {
                Next::Elsewhere => {
                    tracing::debug!(place = self.shared.name(stage.0), failure = %failed.failure, "made again elsewhere");
                }
                Next::After(pause) => {
                    tracing::debug!(place = self.shared.name(stage.0), failure = %failed.failure, "made again after a pause");
                    sleep(pause).await;
                    course.tried = Tried::default();
                }
                Next::GiveUp => return Err(self.conclude(&course, failed.failure)),
            }
        }
    }

    fn conclude(&self, course: &Course, last: Failure) -> CallFailed {
        let failure = match &course.retry {
            Some(retry) => retry.conclude(last, |place| self.shared.name(place)),
            None => last,
        };
        CallFailed { failure, fuel_used: course.fuel_used }
    }

    /// A place for a call, and probes of those that may be back.
    fn choose(&self, tried: &Tried) -> Option<InFlight<'_>> {
        let now = now();
        let mut choice = self.shared.choice.lock();
        let chosen = choice.places.choose(now, tried)?;
        let probe = choice.places.probe(now);
        let moves = choice.places.moves();
        drop(choice);
        if let Some(from) = chosen.moved_from {
            let (from, to) = (self.shared.name(from), self.shared.name(chosen.place));
            counter!("isorun_link_moves_total", "link" => self.shared.link(chosen.place)).increment(1);
            tracing::warn!(
                from,
                to,
                moves,
                "the link's place is gone: its calls go to another, and to the state there"
            );
        }
        if let Some(place) = probe {
            self.probe(place);
        }
        Some(InFlight { shared: &self.shared, chosen, ended: false })
    }

    /// Binds at a place in a task of its own, which ends within what a connection and a bind may take.
    fn probe(&self, place: PlaceIndex) {
        let Some(bound) = self.bounds.get(place.0) else { return };
        let (shared, bound) = (Arc::clone(&self.shared), Arc::clone(bound));
        tokio::spawn(async move {
            let result = shared.ready(place, &bound, false).await.map(drop);
            shared.probed(place, result);
        });
    }

    async fn call_at(
        &self,
        place: InFlight<'_>,
        course: &Course,
        function: FunctionIndex,
        cx: &CallContext,
        args: Bytes,
    ) -> Outcome {
        let at = place.chosen.place;
        let Some(bound) = self.bounds.get(at.0) else { return Outcome::Skipped };
        let live = match bound.alive() {
            Some(live) => live,
            None if self.is_better_elsewhere(&course.tried) => {
                place.end(Mark::Lost, None);
                return Outcome::Skipped;
            }
            None => match timeout_at(cx.deadline.into(), self.shared.ready(at, bound, true)).await {
                Ok(Ok(live)) => {
                    self.shared.probed(at, Ok(()));
                    live
                }
                Ok(Err(failure)) => return unbound(place, bound, args.len(), failure),
                Err(_) => {
                    let failure = not_sent("no connection before the deadline".to_owned());
                    return unbound(place, bound, args.len(), failure);
                }
            },
        };
        if self.shared.is_elsewhere(at) {
            // Only where it was not known to whom the link is bound: the call goes there.
            place.end(Mark::Nothing, None);
            return Outcome::Moved(at);
        }
        let left;
        let cx = match cx.fuel.filter(|_| course.fuel_used > 0) {
            Some(fuel) => {
                left = CallContext { fuel: Some(fuel.saturating_sub(course.fuel_used)), ..cx.clone() };
                &left
            }
            None => cx,
        };
        let underway = bound.begin(args.len());
        let result = live.call(function, cx, args).await;
        underway.end(&result);
        let failed = match result {
            Ok(reply) => {
                place.end(Mark::Answered, None);
                return Outcome::Returned(Ok(reply));
            }
            Err(failed) => failed,
        };
        let is_here = live.is_usable();
        let mark = match &failed.failure {
            // A place that keeps state may be there still, and is looked for before its state is given up.
            Failure::NotSent { .. } | Failure::Unknown { .. } if !is_here && !self.shared.is_home(at) => Mark::Lost,
            Failure::NotSent { .. } | Failure::Unknown { .. } if !is_here => Mark::Nothing,
            Failure::NotSent { .. } | Failure::Cancelled | Failure::Deadline { waited_ms: 0 } => Mark::Nothing,
            Failure::Deadline { .. } => Mark::Late,
            _ => Mark::Answered,
        };
        place.end(mark, Some(&failed.failure));
        match &failed.failure {
            // It can't be sent at all, a frame that is too large say.
            Failure::NotSent { .. } if is_here => Outcome::Local(failed),
            _ => Outcome::Returned(Err((at, failed))),
        }
    }

    /// Whether a call need not wait for a connection.
    fn is_better_elsewhere(&self, tried: &Tried) -> bool {
        self.shared.choice.lock().places.others(tried) == Others::Ready
    }
}

/// A call that could not be made at a place: counted there, as one of a link to that place alone would be.
fn unbound(place: InFlight<'_>, bound: &RemoteBound, args_bytes: usize, failure: Failure) -> Outcome {
    let at = place.chosen.place;
    place.end(Mark::Lost, Some(&failure));
    bound.begin(args_bytes).end(&Err(failure.clone().into()));
    Outcome::Unbound(at, failure)
}

/// How an attempt ended.
enum Outcome {
    Returned(Result<Reply, (PlaceIndex, CallFailed)>),
    /// The place was not reached, or did not bind.
    Unbound(PlaceIndex, Failure),
    /// It would fail in the same way anywhere.
    Local(CallFailed),
    /// It was not made: the place is gone, and another is ready.
    Skipped,
    /// It was not made: the link turned out to be bound to another place.
    Moved(PlaceIndex),
}

/// A call at a place; dropping it takes it from there.
struct InFlight<'a> {
    shared: &'a Shared,
    chosen: Chosen,
    ended: bool,
}

impl InFlight<'_> {
    fn end(mut self, mark: Mark, failure: Option<&Failure>) {
        self.ended = true;
        self.shared.done(self.chosen, mark, failure);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.done(self.chosen, Mark::Nothing, None);
        }
    }
}

impl Bound for GroupBound {
    fn call<'a>(
        &'a self,
        function: FunctionIndex,
        cx: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(self.call_somewhere(function, cx, args))
    }

    /// The connections do, and pauses end before it.
    fn keeps_deadline(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for RemoteGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteGroup").field("places", &self.places()).field("policy", &self.policy()).finish()
    }
}
