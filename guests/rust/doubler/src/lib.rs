//! The example of `docs/actors.md`: a test compares them.

wit_bindgen::generate!({ path: "../../../wit/actor.wit", world: "component" });

use exports::isorun::actor::component_lifecycle::{
    CallbackMessage, ComponentMetadata, Config, Error, Guest, HealthReport, HealthStatus, Message, Payload,
};
use isorun::actor::host_messaging;
use isorun::actor::types::Outcome;
use std::cell::Cell;

thread_local! { static SUM: Cell<i64> = const { Cell::new(0) }; }

/// Doubles what it is sent, and has a counter keep the sum.
struct Doubler;

impl Guest for Doubler {
    fn initialize(_config: Config) -> Result<(), Error> {
        Ok(())
    }

    fn handle_message(msg: Message) -> Result<Option<Payload>, Error> {
        let text = String::from_utf8_lossy(&msg.payload.data);
        // The sender's mistake: it is told, and this component goes on.
        let n: i32 = text.trim().parse().map_err(|_| Error::Rejected(format!("`{text}` is no number")))?;
        let double = i64::from(n) * 2;
        let add = Payload { data: format!("add {double}").into_bytes(), content_type: None };
        // Returns at once. The answer comes to `handle_callback`, whatever it is.
        host_messaging::request("demo/counter/0", &add, 5_000)
            .map_err(|e| Error::Rejected(format!("the counter can't be asked: {e:?}")))?;
        Ok(Some(Payload { data: double.to_string().into_bytes(), content_type: None }))
    }

    fn handle_callback(msg: CallbackMessage) -> Result<(), Error> {
        match msg.outcome {
            Outcome::Replied(payload) => {
                let sum = String::from_utf8_lossy(&payload.data).parse();
                SUM.set(sum.map_err(|_| Error::Failed("the counter speaks nonsense".into()))?);
            }
            // It may have counted all the same: asking again could count twice.
            Outcome::NoReply | Outcome::Refused(_) | Outcome::Failed(_) => {}
        }
        Ok(())
    }

    fn metadata() -> ComponentMetadata {
        ComponentMetadata {
            name: "doubler".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "doubles numbers".into(),
            properties: vec![],
        }
    }

    fn health() -> HealthReport {
        HealthReport { status: HealthStatus::Healthy, reason: None }
    }

    fn shutdown() -> Result<(), Error> {
        Ok(())
    }
}

export!(Doubler);
