//! Calls of an instance at the other end, by nothing but its own description.

mod common;

use common::*;
use isorun::{
    CallError, CallOptions, Failure, Fault, LocalChannelTransport, Refusal, RemoteHandle, Runtime, TcpTransport,
    TcpTransportListener, Val,
};
use std::sync::Arc;

async fn exec(remote: &RemoteHandle, function: &str, args: &[Val]) -> Result<Vec<Val>, Failure> {
    bounded(remote.exec(function, args, CallOptions { deadline_ms: 20_000 }))
        .await
        .map_err(|CallError { failure, .. }| *failure)
}

/// An instance of a guest, and the handle of one who knows only its name.
async fn served(guest: &str) -> (Runtime, isorun::InstanceHandle, RemoteHandle) {
    let there = Runtime::new().unwrap();
    let instance = there.builder(&load(&there, guest)).register_as("it").instantiate().await.unwrap();
    let (transport, _) = serve_channel(&there);
    let here = Runtime::new().unwrap();
    let remote = here.remote_instance(transport, "it");
    (here, instance, remote)
}

#[tokio::test]
async fn a_peer_describes_itself_and_is_called_by_that() {
    let there = Runtime::new().unwrap();
    let _provider = kv_provider(&there, "kv").await;
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = Arc::new(TcpTransport::from(listener.local_address().clone()));
    tokio::spawn(async move { there.serve(Box::new(listener)).await });

    let here = Runtime::new().unwrap();
    let remote = here.remote_instance(transport, "kv");
    let ledger = bounded(remote.ledger()).await.unwrap();
    assert!(ledger.imports.is_empty() && ledger.export(Some("demo:kv/store@0.1.0")).is_some(), "{ledger}");
    for name in ["demo:kv/store#get", "demo:kv/store@0.1.0#get"] {
        assert_eq!(exec(&remote, name, &[text("absent")]).await, Ok(vec![ok(Val::Option(None))]));
    }
}

#[tokio::test]
async fn a_peer_keeps_its_state_between_calls() {
    let (_here, instance, remote) = served("counter").await;
    for expected in [5, 10] {
        assert_eq!(exec(&remote, "test:counter/counter#add", &[Val::U32(5)]).await, Ok(vec![Val::U64(expected)]));
    }
    assert_eq!(instance.generation(), 1);
}

#[tokio::test]
async fn what_the_function_does_not_take_is_refused_before_it_is_sent() {
    let (_here, _instance, remote) = served("counter").await;
    let add = "test:counter/counter#add";
    for args in [vec![], vec![Val::U32(1), Val::U32(2)], vec![Val::U64(1)], vec![text("1")]] {
        let failure = exec(&remote, add, &args).await.unwrap_err();
        assert!(matches!(failure, Failure::Refused(Refusal::BadArguments { .. })), "{failure}");
    }
    for name in ["add", "test:counter/counter#ad", "test:counter/counter@9.0.0#add", ""] {
        let failure = exec(&remote, name, &[Val::U32(1)]).await.unwrap_err();
        assert!(matches!(failure, Failure::Refused(Refusal::NoSuchFunction { .. })), "{name}: {failure}");
    }
    assert_eq!(exec(&remote, add, &[Val::U32(1)]).await, Ok(vec![Val::U64(1)]));
}

#[tokio::test]
async fn a_trap_there_is_told_of_here() {
    let (_here, _instance, remote) = served("trap").await;
    let failure = exec(&remote, "run", &[]).await.unwrap_err();
    assert!(matches!(failure, Failure::Failed(Fault::Trapped { .. })), "{failure}");
    assert_eq!(exec(&remote, "fine", &[]).await, Ok(vec![Val::U32(7)]));
}

#[tokio::test]
async fn an_instance_that_is_not_there_is_refused_and_a_peer_that_is_not_there_is_not_sent() {
    let there = Runtime::new().unwrap();
    let (transport, _) = serve_channel(&there);
    let here = Runtime::new().unwrap();
    let failure = bounded(here.remote_instance(transport, "nobody").ledger()).await.unwrap_err();
    assert!(matches!(failure, Failure::Refused(Refusal::NoSuchInstance { .. })), "{failure}");

    let (near, far) = LocalChannelTransport::pair();
    drop(far);
    let failure = exec(&here.remote_instance(Arc::new(near), "it"), "run", &[]).await.unwrap_err();
    assert!(matches!(failure, Failure::NotSent { .. }), "{failure}");
}

#[tokio::test]
async fn a_peer_that_says_nothing_ends_the_call_at_its_deadline() {
    let (near, mut far) = LocalChannelTransport::pair();
    // It accepts, and reads nothing.
    let silent = tokio::spawn(async move {
        let channel = std::future::poll_fn(|cx| isorun::Listener::poll_accept(&mut far, cx)).await;
        std::future::pending::<()>().await;
        drop(channel);
    });
    let here = Runtime::new().unwrap();
    let remote = here.remote_instance(Arc::new(near), "it");
    let call = remote.exec("run", &[], CallOptions { deadline_ms: 50 });
    let failure = *bounded(call).await.unwrap_err().failure;
    assert!(matches!(failure, Failure::NotSent { .. }), "{failure}");
    silent.abort();
}

#[tokio::test]
async fn another_component_under_the_name_is_described_anew_after_it_refused() {
    let there = Runtime::new().unwrap();
    let first = there.builder(&load(&there, "counter")).register_as("it").instantiate().await.unwrap();
    let (transport, _) = serve_channel(&there);
    let here = Runtime::new().unwrap();
    let remote = here.remote_instance(transport, "it");
    assert!(bounded(remote.ledger()).await.unwrap().exported("run").is_none());
    drop((there.unregister_instance("it"), first));
    let _second = there.builder(&load(&there, "trap")).register_as("it").instantiate().await.unwrap();
    assert!(exec(&remote, "fine", &[]).await.is_err());
    assert_eq!(exec(&remote, "fine", &[]).await, Ok(vec![Val::U32(7)]));
}
