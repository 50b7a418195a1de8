//! Two futures in one task, each polled only when it was woken itself.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Runs `future` as a task of its own would: `join!` would poll it whenever its neighbour was
/// woken, and so hide that nobody woke it.
pub(crate) async fn only_when_woken<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let woken = Arc::new(Woken { is: AtomicBool::new(true), task: Mutex::new(Waker::noop().clone()) });
    let waker = Waker::from(woken.clone());
    std::future::poll_fn(move |cx| {
        woken.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cx.waker());
        // Asked after the task's waker is in its place: whoever wakes from now on wakes that.
        if woken.is.swap(false, Ordering::SeqCst) {
            future.as_mut().poll(&mut Context::from_waker(&waker))
        } else {
            Poll::Pending
        }
    })
    .await
}

struct Woken {
    is: AtomicBool,
    task: Mutex<Waker>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is.store(true, Ordering::SeqCst);
        self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_is_polled_again_only_when_it_was_woken() {
        let mut polls = 0;
        let mut own = None;
        let future = std::future::poll_fn(|cx| {
            polls += 1;
            own = Some(cx.waker().clone());
            Poll::<()>::Pending
        });
        {
            let mut future = pin!(only_when_woken(future));
            let cx = &mut Context::from_waker(Waker::noop());
            for _ in 0..3 {
                assert_eq!(future.as_mut().poll(cx), Poll::Pending);
            }
        }
        assert_eq!(polls, 1);
        assert!(own.is_some());
    }

    #[tokio::test]
    async fn a_future_that_wakes_itself_goes_on() {
        only_when_woken(async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
