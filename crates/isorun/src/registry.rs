//! Instances under names, as callers find them.

use std::collections::BTreeMap;
use std::ops::Bound as RangeFrom;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use isorun_core::{BindRequest, Bound, BoxFuture, Callee, Directory, Failure, PeerIdentity, Refusal};
use isorun_security::{Audience, Capability, Grants};
use parking_lot::RwLock;

use crate::InstanceHandle;
use crate::actors::status::Living;
use crate::reflect::{REFLECT_INSTANCE, Reflect};

/// Most instances under a name at once.
pub const INSTANCES_MAX: usize = 10_000;

/// Why an instance got no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another instance has it.
    #[error("the name `{id}` is taken: unregister the other instance first, or choose another name")]
    Taken {
        /// The name.
        id: String,
    },
    /// It is the host's own, by which it speaks of itself.
    #[error("the name `{id}` is the host's own: choose another name")]
    Reserved {
        /// The name.
        id: String,
    },
    /// Not a name that a place can be written with.
    #[error("`{id}` is no instance name: 1 to 128 letters, digits, `-`, `_` and `.`")]
    Malformed {
        /// The name.
        id: String,
    },
    /// [`INSTANCES_MAX`] are registered.
    #[error("{INSTANCES_MAX} instances are registered, which is the limit")]
    Full,
}

/// The instances of one runtime that have a name.
pub(crate) struct Registry {
    entries: RwLock<BTreeMap<String, Entry>>,
    /// The components that live here; whoever runs them holds them.
    living: RwLock<Option<Weak<dyn Living>>>,
    /// This registry itself, for the host's own instance, which outlives a look at it.
    this: Weak<Self>,
}

struct Entry {
    handle: InstanceHandle,
    grants: Arc<Grants>,
}

impl Registry {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new_cyclic(|this| Self { entries: RwLock::default(), living: RwLock::new(None), this: this.clone() })
    }

    /// Makes known what lives here, unless something else does.
    pub(crate) fn set_living(&self, living: Weak<dyn Living>) -> bool {
        let mut known = self.living.write();
        let is_free = known.as_ref().is_none_or(|known| known.strong_count() == 0);
        if is_free {
            *known = Some(living);
        }
        is_free
    }

    /// What lives here.
    pub(crate) fn living(&self) -> Option<Arc<dyn Living>> {
        self.living.read().as_ref()?.upgrade()
    }

    /// The first instances by name that this caller may call, `after` a name and `limit` of them at most; whether there
    /// are more.
    pub(crate) fn seen_by(
        &self,
        caller: &PeerIdentity,
        after: Option<&str>,
        limit: usize,
    ) -> (Vec<(String, InstanceHandle)>, bool) {
        let entries = self.entries.read();
        let from = after.map_or(RangeFrom::Unbounded, RangeFrom::Excluded);
        let rest = entries.range::<str, _>((from, RangeFrom::Unbounded));
        let mut seen = rest.filter(|(id, entry)| entry.grants.may_serve(id, caller).is_allowed());
        let page = seen.by_ref().take(limit).map(|(id, entry)| (id.clone(), entry.handle.clone())).collect();
        (page, seen.next().is_some())
    }

    /// Registers an instance, of which each audience may call what its capability names.
    pub(crate) fn register(
        &self,
        id: &str,
        handle: &InstanceHandle,
        served: impl IntoIterator<Item = (Capability, Audience)>,
    ) -> Result<(), RegisterError> {
        let mut entries = self.entries.write();
        free(&entries, id)?;
        let serve = |grants: Grants, (capability, audience): (Capability, Audience)| {
            grants.serve_only(capability.instance(id), audience)
        };
        let grants = Arc::new(served.into_iter().fold(Grants::new(), serve));
        entries.insert(id.to_owned(), Entry { handle: handle.clone(), grants });
        Ok(())
    }

    /// Whether that name could be given now; another may have it a moment later.
    pub(crate) fn is_free(&self, id: &str) -> Result<(), RegisterError> {
        free(&self.entries.read(), id)
    }

    pub(crate) fn unregister(&self, id: &str) -> Option<InstanceHandle> {
        self.entries.write().remove(id).map(|entry| entry.handle)
    }

    pub(crate) fn get(&self, id: &str) -> Option<InstanceHandle> {
        self.entries.read().get(id).map(|entry| entry.handle.clone())
    }

    pub(crate) fn handles(&self) -> Vec<(String, InstanceHandle)> {
        self.entries.read().iter().map(|(id, entry)| (id.clone(), entry.handle.clone())).collect()
    }
}

