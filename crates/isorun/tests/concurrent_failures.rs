//! `async` functions that fail, among others in the same store.

mod common;

use common::flow::{Gate, Placed, placed, provider};
use common::{bounded, serve_channel, small};
use isorun::wasmtime::component::Linker;
use isorun::{
    Budget, CallOptions, Failure, Fault, HostState, InstanceHandle, Refusal, Runtime, Serving, SystemComponent, Val,
    wasmtime,
};
use isorun_runtime::{CALLS_OUT_MAX, CONCURRENT_MAX};
use tokio::task::JoinHandle;

const FETCH: &str = "test:flow/later#fetch";
const COUNT: &str = "test:flow/later#count";

type Answer = Result<Vec<Val>, Failure>;

fn call(instance: &InstanceHandle, function: &'static str, args: &[Val]) -> JoinHandle<Answer> {
    let (instance, args) = (instance.clone(), args.to_vec());
    tokio::spawn(async move { instance.exec(function, &args).await.map_err(|error| *error.failure) })
}

async fn answer(call: JoinHandle<Answer>) -> Answer {
    bounded(call).await.unwrap()
}

/// Three calls wait in a provider of that budget, and a fourth fails: what the four are told.
async fn with_three_in_flight(budget: Budget, function: &'static str) -> (Vec<Failure>, Failure, InstanceHandle) {
    let runtime = Runtime::new().unwrap();
    let gate = Gate::of(4);
    let provider = provider(&runtime, &gate).budget(budget).instantiate().await.unwrap();
    let waiting = [0, 1, 2].map(|n| call(&provider, FETCH, &[Val::U32(n)]));
    gate.holds(3).await;
    let failed = answer(call(&provider, function, &[])).await.unwrap_err();
    let mut others = Vec::new();
    for call in waiting {
        others.push(answer(call).await.unwrap_err());
    }
    assert_eq!(provider.in_flight(), 0);
    // The next call gets a fresh store, which has counted nothing.
    gate.open();
    assert_eq!(bounded(provider.exec(COUNT, &[])).await.unwrap(), [Val::U32(0)]);
    assert_eq!(bounded(provider.exec(FETCH, &[Val::U32(4)])).await.unwrap(), [Val::U32(9)]);
    assert_eq!(provider.generation(), 2);
    (others, failed, provider)
}

#[tokio::test]
async fn a_trap_takes_all_calls_in_flight_with_it_and_the_next_gets_a_fresh_store() {
    let (others, failed, _) = with_three_in_flight(Budget::default(), "test:flow/later#boom").await;
    assert!(matches!(failed, Failure::Failed(Fault::Trapped { .. })), "{failed}");
    assert!(others.iter().all(|other| *other == failed), "{others:?}");
}

#[tokio::test]
async fn fuel_is_bounded_for_all_calls_in_flight_together() {
    let budget = small(|budget| budget.fuel = 1_000_000);
    let (others, failed, _) = with_three_in_flight(budget, "test:flow/later#spin").await;
    assert_eq!(failed, Failure::Failed(Fault::OutOfFuel { limit: 1_000_000 }));
    assert!(others.iter().all(|other| *other == failed), "{others:?}");
}

#[tokio::test]
async fn a_call_out_of_time_loses_the_store_whether_it_computes_or_waits() {
    for function in ["test:flow/later#spin", "test:flow/later#never"] {
        let budget = small(|budget| (budget.wall_ms, budget.fuel) = (200, u64::MAX));
        let budget = Budget { fuel_tree: u64::MAX, ..budget };
        let (others, failed, _) = with_three_in_flight(budget, function).await;
        let lost = |failure: &Failure| match failure {
            Failure::Failed(Fault::OutOfTime { limit_ms: 200 }) => true,
            Failure::Failed(Fault::Trapped { message }) => message.contains("another call"),
            _ => false,
        };
        assert!(lost(&failed) && others.iter().all(lost), "{function}: {failed}, {others:?}");
        // Those that began first are out of time first.
        assert!(others.contains(&Failure::Failed(Fault::OutOfTime { limit_ms: 200 })), "{function}: {others:?}");
    }
}

