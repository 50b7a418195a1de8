//! What becomes of a call that failed: whether it is made again, where and when, and what is said of it in the end.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use isorun_core::Failure;
//! use neorpc::places::{Others, PlaceIndex};
//! use neorpc::retry::{Next, Retry, RetryPolicy, Stage};
//!
//! let now = Instant::now();
//! let deadline = now + Duration::from_secs(1);
//! let lost = Failure::Unknown { cause: "the connection ended".to_owned() };
//!
//! // It may have run: made again only by a link whose calls may run twice.
//! let mut careful = Retry::new(RetryPolicy::tries(3), 7);
//! assert_eq!(careful.failed(now, deadline, PlaceIndex(0), Stage::Call, &lost, Others::Ready), Next::GiveUp);
//! let mut idempotent = Retry::new(RetryPolicy { idempotent: true, ..RetryPolicy::tries(3) }, 7);
//! assert_eq!(idempotent.failed(now, deadline, PlaceIndex(0), Stage::Call, &lost, Others::Ready), Next::Elsewhere);
//! ```

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use isorun_core::{Failure, Refusal};

use crate::limits::TEXT_BYTES_MAX;
use crate::places::{Others, PLACES_MAX, PlaceIndex};

/// Most often that one call is made.
///
/// With [`PAUSE_MS_MAX`] between them that is longer than any sensible deadline.
pub const ATTEMPTS_MAX: u32 = 100;

/// The first pause before a call is made again, in milliseconds; up to twice that with jitter.
pub const PAUSE_MS_MIN: u64 = 20;

/// The longest pause before a call is made again, in milliseconds; up to twice that with jitter.
pub const PAUSE_MS_MAX: u64 = 2_000;

/// What is kept of one attempt's failure, in bytes of text.
const CAUSE_BYTES_MAX: usize = 200;

// What is kept of a call's failures is bounded.
const _: () = assert!(PLACES_MAX * CAUSE_BYTES_MAX <= 16 << 10);

/// How often, and after what, a link's calls are made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Calls may run twice: what is *unknown* is made again too.
    pub idempotent: bool,
    /// How often a call is made, the first time included; 1 to [`ATTEMPTS_MAX`].
    pub attempts_max: u32,
    /// The first pause, in milliseconds; [`PAUSE_MS_MIN`] unless set.
    pub pause_ms_min: u64,
    /// The longest pause, in milliseconds; [`PAUSE_MS_MAX`] unless set.
    pub pause_ms_max: u64,
}

impl RetryPolicy {
    /// Makes a call so often, as long as it is certain that it did not run.
    #[must_use]
    pub fn tries(attempts_max: u32) -> Self {
        let attempts_max = attempts_max.clamp(1, ATTEMPTS_MAX);
        Self { idempotent: false, attempts_max, pause_ms_min: PAUSE_MS_MIN, pause_ms_max: PAUSE_MS_MAX }
    }
}

/// What an attempt was about when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The connection or the binding: nothing of the call has left.
    Bind,
    /// The call.
    Call,
}

/// What to do about an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Make the call at once at a place that it was not made at.
    Elsewhere,
    /// Make the call after this time, at any place; it is over before the deadline.
    After(Duration),
    /// Report it: [`Retry::conclude`].
    GiveUp,
}

/// One call that failed at least once. A call that succeeds needs none.
#[derive(Debug)]
pub struct Retry {
    policy: RetryPolicy,
    seed: u64,
    made: u32,
    /// An earlier attempt may have run.
    may_have_run: bool,
    /// One for each place, so [`PLACES_MAX`] at most.
    attempts: Vec<Attempted>,
    pauses: Option<ExponentialBackoff>,
}

#[derive(Debug)]
struct Attempted {
    place: PlaceIndex,
    times: u32,
    cause: String,
}

