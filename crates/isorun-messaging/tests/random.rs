//! Anything may happen to a few components, in any order: what is promised of their messages holds.

mod common;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use isorun_core::*;
use isorun_messaging::*;
use proptest::prelude::*;
use proptest::strategy::Strategy;

const COMPONENTS: usize = 4;
const LIMITS: MailboxLimits = MailboxLimits { messages: 5, bytes: 60 };

/// What a component does with a message.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Answer,
    KeepSilent,
    Reject,
    Crash,
    /// So many milliseconds.
    Take(u64),
    /// Sends a message to that one, which answers.
    PassOn(usize),
}

#[derive(Debug, Clone)]
enum Op {
    Send(usize, usize, Deed),
    Request(usize, usize, Deed, u64),
    Ask(usize, Deed, u64),
    Broadcast(usize, Deed),
    /// The request of that number, modulo how many there are.
    Cancel(usize),
    Start(usize),
    Stop(usize, u64),
    Abandon(usize),
    Remove(usize),
    Health(usize),
    Pass(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let who = || 0..COMPONENTS;
    let ms = || prop_oneof![Just(0_u64), 1..50_u64, Just(5_000)];
    let deed = || {
        prop_oneof![
            4 => Just(Deed::Answer),
            1 => Just(Deed::KeepSilent),
            1 => Just(Deed::Reject),
            2 => Just(Deed::Crash),
            3 => (1..60_u64).prop_map(Deed::Take),
            2 => (0..COMPONENTS).prop_map(Deed::PassOn),
        ]
    };
    let op = prop_oneof![
        12 => (who(), who(), deed()).prop_map(|(from, to, deed)| Op::Send(from, to, deed)),
        12 => (who(), who(), deed(), 1..100_u64).prop_map(|(from, to, deed, ms)| Op::Request(from, to, deed, ms)),
        2 => (who(), deed(), 1..100_u64).prop_map(|(to, deed, ms)| Op::Ask(to, deed, ms)),
        1 => (who(), deed()).prop_map(|(from, deed)| Op::Broadcast(from, deed)),
        3 => (0..1_000_usize).prop_map(Op::Cancel),
        8 => who().prop_map(Op::Start),
        2 => (who(), ms()).prop_map(|(who, ms)| Op::Stop(who, ms)),
        1 => who().prop_map(Op::Abandon),
        1 => who().prop_map(Op::Remove),
        1 => who().prop_map(Op::Health),
        8 => (0..40_u64).prop_map(Op::Pass),
    ];
    proptest::collection::vec(op, 1..80)
}

/// What was seen to happen.
#[derive(Default)]
struct Record {
    next: u64,
    /// Messages that a component began to handle.
    begun: HashSet<(u64, ComponentId)>,
    in_hand: usize,
    /// The last one that each handled of each.
    last: HashMap<(ComponentId, ComponentId), u64>,
    callbacks: HashMap<CorrelationId, usize>,
    requests: Vec<(usize, CorrelationId)>,
    cancelled: HashSet<CorrelationId>,
    /// Whose requester was let go after they were made.
    orphans: HashSet<CorrelationId>,
    broken: Vec<String>,
}

type Shared = Arc<Mutex<Record>>;

/// A message is its number, which grows, and what is to be done.
fn payload(record: &Shared, deed: Deed) -> MessagePayload {
    let mut record = record.lock().unwrap();
    record.next += 1;
    let number = record.next;
    let (code, n) = match deed {
        Deed::Answer => (0, 0),
        Deed::KeepSilent => (1, 0),
        Deed::Reject => (2, 0),
        Deed::Crash => (3, 0),
        Deed::Take(ms) => (4, ms),
        Deed::PassOn(to) => (5, to as u64),
    };
    MessagePayload::new([&number.to_le_bytes()[..], &[code, n as u8]].concat())
}

fn name(n: usize) -> ComponentId {
    id(&n.to_string())
}

/// A message that is in hand.
struct InHand(Shared);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.lock().unwrap().in_hand -= 1;
    }
}

fn script(stage: &Stage, record: &Shared) -> Script {
    let (messenger, of_messages, of_callbacks) = (stage.messenger(), record.clone(), record.clone());
    Script::default()
        .message(move |message| {
            let (record, messenger) = (of_messages.clone(), messenger.clone());
            async move {
                let number = u64::from_le_bytes(*message.payload.data.first_chunk().unwrap());
                {
                    let mut record = record.lock().unwrap();
                    if !record.begun.insert((number, message.recipient.clone())) {
                        record.broken.push(format!("message {number} was handled twice"));
                    }
                    record.in_hand += 1;
                    let pair = (message.sender.clone(), message.recipient.clone());
                    if record.last.insert(pair, number).is_some_and(|last| last >= number) {
                        record.broken.push(format!("message {number} was overtaken"));
                    }
                }
                let _in_hand = InHand(record.clone());
                let n = u64::from(message.payload.data[9]);
                match message.payload.data[8] {
                    0 => Ok(Some("answer".into())),
                    1 => Ok(None),
                    2 => Err(WasmError::Rejected { reason: "no".into() }),
                    3 => Err(WasmError::runtime("a trap")),
                    4 => {
                        tokio::time::sleep(Duration::from_millis(n)).await;
                        Ok(None)
                    }
                    _ => {
                        let payload = payload(&record, Deed::Answer);
                        if let Some(messenger) = messenger.upgrade() {
                            drop(messenger.send(&message.recipient, &name(n as usize), payload));
                        }
                        Ok(None)
                    }
                }
            }
        })
        .callback(move |message| {
            *of_callbacks.lock().unwrap().callbacks.entry(message.correlation_id).or_default() += 1;
            Ok(())
        })
}

