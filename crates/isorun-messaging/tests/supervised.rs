//! Components that a supervisor starts again, while messages flow.

mod common;

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use isorun_core::*;
use isorun_messaging::*;
use tokio::time::timeout;

/// Much longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A supervisor of permanent children, in the order of the list.
fn supervisor(options: SupervisorOptions, components: &[&ComponentRef]) -> Supervisor {
    components.iter().fold(Supervisor::new(options), |supervisor, component| {
        let child = Arc::new((*component).clone());
        supervisor.child(component.id().as_str(), child, Restart::Permanent).unwrap()
    })
}

/// Follows events until `count` children have been started.
async fn starts(events: &mut tokio::sync::broadcast::Receiver<SupervisorEvent>, count: usize) {
    let mut started = 0;
    while started < count {
        let event = timeout(PATIENCE, events.recv()).await.expect("it hangs").unwrap();
        started += usize::from(matches!(event, SupervisorEvent::Started { .. }));
    }
}

/// What a component has handled: of each sender, the numbers in their order.
type Handled = Arc<Mutex<BTreeMap<String, Vec<u32>>>>;

/// Crashes at each message that says so, and notes the others.
fn counter(handled: &Handled) -> Script {
    let handled = Arc::clone(handled);
    Script::default().message(move |message| {
        let text = text(&message.payload);
        ready(match text.strip_prefix("crash") {
            Some(_) => Err(WasmError::runtime("a trap")),
            None => {
                let mut handled = handled.lock().unwrap();
                handled.entry(message.sender.to_string()).or_default().push(text.parse().unwrap());
                Ok(Some(message.payload))
            }
        })
    })
}

const SENDERS: u32 = 4;
const MESSAGES: u32 = 300;
/// One message in so many makes its component crash.
const CRASHES_EVERY: u32 = 29;

