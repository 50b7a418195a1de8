//! Several places for one link: which of them a call goes to, which are left out for a while, and when they come back.
//!
//! ```
//! use std::time::Instant;
//!
//! use neorpc::places::{Mark, Places, Rules, Tried};
//!
//! let now = Instant::now();
//! let mut places = Places::new(2, Rules::default(), 7, now);
//! let first = places.choose(now, &Tried::default()).unwrap();
//! places.done(now, first, Mark::Lost);
//!
//! // The one that was lost takes no call while there is another; it comes back by a probe, after a time.
//! let mut tried = Tried::default();
//! tried.insert(first.place);
//! let second = places.choose(now, &tried).unwrap();
//! assert_ne!(first.place, second.place);
//! places.done(now, second, Mark::Answered);
//! let back = places.probe_at(first.place).unwrap();
//! assert!(back > now);
//! assert_eq!(places.probe(back), Some(first.place));
//! places.probed(back, first.place, true);
//! assert!(places.is_up(first.place));
//! ```

use std::time::{Duration, Instant};

use fastrand::Rng;

/// Most places of one link.
pub const PLACES_MAX: usize = 64;

/// How many calls in a row may fail at a place before it is left out.
pub const FAILURES_MAX: u32 = 5;

/// How long a place is left out for the first time, in milliseconds; up to half of that more with jitter.
pub const OUT_MS_MIN: u64 = 100;

/// How long a place is left out at most, in milliseconds; up to half of that more with jitter.
///
/// A place that is back is found again in this time.
pub const OUT_MS_MAX: u64 = 10_000;

/// Calls in a row that a place must answer until its failures are forgotten.
pub const ANSWERS_TO_FORGET: u32 = 16;

/// One of a link's places, by its position among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaceIndex(pub usize);

/// When places are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many calls in a row may fail; [`FAILURES_MAX`] unless set.
    pub failures_max: u32,
    /// The first time out, in milliseconds; [`OUT_MS_MIN`] unless set.
    pub out_ms_min: u64,
    /// The longest time out, in milliseconds; [`OUT_MS_MAX`] unless set.
    pub out_ms_max: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { failures_max: FAILURES_MAX, out_ms_min: OUT_MS_MIN, out_ms_max: OUT_MS_MAX }
    }
}

/// The places that one call has been made at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tried(u64);

const _: () = assert!(PLACES_MAX <= u64::BITS as usize);

impl Tried {
    /// Adds a place.
    pub fn insert(&mut self, place: PlaceIndex) {
        if place.0 < PLACES_MAX {
            self.0 |= 1 << place.0;
        }
    }

    /// Takes a place out again.
    pub fn remove(&mut self, place: PlaceIndex) {
        if place.0 < PLACES_MAX {
            self.0 &= !(1 << place.0);
        }
    }

    /// Whether it was made there.
    #[must_use]
    pub fn contains(&self, place: PlaceIndex) -> bool {
        place.0 < PLACES_MAX && self.0 & (1 << place.0) != 0
    }
}

/// A place that a call goes to; [`Places::done`] wants it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// The place.
    pub place: PlaceIndex,
    /// Where the link's calls went before, if they are bound to one place and it moved just now.
    pub moved_from: Option<PlaceIndex>,
    /// How often the place had been left out.
    outs: u32,
}

/// What a call says of the place it was made at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It answered, with results or not: it lives.
    Answered,
    /// It did not answer in time; [`Rules::failures_max`] of them in a row put it out.
    Late,
    /// It was not reached, was lost, or does not serve what is wanted: out at once.
    Lost,
    /// Nothing.
    Nothing,
}

/// The places that a call was not made at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// None is left, or the link's calls are bound to one that is there.
    None,
    /// All of them are left out: one may be back before its time.
    Doubtful,
    /// At least one takes calls.
    Ready,
}

/// The places of one link.
///
/// Of the places that take calls two are drawn, and the one with fewer calls in flight is taken. A place that was lost, or
/// failed too often in a row, is left out: for a time that doubles each time, with jitter, after which a probe brings it
/// back; where all are left out, the one that is due first is tried. A link that is bound to one place
/// ([`set_sticky`](Self::set_sticky)) moves only when that place is left out, and does not move back.
///
/// Time and the seed of its random numbers are passed in.
#[derive(Debug)]
pub struct Places {
    places: Vec<Place>,
    rules: Rules,
    random: Rng,
    sticky: bool,
    home: Option<PlaceIndex>,
    moves: u64,
}

