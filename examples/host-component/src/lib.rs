//! A host component of one's own: a counter that a guest imports as
//! `test:counter/counter@0.1.0`.
//!
//! Three parts make one:
//!
//! 1. what it offers: [`SystemComponent::interfaces`];
//! 2. typed functions, put into the linker once for each component that is
//!    linked: [`SystemComponent::install`];
//! 3. state, put into each new store, where the functions find it by its type:
//!    [`SystemComponent::configure`].
//!
//! `cargo run -p host-component` links it to a guest that was written against
//! the WIT alone, and that would run as well with the counter in another
//! component or on another machine.
#![forbid(unsafe_code)]

use std::sync::Arc;

use isorun::wasmtime::component::Linker;
use isorun::wasmtime::{self, StoreContextMut};
use isorun::{HostState, SystemComponent};
use parking_lot::Mutex;

/// The interface, as the guest's WIT has it.
pub const INTERFACE: &str = "test:counter/counter@0.1.0";

/// Counts what all guests add, and stops each guest at a quota of its own.
#[derive(Debug, Clone)]
pub struct Counter {
    total: Arc<Mutex<u64>>,
    quota: u32,
}

/// What one guest may still add: state of its store.
struct Quota {
    left: u32,
}

/// What a guest is told, as it traps, when its quota is used up.
#[derive(Debug)]
pub struct OverQuota {
    wanted: u32,
    left: u32,
}

impl std::fmt::Display for OverQuota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the guest may add {} more, not {}", self.left, self.wanted)
    }
}

impl std::error::Error for OverQuota {}

impl Counter {
    /// A counter at 0 to which each guest may add up to `quota`.
    #[must_use]
    pub fn new(quota: u32) -> Self {
        Self { total: Arc::default(), quota }
    }

    /// What all guests have added so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        *self.total.lock()
    }

    fn add(&self, state: &mut HostState, n: u32) -> Result<u64, OverQuota> {
        let quota = state.extension_or_insert_with(|| Quota { left: self.quota });
        quota.left = quota.left.checked_sub(n).ok_or(OverQuota { wanted: n, left: quota.left })?;
        let mut total = self.total.lock();
        *total += u64::from(n);
        Ok(*total)
    }
}

impl SystemComponent for Counter {
    fn interfaces(&self) -> Vec<String> {
        vec![INTERFACE.into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let mut instance = linker.instance(INTERFACE)?;
        let counter = self.clone();
        instance.func_wrap("add", move |mut cx: StoreContextMut<'_, HostState>, (n,): (u32,)| {
            Ok((counter.add(cx.data_mut(), n)?,))
        })?;
        let counter = self.clone();
        instance.func_wrap("get", move |_: StoreContextMut<'_, HostState>, (): ()| Ok((counter.total(),)))?;
        // A host function that waits is async: the guest waits, the host does not.
        let counter = self.clone();
        instance.func_wrap_async("slow-add", move |mut cx: StoreContextMut<'_, HostState>, (n, _): (u32, u64)| {
            let counter = counter.clone();
            Box::new(async move {
                tokio::task::yield_now().await;
                Ok((counter.add(cx.data_mut(), n)?,))
            })
        })
    }

    fn configure(&self, state: &mut HostState) -> wasmtime::Result<()> {
        state.insert_extension(Quota { left: self.quota });
        Ok(())
    }
}
