//! Answers all who connect.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use isorun_core::{Directory, Failure, Listener, TransportError};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::options::{PeerOptions, ServeOptions};
use crate::peer::{Peer, not_sent};

/// A moment's rest after a connection that could not be accepted, in milliseconds: the cause may be a shortage.
const ACCEPT_REST_MS: u64 = 10;

/// Serves `directory` to everybody who connects, until the listener closes; dropping the future closes all connections.
///
/// Of more than `connections_max` connections, each is closed as it comes. A connection that does not say hello in time
/// is closed too.
pub async fn serve(mut listener: Box<dyn Listener>, directory: Arc<dyn Directory>, options: ServeOptions) {
    let ServeOptions { mut peer, connections_max } = options;
    peer.directory = Some(directory);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = poll_fn(|cx| listener.poll_accept(cx)) => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok(channel) if connections.len() >= connections_max => {
                tracing::warn!(peer = %channel.peer(), connections_max, "too many connections");
            }
            Ok(channel) => {
                let options = peer.clone();
                connections.spawn(async move {
                    let identity = channel.peer().clone();
                    match Peer::accept(channel, options).await {
                        Ok(peer) => peer.closed().await,
                        Err(failure) => tracing::debug!(peer = %identity, %failure, "no peer"),
                    }
                });
            }
            Err(TransportError::Closed) => break,
            Err(error) => {
                tracing::warn!(address = %listener.address(), %error, "a connection could not be accepted");
                sleep(Duration::from_millis(ACCEPT_REST_MS)).await;
            }
        }
    }
    // No more will come; those that are there are served to their end.
    while connections.join_next().await.is_some() {}
}

/// Accepts one connection, for a host that wants to call back over it.
///
/// # Errors
/// [`Failure::NotSent`]: the listener is closed, or whoever came is no peer.
pub async fn accept(listener: &mut dyn Listener, options: PeerOptions) -> Result<Peer, Failure> {
    let channel = poll_fn(|cx| listener.poll_accept(cx)).await.map_err(|error| not_sent(error.to_string()))?;
    Peer::accept(channel, options).await
}
