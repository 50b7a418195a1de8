//! Serves a name: announces it, and accepts channels.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use async_nats::service::endpoint::Endpoint;
use async_nats::service::error::Error as ServiceError;
use async_nats::service::{Request, Service, ServiceExt};
use futures_util::StreamExt;
use isorun_core::{Channel, Listener, PeerIdentity, TransportError};
use tokio::sync::mpsc;

use crate::channel::NatsChannel;
use crate::ends::{Ends, WINDOW, WINDOW_BYTES};
use crate::note::Note;
use crate::server::Server;
use crate::transport::answerable;
use crate::{NatsAddress, NatsOptions};

/// Channels that were asked for and not yet accepted; with so many waiting, one more is refused.
pub const BACKLOG_MAX: usize = 64;

/// All who serve a name are in this group: each request goes to one of them.
const QUEUE_GROUP: &str = "isorun";

/// Longest text that is announced, in bytes: it has to fit a message beside others.
const ANNOUNCED_BYTES_MAX: usize = 16 << 10;

/// What a name is announced with; all who list a server's services see it.
///
/// ```
/// use isorun_transport_nats::Announcement;
///
/// let announcement = Announcement::new("1.2.0").interface("demo:kv/store@0.1.0");
/// assert_eq!(announcement.interfaces(), ["demo:kv/store@0.1.0"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    version: String,
    description: String,
    interfaces: Vec<String>,
    component: String,
}

impl Announcement {
    /// What serves in this version, `MAJOR.MINOR.PATCH` as semantic versioning has it.
    #[must_use]
    pub fn new(version: impl Into<String>) -> Self {
        let description = "an isorun instance".to_owned();
        Self { version: version.into(), description, interfaces: Vec::new(), component: String::new() }
    }

    /// Says what it is, in a few words.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// Adds an interface that it exports.
    #[must_use]
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interfaces.push(name.into());
        self
    }

    /// Tells its component by a digest, so that two that differ are told apart.
    #[must_use]
    pub fn component(mut self, digest: impl Into<String>) -> Self {
        self.component = digest.into();
        self
    }

    /// The interfaces.
    #[must_use]
    pub fn interfaces(&self) -> &[String] {
        &self.interfaces
    }
}

impl Default for Announcement {
    /// isorun's own version, and no interfaces.
    fn default() -> Self {
        Self::new(env!("CARGO_PKG_VERSION"))
    }
}

/// Why a name is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NatsListenError {
    /// There is no such server, or it won't have us.
    #[error("cannot reach the NATS server {server}: {cause}")]
    Connect {
        /// The server.
        server: String,
        /// What it says, or the system.
        cause: String,
    },
    /// The name can't be announced.
    #[error("cannot announce {address}: {cause}")]
    Announce {
        /// What would be served.
        address: String,
        /// What is wrong.
        cause: String,
    },
}

/// Accepts channels to one name, which it announces through the NATS services API.
///
/// Any number of processes may serve one name: each channel goes to one of them. Where the connection to the server goes
/// its channels are lost; it comes back by itself, and the name with it. Dropping the listener takes the name back, while
/// channels that were accepted go on.
pub struct NatsTransportListener {
    address: NatsAddress,
    channels: mpsc::Receiver<NatsChannel>,
    /// What the task that answers requests is told by, when this is dropped.
    _stays: mpsc::Sender<()>,
}

impl NatsTransportListener {
    /// Serves `nats://HOST[:PORT]/NAME` with nothing to say about it.
    ///
    /// # Errors
    /// [`NatsListenError`] where the address is none, or there is no server.
    pub async fn bind(address: &str) -> Result<Self, NatsListenError> {
        let parsed = address.parse::<NatsAddress>();
        let parsed = parsed
            .map_err(|error| NatsListenError::Announce { address: address.to_owned(), cause: error.to_string() })?;
        Self::announce(&parsed, Announcement::default(), &NatsOptions::default()).await
    }

    /// Serves an address and says what is there.
    ///
    /// # Errors
    /// [`NatsListenError`] where there is no server, or the version is none.
    pub async fn announce(
        address: &NatsAddress,
        announcement: Announcement,
        options: &NatsOptions,
    ) -> Result<Self, NatsListenError> {
        let server = Server::connect(address.server(), options, &format!("isorun {}", address.name())).await;
        let server =
            server.map_err(|cause| NatsListenError::Connect { server: address.server().to_string(), cause })?;
        let announced = announced(&server, address, announcement).await;
        let (service, endpoint, open) = announced
            .map_err(|error| NatsListenError::Announce { address: address.to_string(), cause: error.to_string() })?;
        let (give, channels) = mpsc::channel(BACKLOG_MAX);
        let (stays, dropped) = mpsc::channel(1);
        let answers = Answers { server, peer: address.server().to_string(), give, open };
        tokio::spawn(answers.all(service, endpoint, dropped));
        Ok(Self { address: address.clone(), channels, _stays: stays })
    }
}

