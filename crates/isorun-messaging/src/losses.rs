//! What a route loses, as lines for whoever operates the node: one at once, and then one in a while.

use tokio::time::{Duration, Instant};

use crate::dead_letters::{DeadLetterReason, one_line};
use crate::sync::Mutex;

/// Time between two lines about losses of one route for one reason, in milliseconds.
///
/// What is lost meanwhile is counted, and told by the next line.
pub const LOSS_LINES_MS: u64 = 5_000;

/// What came of messages that left together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    has_arrived: bool,
    lost: [Lost; DeadLetterReason::ALL.len()],
}

/// Messages lost for one reason.
#[derive(Debug, Default)]
struct Lost {
    messages: u64,
    /// Those of them whose senders hear nothing.
    one_way: u64,
    /// Why the last one was.
    why: String,
}

impl Tally {
    pub(crate) fn arrived(&mut self) {
        self.has_arrived = true;
    }

    pub(crate) fn lost(&mut self, reason: DeadLetterReason, is_request: bool, why: &str) {
        let lost = &mut self.lost[reason as usize];
        lost.messages += 1;
        lost.one_way += u64::from(!is_request);
        if lost.why != why {
            why.clone_into(&mut lost.why);
        }
    }
}

impl Lost {
    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.one_way += other.one_way;
        self.why = other.why;
    }
}

/// The losses of one route: a few counts, however many there are.
pub(crate) struct Losses {
    route: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kinds: [Kind; DeadLetterReason::ALL.len()],
    /// Messages lost since it was told that the other node is not reached.
    outage: Option<u64>,
}

/// What is known of one reason.
#[derive(Default)]
struct Kind {
    held_back: Lost,
    quiet_until: Option<Instant>,
}

impl Losses {
    pub(crate) fn new(route: String) -> Self {
        Self { route, state: Mutex::default() }
    }

    /// Notes what came of a batch, and tells what is to be told now.
    pub(crate) fn note(&self, tally: Tally) {
        let mut state = self.state.lock();
        let mut is_away = false;
        for (reason, lost) in DeadLetterReason::ALL.into_iter().zip(tally.lost) {
            let kind = &mut state.kinds[reason as usize];
            if lost.messages > 0 {
                let messages = lost.messages;
                kind.held_back.add(lost);
                if is_outage(reason) {
                    is_away = true;
                    state.outage = state.outage.map(|lost| lost + messages);
                }
            }
        }
        let back = if tally.has_arrived && !is_away { state.outage.take() } else { None };
        let told = state.due(Instant::now());
        drop(state);
        self.tell(told);
        if let Some(lost) = back {
            tracing::info!(route = self.route, lost, "messages over a route arrive again");
        }
    }

    /// Tells what has been held back for long enough; when the next is due.
    pub(crate) fn tell_due(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        let told = state.due(Instant::now());
        let waits = state.kinds.iter().filter(|kind| kind.held_back.messages > 0);
        let next = waits.filter_map(|kind| kind.quiet_until).min();
        drop(state);
        self.tell(told);
        next
    }

    /// Tells all that has been held back, since nobody comes back for it.
    pub(crate) fn tell_all(&self) {
        let mut state = self.state.lock();
        for kind in &mut state.kinds {
            kind.quiet_until = None;
        }
        let told = state.due(Instant::now());
        drop(state);
        self.tell(told);
    }

    fn tell(&self, told: Vec<(DeadLetterReason, Lost)>) {
        for (reason, Lost { messages, one_way, why }) in told {
            tracing::warn!(
                route = self.route,
                %reason,
                messages,
                one_way,
                may_have_arrived = reason.may_have_arrived(),
                "messages over a route were lost: {}",
                one_line(&why)
            );
        }
    }
}

impl State {
    /// Takes what may be told at that time.
    fn due(&mut self, now: Instant) -> Vec<(DeadLetterReason, Lost)> {
        let mut told = Vec::new();
        for reason in DeadLetterReason::ALL {
            let kind = &mut self.kinds[reason as usize];
            if kind.held_back.messages > 0 && kind.quiet_until.is_none_or(|until| until <= now) {
                kind.quiet_until = Some(now + Duration::from_millis(LOSS_LINES_MS));
                let lost = std::mem::take(&mut kind.held_back);
                if is_outage(reason) && self.outage.is_none() {
                    self.outage = Some(lost.messages);
                }
                told.push((reason, lost));
            }
        }
        told
    }
}

impl Drop for Losses {
    fn drop(&mut self) {
        self.tell_all();
    }
}

/// Whether the way to the other node fails, and not a message of its own.
fn is_outage(reason: DeadLetterReason) -> bool {
    match reason {
        DeadLetterReason::NotSent | DeadLetterReason::Unknown => true,
        DeadLetterReason::Stopped
        | DeadLetterReason::Crashed
        | DeadLetterReason::Killed
        | DeadLetterReason::Expired
        | DeadLetterReason::Refused => false,
    }
}
