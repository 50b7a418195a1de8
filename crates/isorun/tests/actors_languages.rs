//! Components that live, in four languages, each with each.
//!
//! The one in C is committed. `cargo xtask test` builds the others and names their folder in `ISORUN_GUESTS`; those that are
//! not built are left out, visibly. Each is compiled once, which for one that brings an interpreter takes 10 to 20 seconds:
//! hence one test that does much.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use isorun_core::{Budget, ComponentConfig, ComponentId, MessagingError, RequestOutcome};
use isorun_messaging::{
    ActorSystem, ActorSystemOptions, Child, ComponentRef, ComponentSpec, DeadLetterReason, Exit, LifecycleState,
};
use isorun_runtime::{ComponentSetup, Link, LinkTarget, Selector, SystemComponent, WasmtimeEngine};
use isorun_storage::RedbStorage;
use isorun_system::{ActorMessaging, ActorServices, ActorStorage, Logger};
use tempfile::TempDir;
use tokio::time::timeout;

const TALLY: &[u8] = include_bytes!("../../../guests/prebuilt/tally.wasm");

/// How long a step may take where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// A built guest, or `None` where those of its language are left out.
fn built(name: &str) -> Option<Vec<u8>> {
    let language = name.split('-').next().unwrap();
    let without = std::env::var("ISORUN_WITHOUT").unwrap_or_default();
    if without.split(',').any(|left_out| left_out == format!("{language}-guests")) {
        eprintln!("skipped: {name}.wasm (`--without {language}-guests`)");
        return None;
    }
    let Some(folder) = std::env::var_os("ISORUN_GUESTS") else {
        eprintln!("skipped: {name}.wasm (ISORUN_GUESTS is not set; `cargo xtask test` builds it)");
        return None;
    };
    let path = Path::new(&folder).join(format!("{name}.wasm"));
    Some(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// Every language that there is, with its component.
fn languages() -> Vec<(&'static str, Vec<u8>)> {
    let others = ["rust", "js", "py"].into_iter();
    let others = others.filter_map(|language| Some((language, built(&format!("{language}-tally"))?)));
    [("c", TALLY.to_vec())].into_iter().chain(others).collect()
}

/// A node: components, and what they are linked with.
struct Node {
    system: ActorSystem,
    /// Where they store what they keep.
    _folder: TempDir,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = RedbStorage::open(folder.path().join("kept.redb")).unwrap();
        let engine = WasmtimeEngine::new().unwrap();
        let system = ActorSystem::new(Arc::new(engine.clone()), ActorSystemOptions::default());
        let links: Arc<[Link]> = Arc::from([
            link("isorun:actor/host-messaging", ActorMessaging::new(system.weak_messenger())),
            link("isorun:actor/host-services", ActorServices::new(system.weak_messenger(), Logger::new())),
            link("isorun:actor/storage", ActorStorage::new(Arc::new(storage))),
        ]);
        // The doubler imports no more than it uses.
        let messaging: Arc<[Link]> = Arc::from([links[0].clone()]);
        engine.set_up_components(move |id| ComponentSetup {
            links: if id.name() == "doubler" { messaging.clone() } else { links.clone() },
            budget: Budget { wall_ms: 60_000, ..Budget::default() },
        });
        Self { system, _folder: folder }
    }

    async fn start(&self, id: &str, wasm: &[u8], settings: &[(&str, &str)]) -> ComponentRef {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let mut spec = ComponentSpec::new(parsed(id), wasm.to_vec());
        spec.config = ComponentConfig { settings, restarts: 0 };
        let added = self.system.add(spec).await.unwrap();
        timeout(PATIENCE, added.start()).await.unwrap().unwrap();
        added
    }

    async fn ask(&self, id: &str, text: &str) -> RequestOutcome {
        self.system.ask(me(), &parsed(id), text.as_bytes().to_vec(), PATIENCE.as_millis() as u64).await
    }

    /// What a component answers.
    async fn told(&self, id: &str, text: &str) -> String {
        match self.ask(id, text).await {
            RequestOutcome::Replied(payload) => String::from_utf8(payload.data.to_vec()).unwrap(),
            other => panic!("{id} {text}: {other:?}"),
        }
    }

    /// Has one component ask another, and waits until it knows the outcome.
    async fn asks(&self, from: &str, to: &str, text: &str) -> String {
        let heard: u32 = self.told(from, "heard").await.parse().unwrap();
        let correlation = self.told(from, &format!("ask {to} {text}")).await;
        let known = async {
            while self.told(from, "heard").await.parse::<u32>().unwrap() == heard {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, known).await.expect("the outcome does not come");
        let last = self.told(from, "last").await;
        let outcome = last.strip_prefix(&format!("{correlation} {to} "));
        outcome.unwrap_or_else(|| panic!("{last}")).to_owned()
    }
}

fn link(selector: &str, component: impl SystemComponent) -> Link {
    Link { selector: Selector::parse(selector), target: LinkTarget::System(Arc::new(component)) }
}

fn parsed(id: &str) -> ComponentId {
    ComponentId::parse(id).unwrap()
}

fn me() -> &'static ComponentId {
    static ME: OnceLock<ComponentId> = OnceLock::new();
    ME.get_or_init(|| parsed("test/me/0"))
}

#[tokio::test]
async fn components_of_four_languages_live_together() {
    let node = Node::new();
    let mut all = Vec::new();
    for (language, wasm) in languages() {
        let id = format!("demo/tally/{language}");
        all.push((id.clone(), node.start(&id, &wasm, &[("timeout-ms", "30000")]).await));
    }
    let ids: Vec<&str> = all.iter().map(|(id, _)| id.as_str()).collect();
    see_each_other(&node, &ids).await;
    ask_each_other(&node, &ids).await;
    count_what_is_sent(&node, &ids).await;
    node.start(WITNESS, TALLY, &[]).await;
    for (id, component) in &all {
        fail_and_begin_again(&node, id, component).await;
    }
    for (id, component) in &all {
        timeout(PATIENCE, component.stop(60_000)).await.unwrap();
        assert_eq!(component.state(), LifecycleState::Stopped, "{id}");
        assert_eq!(component.exited().await, Exit::Normal, "{id}");
    }
}

async fn see_each_other(node: &Node, ids: &[&str]) {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    for id in ids {
        assert_eq!(node.told(id, "who").await, format!("{id}\n{}", sorted.join("\n")));
        assert_eq!(node.told(id, "restarts").await, "0");
        for other in ids {
            assert_eq!(node.told(id, &format!("about {other}")).await, "tally 0.1.0", "{id} of {other}");
        }
        assert_eq!(node.told(id, "about demo/tally/other").await, "unknown");
    }
}

async fn ask_each_other(node: &Node, ids: &[&str]) {
    for from in ids {
        for to in ids {
            let pair = format!("{from} asks {to}");
            assert_eq!(node.asks(from, to, "echo grüße").await, "replied: grüße", "{pair}");
            assert_eq!(node.asks(from, to, "quiet").await, "no-reply", "{pair}");
            assert_eq!(node.asks(from, to, "reject").await, "refused: told to reject", "{pair}");
            let expected = format!("replied: {from} {from} ");
            let envelope = node.asks(from, to, "envelope").await;
            assert!(envelope.starts_with(&expected), "{pair}: {envelope}");
        }
        // An error at once, and no outcome later.
        let heard = node.told(from, "heard").await;
        let nobody = "demo/tally/nobody";
        assert_eq!(node.told(from, &format!("ask {nobody} x")).await, format!("target-not-found: {nobody}"));
        assert!(node.told(from, "forward no-id x").await.starts_with("invalid-message: "), "{from}");
        assert_eq!(node.told(from, "heard").await, heard);
    }
}

async fn count_what_is_sent(node: &Node, ids: &[&str]) {
    for from in ids {
        for to in ids {
            assert_eq!(node.told(from, &format!("forward {to} add 10")).await, "ok");
        }
        let all = format!("broadcast {},demo/tally/nobody add 1", ids.join(","));
        let expected = format!("{}target-not-found: demo/tally/nobody", "ok\n".repeat(ids.len()));
        assert_eq!(node.told(from, &all).await, expected, "{from}");
    }
    for id in ids {
        // What was sent before this is asked is in the mailbox before it.
        assert_eq!(node.told(id, "get").await, (11 * ids.len()).to_string(), "{id}");
    }
}

async fn fail_and_begin_again(node: &Node, id: &str, component: &ComponentRef) {
    assert_eq!(node.told(id, &format!("store note of {id}")).await, "ok");
    for (lives, how) in ["fail", "trap"].into_iter().enumerate() {
        assert_ne!(node.told(id, "add 5").await, "0", "{id}");
        let outcome = node.asks(WITNESS, id, how).await;
        assert!(outcome.starts_with("failed: delivery-failed, may have arrived: "), "{id} {how}: {outcome}");
        let exit = timeout(PATIENCE, component.exited()).await.unwrap();
        let Exit::Failed { reason } = &exit else { panic!("{id} {how}: {exit:?}") };
        assert!(how == "trap" || reason.contains("told to fail"), "{id} {how}: {reason}");
        assert_eq!(component.state(), LifecycleState::Stopped);
        timeout(PATIENCE, component.start()).await.unwrap().unwrap();
        assert_eq!(node.told(id, "restarts").await, (lives + 1).to_string(), "{id} {how}");
        assert_eq!(node.told(id, "get").await, "0", "{id}: memory is fresh");
        assert_eq!(node.told(id, "load note").await, format!("of {id}"), "{id}: storage is not");
    }
}

/// Asks those that are to fail.
const WITNESS: &str = "demo/witness/0";

#[tokio::test]
async fn an_answer_that_comes_too_late_is_a_timeout_and_is_counted() {
    let node = Node::new();
    node.start("demo/tally/slow", TALLY, &[]).await;
    node.start("demo/tally/quick", TALLY, &[("timeout-ms", "500")]).await;
    let outcome = node.asks("demo/tally/quick", "demo/tally/slow", "sleep 3000").await;
    assert_eq!(outcome, "failed: correlation-timeout");
    // Answered after it slept: what was late is late by now.
    assert_eq!(node.told("demo/tally/slow", "get").await, "0");
    assert_eq!(node.told("demo/tally/quick", "heard").await, "1");
    let (stats, letters) = (node.system.stats(), node.system.dead_letters());
    // On a machine that stood still meanwhile, the slow one was not even asked.
    assert_eq!(stats.late_replies + letters.count(DeadLetterReason::Expired), 1, "{stats:?}");
    assert_eq!(stats.timed_out, 1, "{stats:?}");
}

#[tokio::test]
async fn what_is_durable_is_there_after_a_component_failed_and_is_its_own() {
    let node = Node::new();
    let component = node.start("demo/tally/0", TALLY, &[("durable", "true")]).await;
    node.start("demo/tally/1", TALLY, &[("durable", "true")]).await;
    assert_eq!(node.told("demo/tally/0", "add 40").await, "40");
    let outcome = node.ask("demo/tally/0", "trap").await;
    let may_have_arrived = match &outcome {
        RequestOutcome::Failed(MessagingError::DeliveryFailed { may_have_arrived, .. }) => *may_have_arrived,
        other => panic!("{other:?}"),
    };
    assert!(may_have_arrived);
    timeout(PATIENCE, component.exited()).await.unwrap();
    timeout(PATIENCE, component.start()).await.unwrap().unwrap();
    assert_eq!(node.told("demo/tally/0", "add 2").await, "42");
    assert_eq!(node.told("demo/tally/1", "load sum").await, "absent");
}

#[tokio::test]
async fn the_example_of_the_documentation_counts_with_a_component_in_c() {
    let Some(doubler) = built("rust-doubler") else { return };
    let node = Node::new();
    node.start("demo/counter/0", TALLY, &[]).await;
    node.start("demo/doubler/0", &doubler, &[]).await;
    assert_eq!(node.told("demo/doubler/0", "21").await, "42");
    // It sent its own request before it answered.
    assert_eq!(node.told("demo/counter/0", "get").await, "42");
    match node.ask("demo/doubler/0", "many").await {
        RequestOutcome::Refused { reason } => assert_eq!(reason, "`many` is no number"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_example_of_the_documentation_is_the_one_that_is_built() {
    let docs = include_str!("../../../docs/actors.md");
    let source = include_str!("../../../guests/rust/doubler/src/lib.rs");
    let (_, example) = docs.split_once("```rust\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let example = example.replace("path: \"wit\"", "path: \"../../../wit/actor.wit\"");
    assert!(source.ends_with(&example), "docs/actors.md and guests/rust/doubler/src/lib.rs have come apart");
}
