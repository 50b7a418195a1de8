//! An instance at the other end of a connection.

use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, Failure, FunctionIndex, Reply};
use neorpc::Description;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::link::Link;
use crate::observe::{self, CallMeter, Underway};
use crate::peer::{Binding, Peer};
use crate::renew::Renew;
use crate::router;

/// An instance at the other end, to be called like one here.
///
/// When the connection went, or the other end goes away, the next call opens another and binds anew, and the types are checked again.
#[derive(Debug, Clone)]
pub struct RemoteInstance {
    link: Link,
    instance: String,
}

impl RemoteInstance {
    pub(crate) fn over(link: Link, instance: String) -> Self {
        Self { link, instance }
    }

    pub(crate) fn at_peer(peer: Peer, instance: String) -> Self {
        Self::over(Link::to(peer), instance)
    }

    /// The instance's name where it runs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.instance
    }

    /// Where it is, as messages name it.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{} at {}", self.instance, self.link.place())
    }

    /// The connection that it is reached over.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The functions of one interface, bound and checked at the first call instead of now.
    #[must_use]
    pub fn bind_lazy(&self, want: BindRequest) -> Arc<dyn Bound> {
        Arc::new(self.unbound(want))
    }

    pub(crate) fn unbound(&self, want: BindRequest) -> RemoteBound {
        let meter = CallMeter::out(self.link.dialled().as_deref(), &self.instance);
        RemoteBound { link: self.link.clone(), instance: self.instance.clone(), want, live: Renew::new(None), meter }
    }
}

impl Callee for RemoteInstance {
    fn bind<'a>(&'a self, want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async move {
            let bound = self.unbound(want.clone());
            bound.live().await?;
            Ok(Arc::new(bound) as Arc<dyn Bound>)
        })
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(async move { Ok(self.link.peer().await?.describe(&self.instance).await?.ledger) })
    }
}

pub(crate) struct RemoteBound {
    link: Link,
    instance: String,
    want: BindRequest,
    live: Renew<Arc<Live>>,
    meter: Arc<CallMeter>,
}

/// A binding over the connection that it was made on.
pub(crate) struct Live {
    binding: Binding,
    peer: Peer,
}

impl Live {
    pub(crate) fn is_usable(&self) -> bool {
        self.peer.is_usable()
    }

    pub(crate) async fn call(
        &self,
        function: FunctionIndex,
        cx: &CallContext,
        args: Bytes,
    ) -> Result<Reply, CallFailed> {
        self.peer.call(&self.binding, function, cx, args).await
    }

    /// What the instance says of itself.
    pub(crate) async fn describe(&self, instance: &str) -> Result<Description, Failure> {
        self.peer.describe(instance).await
    }
}

impl RemoteBound {
    /// The binding, if it can be called through now.
    pub(crate) fn alive(&self) -> Option<Arc<Live>> {
        self.live.alive(|live| live.is_usable())
    }

    /// The binding, made if need be.
    pub(crate) async fn live(&self) -> Result<Arc<Live>, Failure> {
        let bind = async {
            let span = observe::bind_span(&self.instance, &self.want, &self.link.place());
            let bound = async {
                let peer = self.link.peer().await?;
                let binding = peer.bind(&self.instance, &self.want).await?;
                Ok(Arc::new(Live { binding, peer }))
            };
            let bound = bound.instrument(span.clone()).await;
            observe::bound(&span, "out", &bound);
            bound
        };
        self.live.alive_or(|live| live.is_usable(), bind).await
    }

    /// Notes that a call begins.
    pub(crate) fn begin(&self, args_bytes: usize) -> Underway {
        self.meter.begin(args_bytes)
    }

    async fn call_live(&self, function: FunctionIndex, cx: &CallContext, args: Bytes) -> Result<Reply, CallFailed> {
        let live = match self.alive() {
            Some(live) => live,
            None => self.live_in_time(cx).await?,
        };
        let result = live.call(function, cx, args.clone()).await;
        match result {
            // The connection went between the look at it and the call, or the other end goes away and did not take it: safe
            // to make again, once.
            Err(CallFailed { failure: Failure::NotSent { .. }, .. }) if !live.is_usable() => {
                drop(live);
                let live = self.live_in_time(cx).await?;
                live.call(function, cx, args).await
            }
            result => result,
        }
    }

    async fn live_in_time(&self, cx: &CallContext) -> Result<Arc<Live>, Failure> {
        let started = Instant::now();
        timeout_at(Instant::from_std(cx.deadline), self.live()).await.unwrap_or_else(|_| Err(router::deadline(started)))
    }
}

impl Bound for RemoteBound {
    fn call<'a>(
        &'a self,
        function: FunctionIndex,
        cx: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(async move {
            let underway = self.begin(args.len());
            let result = self.call_live(function, cx, args).await;
            underway.end(&result);
            result
        })
    }

    /// The connection does, with one timer for all its calls.
    fn keeps_deadline(&self) -> bool {
        true
    }
}
