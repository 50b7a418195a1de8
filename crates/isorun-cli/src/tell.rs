//! `isorun send` and `isorun ask`: an operator's words to a component.

use std::io::{self, IsTerminal, Read, Write};

use isorun::actors::{MESSAGE_BYTES_MAX, MessagingError, RequestOutcome};
use isorun::{ComponentId, MessagePayload};
use serde_json::{Value, json};

use crate::args::{AskArgs, MessageArgs, Output, SendArgs};
use crate::exit::{self, DEADLINE, FAILED, Failed, TRAP};
use crate::keys::Keys;
use crate::node::{Asked, NodeArg, is_late};
use crate::terminal::{self, Terminal};

/// Sends a message that wants no answer.
pub async fn send(args: SendArgs, terminal: &Terminal) -> Result<u8, Failed> {
    let To { node, component, text } = To::read(&args.message)?;
    let MessageArgs { content_type, from, keys, .. } = args.message;
    let asked = Asked::find(node.as_ref(), &Keys::new(keys))?;
    let sent = asked.node.send(&from, &component, payload(text, content_type).await?).await;
    sent.map_err(|error| failed(&error, &component, &asked))?;
    terminal.result(String::new, || Value::Null)?;
    Ok(exit::OK)
}

/// Sends a request, and shows its answer.
pub async fn ask(args: AskArgs, terminal: &Terminal) -> Result<u8, Failed> {
    let To { node, component, text } = To::read(&args.message)?;
    let MessageArgs { content_type, from, keys, .. } = args.message;
    let asked = Asked::find(node.as_ref(), &Keys::new(keys))?;
    let payload = payload(text, content_type).await?;
    let outcome = asked.node.ask(&from, &component, payload, args.timeout).await;
    match outcome {
        RequestOutcome::Replied(payload) => {
            if args.raw && terminal.output == Output::Text {
                write(&payload.data, args.force)?;
            } else {
                terminal.result(|| shown(&payload), || json_payload(&payload))?;
            }
            Ok(exit::OK)
        }
        RequestOutcome::NoReply => {
            terminal.result(String::new, || Value::Null)?;
            Ok(exit::OK)
        }
        RequestOutcome::Refused { reason } => {
            Err(Failed::new(FAILED, format!("`{component}` refused: {}", terminal::one_line(&reason))).kind("refused"))
        }
        RequestOutcome::Failed(error) => Err(failed(&error, &component, &asked)),
        other => Err(Failed::new(FAILED, format!("it ended in a way that this command does not know: {other:?}"))),
    }
}

/// Who is spoken to, and what is said.
struct To {
    /// `None` for the one node of this machine.
    node: Option<NodeArg>,
    component: ComponentId,
    text: String,
}

impl To {
    fn read(args: &MessageArgs) -> Result<Self, Failed> {
        let (node, component, text) = match &args.third {
            Some(text) => (Some(&args.first), &args.second, text),
            None => (None, &args.first, &args.second),
        };
        let node = node.map(|node| node.parse().map_err(Failed::usage)).transpose()?;
        let component = ComponentId::parse(component).map_err(|error| {
            let failed = Failed::usage(format!("`{component}` is no component: {error}"));
            if args.third.is_some() { failed } else { failed.hint("what is said to it goes last: COMPONENT TEXT") }
        })?;
        Ok(Self { node, component, text: text.clone() })
    }
}

/// What is said: the text, or with `-` all that standard input has.
async fn payload(text: String, content_type: Option<String>) -> Result<MessagePayload, Failed> {
    let (data, usual) = match text.as_str() {
        "-" => (input().await?, None),
        _ => (text.into_bytes(), Some("text/plain".to_owned())),
    };
    let payload = MessagePayload::new(data);
    Ok(match content_type.or(usual) {
        Some(content_type) => payload.content_type(content_type),
        None => payload,
    })
}

/// The bytes of standard input, as many as a message may have.
async fn input() -> Result<Vec<u8>, Failed> {
    if io::stdin().is_terminal() {
        terminal::remark("reading what is typed here; Ctrl-D ends it");
    }
    let read = tokio::task::spawn_blocking(|| {
        let mut bytes = Vec::new();
        io::stdin().lock().take(MESSAGE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    let failed = |error: io::Error| Failed::new(FAILED, format!("cannot read standard input: {error}"));
    let bytes = read.await.map_err(|join| failed(join.into()))?.map_err(failed)?;
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Failed::usage(format!("standard input has more than the {MESSAGE_BYTES_MAX} bytes of a message")));
    }
    Ok(bytes)
}

/// Writes an answer as it is; what a terminal would obey only where that was asked for.
fn write(bytes: &[u8], force: bool) -> Result<(), Failed> {
    let is_text =
        || std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace()));
    if terminal::is_watched() && !force && !is_text() {
        return Err(Failed::new(FAILED, "the answer is no text, and standard output is a terminal").hint(
            "`--raw --force` writes it all the same; without --raw it is shown with what a terminal obeys escaped",
        ));
    }
    let mut out = io::stdout().lock();
    // A reader that has gone wants no more.
    let _ = out.write_all(bytes).and_then(|()| out.flush());
    Ok(())
}

