//! Connections that come when they are needed, and come back.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use isorun_core::{Failure, PeerIdentity, Transport};
use parking_lot::Mutex;

use crate::options::PeerOptions;
use crate::peer::{Peer, not_sent};
use crate::remote::RemoteInstance;
use crate::renew::Renew;

/// One connection to one place, opened when it is first needed, and again when it went or the other end goes
/// away; clones share it.
#[derive(Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` for a connection that came in: there is no way to open another.
    dial: Option<(Arc<dyn Transport>, PeerOptions)>,
    peer: Renew<Peer>,
    /// Who proved to be there first.
    identity: Mutex<Option<PeerIdentity>>,
}

impl Inner {
    fn new(dial: Option<(Arc<dyn Transport>, PeerOptions)>, peer: Option<Peer>) -> Self {
        Self { dial, peer: Renew::new(peer), identity: Mutex::new(None) }
    }

    /// Whether a peer is who was there before, as far as that was proven.
    fn recognise(&self, peer: &Peer, transport: &dyn Transport, options: &PeerOptions) -> Result<(), Failure> {
        let now = peer.identity();
        let mut known = self.identity.lock();
        match &*known {
            Some(before) if before == now => return Ok(()),
            None if !matches!(now, PeerIdentity::Authenticated { .. }) => return Ok(()),
            None => {}
            Some(before) => {
                let place = transport.place();
                tracing::warn!(place, %before, %now, allowed = options.may_be_another, "another peer than before");
                if !options.may_be_another {
                    let cause = format!("{place} was {before} and is {now} now: another peer is not trusted unasked");
                    return Err(not_sent(cause));
                }
            }
        }
        *known = Some(now.clone());
        Ok(())
    }
}

impl Link {
    /// A link through `transport`; nothing is opened yet.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, options: PeerOptions) -> Self {
        Self { inner: Arc::new(Inner::new(Some((transport, options)), None)) }
    }

    /// An instance at the other end; nothing is opened or sent before it is used.
    #[must_use]
    pub fn instance(&self, name: impl Into<String>) -> RemoteInstance {
        RemoteInstance::over(self.clone(), name.into())
    }

    /// The connection, opened if need be.
    ///
    /// # Errors
    /// As [`Peer::connect`]; and [`Failure::NotSent`] for a connection that came in and went, and for one that leads to
    /// another authenticated peer than the first did, unless [`PeerOptions::may_be_another`] allows it.
    pub async fn peer(&self) -> Result<Peer, Failure> {
        let connect = async {
            match &self.inner.dial {
                Some((transport, options)) => {
                    let peer = Peer::connect(Arc::clone(transport), options.clone()).await?;
                    self.inner.recognise(&peer, transport.as_ref(), options)?;
                    Ok(peer)
                }
                None => Err(not_sent("the connection ended".to_owned())),
            }
        };
        self.inner.peer.alive_or(Peer::is_usable, connect).await
    }

    /// The connection, if it is open now and the other end does not go away.
    #[must_use]
    pub fn open_peer(&self) -> Option<Peer> {
        self.inner.peer.alive(Peer::is_usable)
    }

    /// Where it goes, as messages name it.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.inner.dial {
            Some((transport, _)) => transport.place(),
            None => self.inner.peer.alive(|_| true).map_or_else(String::new, |peer| peer.identity().to_string()),
        }
    }

    /// Where it goes, as numbers name it; nowhere for a connection that came in.
    ///
    /// Those are as many as peers like, under addresses of their choice.
    pub(crate) fn dialled(&self) -> Option<String> {
        self.inner.dial.as_ref().map(|(transport, _)| transport.place())
    }

    pub(crate) fn to(peer: Peer) -> Self {
        Self { inner: Arc::new(Inner::new(None, Some(peer))) }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("peer", &self.open_peer()).finish_non_exhaustive()
    }
}

/// The links of one host: one for each transport, however many instances are linked through it.
pub struct PeerPool {
    options: PeerOptions,
    links: Mutex<HashMap<usize, Weak<Inner>>>,
}

impl PeerPool {
    /// A pool whose connections all have these options.
    #[must_use]
    pub fn new(options: PeerOptions) -> Self {
        Self { options, links: Mutex::new(HashMap::new()) }
    }

    /// The link through `transport`: the same as long as somebody holds it, for clones of the same `Arc`.
    #[must_use]
    pub fn link(&self, transport: &Arc<dyn Transport>) -> Link {
        // While a link lives it holds its transport, so that no other can have the address.
        let key = Arc::as_ptr(transport).cast::<()>().addr();
        let mut links = self.links.lock();
        if let Some(inner) = links.get(&key).and_then(Weak::upgrade) {
            return Link { inner };
        }
        links.retain(|_, inner| inner.strong_count() > 0);
        let link = Link::new(Arc::clone(transport), self.options.clone());
        links.insert(key, Arc::downgrade(&link.inner));
        link
    }
}

impl std::fmt::Debug for PeerPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerPool").field("links", &self.links.lock().len()).finish_non_exhaustive()
    }
}
