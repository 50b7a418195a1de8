//! The short way into a neighbour: on the caller's own stack, without a future, a timer or a frame.
//!
//! It is taken into a leaf only, a component that imports no functions. Calls that nest this way share one native stack,
//! and a chain of them would let guests use it up and end the process; a leaf can't go on to a next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use isorun_core::{CHAIN_MAX, CallContext, CallFailed, Failure, Fault, FunctionIndex, Reply};
use wasmtime::{AsContextMut, PoolConcurrencyLimitError, Store};

use super::{BoundInstance, Callable, Counted, Live, Serving, Shared};
use crate::direct::{DirectFunc, Packed};
use crate::interpreted::Ended;
use crate::linker::LinkedComponent;
use crate::store::{begin_leaf, new_store, settle};
use crate::{HostState, cause};

/// A neighbour's functions, for a caller that would not wait.
pub(crate) struct ShortWay {
    shared: Arc<Shared>,
    table: Vec<usize>,
}

/// Results and the fuel they cost, or a failure; `None` where the long way has to be taken.
type AtOnce = Option<Result<(Packed, u64), CallFailed>>;

/// A call's arguments, by who packed them.
#[derive(Clone, Copy)]
enum Args<'a> {
    /// This process did, from the same types.
    Ours(&'a [u8]),
    /// Anybody may have.
    Told(&'a [u8]),
}

impl<'a> Args<'a> {
    /// The arguments, if the function takes them. Whoever takes the long way is told what is wrong with others.
    fn of(self, func: &DirectFunc) -> Option<&'a [u8]> {
        match self {
            Self::Ours(packed) => Some(packed),
            Self::Told(packed) => func.takes(packed).then_some(packed),
        }
    }
}

fn bug(error: &wasmtime::Error) -> CallFailed {
    Failure::from(Fault::Bug { detail: format!("{error:#}") }).into()
}

/// Whether an instance may be called on its caller's stack.
pub(super) struct Quick(AtomicBool);

