//! `isorun serve --metrics` and `isorun up --metrics`: numbers, health and readiness over HTTP, for whoever watches the process.
//!
//! Whoever connects here may be anybody on the machine, or with `--insecure` on the network: connections are few, short
//! and carry one request each, and when there are too many the oldest goes, so that nobody keeps others out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use isorun::{Bytes, Decision, Grants, Metrics, Runtime};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::exit::{FAILED, Failed};

/// Connections at once; one more ends the oldest. A scraper or two need one each, for milliseconds.
const CONNECTIONS_MAX: usize = 32;

/// How long a request's head may take to come, in milliseconds.
const HEAD_MS_MAX: u64 = 5_000;

/// How long a connection may last, in milliseconds.
const CONNECTION_MS_MAX: u64 = 10_000;

/// Bytes of a request's head, at most, and its headers.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

/// A moment's rest after a connection that could not be accepted, in milliseconds.
const ACCEPT_REST_MS: u64 = 10;

/// How often the times of calls are sorted into their buckets, in milliseconds.
const UPKEEP_MS: u64 = 1_000;

// The head comes within the connection's time.
const _: () = assert!(HEAD_MS_MAX < CONNECTION_MS_MAX);

/// Where to say how the process is: `IP:PORT`, or `localhost:PORT`.
#[derive(Debug, Clone, Copy)]
pub struct MonitorAddress(SocketAddr);

impl std::str::FromStr for MonitorAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
        let address = match local {
            Some(port) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
            None => text.parse(),
        };
        address
            .map(Self)
            .map_err(|_| "write IP:PORT or localhost:PORT, like 127.0.0.1:9100; port 0 takes a free one".into())
    }
}

/// What is told to those who ask.
pub struct Monitor {
    address: SocketAddr,
    told: Arc<Told>,
}

struct Told {
    metrics: Metrics,
    /// Once it listens.
    serving: OnceLock<Runtime>,
    drains: AtomicBool,
}

impl Monitor {
    /// Answers at `address` from now on; what is linked and served later is counted.
    pub async fn start(address: MonitorAddress, grants: &Grants) -> Result<Self, Failed> {
        let MonitorAddress(address) = address;
        if let Decision::Denied { reason } = grants.may_listen(address.ip().to_canonical().is_loopback()) {
            return Err(Failed::usage(format!("--metrics: will not listen on {address}: {reason}")));
        }
        let metrics = Metrics::install().map_err(|error| Failed::new(FAILED, error.to_string()))?;
        let failed = |error| Failed::new(FAILED, format!("--metrics: cannot listen on {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let told = Arc::new(Told { metrics, serving: OnceLock::new(), drains: AtomicBool::new(false) });
        tokio::spawn(accept(listener, Arc::clone(&told)));
        Ok(Self { address, told })
    }

    /// Where the numbers are.
    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }

    /// From now on the process is ready.
    pub fn ready(&self, runtime: &Runtime) {
        // It becomes so once.
        let _ = self.told.serving.set(runtime.clone());
    }

    /// From now on it is not ready any more.
    pub fn drain(&self) {
        self.told.drains.store(true, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, told: Arc<Told>) {
    let mut upkeep = interval(Duration::from_millis(UPKEEP_MS));
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = upkeep.tick() => {
                told.metrics.upkeep();
                continue;
            }
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to --metrics could not be accepted");
                sleep(Duration::from_millis(ACCEPT_REST_MS)).await;
                continue;
            }
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= CONNECTIONS_MAX
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        connections.push_back(tokio::spawn(answer(stream, Arc::clone(&told))).abort_handle());
    }
}

/// Answers one request.
async fn answer(stream: TcpStream, told: Arc<Told>) {
    let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(respond(&request, &told))));
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEAD_MS_MAX))
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(Duration::from_millis(CONNECTION_MS_MAX), connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to --metrics failed"),
        Err(_) => tracing::debug!("a connection to --metrics took too long"),
    }
}

fn respond<B>(request: &Request<B>, told: &Told) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !["/metrics", "/healthz", "/readyz"].contains(&path) {
        return plain(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n");
    }
    if request.method() != Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    let drains = told.drains.load(Ordering::Relaxed);
    match (path, told.serving.get()) {
        ("/healthz", _) => plain(StatusCode::OK, "ok\n"),
        (_, None) => plain(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        ("/metrics", Some(runtime)) => {
            let mut response = plain(StatusCode::OK, told.metrics.render(runtime));
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        (_, Some(_)) if drains => plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        (_, Some(_)) => plain(StatusCode::OK, "ready\n"),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_or_localhost_and_a_port() {
        for (text, address) in
            [("127.0.0.1:0", "127.0.0.1:0"), ("localhost:9100", "127.0.0.1:9100"), ("[::1]:1", "[::1]:1")]
        {
            assert_eq!(text.parse::<MonitorAddress>().unwrap().0.to_string(), address);
        }
        for text in
            ["", "9100", ":9100", "localhost", "localhost:", "localhost:65536", "example.com:9100", "tcp://[::1]:1"]
        {
            assert!(text.parse::<MonitorAddress>().is_err(), "{text}");
        }
    }
}
