//! `isorun send` and `isorun ask`: an operator's words to a component.

use std::io::Write;

use isorun::actors::{MessagingError, RequestOutcome};
use isorun::{ComponentId, MessagePayload};
use serde_json::{Value, json};

use crate::args::{AskArgs, MessageArgs, Output, SendArgs};
use crate::exit::{self, DEADLINE, FAILED, Failed};
use crate::keys::Keys;
use crate::node::Asked;
use crate::terminal::{self, Terminal};

/// Sends a message that wants no answer.
pub async fn send(args: SendArgs, terminal: &Terminal) -> Result<u8, Failed> {
    let MessageArgs { node, component, text, content_type, from, keys } = args.message;
    let asked = Asked::find(Some(&node), &Keys::new(keys))?;
    let sent = asked.node.send(&from, &component, payload(text, content_type)).await;
    sent.map_err(|error| failed(&error, &component))?;
    terminal.result(String::new, || Value::Null)?;
    Ok(exit::OK)
}

/// Sends a request, and shows its answer.
pub async fn ask(args: AskArgs, terminal: &Terminal) -> Result<u8, Failed> {
    let MessageArgs { node, component, text, content_type, from, keys } = args.message;
    let asked = Asked::find(Some(&node), &Keys::new(keys))?;
    let outcome = asked.node.ask(&from, &component, payload(text, content_type), args.timeout).await;
    match outcome {
        RequestOutcome::Replied(payload) => {
            if args.raw && terminal.output == Output::Text {
                let mut out = std::io::stdout().lock();
                // A reader that has gone wants no more.
                let _ = out.write_all(&payload.data).and_then(|()| out.flush());
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
        RequestOutcome::Failed(error) => Err(failed(&error, &component)),
        other => Err(Failed::new(FAILED, format!("it ended in a way that this command does not know: {other:?}"))),
    }
}

fn payload(text: String, content_type: Option<String>) -> MessagePayload {
    MessagePayload::new(text.into_bytes()).content_type(content_type.unwrap_or_else(|| "text/plain".into()))
}

fn failed(error: &MessagingError, component: &ComponentId) -> Failed {
    let text = format!("`{component}`: {}", terminal::one_line(&error.to_string()));
    match error {
        MessagingError::CorrelationTimeout => Failed::new(DEADLINE, text).hint("`--timeout TIME` gives longer"),
        MessagingError::DeliveryFailed { may_have_arrived: true, .. } => Failed::new(FAILED, text).kind("unknown"),
        MessagingError::DeliveryFailed { .. } => Failed::new(FAILED, text).kind("not-sent"),
        _ => Failed::new(FAILED, text).kind("refused"),
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