/// What holds at any time.
fn check_now(stage: &Stage, record: &Shared) -> Result<(), TestCaseError> {
    let (stats, record) = (stage.system.stats(), record.lock().unwrap());
    prop_assert!(record.broken.is_empty(), "{:?}", record.broken);
    let ended = stats.handled + stats.dead_letters;
    prop_assert_eq!(stats.accepted, ended + (stats.queued_messages + record.in_hand) as u64, "{:?}", stats);
    for component in stage.system.list() {
        let queued = component.queued();
        prop_assert!(queued.messages <= LIMITS.messages && queued.bytes <= LIMITS.bytes, "{queued:?}");
    }
    Ok(())
}

async fn act(stage: &Stage, record: &Shared, op: Op) {
    match op {
        Op::Send(from, to, deed) => drop(stage.system.send(&name(from), &name(to), payload(record, deed))),
        Op::Request(from, to, deed, ms) => {
            let payload = payload(record, deed);
            if let Ok(id) = stage.system.request(&name(from), &name(to), payload, ms) {
                record.lock().unwrap().requests.push((from, id));
            }
        }
        Op::Ask(to, deed, ms) => {
            let (system, payload) = (stage.system.clone(), payload(record, deed));
            tokio::spawn(async move { system.ask(&id("asker"), &name(to), payload, ms).await });
            // Its message is on its way before the next one from the same asker.
            tokio::task::yield_now().await;
        }
        Op::Broadcast(from, deed) => {
            let all: Vec<_> = (0..COMPONENTS).map(name).collect();
            drop(stage.system.broadcast(&name(from), &all, payload(record, deed)));
        }
        Op::Cancel(which) => {
            let mut record = record.lock().unwrap();
            if !record.requests.is_empty() {
                let (from, id) = record.requests[which % record.requests.len()];
                if stage.system.cancel_request(&name(from), id) {
                    record.cancelled.insert(id);
                }
            }
        }
        Op::Start(who) => {
            if let Some(component) = stage.system.component(&name(who)) {
                tokio::spawn(async move { component.start().await });
            }
        }
        Op::Stop(who, graceful_ms) => {
            if let Some(component) = stage.system.component(&name(who)) {
                tokio::spawn(async move { component.stop(graceful_ms).await });
            }
        }
        Op::Abandon(who) => {
            if let Some(component) = stage.system.component(&name(who)) {
                orphan(record, who, component.state());
                component.abandon();
            }
        }
        Op::Remove(who) => {
            orphan(record, who, LifecycleState::Stopped);
            let system = stage.system.clone();
            tokio::spawn(async move { system.remove(&name(who)).await });
        }
        Op::Health(who) => {
            if let Some(component) = stage.system.component(&name(who)) {
                tokio::spawn(async move { component.health().await });
            }
        }
        Op::Pass(ms) => tokio::time::advance(Duration::from_millis(ms)).await,
    }
}

/// Requests of one that is let go now are heard of no more.
fn orphan(record: &Shared, who: usize, state: LifecycleState) {
    if matches!(state, LifecycleState::Created | LifecycleState::Stopped) {
        let mut record = record.lock().unwrap();
        let of: Vec<_> = record.requests.iter().filter(|(from, _)| *from == who).map(|(_, id)| *id).collect();
        record.orphans.extend(of);
    }
}

async fn play(ops: Vec<Op>) -> Result<(), TestCaseError> {
    let (stage, record) = (Stage::new(), Shared::default());
    for n in 0..COMPONENTS {
        let component = stage.add_with(&n.to_string(), script(&stage, &record), LIMITS).await;
        if n < COMPONENTS - 1 {
            component.start().await.unwrap();
        }
    }
    for op in ops {
        act(&stage, &record, op).await;
        check_now(&stage, &record)?;
        settle().await;
        check_now(&stage, &record)?;
    }
    // All that is there comes to its end: each is started as often as a message in its mailbox ends it.
    for _ in 0..40 {
        for component in stage.system.list() {
            if matches!(component.state(), LifecycleState::Created | LifecycleState::Stopped) {
                component.start().await.unwrap();
            }
        }
        pass(300).await;
    }
    pass(10_000).await;
    check_now(&stage, &record)?;
    let (stats, letters, record) = (stage.system.stats(), stage.system.dead_letters(), record.lock().unwrap());
    prop_assert_eq!((stats.queued_messages, record.in_hand, stats.requests_open), (0, 0, 0));
    let in_hand = letters.count(DeadLetterReason::Crashed) + letters.count(DeadLetterReason::Killed);
    prop_assert_eq!(record.begun.len() as u64, stats.handled + in_hand);
    for (_, id) in &record.requests {
        let called_back = record.callbacks.get(id).copied().unwrap_or_default();
        let wanted = if record.cancelled.contains(id) {
            0..=0
        } else if record.orphans.contains(id) {
            0..=1
        } else {
            1..=1
        };
        prop_assert!(wanted.contains(&called_back), "request {id} was called back {called_back} times");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_message_and_request_ends_once(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(ops))?;
    }
}
