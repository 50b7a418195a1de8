//! A component that stands in for the instance that could be made of it.

use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, Failure, FunctionIndex, Refusal, Reply,
};
use isorun_ledger::{Ledger, names_match};
use isorun_runtime::LoadedComponent;

/// Answers binds as an instance of the component would, and sends no call.
pub(crate) struct Unstarted {
    name: String,
    ledger: Arc<Ledger>,
}

impl Unstarted {
    pub(crate) fn new(name: &str, component: &LoadedComponent) -> Self {
        Self { name: name.into(), ledger: component.ledger().clone() }
    }

    fn packed(&self) -> Bytes {
        self.ledger.exports_only().pack().into()
    }

    fn agree(&self, want: &BindRequest) -> Result<(), Failure> {
        let mut differs = None;
        let serves = |offered: Option<&str>| match (&want.interface, offered) {
            (Some(wanted), Some(offered)) => names_match(wanted, offered),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        for (name, hash) in &want.functions {
            let exports = self.ledger.exports.iter().filter(|export| serves(export.name.as_deref()));
            let Some(found) = exports.filter_map(|export| export.function(name)).next() else {
                return Err(Refusal::no_such_function(&self.name, want.interface.as_deref(), name).into());
            };
            if found.hash != *hash {
                differs.get_or_insert_with(|| format!("`{name}` has other types here"));
            }
        }
        let refused = |detail| Err(Refusal::Incompatible { detail, ledger: self.packed() }.into());
        differs.map_or(Ok(()), refused)
    }
}

impl Callee for Unstarted {
    fn bind<'a>(&'a self, want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        let bound = || Arc::new(Never { name: self.name.clone() }) as Arc<dyn Bound>;
        Box::pin(std::future::ready(self.agree(want).map(|()| bound())))
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(std::future::ready(Ok(self.packed())))
    }
}

struct Never {
    name: String,
}

impl Bound for Never {
    fn call<'a>(&'a self, _: FunctionIndex, _: &'a CallContext, _: Bytes) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        let cause = format!("instance `{}` is not started", self.name);
        Box::pin(std::future::ready(Err(Failure::NotSent { cause }.into())))
    }
}
