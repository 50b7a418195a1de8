//! Answers all who connect.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use isorun_core::{Channel, Directory, Failure, Listener, TransportError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::observe;
use crate::options::{PeerOptions, ServeOptions};
use crate::peer::{Peer, Starting, not_sent};
use crate::refusals::Refusals;

/// A moment's rest after a connection that could not be accepted, in milliseconds: the cause may be a shortage.
const ACCEPT_REST_MS: u64 = 10;

/// Serves `directory` to everybody who connects, until the listener closes; dropping the future closes all connections.
///
/// Of more than `connections_max` connections, each is closed as it comes. A connection that does not say hello in time
/// is closed too. What is refused, connections and calls alike, is logged with its reason and its peer: a few lines for
/// each reason and second, then how many more there were.
pub async fn serve(listener: Box<dyn Listener>, directory: Arc<dyn Directory>, options: ServeOptions) {
    serve_until(listener, directory, options, pending()).await;
}

/// As [`serve`], until `shutdown`: then it ends without losing a call.
///
/// The listener closes, and every caller is told to turn elsewhere with what is new. What is under way is finished, for
/// [`drain_ms`](ServeOptions::drain_ms) at most; each connection closes once it has nothing left. Returns how many
/// connections had something left when that time was over and were cut: calls on them are *unknown* to their callers.
///
/// ```
/// # use std::sync::Arc;
/// # use isorun_core::{Callee, Directory, Failure, PeerIdentity, Refusal};
/// # struct Nothing;
/// # impl Directory for Nothing {
/// #     fn find(&self, instance: &str, _: &PeerIdentity) -> Result<Arc<dyn Callee>, Failure> {
/// #         Err(Refusal::NoSuchInstance { instance: instance.to_owned() }.into())
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use isorun_rpc::{ServeOptions, serve_until};
/// use isorun_transport_local::LocalChannelTransport;
///
/// let (_transport, listener) = LocalChannelTransport::pair();
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let shutdown = async { drop(stopped.await) };
/// let server = tokio::spawn(serve_until(Box::new(listener), Arc::new(Nothing), ServeOptions::default(), shutdown));
/// drop(stop);
/// assert_eq!(server.await.unwrap(), 0);
/// # }
/// ```
pub async fn serve_until(
    mut listener: Box<dyn Listener>,
    directory: Arc<dyn Directory>,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> usize {
    let ServeOptions { mut peer, connections_max, drain_ms } = options;
    peer.directory = Some(directory);
    let drain = watch::Sender::new(false);
    let refusals = Arc::new(Refusals::default());
    let mut told = pin!(refusals.told());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let closed = loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break false,
            Some(_) = connections.join_next() => continue,
            () = &mut told => continue,
            accepted = poll_fn(|cx| listener.poll_accept(cx)) => accepted,
        };
        match accepted {
            Ok(channel) if connections.len() >= connections_max => {
                observe::refused("accepted", "too-many");
                let detail = format!("more than {connections_max} connections");
                refusals.note("connections", channel.peer(), &detail);
            }
            Ok(channel) => {
                connections.spawn(serve_one(channel, peer.clone(), Arc::clone(&refusals), drain.subscribe()));
            }
            Err(TransportError::Closed) => break true,
            Err(error) => {
                observe::refused("accepted", "not-accepted");
                refusals.note("accept", &listener.address(), &error);
                sleep(Duration::from_millis(ACCEPT_REST_MS)).await;
            }
        }
    };
    let address = listener.address();
    // Nobody can connect any more.
    drop(listener);
    if closed {
        // Those that are there are served to their end.
        tokio::select! {
            () = all(&mut connections) => return 0,
            () = shutdown => {}
        }
    }
    tracing::info!(%address, connections = connections.len(), "no longer serving: finishing what runs");
    drain.send_replace(true);
    // What is left when the time is over goes with the set.
    match timeout(Duration::from_millis(drain_ms), all(&mut connections)).await {
        Ok(()) => 0,
        Err(_) => connections.len(),
    }
}

async fn serve_one(
    channel: Box<dyn Channel>,
    options: PeerOptions,
    refusals: Arc<Refusals>,
    mut drain: watch::Receiver<bool>,
) {
    let Starting { peer, mut opened, mut driver } = Peer::accepting(channel, options, refusals);
    let ended = tokio::select! {
        _ = &mut driver => true,
        _ = drain.wait_for(|drain| *drain) => false,
    };
    if !ended {
        peer.go_away();
        // To the end of its channel, and not only of the connection: its last answers are on their way.
        let _ = driver.await;
    }
    if let Ok(Err(failure)) = opened.try_recv() {
        tracing::debug!(peer = %peer.identity(), %failure, "no peer");
    }
}

async fn all(connections: &mut JoinSet<()>) {
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
