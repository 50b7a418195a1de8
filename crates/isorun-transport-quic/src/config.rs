//! What both ends agree on, and how much each takes on.

use std::sync::Arc;
use std::time::Duration;

use isorun_core::DEADLINE_MS_DEFAULT;
use isorun_tls::{ALPN, Credentials};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};

use crate::places::HANDSHAKES_MAX;

/// How long a connection lives on without a packet from the other end, in milliseconds.
///
/// Longer than a protocol above takes to find a peer dead by pings of its own, and than a call may take by default: it
/// is that protocol's to decide, and this bounds what a connection costs that nobody decides about.
pub const IDLE_MS_MAX: u32 = 60_000;

/// How often the end that opened a connection sends something where there is nothing to send, in milliseconds.
///
/// Routers forget a UDP mapping that was idle for 30 seconds. A protocol that pings more often makes it superfluous.
pub const KEEP_ALIVE_MS: u64 = 15_000;

/// Bytes that may be under way, sent and not yet acknowledged or read, in each direction of a channel.
///
/// It is what a connection can make either end hold, and what a small frame may have to wait behind: 1 MiB passes in 3
/// milliseconds on a fast local network. It also bounds the speed, to 20 MB/s at a round trip of 50 ms.
pub const WINDOW_BYTES: u32 = 1 << 20;

/// What one attempt to connect may send before it is looked at, in bytes.
const INCOMING_BYTES_MAX: u64 = 16 << 10;

const _: () = assert!(IDLE_MS_MAX as u64 > DEADLINE_MS_DEFAULT, "whoever calls gives up first");
const _: () = assert!(2 * KEEP_ALIVE_MS < IDLE_MS_MAX as u64, "one lost packet must not end an idle connection");

/// How the end that opens a connection shakes hands now.
pub(crate) fn client(credentials: &Credentials) -> Result<ClientConfig, String> {
    let crypto = QuicClientConfig::try_from(credentials.client_config(ALPN)).map_err(|error| error.to_string())?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    let mut transport = transport(1);
    transport.keep_alive_interval(Some(Duration::from_millis(KEEP_ALIVE_MS)));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// How the end that accepts connections does.
///
/// Whoever changes its address is followed: that is quinn's default, and stays.
pub(crate) fn server(credentials: &Credentials) -> Result<ServerConfig, String> {
    let mut config = ServerConfig::with_crypto(server_crypto(credentials)?);
    config.transport_config(Arc::new(transport(0)));
    config.max_incoming(HANDSHAKES_MAX);
    config.incoming_buffer_size(INCOMING_BYTES_MAX);
    config.incoming_buffer_size_total(INCOMING_BYTES_MAX * HANDSHAKES_MAX as u64);
    Ok(config)
}

/// The part of [`server`] that new credentials change.
pub(crate) fn server_crypto(credentials: &Credentials) -> Result<Arc<QuicServerConfig>, String> {
    let crypto = QuicServerConfig::try_from(credentials.server_config(ALPN));
    crypto.map(Arc::new).map_err(|error| error.to_string())
}

/// One stream in both directions, which the end that accepts opens; and nothing else, so that no peer of a server can
/// begin anything there.
fn transport(streams_of_the_other: u32) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(streams_of_the_other.into())
        .max_concurrent_uni_streams(0_u32.into())
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS_MAX))))
        .stream_receive_window(WINDOW_BYTES.into())
        .receive_window(WINDOW_BYTES.into())
        .send_window(WINDOW_BYTES.into());
    config
}
