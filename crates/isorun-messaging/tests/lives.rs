//! Components that start, stop, fail, and are started again.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use common::*;
use isorun_core::*;
use isorun_messaging::*;
use tokio::sync::Notify;

#[tokio::test(start_paused = true)]
async fn a_life_goes_through_its_states_and_can_be_followed() {
    let stage = Stage::new();
    let a = stage.add("a", Script::default()).await;
    let (mut states, mut seen) = (a.watch(), Vec::new());
    let following = tokio::spawn(async move {
        loop {
            let state = *states.borrow_and_update();
            seen.push(state);
            if state == LifecycleState::Stopped {
                return seen;
            }
            states.changed().await.unwrap();
        }
    });
    settle().await;
    assert_eq!(a.metadata(), None);
    a.start().await.unwrap();
    settle().await;
    assert_eq!(a.metadata().unwrap().name, "it");
    assert_eq!(a.health().await.status, HealthStatus::Healthy);
    a.stop(1_000).await;
    assert_eq!(
        following.await.unwrap(),
        [
            LifecycleState::Created,
            LifecycleState::Starting,
            LifecycleState::Running,
            LifecycleState::Stopping,
            LifecycleState::Stopped
        ]
    );
    assert_eq!(a.exited().await, Exit::Normal);
    assert_eq!(stage.engine.events(), ["start a", "metadata a", "shutdown a", "stop a"]);
    assert_eq!(a.health().await.status, HealthStatus::Unknown);
}

#[tokio::test(start_paused = true)]
async fn the_mailbox_is_kept_when_a_component_is_started_again() {
    let stage = Stage::new();
    let a = stage.run("a", fragile()).await;
    let (system, asker) = (stage.system.clone(), id("asker"));
    stage.send("x", "a", "crash").unwrap();
    let queued = tokio::spawn(async move { system.ask(&asker, &id("a"), "still here", 10_000).await });
    assert_eq!(a.exited().await, Exit::Failed { reason: "a trap".into() });
    settle().await;
    assert_eq!((a.state(), a.queued().messages, a.restarts()), (LifecycleState::Stopped, 1, 0));
    a.start().await.unwrap();
    assert_eq!(outcome_text(&queued.await.unwrap()), "replied still here");
    assert_eq!(a.restarts(), 1);
    let letters = stage.system.dead_letters();
    let letter = letters.recent().next().unwrap();
    assert_eq!((letters.total(), letter.reason, letter.bytes), (1, DeadLetterReason::Crashed, 5));
    assert_eq!((&letter.sender, &letter.recipient), (&id("x"), &id("a")));
}

