//! A connection to a NATS server, for what else is built on one.

use async_nats::Client;

use crate::server::Server;
use crate::{NatsOptions, NatsServer};

/// A connection to a NATS server; clones share it.
///
/// It comes back by itself after it went. It is made as those of channels are: bounded buffers, no other server than the
/// one that was named, and a server that is silent for some seconds is looked for anew.
#[derive(Clone)]
pub struct NatsConnection {
    server: Server,
}

/// Why there is no connection to a NATS server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no connection to {server}: {cause}")]
pub struct NatsConnectError {
    /// The server.
    pub server: String,
    /// What the client says, which names no secret.
    pub cause: String,
}

impl NatsConnection {
    /// Connects, within [`CONNECT_MS_MAX`](crate::CONNECT_MS_MAX); the server shows `name` to its operators.
    ///
    /// # Errors
    /// [`NatsConnectError`].
    pub async fn open(server: &NatsServer, options: &NatsOptions, name: &str) -> Result<Self, NatsConnectError> {
        match Server::connect(server, options, name).await {
            Ok(server) => Ok(Self { server }),
            Err(cause) => Err(NatsConnectError { server: server.to_string(), cause }),
        }
    }

    /// The client, to publish and ask with.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.server.client
    }

    /// Whether it is there; where it went, whether it comes back within a second.
    pub async fn is_up(&self) -> bool {
        self.server.is_up_again().await
    }
}

impl std::fmt::Debug for NatsConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsConnection").field("state", &self.client().connection_state()).finish_non_exhaustive()
    }
}
