//! Something that is made when it is needed, and again when it is gone.

use std::future::Future;

use isorun_core::Failure;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Holds a value that dies, and sees to it that only one attempt at a new one runs at a time.
pub(crate) struct Renew<T> {
    value: Mutex<Option<T>>,
    /// Whoever holds it makes the next one. Inside: when the last attempt failed, and how.
    making: tokio::sync::Mutex<Option<(Instant, Failure)>>,
}

impl<T: Clone> Renew<T> {
    pub(crate) fn new(value: Option<T>) -> Self {
        Self { value: Mutex::new(value), making: tokio::sync::Mutex::new(None) }
    }

    /// The value, if it is alive.
    pub(crate) fn alive(&self, is_alive: impl Fn(&T) -> bool) -> Option<T> {
        self.value.lock().as_ref().filter(|value| is_alive(value)).cloned()
    }

    /// The value, made if need be.
    ///
    /// Those who come while an attempt runs share its outcome, so that a peer that is not there costs them one wait
    /// and not one each.
    pub(crate) async fn alive_or(
        &self,
        is_alive: impl Fn(&T) -> bool,
        make: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if let Some(value) = self.alive(&is_alive) {
            return Ok(value);
        }
        let came = Instant::now();
        let mut making = match self.making.try_lock() {
            Ok(making) => making,
            Err(_) => {
                let making = self.making.lock().await;
                if let Some((failed, failure)) = &*making
                    && *failed >= came
                {
                    return Err(failure.clone());
                }
                making
            }
        };
        if let Some(value) = self.alive(&is_alive) {
            return Ok(value);
        }
        match make.await {
            Ok(value) => {
                *making = None;
                let old = self.value.lock().replace(value.clone());
                // Not under the lock: dropping it may end a connection.
                drop(old);
                Ok(value)
            }
            Err(failure) => {
                *making = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }
}
