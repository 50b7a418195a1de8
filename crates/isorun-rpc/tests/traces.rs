//! A trace goes on from host to host, whoever collects spans, and as it came where nobody does.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, Directory, Failure, FunctionIndex, Listener,
    PeerIdentity, Reply, Trace, Tracer, set_tracer,
};
use isorun_rpc::{Link, PeerOptions, ServeOptions, serve};
use isorun_transport_tcp::{TcpTransport, TcpTransportListener};
use parking_lot::Mutex;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Span, Subscriber};

/// An instance that hands each call on, with the context it came with, or answers with the trace in it.
#[derive(Clone)]
struct Node(Option<Arc<dyn Bound>>);

impl Directory for Node {
    fn find(&self, _: &str, _: &PeerIdentity) -> Result<Arc<dyn Callee>, Failure> {
        Ok(Arc::new(self.clone()))
    }
}

impl Callee for Node {
    fn bind<'a>(&'a self, _: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async { Ok(Arc::new(self.clone()) as Arc<dyn Bound>) })
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(async { Ok(Bytes::new()) })
    }
}

impl Bound for Node {
    fn call<'a>(
        &'a self,
        function: FunctionIndex,
        cx: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(async move {
            match &self.0 {
                Some(next) => next.call(function, cx, args).await,
                None => Ok(Reply { results: [&cx.trace.id[..], &cx.trace.span].concat().into(), fuel_used: 0 }),
            }
        })
    }
}

/// The functions of `node`, served over TCP by a host of its own.
async fn host(node: Node) -> Arc<dyn Bound> {
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await.unwrap();
    let transport = TcpTransport::new(&listener.address()).unwrap();
    tokio::spawn(serve(Box::new(listener), Arc::new(node), ServeOptions::default()));
    let want = BindRequest { interface: None, functions: vec![("hand-on".to_owned(), [0; 32])] };
    let remote = Link::new(Arc::new(transport), PeerOptions::default()).instance("node");
    remote.bind(&want).await.unwrap()
}

/// The trace that comes to the last of three hosts.
async fn through_three(trace: Trace) -> Trace {
    let last = host(Node(None)).await;
    let second = host(Node(Some(last))).await;
    let first = host(Node(Some(second))).await;
    let cx = CallContext { trace, ..CallContext::until(Instant::now() + Duration::from_secs(60)) };
    let came = first.call(FunctionIndex(0), &cx, Bytes::new()).await.unwrap().results;
    Trace { id: came[..16].try_into().unwrap(), span: came[16..].try_into().unwrap() }
}

/// Wants every span, and keeps nothing.
#[derive(Default)]
struct All(AtomicU64);

impl Subscriber for All {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Numbers the spans of traces, and keeps what each was below.
struct Numbered(Mutex<Vec<(&'static str, Trace)>>);

impl Tracer for Numbered {
    fn continue_trace(&self, span: &dyn Any, parent: Trace) -> Trace {
        let name = span.downcast_ref::<Span>().and_then(Span::metadata).unwrap().name();
        let mut spans = self.0.lock();
        spans.push((name, parent));
        Trace { span: [u8::try_from(spans.len()).unwrap(); 8], ..parent }
    }
}

static TRACER: Numbered = Numbered(Mutex::new(Vec::new()));

#[tokio::test]
async fn a_trace_goes_through_three_hosts() {
    let trace = Trace { id: [5; 16], span: [77; 8] };
    // Nobody wants spans.
    assert_eq!(through_three(trace).await, trace);
    assert_eq!(through_three(Trace::default()).await, Trace::default());
    // Nobody ties them to traces.
    let _wanted = tracing::subscriber::set_default(All::default());
    assert_eq!(through_three(trace).await, trace);
    // Each host's span is below the one before.
    assert!(set_tracer(&TRACER));
    let at = |span| Trace { id: [5; 16], span: [span; 8] };
    assert_eq!(through_three(trace).await, at(3));
    assert_eq!(*TRACER.0.lock(), [("serve", at(77)), ("serve", at(1)), ("serve", at(2))]);
}
