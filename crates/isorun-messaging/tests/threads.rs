//! Components on several threads at once: no wake-up is lost, and what is promised holds there too.

mod common;

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use common::*;
use isorun_messaging::*;

const PAIRS: usize = 4;
const REQUESTS: u64 = 5_000;
/// Longest that anything here may take: an error, and not a wait for ever.
const LONG: Duration = Duration::from_secs(120);

/// Waits until that is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(LONG, async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what} in {LONG:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pairs_ask_each_other_for_long_and_each_is_answered() {
    let (stage, answered) = (Stage::new(), Arc::new(AtomicU64::new(0)));
    for n in 0..PAIRS {
        let asker = id(&format!("asker-{n}"));
        let (messenger, answered, own) = (stage.messenger(), answered.clone(), asker.clone());
        stage.run(&format!("echo-{n}"), echo()).await;
        let left = AtomicU64::new(REQUESTS);
        let ask = {
            let messenger = messenger.clone();
            move || {
                let sent =
                    messenger.upgrade().unwrap().request(&own, &id(&format!("echo-{n}")), "hello".into(), 100_000);
                sent.unwrap();
            }
        };
        let again = ask.clone();
        let script = Script::default()
            .message(move |_| {
                ask();
                ready(Ok(None))
            })
            .callback(move |message| {
                assert_eq!(outcome_text(&message.outcome), "replied hello");
                answered.fetch_add(1, SeqCst);
                if left.fetch_sub(1, SeqCst) > 1 {
                    again();
                }
                Ok(())
            });
        stage.run(asker.instance(), script).await;
        stage.send("x", asker.instance(), "begin").unwrap();
    }
    until("all are answered", || answered.load(SeqCst) == REQUESTS * PAIRS as u64).await;
    let stats = stage.system.stats();
    assert_eq!((stats.requests, stats.requests_open, stats.late_replies), (REQUESTS * PAIRS as u64, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_a_component_fails_and_is_stopped_and_started_each_question_ends_and_nothing_is_lost() {
    let stage = Stage::new();
    let fragile = stage.run("fragile", fragile()).await;
    let restless = tokio::spawn({
        let component = fragile.clone();
        async move {
            for n in 0..200 {
                match n % 3 {
                    0 => component.stop(1_000).await,
                    1 => component.stop(0).await,
                    _ => drop(component.exited().await),
                }
                component.start().await.unwrap();
            }
        }
    });
    let mut askers = Vec::new();
    for n in 0..4 {
        let system = stage.system.clone();
        askers.push(tokio::spawn(async move {
            for count in 0.. {
                // Often enough for whoever waits until it fails.
                let payload = if count % 7 == 3 { "crash" } else { "hello" };
                let outcome = system.ask(&id(&n.to_string()), &id("fragile"), payload, 100_000).await;
                let text = outcome_text(&outcome);
                assert!(["replied hello", "failed, may have arrived: true"].contains(&text.as_str()), "{text}");
                if system.component(&id("done")).is_some() {
                    break;
                }
            }
        }));
    }
    tokio::time::timeout(LONG, restless).await.expect("starts and stops end").unwrap();
    stage.add("done", Script::default()).await;
    let askers = async {
        for asker in askers {
            // A crash may be its last: then it is started again for the others.
            let mut asker = asker;
            loop {
                tokio::select! {
                    ended = &mut asker => break ended.unwrap(),
                    _ = fragile.exited() => drop(fragile.start().await),
                }
            }
        }
    };
    tokio::time::timeout(LONG, askers).await.expect("each question ends");
    until("nothing is in hand", || {
        let stats = stage.system.stats();
        stats.accepted == stats.handled + stats.dead_letters && stats.queued_messages == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_was_removed_can_be_added_again_at_once() {
    let (stage, supervisor) = (Stage::new(), Supervisor::new(SupervisorOptions::default()));
    supervisor.start().await.unwrap();
    let all = async {
        for _ in 0..200 {
            let a = stage.add("a", Script::default()).await;
            supervisor.add("a", Arc::new(a.clone()), Restart::Permanent).unwrap();
            a.watch().wait_for(|state| *state == LifecycleState::Running).await.unwrap();
            assert_eq!(tokio::join!(supervisor.remove("a"), stage.system.remove(a.id())), (true, true));
        }
    };
    tokio::time::timeout(LONG, all).await.expect("it hangs");
    assert_eq!(supervisor.stop().await, Exit::Normal);
}
