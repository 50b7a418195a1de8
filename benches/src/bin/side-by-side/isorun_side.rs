//! isorun's own systems, and `host-func`: one calling guest, linked each time to something else.
//!
//! A place more is a variant of [`Place`] and an arm of `linked`.

use std::sync::Arc;

use benches::{BATCH_MS_MAX, CALLEE, CALLER, Function, Host, batch};
use isorun::{
    InstanceBuilder, InstanceHandle, Listener, LoadedComponent, Runtime, Serving, TcpTransport, TcpTransportListener,
    Transport,
};

use crate::child::{CALLERS, Caller, Callers, Error, WORKERS};
use crate::prepared::Prepared;

/// The callee for a caller alone: one store whose state is kept.
const ONE: &str = "one";
/// The callee for many callers: as many stores as there are threads. A call holds its store only while it computes, so
/// more would never be in use at once, and a native server has no more handlers under way either.
const ALL: &str = "all";

/// Where the functions are that the guest imports.
pub enum Place {
    /// In another process.
    Remote(Arc<dyn Transport>),
    /// In another component of this process.
    Local,
    /// In another component that was composed with the caller's: one store for both.
    Fused,
    /// In the host, as typed functions of the engine.
    Host,
}

pub async fn serve_tcp(guests: Prepared) -> Result<(String, Runtime), Error> {
    let listener = TcpTransportListener::bind("tcp://127.0.0.1:0").await?;
    let address = listener.address();
    let runtime = callee(&guests).await?;
    benches::serve(&runtime, listener);
    Ok((address, runtime))
}

pub fn tcp(address: &str) -> Result<Place, Error> {
    Ok(Place::Remote(Arc::new(TcpTransport::new(address)?)))
}

/// Serves on a socket file in a folder of its own, which goes when the returned value does.
#[cfg(unix)]
pub async fn serve_unix(guests: Prepared) -> Result<(String, (Runtime, tempfile::TempDir)), Error> {
    let folder = tempfile::tempdir()?;
    let listener = isorun::UnixTransportListener::bind(folder.path().join("callee.sock")).await?;
    let path = listener.local_address().path().display().to_string();
    let runtime = callee(&guests).await?;
    benches::serve(&runtime, listener);
    Ok((path, (runtime, folder)))
}

#[cfg(unix)]
pub fn unix(path: &str) -> Result<Place, Error> {
    Ok(Place::Remote(Arc::new(isorun::UnixTransport::new(path)?)))
}

#[cfg(not(unix))]
pub async fn serve_unix(_guests: Prepared) -> Result<(String, Runtime), Error> {
    Err("this system has no Unix sockets".into())
}

#[cfg(not(unix))]
pub fn unix(_path: &str) -> Result<Place, Error> {
    Err("this system has no Unix sockets".into())
}

/// A runtime that has both callees.
async fn callee(guests: &Prepared) -> Result<Runtime, Error> {
    let runtime = guests.runtime()?;
    let component = guests.load(&runtime, CALLEE)?;
    let many = Serving::Pool { size: WORKERS, queue_max: CALLERS, queue_ms: BATCH_MS_MAX };
    for (name, serving) in [(ONE, Serving::SINGLETON), (ALL, many)] {
        runtime.builder(&component).serving(serving).register_as(name).instantiate().await?;
    }
    Ok(runtime)
}

/// An instance of the calling guest, and the loop in it that is run.
pub struct Guest {
    instance: InstanceHandle,
    case: Function,
    // What it is linked to is there as long as the runtime is.
    _runtime: Runtime,
}

/// Starts the callers: an instance each, all of them on one connection if the place has any.
pub async fn callers(place: Place, case: Function, guests: Prepared) -> Result<Callers<Guest>, Error> {
    let runtime = match &place {
        Place::Local => callee(&guests).await?,
        Place::Remote(_) | Place::Fused | Place::Host => guests.runtime()?,
    };
    let provider = guests.load(&runtime, CALLEE)?;
    let component = guests.load(&runtime, CALLER)?;
    let start = async |callee: &str| {
        let builder = linked(runtime.builder(&component).budget(batch()), &place, callee, &provider);
        let instance = builder.deadline_ms(BATCH_MS_MAX).instantiate().await?;
        Ok::<_, Error>(Guest { instance, case, _runtime: runtime.clone() })
    };
    let one = start(ONE).await?;
    let mut all = Vec::with_capacity(CALLERS);
    for _ in 0..CALLERS {
        all.push(start(ALL).await?);
    }
    Ok(Callers { one, all })
}

fn linked(builder: InstanceBuilder, place: &Place, callee: &str, provider: &LoadedComponent) -> InstanceBuilder {
    match place {
        Place::Remote(transport) => builder.link_remote("*", Arc::clone(transport), callee),
        Place::Local => builder.link_local("*", callee),
        Place::Fused => builder.link_fused("*", provider),
        Place::Host => builder.link_system("*", Host),
    }
}

impl Caller for Guest {
    async fn run(&mut self, calls: u32) -> Result<(), Error> {
        benches::run(&self.instance, self.case, calls).await
    }
}