impl Retry {
    /// A call that is about to have failed for the first time; `seed` is for the jitter of its pauses.
    #[must_use]
    pub fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self { policy, seed, made: 0, may_have_run: false, attempts: Vec::new(), pauses: None }
    }

    /// How often it was made.
    #[must_use]
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Decides about an attempt that failed at `place`; `others` are the places that it was not made at since the last
    /// pause.
    ///
    /// What was *not sent* is made again, and *unknown* where the link is idempotent: at once where there is another place,
    /// else after a pause. What was refused as overloaded or busy did not run, and is made again only where another place is
    /// ready at once: a pause would add calls to an overload that it does not end. A refusal to bind says something of that
    /// place alone, and is followed by another place. Anything else stands. Nothing is made again after the deadline, nor
    /// where the pause would not be over by then.
    pub fn failed(
        &mut self,
        now: Instant,
        deadline: Instant,
        place: PlaceIndex,
        stage: Stage,
        failure: &Failure,
        others: Others,
    ) -> Next {
        self.made = self.made.saturating_add(1);
        self.note(place, failure);
        let again = match (stage, failure) {
            (Stage::Bind | Stage::Call, Failure::NotSent { .. }) => Again::Anywhere,
            (Stage::Call, Failure::Unknown { .. }) => {
                self.may_have_run = true;
                if self.policy.idempotent { Again::Anywhere } else { Again::Never }
            }
            (_, Failure::Refused(Refusal::Overloaded { .. } | Refusal::Busy { .. })) => Again::WhereReady,
            (Stage::Bind, Failure::Refused(_)) => Again::Elsewhere,
            _ => Again::Never,
        };
        if self.made >= self.policy.attempts_max || now >= deadline {
            return Next::GiveUp;
        }
        match (again, others) {
            (Again::Anywhere | Again::Elsewhere | Again::WhereReady, Others::Ready)
            | (Again::Anywhere | Again::Elsewhere, Others::Doubtful) => Next::Elsewhere,
            (Again::Anywhere, Others::None) => self.after(now, deadline),
            (Again::Elsewhere, Others::None)
            | (Again::WhereReady, Others::Doubtful | Others::None)
            | (Again::Never, _) => Next::GiveUp,
        }
    }

    /// What the caller is told: the last failure, and in words how often and where the call was made.
    ///
    /// Where any attempt may have run and the last did not, the call is *unknown*. `name` gives a place's name.
    #[must_use]
    pub fn conclude<'n>(&self, last: Failure, name: impl Fn(PlaceIndex) -> &'n str) -> Failure {
        let may_have_run = self.may_have_run && matches!(last, Failure::NotSent { .. } | Failure::Refused(_));
        if !may_have_run && self.made < 2 {
            return last;
        }
        let tried = || self.tried(&name);
        match last {
            Failure::NotSent { .. } | Failure::Refused(_) if may_have_run => Failure::Unknown { cause: tried() },
            Failure::NotSent { .. } => Failure::NotSent { cause: tried() },
            Failure::Unknown { .. } => Failure::Unknown { cause: tried() },
            Failure::Refused(Refusal::Overloaded { what, limit }) => {
                Refusal::Overloaded { what: format!("{what} ({})", tried()), limit }.into()
            }
            // What the callee itself says of a call is the same wherever it is made.
            other => other,
        }
    }

    /// As `tried 3 times: 2 at tcp://a/kv (..), 1 at tcp://b/kv (..)`.
    fn tried<'n>(&self, name: &impl Fn(PlaceIndex) -> &'n str) -> String {
        let mut text = format!("tried {}", times(self.made));
        for (at, Attempted { place, times, cause }) in self.attempts.iter().enumerate() {
            let (before, name) = (if at == 0 { ": " } else { ", " }, name(*place));
            // Writing to a string does not fail.
            let _ = write!(text, "{before}{times} at {name} ({cause})");
            if text.len() > TEXT_BYTES_MAX {
                let _ = write!(text, ", and {} places more", self.attempts.len() - at - 1);
                break;
            }
        }
        text
    }

    fn note(&mut self, place: PlaceIndex, failure: &Failure) {
        let mut cause = failure.to_string();
        cause.truncate(cause.floor_char_boundary(CAUSE_BYTES_MAX));
        if let Some(known) = self.attempts.iter_mut().find(|known| known.place == place) {
            known.times += 1;
            known.cause = cause;
        } else if self.attempts.len() < PLACES_MAX {
            self.attempts.push(Attempted { place, times: 1, cause });
        }
    }

    fn after(&mut self, now: Instant, deadline: Instant) -> Next {
        let policy = &self.policy;
        let pauses = self.pauses.get_or_insert_with(|| {
            let longest = Duration::from_millis(policy.pause_ms_max.max(1));
            ExponentialBuilder::new()
                .with_min_delay(Duration::from_millis(policy.pause_ms_min.max(1)).min(longest))
                .with_max_delay(longest)
                .without_max_times()
                .with_jitter()
                .with_jitter_seed(self.seed)
                .build()
        });
        let pause = pauses.next().unwrap_or(Duration::from_millis(PAUSE_MS_MAX));
        match now.checked_add(pause) {
            Some(then) if then < deadline => Next::After(pause),
            _ => Next::GiveUp,
        }
    }
}

/// Where an attempt may be followed by another.
#[derive(Clone, Copy)]
enum Again {
    Anywhere,
    Elsewhere,
    WhereReady,
    Never,
}

fn times(n: u32) -> String {
    if n == 1 { "once".to_owned() } else { format!("{n} times") }
}

#[cfg(test)]
mod tests;
