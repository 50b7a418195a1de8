//! Who serves what, as all who serve say themselves.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use isorun_core::TransportError;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::server::{Server, server_lost};
use crate::{NatsOptions, NatsServer};

/// How long nobody may answer before all are taken to have, in milliseconds.
const QUIET_MS: u64 = 300;

/// Most that are listed; who comes after is left out.
pub const PROVIDERS_MAX: usize = 10_000;

/// Most bytes of an answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// One process that serves a name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provider {
    /// The instance's name.
    pub name: String,
    /// What tells it from others that serve the name.
    pub id: String,
    /// Its version.
    pub version: String,
    /// What it says that it is.
    pub description: String,
    /// The interfaces that it says it exports.
    pub interfaces: Vec<String>,
    /// The digest of its component, empty where it says none.
    pub component: String,
    /// Channels asked for so far, calls without a connection included.
    pub requests: u64,
    /// Those of them that were refused.
    pub errors: u64,
    /// Channels open now.
    pub channels: u64,
}

/// Asks all who serve something at a server, and waits until nobody answers any more, `gather` at most.
///
/// In the order of names, and of ids where several serve one. Services that are no isorun instances are left out. What
/// providers say is theirs to say: nothing in it is checked but its size.
///
/// # Errors
/// [`TransportError::Unreachable`] where there is no server.
pub async fn discover(
    server: &NatsServer,
    options: &NatsOptions,
    gather: Duration,
) -> Result<Vec<Provider>, TransportError> {
    let connected = Server::connect(server, options, "isorun inspect").await;
    let unreachable = |cause| TransportError::Unreachable { address: server.to_string(), cause };
    let connected = connected.map_err(unreachable)?;
    let until = Instant::now() + gather;
    let (infos, stats) = tokio::join!(gathered(&connected, "INFO", until), gathered(&connected, "STATS", until));
    let stats = stats?;
    let mut providers = BTreeMap::new();
    for (id, info) in infos? {
        if let Some(provider) = provider(&id, &info, stats.get(&id)) {
            providers.insert((provider.name.clone(), id), provider);
        }
    }
    Ok(providers.into_values().collect())
}

/// The answers to one question, by the id of who gave them.
async fn gathered(server: &Server, verb: &str, until: Instant) -> Result<HashMap<String, Value>, TransportError> {
    let client = &server.client;
    let ask = async {
        let inbox = client.new_inbox();
        let answers = client.subscribe(inbox.clone()).await.ok()?;
        client.publish_with_reply(format!("$SRV.{verb}"), inbox, Bytes::new()).await.ok()?;
        Some(answers)
    };
    let mut answers: Subscriber = ask.await.ok_or_else(server_lost)?;
    let mut found = HashMap::new();
    while found.len() < PROVIDERS_MAX {
        let quiet = Instant::now() + Duration::from_millis(QUIET_MS);
        // The first may have to come a long way.
        let wait = if found.is_empty() { until } else { quiet.min(until) };
        match timeout_at(wait, answers.next()).await {
            Err(_) | Ok(Some(Message { status: Some(StatusCode::NO_RESPONDERS), .. })) => break,
            Ok(None) => return Err(server_lost()),
            Ok(Some(message)) if message.payload.len() > ANSWER_BYTES_MAX => {}
            Ok(Some(message)) => {
                let Ok(value) = serde_json::from_slice::<Value>(&message.payload) else { continue };
                if let Some(id) = value.get("id").and_then(Value::as_str) {
                    found.insert(id.to_owned(), value);
                }
            }
        }
    }
    Ok(found)
}

/// What two answers say together; `None` where it is no isorun instance.
fn provider(id: &str, info: &Value, stats: Option<&Value>) -> Option<Provider> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let metadata = info.get("metadata")?;
    let name = metadata.get("isorun.instance")?.as_str()?.to_owned();
    let endpoints = stats.and_then(|stats| stats.get("endpoints")).and_then(Value::as_array);
    let endpoint = endpoints.and_then(|endpoints| endpoints.first());
    let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or(0);
    let interfaces = text(metadata, "isorun.interfaces");
    Some(Provider {
        name,
        id: id.to_owned(),
        version: text(info, "version"),
        description: text(info, "description"),
        interfaces: interfaces.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        component: text(metadata, "isorun.component"),
        requests: number(endpoint.and_then(|endpoint| endpoint.get("num_requests"))),
        errors: number(endpoint.and_then(|endpoint| endpoint.get("num_errors"))),
        channels: number(endpoint.and_then(|endpoint| endpoint.get("data")?.get("channels"))),
    })
}
