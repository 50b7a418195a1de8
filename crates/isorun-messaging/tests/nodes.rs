//! Messages between the components of two nodes, over a way that can fail in every manner.

mod common;

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::*;
use isorun_core::*;
use isorun_messaging::*;

/// What becomes of deliveries from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fine,
    /// Nothing leaves.
    NotSent,
    /// Nothing leaves, since the other end declines.
    Refused,
    /// All arrives, and no word of it comes back.
    Unknown,
    /// It ran out of time there.
    Deadline,
    /// The other end fails.
    Failed,
    /// Nothing is heard, ever.
    Silent,
    /// The other end says nothing of the last message.
    Short,
    /// The other end says more than was asked.
    Long,
    /// All arrives, and no outcome comes back.
    NoOutcome,
    /// All arrives, and outcomes are never heard of.
    SilentOutcome,
}

/// A way to another node, in memory.
struct Way {
    to: Arc<dyn Delivery>,
    weather: Mutex<Weather>,
    batches: Mutex<Vec<usize>>,
}

impl Way {
    fn to(system: &ActorSystem) -> Arc<Self> {
        let to = system.delivery(&PeerIdentity::Authenticated { name: "one".into() });
        Arc::new(Self { to, weather: Mutex::new(Weather::Fine), batches: Mutex::default() })
    }

    fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    fn batches(&self) -> Vec<usize> {
        self.batches.lock().unwrap().clone()
    }
}

impl Delivery for Way {
    fn deliver(
        &self,
        messages: Vec<ComponentMessage>,
    ) -> BoxFuture<'_, Result<Vec<Result<(), MessagingError>>, Failure>> {
        Box::pin(async move {
            self.batches.lock().unwrap().push(messages.len());
            let cause = || "rain".to_owned();
            match self.weather() {
                Weather::NotSent => return Err(Failure::NotSent { cause: cause() }),
                Weather::Refused => return Err(Refusal::Overloaded { what: cause(), limit: 1 }.into()),
                Weather::Silent => return pending().await,
                _ => {}
            }
            let mut results = self.to.deliver(messages).await?;
            match self.weather() {
                Weather::Unknown => Err(Failure::Unknown { cause: cause() }),
                Weather::Deadline => Err(Failure::Deadline { waited_ms: 1 }),
                Weather::Failed => Err(Fault::OutOfFuel { limit: 1 }.into()),
                Weather::Short => {
                    results.pop();
                    Ok(results)
                }
                Weather::Long => {
                    results.push(Ok(()));
                    Ok(results)
                }
                _ => Ok(results),
            }
        })
    }

    fn outcome(&self, id: CorrelationId, until: Instant) -> BoxFuture<'_, Result<RequestOutcome, Failure>> {
        Box::pin(async move {
            match self.weather() {
                Weather::NoOutcome => Err(Failure::NotSent { cause: "rain".into() }),
                Weather::SilentOutcome => pending().await,
                _ => self.to.outcome(id, until).await,
            }
        })
    }
}

/// Two nodes, of which the first reaches components `*/far/*` of the second.
struct Nodes {
    near: Stage,
    far: Stage,
    way: Arc<Way>,
    seen: Seen,
}

fn far(name: &str) -> ComponentId {
    ComponentId::new("demo", "far", name)
}

impl Nodes {
    async fn new() -> Self {
        Self::with(ActorSystemOptions::default(), ActorSystemOptions::default()).await
    }

    async fn with(near: ActorSystemOptions, other: ActorSystemOptions) -> Self {
        let (near, there, seen) = (Stage::with(near), Stage::with(other), Seen::default());
        let way = Way::to(&there.system);
        near.system.route(ComponentPattern::parse("*/far/*").unwrap(), way.clone()).unwrap();
        near.run("a", listener(&seen)).await;
        Self { near, far: there, way, seen }
    }

    async fn add_far(&self, name: &str, script: Script) -> ComponentRef {
        self.far.engine.script(&far(name), script);
        self.far.system.add(ComponentSpec::new(far(name), "component")).await.unwrap()
    }

