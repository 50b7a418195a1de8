//! Opens channels to whoever serves a name.

use std::fmt;
use std::time::Duration;

use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE};
use async_nats::{HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use isorun_core::{BoxFuture, Channel, FRAME_BYTES_MAX, PeerIdentity, Transport, TransportError};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::channel::NatsChannel;
use crate::ends::{Ends, WINDOW};
use crate::note::{Note, OPEN_HEADER_BYTES, is_subject};
use crate::server::Server;
use crate::{NatsAddress, NatsAddressError, NatsOptions};

/// How long those who serve a name may take to answer a request for a channel, in milliseconds.
pub const OPEN_MS_MAX: u64 = 4_500;

/// How long each who is asked may take, in milliseconds; then another request goes out, to somebody else perhaps.
///
/// One who stopped serving when the request was on its way to it does not answer, nor does one that hangs. The last may take
/// as long as one that is merely busy needs.
const WAITS_MS: [u64; 4] = [500, 500, 1_000, 2_500];

const _: () = assert!(WAITS_MS[0] + WAITS_MS[1] + WAITS_MS[2] + WAITS_MS[3] == OPEN_MS_MAX);

/// Opens channels to one name at a NATS server: each to one of those who serve it.
///
/// All its channels share one connection to the server, made when it is first needed. It comes back by itself when it
/// went; channels that were open then are lost.
pub struct NatsTransport {
    address: NatsAddress,
    options: NatsOptions,
    server: Mutex<Option<Server>>,
}

impl NatsTransport {
    /// A transport to `nats://HOST[:PORT]/NAME`; nothing is looked up or opened yet.
    ///
    /// # Errors
    /// [`NatsAddressError`] where the address is none.
    pub fn new(address: &str) -> Result<Self, NatsAddressError> {
        Ok(Self::with_options(address.parse()?, NatsOptions::default()))
    }

    /// The same for an address that is parsed already, as somebody whom the server knows.
    #[must_use]
    pub fn with_options(address: NatsAddress, options: NatsOptions) -> Self {
        Self { address, options, server: Mutex::new(None) }
    }

    /// The address that channels are opened to.
    #[must_use]
    pub fn address(&self) -> &NatsAddress {
        &self.address
    }

    /// The connection to the server, made if need be.
    async fn server(&self) -> Result<Server, TransportError> {
        let mut kept = self.server.lock().await;
        if let Some(server) = &*kept {
            if server.is_up_again().await {
                return Ok(server.for_a_channel());
            }
            // Its task may have gone with a runtime that ended: another one is tried, once.
            *kept = None;
        }
        let server = Server::connect(self.address.server(), &self.options, "isorun").await;
        let server = server.map_err(|cause| self.unreachable(cause))?;
        *kept = Some(server.clone());
        Ok(server.for_a_channel())
    }

    /// A channel; one that says something at once is asked for only once.
    async fn channel(&self, first: Bytes) -> Result<NatsChannel, TransportError> {
        let waits_ms: &[u64] = if first.is_empty() { &WAITS_MS } else { &[OPEN_MS_MAX] };
        let mut silence = String::new();
        for wait_ms in waits_ms {
            match self.asked(&first, *wait_ms).await {
                Ok(channel) => return Ok(channel),
                Err(Answer::Error(error)) => return Err(error),
                Err(Answer::None(cause)) => silence = cause,
            }
        }
        // What went out with the request may have been heard.
        Err(if first.is_empty() { self.unreachable(silence) } else { TransportError::Lost { cause: silence } })
    }

    async fn asked(&self, first: &Bytes, wait_ms: u64) -> Result<NatsChannel, Answer> {
        let asked = match self.request(first).await {
            Some(asked) => asked,
            None => {
                // The connection that was kept has ended for good.
                *self.server.lock().await = None;
                self.request(first).await.unwrap_or_else(|| Err(self.unreachable("the connection ended")))
            }
        };
        let (server, inbox, back) = asked.map_err(Answer::Error)?;
        self.accepted(server, inbox, back, first, wait_ms).await
    }

    /// Asks for a channel; `None` where the connection takes nothing any more.
    async fn request(&self, first: &Bytes) -> Option<Result<(Server, Subscriber, String), TransportError>> {
        let server = match self.server().await {
            Ok(server) => server,
            Err(error) => return Some(Err(error)),
        };
        let back = server.client.new_inbox();
        let inbox = server.client.subscribe(back.clone()).await.ok()?;
        let open = Note::Open { window: WINDOW, first: first.clone() }.encode();
        let asked = server.client.publish_with_reply(self.address.subject(), back.clone(), open).await;
        asked.ok()?;
        Some(Ok((server, inbox, back)))
    }

    /// Waits for the answer.
    async fn accepted(
        &self,
        mut server: Server,
        mut inbox: Subscriber,
        back: String,
        first: &Bytes,
        wait_ms: u64,
    ) -> Result<NatsChannel, Answer> {
        let answer = tokio::select! {
            biased;
            answer = timeout(Duration::from_millis(wait_ms), inbox.next()) => answer,
            () = server.lost() => Ok(None),
        };
        let answer = answer.map_err(|_| match server.complaint() {
            Some(complaint) => Answer::None(format!("no answer; the NATS server says: {complaint}")),
            None => Answer::None(format!("no answer within {OPEN_MS_MAX} ms")),
        })?;
        let answer = answer.ok_or_else(|| Answer::None("the connection to the NATS server went".into()))?;
        let (window, to) = match answer {
            Message { status: Some(StatusCode::NO_RESPONDERS), .. } => {
                return Err(Answer::Error(self.unreachable("nobody serves that name")));
            }
            Message { headers: Some(headers), .. } if headers.get(NATS_SERVICE_ERROR_CODE).is_some() => {
                return Err(Answer::Error(self.unreachable(refusal(&headers))));
            }
            Message { payload, .. } => match Note::decode(payload) {
                Ok(Note::Accept { window, inbox }) => (window, inbox),
                Ok(_) | Err(_) => return Err(Answer::None("whoever answers is no isorun of this version".into())),
            },
        };
        let peer = PeerIdentity::Anonymous { address: self.address.to_string() };
        Ok(NatsChannel::new(Ends::opened(window, first.len()), server, inbox, (to.into(), back.into()), peer))
    }

    fn unreachable(&self, cause: impl Into<String>) -> TransportError {
        TransportError::Unreachable { address: self.address.to_string(), cause: cause.into() }
    }
}

/// What came instead of a channel.
enum Answer {
    /// None that says anything about the request, and why.
    None(String),
    /// One that says that it was not taken, or it never left.
    Error(TransportError),
}

/// What a provider says that gives no channel; a peer's text, so that it is cut where it is long.
fn refusal(headers: &HeaderMap) -> String {
    const SHOWN: usize = 100;
    let text = headers.get(NATS_SERVICE_ERROR).map(ToString::to_string).unwrap_or_default();
    let text: String = text.chars().filter(|c| !isorun_core::moves_cursor(*c)).take(SHOWN).collect();
    format!("whoever was asked refused: {text}")
}

impl Transport for NatsTransport {
    fn place(&self) -> String {
        self.address.to_string()
    }

    /// Asks for a channel; needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`] where there is no server within [`CONNECT_MS_MAX`](crate::CONNECT_MS_MAX), where
    /// nobody serves the name, which the server says at once, and where whoever does gives none within [`OPEN_MS_MAX`].
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>, TransportError>> {
        Box::pin(async { Ok(Box::new(self.channel(Bytes::new()).await?) as Box<dyn Channel>) })
    }

    /// One request and its reply: what fits one message goes out at once, and costs one round trip.
    fn call(&self, payload: Bytes) -> BoxFuture<'_, Result<Bytes, TransportError>> {
        Box::pin(async move {
            let size = payload.len();
            if size == 0 || size > FRAME_BYTES_MAX {
                return Err(TransportError::FrameSize { size, max: FRAME_BYTES_MAX });
            }
            let room = self.server().await?.client.max_payload().saturating_sub(OPEN_HEADER_BYTES);
            let fits = size <= room.min(crate::ends::PART_BYTES_MAX);
            let mut channel = self.channel(if fits { payload.clone() } else { Bytes::new() }).await?;
            if !fits {
                let mut queue = [payload].into();
                std::future::poll_fn(|cx| channel.poll_send(cx, &mut queue)).await?;
            }
            let reply = std::future::poll_fn(|cx| channel.poll_recv(cx)).await?;
            reply.ok_or(TransportError::Closed)
        })
    }
}

impl fmt::Debug for NatsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsTransport").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Where a peer that asks to be answered at `reply` can be answered.
pub(crate) fn answerable(reply: Option<async_nats::Subject>) -> Option<async_nats::Subject> {
    reply.filter(|reply| is_subject(reply))
}
