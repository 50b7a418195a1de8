//! Whom a channel wakes.

use std::sync::Arc;
use std::task::{Wake, Waker};

use parking_lot::Mutex;

/// What a channel is polled with, whoever polls it: it wakes the caller who leads, and the driver where nobody does.
///
/// A leader is woken once for each time that it looked at the channel. What comes after that goes to the driver, so that
/// a leader whose future nobody polls holds nobody up for long.
#[derive(Default)]
pub(crate) struct Bell(Mutex<Ropes>);

#[derive(Default)]
struct Ropes {
    /// It rang, and nobody has looked at the channel since.
    rang: bool,
    leader: Option<Waker>,
    driver: Option<Waker>,
}

impl Bell {
    /// Has the driver woken where nobody leads.
    pub(crate) fn drive(&self, waker: &Waker) {
        let mut ropes = self.0.lock();
        if !ropes.driver.as_ref().is_some_and(|driver| driver.will_wake(waker)) {
            ropes.driver = Some(waker.clone());
        }
    }

    /// Has a leader woken; it looks at the channel now.
    pub(crate) fn lead(&self, waker: &Waker) {
        let mut ropes = self.0.lock();
        ropes.rang = false;
        if !ropes.leader.as_ref().is_some_and(|leader| leader.will_wake(waker)) {
            ropes.leader = Some(waker.clone());
        }
    }

    /// Nobody leads any more; whether the channel has something for whoever comes next.
    pub(crate) fn resign(&self) -> bool {
        let mut ropes = self.0.lock();
        ropes.leader = None;
        ropes.rang
    }

    pub(crate) fn rang(&self) -> bool {
        self.0.lock().rang
    }

    /// The driver looks at the channel now.
    pub(crate) fn heard(&self) {
        self.0.lock().rang = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut ropes = self.0.lock();
        ropes.rang = true;
        let leader = ropes.leader.take();
        let woken = leader.or_else(|| ropes.driver.clone());
        drop(ropes);
        if let Some(woken) = woken {
            woken.wake();
        }
    }
}