#[tokio::test]
async fn many_calls_one_after_another_do_not_use_up_what_a_waiting_one_has() {
    let runtime = Runtime::new().unwrap();
    let gate = Gate::of(2);
    // A call of `fetch` burns some 50.
    let budget = small(|budget| budget.fuel = 1_000);
    let provider = provider(&runtime, &gate).budget(budget).instantiate().await.unwrap();
    let waiting = call(&provider, FETCH, &[Val::U32(7)]);
    gate.holds(1).await;
    for _ in 0..500 {
        assert_eq!(bounded(provider.exec(COUNT, &[])).await.unwrap(), [Val::U32(1)]);
    }
    gate.open();
    assert_eq!(answer(waiting).await, Ok(vec![Val::U32(15)]));
    assert_eq!(provider.generation(), 1);
}

#[tokio::test]
async fn a_deadline_ends_the_wait_and_the_call_runs_on() {
    for Placed { place, app, provider, gate, .. } in placed(5, Budget::default(), Serving::SINGLETON).await {
        let options = CallOptions { deadline_ms: 50 };
        let error = bounded(app.exec_with("fan", &[Val::U32(4)], options)).await.unwrap_err();
        assert!(matches!(*error.failure, Failure::Deadline { .. }), "{place}: {error}");
        gate.holds(4).await;
        assert_eq!((app.in_flight(), provider.in_flight()), (1, 4), "{place}");
        gate.open();
        // Both instances are as good as before.
        assert!(bounded(app.exec("fan", &[Val::U32(4)])).await.is_ok(), "{place}");
        assert_eq!((app.generation(), provider.generation()), (1, 1), "{place}");
    }
}

#[tokio::test]
async fn calls_of_a_caller_that_is_gone_run_on_in_a_singleton() {
    for Placed { place, app, provider, gate, .. } in placed(5, Budget::default(), Serving::PER_CALL).await {
        let fan = call(&app, "fan", &[Val::U32(4)]);
        gate.holds(4).await;
        // With its store go its calls.
        fan.abort();
        assert!(bounded(fan).await.unwrap_err().is_cancelled());
        assert_eq!((app.in_flight(), provider.in_flight()), (0, 4), "{place}");
        gate.open();
        assert!(bounded(app.exec("fan", &[Val::U32(4)])).await.is_ok(), "{place}");
        assert_eq!(provider.exec(COUNT, &[]).await.unwrap(), [Val::U32(8)], "{place}");
        assert_eq!(provider.generation(), 1, "{place}");
    }
}

#[tokio::test]
async fn calls_into_one_instance_are_bounded() {
    let runtime = Runtime::new().unwrap();
    let gate = Gate::of(usize::MAX);
    let provider = provider(&runtime, &gate).instantiate().await.unwrap();
    let calls: Vec<_> = (0..CONCURRENT_MAX as u32).map(|n| call(&provider, FETCH, &[Val::U32(n)])).collect();
    gate.holds(CONCURRENT_MAX).await;
    let refused = answer(call(&provider, FETCH, &[Val::U32(0)])).await.unwrap_err();
    let Failure::Refused(Refusal::Overloaded { limit, .. }) = refused else { panic!("{refused}") };
    assert_eq!(limit, CONCURRENT_MAX as u64);
    gate.open();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(answer(call).await, Ok(vec![Val::U32(2 * n + 1)]));
    }
    assert_eq!(bounded(provider.exec(COUNT, &[])).await.unwrap(), [Val::U32(CONCURRENT_MAX as u32)]);
}

