//! Components that are alike, compiled and linked once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use isorun_core::WasmError;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::lifecycle::{ExportIndices, Lifecycle};
use crate::linker::link;
use crate::{Link, LinkError, LinkedComponent, LoadError, LoadedComponent, WasmtimeEngine};

/// A component that is linked, for as long as somebody holds it.
pub(super) struct SharedComponent {
    /// Held with what was made of them, so that nobody else's come to stand where these do.
    bytes: Bytes,
    links: Arc<[Link]>,
    linked: OnceCell<Linked>,
}

struct Linked {
    component: LinkedComponent,
    lifecycle: Lifecycle,
}

impl SharedComponent {
    /// The component; linked, or nobody would have it.
    pub(super) fn component(&self) -> Result<&LinkedComponent, WasmError> {
        self.linked().map(|linked| &linked.component)
    }

    /// Where its exports are.
    ///
    /// # Errors
    /// [`WasmError::InvalidComponent`] with what it exports instead.
    pub(super) fn lifecycle(&self) -> Result<&ExportIndices, WasmError> {
        self.linked()?.lifecycle.as_ref().map_err(|none| WasmError::invalid(none.to_string()).caused_by(none.clone()))
    }

    fn linked(&self) -> Result<&Linked, WasmError> {
        self.linked.get().ok_or_else(|| WasmError::runtime("bug in isorun: a component that is not linked"))
    }

    async fn link(&self, engine: &WasmtimeEngine) -> Result<Linked, WasmError> {
        let (owned, bytes) = (engine.clone(), self.bytes.clone());
        let parsed = off_thread(move || LoadedComponent::parse(&owned, bytes)).await?;
        let component = parsed.map_err(|error| WasmError::invalid(error.to_string()).caused_by(error))?;
        let component = link(&component, &self.links, &[]).await.map_err(not_linked)?;
        let lifecycle = super::lifecycle::find(&component);
        Ok(Linked { component, lifecycle })
    }
}

/// What an embedder does about it: mend the bytes, or the links.
fn not_linked(error: LinkError) -> WasmError {
    match error {
        LinkError::Load(error @ (LoadError::Prescan(_) | LoadError::Introspect(_) | LoadError::Compile { .. })) => {
            WasmError::invalid(error.to_string()).caused_by(error)
        }
        error => WasmError::instantiation(error.to_string()).caused_by(error),
    }
}

/// Runs what takes milliseconds on a thread that may.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, WasmError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|join| WasmError::runtime(join.to_string()).caused_by(join))
}

/// What is linked by now, found by what it was made of.
#[derive(Default)]
pub(super) struct SharedComponents {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_place: Weaks<Place>,
    by_digest: Weaks<([u8; 32], usize)>,
}

/// Where bytes lie, and which links they go with: enough while both are held, and nothing has to be read.
#[derive(PartialEq, Eq, Hash)]
struct Place {
    bytes: (usize, usize),
    links: usize,
}

impl Place {
    fn of(bytes: &Bytes, links: &Arc<[Link]>) -> Self {
        Self { bytes: (bytes.as_ptr() as usize, bytes.len()), links: identity(links) }
    }
}

/// Which links: the very same, or none at all.
fn identity(links: &Arc<[Link]>) -> usize {
    if links.is_empty() { 0 } else { Arc::as_ptr(links).cast::<Link>() as usize }
}

impl SharedComponents {
    /// The component of those bytes with those links; the first who asks makes it, and the others wait for that.
    pub(super) async fn linked(
        &self,
        engine: &WasmtimeEngine,
        bytes: Bytes,
        links: Arc<[Link]>,
    ) -> Result<Arc<SharedComponent>, WasmError> {
        let known = self.known.lock().by_place.find(&Place::of(&bytes, &links));
        let shared = match known {
            Some(shared) => shared,
            None => {
                let read = bytes.clone();
                let digest = off_thread(move || Sha256::digest(&read).into()).await?;
                self.by_digest(digest, bytes, links)
            }
        };
        shared.linked.get_or_try_init(|| shared.link(engine)).await?;
        Ok(shared)
    }

    fn by_digest(&self, digest: [u8; 32], bytes: Bytes, links: Arc<[Link]>) -> Arc<SharedComponent> {
        let key = (digest, identity(&links));
        let mut known = self.known.lock();
        if let Some(shared) = known.by_digest.find(&key) {
            return shared;
        }
        let place = Place::of(&bytes, &links);
        let shared = Arc::new(SharedComponent { bytes, links, linked: OnceCell::new() });
        known.by_place.insert(place, &shared);
        known.by_digest.insert(key, &shared);
        shared
    }
}

/// Entries that are there for as long as somebody else holds them.
struct Weaks<K> {
    entries: HashMap<K, Weak<SharedComponent>>,
    /// How many were live when the others were last cleared away.
    swept: usize,
}

impl<K> Default for Weaks<K> {
    fn default() -> Self {
        Self { entries: HashMap::new(), swept: 0 }
    }
}

impl<K: Eq + Hash> Weaks<K> {
    fn find(&self, key: &K) -> Option<Arc<SharedComponent>> {
        self.entries.get(key)?.upgrade()
    }

    fn insert(&mut self, key: K, shared: &Arc<SharedComponent>) {
        // Entries of what has gone are at most as many as those of what has not, and a few.
        if self.entries.len() >= 2 * self.swept + 8 {
            self.entries.retain(|_, entry| entry.strong_count() > 0);
            self.swept = self.entries.len();
        }
        self.entries.insert(key, Arc::downgrade(shared));
    }
}