impl Quick {
    pub(super) fn new(is_leaf: bool) -> Self {
        Self(AtomicBool::new(is_leaf))
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A call kept its caller's thread for long: from now on all go the way that lets others run.
    fn no_more(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl ShortWay {
    /// The short way to what was bound, where there may be one.
    pub(super) fn to(bound: &BoundInstance) -> Option<Self> {
        let may = bound.shared.quick.is() && !matches!(bound.shared.serving, Serving::Pool { .. });
        may.then(|| Self { shared: bound.shared.clone(), table: bound.table.clone() })
    }

    /// Makes a call that can be made at once, for a caller that has until `deadline` and so much fuel.
    ///
    /// `now` may be a tick of the clock old. The arguments were packed by this process from the same types. `None` where
    /// the call has to wait, or might: then nothing has happened.
    pub(crate) fn call(
        &self,
        function: FunctionIndex,
        now: Instant,
        deadline: Instant,
        fuel: u64,
        args: &[u8],
    ) -> AtOnce {
        let at = *self.table.get(function.0 as usize)?;
        self.shared.call_now(at, now, deadline, fuel, Args::Ours(args))
    }
}

impl Shared {
    /// As [`ShortWay::call`], for arguments that anybody packed and a context that anybody sent.
    pub(super) fn serve_now(&self, at: usize, cx: &CallContext, args: &[u8]) -> Option<Result<Reply, CallFailed>> {
        let Serving::Singleton { .. } = self.serving else { return None };
        if cx.chain.len() >= CHAIN_MAX || cx.chain.contains(&self.uid) {
            // Whoever takes the long way is told so.
            return None;
        }
        let fuel = cx.fuel.unwrap_or(self.budget.fuel_tree);
        let ended = self.call_now(at, Instant::now(), cx.deadline, fuel, Args::Told(args))?;
        Some(ended.map(|(results, fuel_used)| Reply { results: results.freeze(), fuel_used }))
    }

    fn call_now(&self, at: usize, now: Instant, deadline: Instant, fuel: u64, args: Args<'_>) -> AtOnce {
        let held = match self.serving {
            Serving::Singleton { .. } => fuel >= self.fuel_needed(),
            // It gets what its caller has.
            Serving::PerCall { .. } | Serving::Pool { .. } => true,
        };
        if !self.quick.is() || !held || now + self.wall > deadline {
            return None;
        }
        match self.serving {
            Serving::Singleton { .. } => self.call_singleton(at, fuel, args),
            Serving::PerCall { .. } => self.call_fresh(at, fuel, args),
            Serving::Pool { .. } => None,
        }
    }

    fn call_singleton(&self, at: usize, fuel: u64, args: Args<'_>) -> AtOnce {
        let mut slot = self.live.try_lock().ok()?;
        let Live { store, funcs, .. } = slot.as_mut()?;
        let Some(Some(Callable::Direct(func))) = funcs.get(at) else { return None };
        let args = args.of(func)?;
        let _running = Counted::up_to(&self.in_flight, usize::MAX);
        if let Err(error) = begin_leaf(store, self.budget.fuel, fuel) {
            *slot = None;
            return Some(Err(bug(&error)));
        }
        let ended = func.call_now(store, args);
        let is_lost = matches!(ended, Err(Ended::Inside(..)));
        let ended = self.account(store, ended);
        if is_lost {
            *slot = None;
            if let Err(failed) = &ended {
                self.told_lost(&failed.failure);
            }
        }
        Some(ended)
    }

    /// A whole call in a store of its own, its start included.
    fn call_fresh(&self, at: usize, fuel: u64, args: Args<'_>) -> AtOnce {
        let _permit = self.at_once.try_acquire().ok()?;
        let _running = Counted::up_to(&self.in_flight, usize::MAX);
        let LinkedComponent { component, pre, systems } = &self.linked;
        let store = new_store(component.engine().engine(), self.name.clone(), &self.budget, systems);
        let mut store = match store {
            Ok(store) => store,
            Err(error) => return Some(Err(bug(&error))),
        };
        if let Err(error) = begin_leaf(&mut store, self.budget.fuel, fuel) {
            return Some(Err(bug(&error)));
        }
        let instance = match pre.instantiate(&mut store) {
            Ok(instance) => instance,
            // Whoever takes the long way is told what there is too much of.
            Err(error) if error.is::<PoolConcurrencyLimitError>() => return None,
            Err(error) => {
                let fault = cause::start_fault(&error, store.data_mut());
                return Some(self.account(&mut store, Err(Ended::Inside(fault, None))));
            }
        };
        self.generation.fetch_add(1, Ordering::Relaxed);
        let func = instance.get_func(&mut store, self.exports[at].index)?;
        let func = match DirectFunc::new(&store, func) {
            Ok(func) => func,
            Err(error) => return Some(Err(bug(&error))),
        };
        let ended = func.call_now(&mut store, args.of(&func)?);
        Some(self.account(&mut store, ended))
    }

    /// How a call ended, with what it spent.
    fn account(&self, store: &mut Store<HostState>, ended: Result<Packed, Ended>) -> Result<(Packed, u64), CallFailed> {
        let fuel_used = match settle(&mut store.as_context_mut()) {
            Ok(()) => store.data().call.spent(),
            Err(_) => 0,
        };
        if store.data().call.was_long() {
            self.quick.no_more();
        }
        let failure = match ended {
            Ok(results) => {
                self.tally.returned(fuel_used);
                return Ok((results, fuel_used));
            }
            Err(Ended::Before(failure)) => failure,
            Err(Ended::After(fault) | Ended::Inside(fault, _)) => fault.into(),
        };
        let failed = CallFailed { failure, fuel_used };
        self.tally.failed(&failed);
        Err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use isorun_core::{BindRequest, Budget};
    use wasmtime::component::Val;

    use super::super::{CallOptions, Instance, InstanceOptions, bind, short_way};
    use super::*;
    use crate::{Codec, EngineOptions, LoadedComponent, WasmtimeEngine, codec, link};

    /// Counts to its argument, which takes fuel and time.
    const COUNT: &str = r#"(component
        (core module $M (func (export "count") (param $to i32) (result i32) (local $n i32)
            (block $done (loop $on
                (br_if $done (i32.ge_u (local.get $n) (local.get $to)))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br $on)))
            (local.get $n)))
        (core instance $m (instantiate $M))
        (func (export "count") (param "to" u32) (result u32) (canon lift (core func $m "count"))))"#;
    /// A second of it, or so: past many ticks of the clock, and well within a budget.
    const LONG: u32 = 500_000_000;

    async fn counter(options: EngineOptions, serving: Serving) -> Instance {
        let engine = WasmtimeEngine::with_options(options).unwrap();
        let component = LoadedComponent::parse(&engine, wat::parse_str(COUNT).unwrap()).unwrap();
        let linked = link(&component, &[], &[]).await.unwrap();
        let budget = Budget { wall_ms: 60_000, ..Budget::default() };
        let instance =
            Instance::start(linked, InstanceOptions { name: "counter".into(), serving, budget }).await.unwrap();
        // The first call looks the function up.
        instance.exec("count", &[Val::U32(1)], CallOptions::default()).await.unwrap();
        instance
    }

    fn way(instance: &Instance) -> Option<ShortWay> {
        let (function, _) = instance.function("count").unwrap();
        let request = BindRequest { interface: None, functions: vec![("count".into(), function.hash)] };
        short_way(&*bind(&instance.shared, &request).unwrap())
    }

    fn args(instance: &Instance, to: u32) -> Bytes {
        let (function, types) = instance.function("count").unwrap();
        codec::pack_args(types, function, &[Val::U32(to)]).unwrap()
    }

    /// What it counted to, if the short way was taken.
    fn counts(instance: &Instance, way: &ShortWay, to: u32) -> Option<Vec<Val>> {
        let now = Instant::now();
        let ended = way.call(FunctionIndex(0), now, now + Duration::from_secs(120), u64::MAX, &args(instance, to))?;
        let (function, types) = instance.function("count").unwrap();
        Some(codec::unpack_results(types, function, &ended.unwrap().0).unwrap())
    }

    #[tokio::test]
    async fn a_leaf_is_called_in_place_until_it_computes_for_long() {
        for serving in [Serving::SINGLETON, Serving::PER_CALL] {
            let counter = counter(EngineOptions::default(), serving).await;
            let way = way(&counter).unwrap();
            for to in 0..100 {
                assert_eq!(counts(&counter, &way, to), Some(vec![Val::U32(to)]));
            }
            assert_eq!(counts(&counter, &way, LONG), Some(vec![Val::U32(LONG)]));
            assert_eq!(counts(&counter, &way, 1), None, "{serving:?}");
            assert_eq!(counter.in_flight(), 0);
        }
    }

    #[tokio::test]
    async fn a_call_that_would_wait_or_outlive_its_caller_takes_the_long_way() {
        let counter = counter(EngineOptions::default(), Serving::SINGLETON).await;
        let way = way(&counter).unwrap();
        let busy = counter.shared.live.clone().lock_owned().await;
        assert_eq!(counts(&counter, &way, 1), None);
        drop(busy);
        assert_eq!(counts(&counter, &way, 1), Some(vec![Val::U32(1)]));
        let (now, one) = (Instant::now(), args(&counter, 1));
        let at = |deadline_ms, fuel| {
            way.call(FunctionIndex(0), now, now + Duration::from_millis(deadline_ms), fuel, &one).is_some()
        };
        let needed = counter.shared.fuel_needed();
        assert!(at(60_000, needed));
        assert!(!at(59_999, needed));
        assert!(!at(60_000, needed - 1));
    }

    #[tokio::test]
    async fn arguments_of_strangers_are_looked_at_in_place_too() {
        let counter = counter(EngineOptions::default(), Serving::SINGLETON).await;
        let cx = CallContext::until(Instant::now() + Duration::from_secs(120));
        let good = args(&counter, 7);
        assert!(counter.shared.serve_now(0, &cx, &good).unwrap().is_ok());
        for bad in [&good[..good.len() - 1], b"", b"\x14\0\0\0\0", &[&good[..], b"\0"].concat()] {
            assert!(counter.shared.serve_now(0, &cx, bad).is_none(), "{bad:02x?}");
        }
        let round = CallContext { chain: [counter.shared.uid].into(), ..cx };
        assert!(counter.shared.serve_now(0, &round, &good).is_none());
    }

    #[tokio::test]
    async fn pools_and_the_interpreted_codec_have_no_short_way() {
        assert!(way(&counter(EngineOptions::default(), Serving::pool(2)).await).is_none());
        let interpreted = EngineOptions::default().codec(Codec::Interpreted);
        assert!(way(&counter(interpreted.clone(), Serving::SINGLETON).await).is_none());
        assert!(way(&counter(interpreted, Serving::PER_CALL).await).is_none());
    }
}
