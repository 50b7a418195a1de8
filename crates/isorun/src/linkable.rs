//! What an import can be linked to.

use std::sync::Arc;

use isorun_core::Transport;
use isorun_rpc::{Peer, RemoteGroup};
use isorun_runtime::{LoadedComponent, SystemComponent};

use crate::InstanceHandle;

/// Where the code behind an import lives.
#[derive(Clone)]
pub enum Linkable {
    /// In the host.
    System(Arc<dyn SystemComponent>),
    /// In another instance of this process, with a store and a budget of its own.
    LocalInstance(LocalInstance),
    /// In another component, which becomes one with the component that is linked: one store, one budget, one fate.
    Fused {
        /// Its name, for messages.
        name: String,
        /// The component. However many links go to clones of it, one instance of it is made.
        component: LoadedComponent,
    },
    /// In an instance at the other end of a connection.
    Remote {
        /// How the other end is reached.
        transport: RemoteEnd,
        /// The instance's name there.
        remote_instance: String,
    },
    /// In an instance that is at several places: each call goes to one of them.
    RemoteGroup(RemoteGroup),
}

impl Linkable {
    /// A host component.
    pub fn system(component: impl SystemComponent) -> Self {
        Self::System(Arc::new(component))
    }

    /// A component that becomes one with whatever is linked to it.
    pub fn fused(name: impl Into<String>, component: &LoadedComponent) -> Self {
        Self::Fused { name: name.into(), component: component.clone() }
    }

    /// An instance at the other end of `transport`, or of a connection that is open.
    pub fn remote(transport: impl Into<RemoteEnd>, remote_instance: impl Into<String>) -> Self {
        Self::Remote { transport: transport.into(), remote_instance: remote_instance.into() }
    }

    /// An instance at several places, as [`Runtime::remote_group`](crate::Runtime::remote_group) makes it. All that is linked
    /// to clones of one group shares what it knows of the places, and goes to one of them where the instance keeps state.
    pub fn remote_group(group: &RemoteGroup) -> Self {
        Self::RemoteGroup(group.clone())
    }
}

/// An instance of this process, itself or by its name.
#[derive(Clone)]
pub enum LocalInstance {
    /// This one.
    Handle(InstanceHandle),
    /// The one that is registered under this name when the link binds.
    Named(String),
    /// One that is never started: links to it are checked as any, and calls through them are not sent.
    ///
    /// For [`InstanceBuilder::problems`](crate::InstanceBuilder::problems), which runs nothing.
    Unstarted {
        /// Its name, for messages.
        name: String,
        /// The component that an instance would be made of.
        component: LoadedComponent,
    },
}

impl From<&InstanceHandle> for LocalInstance {
    fn from(handle: &InstanceHandle) -> Self {
        Self::Handle(handle.clone())
    }
}

impl From<InstanceHandle> for LocalInstance {
    fn from(handle: InstanceHandle) -> Self {
        Self::Handle(handle)
    }
}

impl From<&str> for LocalInstance {
    fn from(id: &str) -> Self {
        Self::Named(id.into())
    }
}

impl From<String> for LocalInstance {
    fn from(id: String) -> Self {
        Self::Named(id)
    }
}

/// How the other end of a remote link is reached.
#[derive(Clone)]
pub enum RemoteEnd {
    /// Through a transport: one connection, shared by all links through clones of the same `Arc`, and opened again when it went.
    Transport(Arc<dyn Transport>),
    /// Over a connection that is open, an accepted one say; gone is gone.
    Peer(Peer),
}

impl From<Arc<dyn Transport>> for RemoteEnd {
    fn from(transport: Arc<dyn Transport>) -> Self {
        Self::Transport(transport)
    }
}

impl<T: Transport + 'static> From<Arc<T>> for RemoteEnd {
    fn from(transport: Arc<T>) -> Self {
        Self::Transport(transport)
    }
}

impl From<Peer> for RemoteEnd {
    fn from(peer: Peer) -> Self {
        Self::Peer(peer)
    }
}

impl From<&Peer> for RemoteEnd {
    fn from(peer: &Peer) -> Self {
        Self::Peer(peer.clone())
    }
}
