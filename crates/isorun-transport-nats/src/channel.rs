//! One end of a channel: the half that is polled, and the task that hears the other end.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use isorun_core::{BoxFuture, Channel, PeerIdentity, TransportError};
use tokio::time::{MissedTickBehavior, interval};

use crate::ends::{Ends, Receiver, Route, Sender, State, part_bytes, poll_say};
use crate::listener::Counted;
use crate::note::Note;
use crate::server::{Server, server_lost};

/// How often each end says how far it is, in milliseconds.
///
/// The server answers at once where nobody hears it: so long, at most, a dead peer and a message that got lost go
/// unnoticed.
pub const STATUS_MS: u64 = 1_000;

/// One end of a channel.
pub(crate) struct NatsChannel {
    ends: Arc<Ends>,
    client: Client,
    route: Route,
    sender: Sender,
    receiver: Receiver,
    /// The connection's answer that all that was said has left.
    flushing: Option<BoxFuture<'static, bool>>,
    peer: PeerIdentity,
    _counted: Option<Counted>,
}

impl NatsChannel {
    /// An end that writes to `to` and reads what comes to `inbox`.
    pub(crate) fn new(
        ends: Arc<Ends>,
        server: Server,
        inbox: Subscriber,
        (to, back): (Subject, Subject),
        peer: PeerIdentity,
    ) -> Self {
        let client = server.client.clone();
        let route = Route { to, back, part_bytes: part_bytes(client.max_payload()) };
        tokio::spawn(hear(Arc::clone(&ends), server, inbox, route.clone()));
        let (sender, receiver) = (Sender::default(), Receiver::default());
        Self { ends, client, route, sender, receiver, flushing: None, peer, _counted: None }
    }

    /// The same, among those that are counted.
    pub(crate) fn counted(mut self, counted: Counted) -> Self {
        self._counted = Some(counted);
        self
    }

    /// Waits until what was said has left, or nothing leaves any more.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let client = &self.client;
        let flushing = self.flushing.get_or_insert_with(|| {
            let client = client.clone();
            Box::pin(async move { client.flush().await.is_ok() })
        });
        if let Poll::Ready(flushed) = flushing.as_mut().poll(cx) {
            self.flushing = None;
            return Poll::Ready(if flushed { Ok(()) } else { Err(server_lost()) });
        }
        // While there is no server nothing is flushed, and the channel is over.
        match self.ends.lock().cannot_send_or_wake(cx) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
    }
}

impl Channel for NatsChannel {
    fn poll_send(&mut self, cx: &mut Context<'_>, queue: &mut VecDeque<Bytes>) -> Poll<Result<(), TransportError>> {
        self.sender.poll_send(cx, &self.ends, (&mut self.client, &self.route), queue)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, TransportError>> {
        self.receiver.poll_recv(cx, &self.ends)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if self.sender.is_finished() && self.flushing.is_none() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.sender.poll_finish(cx, &self.ends, &mut self.client, &self.route))?;
        self.poll_flush(cx)
    }

    fn peer(&self) -> &PeerIdentity {
        &self.peer
    }
}

impl Drop for NatsChannel {
    fn drop(&mut self) {
        self.ends.lock().dropped = true;
        self.ends.work.notify_one();
    }
}

/// Hears the other end until the channel is over, and says how far this end is.
async fn hear(ends: Arc<Ends>, mut server: Server, mut inbox: Subscriber, route: Route) {
    let mut client = server.client.clone();
    let mut status = interval(Duration::from_millis(STATUS_MS));
    status.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is over at once.
    status.tick().await;
    loop {
        let mut due = false;
        tokio::select! {
            biased;
            () = ends.work.notified() => {}
            () = server.lost() => ends.lock().fail(server_lost()),
            message = inbox.next() => ends.lock().take(message),
            _ = status.tick() => {
                due = true;
                if !server.is_whole() {
                    ends.lock().fail(server_lost());
                }
            }
        }
        let (over, dropped) = {
            let state = ends.lock();
            due |= state.is_owed_status();
            (state.is_over(), state.dropped)
        };
        if over || dropped {
            break;
        }
        if due {
            let said = poll_fn(|cx| poll_say(cx, &ends, &mut client, &route, State::status));
            tokio::select! {
                biased;
                () = server.lost() => ends.lock().fail(server_lost()),
                said = said => drop(said),
            }
        }
    }
    // Nobody waits for it: the status of the other end finds out what this does not get to say.
    let last = ends.lock().gone().encode();
    if server.is_whole() {
        tokio::select! {
            biased;
            () = server.lost() => {}
            _ = client.publish(route.to, last) => {}
        }
    }
}

impl State {
    /// What the subscription gave.
    fn take(&mut self, message: Option<Message>) {
        match message {
            None => self.fail(server_lost()),
            Some(message) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                self.fail(TransportError::Lost { cause: "the other end is no longer there".into() });
            }
            Some(message) => self.hear(Note::decode(message.payload)),
        }
    }
}