    async fn run_far(&self, name: &str, script: Script) -> ComponentRef {
        let component = self.add_far(name, script).await;
        component.start().await.unwrap();
        component
    }

    fn send(&self, to: &str, payload: &'static str) -> Result<(), MessagingError> {
        self.near.system.send(&id("a"), &far(to), payload.into())
    }

    fn request(&self, to: &str, payload: &'static str, ms: u64) -> Result<CorrelationId, MessagingError> {
        self.near.system.request(&id("a"), &far(to), payload.into(), ms)
    }

    fn dead(&self) -> Vec<(DeadLetterReason, u64)> {
        let letters = self.near.system.dead_letters();
        let counted = DeadLetterReason::ALL.map(|reason| (reason, letters.count(reason)));
        counted.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn messages_and_answers_cross_in_their_order() {
    let (nodes, there) = (Nodes::new().await, Seen::default());
    nodes.run_far("b", listener(&there)).await;
    nodes.run_far("echo", echo()).await;
    let texts = ["one", "two", "three"];
    for text in texts {
        nodes.send("b", text).unwrap();
    }
    nodes.request("echo", "hello", 1_000).unwrap();
    settle().await;
    assert_eq!(there.all(), texts);
    assert_eq!(nodes.seen.all(), ["replied hello"]);
    assert_eq!(nodes.way.batches(), [4], "what is there together leaves together");
    let outcome = nodes.near.system.ask(&id("x"), &far("echo"), "asked", 1_000).await;
    assert_eq!(outcome_text(&outcome), "replied asked");
    assert_eq!((nodes.near.system.stats().forwarded, nodes.far.system.stats().held), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn each_failure_says_whether_the_request_may_have_arrived() {
    use DeadLetterReason as Dead;
    for (weather, heard, dead) in [
        (Weather::Fine, "replied hello", vec![]),
        (Weather::NotSent, "failed, may have arrived: false", vec![(Dead::NotSent, 2)]),
        (Weather::Refused, "failed, may have arrived: false", vec![(Dead::NotSent, 2)]),
        (Weather::Unknown, "failed, may have arrived: true", vec![(Dead::Unknown, 2)]),
        (Weather::Deadline, "failed, may have arrived: true", vec![(Dead::Unknown, 2)]),
        (Weather::Failed, "failed, may have arrived: true", vec![(Dead::Unknown, 2)]),
        (Weather::Short, "failed, may have arrived: true", vec![(Dead::Unknown, 1)]),
        (Weather::Long, "replied hello", vec![]),
        (Weather::NoOutcome, "failed, may have arrived: true", vec![]),
        (Weather::SilentOutcome, "failed: no answer came in time", vec![]),
        (Weather::Silent, "failed: no answer came in time", vec![(Dead::Unknown, 2)]),
    ] {
        let nodes = Nodes::new().await;
        let echo = nodes.run_far("echo", echo()).await;
        nodes.way.set(weather);
        nodes.send("echo", "one way").unwrap();
        nodes.request("echo", "hello", 1_000).unwrap();
        pass(1_000).await;
        assert_eq!(nodes.seen.all(), [heard], "{weather:?}");
        pass(30_000).await;
        assert_eq!((nodes.dead(), nodes.seen.all().len()), (dead, 1), "{weather:?}");
        let never_came = matches!(weather, Weather::NotSent | Weather::Refused | Weather::Silent);
        assert_eq!(echo.usage().unwrap().calls, if never_came { 1 } else { 3 }, "{weather:?}: once, or not at all");
        // What was sent before does not keep what is sent now.
        nodes.way.set(Weather::Fine);
        nodes.request("echo", "again", 1_000).unwrap();
        settle().await;
        assert_eq!(nodes.seen.all(), [heard, "replied again"], "{weather:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_other_node_refuses_is_told_message_by_message() {
    let nodes = Nodes::new().await;
    nodes.run_far("echo", echo()).await;
    for to in ["nobody", "echo"] {
        nodes.request(to, "hello", 1_000).unwrap();
    }
    nodes.send("nobody", "lost").unwrap();
    settle().await;
    let mut seen = nodes.seen.all();
    seen.sort();
    assert_eq!(seen, ["failed: there is no component `demo/far/nobody`", "replied hello"]);
    assert_eq!(nodes.dead(), [(DeadLetterReason::Refused, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_request_to_one_that_crashes_there_may_have_arrived() {
    let nodes = Nodes::new().await;
    let fragile = nodes.run_far("fragile", fragile()).await;
    nodes.request("fragile", "crash", 1_000).unwrap();
    settle().await;
    assert_eq!(nodes.seen.all(), ["failed, may have arrived: true"]);
    nodes.request("fragile", "waits", 1_000).unwrap();
    settle().await;
    fragile.start().await.unwrap();
    settle().await;
    assert_eq!(nodes.seen.all()[1], "replied waits");
}

#[tokio::test(start_paused = true)]
async fn an_outbox_that_is_full_refuses_at_once() {
    let outbox = MailboxLimits { messages: 2, bytes: 100 };
    let nodes = Nodes::with(ActorSystemOptions::default().outbox(outbox), ActorSystemOptions::default()).await;
    nodes.run_far("echo", echo()).await;
    nodes.way.set(Weather::Silent);
    nodes.send("echo", "under way").unwrap();
    settle().await;
    nodes.send("echo", "waits").unwrap();
    nodes.request("echo", "waits too", 1_000).unwrap();
    assert_eq!(nodes.send("echo", ""), Err(MessagingError::QueueFull));
    assert_eq!(nodes.request("echo", "", 1_000), Err(MessagingError::QueueFull));
    nodes.way.set(Weather::Fine);
    // The first batch is given up after its time; the request's is over by then, and it does not leave.
    pass(1_000).await;
    assert_eq!(nodes.seen.all(), ["failed: no answer came in time"]);
    pass(30_000).await;
    assert_eq!(nodes.way.batches(), [1, 1]);
    assert_eq!(nodes.dead(), [(DeadLetterReason::Expired, 1), (DeadLetterReason::Unknown, 1)]);
}

#[tokio::test(start_paused = true)]
async fn batches_are_bounded_in_messages() {
    let nodes = Nodes::new().await;
    nodes.run_far("b", Script::default()).await;
    for _ in 0..2 * BATCH_MESSAGES_MAX + 1 {
        nodes.send("b", "").unwrap();
    }
    settle().await;
    assert_eq!(nodes.way.batches(), [BATCH_MESSAGES_MAX, BATCH_MESSAGES_MAX, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_route_that_names_most_is_taken_and_a_component_here_comes_first() {
    let (nodes, here) = (Nodes::new().await, Seen::default());
    let (all, one) = (Way::to(&nodes.far.system), Way::to(&nodes.far.system));
    nodes.near.system.route(ComponentPattern::everything(), all.clone()).unwrap();
    nodes.near.system.route(ComponentPattern::parse("demo/far/x").unwrap(), one.clone()).unwrap();
    let send = |to: ComponentId| nodes.near.system.send(&id("a"), &to, "".into()).unwrap();
    send(far("x"));
    send(far("y"));
    send(id("elsewhere"));
    nodes.near.run("b", listener(&here)).await;
    send(id("b"));
    settle().await;
    assert_eq!([one.batches(), nodes.way.batches(), all.batches()], [[1], [1], [1]]);
    assert_eq!(here.all().len(), 1);
    assert!(nodes.near.system.unroute(&ComponentPattern::everything()));
    assert!(!nodes.near.system.unroute(&ComponentPattern::everything()));
    let sent = nodes.near.send("a", "elsewhere", "");
    assert!(matches!(sent, Err(MessagingError::TargetNotFound { .. })), "{sent:?}");
}

/// Another node that takes all there is, and answers nothing.
struct Mute;

impl Delivery for Mute {
    fn deliver(&self, all: Vec<ComponentMessage>) -> BoxFuture<'_, Result<Vec<Result<(), MessagingError>>, Failure>> {
        Box::pin(std::future::ready(Ok(vec![Ok(()); all.len()])))
    }

    fn outcome(&self, _: CorrelationId, _: Instant) -> BoxFuture<'_, Result<RequestOutcome, Failure>> {
        Box::pin(pending())
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_given_up_make_room_on_their_route() {
    let stage = Stage::new();
    stage.system.route(ComponentPattern::parse("*/far/*").unwrap(), Arc::new(Mute)).unwrap();
    stage.run("a", Script::default()).await;
    for n in 1..=2 * ROUTE_REQUESTS_MAX {
        let asked = stage.system.request(&id("a"), &far("b"), "".into(), 3_600_000).unwrap();
        if n % 512 == 0 {
            // Their outcomes are waited for by then.
            settle().await;
        }
        assert!(stage.system.cancel_request(&id("a"), asked));
    }
    let (x, b) = (id("x"), far("b"));
    for _ in 0..=ROUTE_REQUESTS_MAX {
        // It leaves, and whoever asked goes.
        let asked = tokio::time::timeout(Duration::from_millis(1), stage.system.ask(&x, &b, "", 3_600_000));
        assert!(asked.await.is_err());
    }
    assert_eq!((stage.system.stats().late_replies, stage.system.stats().requests_open), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_component_that_asks_all_it_may_leaves_a_route_to_others() {
    let stage = Stage::new();
    stage.system.route(ComponentPattern::parse("*/far/*").unwrap(), Arc::new(Mute)).unwrap();
    let request = |from| stage.system.request(&id(from), &far("b"), "".into(), 3_600_000);
    stage.run("a", Script::default()).await;
    stage.run("other", Script::default()).await;
    for n in 1..=REQUESTS_MAX {
        request("a").unwrap();
        if n % 512 == 0 {
            settle().await;
        }
    }
    assert_eq!(request("a"), Err(MessagingError::QueueFull));
    request("other").unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_route_that_is_taken_away_did_not_arrive() {
    let nodes = Nodes::new().await;
    nodes.way.set(Weather::Silent);
    nodes.send("b", "under way").unwrap();
    settle().await;
    nodes.request("b", "waits", 100_000).unwrap();
    let other = Way::to(&nodes.far.system);
    nodes.near.system.route(ComponentPattern::parse("*/far/*").unwrap(), other.clone()).unwrap();
    settle().await;
    assert_eq!(nodes.seen.all(), ["failed, may have arrived: false"]);
    nodes.send("b", "anew").unwrap();
    pass(30_000).await;
    assert_eq!(other.batches(), [1]);
    assert_eq!(
        nodes.dead(),
        [(DeadLetterReason::NotSent, 1), (DeadLetterReason::Refused, 1), (DeadLetterReason::Unknown, 1)]
    );
}

/// The lines about routes that this thread writes, as `LEVEL message field=value..`.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Those since the last look.
    fn new_ones(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO && metadata.target().contains("losses")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &match field.name() {
                    "message" => format!(" {value:?}"),
                    name => format!(" {name}={value:?}"),
                };
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn what_a_route_loses_is_told_at_once_and_then_in_a_line_every_few_seconds() {
    let lines = Lines::default();
    let _told = tracing::subscriber::set_default(lines.clone());
    let nodes = Nodes::new().await;
    nodes.run_far("b", Script::default()).await;
    let line = |messages: u64, one_way: u64, words: &str| {
        let fields = format!("reason=not-sent messages={messages} one_way={one_way} may_have_arrived=false");
        let (before, after) = lines.new_ones().join("\n").split_once("route=").map(own).unwrap_or_default();
        assert!(before.starts_with("WARN messages over a route were lost: ") && before.contains(words), "{before}");
        assert_eq!(after, format!("\"*/far/*\" {fields}"));
    };
    nodes.way.set(Weather::NotSent);
    nodes.send("b", "one").unwrap();
    nodes.request("b", "two", 1_000).unwrap();
    settle().await;
    line(2, 1, "rain");
    for _ in 0..3 {
        pass(1_000).await;
        nodes.send("b", "more").unwrap();
        settle().await;
    }
    assert_eq!(lines.new_ones(), [""; 0]);
    // Nothing more has to happen for those to be told.
    pass(LOSS_LINES_MS - 3_000).await;
    line(3, 3, "rain");
    pass(2 * LOSS_LINES_MS).await;
    assert_eq!(lines.new_ones(), [""; 0]);

    nodes.way.set(Weather::Fine);
    nodes.send("b", "arrives").unwrap();
    nodes.send("b", "arrives too").unwrap();
    settle().await;
    let again = lines.new_ones();
    assert_eq!(again, ["INFO messages over a route arrive again route=\"*/far/*\" lost=5"]);

    // Another reason has lines of its own, and a message that is refused makes no outage.
    for _ in 0..100 {
        nodes.send("nobody", "lost").unwrap();
    }
    settle().await;
    let refused = lines.new_ones();
    assert!(refused.len() == 1 && refused[0].contains("reason=refused messages=100"), "{refused:?}");
    assert!(refused[0].contains("there is no component `demo/far/nobody`"), "{refused:?}");
    nodes.send("nobody", "lost").unwrap();
    settle().await;
    nodes.send("b", "arrives").unwrap();
    settle().await;
    assert_eq!(lines.new_ones(), [""; 0]);
    // What is held back is told when the route goes.
    nodes.near.system.unroute(&ComponentPattern::parse("*/far/*").unwrap());
    settle().await;
    let last = lines.new_ones();
    assert!(last.len() == 1 && last[0].contains("reason=refused messages=1 "), "{last:?}");
}

fn own((before, after): (&str, &str)) -> (String, String) {
    (before.to_owned(), after.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_says_who_whom_and_why_in_order_and_on_one_line() {
    let nodes = Nodes::new().await;
    nodes.way.set(Weather::Unknown);
    for n in 0..DEAD_LETTERS_KEPT + 2 {
        nodes.send("b", if n == 0 { "first" } else { "again" }).unwrap();
        settle().await;
    }
    let letters = nodes.near.system.dead_letters();
    let kept: Vec<_> = letters.recent().collect();
    assert_eq!((kept.len(), letters.total()), (DEAD_LETTERS_KEPT, DEAD_LETTERS_KEPT as u64 + 2));
    assert_eq!((kept[0].seq, kept[DEAD_LETTERS_KEPT - 1].seq), (3, letters.total()));
    let last = kept[DEAD_LETTERS_KEPT - 1];
    assert_eq!((&last.sender, &last.recipient, last.bytes, last.is_request), (&id("a"), &far("b"), 5, false));
    assert!(last.why.contains("rain") && last.reason.may_have_arrived(), "{last:?}");
}

fn message(to: ComponentId) -> ComponentMessage {
    ComponentMessage::new(ComponentId::new("other", "node", "0"), to, "hello")
}

fn request(to: ComponentId, n: u8, ms: u64) -> ComponentMessage {
    let mut message = message(to);
    message.correlation_id = Some(CorrelationId([n; 16]));
    message.timeout_ms = Some(ms);
    message
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_makes_up_is_refused() {
    let stage = Stage::new();
    stage.run("a", echo()).await;
    stage.system.route(ComponentPattern::everything(), Way::to(&stage.system)).unwrap();
    let delivery = stage.system.delivery(&PeerIdentity::Anonymous { address: "far".into() });
    let mut pretends = message(id("a"));
    pretends.sender = id("a");
    let mut no_id = message(id("a"));
    no_id.sender = ComponentId::new("a/b", "\n", "");
    let mut large = message(id("a"));
    large.payload = MessagePayload::new(vec![0; MESSAGE_BYTES_MAX + 1]);
    let mut no_time = request(id("a"), 1, 1);
    no_time.timeout_ms = None;
    let invalid =
        [pretends, no_id, large, no_time, request(id("a"), 2, 0), request(id("a"), 3, REQUEST_TIMEOUT_MS_MAX + 1)];
    for result in delivery.deliver(invalid.to_vec()).await.unwrap() {
        assert!(matches!(result, Err(MessagingError::InvalidMessage { .. })), "{result:?}");
    }
    let results = delivery.deliver(vec![message(id("elsewhere"))]).await.unwrap();
    assert!(matches!(results[..], [Err(MessagingError::TargetNotFound { .. })]), "it does not go on to another node");
    let many = vec![message(id("a")); DELIVERED_MAX + 1];
    assert!(matches!(delivery.deliver(many.clone()).await, Err(Failure::Refused(_))));
    assert_eq!(delivery.deliver(many[1..].to_vec()).await.unwrap().len(), DELIVERED_MAX);
    assert_eq!((stage.system.stats().held, stage.system.stats().refused_invalid), (0, 6));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_given_once_to_the_peer_that_asked_and_for_a_time() {
    let stage = Stage::new();
    stage.run("echo", echo()).await;
    let of = |name: &str| stage.system.delivery(&PeerIdentity::Authenticated { name: name.into() });
    let (one, other) = (of("one"), of("other"));
    let until = || (tokio::time::Instant::now() + Duration::from_secs(100)).into_std();
    let asked = request(id("echo"), 1, 1_000);
    assert_eq!(one.deliver(vec![asked.clone()]).await.unwrap(), [Ok(())]);
    let again = one.deliver(vec![asked]).await.unwrap();
    assert!(matches!(again[..], [Err(MessagingError::InvalidMessage { .. })]), "{again:?}");
    settle().await;
    assert!(other.outcome(CorrelationId([1; 16]), until()).await.is_err());
    let outcome = of("one").outcome(CorrelationId([1; 16]), until()).await.unwrap();
    assert_eq!(outcome_text(&outcome), "replied hello");
    assert!(one.outcome(CorrelationId([1; 16]), until()).await.is_err());

    one.deliver(vec![request(id("echo"), 2, 1_000)]).await.unwrap();
    pass(8_000).await;
    assert!(one.outcome(CorrelationId([2; 16]), until()).await.is_err(), "nobody came for it");
    assert_eq!(stage.system.stats().held, 0);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_is_given_up_leaves_the_outcome_to_the_next() {
    let stage = Stage::new();
    let echo = stage.add("echo", echo()).await;
    let peer = stage.system.delivery(&PeerIdentity::SameProcess);
    peer.deliver(vec![request(id("echo"), 1, 10_000)]).await.unwrap();
    let fetch = |ms: u64| {
        let (peer, until) = (peer.clone(), tokio::time::Instant::now() + Duration::from_millis(ms));
        async move { peer.outcome(CorrelationId([1; 16]), until.into_std()).await }
    };
    assert!(matches!(fetch(10).await, Err(Failure::Deadline { .. })));
    let first = tokio::spawn(fetch(1_000));
    settle().await;
    let last = tokio::spawn(fetch(1_000));
    settle().await;
    assert!(matches!(first.await.unwrap(), Err(Failure::Unknown { .. })));
    echo.start().await.unwrap();
    assert_eq!(outcome_text(&last.await.unwrap().unwrap()), "replied hello");
}

#[tokio::test(start_paused = true)]
async fn what_is_held_for_peers_is_bounded_in_number_and_bytes() {
    // One of them has a quarter.
    let stage = Stage::with(ActorSystemOptions::default().held(12, 36));
    stage.run("echo", echo()).await;
    let peer = stage.system.delivery(&PeerIdentity::SameProcess);
    let requests = (1..=4).map(|n| request(id("echo"), n, 1_000)).collect();
    assert_eq!(peer.deliver(requests).await.unwrap(), [Ok(()), Ok(()), Ok(()), Err(MessagingError::QueueFull)]);
    settle().await;
    let until = Instant::now() + Duration::from_secs(1);
    let outcome = peer.outcome(CorrelationId([2; 16]), until).await.unwrap();
    assert_eq!(outcome_text(&outcome), "failed, may have arrived: true", "no room for a second answer");
    let outcome = peer.outcome(CorrelationId([1; 16]), until).await.unwrap();
    assert_eq!(outcome_text(&outcome), "replied hello");
    assert_eq!(peer.deliver(vec![request(id("echo"), 4, 1_000)]).await.unwrap(), [Ok(())]);
    settle().await;
    let outcome = peer.outcome(CorrelationId([4; 16]), until).await.unwrap();
    assert_eq!(outcome_text(&outcome), "replied hello");
}

#[tokio::test(start_paused = true)]
async fn no_peer_uses_up_what_is_held_for_others() {
    let stage = Stage::with(ActorSystemOptions::default().held(8, 80));
    let echo = stage.run("echo", echo()).await;
    let anonymous = |port: u16| PeerIdentity::Anonymous { address: format!("[::1]:{port}") };
    let named = |name: &str| PeerIdentity::Authenticated { name: name.into() };
    let mut n = 0;
    let mut deliver = |peer: PeerIdentity| {
        n += 1;
        let (delivery, asked) = (stage.system.delivery(&peer), request(id("echo"), n, 3_600_000));
        async move { delivery.deliver(vec![asked]).await.unwrap().remove(0) }
    };
    for peer in [named("bad"), named("good"), anonymous(1), PeerIdentity::SameProcess] {
        for _ in 0..2 {
            assert_eq!(deliver(peer.clone()).await, Ok(()), "{peer}");
        }
        assert_eq!(deliver(peer.clone()).await, Err(MessagingError::QueueFull), "{peer}");
    }
    assert_eq!(deliver(anonymous(2)).await, Err(MessagingError::QueueFull), "it may be the same under another address");
    // Three peers have six of all eight.
    for _ in 0..2 {
        assert_eq!(deliver(named("third")).await, Ok(()));
    }
    assert_eq!(deliver(named("fourth")).await, Err(MessagingError::QueueFull), "that is the total");
    assert_eq!(stage.system.stats().held, 10);
    // All have their outcomes, and nobody comes for them, for an hour.
    pass(19_000).await;
    assert_eq!((echo.usage().unwrap().calls, stage.system.stats().held), (11, 10));
    pass(1_000).await;
    pass(10_000).await;
    assert_eq!(stage.system.stats().held, 0);
    assert_eq!(deliver(named("bad")).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_peers_may_deliver_is_what_is_granted() {
    let grants = isorun_security::Grants::new()
        .deliver(isorun_security::Audience::Named("one".into()), ComponentPattern::parse("demo/it/a").unwrap());
    let stage = Stage::with(ActorSystemOptions::default().grants(grants));
    stage.run("a", Script::default()).await;
    stage.run("b", Script::default()).await;
    for (name, to, allowed) in [("one", "a", true), ("one", "b", false), ("other", "a", false)] {
        let peer = stage.system.delivery(&PeerIdentity::Authenticated { name: name.into() });
        let results = peer.deliver(vec![message(id(to))]).await.unwrap();
        assert_eq!(results[0].is_ok(), allowed, "{name} {to}: {results:?}");
    }
    // Who may deliver nothing does not learn who is here either.
    let peer = stage.system.delivery(&PeerIdentity::Authenticated { name: "other".into() });
    let answer_for = |sender: &str| {
        let mut message = message(id("b"));
        message.sender = id(sender);
        peer.deliver(vec![message])
    };
    assert_eq!(answer_for("a").await, answer_for("nobody").await);
}
