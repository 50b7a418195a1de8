//! What a host says of itself: the instance `isorun`, which every host that serves has.
//!
//! It is called like any other, so that nothing on the wire is made for it, and
//! a guest may import it.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, Failure, Fault, FunctionIndex, PeerIdentity,
    Refusal, Reply,
};
use isorun_ledger::{Field, Function, Interface, Ledger, LedgerError, RegistryBuilder, TypeDef, TypeName, names_match};
use isorun_runtime::wasmtime::component::Val;
use isorun_runtime::{Serving, codec};

use crate::InstanceHandle;
use crate::registry::Registry;

/// The name under which a host speaks of itself.
pub const REFLECT_INSTANCE: &str = "isorun";
/// The interface it speaks by; `wit/reflect.wit` has it.
pub const REFLECT_INTERFACE: &str = "isorun:host/reflect@0.1.0";

/// The host, as one caller finds it.
pub(crate) struct Reflect {
    pub(crate) registry: Weak<Registry>,
    pub(crate) caller: PeerIdentity,
}

/// The interface's types and its one function.
fn ledger() -> Result<&'static Ledger, Failure> {
    static LEDGER: OnceLock<Result<Ledger, LedgerError>> = OnceLock::new();
    let made = LEDGER.get_or_init(|| {
        let mut types = RegistryBuilder::new();
        let text = types.intern(TypeDef::String, None)?;
        let number = types.intern(TypeDef::U64, None)?;
        let texts = types.intern(TypeDef::List(text), None)?;
        let field = |name: &str, ty| Field { name: name.into(), ty };
        let fields = vec![
            field("name", text),
            field("serving", text),
            field("generation", number),
            field("in-flight", number),
            field("exports", texts),
        ];
        let name = TypeName { interface: Some(REFLECT_INTERFACE.into()), name: "instance".into() };
        let instance = types.intern(TypeDef::Record(fields), Some(name))?;
        let instances = types.intern(TypeDef::List(instance), None)?;
        let types = Arc::new(types.finish());
        let mut interface = Interface::new(Some(REFLECT_INTERFACE.into()));
        interface.types.push(isorun_ledger::NamedType { name: "instance".into(), ty: instance });
        interface.functions.push(Function::new(&types, "instances", Vec::new(), Some(instances), false)?);
        Ledger::new(types, Vec::new(), vec![interface])
    });
    made.as_ref().map_err(|error| Fault::Bug { detail: format!("the host's own types: {error}") }.into())
}

impl Callee for Reflect {
    fn bind<'a>(&'a self, want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async move {
            let ledger = ledger()?;
            let offered = want.interface.as_deref().is_some_and(|wanted| names_match(wanted, REFLECT_INTERFACE));
            for (name, hash) in &want.functions {
                let function = ledger.exports.first().filter(|_| offered).and_then(|export| export.function(name));
                let Some(function) = function else {
                    let (instance, function) = (REFLECT_INSTANCE.into(), name.clone());
                    return Err(Refusal::NoSuchFunction { instance, function }.into());
                };
                if function.hash != *hash {
                    let detail = format!("`{name}` has other types here");
                    return Err(Refusal::Incompatible { detail, ledger: ledger.pack().into() }.into());
                }
            }
            let bound = Self { registry: self.registry.clone(), caller: self.caller.clone() };
            Ok(Arc::new(bound) as Arc<dyn Bound>)
        })
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(std::future::ready(ledger().map(|ledger| ledger.pack().into())))
    }
}

impl Bound for Reflect {
    fn call<'a>(
        &'a self,
        _: FunctionIndex,
        _: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(async move {
            let ledger = ledger()?;
            let types = &ledger.types;
            codec::decode_vals(types, [], &args, 0)
                .map_err(|error| Failure::from(Refusal::BadArguments { detail: error.to_string() }))?;
            let known = self.registry.upgrade().map(|registry| registry.seen_by(&self.caller)).unwrap_or_default();
            let list = Val::List(known.iter().map(|(name, handle)| shown(name, handle)).collect());
            let result =
                ledger.exports.iter().flat_map(|export| &export.functions).find_map(|function| function.result);
            let results = codec::encode_vals(types, result.into_iter().zip([&list]))
                .map_err(|error| Failure::from(Fault::BadResults { detail: error.to_string() }))?;
            Ok(Reply { results: results.into(), fuel_used: 0 })
        })
    }
}

fn shown(name: &str, handle: &InstanceHandle) -> Val {
    let text = |text: String| Val::String(text);
    let mut exports = Vec::new();
    for export in &handle.ledger().exports {
        match &export.name {
            Some(name) => exports.push(text(name.clone())),
            None => exports.extend(export.functions.iter().map(|function| text(function.name.clone()))),
        }
    }
    let serving = match handle.serving() {
        Serving::Singleton { .. } => "singleton".into(),
        Serving::Pool { size, .. } => format!("pool={size}"),
        Serving::PerCall { .. } => "per-call".into(),
        _ => "otherwise".into(),
    };
    Val::Record(vec![
        ("name".into(), text(name.into())),
        ("serving".into(), text(serving)),
        ("generation".into(), Val::U64(handle.generation())),
        ("in-flight".into(), Val::U64(handle.in_flight() as u64)),
        ("exports".into(), Val::List(exports)),
    ])
}
