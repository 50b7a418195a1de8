//! What goes on at a listener's socket: everybody shakes hands in a task of its own, and those who have are handed on.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use isorun_core::Channel;
use isorun_tls::{Credentials, HandshakeLog};
use quinn::{Endpoint, Incoming, ServerConfig};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use crate::config;
use crate::listener::HANDSHAKE_MS_MAX;
use crate::places::{Admission, Places};
use crate::stream::{QuicStream, WELCOME};
use crate::words::{of_write, words};

/// Whoever connects, and what they are met with.
pub(crate) struct Acceptor {
    pub(crate) endpoint: Endpoint,
    pub(crate) credentials: Credentials,
    /// With the generation of the credentials that it was made of.
    pub(crate) config: (u64, ServerConfig),
}

impl Acceptor {
    /// Hands on channels until nobody takes them, and then turns all away until the last of them has ended.
    pub(crate) async fn run(mut self, accepted: Sender<Box<dyn Channel>>) {
        let (places, log, mut handshakes) = (Places::default(), Arc::new(HandshakeLog::new()), JoinSet::new());
        loop {
            let incoming = tokio::select! {
                () = accepted.closed() => break,
                Some(_) = handshakes.join_next() => continue,
                incoming = self.endpoint.accept() => incoming,
            };
            let Some(incoming) = incoming else { return };
            let from = incoming.remote_address();
            match places.admit(from.ip(), incoming.remote_address_validated()) {
                // It fails only for those that are validated.
                Admission::Prove => drop(incoming.retry()),
                Admission::Refuse => {
                    log.refused(&from, &"too many others are being authenticated");
                    incoming.refuse();
                }
                Admission::Place(place) => {
                    let (config, accepted, log) = (self.config(), accepted.clone(), log.clone());
                    handshakes.spawn(async move {
                        if let Some(channel) = shake_hands(incoming, config, from, &log).await {
                            let _ = accepted.send(channel).await;
                        }
                        drop(place);
                    });
                }
            }
        }
        // Who was not taken yet is closed, and who was is served on, by this same socket.
        drop(handshakes);
        let turn_away = async {
            while let Some(incoming) = self.endpoint.accept().await {
                incoming.refuse();
            }
        };
        tokio::select! {
            () = turn_away => {}
            () = self.endpoint.wait_idle() => {}
        }
    }

    /// How to shake hands by the credentials as they are now.
    fn config(&mut self) -> Arc<ServerConfig> {
        let generation = self.credentials.generation();
        if self.config.0 != generation {
            // All but this part stays, above all the key of addresses that were proven.
            if let Ok(crypto) = config::server_crypto(&self.credentials) {
                self.config.1.crypto = crypto;
            }
            self.config.0 = generation;
        }
        Arc::new(self.config.1.clone())
    }
}

/// The channel to somebody who has proven in time who they are.
async fn shake_hands(
    incoming: Incoming,
    config: Arc<ServerConfig>,
    from: SocketAddr,
    log: &HandshakeLog,
) -> Option<Box<dyn Channel>> {
    let refused = |reason: &dyn Display| log.refused(&from, reason);
    match tokio::time::timeout(Duration::from_millis(HANDSHAKE_MS_MAX), channel(incoming, config)).await {
        Ok(Ok(channel)) => return Some(channel),
        Ok(Err(reason)) => refused(&reason),
        Err(_) => refused(&format_args!("it took longer than {HANDSHAKE_MS_MAX} ms to prove who it is")),
    }
    None
}

async fn channel(incoming: Incoming, config: Arc<ServerConfig>) -> Result<Box<dyn Channel>, String> {
    // Ready once the peer's certificate is verified: nothing that it sends is read before.
    let connecting = incoming.accept_with(config).map_err(|error| words(&error))?;
    let connection = connecting.await.map_err(|error| words(&error))?;
    let mut stream = connection.open_bi().await.map_err(|error| words(&error))?;
    stream.0.write_all(&WELCOME).await.map_err(|error| of_write(error).to_string())?;
    QuicStream::channel(connection, stream).map_err(|error| error.to_string())
}