fn free(entries: &BTreeMap<String, Entry>, id: &str) -> Result<(), RegisterError> {
    if !is_name(id) {
        return Err(RegisterError::Malformed { id: id.into() });
    }
    if id == REFLECT_INSTANCE {
        return Err(RegisterError::Reserved { id: id.into() });
    }
    if entries.contains_key(id) {
        return Err(RegisterError::Taken { id: id.into() });
    }
    if entries.len() >= INSTANCES_MAX {
        return Err(RegisterError::Full);
    }
    Ok(())
}

/// A name goes into places (`tcp://host:port/NAME`), so it is plain.
fn is_name(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=128).contains(&id.len()) && id.chars().all(plain)
}

impl Directory for Registry {
    fn find(&self, instance: &str, caller: &PeerIdentity) -> Result<Arc<dyn Callee>, Failure> {
        if instance == REFLECT_INSTANCE {
            return Ok(Arc::new(Reflect { registry: self.this.clone(), caller: caller.clone() }));
        }
        let entries = self.entries.read();
        let Some(entry) = entries.get(instance) else {
            return Err(Refusal::NoSuchInstance { instance: instance.into() }.into());
        };
        entry.grants.may_serve(instance, caller).into_result()?;
        let callee = Arc::new(entry.handle.instance().clone());
        let (id, grants, caller) = (instance.to_owned(), entry.grants.clone(), caller.clone());
        Ok(Arc::new(Served { callee, id, grants, caller }))
    }
}

/// An instance as one caller finds it: only what that caller may call binds.
///
/// Its calls go to the instance itself; nothing is asked twice.
struct Served {
    callee: Arc<dyn Callee>,
    id: String,
    grants: Arc<Grants>,
    caller: PeerIdentity,
}

impl Served {
    fn permits(&self, want: &BindRequest) -> Result<(), Failure> {
        let interface = want.interface.as_deref();
        want.functions.iter().try_for_each(|(function, _)| {
            Ok(self.grants.may_call(&self.id, interface, function, &self.caller).into_result()?)
        })
    }
}

impl Callee for Served {
    fn bind<'a>(&'a self, want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async move {
            self.permits(want)?;
            self.callee.bind(want).await
        })
    }

    /// All types of the instance, and of what may not be called too: types are what it says of itself, and no secret.
    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        self.callee.describe()
    }

    fn keeps_state(&self) -> Option<bool> {
        self.callee.keeps_state()
    }
}

/// The registry, for those that it may outlive: its instances hold links, and those hold this.
pub(crate) struct WeakDirectory(pub(crate) Weak<Registry>);

impl Directory for WeakDirectory {
    fn find(&self, instance: &str, caller: &PeerIdentity) -> Result<Arc<dyn Callee>, Failure> {
        match self.0.upgrade() {
            Some(registry) => registry.find(instance, caller),
            None => Err(Refusal::NoSuchInstance { instance: instance.into() }.into()),
        }
    }
}

/// An instance by its name, which need not be registered yet.
pub(crate) struct Named {
    pub(crate) directory: WeakDirectory,
    pub(crate) id: String,
}

impl Named {
    fn find(&self) -> Result<Arc<dyn Callee>, Failure> {
        self.directory.find(&self.id, &PeerIdentity::SameProcess)
    }
}

impl Callee for Named {
    fn bind<'a>(&'a self, want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async move { self.find()?.bind(want).await })
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(async move { self.find()?.describe().await })
    }

    fn keeps_state(&self) -> Option<bool> {
        self.find().ok()?.keeps_state()
    }
}