#[tokio::test]
async fn calls_out_of_one_instance_are_bounded() {
    for Placed { place, app, gate, .. } in placed(CALLS_OUT_MAX, Budget::default(), Serving::SINGLETON).await {
        let fan = bounded(app.exec("fan", &[Val::U32(CALLS_OUT_MAX as u32)])).await;
        assert!(fan.is_ok(), "{place}: {fan:?}");
        assert_eq!(gate.peak(), CALLS_OUT_MAX, "{place}");
        let failed = bounded(app.exec("fan", &[Val::U32(CALLS_OUT_MAX as u32 + 1)])).await.unwrap_err();
        let told = failed.to_string();
        assert!(told.contains("refused: overloaded: calls under way from one instance"), "{place}: {told}");
    }
}

/// A host function that is not `async`, and waits all the same.
#[derive(Clone)]
struct Wait(Gate);

impl SystemComponent for Wait {
    fn interfaces(&self) -> Vec<String> {
        vec!["wait".into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let gate = self.0.clone();
        linker.root().func_wrap_async("wait", move |_, (): ()| {
            let gate = gate.clone();
            Box::new(async move {
                gate.pass().await;
                Ok(())
            })
        })
    }

    fn configure(&self, _: &mut HostState) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// A store that a call keeps for itself, since what it waits for is no `async` function.
const HOLDER: &str = r#"(component
    (import "wait" (func $wait))
    (core func $wait' (canon lower (func $wait)))
    (core module $M
        (import "" "wait" (func $wait))
        (func (export "hold") (call $wait))
        (func (export "quick") (result i32) (i32.const 7)))
    (core instance $m (instantiate $M (with "" (instance (export "wait" (func $wait'))))))
    (func (export "hold") async (canon lift (core func $m "hold")))
    (func (export "quick") async (result u32) (canon lift (core func $m "quick"))))"#;

#[tokio::test]
async fn waiting_for_a_store_that_a_call_holds_is_bounded() {
    let runtime = Runtime::new().unwrap();
    let gate = Gate::of(2);
    let component = runtime.load(wat::parse_str(HOLDER).unwrap()).unwrap();
    let builder = runtime.builder(&component).link_system("wait", Wait(gate.clone()));
    let serving = Serving::Singleton { queue_max: 1, queue_ms: 30 };
    let holder = builder.serving(serving).register_as("holder").instantiate().await.unwrap();
    let hold = call(&holder, "hold", &[]);
    gate.holds(1).await;
    let refused = answer(call(&holder, "quick", &[])).await.unwrap_err();
    assert_eq!(refused, Failure::Refused(Refusal::Busy { instance: "holder".into(), waited_ms: 30 }));
    let deadline = bounded(holder.exec_with("quick", &[], CallOptions { deadline_ms: 10 })).await.unwrap_err();
    assert!(matches!(*deadline.failure, Failure::Deadline { .. }), "{deadline}");
    gate.open();
    assert_eq!(answer(hold).await, Ok(vec![]));
    assert_eq!(bounded(holder.exec("quick", &[])).await.unwrap(), [Val::U32(7)]);
    assert_eq!(holder.generation(), 1);
}

#[tokio::test]
async fn calls_from_a_peer_of_which_some_fail_each_get_their_own_answer() {
    let there = Runtime::new().unwrap();
    let gate = Gate::of(2);
    let _provider = provider(&there, &gate).register_as("later").instantiate().await.unwrap();
    let here = Runtime::new().unwrap();
    let remote = std::sync::Arc::new(here.remote_instance(serve_channel(&there).0, "later"));
    let calls = [Val::U32(1), Val::String("one".into()), Val::U32(2)].map(|arg| {
        let remote = remote.clone();
        tokio::spawn(async move { remote.exec(FETCH, &[arg], CallOptions::default()).await })
    });
    let mut told = Vec::new();
    for call in calls {
        told.push(bounded(call).await.unwrap().map_err(|error| *error.failure));
    }
    assert_eq!((&told[0], &told[2]), (&Ok(vec![Val::U32(3)]), &Ok(vec![Val::U32(5)])));
    assert!(matches!(told[1], Err(Failure::Refused(Refusal::BadArguments { .. }))), "{told:?}");
}
