//! Messages and requests between components of one node.

mod common;

use std::future::ready;
use std::sync::Arc;

use common::*;
use isorun_core::*;
use isorun_messaging::*;
use tokio::sync::Notify;

#[tokio::test(start_paused = true)]
async fn messages_come_in_the_order_in_which_they_were_sent() {
    let (stage, seen) = (Stage::new(), Seen::default());
    stage.run("a", listener(&seen)).await;
    for text in ["one", "two", "three"] {
        stage.send("x", "a", text).unwrap();
    }
    settle().await;
    assert_eq!(seen.all(), ["one", "two", "three"]);
    let stats = stage.system.stats();
    assert_eq!((stats.accepted, stats.handled, stats.queued_messages, stats.dead_letters), (3, 3, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn each_request_is_called_back_with_its_outcome() {
    let (stage, seen) = (Stage::new(), Seen::default());
    stage.run("a", listener(&seen)).await;
    stage.run("echo", echo()).await;
    stage.run("silent", Script::default()).await;
    stage.run("fragile", fragile()).await;
    stage.run("stuck", stuck()).await;
    for (to, payload) in
        [("echo", "hello"), ("silent", "hello"), ("fragile", "reject"), ("fragile", "crash"), ("stuck", "hello")]
    {
        stage.request("a", to, payload, 1_000).unwrap();
    }
    pass(999).await;
    let mut early = seen.all();
    early.sort();
    assert_eq!(early, ["failed, may have arrived: true", "no reply", "refused not that", "replied hello"]);
    pass(1).await;
    assert_eq!(seen.all().last().unwrap(), "failed: no answer came in time");
    assert_eq!(seen.all().len(), 5);
    let stats = stage.system.stats();
    assert_eq!((stats.requests, stats.requests_open, stats.timed_out, stats.late_replies), (5, 0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_discarded_and_counted() {
    let (stage, seen, go) = (Stage::new(), Seen::default(), Arc::new(Notify::new()));
    stage.run("a", listener(&seen)).await;
    let wait = go.clone();
    stage
        .run(
            "slow",
            Script::default().message(move |message| {
                let wait = wait.clone();
                async move {
                    wait.notified().await;
                    Ok(Some(message.payload))
                }
            }),
        )
        .await;
    stage.request("a", "slow", "hello", 10).unwrap();
    pass(10).await;
    assert_eq!(seen.all(), ["failed: no answer came in time"]);
    go.notify_one();
    settle().await;
    assert_eq!(seen.all().len(), 1);
    assert_eq!(stage.system.stats().late_replies, 1);
    assert_eq!(stage.system.stats().handled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_time_is_over_before_its_turn_is_not_handled() {
    let (stage, seen, told) = (Stage::new(), Seen::default(), Seen::default());
    stage.run("a", listener(&told)).await;
    let b = stage.add("b", listener(&seen)).await;
    stage.request("a", "b", "late", 10).unwrap();
    stage.send("a", "b", "later").unwrap();
    pass(10).await;
    assert_eq!(told.all(), ["failed: no answer came in time"]);
    b.start().await.unwrap();
    settle().await;
    assert_eq!(seen.all(), ["later"]);
    assert_eq!(stage.system.dead_letters().count(DeadLetterReason::Expired), 1);
    assert_eq!(stage.system.stats().late_replies, 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_cancelled_request_nothing_is_heard() {
    let (stage, seen) = (Stage::new(), Seen::default());
    stage.run("a", listener(&seen)).await;
    stage.run("echo", echo()).await;
    let request = stage.request("a", "echo", "hello", 1_000).unwrap();
    assert!(!stage.system.cancel_request(&id("echo"), request), "only its own requester can");
    assert!(stage.system.cancel_request(&id("a"), request));
    assert!(!stage.system.cancel_request(&id("a"), request));
    pass(2_000).await;
    assert_eq!(seen.all(), [""; 0]);
    let stats = stage.system.stats();
    assert_eq!((stats.handled, stats.cancelled, stats.late_replies), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_cancelled_even_while_its_callback_waits() {
    let (stage, seen, go) = (Stage::new(), Seen::default(), Arc::new(Notify::new()));
    let (wait, heard) = (go.clone(), seen.clone());
    let busy = Script::default()
        .message(move |_| {
            let wait = wait.clone();
            async move {
                wait.notified().await;
                Ok(None)
            }
        })
        .callback(move |message| {
            heard.push(outcome_text(&message.outcome));
            Ok(())
        });
    stage.run("busy", busy).await;
    stage.run("echo", echo()).await;
    stage.send("x", "busy", "work").unwrap();
    settle().await;
    let request = stage.request("busy", "echo", "one", 1_000).unwrap();
    stage.request("busy", "echo", "two", 1_000).unwrap();
    settle().await;
    assert!(stage.system.cancel_request(&id("busy"), request));
    go.notify_one();
    settle().await;
    assert_eq!(seen.all(), ["replied two"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_refuses_at_once_by_number_and_by_bytes() {
    let stage = Stage::new();
    let limits = MailboxLimits { messages: 3, bytes: 10 };
    stage.add_with("a", Script::default(), limits).await;
    for _ in 0..3 {
        stage.send("x", "a", "").unwrap();
    }
    assert_eq!(stage.send("x", "a", ""), Err(MessagingError::QueueFull));
    let b = stage.add_with("b", Script::default(), limits).await;
    assert_eq!(stage.send("x", "b", "eleven byte"), Err(MessagingError::QueueFull));
    stage.send("x", "b", "ten bytes!").unwrap();
    assert_eq!(stage.send("x", "b", "1"), Err(MessagingError::QueueFull));
    stage.send("x", "b", "").unwrap();
    assert_eq!(b.queued(), Queued { messages: 2, bytes: 10 });
    assert_eq!(stage.system.stats().refused_full, 3);
    b.start().await.unwrap();
    settle().await;
    stage.send("x", "b", "ten bytes!").unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_usual_mailbox_holds_1024_messages() {
    let stage = Stage::new();
    let a = stage.add("a", Script::default()).await;
    let sent = (0..1_030).filter(|_| stage.send("x", "a", "it").is_ok()).count();
    assert_eq!((sent, a.queued()), (1_024, Queued { messages: 1_024, bytes: 2_048 }));
}

#[tokio::test(start_paused = true)]
async fn so_many_requests_may_be_open_and_one_more_is_refused() {
    let (stage, seen) = (Stage::new(), Seen::default());
    stage.run("a", listener(&seen)).await;
    stage.add_with("b", Script::default(), MailboxLimits { messages: 2_000, bytes: 0 }).await;
    for _ in 0..REQUESTS_MAX {
        stage.request("a", "b", "", 1_000).unwrap();
    }
    assert_eq!(stage.request("a", "b", "", 1_000), Err(MessagingError::QueueFull));
    assert_eq!(stage.system.stats().requests_open, REQUESTS_MAX);
    pass(1_000).await;
    for _ in 0..20 {
        settle().await;
    }
    assert_eq!(seen.all().len(), REQUESTS_MAX);
    stage.request("a", "b", "", 1_000).unwrap();
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_given_up_keep_their_places_until_their_callbacks_are_taken() {
    let (stage, seen) = (Stage::new(), Seen::default());
    let refuses = || Script::default().message(|_| ready(Err(WasmError::Rejected { reason: "r".repeat(1_024) })));
    stage.run("b", refuses()).await;
    let (messenger, sent) = (stage.messenger(), seen.clone());
    // All of it while it handles one message, so that it takes no callback.
    let script = listener(&Seen::default()).message(move |_| {
        let (messenger, sent) = (messenger.upgrade().unwrap(), sent.clone());
        async move {
            for _ in 0..200 {
                let ask = |_| messenger.request(&id("a"), &id("b"), "x".into(), 60_000).ok();
                let asked: Vec<_> = (0..1_000).filter_map(ask).collect();
                for _ in 0..4 {
                    settle().await;
                }
                for id_asked in asked {
                    assert!(messenger.cancel_request(&id("a"), id_asked));
                    assert!(!messenger.cancel_request(&id("a"), id_asked));
                    sent.push("");
                }
            }
            Ok(None)
        }
    });
    stage.run("a", script).await;
    stage.send("x", "a", "go").unwrap();
    for _ in 0..10_000 {
        settle().await;
        if stage.system.stats().handled > REQUESTS_MAX as u64 {
            break;
        }
    }
    let stats = stage.system.stats();
    assert_eq!((stats.requests, stats.cancelled, stats.requests_open), (1_024, 1_024, 0));
    assert_eq!(seen.all().len(), REQUESTS_MAX, "no more were let in, and none was counted twice");
    for _ in 0..40 {
        settle().await;
    }
    stage.request("a", "b", "", 1_000).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_refusals_say_is_bounded_as_answers_are() {
    let (stage, seen) = (Stage::new(), Seen::default());
    stage.run("b", Script::default().message(|_| ready(Err(WasmError::Rejected { reason: "r".repeat(1_000) })))).await;
    let limits = MailboxLimits { messages: 10, bytes: 2_999 };
    let a = stage.add_with("a", listener(&seen), limits).await;
    let script = listener(&seen).message(|_| async {
        settle().await;
        Ok(None)
    });
    stage.engine.script(&id("a"), script);
    a.start().await.unwrap();
    stage.send("x", "a", "busy").unwrap();
    for _ in 0..3 {
        stage.request("a", "b", "", 1_000).unwrap();
    }
    for _ in 0..4 {
        settle().await;
    }
    let long = format!("refused {}", "r".repeat(1_000));
    assert_eq!(seen.all(), [&long[..], &long, "refused there is no room for what it says"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_refused_with_a_reason() {
    let stage = Stage::new();
    stage.run("a", Script::default()).await;
    let not_started = stage.add("b", Script::default()).await;
    assert_eq!(stage.send("a", "c", ""), Err(MessagingError::TargetNotFound { id: "demo/it/c".into() }));
    let large = MessagePayload::new(vec![0; MESSAGE_BYTES_MAX + 1]);
    let sent = stage.system.send(&id("a"), &id("b"), large);
    assert!(matches!(sent, Err(MessagingError::InvalidMessage { .. })), "{sent:?}");
    stage.system.send(&id("a"), &id("b"), MessagePayload::new(vec![0; MESSAGE_BYTES_MAX])).unwrap();
    for ms in [0, REQUEST_TIMEOUT_MS_MAX + 1] {
        let sent = stage.request("a", "b", "", ms);
        assert!(matches!(sent, Err(MessagingError::InvalidMessage { .. })), "{sent:?}");
    }
    stage.request("a", "b", "", REQUEST_TIMEOUT_MS_MAX).unwrap();
    let sent = stage.request("nobody", "b", "", 1);
    assert!(matches!(sent, Err(MessagingError::InvalidMessage { .. })), "{sent:?}");
    let sent = stage.request("b", "a", "", 1);
    assert!(matches!(sent, Err(MessagingError::DeliveryFailed { may_have_arrived: false, .. })), "{sent:?}");
    assert_eq!(not_started.state(), LifecycleState::Created);
    let stats = stage.system.stats();
    assert_eq!((stats.refused_not_found, stats.refused_invalid), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_waits_for_nobody_and_tells_of_each() {
    let (stage, seen) = (Stage::new(), Seen::default());
    stage.run("stuck", stuck()).await;
    stage.add_with("full", Script::default(), MailboxLimits { messages: 1, bytes: 10 }).await;
    stage.send("x", "full", "").unwrap();
    stage.run("a", listener(&seen)).await;
    let targets = ["stuck", "full", "nobody", "a"].map(id);
    let sent = stage.system.broadcast(&id("x"), &targets, "news".into());
    let not_found = MessagingError::TargetNotFound { id: "demo/it/nobody".into() };
    assert_eq!(sent, [Ok(()), Err(MessagingError::QueueFull), Err(not_found), Ok(())]);
    settle().await;
    assert_eq!(seen.all(), ["news"]);
    let many = vec![id("a"); BROADCAST_TARGETS_MAX + 1];
    assert!(stage.system.broadcast(&id("x"), &many, "news".into()).iter().all(Result::is_err));
    assert!(stage.system.broadcast(&id("x"), &many[1..], "news".into()).iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn an_embedder_asks_and_is_answered() {
    let stage = Stage::new();
    stage.run("echo", echo()).await;
    stage.run("stuck", stuck()).await;
    stage.run("fragile", fragile()).await;
    assert_eq!(outcome_text(&stage.ask("echo", "hello", 1_000).await), "replied hello");
    assert_eq!(outcome_text(&stage.ask("stuck", "hello", 1_000).await), "failed: no answer came in time");
    assert_eq!(outcome_text(&stage.ask("fragile", "crash", 1_000).await), "failed, may have arrived: true");
    assert_eq!(outcome_text(&stage.ask("nobody", "", 1_000).await), "failed: there is no component `demo/it/nobody`");
}

#[tokio::test(start_paused = true)]
async fn a_component_asks_itself_without_waiting_for_ever() {
    let (stage, seen) = (Stage::new(), Seen::default());
    stage.run("a", listener(&seen)).await;
    stage.request("a", "a", "myself", 1_000).unwrap();
    settle().await;
    assert_eq!(seen.all(), ["myself", "no reply"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_after_the_messages_that_were_sent_before_it() {
    let (stage, seen) = (Stage::new(), Seen::default());
    stage.run("a", listener(&seen)).await;
    let messenger = stage.messenger();
    let talker = Script::default().message(move |message| {
        let messenger = messenger.upgrade().unwrap();
        for text in ["one", "two"] {
            messenger.send(&id("b"), &message.sender, text.into()).unwrap();
        }
        ready(Ok(Some("three".into())))
    });
    stage.run("b", talker).await;
    stage.request("a", "b", "count", 1_000).unwrap();
    settle().await;
    assert_eq!(seen.all(), ["one", "two", "replied three"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_is_a_failure_of_the_request() {
    let stage = Stage::new();
    let script = Script::default().message(|_| ready(Ok(Some(MessagePayload::new(vec![0; MESSAGE_BYTES_MAX + 1])))));
    stage.run("a", script).await;
    let outcome = stage.ask("a", "", 1_000).await;
    assert!(matches!(outcome, RequestOutcome::Failed(MessagingError::InvalidMessage { .. })), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_always_has_messages_lets_others_have_their_turn() {
    let (stage, seen) = (Stage::new(), Seen::default());
    let messenger = stage.messenger();
    let restless = Script::default().message(move |message| {
        drop(messenger.upgrade().unwrap().send(&id("restless"), &id("restless"), message.payload));
        ready(Ok(None))
    });
    stage.run("restless", restless).await;
    stage.run("a", listener(&seen)).await;
    stage.send("x", "restless", "again").unwrap();
    settle().await;
    stage.send("x", "a", "my turn").unwrap();
    settle().await;
    assert_eq!(seen.all(), ["my turn"]);
    assert!(stage.system.stats().handled > 64);
}

#[tokio::test(start_paused = true)]
async fn who_may_send_to_whom_is_what_is_granted() {
    let grants = isorun_security::Grants::new()
        .send(ComponentPattern::parse("demo/it/a").unwrap(), ComponentPattern::parse("demo/it/b").unwrap());
    let stage = Stage::with(ActorSystemOptions::default().grants(grants));
    stage.run("a", Script::default()).await;
    stage.run("b", Script::default()).await;
    stage.send("a", "b", "").unwrap();
    let sent = stage.send("b", "a", "");
    assert!(matches!(&sent, Err(MessagingError::InvalidMessage { reason }) if reason.contains("denied")), "{sent:?}");
    assert!(stage.request("b", "a", "", 1).is_err());
    assert_eq!(stage.system.stats().refused_denied, 2);
}