/// What one sender sends to one component: every other message is a request. How many of those failed.
async fn sender(system: ActorSystem, who: u32, to: ComponentId) -> u32 {
    let (from, mut failed) = (ComponentId::new("demo", "sender", who.to_string()), 0);
    for number in 0..MESSAGES {
        let crashes = number % CRASHES_EVERY == who;
        let payload = if crashes { format!("crash {number}") } else { number.to_string() };
        if number % 2 == 0 {
            while let Err(error) = system.send(&from, &to, MessagePayload::new(payload.clone())) {
                assert_eq!(error, MessagingError::QueueFull);
                tokio::task::yield_now().await;
            }
            continue;
        }
        let outcome = loop {
            match system.ask(&from, &to, MessagePayload::new(payload.clone()), 60_000).await {
                RequestOutcome::Failed(MessagingError::QueueFull) => tokio::task::yield_now().await,
                outcome => break outcome,
            }
        };
        match outcome {
            RequestOutcome::Replied(answer) => assert_eq!((text(&answer), crashes), (payload, false)),
            RequestOutcome::Failed(MessagingError::DeliveryFailed { may_have_arrived: true, .. }) if crashes => {
                failed += 1;
            }
            other => panic!("request {number}, which crashes: {crashes}: {other:?}"),
        }
    }
    failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_components_crash_each_message_is_handled_once_and_in_order_or_counted_as_a_dead_letter() {
    let stage = Stage::new();
    let limits = MailboxLimits { messages: 16, ..MailboxLimits::default() };
    let (mut components, mut handled) = (Vec::new(), Vec::new());
    for name in ["a", "b", "c"] {
        let seen = Handled::default();
        components.push(stage.add_with(name, counter(&seen), limits).await);
        handled.push(seen);
    }
    let options = SupervisorOptions {
        restarts_max: RESTARTS_MAX,
        backoff_ms: 1,
        backoff_ms_max: 2,
        ..SupervisorOptions::default()
    };
    let supervisor = supervisor(options, &components.iter().collect::<Vec<_>>());
    timeout(PATIENCE, supervisor.start()).await.unwrap().unwrap();

    let mut senders = Vec::new();
    for component in &components {
        for who in 0..SENDERS {
            senders.push(tokio::spawn(sender(stage.system.clone(), who, component.id().clone())));
        }
    }
    let mut failed = 0;
    for sender in senders {
        failed += timeout(PATIENCE, sender).await.expect("it hangs").unwrap();
    }
    // The last messages want no answer: something has been handled after each of them once this is answered.
    for component in &components {
        let last = ComponentId::new("demo", "sender", "last");
        let outcome = stage.system.ask(&last, component.id(), MessagePayload::from("0"), 60_000);
        let outcome = timeout(PATIENCE, outcome).await.expect("it hangs");
        assert!(matches!(outcome, RequestOutcome::Replied(_)), "{outcome:?}");
    }

    let crashes = |who: u32, number: &u32| number % CRASHES_EVERY == who;
    let (mut crashed, mut crashed_requests) = (0, 0);
    for seen in &handled {
        let seen = seen.lock().unwrap();
        for who in 0..SENDERS {
            let expected: Vec<u32> = (0..MESSAGES).filter(|number| !crashes(who, number)).collect();
            assert_eq!(seen[&format!("demo/sender/{who}")], expected);
            crashed += u64::from(MESSAGES) - expected.len() as u64;
            crashed_requests += (0..MESSAGES).filter(|n| crashes(who, n) && n % 2 == 1).count();
        }
    }
    assert_eq!(failed as usize, crashed_requests);
    let (stats, letters) = (stage.system.stats(), stage.system.dead_letters());
    assert_eq!((letters.count(DeadLetterReason::Crashed), letters.total()), (crashed, crashed));
    assert_eq!(stats.accepted, u64::from(3 * SENDERS * MESSAGES) + 3);
    assert_eq!(stats.accepted, stats.handled + stats.dead_letters);
    assert_eq!((stats.queued_messages, stats.queued_bytes), (0, 0));
    let restarts: u64 = components.iter().map(|component| u64::from(component.restarts())).sum();
    assert_eq!(restarts, crashed);
    let shown: u64 = supervisor.children().iter().map(|child| u64::from(child.restarts)).sum();
    assert_eq!(shown, crashed);
    assert_eq!(timeout(PATIENCE, supervisor.stop()).await.unwrap(), Exit::Normal);
    assert!(components.iter().all(|component| component.state() == LifecycleState::Stopped));
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_a_component_waits_for_its_restart_is_handled_after_it() {
    let (stage, seen) = (Stage::new(), Handled::default());
    let a = stage.add("a", counter(&seen)).await;
    let supervisor = supervisor(SupervisorOptions::default(), &[&a]);
    // Before the first start, too.
    stage.send("x", "a", "1").unwrap();
    let mut events = supervisor.subscribe();
    supervisor.start().await.unwrap();
    stage.send("x", "a", "crash").unwrap();
    stage.send("x", "a", "2").unwrap();
    settle().await;
    assert_eq!((a.state(), a.queued().messages), (LifecycleState::Stopped, 1));
    assert_eq!(supervisor.children()[0].state, LifecycleState::Starting);
    stage.send("x", "a", "3").unwrap();
    starts(&mut events, 2).await;
    settle().await;
    assert_eq!(seen.lock().unwrap()["demo/it/x"], [1, 2, 3]);
    supervisor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn neighbours_that_are_restarted_along_keep_their_mailboxes() {
    let (stage, seen) = (Stage::new(), Handled::default());
    let a = stage.add("a", counter(&seen)).await;
    let b = stage.add("b", counter(&Handled::default())).await;
    let options = SupervisorOptions { strategy: Strategy::OneForAll, ..SupervisorOptions::default() };
    let supervisor = supervisor(options, &[&a, &b]);
    let mut events = supervisor.subscribe();
    supervisor.start().await.unwrap();
    stage.send("x", "b", "crash").unwrap();
    settle().await;
    assert_eq!((a.state(), b.state()), (LifecycleState::Stopped, LifecycleState::Stopped));
    stage.send("x", "a", "7").unwrap();
    starts(&mut events, 4).await;
    settle().await;
    assert_eq!(seen.lock().unwrap()["demo/it/x"], [7]);
    assert_eq!((a.restarts(), b.restarts()), (1, 1));
    assert_eq!(stage.engine.events().iter().filter(|event| *event == "shutdown a").count(), 1);
    supervisor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn when_a_supervisor_gives_up_what_still_waits_becomes_dead_letters_and_requests_are_told() {
    let stage = Stage::new();
    let a = stage.add("a", fragile()).await;
    let supervisor = supervisor(SupervisorOptions::default(), &[&a]);
    supervisor.start().await.unwrap();
    for _ in 0..5 {
        stage.send("x", "a", "crash").unwrap();
    }
    let system = stage.system.clone();
    let asked = tokio::spawn(async move { system.ask(&id("x"), &id("a"), "hello", 60_000).await });
    let exit = timeout(PATIENCE, Child::exited(&supervisor)).await.expect("it hangs");
    assert!(matches!(&exit, Exit::Failed { reason } if reason.contains("`demo/it/a` failed: a trap")), "{exit}");
    assert_eq!(outcome_text(&asked.await.unwrap()), "failed, may have arrived: false");
    let letters = stage.system.dead_letters();
    // Four lives, and what was left.
    assert_eq!((letters.count(DeadLetterReason::Crashed), letters.count(DeadLetterReason::Stopped)), (4, 2));
    let refused = stage.send("x", "a", "too late").unwrap_err();
    assert!(matches!(refused, MessagingError::DeliveryFailed { may_have_arrived: false, .. }), "{refused}");
    let stats = stage.system.stats();
    assert_eq!(stats.accepted, stats.handled + stats.dead_letters);
    // Started anew, it takes messages again.
    supervisor.start().await.unwrap();
    assert_eq!(outcome_text(&stage.ask("a", "hello", 1_000).await), "replied hello");
    supervisor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_stuck_holds_up_the_stop_of_the_others_no_longer_than_its_time() {
    let (stage, seen) = (Stage::new(), Handled::default());
    let a = stage.add("a", counter(&seen)).await;
    let b = stage.add("b", stuck()).await;
    let supervisor = supervisor(SupervisorOptions::default(), &[&a, &b]);
    supervisor.start().await.unwrap();
    stage.send("x", "b", "hello").unwrap();
    settle().await;
    let told = tokio::time::Instant::now();
    assert_eq!(supervisor.stop().await, Exit::Normal);
    assert_eq!(told.elapsed(), Duration::from_millis(5_000));
    let exits: Vec<_> = supervisor.children().into_iter().map(|child| child.last_exit).collect();
    assert_eq!(exits, [Some(Exit::Normal), Some(Exit::Killed)]);
    assert_eq!(stage.system.dead_letters().count(DeadLetterReason::Killed), 1);
}