/// Why there is no answer: said once, and where.
fn failed(error: &MessagingError, component: &ComponentId, asked: &Asked) -> Failed {
    let at = asked.at();
    let one_line = |text: &str| terminal::one_line(text);
    match error {
        MessagingError::CorrelationTimeout => {
            Failed::new(DEADLINE, format!("`{component}` {at}: {error}")).hint("`--timeout TIME` gives longer")
        }
        MessagingError::TargetNotFound { id } => {
            Failed::new(FAILED, format!("there is no component `{}` {at}", one_line(id))).kind("refused")
        }
        MessagingError::DeliveryFailed { may_have_arrived: true, reason } => {
            match reason.strip_prefix(&format!("`{component}` failed while it handled this: ")) {
                Some(how) => crashed(how, component, &at),
                None => {
                    Failed::new(FAILED, format!("`{component}` {at}: {}", one_line(&error.to_string()))).kind("unknown")
                }
            }
        }
        MessagingError::DeliveryFailed { reason, .. } => asked.unreached(reason).unwrap_or_else(|| {
            let code = if is_late(reason) { DEADLINE } else { FAILED };
            let reason = one_line(reason.strip_prefix("not sent: ").unwrap_or(reason));
            let failed = Failed::new(code, format!("`{component}` {at}: not delivered: {reason}"));
            if code == FAILED { failed.kind("not-sent") } else { failed }
        }),
        _ => Failed::new(FAILED, format!("`{component}` {at}: {}", one_line(&error.to_string()))).kind("refused"),
    }
}

/// A component that ended over the request. Its cause tells how, as the engine words it: "`FUNCTION`: FAULT".
fn crashed(how: &str, component: &ComponentId, at: &str) -> Failed {
    let how = how.strip_prefix("runtime error: ").unwrap_or(how);
    let fault = how.strip_prefix('`').and_then(|rest| rest.split_once("`: ")).map_or("", |(_, fault)| fault);
    let text = format!("`{component}` {at} failed while it handled this: {}", terminal::one_line(how));
    match fault.split(':').next().unwrap_or_default() {
        "trap" => Failed::new(TRAP, text),
        "out of time" => Failed::new(DEADLINE, text),
        "out of fuel" => Failed::new(FAILED, text).kind("out-of-fuel"),
        "out of memory" => Failed::new(FAILED, text).kind("out-of-memory"),
        _ => Failed::new(FAILED, text),
    }
}

/// What a component answered, on one line: as text where it is text, and else in hexadecimal.
fn shown(payload: &MessagePayload) -> String {
    match std::str::from_utf8(&payload.data) {
        Ok(text) => terminal::one_line(text),
        Err(_) => payload.data.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn json_payload(payload: &MessagePayload) -> Value {
    let content_type = payload.content_type.as_deref();
    match std::str::from_utf8(&payload.data) {
        Ok(text) => json!({ "text": text, "content_type": content_type }),
        Err(_) => json!({ "hex": shown(payload), "content_type": content_type }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_component_ended_is_the_code() {
        let component = ComponentId::parse("demo/a/0").unwrap();
        let check = |how: &str, code: u8, kind: &str| {
            let failed = crashed(how, &component, "on node east");
            assert_eq!((failed.code, failed.kind), (code, kind), "{}", failed.text);
            assert!(failed.text.starts_with("`demo/a/0` on node east failed while it handled this: "));
        };
        check("runtime error: `handle-message`: trap: wasm `unreachable`", TRAP, "trap");
        check("`handle-message`: trap: wasm `unreachable`", TRAP, "trap");
        check("`handle-message`: out of time: limit 10 ms", DEADLINE, "deadline");
        check("`handle-message`: out of fuel: limit 10", FAILED, "out-of-fuel");
        check("the component gave up: `x`: trap: mine", FAILED, "failed");
        check("trap: ", FAILED, "failed");
    }
}
