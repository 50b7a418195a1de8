//! Components that live in a runtime: on one node, and on two that send each other messages.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{bounded, serve_channel};
use isorun::actors::{
    Actor, Actors, ActorsError, ActorsOptions, COMPONENTS_INTERFACE, CorrelationId, DELIVERY_INTERFACE,
    DELIVERY_MESSAGES_MAX, DeadLetterReason, Delivery, LOOKS_MAX, LifecycleState, LogLimits, LogQuery, MessagingError,
    OUTCOMES_MAX, RemoteDelivery, RemoteNode, RequestOutcome, Restart, SupervisorOptions,
};
use isorun::{
    Audience, CallOptions, Callee, ComponentId, ComponentPattern, Failure, Grants, HealthStatus, Listener, LogLevel,
    REFLECT_INSTANCE, Refusal, Runtime, StorageQuota, TcpTransport, TcpTransportListener, Val,
};
use isorun_core::ComponentMessage;

const TALLY: &[u8] = include_bytes!("../../../guests/prebuilt/tally.wasm");

/// How many requests wait for one that is stuck.
const STUCK: u64 = 1_000;

/// How long a test waits for an answer, in milliseconds.
const PATIENCE_MS: u64 = 60_000;

fn id(text: &str) -> ComponentId {
    ComponentId::parse(text).unwrap()
}

fn pattern(text: &str) -> ComponentPattern {
    ComponentPattern::parse(text).unwrap()
}