#[derive(Debug)]
struct Place {
    state: State,
    in_flight: u32,
    /// Calls in a row that failed.
    failures: u32,
    /// Calls in a row that were answered.
    answers: u32,
    /// How often it was left out, which tells calls from before it from those after.
    outs: u32,
    /// How often of late, which says for how long.
    growth: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Out { until: Instant, probing: bool },
}

impl Places {
    /// So many places, none of them proven: each is out, and its probe due now.
    ///
    /// There are [`PLACES_MAX`] at most.
    #[must_use]
    pub fn new(count: usize, rules: Rules, seed: u64, now: Instant) -> Self {
        let place = || Place {
            state: State::Out { until: now, probing: false },
            in_flight: 0,
            failures: 0,
            answers: 0,
            outs: 0,
            growth: 0,
        };
        let places = (0..count.min(PLACES_MAX)).map(|_| place()).collect();
        Self { places, rules, random: Rng::with_seed(seed), sticky: false, home: None, moves: 0 }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Binds the link to one place: the next that is chosen.
    pub fn set_sticky(&mut self) {
        self.sticky = true;
    }

    /// Binds the link to one place: the one that it is bound to already, or this one.
    pub fn stick_to(&mut self, place: PlaceIndex) {
        self.sticky = true;
        self.home.get_or_insert(place);
    }

    /// Whether the link is bound to one place.
    #[must_use]
    pub fn is_sticky(&self) -> bool {
        self.sticky
    }

    /// The place that the link is bound to.
    #[must_use]
    pub fn home(&self) -> Option<PlaceIndex> {
        self.home
    }

    /// How often a link that is bound to one place has moved to another.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.moves
    }

    /// Whether the place takes calls.
    #[must_use]
    pub fn is_up(&self, place: PlaceIndex) -> bool {
        self.places.get(place.0).is_some_and(|place| place.state == State::Up)
    }

    /// Whether the place is left out; one that was never tried is not.
    #[must_use]
    pub fn is_out(&self, place: PlaceIndex) -> bool {
        self.places.get(place.0).is_some_and(|place| place.state != State::Up && place.outs > 0)
    }

    /// Calls that are at the place.
    #[must_use]
    pub fn in_flight(&self, place: PlaceIndex) -> u32 {
        self.places.get(place.0).map_or(0, |place| place.in_flight)
    }

    /// A number for the jitter of a call's pauses.
    pub fn seed(&mut self) -> u64 {
        self.random.u64(..)
    }

    /// The place for a call that was made at `tried`; `None` where it was made at all.
    ///
    /// The call counts as in flight there until [`done`](Self::done).
    pub fn choose(&mut self, now: Instant, tried: &Tried) -> Option<Chosen> {
        let place = match self.at_home(tried) {
            Some(home) => home,
            None => self.any(now, tried)?,
        };
        let mut moved_from = None;
        if self.sticky && self.home != Some(place) {
            moved_from = self.home.replace(place);
            self.moves += u64::from(moved_from.is_some());
        }
        let chosen = self.places.get_mut(place.0)?;
        chosen.in_flight += 1;
        Some(Chosen { place, moved_from, outs: chosen.outs })
    }

    /// Ends a call's stay, and learns from it; whether the place is left out by it, or back.
    pub fn done(&mut self, now: Instant, chosen: Chosen, mark: Mark) -> Option<Change> {
        let place = self.places.get_mut(chosen.place.0)?;
        place.in_flight = place.in_flight.saturating_sub(1);
        if chosen.outs != place.outs {
            // It went there before what the place was left out for, and says nothing new.
            return None;
        }
        match mark {
            Mark::Nothing => None,
            Mark::Answered => {
                place.failures = 0;
                place.answers = place.answers.saturating_add(1);
                if place.answers >= ANSWERS_TO_FORGET {
                    place.growth = 0;
                }
                let was = std::mem::replace(&mut place.state, State::Up);
                (was != State::Up).then_some(Change::Back)
            }
            Mark::Late => {
                place.answers = 0;
                place.failures = place.failures.saturating_add(1);
                if place.failures < self.rules.failures_max {
                    return None;
                }
                self.put_out(now, chosen.place)
            }
            Mark::Lost => self.put_out(now, chosen.place),
        }
    }

    /// A place whose time out is over, to be tried beside the calls; [`probed`](Self::probed) says how that went.
    pub fn probe(&mut self, now: Instant) -> Option<PlaceIndex> {
        for (at, place) in self.places.iter_mut().enumerate() {
            if let State::Out { until, probing: probing @ false } = &mut place.state
                && *until <= now
            {
                *probing = true;
                return Some(PlaceIndex(at));
            }
        }
        None
    }

