//! The calling guest, with wRPC behind its imports.

use std::net::SocketAddr;
use std::sync::Arc;

use wasmtime::component::{Component, Linker, ResourceType, TypedFunc};
use wasmtime::{Engine, Store};
use wrpc_runtime_wasmtime::link_item;
use wrpc_transport::{Invoke, tcp};

use crate::child::{CALLERS, Caller, Callers, Error, caller};
use crate::host::{Host, engine, guest};
use crate::quic;

pub fn over_tcp(case: &str, address: &str) -> Result<(), Error> {
    let address: SocketAddr = address.parse()?;
    caller(async { Guests::new(tcp::Client::from(address))?.callers(case).await })
}

pub fn over_quic(case: &str, address: &str) -> Result<(), Error> {
    caller(async { Guests::new(quic::connect(address).await?)?.callers(case).await })
}

/// What instances of the guest are made of.
struct Guests<C> {
    engine: Engine,
    component: Component,
    client: C,
}

impl<C: Invoke<Context = ()> + Clone + 'static> Guests<C> {
    fn new(client: C) -> Result<Self, Error> {
        let engine = engine()?;
        let component = guest(&engine, "bench-caller")?;
        Ok(Self { engine, component, client })
    }

    async fn callers(&self, case: &str) -> Result<Callers<Guest<C>>, Error> {
        let one = self.start(case).await?;
        let mut all = Vec::with_capacity(CALLERS);
        for _ in 0..CALLERS {
            all.push(self.start(case).await?);
        }
        Ok(Callers { one, all })
    }

    /// An instance whose imports are calls.
    async fn start(&self, case: &str) -> Result<Guest<C>, Error> {
        let mut linker = Linker::<Host<C>>::new(&self.engine);
        let none: Arc<[ResourceType]> = Arc::from([]);
        for (name, item) in self.component.component_type().imports(&self.engine) {
            link_item(&self.engine, &mut linker.root(), Arc::clone(&none), Arc::default(), item, "", name)?;
        }
        let mut store = Store::new(&self.engine, Host::new(self.client.clone()));
        let instance = linker.instantiate_async(&mut store, &self.component).await?;
        let run = instance.get_typed_func(&mut store, format!("run-{case}"))?;
        Ok(Guest { store, run })
    }
}

/// An instance of the calling guest, and the loop in it that is run.
struct Guest<C: 'static> {
    store: Store<Host<C>>,
    run: TypedFunc<(u32,), ()>,
}

impl<C: Send + 'static> Caller for Guest<C> {
    async fn run(&mut self, calls: u32) -> Result<(), Error> {
        Ok(self.run.call_async(&mut self.store, (calls,)).await?)
    }
}
