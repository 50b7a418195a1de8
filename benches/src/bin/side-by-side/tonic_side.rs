//! `tonic`: native functions behind gRPC (unary calls, HTTP/2, protobuf), all callers on one channel.
//!
//! Service and messages are written by hand as `tonic-build` generates them, so that nobody needs a `protoc`.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use benches::{Function, KEY, VALUE};
use http::uri::PathAndQuery;
use prost::Message;
use tokio::net::TcpListener;
use tonic::client;
use tonic::codegen::{Body, BoxFuture, Service, StdError};
use tonic::server::{self, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::answers::{ADDEND, Payload};
use crate::child::{CALLERS, Caller, Callers, Error};

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(uint32, tag = "1")]
    a: u32,
    #[prost(uint32, tag = "2")]
    b: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(uint32, tag = "1")]
    number: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

#[derive(Clone, PartialEq, Message)]
struct Blob {
    #[prost(bytes = "vec", tag = "1")]
    bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Point {
    #[prost(double, tag = "1")]
    x: f64,
    #[prost(double, tag = "2")]
    y: f64,
    #[prost(uint32, tag = "3")]
    id: u32,
    #[prost(string, tag = "4")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Points {
    #[prost(message, repeated, tag = "1")]
    points: Vec<Point>,
}

#[derive(Clone, PartialEq, Message)]
struct Sum {
    #[prost(double, tag = "1")]
    sum: f64,
}

#[derive(Clone, PartialEq, Message)]
struct Found {
    #[prost(string, optional, tag = "1")]
    value: Option<String>,
    #[prost(string, optional, tag = "2")]
    error: Option<String>,
}

/// A path for each function.
fn path(function: Function) -> &'static str {
    match function {
        Function::Add => "/bench.Api/Add",
        Function::EchoString => "/bench.Api/EchoString",
        Function::EchoBytes => "/bench.Api/EchoBytes",
        Function::Sum => "/bench.Api/Sum",
        Function::Get => "/bench.Api/Get",
    }
}

/// A function as the server sees it.
struct Unary<F>(F);

impl<Q, R, F> UnaryService<Q> for Unary<F>
where
    F: Fn(Q) -> R,
    R: Send + 'static,
{
    type Response = R;
    type Future = Ready<Result<Response<R>, Status>>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        ready(Ok(Response::new((self.0)(request.into_inner()))))
    }
}

#[derive(Clone)]
struct Api;

impl NamedService for Api {
    const NAME: &'static str = "bench.Api";
}

impl<B> Service<http::Request<B>> for Api
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let function = Function::ALL.into_iter().find(|function| path(*function) == request.uri().path());
        match function {
            None => Box::pin(ready(Ok(Status::unimplemented("no such function").into_http()))),
            Some(Function::Add) => answer(request, |Pair { a, b }| Number { number: a.wrapping_add(b) }),
            Some(Function::EchoString) => answer(request, |text: Text| text),
            Some(Function::EchoBytes) => answer(request, |blob: Blob| blob),
            Some(Function::Sum) => answer(request, |Points { points }| Sum { sum: points.iter().map(weight).sum() }),
            Some(Function::Get) => answer(request, |_: Text| Found { value: Some(VALUE.into()), error: None }),
        }
    }
}

fn answer<B, Q, R>(
    request: http::Request<B>,
    function: fn(Q) -> R,
) -> BoxFuture<http::Response<tonic::body::Body>, Infallible>
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
    Q: Message + Default + 'static,
    R: Message + Default + 'static,
{
    Box::pin(async move {
        let mut grpc = server::Grpc::new(ProstCodec::<R, Q>::default());
        Ok(grpc.unary(Unary(function), request).await)
    })
}

fn weight(point: &Point) -> f64 {
    point.x + point.y + f64::from(point.id) + point.name.len() as f64
}

pub async fn serve() -> Result<(String, ()), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(Server::builder().add_service(Api).serve_with_incoming(incoming));
    Ok((address, ()))
}

pub async fn connect(address: &str, case: Function) -> Result<Callers<Client>, Error> {
    let channel = Endpoint::new(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
    let payload = Payload::new();
    let point = |p: &benches::Point| Point { x: p.x, y: p.y, id: p.id, name: p.name.clone() };
    let points = Points { points: payload.points.iter().map(point).collect() };
    let one = Client { channel, case, payload: Arc::new(payload), points: Arc::new(points) };
    Ok(Callers { all: vec![one.clone(); CALLERS], one })
}

#[derive(Clone)]
pub struct Client {
    channel: Channel,
    case: Function,
    payload: Arc<Payload>,
    points: Arc<Points>,
}

impl Client {
    async fn ask<Q, R>(&self, message: Q) -> Result<R, Error>
    where
        Q: Message + Default + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = client::Grpc::new(self.channel.clone());
        grpc.ready().await?;
        let path = PathAndQuery::from_static(path(self.case));
        let answer = grpc.unary(Request::new(message), path, ProstCodec::<Q, R>::default()).await?;
        Ok(answer.into_inner())
    }
}

impl Caller for Client {
    async fn run(&mut self, calls: u32) -> Result<(), Error> {
        let payload = &*self.payload;
        for left in 0..calls {
            match self.case {
                Function::Add => {
                    let answer: Number = self.ask(Pair { a: left, b: ADDEND }).await?;
                    payload.expect_added(left, answer.number)?;
                }
                Function::EchoString => {
                    let answer: Text = self.ask(Text { text: payload.text.into() }).await?;
                    payload.expect_text(&answer.text)?;
                }
                Function::EchoBytes => {
                    let answer: Blob = self.ask(Blob { bytes: payload.bytes.clone() }).await?;
                    payload.expect_bytes(&answer.bytes)?;
                }
                Function::Sum => {
                    let answer: Sum = self.ask(Points::clone(&self.points)).await?;
                    payload.expect_sum(answer.sum)?;
                }
                Function::Get => {
                    let answer: Found = self.ask(Text { text: KEY.into() }).await?;
                    payload.expect_value(answer.value.as_deref())?;
                }
            }
        }
        Ok(())
    }
}
