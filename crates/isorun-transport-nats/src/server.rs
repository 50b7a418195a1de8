//! A connection to a NATS server, and what becomes of it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event};
use isorun_core::TransportError;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::options::Login;
use crate::{NatsOptions, NatsServer};

/// How long connecting to the NATS server may take, looking up its name included, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 5_000;

/// Messages that wait here for one subscription before the next is dropped, which its channel then finds missing.
///
/// Over what a window allows, with room for messages that carry no frames.
pub(crate) const SUBSCRIPTION_MESSAGES_MAX: usize = 1_024;

/// Messages of all channels that wait for the connection to take them.
///
/// More than the channels of one server, each of which may hold one place.
const OUTBOUND_MESSAGES_MAX: usize = 2_048;

/// How often the server is asked whether it is still there, in milliseconds: the third question unanswered ends the
/// connection.
const PING_MS: u64 = 5_000;

/// Longest wait between two attempts to connect again, in milliseconds.
const RECONNECT_MS_MAX: u64 = 500;

/// How long whoever wants a channel waits for a connection that went, in milliseconds.
const AGAIN_MS_MAX: u64 = 1_000;

// A server that is there is found in that time.
const _: () = assert!(RECONNECT_MS_MAX < AGAIN_MS_MAX);

/// Most of a complaint that is kept, in characters.
const COMPLAINT_CHARS_MAX: usize = 200;

/// A connection to a NATS server; clones share it.
///
/// It comes back by itself after it went, but no channel on it does: each is told at once.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) client: Client,
    losses: watch::Receiver<Losses>,
    /// What the server complained about last: of what it did not do it tells nobody else.
    complaint: Arc<Mutex<Option<String>>>,
    /// Connections made so far when this was handed out: one more, and the channel over it has missed something.
    connects: u64,
    /// Connections lost so far, then.
    lost: u64,
    /// While somebody has it, the connection is wanted.
    _wanted: Arc<()>,
}

/// What became of the connection so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Losses {
    /// How often it went.
    count: u64,
    /// It is not there now.
    now: bool,
}

impl Server {
    /// Connects, once.
    ///
    /// # Errors
    /// What the client library says; it names neither user nor password.
    pub(crate) async fn connect(server: &NatsServer, options: &NatsOptions, name: &str) -> Result<Self, String> {
        let (tell, losses) = watch::channel(Losses::default());
        let complaint = Arc::new(Mutex::new(None));
        let complain = Arc::clone(&complaint);
        let address = server.to_string();
        let wanted = Arc::new(());
        let is_wanted = Arc::downgrade(&wanted);
        let mut connecting = ConnectOptions::new()
            .name(name)
            .subscription_capacity(SUBSCRIPTION_MESSAGES_MAX)
            .client_capacity(OUTBOUND_MESSAGES_MAX)
            .connection_timeout(Duration::from_millis(CONNECT_MS_MAX))
            .ping_interval(Duration::from_millis(PING_MS))
            .reconnect_delay_callback(|attempt| {
                let doubled = 1_u64.checked_shl(u32::try_from(attempt).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
                Duration::from_millis(if attempt <= 1 { 0 } else { doubled.min(RECONNECT_MS_MAX) })
            })
            // An operator said which server this may speak to.
            .ignore_discovered_servers()
            .event_callback(move |event| {
                match event {
                    Event::Connected => tell.send_modify(|losses| {
                        if losses.now {
                            tracing::warn!(server = address, "the NATS server is there again");
                        }
                        losses.now = false;
                    }),
                    Event::Disconnected | Event::Closed => tell.send_modify(|losses| {
                        if !losses.now && is_wanted.strong_count() > 0 {
                            tracing::warn!(server = address, "the connection to the NATS server went: looking for it");
                        }
                        *losses = Losses { count: losses.count + 1, now: true };
                    }),
                    Event::ServerError(error) => {
                        let error: String = error.to_string().chars().take(COMPLAINT_CHARS_MAX).collect();
                        tracing::warn!(error, "the NATS server complains");
                        *complain.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                    other => tracing::debug!(event = %other, "NATS"),
                }
                std::future::ready(())
            });
        connecting = match options.login().map_err(|error| error.to_string())? {
            // A file has been read by now.
            None | Some(Login::File(_)) => connecting,
            Some(Login::User { name, password }) => connecting.user_and_password(name, password),
            Some(Login::Token(token)) => connecting.token(token),
        };
        if server.is_tls() {
            connecting = connecting.require_tls(true);
            connecting = options.authorities.iter().cloned().fold(connecting, ConnectOptions::add_root_certificates);
        }
        let connecting = timeout(Duration::from_millis(CONNECT_MS_MAX), connecting.connect(server.url()));
        match connecting.await {
            Ok(Ok(client)) => {
                let connects = connects(&client);
                Ok(Self { client, losses, complaint, connects, lost: 0, _wanted: wanted })
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {CONNECT_MS_MAX} ms")),
        }
    }

    /// The same for one channel, which from now on misses nothing.
    pub(crate) fn for_a_channel(&self) -> Self {
        let mut same = self.clone();
        same.connects = connects(&self.client);
        same.lost = self.losses.borrow().count;
        same
    }

    /// Whether the connection is there, and has been since [`for_a_channel`](Self::for_a_channel).
    pub(crate) fn is_whole(&self) -> bool {
        self.is_up() && connects(&self.client) == self.connects
    }

    fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Ends when the connection goes, or has gone since [`for_a_channel`](Self::for_a_channel).
    pub(crate) async fn lost(&mut self) {
        let lost = self.lost;
        // An error says that nobody tells any more: the connection has ended for good.
        let _ = self.losses.wait_for(|losses| losses.count != lost).await;
    }

    /// What the server complained about since it was last asked here.
    pub(crate) fn complaint(&self) -> Option<String> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until the connection is there again, for [`AGAIN_MS_MAX`] at most; whether it is.
    pub(crate) async fn is_up_again(&self) -> bool {
        let mut losses = self.losses.clone();
        let again = losses.wait_for(|losses| !losses.now);
        let again = timeout(Duration::from_millis(AGAIN_MS_MAX), again).await;
        !matches!(again, Ok(Err(_))) && self.is_up()
    }
}

fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}

/// The NATS server went, and with it what was on its way.
pub(crate) fn server_lost() -> TransportError {
    TransportError::Lost { cause: "the connection to the NATS server went".into() }
}
