//! What the conversations of `vectors/` say: steps of either end, and what comes of them.
#![allow(dead_code, reason = "each test uses its part")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{
    BindRequest, CallContext, CallFailed, Failure, Fault, FunctionIndex, InstanceUid, Refusal, Reply, Trace,
};
use neorpc::{BindingId, Connection, Event, RequestId};

/// Does what a step of a conversation says at one end.
pub fn act(connection: &mut Connection, now: Instant, step: &str) {
    let words: Vec<&str> = step.split_whitespace().collect();
    let id = |text: &str| RequestId(text.parse().unwrap());
    match words.as_slice() {
        ["hello"] => {}
        ["bind", instance, interface, functions @ ..] => {
            let interface = (*interface != "(root)").then(|| (*interface).to_owned());
            let functions = functions.iter().map(|name| ((*name).to_owned(), [name.len() as u8; 32])).collect();
            let want = BindRequest { interface, functions };
            connection.bind(now, instance, &want, now + Duration::from_secs(10)).unwrap();
        }
        ["unbind", binding] => connection.unbind(BindingId(binding.parse().unwrap())),
        ["describe", instance] => drop(connection.describe(now, instance, now + Duration::from_secs(10)).unwrap()),
        ["call", binding, function, ms, companions @ ..] => {
            let deadline = now + Duration::from_millis(ms.parse().unwrap());
            let mut cx = CallContext::until(deadline);
            for with in companions {
                match with.split_once('=').unwrap() {
                    ("fuel", fuel) => cx.fuel = Some(fuel.parse().unwrap()),
                    ("chain", length) => {
                        let length: u8 = length.parse().unwrap();
                        cx.chain = (1..=length).map(|at| InstanceUid([at; 16])).collect::<Vec<_>>().into();
                    }
                    ("trace", byte) => {
                        let byte: u8 = byte.parse().unwrap();
                        cx.trace = Trace { id: [byte; 16], span: [byte; 8] };
                    }
                    _ => panic!("{step}"),
                }
            }
            let (binding, function) = (BindingId(binding.parse().unwrap()), FunctionIndex(function.parse().unwrap()));
            connection.call(now, binding, function, &cx, arguments()).unwrap();
        }
        ["cancel", request] => assert!(connection.cancel(id(request)), "{step}"),
        ["answer", "bind", request, "ok"] => drop(connection.answer_bind(id(request), Ok(())).unwrap()),
        ["answer", "bind", request, failure] => drop(connection.answer_bind(id(request), Err(failure_of(failure)))),
        ["answer", "describe", request, "ok"] => drop(connection.answer_describe(id(request), Ok(ledger()))),
        ["answer", "describe", request, failure] => {
            connection.answer_describe(id(request), Err::<Bytes, _>(failure_of(failure)));
        }
        ["answer", "call", request, "ok"] => {
            let reply = Reply { results: arguments(), fuel_used: 420 };
            connection.answer_call(id(request), Ok(reply));
        }
        ["answer", "call", request, failure] => {
            connection.answer_call(id(request), Err(CallFailed { failure: failure_of(failure), fuel_used: 17 }));
        }
        ["go", "away"] => connection.go_away(),
        _ => panic!("{step}"),
    }
}

fn arguments() -> Bytes {
    Bytes::from_static(&[0x14, 9, 0, 0, 0, 5, 7, 0, 0, 0, 0, 0, 0, 0])
}

fn ledger() -> Bytes {
    Bytes::from_static(&[0x14, 0, 0, 0, 0])
}

/// One failure of each sort that a frame tells apart.
fn failure_of(name: &str) -> Failure {
    let text = |text: &str| text.to_owned();
    match name {
        "not-sent" => Failure::NotSent { cause: text("no way on") },
        "unknown" => Failure::Unknown { cause: text("the next connection ended") },
        "deadline" => Failure::Deadline { waited_ms: 250 },
        "cancelled" => Failure::Cancelled,
        "overloaded" => Refusal::Overloaded { what: text("calls"), limit: 8 }.into(),
        "busy" => Refusal::Busy { instance: text("kv"), waited_ms: 1_000 }.into(),
        "reentrant" => Refusal::Reentrant { instance: text("kv") }.into(),
        "unauthorised" => Refusal::Unauthorised { reason: text("not for you") }.into(),
        "incompatible" => Refusal::Incompatible { detail: text("`get` has other types here"), ledger: ledger() }.into(),
        "no-such-instance" => Refusal::NoSuchInstance { instance: text("kv") }.into(),
        "no-such-function" => Refusal::NoSuchFunction { instance: text("kv"), function: text("get") }.into(),
        "bad-arguments" => Refusal::BadArguments { detail: text("at byte 7") }.into(),
        "short-of-fuel" => Refusal::ShortOfFuel { instance: text("kv"), held: 1, needed: 2 }.into(),
        "chain-too-long" => Refusal::ChainTooLong { limit: 64 }.into(),
        "trapped" => Fault::Trapped { message: text("unreachable") }.into(),
        "out-of-fuel" => Fault::OutOfFuel { limit: 9 }.into(),
        "out-of-memory" => Fault::OutOfMemory { wanted: 10, limit: 9 }.into(),
        "over-budget" => Fault::OverBudget { what: text("tables"), wanted: 2, limit: 1 }.into(),
        "out-of-time" => Fault::OutOfTime { limit_ms: 10_000 }.into(),
        "exited" => Fault::Exited { code: -1 }.into(),
        "bad-results" => Fault::BadResults { detail: text("too many") }.into(),
        "bug" => Fault::Bug { detail: text("ours") }.into(),
        _ => panic!("{name}"),
    }
}

/// An event in words.
pub fn say(event: Event) -> String {
    match event {
        Event::Open(limits) => format!(
            "open, frames to {}, calls {}, bindings {}",
            limits.frame_bytes_max, limits.calls_max, limits.bindings_max
        ),
        Event::Bound { id, result: Ok(table) } => format!("bound {id}, binding {}", table.binding),
        Event::Bound { id, result: Err(failure) } => format!("bound {id}, {failure}"),
        Event::Described { id, result: Ok(said) } => format!("described {id}, {} bytes", said.ledger.len()),
        Event::Described { id, result: Err(failure) } => format!("described {id}, {failure}"),
        Event::Returned { id, result: Ok(reply) } => {
            format!("returned {id}, {} bytes, fuel used {}", reply.results.len(), reply.fuel_used)
        }
        Event::Returned { id, result: Err(failed) } => {
            format!("returned {id}, {}, fuel used {}", failed.failure, failed.fuel_used)
        }
        Event::IncomingBind { id, instance, want } => {
            format!("asked to bind {id}, {} functions of {instance}", want.functions.len())
        }
        Event::Unbound { binding } => format!("unbound {binding}"),
        Event::IncomingDescribe { id, instance } => format!("asked to describe {id}, {instance}"),
        Event::IncomingCall { id, binding, function, cx, args } => {
            let (fuel, chain) = (cx.fuel.map_or("unbounded".to_owned(), |fuel| fuel.to_string()), cx.chain.len());
            let (function, trace) = (function.0, cx.trace.id[0]);
            let bytes = args.len();
            format!(
                "asked to call {id}, {binding}.{function}, fuel {fuel}, chain {chain}, trace {trace}, {bytes} bytes"
            )
        }
        Event::IncomingCancelled { id } => format!("asked to cancel {id}"),
        Event::GoingAway => "told that the other end goes".to_owned(),
        other => format!("{other:?}"),
    }
}
