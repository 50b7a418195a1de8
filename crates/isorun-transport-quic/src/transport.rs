//! Opens channels.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use isorun_core::{BoxFuture, Channel, Transport, TransportError};
use isorun_tls::Credentials;
use quinn::{ClientConfig, ConnectError, Connecting, Endpoint};

use crate::nobody::nobody_at;
use crate::stream::{QuicStream, WELCOME};
use crate::words::words;
use crate::{QuicAddress, QuicAddressError, config};

/// How long opening a channel may take, looking up the name included, in milliseconds.
///
/// Long enough for a lost first packet to be sent again three times.
pub const QUIC_CONNECT_MS_MAX: u64 = 10_000;

/// Opens channels to one QUIC address, from one UDP socket.
///
/// A clone opens channels to the same address from the same socket.
#[derive(Debug, Clone)]
pub struct QuicTransport {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: QuicAddress,
    credentials: Credentials,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// With the generation of the credentials that it was made of.
    config: Option<(u64, ClientConfig)>,
    ipv4: Option<Endpoint>,
    ipv6: Option<Endpoint>,
}

impl QuicTransport {
    /// A transport to `quic://HOST:PORT`; nothing is looked up or opened yet.
    ///
    /// # Errors
    /// [`QuicAddressError`] where the address is none.
    pub fn new(address: &str, credentials: Credentials) -> Result<Self, QuicAddressError> {
        Ok(Self::to(address.parse()?, credentials))
    }

    /// [`new`](Self::new) for an address that is parsed already.
    #[must_use]
    pub fn to(address: QuicAddress, credentials: Credentials) -> Self {
        Self { shared: Arc::new(Shared { address, credentials, state: Mutex::default() }) }
    }

    /// The address that channels are opened to.
    #[must_use]
    pub fn address(&self) -> &QuicAddress {
        &self.shared.address
    }
}

impl Transport for QuicTransport {
    fn place(&self) -> String {
        self.shared.address.to_string()
    }

    /// Opens a connection and authenticates both ends; needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`TransportError::Unreachable`], with the address and the cause, where nobody answers within
    /// [`QUIC_CONNECT_MS_MAX`], or one of the ends refuses the other.
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Channel>, TransportError>> {
        Box::pin(async {
            let opened = tokio::time::timeout(Duration::from_millis(QUIC_CONNECT_MS_MAX), self.shared.open()).await;
            let cause = match opened {
                Ok(Ok(channel)) => return Ok(channel),
                Ok(Err(cause)) => cause,
                Err(_) => no_answer(QUIC_CONNECT_MS_MAX),
            };
            Err(TransportError::Unreachable { address: self.shared.address.to_string(), cause })
        })
    }
}

impl Shared {
    /// Tries each address behind the name in turn, each for its part of the time.
    async fn open(&self) -> Result<Box<dyn Channel>, String> {
        let addresses = self.address.host_port().resolve().await.map_err(|error| error.to_string())?;
        let mut cause = "the name has no address".to_owned();
        let part_ms = QUIC_CONNECT_MS_MAX / addresses.len().max(1) as u64;
        for address in addresses {
            match tokio::time::timeout(Duration::from_millis(part_ms), self.open_at(address)).await {
                Ok(Ok(channel)) => return Ok(channel),
                Ok(Err(error)) => cause = error,
                Err(_) => cause = no_answer(part_ms),
            }
        }
        Err(cause)
    }

    async fn open_at(&self, address: SocketAddr) -> Result<Box<dyn Channel>, String> {
        let connecting = self.connect(address)?;
        let connection = tokio::select! {
            connection = connecting => connection.map_err(|error| words(&error))?,
            () = nobody_at(address) => return Err("connection refused: nobody listens there".into()),
        };
        let mut stream = connection.accept_bi().await.map_err(|error| words(&error))?;
        let mut welcome = [0; WELCOME.len()];
        let read = stream.1.read_exact(&mut welcome).await;
        if read.is_err() || welcome != WELCOME {
            return Err(connection.close_reason().map_or_else(|| UNWELCOME.into(), |error| words(&error)));
        }
        QuicStream::channel(connection, stream).map_err(|error| error.to_string())
    }

    /// Begins a connection, from the socket that all of them use.
    fn connect(&self, address: SocketAddr) -> Result<Connecting, String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let config = state.config(&self.credentials)?;
        let endpoint = if address.is_ipv4() { &mut state.ipv4 } else { &mut state.ipv6 };
        let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let bind = || Endpoint::client(SocketAddr::new(any, 0)).map_err(|error| error.to_string());
        let connect = |endpoint: &Endpoint| endpoint.connect_with(config.clone(), address, &self.address.name());
        if let Some(endpoint) = endpoint {
            match connect(endpoint) {
                // Its runtime has ended, or its socket was lost: another one, then.
                Err(ConnectError::EndpointStopping) => {}
                connecting => return connecting.map_err(|error| error.to_string()),
            }
        }
        connect(endpoint.insert(bind()?)).map_err(|error| error.to_string())
    }
}

impl State {
    /// How to shake hands by the credentials as they are now.
    fn config(&mut self, credentials: &Credentials) -> Result<ClientConfig, String> {
        let generation = credentials.generation();
        match &self.config {
            Some((of, config)) if *of == generation => Ok(config.clone()),
            _ => {
                let config = config::client(credentials)?;
                self.config = Some((generation, config.clone()));
                Ok(config)
            }
        }
    }
}

/// What is said of a server that begins otherwise.
const UNWELCOME: &str = "it does not let this end in as an isorun does";

fn no_answer(ms: u64) -> String {
    format!("no answer within {ms} ms")
}
