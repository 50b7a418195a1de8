//! A failure as a string-keyed map, so that a newer peer's reasons still mean something.

use bytes::Bytes;
use isorun_core::{Failure, Fault, Refusal};

use crate::codec::{Reader, Writer, required, set};
use crate::frame::FrameError;

/// A value in a failure's map.
enum Item<'a> {
    Text(&'a str),
    Number(u64),
    Code(i32),
    Bytes(&'a [u8]),
}

/// Writes `failure`; what no longer text can carry is clipped.
pub(crate) fn write_failure(failure: &Failure, out: &mut Writer) -> Result<(), FrameError> {
    let sentence = failure.to_string();
    let (group, kind, items) = parts(failure);
    let count = 2 + u32::from(kind.is_some()) + items.iter().map(|_| 1).sum::<u32>();
    out.map(count)?;
    out.key("group")?;
    out.text(group)?;
    if let Some(kind) = kind {
        out.key("kind")?;
        out.text(kind)?;
    }
    out.key("text")?;
    // A reason that came with its own sentence goes on with it.
    match failure {
        Failure::Refused(Refusal::Other { text, .. }) | Failure::Failed(Fault::Other { text, .. }) => out.text(text)?,
        _ => out.text(&sentence)?,
    }
    for (key, item) in items {
        out.key(key)?;
        match item {
            Item::Text(text) => out.text(text)?,
            Item::Number(number) => out.u64(number)?,
            Item::Code(code) => out.s32(code)?,
            Item::Bytes(bytes) => out.bytes(bytes)?,
        }
    }
    out.map_end()
}

/// Group, kind and fields, as the specification names them.
fn parts(failure: &Failure) -> (&'static str, Option<&str>, Vec<(&'static str, Item<'_>)>) {
    match failure {
        Failure::NotSent { cause } => ("not-sent", None, vec![("cause", Item::Text(cause))]),
        Failure::Unknown { cause } => ("unknown", None, vec![("cause", Item::Text(cause))]),
        Failure::Refused(refusal) => {
            let (kind, items) = refusal_parts(refusal);
            ("refused", Some(kind), items)
        }
        Failure::Failed(fault) => {
            let (kind, items) = fault_parts(fault);
            ("failed", Some(kind), items)
        }
        Failure::Deadline { waited_ms } => ("deadline", None, vec![("waited-ms", Item::Number(*waited_ms))]),
        Failure::Cancelled => ("cancelled", None, Vec::new()),
        // A group that core has and this crate has not learnt yet: its sentence still says it.
        _ => ("other", None, Vec::new()),
    }
}

fn refusal_parts(refusal: &Refusal) -> (&str, Vec<(&'static str, Item<'_>)>) {
    match refusal {
        Refusal::Overloaded { what, limit } => {
            ("overloaded", vec![("what", Item::Text(what)), ("limit", Item::Number(*limit))])
        }
        Refusal::Busy { instance, waited_ms } => {
            ("busy", vec![("instance", Item::Text(instance)), ("waited-ms", Item::Number(*waited_ms))])
        }
        Refusal::Reentrant { instance } => ("reentrant", vec![("instance", Item::Text(instance))]),
        Refusal::Unauthorised { reason } => ("unauthorised", vec![("reason", Item::Text(reason))]),
        Refusal::Incompatible { detail, ledger } => {
            ("incompatible", vec![("detail", Item::Text(detail)), ("ledger", Item::Bytes(ledger))])
        }
        Refusal::NoSuchInstance { instance } => ("no-such-instance", vec![("instance", Item::Text(instance))]),
        Refusal::NoSuchFunction { instance, function } => {
            ("no-such-function", vec![("instance", Item::Text(instance)), ("function", Item::Text(function))])
        }
        Refusal::BadArguments { detail } => ("bad-arguments", vec![("detail", Item::Text(detail))]),
        Refusal::ShortOfFuel { instance, held, needed } => (
            "short-of-fuel",
            vec![("instance", Item::Text(instance)), ("held", Item::Number(*held)), ("needed", Item::Number(*needed))],
        ),
        Refusal::ChainTooLong { limit } => ("chain-too-long", vec![("limit", Item::Number(*limit))]),
        Refusal::Other { kind, .. } => (kind, Vec::new()),
        _ => ("other", Vec::new()),
    }
}

fn fault_parts(fault: &Fault) -> (&str, Vec<(&'static str, Item<'_>)>) {
    match fault {
        Fault::Trapped { message } => ("trapped", vec![("message", Item::Text(message))]),
        Fault::OutOfFuel { limit } => ("out-of-fuel", vec![("limit", Item::Number(*limit))]),
        Fault::OutOfMemory { wanted, limit } => {
            ("out-of-memory", vec![("wanted", Item::Number(*wanted)), ("limit", Item::Number(*limit))])
        }
        Fault::OverBudget { what, wanted, limit } => (
            "over-budget",
            vec![("what", Item::Text(what)), ("wanted", Item::Number(*wanted)), ("limit", Item::Number(*limit))],
        ),
        Fault::OutOfTime { limit_ms } => ("out-of-time", vec![("limit-ms", Item::Number(*limit_ms))]),
        Fault::Exited { code } => ("exited", vec![("code", Item::Code(*code))]),
        Fault::BadResults { detail } => ("bad-results", vec![("detail", Item::Text(detail))]),
        Fault::Bug { detail } => ("bug", vec![("detail", Item::Text(detail))]),
        Fault::Other { kind, .. } => (kind, Vec::new()),
        _ => ("other", Vec::new()),
    }
}

/// Every field that some failure has.
#[derive(Default)]
struct Fields {
    group: Option<String>,
    kind: Option<String>,
    text: Option<String>,
    cause: Option<String>,
    what: Option<String>,
    instance: Option<String>,
    reason: Option<String>,
    detail: Option<String>,
    function: Option<String>,
    message: Option<String>,
    ledger: Option<Bytes>,
    limit: Option<u64>,
    limit_ms: Option<u64>,
    waited_ms: Option<u64>,
    held: Option<u64>,
    needed: Option<u64>,
    wanted: Option<u64>,
    code: Option<i32>,
}

/// Reads a failure; what this version has no name for becomes the nearest thing of its group.
pub(crate) fn read_failure(input: &mut Reader<'_>) -> Result<Failure, FrameError> {
    let mut fields = Fields::default();
    for _ in 0..input.map()? {
        match input.key()? {
            "group" => set(&mut fields.group, "group", input.text()?)?,
            "kind" => set(&mut fields.kind, "kind", input.text()?)?,
            "text" => set(&mut fields.text, "text", input.text()?)?,
            "cause" => set(&mut fields.cause, "cause", input.text()?)?,
            "what" => set(&mut fields.what, "what", input.text()?)?,
            "instance" => set(&mut fields.instance, "instance", input.text()?)?,
            "reason" => set(&mut fields.reason, "reason", input.text()?)?,
            "detail" => set(&mut fields.detail, "detail", input.text()?)?,
            "function" => set(&mut fields.function, "function", input.text()?)?,
            "message" => set(&mut fields.message, "message", input.text()?)?,
            "ledger" => set(&mut fields.ledger, "ledger", input.bytes()?)?,
            "limit" => set(&mut fields.limit, "limit", input.u64()?)?,
            "limit-ms" => set(&mut fields.limit_ms, "limit-ms", input.u64()?)?,
            "waited-ms" => set(&mut fields.waited_ms, "waited-ms", input.u64()?)?,
            "held" => set(&mut fields.held, "held", input.u64()?)?,
            "needed" => set(&mut fields.needed, "needed", input.u64()?)?,
            "wanted" => set(&mut fields.wanted, "wanted", input.u64()?)?,
            "code" => set(&mut fields.code, "code", input.s32()?)?,
            _ => input.skip()?,
        }
    }
    input.map_end()?;
    failure(fields)
}

fn failure(fields: Fields) -> Result<Failure, FrameError> {
    let group = required(fields.group.as_deref(), "group")?;
    match group {
        "not-sent" => Ok(Failure::NotSent { cause: required(fields.cause, "cause")? }),
        "unknown" => Ok(Failure::Unknown { cause: required(fields.cause, "cause")? }),
        "refused" => Ok(Failure::Refused(refusal(fields)?)),
        "failed" => Ok(Failure::Failed(fault(fields)?)),
        "deadline" => Ok(Failure::Deadline { waited_ms: required(fields.waited_ms, "waited-ms")? }),
        "cancelled" => Ok(Failure::Cancelled),
        // The caller may assume least of what it does not know.
        _ => Ok(Failure::Unknown { cause: required(fields.text, "text")? }),
    }
}

fn refusal(fields: Fields) -> Result<Refusal, FrameError> {
    let kind = required(fields.kind, "kind")?;
    Ok(match kind.as_str() {
        "overloaded" => {
            Refusal::Overloaded { what: required(fields.what, "what")?, limit: required(fields.limit, "limit")? }
        }
        "busy" => Refusal::Busy {
            instance: required(fields.instance, "instance")?,
            waited_ms: required(fields.waited_ms, "waited-ms")?,
        },
        "reentrant" => Refusal::Reentrant { instance: required(fields.instance, "instance")? },
        "unauthorised" => Refusal::Unauthorised { reason: required(fields.reason, "reason")? },
        "incompatible" => Refusal::Incompatible {
            detail: required(fields.detail, "detail")?,
            ledger: required(fields.ledger, "ledger")?,
        },
        "no-such-instance" => Refusal::NoSuchInstance { instance: required(fields.instance, "instance")? },
        "no-such-function" => Refusal::NoSuchFunction {
            instance: required(fields.instance, "instance")?,
            function: required(fields.function, "function")?,
        },
        "bad-arguments" => Refusal::BadArguments { detail: required(fields.detail, "detail")? },
        "short-of-fuel" => Refusal::ShortOfFuel {
            instance: required(fields.instance, "instance")?,
            held: required(fields.held, "held")?,
            needed: required(fields.needed, "needed")?,
        },
        "chain-too-long" => Refusal::ChainTooLong { limit: required(fields.limit, "limit")? },
        _ => Refusal::Other { kind, text: required(fields.text, "text")? },
    })
}

fn fault(fields: Fields) -> Result<Fault, FrameError> {
    let kind = required(fields.kind, "kind")?;
    Ok(match kind.as_str() {
        "trapped" => Fault::Trapped { message: required(fields.message, "message")? },
        "out-of-fuel" => Fault::OutOfFuel { limit: required(fields.limit, "limit")? },
        "out-of-memory" => {
            Fault::OutOfMemory { wanted: required(fields.wanted, "wanted")?, limit: required(fields.limit, "limit")? }
        }
        "over-budget" => Fault::OverBudget {
            what: required(fields.what, "what")?,
            wanted: required(fields.wanted, "wanted")?,
            limit: required(fields.limit, "limit")?,
        },
        "out-of-time" => Fault::OutOfTime { limit_ms: required(fields.limit_ms, "limit-ms")? },
        "exited" => Fault::Exited { code: required(fields.code, "code")? },
        "bad-results" => Fault::BadResults { detail: required(fields.detail, "detail")? },
        "bug" => Fault::Bug { detail: required(fields.detail, "detail")? },
        _ => Fault::Other { kind, text: required(fields.text, "text")? },
    })
}
