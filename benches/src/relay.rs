//! Calls over a connection with no guest at either end: what the network path alone costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use isorun::{
    BindRequest, Bound, BoxFuture, Bytes, CallContext, CallFailed, Callee, Directory, Failure, FunctionIndex,
    InstanceUid, Listener, PeerIdentity, Reply, TcpTransport, TcpTransportListener,
};
use isorun_rpc::{Link, PeerOptions, ServeOptions, serve};

use crate::Error;

/// One function behind a TCP connection, which answers what it always answers; clones share the connection.
#[derive(Clone)]
pub struct Relay {
    bound: Arc<dyn Bound>,
    args: Bytes,
}

impl Relay {
    /// Connects with a server of its own, whose answer is `results`.
    ///
    /// # Errors
    /// What the system says.
    pub async fn start(args: Vec<u8>, results: Vec<u8>) -> Result<Self, Error> {
        let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await?;
        let transport = TcpTransport::new(&listener.address())?;
        tokio::spawn(serve(Box::new(listener), Arc::new(Answer(results)), ServeOptions::default()));
        let remote = Link::new(Arc::new(transport), PeerOptions::default()).instance("answer");
        let want = BindRequest { interface: None, functions: vec![("answer".to_owned(), [0; 32])] };
        Ok(Self { bound: remote.bind(&want).await?, args: args.into() })
    }

    /// Calls `iters` times, one after the other.
    ///
    /// # Errors
    /// A call that fails.
    pub async fn run(self, iters: u32) -> Result<(), Error> {
        let cx = CallContext {
            fuel: Some(1_000_000),
            chain: Arc::new([InstanceUid([7; 16])]),
            ..CallContext::until(Instant::now() + Duration::from_secs(600))
        };
        for _ in 0..iters {
            let args = Bytes::from(self.args.to_vec());
            self.bound.call(FunctionIndex(0), &cx, args).await?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("args_bytes", &self.args.len()).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Answer(Vec<u8>);

impl Directory for Answer {
    fn find(&self, _: &str, _: &PeerIdentity) -> Result<Arc<dyn Callee>, Failure> {
        Ok(Arc::new(self.clone()))
    }
}

impl Callee for Answer {
    fn bind<'a>(&'a self, _: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async { Ok(Arc::new(self.clone()) as Arc<dyn Bound>) })
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(async { Ok(Bytes::new()) })
    }
}

impl Bound for Answer {
    fn call<'a>(&'a self, _: FunctionIndex, _: &'a CallContext, _: Bytes) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(async { Ok(Reply { results: self.0.clone().into(), fuel_used: 0 }) })
    }
}