    /// When the place may be probed; `None` where it takes calls, or a probe is under way.
    #[must_use]
    pub fn probe_at(&self, place: PlaceIndex) -> Option<Instant> {
        match self.places.get(place.0)?.state {
            State::Out { until, probing: false } => Some(until),
            State::Up | State::Out { probing: true, .. } => None,
        }
    }

    /// How a probe went; whether the place is back.
    pub fn probed(&mut self, now: Instant, place: PlaceIndex, good: bool) -> Option<Change> {
        let found = self.places.get_mut(place.0)?;
        match found.state {
            // A call was quicker.
            State::Up => None,
            State::Out { .. } if good => {
                found.state = State::Up;
                found.failures = 0;
                Some(Change::Back)
            }
            State::Out { .. } => {
                self.put_out(now, place);
                None
            }
        }
    }

    /// The places that a call was not made at.
    #[must_use]
    pub fn others(&self, tried: &Tried) -> Others {
        if self.sticky && self.home.is_some_and(|home| !self.is_out(home)) {
            return Others::None;
        }
        let mut others = Others::None;
        for (at, place) in self.places.iter().enumerate() {
            match place.state {
                _ if tried.contains(PlaceIndex(at)) => {}
                State::Up => return Others::Ready,
                State::Out { .. } => others = Others::Doubtful,
            }
        }
        others
    }

    /// Where a link is bound to, as long as that is not left out.
    fn at_home(&self, tried: &Tried) -> Option<PlaceIndex> {
        let home = self.home.filter(|_| self.sticky)?;
        (!self.is_out(home) && !tried.contains(home)).then_some(home)
    }

    fn any(&mut self, now: Instant, tried: &Tried) -> Option<PlaceIndex> {
        let is_free = |at: usize, place: &Place| place.state == State::Up && !tried.contains(PlaceIndex(at));
        let up = self.places.iter().enumerate().filter(|(at, place)| is_free(*at, place)).count();
        let nth = |n: usize| self.places.iter().enumerate().filter(|(at, place)| is_free(*at, place)).nth(n);
        match up {
            0 => self.least_bad(now, tried),
            1 => nth(0).map(|(at, _)| PlaceIndex(at)),
            _ => {
                let first = self.random.usize(..up);
                // Any but the first.
                let second = (first + 1 + self.random.usize(..up - 1)) % up;
                let fewer = nth(first).into_iter().chain(nth(second)).min_by_key(|(_, place)| place.in_flight);
                fewer.map(|(at, _)| PlaceIndex(at))
            }
        }
    }

    /// Of the places that are out, the one that is due first; among those that are due already, any.
    fn least_bad(&mut self, now: Instant, tried: &Tried) -> Option<PlaceIndex> {
        let due = |place: &Place| match place.state {
            State::Up => now,
            State::Out { until, .. } => until.max(now),
        };
        let left = || self.places.iter().enumerate().filter(|(at, _)| !tried.contains(PlaceIndex(*at)));
        let first = left().map(|(_, place)| due(place)).min()?;
        let equal = left().filter(|(_, place)| due(place) == first).count();
        let nth = self.random.usize(..equal.max(1));
        let left = self.places.iter().enumerate().filter(|(at, _)| !tried.contains(PlaceIndex(*at)));
        left.filter(|(_, place)| due(place) == first).nth(nth).map(|(at, _)| PlaceIndex(at))
    }

    fn put_out(&mut self, now: Instant, place: PlaceIndex) -> Option<Change> {
        let place = self.places.get_mut(place.0)?;
        let shortest = self.rules.out_ms_min.clamp(1, DAY_MS);
        let longest = self.rules.out_ms_max.clamp(shortest, DAY_MS);
        let ms = shortest.saturating_mul(1 << place.growth.min(32)).min(longest);
        let out = Duration::from_millis(ms + self.random.u64(..=ms / 2));
        let was = place.state;
        place.growth = place.growth.saturating_add(1);
        place.outs = place.outs.wrapping_add(1).max(1);
        (place.failures, place.answers) = (0, 0);
        place.state = State::Out { until: now.checked_add(out).unwrap_or(now), probing: false };
        (was == State::Up).then_some(Change::Out(out))
    }
}

/// What became of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is left out for so long, before it is probed.
    Out(Duration),
    /// It takes calls again.
    Back,
}

const DAY_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests;
