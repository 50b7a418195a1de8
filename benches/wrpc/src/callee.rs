//! The serving guest behind wRPC: one instance, which all callers share.
//!
//! wRPC can also make an instance for each call. That was measured too: slower for 64 callers, and for one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Linker, ResourceType};
use wrpc_runtime_wasmtime::ServeExt;
use wrpc_transport::{Serve, Server, tcp};

use crate::child::Error;
use crate::host::{Host, engine, guest};
use crate::quic;

/// The guest imports nothing, so that its client is never used.
type Client = tcp::Client<SocketAddr>;
type Invocation = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;
type Invocations = Pin<Box<dyn Stream<Item = Invocation> + Send>>;
type Resources = HashMap<Box<str>, HashMap<Box<str>, (ResourceType, ResourceType)>>;

pub async fn serve_tcp() -> Result<(String, ()), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let server = Arc::new(Server::default());
    drive(exports(server.as_ref()).await?);
    tokio::spawn(async move {
        loop {
            if let Err(error) = server.accept(&listener).await {
                eprintln!("bench-wrpc: accepting: {error}");
            }
        }
    });
    Ok((address, ()))
}

pub async fn serve_quic() -> Result<(String, ()), Error> {
    let (endpoint, address) = quic::listen()?;
    let server = Arc::new(quic::Server::new());
    drive(exports(server.as_ref()).await?);
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let connection = quic::Client::from(incoming.await?);
                while server.accept(&connection).await.is_ok() {}
                Ok::<_, anyhow::Error>(())
            });
        }
    });
    Ok((address, ()))
}

/// Every function of the guest.
async fn exports<S: Serve>(server: &S) -> Result<Vec<Invocations>, Error> {
    let unused = Client::from(SocketAddr::from(([127, 0, 0, 1], 1)));
    let engine = engine()?;
    let component = guest(&engine, "bench-callee")?;
    let mut store = Store::new(&engine, Host::new(unused));
    let instance = Linker::<Host<Client>>::new(&engine).instantiate_async(&mut store, &component).await?;
    let store = Arc::new(Mutex::new(store));
    let none: Arc<[ResourceType]> = Arc::from([]);
    let resources: Arc<Resources> = Arc::default();
    let mut exports: Vec<Invocations> = Vec::new();
    for (name, item) in component.component_type().exports(&engine) {
        let ComponentItem::ComponentFunc(ty) = item else { continue };
        let (store, guest, host) = (Arc::clone(&store), Arc::clone(&none), Arc::clone(&resources));
        let calls = server.serve_function_shared(store, instance, guest, host, Arc::clone(&none), ty, "", name).await?;
        exports.push(Box::pin(calls.filter_map(async |call| call.ok().map(|(_, call)| call))));
    }
    Ok(exports)
}

/// Gives each call a task. wRPC's own command awaits the calls of one function one after another, so this favours it.
fn drive(exports: Vec<Invocations>) {
    for mut calls in exports {
        tokio::spawn(async move {
            while let Some(call) = calls.next().await {
                tokio::spawn(async move {
                    if let Err(error) = call.await {
                        eprintln!("bench-wrpc: a call that was served failed: {error:#}");
                    }
                });
            }
        });
    }
}