fn replied(outcome: RequestOutcome) -> String {
    match outcome {
        RequestOutcome::Replied(payload) => String::from_utf8(payload.data.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A node with components of those ids, which run.
async fn node(runtime: &Runtime, options: ActorsOptions, ids: &[&str]) -> Actors {
    let actors = runtime.actors(options).unwrap();
    let tally = runtime.builder(&runtime.load(TALLY).unwrap());
    let tally = actors.kind_with_storage(tally, StorageQuota::default()).await.unwrap();
    for text in ids {
        actors.add(Actor::new(id(text), &tally).setting("durable", "true")).await.unwrap();
    }
    actors.start().await.unwrap();
    actors
}

async fn ask(actors: &Actors, to: &str, text: &'static str) -> String {
    replied(bounded(actors.ask(&id("test/asks/0"), &id(to), text, PATIENCE_MS)).await)
}

/// A node that takes messages for `to` from anyone, and a way to it.
async fn far(options: ActorsOptions, ids: &[&str]) -> (Runtime, Actors, Arc<dyn isorun::Transport>) {
    let runtime = Runtime::new().unwrap();
    let actors = node(&runtime, options, ids).await;
    let (transport, _) = serve_channel(&runtime);
    (runtime, actors, transport)
}

#[tokio::test]
async fn components_answer_and_are_started_again_with_what_they_stored() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.redb");
    let runtime = Runtime::new().unwrap();
    let options = ActorsOptions::new().storage_file(&file).unwrap();
    let actors = node(&runtime, options, &["demo/tally/0", "demo/tally/1"]).await;
    assert_eq!(ask(&actors, "demo/tally/0", "add 40").await, "40");
    assert_eq!(ask(&actors, "demo/tally/1", "add 1").await, "1");
    let outcome = actors.ask(&id("test/asks/0"), &id("demo/tally/0"), "trap", PATIENCE_MS).await;
    assert!(matches!(outcome, RequestOutcome::Failed(MessagingError::DeliveryFailed { may_have_arrived: true, .. })));
    assert_eq!(ask(&actors, "demo/tally/0", "add 2").await, "42");
    assert_eq!(ask(&actors, "demo/tally/0", "restarts").await, "1");

    let seen = actors.components(true).await;
    let shown: Vec<_> = seen.iter().map(|it| (it.id.as_str(), it.state, it.restarts)).collect();
    let running = LifecycleState::Running;
    assert_eq!(shown, [("demo/tally/0", running, 1), ("demo/tally/1", running, 0)]);
    assert!(seen[0].last_exit.as_ref().unwrap().starts_with("failed: "), "{seen:?}");
    assert_eq!(seen[1].last_exit, None);
    assert_eq!(seen[0].health.as_ref().unwrap().status, HealthStatus::Healthy);
    assert!(seen[0].memory_bytes > 0 && seen[0].calls > 0 && seen[0].queued_messages == 0);

    assert!(matches!(runtime.actors(ActorsOptions::new()), Err(ActorsError::AlreadyThere)));
    actors.stop().await;
    assert_eq!(actors.components(false).await[0].state, LifecycleState::Stopped);
    drop(actors);

    // The file is let go with the last of what the engine held for them.
    let options = bounded(async {
        loop {
            match ActorsOptions::new().storage_file(&file) {
                Ok(options) => break options,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    let actors = node(&runtime, options.await, &["demo/tally/0"]).await;
    assert_eq!(ask(&actors, "demo/tally/0", "get").await, "42");
}

#[tokio::test]
async fn a_supervisor_below_another_keeps_its_component_and_names_are_given_once() {
    let runtime = Runtime::new().unwrap();
    let actors = runtime.actors(ActorsOptions::new()).unwrap();
    let options = SupervisorOptions::default();
    actors.supervisor("above", options, None, Restart::Permanent).unwrap();
    actors.supervisor("below", options, Some("above"), Restart::Permanent).unwrap();
    let taken = actors.supervisor("below", options, None, Restart::Permanent);
    assert!(matches!(taken, Err(ActorsError::SupervisorTaken { .. })));
    let nobody = actors.supervisor("other", options, Some("nobody"), Restart::Permanent);
    assert!(matches!(nobody, Err(ActorsError::NoSuchSupervisor { .. })));

    let tally = runtime.builder(&runtime.load(TALLY).unwrap());
    let kind = actors.kind_with_storage(tally, StorageQuota::default()).await.unwrap();
    actors.add(Actor::new(id("demo/tally/0"), &kind).under("below")).await.unwrap();
    assert!(actors.add(Actor::new(id("demo/tally/0"), &kind)).await.is_err());
    assert!(actors.add(Actor::new(id("demo/tally/1"), &kind).under("nobody")).await.is_err());
    actors.start().await.unwrap();
    assert_eq!(ask(&actors, "demo/tally/0", "add 1").await, "1");
    let seen = actors.components(false).await;
    assert_eq!((seen.len(), seen[0].supervisor.as_deref()), (1, Some("below")));
}

#[tokio::test]
async fn a_component_that_is_removed_leaves_its_id_and_what_it_stored() {
    let runtime = Runtime::new().unwrap();
    let actors = node(&runtime, ActorsOptions::new(), &["demo/tally/0", "demo/tally/1"]).await;
    assert_eq!(ask(&actors, "demo/tally/0", "add 7").await, "7");
    assert!(bounded(actors.remove(&id("demo/tally/0"))).await);
    assert!(!bounded(actors.remove(&id("demo/tally/0"))).await);
    let outcome = actors.ask(&id("test/asks/0"), &id("demo/tally/0"), "get", PATIENCE_MS).await;
    assert!(matches!(outcome, RequestOutcome::Failed(MessagingError::TargetNotFound { .. })), "{outcome:?}");
    assert_eq!(actors.components(false).await.len(), 1);

    let tally = runtime.builder(&runtime.load(TALLY).unwrap());
    let kind = actors.kind_with_storage(tally, StorageQuota::default()).await.unwrap();
    // Its supervisor forgets the name once it is down.
    let again = bounded(async {
        loop {
            let actor = Actor::new(id("demo/tally/0"), &kind).setting("durable", "true");
            match actors.add(actor).await {
                Ok(component) => break component,
                Err(ActorsError::Child { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(again.await.id().as_str(), "demo/tally/0");
    assert_eq!(ask(&actors, "demo/tally/0", "get").await, "7");
}

#[tokio::test]
async fn storage_that_is_not_granted_is_a_link_error() {
    let runtime = Runtime::new().unwrap();
    let actors = runtime.actors(ActorsOptions::new()).unwrap();
    let tally = runtime.builder(&runtime.load(TALLY).unwrap());
    let error = actors.kind(tally.clone()).await.unwrap_err().to_string();
    assert!(error.contains("isorun:actor/storage"), "{error}");
    assert_eq!(actors.problems(tally.clone(), false).await.len(), 1);
    assert_eq!(actors.problems(tally, true).await, []);
}

#[tokio::test]
async fn messages_go_to_another_node_and_answers_come_back() {
    let (_runtime, there, transport) = far(ActorsOptions::new(), &["demo/tally/0"]).await;
    let near = Runtime::new().unwrap();
    let here = node(&near, ActorsOptions::new(), &["demo/asker/0"]).await;
    here.route(pattern("demo/tally/*"), [transport]).unwrap();
    assert_eq!(ask(&here, "demo/tally/0", "add 40").await, "40");
    // From component to component.
    assert_eq!(ask(&here, "demo/asker/0", "forward demo/tally/0 add 2").await, "ok");
    assert_eq!(ask(&here, "demo/tally/0", "get").await, "42");
    let outcome = here.ask(&id("test/asks/0"), &id("demo/tally/0"), "reject", PATIENCE_MS).await;
    assert!(matches!(&outcome, RequestOutcome::Refused { reason } if reason.contains("told to reject")), "{outcome:?}");
    let outcome = here.ask(&id("test/asks/0"), &id("demo/tally/9"), "get", PATIENCE_MS).await;
    let RequestOutcome::Failed(MessagingError::TargetNotFound { id }) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(id, "demo/tally/9");
    there.stop().await;
}

#[tokio::test]
async fn deliveries_of_many_and_large_messages_arrive_whole_and_in_order() {
    let (_runtime, there, transport) = far(ActorsOptions::new(), &["demo/tally/0"]).await;
    let near = Runtime::new().unwrap();
    let remote = RemoteDelivery::new(host(&near, transport));
    let message = |text: String| ComponentMessage::new(id("test/asks/0"), id("demo/tally/0"), text.into_bytes());
    // More than one call takes, by number: the mailbox has room for as many.
    let some: Vec<_> = (0..DELIVERY_MESSAGES_MAX + 1).map(|_| message("add 1".into())).collect();
    let went = bounded(remote.deliver(some)).await.unwrap();
    let full = went.iter().filter(|it| **it == Err(MessagingError::QueueFull)).count();
    assert!(
        went.len() == DELIVERY_MESSAGES_MAX + 1 && went.iter().filter(|it| it.is_ok()).count() + full == went.len()
    );
    let sum = went.len() - full;
    assert_eq!(ask(&there, "demo/tally/0", "get").await, sum.to_string());
    // By bytes; and what is no message is told in its place.
    let large = || message(format!("echo {}", "x".repeat(1_000_000)));
    let mut some: Vec<_> = (0..5).map(|_| large()).collect();
    some.insert(2, ComponentMessage::new(id("test/asks/0"), ComponentId::new("no", "plain id", "\n"), "lost"));
    some.insert(4, message("x".repeat((1 << 20) + 1)));
    let went = bounded(remote.deliver(some)).await.unwrap();
    for (at, result) in went.iter().enumerate() {
        let expected = matches!(result, Err(MessagingError::InvalidMessage { .. }));
        assert_eq!(expected, at == 2 || at == 4, "{at}: {result:?}");
    }
    assert_eq!(bounded(remote.deliver(Vec::new())).await, Ok(Vec::new()));
}

/// The host's own instance at the other end.
fn host(runtime: &Runtime, transport: Arc<dyn isorun::Transport>) -> Arc<dyn Callee> {
    let group = runtime.remote_group([(transport, REFLECT_INSTANCE)], isorun::Balance::Sticky);
    Arc::new(group)
}

#[tokio::test]
async fn a_peer_sees_and_reaches_what_is_granted_to_it_and_nothing_else() {
    let grants = Grants::new()
        .deliver(Audience::Anyone, pattern("demo/tally/*"))
        .send(pattern("*/*/*"), ComponentPattern::everything());
    let options = ActorsOptions::new().grants(grants);
    let (runtime, there, _) = far(options, &["demo/secret/0", "demo/tally/0", "demo/tally/1"]).await;
    // Over TCP, where a peer is somebody else than this process.
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = Arc::new(TcpTransport::new(&listener.address()).unwrap());
    tokio::spawn(async move { runtime.serve(Box::new(listener)).await });
    assert_eq!(ask(&there, "demo/secret/0", "log nobody else sees this").await, "logged");
    assert_eq!(ask(&there, "demo/tally/0", "log seen").await, "logged");

    let near = Runtime::new().unwrap();
    let node = RemoteNode::new(&near, transport);
    let seen = bounded(node.components(false)).await.unwrap();
    assert_eq!(seen.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["demo/tally/0", "demo/tally/1"]);
    let page = bounded(node.logs(&LogQuery { limit: 10, ..LogQuery::default() })).await.unwrap();
    assert_eq!(page.lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["seen"]);
    assert_eq!(page.lines[0].fields[0], ("sum".to_owned(), "0".to_owned()));
    let secret = LogQuery { component: Some(id("demo/secret/0")), limit: 10, ..LogQuery::default() };
    let unseen = bounded(node.logs(&secret)).await.unwrap_err().to_string();
    assert!(unseen.contains("there is no component `demo/secret/0` here that this caller may see"), "{unseen}");
    let nobody = LogQuery { component: Some(id("demo/tally/9")), limit: 10, ..LogQuery::default() };
    assert!(bounded(node.logs(&nobody)).await.is_err());

    let from = id("test/asks/0");
    let answer = bounded(node.ask(&from, &id("demo/tally/0"), "add 7".into(), PATIENCE_MS)).await;
    assert_eq!(replied(answer), "7");
    let denied = bounded(node.send(&from, &id("demo/secret/0"), "add 7".into())).await.unwrap_err();
    assert!(
        matches!(&denied, MessagingError::InvalidMessage { reason } if reason.contains("not accepted")),
        "{denied}"
    );
    assert_eq!(ask(&there, "demo/secret/0", "get").await, "0");
}

/// A node that accepts messages as those grants say, over TCP, where a peer is somebody else than this process.
async fn far_over_tcp(grants: Grants) -> (Actors, RemoteNode) {
    let grants = grants.send(pattern("*/*/*"), ComponentPattern::everything());
    let (runtime, there, _) = far(ActorsOptions::new().grants(grants), &["demo/tally/0"]).await;
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = Arc::new(TcpTransport::new(&listener.address()).unwrap());
    tokio::spawn(async move { runtime.serve(Box::new(listener)).await });
    (there, RemoteNode::new(&Runtime::new().unwrap(), transport))
}

#[tokio::test]
async fn a_peer_that_may_deliver_nothing_is_refused_a_look() {
    let (_there, node) = far_over_tcp(Grants::new()).await;
    let refused = bounded(node.components(true)).await.unwrap_err();
    assert!(matches!(&refused, Failure::Refused(Refusal::Unauthorised { .. })), "{refused}");
    let refused = bounded(node.logs(&LogQuery { wait_ms: 30_000, ..LogQuery::default() })).await.unwrap_err();
    assert!(matches!(&refused, Failure::Refused(Refusal::Unauthorised { .. })), "{refused}");
}

#[tokio::test]
async fn peers_look_at_a_node_as_often_at_once_as_is_allowed_and_no_oftener() {
    let (there, node) = far_over_tcp(Grants::new().deliver(Audience::Anyone, ComponentPattern::everything())).await;
    let mut looks = tokio::task::JoinSet::new();
    for _ in 0..LOOKS_MAX + 1 {
        let node = node.clone();
        let query = LogQuery { after: Some(0), limit: 1, wait_ms: 30_000, ..LogQuery::default() };
        looks.spawn(async move { node.logs(&query).await });
    }
    let refused = bounded(looks.join_next()).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(&refused, Failure::Refused(Refusal::Overloaded { limit: 256, .. })), "{refused}");
    assert_eq!(ask(&there, "demo/tally/0", "log here").await, "logged");
    for _ in 0..LOOKS_MAX {
        let page = bounded(looks.join_next()).await.unwrap().unwrap().unwrap();
        assert_eq!(page.lines[0].message, "here");
    }
    assert_eq!(bounded(node.components(false)).await.unwrap().len(), 1, "there is room again");
}

#[tokio::test]
async fn who_follows_the_log_gets_a_line_when_it_comes() {
    let limits = LogLimits { lines_per_component: 2, ..LogLimits::default() };
    let (_runtime, there, transport) = far(ActorsOptions::new().log(limits), &["demo/tally/0"]).await;
    let node = RemoteNode::new(&Runtime::new().unwrap(), transport);
    let query = LogQuery { after: Some(0), limit: 10, wait_ms: 30_000, ..LogQuery::default() };
    let follow = tokio::spawn(async move { (node.logs(&query).await, node) });
    for _ in 0..3 {
        assert_eq!(ask(&there, "demo/tally/0", "log more").await, "logged");
    }
    let (first, node) = bounded(follow).await.unwrap();
    let first = first.unwrap();
    assert!(!first.lines.is_empty());
    let all = bounded(node.logs(&LogQuery { after: Some(0), limit: 10, ..LogQuery::default() })).await.unwrap();
    assert_eq!((all.lines.len(), all.next, all.forgotten), (2, 3, 1));
}

#[tokio::test]
async fn what_did_not_come_to_its_end_is_seen_by_the_operator_and_by_those_who_may_see_its_recipient() {
    let grants = Grants::new()
        .deliver(Audience::Anyone, pattern("demo/tally/*"))
        .send(pattern("*/*/*"), ComponentPattern::everything());
    let options = ActorsOptions::new().grants(grants);
    let (runtime, there, operator) = far(options, &["demo/secret/0", "demo/tally/0"]).await;
    for to in ["demo/secret/0", "demo/tally/0"] {
        let outcome = bounded(there.ask(&id("test/asks/0"), &id(to), "trap", PATIENCE_MS)).await;
        assert!(matches!(outcome, RequestOutcome::Failed(_)), "{outcome:?}");
    }
    // A way to a node that is not there: each message is taken, and lost.
    let nowhere = TcpTransport::new("tcp://127.0.0.1:1").unwrap();
    there.route(pattern("demo/far/*"), [Arc::new(nowhere) as Arc<dyn isorun::Transport>]).unwrap();
    assert_eq!(ask(&there, "demo/tally/0", "forward demo/far/0 add 1").await, "ok");
    let all = bounded(async {
        loop {
            let page = there.dead_letters(None, 0);
            if page.total() == 3 {
                break page;
            }
            tokio::task::yield_now().await;
        }
    });
    let all = all.await;
    assert_eq!(all.counts, [(DeadLetterReason::Crashed, 2), (DeadLetterReason::NotSent, 1)]);
    let last = &all.letters[0];
    assert_eq!((all.letters.len(), all.next, last.seq), (1, 3, 3));
    assert_eq!((last.sender.as_str(), last.recipient.as_str()), ("demo/tally/0", "demo/far/0"));
    assert!(!last.is_request && !last.why.is_empty() && last.bytes == 5, "{last:?}");

    // The operator's own way, page by page.
    let near = Runtime::new().unwrap();
    let node = RemoteNode::new(&near, operator);
    let first = bounded(node.dead_letters(Some(0), 2)).await.unwrap();
    let shown: Vec<_> = first.letters.iter().map(|it| (it.seq, it.recipient.as_str())).collect();
    assert_eq!((shown, first.next), (vec![(1, "demo/secret/0"), (2, "demo/tally/0")], 2));
    let rest = bounded(node.dead_letters(Some(first.next), 2)).await.unwrap();
    assert_eq!((rest.letters, rest.next, rest.forgotten), (all.letters, 3, 0));

    // Over TCP, where a peer is somebody else than this process.
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = Arc::new(TcpTransport::new(&listener.address()).unwrap());
    tokio::spawn(async move { runtime.serve(Box::new(listener)).await });
    let seen = bounded(RemoteNode::new(&near, transport).dead_letters(None, 10)).await.unwrap();
    assert_eq!(seen.letters.iter().map(|it| it.recipient.as_str()).collect::<Vec<_>>(), ["demo/tally/0"]);
    assert_eq!((seen.counts, seen.next), (vec![(DeadLetterReason::Crashed, 1)], 2));
}

#[tokio::test]
async fn the_ends_of_a_component_are_lines_of_its_log() {
    let runtime = Runtime::new().unwrap();
    let actors = runtime.actors(ActorsOptions::new()).unwrap();
    let options = SupervisorOptions { restarts_max: 1, backoff_ms: 1, ..SupervisorOptions::default() };
    actors.supervisor("strict", options, None, Restart::Temporary).unwrap();
    let tally = runtime.builder(&runtime.load(TALLY).unwrap());
    let kind = actors.kind_with_storage(tally, StorageQuota::default()).await.unwrap();
    actors.add(Actor::new(id("demo/tally/0"), &kind).under("strict")).await.unwrap();
    actors.start().await.unwrap();
    let lines = async |count: usize| {
        let query = LogQuery { after: Some(0), limit: 10, wait_ms: 0, ..LogQuery::default() };
        bounded(async {
            loop {
                let lines = actors.logs(&query).await.lines;
                if lines.len() >= count {
                    break lines;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    };
    for count in [2, 4] {
        let _ = bounded(actors.ask(&id("test/asks/0"), &id("demo/tally/0"), "trap", PATIENCE_MS)).await;
        lines(count).await;
    }
    let said = lines(4).await;
    let said: Vec<_> = said.iter().map(|line| (line.level, &*line.component, line.message.as_str())).collect();
    for at in [0, 2] {
        assert!(said[at].0 == LogLevel::Error && said[at].2.starts_with("failed: "), "{said:?}");
    }
    assert_eq!(said[1], (LogLevel::Warn, "demo/tally/0", "started again, restart 1"));
    assert!(said[3].0 == LogLevel::Error && said[3].2.starts_with("is not started again"), "{said:?}");
}

#[tokio::test]
async fn a_host_without_components_says_so() {
    let far = Runtime::new().unwrap();
    let (transport, _) = serve_channel(&far);
    let node = RemoteNode::new(&Runtime::new().unwrap(), transport);
    let failure = bounded(node.components(false)).await.unwrap_err();
    assert!(matches!(failure, Failure::Refused(_)), "{failure}");
    let error = bounded(node.send(&id("a/b/c"), &id("demo/tally/0"), "get".into())).await.unwrap_err();
    assert!(matches!(error, MessagingError::DeliveryFailed { may_have_arrived: false, .. }), "{error}");
}

#[tokio::test]
async fn whoever_knows_the_types_alone_can_deliver_and_look_as_well() {
    let (_runtime, there, transport) =
        far(ActorsOptions::new(), &["demo/tally/0", "demo/tally/1", "demo/tally/2"]).await;
    let host = Runtime::new().unwrap().remote_instance(transport, REFLECT_INSTANCE);
    let text = |text: &str| Val::String(text.into());
    let bytes = Val::List(b"add 5".iter().map(|byte| Val::U8(*byte)).collect());
    let payload = Val::Record(vec![("data".into(), bytes), ("content-type".into(), Val::Option(None))]);
    let message = Val::Record(vec![
        ("sender".into(), text("a/b/c")),
        ("recipient".into(), text("demo/tally/0")),
        ("payload".into(), payload),
        ("correlation-id".into(), Val::Option(None)),
        ("reply-to".into(), Val::Option(None)),
        ("timestamp-ms".into(), Val::U64(1)),
        ("timeout-ms".into(), Val::Option(None)),
    ]);
    let deliver = format!("{DELIVERY_INTERFACE}#deliver");
    let went = host.exec(&deliver, &[Val::List(vec![message])], CallOptions::default()).await.unwrap();
    assert_eq!(went, [Val::List(vec![Val::Result(Ok(None))])]);
    assert_eq!(ask(&there, "demo/tally/0", "get").await, "5");

    let components = format!("{COMPONENTS_INTERFACE}#components");
    let after = Val::Option(Some(Box::new(text("demo/tally/0"))));
    let args = [after, Val::U32(0), Val::Bool(true)];
    let page = host.exec(&components, &args, CallOptions::default()).await.unwrap().remove(0);
    let Val::Record(fields) = page else { panic!("{page:?}") };
    let Val::List(listed) = &fields[0].1 else { panic!("{fields:?}") };
    let Val::Record(one) = &listed[0] else { panic!("{listed:?}") };
    assert_eq!((listed.len(), &one[0].1, &fields[1].1), (1, &text("demo/tally/1"), &Val::Bool(true)));
    let outcome = format!("{DELIVERY_INTERFACE}#outcome");
    let refused = host.exec(&outcome, &[text("no uuid")], CallOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains("no UUID"), "{refused}");

    let outcomes = format!("{DELIVERY_INTERFACE}#outcomes");
    let of = |ids: Vec<Val>| [Val::List(ids), Val::U32(u32::MAX)];
    let refused = host.exec(&outcomes, &of(vec![text("no uuid")]), CallOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains("no UUID"), "{refused}");
    let unknown = text("00000000-0000-4000-8000-000000000000");
    let most = of(vec![unknown.clone(); OUTCOMES_MAX]);
    let came = host.exec(&outcomes, &most, CallOptions::default()).await.unwrap();
    let [Val::List(came)] = &came[..] else { panic!("{came:?}") };
    let lost =
        |one: &Val| matches!(one, Val::Tuple(one) if matches!(&one[1], Val::Variant(case, _) if case == "failed"));
    assert!(!came.is_empty() && came.iter().all(lost), "{came:?}");
    let many = of(vec![unknown; OUTCOMES_MAX + 1]);
    let refused = host.exec(&outcomes, &many, CallOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains("1025 outcomes at once, 1024 are allowed"), "{refused}");
    assert_eq!(host.exec(&outcomes, &of(Vec::new()), CallOptions::default()).await.unwrap(), [Val::List(Vec::new())]);
}

/// Requests to a component that does not answer, more than there are calls by which outcomes are fetched, keep no other
/// component's answer back.
#[tokio::test]
async fn a_component_that_is_stuck_keeps_no_answers_of_others_from_who_asked() {
    let (_runtime, there, transport) = far(ActorsOptions::new(), &["demo/tally/0", "demo/tally/1"]).await;
    let near = Runtime::new().unwrap();
    let remote = Arc::new(RemoteDelivery::new(host(&near, transport)));
    let until = std::time::Instant::now() + std::time::Duration::from_millis(10 * PATIENCE_MS);
    let request = |to: &str, text: &'static str, number: u64| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let correlation = CorrelationId::from_random(bytes);
        let message = ComponentMessage {
            correlation_id: Some(correlation),
            timeout_ms: Some(10 * PATIENCE_MS),
            ..ComponentMessage::new(id("test/asks/0"), id(to), text)
        };
        (correlation, message)
    };
    // One is in hand for longer than the test, the others wait behind it; the mailbox has room for as many.
    let long = format!("sleep {}", 9 * PATIENCE_MS);
    let mut stuck = vec![request("demo/tally/0", long.leak(), 0)];
    stuck.extend((1..STUCK).map(|number| request("demo/tally/0", "get", number)));
    let (ids, messages): (Vec<_>, Vec<_>) = stuck.into_iter().unzip();
    let went = bounded(remote.deliver(messages)).await.unwrap();
    assert!(went.iter().all(Result::is_ok), "{went:?}");
    let mut waits = tokio::task::JoinSet::new();
    for id in ids {
        let remote = remote.clone();
        waits.spawn(async move { remote.outcome(id, until).await });
    }
    for number in 0..3 {
        let (id, message) = request("demo/tally/1", "add 1", STUCK + number);
        assert_eq!(bounded(remote.deliver(vec![message])).await.unwrap(), [Ok(())]);
        assert_eq!(replied(bounded(remote.outcome(id, until)).await.unwrap()), (number + 1).to_string());
        assert!(waits.try_join_next().is_none(), "the others wait");
    }
    // What they get when the component goes.
    assert!(there.remove(&id("demo/tally/0")).await);
    while let Some(outcome) = bounded(waits.join_next()).await {
        let outcome = outcome.unwrap();
        assert!(matches!(outcome, Ok(RequestOutcome::Failed(MessagingError::DeliveryFailed { .. }))), "{outcome:?}");
    }
}

#[tokio::test]
async fn components_of_one_id_are_added_and_removed_one_after_the_other() {
    let runtime = Runtime::new().unwrap();
    let actors = node(&runtime, ActorsOptions::new(), &[]).await;
    let tally = runtime.builder(&runtime.load(TALLY).unwrap());
    let tally = actors.kind_with_storage(tally, StorageQuota::default()).await.unwrap();
    let one = id("demo/tally/0");
    for _ in 0..5 {
        let add = || actors.add(Actor::new(one.clone(), &tally));
        bounded(async { tokio::join!(add(), actors.remove(&one), add(), actors.remove(&one), add()) }).await.0.unwrap();
        // Whichever came last: it is there with its links and its supervisor, or it is gone and can be added.
        if actors.system().component(&one).is_none() {
            bounded(add()).await.unwrap();
        }
        assert_eq!(ask(&actors, "demo/tally/0", "add 1").await, "1");
        assert!(bounded(actors.remove(&one)).await);
        assert!(!bounded(actors.remove(&one)).await);
    }
}

#[tokio::test]
async fn the_types_are_those_of_the_wit_files() {
    let (_runtime, _there, transport) = far(ActorsOptions::new(), &[]).await;
    let host = Runtime::new().unwrap().remote_instance(transport, REFLECT_INSTANCE);
    let printed = host.ledger().await.unwrap().to_string();
    for (name, wit) in [
        ("delivery", include_str!("../../../wit/delivery.wit")),
        ("components", include_str!("../../../wit/components.wit")),
    ] {
        assert_eq!(items(&printed, name), items(wit, name), "{name}");
    }
}

/// The types and functions of an interface, without comments and however they are laid out.
fn items(wit: &str, interface: &str) -> BTreeSet<String> {
    let code: String = wit.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join(" ");
    let body = code.split_once(&format!("interface {interface} {{")).unwrap().1;
    let (mut depth, mut items, mut item) = (1, BTreeSet::new(), String::new());
    for c in body.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        item.push(c);
        if depth == 1 && matches!(c, ';' | '}') {
            let one = item.split_whitespace().collect::<Vec<_>>().join(" ");
            items.insert(one.replace(", }", " }").replace(",}", " }"));
            item.clear();
        }
    }
    items
}
