//! `tarpc`: native functions behind a length, bincode and TCP, all callers on one connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::{BATCH_MS_MAX, Function, KEY, Point, VALUE};
use futures_util::StreamExt;
use serde_bytes::ByteBuf;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::LengthDelimitedCodec;
use tarpc::{client, context, serde_transport};
use tokio::net::{TcpListener, TcpStream};

use crate::answers::{ADDEND, Payload};
use crate::child::{CALLERS, Caller, Callers, Error};

#[tarpc::service]
trait Api {
    async fn add(a: u32, b: u32) -> u32;
    async fn echo_string(text: String) -> String;
    async fn echo_bytes(bytes: ByteBuf) -> ByteBuf;
    async fn sum(points: Vec<Point>) -> f64;
    async fn get(key: String) -> Result<Option<String>, String>;
}

#[derive(Clone)]
struct Server;

impl Api for Server {
    async fn add(self, _: context::Context, a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    async fn echo_string(self, _: context::Context, text: String) -> String {
        text
    }

    async fn echo_bytes(self, _: context::Context, bytes: ByteBuf) -> ByteBuf {
        bytes
    }

    async fn sum(self, _: context::Context, points: Vec<Point>) -> f64 {
        points.iter().map(Point::weight).sum()
    }

    async fn get(self, _: context::Context, _: String) -> Result<Option<String>, String> {
        Ok(Some(VALUE.into()))
    }
}

pub async fn serve() -> Result<(String, ()), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(accept(listener));
    Ok((address, ()))
}

async fn accept(listener: TcpListener) -> Result<(), Error> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let framed = LengthDelimitedCodec::builder().new_framed(stream);
        let channel = BaseChannel::with_defaults(serde_transport::new(framed, Bincode::default()));
        // A task for each request, as tarpc's own examples have it.
        tokio::spawn(channel.execute(Server.serve()).for_each(|request| async {
            tokio::spawn(request);
        }));
    }
}

pub async fn connect(address: &str, case: Function) -> Result<Callers<Client>, Error> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let framed = LengthDelimitedCodec::builder().new_framed(stream);
    let transport = serde_transport::new(framed, Bincode::default());
    let api = ApiClient::new(client::Config::default(), transport).spawn();
    let one = Client { api, case, payload: Arc::new(Payload::new()) };
    Ok(Callers { all: vec![one.clone(); CALLERS], one })
}

#[derive(Clone)]
pub struct Client {
    api: ApiClient,
    case: Function,
    payload: Arc<Payload>,
}

impl Caller for Client {
    async fn run(&mut self, calls: u32) -> Result<(), Error> {
        let payload = &*self.payload;
        let mut context = context::current();
        context.deadline = Instant::now() + Duration::from_millis(BATCH_MS_MAX);
        for left in 0..calls {
            match self.case {
                Function::Add => payload.expect_added(left, self.api.add(context, left, ADDEND).await?)?,
                Function::EchoString => {
                    let answer = self.api.echo_string(context, payload.text.into()).await?;
                    payload.expect_text(&answer)?;
                }
                Function::EchoBytes => {
                    let bytes = ByteBuf::from(payload.bytes.clone());
                    payload.expect_bytes(&self.api.echo_bytes(context, bytes).await?)?;
                }
                Function::Sum => {
                    let points = payload.points.clone();
                    payload.expect_sum(self.api.sum(context, points).await?)?;
                }
                Function::Get => {
                    let answer = self.api.get(context, KEY.into()).await??;
                    payload.expect_value(answer.as_deref())?;
                }
            }
        }
        Ok(())
    }
}