#[tokio::test(start_paused = true)]
async fn each_start_is_told_how_often_there_was_one_before() {
    let (stage, seen) = (Stage::new(), Seen::default());
    let told = seen.clone();
    let a = stage
        .add(
            "a",
            Script::default().start(move |restarts| {
                told.push(restarts.to_string());
                if restarts == 1 { Err(WasmError::GaveUp { reason: "not yet".into() }) } else { Ok(()) }
            }),
        )
        .await;
    a.start().await.unwrap();
    a.stop(100).await;
    let failed = a.start().await.unwrap_err();
    assert_eq!(failed, Exit::Failed { reason: "the component gave up: not yet".into() });
    assert_eq!(a.exited().await, failed);
    a.start().await.unwrap();
    assert_eq!(seen.all(), ["0", "1", "2"]);
    assert!(matches!(a.start().await, Err(Exit::Failed { .. })), "it runs already");
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_ends_what_is_in_hand_and_begins_nothing() {
    let (stage, seen, go) = (Stage::new(), Seen::default(), Arc::new(Notify::new()));
    let (wait, heard) = (go.clone(), seen.clone());
    let a = stage
        .run(
            "a",
            Script::default().message(move |message| {
                let (wait, heard) = (wait.clone(), heard.clone());
                async move {
                    wait.notified().await;
                    heard.push(text(&message.payload));
                    Ok(None)
                }
            }),
        )
        .await;
    stage.send("x", "a", "one").unwrap();
    stage.send("x", "a", "two").unwrap();
    settle().await;
    let stopping = tokio::spawn({
        let a = a.clone();
        async move { a.stop(1_000).await }
    });
    pass(900).await;
    assert_eq!(a.state(), LifecycleState::Stopping);
    go.notify_one();
    stopping.await.unwrap();
    assert_eq!((seen.all(), a.queued().messages), (vec!["one".to_owned()], 1));
    assert_eq!(a.exited().await, Exit::Normal);
    assert!(stage.engine.events().contains(&"shutdown a".to_owned()));
    a.start().await.unwrap();
    go.notify_one();
    settle().await;
    assert_eq!(seen.all(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_stop_in_time_is_killed_and_what_it_had_in_hand_may_have_arrived() {
    let stage = Stage::new();
    let a = stage.run("a", stuck()).await;
    let system = stage.system.clone();
    let asked = tokio::spawn(async move { system.ask(&id("x"), &id("a"), "hello", 60_000).await });
    settle().await;
    a.stop(5_000).await;
    assert_eq!(a.exited().await, Exit::Killed);
    assert_eq!(outcome_text(&asked.await.unwrap()), "failed, may have arrived: true");
    assert_eq!(stage.system.dead_letters().count(DeadLetterReason::Killed), 1);
    assert!(!stage.engine.events().contains(&"shutdown a".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_hangs_is_killed_and_a_stop_in_no_time_is_at_once() {
    let stage = Stage::new();
    let a = stage.run("a", Script::default().shutdown(std::future::pending)).await;
    a.stop(5_000).await;
    assert_eq!(a.exited().await, Exit::Killed);
    a.start().await.unwrap();
    let slow = tokio::spawn({
        let a = a.clone();
        async move { a.stop(u64::MAX).await }
    });
    settle().await;
    a.stop(0).await;
    slow.await.unwrap();
    assert_eq!(a.exited().await, Exit::Killed);
}

#[tokio::test(start_paused = true)]
async fn a_stop_goes_on_when_nobody_waits_for_it() {
    let stage = Stage::new();
    let a = stage.run("a", stuck()).await;
    stage.send("x", "a", "").unwrap();
    settle().await;
    assert!(tokio::time::timeout(Duration::from_millis(1), a.stop(100)).await.is_err());
    pass(100).await;
    assert_eq!((a.state(), a.exited().await), (LifecycleState::Stopped, Exit::Killed));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_being_started_can_be_stopped() {
    let stage = Stage::new();
    let a = stage.add("a", Script::default()).await;
    let starting = tokio::spawn({
        let a = a.clone();
        async move { a.start().await }
    });
    tokio::task::yield_now().await;
    assert_eq!(a.state(), LifecycleState::Starting);
    a.stop(0).await;
    assert_eq!(starting.await.unwrap(), Err(Exit::Killed));
    assert_eq!(a.state(), LifecycleState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_one_that_is_removed_is_dead_and_did_not_arrive() {
    let (stage, seen) = (Stage::new(), Seen::default());
    stage.run("x", listener(&seen)).await;
    let a = stage.add("a", Script::default()).await;
    stage.send("x", "a", "message").unwrap();
    stage.request("x", "a", "request", 10_000).unwrap();
    assert!(stage.system.remove(&id("a")).await);
    settle().await;
    assert_eq!(seen.all(), ["failed, may have arrived: false"]);
    assert_eq!(stage.system.dead_letters().count(DeadLetterReason::Stopped), 2);
    assert!(!stage.system.remove(&id("a")).await);
    assert!(stage.system.component(&id("a")).is_none());
    assert!(matches!(a.start().await, Err(Exit::Failed { .. })));
    assert_eq!(stage.engine.loaded(), 1);
    let stats = stage.system.stats();
    assert_eq!((stats.accepted, stats.handled, stats.dead_letters), (2, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_will_start_again_keeps_nothing_and_takes_nothing() {
    let stage = Stage::new();
    let a = stage.run("a", fragile()).await;
    stage.send("x", "a", "crash").unwrap();
    stage.send("x", "a", "waits").unwrap();
    a.exited().await;
    a.abandon();
    assert_eq!(stage.system.dead_letters().count(DeadLetterReason::Stopped), 1);
    let sent = stage.send("x", "a", "");
    assert!(matches!(sent, Err(MessagingError::DeliveryFailed { may_have_arrived: false, .. })), "{sent:?}");
    a.start().await.unwrap();
    a.abandon();
    assert_eq!(outcome_text(&stage.ask("a", "anew", 1_000).await), "replied anew");
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_component_outlive_its_crash() {
    let (stage, seen) = (Stage::new(), Seen::default());
    let heard = seen.clone();
    let a = stage
        .run(
            "a",
            fragile().callback(move |message| {
                heard.push(outcome_text(&message.outcome));
                Ok(())
            }),
        )
        .await;
    stage.run("stuck", stuck()).await;
    stage.request("a", "stuck", "", 1_000).unwrap();
    stage.send("x", "a", "crash").unwrap();
    a.exited().await;
    pass(2_000).await;
    a.start().await.unwrap();
    settle().await;
    assert_eq!(seen.all(), ["failed: no answer came in time"]);
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_fails_ends_the_component_and_one_that_is_rejected_does_not() {
    let stage = Stage::new();
    let calls = AtomicU32::new(0);
    let a = stage
        .run(
            "a",
            Script::default().callback(move |_| match calls.fetch_add(1, SeqCst) {
                0 => Err(WasmError::Rejected { reason: "so what".into() }),
                _ => Err(WasmError::runtime("a trap")),
            }),
        )
        .await;
    stage.run("echo", echo()).await;
    stage.request("a", "echo", "", 1_000).unwrap();
    settle().await;
    assert_eq!(a.state(), LifecycleState::Running);
    stage.request("a", "echo", "", 1_000).unwrap();
    assert!(matches!(a.exited().await, Exit::Failed { .. }));
}

#[tokio::test(start_paused = true)]
async fn its_health_is_asked_between_two_messages_and_not_waited_for_for_ever() {
    let stage = Stage::new();
    let a = stage.run("a", stuck()).await;
    stage.send("x", "a", "").unwrap();
    settle().await;
    let health = a.health().await;
    assert_eq!((health.status, health.reason.unwrap().as_str()), (HealthStatus::Unknown, "it did not answer in time"));
    a.stop(0).await;
    assert_eq!(a.health().await.status, HealthStatus::Unknown);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_added_leaves_nothing_behind() {
    let stage = Stage::with(ActorSystemOptions::default().components_max(2));
    let add = |name: &str, bytes: &'static str| {
        let (system, spec) = (stage.system.clone(), ComponentSpec::new(id(name), bytes));
        async move { system.add(spec).await.map(drop) }
    };
    assert!(matches!(add("a", "bad").await, Err(AddError::Engine(WasmError::InvalidComponent { .. }))));
    assert!(matches!(add("a\n", "good").await, Err(AddError::InvalidId { .. })));
    let (one, other) = tokio::join!(add("a", "good"), add("a", "good"));
    let there = Err(AddError::AlreadyThere { id: id("a") });
    assert!([(Ok(()), there.clone()), (there, Ok(()))].contains(&(one, other)));
    add("b", "good").await.unwrap();
    assert_eq!(add("c", "good").await, Err(AddError::TooMany { max: 2 }));
    assert_eq!(stage.engine.loaded(), 2);
    assert_eq!(stage.system.components(), [id("a"), id("b")]);
}

#[tokio::test(start_paused = true)]
async fn a_system_that_is_dropped_takes_its_components_with_it() {
    let stage = Stage::new();
    let a = stage.run("a", stuck()).await;
    stage.send("x", "a", "in hand").unwrap();
    stage.send("x", "a", "waits").unwrap();
    settle().await;
    let (messenger, delivery) = (stage.system.weak_messenger(), stage.system.delivery(&PeerIdentity::SameProcess));
    drop(stage.system);
    assert_eq!(a.exited().await, Exit::Killed);
    settle().await;
    assert!(messenger.upgrade().is_none());
    assert!(matches!(delivery.deliver(Vec::new()).await, Err(Failure::Refused(_))));
    assert_eq!(stage.engine.loaded(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_panics_ends_that_component_alone() {
    let stage = Stage::new();
    let a = stage.run("a", Script::default().message(|_| async { panic!("a fault of the engine") })).await;
    stage.run("echo", echo()).await;
    assert_eq!(outcome_text(&stage.ask("a", "", 1_000).await), "failed, may have arrived: true");
    assert!(matches!(a.exited().await, Exit::Failed { .. }));
    assert_eq!(outcome_text(&stage.ask("echo", "yes", 1_000).await), "replied yes");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_asked_for_its_health_all_the_time_handles_messages_and_timeouts_too() {
    let (stage, seen) = (Stage::new(), Seen::default());
    stage.run("stuck", stuck()).await;
    let slow = stage.run("slow", listener(&seen)).await;
    let askers: Vec<_> = (1..9)
        .map(|n| {
            let slow = slow.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_micros(500 * n)).await;
                    slow.health().await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    stage.request("slow", "stuck", "", 40).unwrap();
    for _ in 0..30 {
        stage.send("x", "slow", "m").unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(seen.all().len(), 31);
    assert!(seen.all().contains(&"failed: no answer came in time".into()));
    askers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn whoever_has_messages_all_the_time_hears_of_timeouts_too() {
    let (stage, seen) = (Stage::new(), Seen::default());
    stage.run("stuck", stuck()).await;
    let (system, other) = (stage.messenger(), seen.clone());
    // Each message is followed by another: its mailbox is never empty.
    let script = Script::default()
        .message(move |_| {
            system.upgrade().unwrap().send(&id("busy"), &id("busy"), "again".into()).unwrap();
            async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(None)
            }
        })
        .callback(move |message| {
            other.push(outcome_text(&message.outcome));
            Ok(())
        });
    stage.run("busy", script).await;
    stage.request("busy", "stuck", "", 40).unwrap();
    stage.send("x", "busy", "go").unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(seen.all(), ["failed: no answer came in time"]);
}