/// Puts a name and what is served under it where all can see it.
async fn announced(
    server: &Server,
    address: &NatsAddress,
    announcement: Announcement,
) -> Result<(Service, Endpoint, Arc<AtomicUsize>), async_nats::Error> {
    let Announcement { version, description, interfaces, component } = announcement;
    let mut metadata = HashMap::from([
        ("isorun.instance".to_owned(), address.name().to_owned()),
        ("isorun.interfaces".to_owned(), clipped(interfaces.join(","))),
    ]);
    if !component.is_empty() {
        metadata.insert("isorun.component".to_owned(), clipped(component));
    }
    let open = Arc::new(AtomicUsize::new(0));
    let shown = Arc::clone(&open);
    let service = server.client.service_builder();
    let service = service
        .description(clipped(description))
        .metadata(metadata)
        .stats_handler(move |_, _| serde_json::json!({ "channels": shown.load(Ordering::Relaxed) }))
        .start(service_name(address.name()), version)
        .await?;
    let endpoint = service.endpoint_builder().name("open").queue_group(QUEUE_GROUP).add(address.subject()).await?;
    // The server has it before anybody is told that it is there.
    server.client.flush().await?;
    Ok((service, endpoint, open))
}

/// A service's name may have letters, digits, `-` and `_`; the name itself is announced beside it.
fn service_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect()
}

fn clipped(mut text: String) -> String {
    if text.len() > ANNOUNCED_BYTES_MAX {
        let end = (0..=ANNOUNCED_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("..");
    }
    text
}

/// Answers requests for channels.
struct Answers {
    server: Server,
    /// The peers' address: where they come from is not told.
    peer: String,
    give: mpsc::Sender<NatsChannel>,
    open: Arc<AtomicUsize>,
}

impl Answers {
    /// All, until the listener is dropped; then those that are still on their way are refused.
    async fn all(self, service: Service, mut endpoint: Endpoint, mut dropped: mpsc::Receiver<()>) {
        loop {
            tokio::select! {
                biased;
                _ = dropped.recv() => break,
                request = endpoint.next() => match request {
                    Some(request) => self.one(request).await,
                    None => return,
                },
            }
        }
        // Those who list services see it no more, and the server gives requests to others from here on.
        let _ = service.stop().await;
        let _ = endpoint.stop().await;
        if self.server.client.flush().await.is_err() {
            return;
        }
        while let Some(Some(request)) = futures_util::FutureExt::now_or_never(endpoint.next()) {
            refuse(&request, 503, "it serves no longer").await;
        }
    }

    async fn one(&self, request: Request) {
        let opening = Note::decode(request.message.payload.clone());
        let (window, first) = match opening {
            Ok(Note::Open { window, first }) if first.len() as u64 <= WINDOW_BYTES => (window, first),
            Ok(_) => return refuse(&request, 400, "no request for a channel").await,
            Err(problem) => return refuse(&request, 400, problem).await,
        };
        let Some(to) = answerable(request.message.reply.clone()) else {
            return refuse(&request, 400, "a request without a subject to answer to").await;
        };
        // Room for it is there before anything is promised.
        let Ok(room) = self.give.try_reserve() else {
            return refuse(&request, 429, "too many wait to be accepted").await;
        };
        let server = self.server.for_a_channel();
        let back = server.client.new_inbox();
        let Ok(inbox) = server.client.subscribe(back.clone()).await else { return };
        let accept = Note::Accept { window: WINDOW, inbox: back.clone() }.encode();
        if request.respond(Ok(accept)).await.is_err() {
            return;
        }
        let peer = PeerIdentity::Anonymous { address: self.peer.clone() };
        let counted = Counted::one_more(&self.open);
        let channel = NatsChannel::new(Ends::accepted(window, first), server, inbox, (to, back.into()), peer);
        room.send(channel.counted(counted));
    }
}

/// Counts what is there, for as long as it is.
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn one_more(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says no, which counts as an error of the service; what can't be answered is dropped, and does not count.
async fn refuse(request: &Request, code: usize, why: &str) {
    tracing::debug!(code, why, "no channel");
    let _ = request.respond(Err(ServiceError { status: why.to_owned(), code })).await;
}

impl Listener for NatsTransportListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Channel>, TransportError>> {
        self.channels.poll_recv(cx).map(|channel| match channel {
            Some(channel) => Ok(Box::new(channel) as Box<dyn Channel>),
            None => Err(TransportError::Closed),
        })
    }

    fn address(&self) -> String {
        self.address.to_string()
    }
}

impl fmt::Debug for NatsTransportListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsTransportListener").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_what_its_rules_allow() {
        assert_eq!(service_name("kv-1_a"), "kv-1_a");
        assert_eq!(service_name("a.b c/é"), "a_b_c__");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "é".repeat(ANNOUNCED_BYTES_MAX);
        assert_eq!(clipped(text).len(), ANNOUNCED_BYTES_MAX + 2);
        assert_eq!(clipped("kv".into()), "kv");
    }
}
