//! What a host says of itself: the instance `isorun`, which every host that serves has.
//!
//! It is called like any other, so that nothing on the wire is made for it, and
//! a guest may import it.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, CallContext, CallFailed, Callee, FRAME_BYTES_MAX, Failure, Fault, FunctionIndex,
    PeerIdentity, Refusal, Reply,
};
use isorun_ledger::{
    Field, Function, Interface, Ledger, LedgerError, NamedType, Param, RegistryBuilder, TypeDef, TypeName,
    TypeRegistry, names_match,
};
use isorun_runtime::wasmtime::component::Val;
use isorun_runtime::{Serving, codec};

use crate::actors::delivery::ServedDelivery;
use crate::actors::status::{Living, ServedStatus};
use crate::actors::types::{COMPONENTS_INTERFACE, DELIVERY_INTERFACE};
use crate::registry::{INSTANCES_MAX, Registry};
use crate::{InstanceHandle, actors};

/// The name under which a host speaks of itself.
pub const REFLECT_INSTANCE: &str = "isorun";
/// The interface it speaks by; `wit/reflect.wit` has it.
pub const REFLECT_INTERFACE: &str = "isorun:host/reflect@0.1.0";

/// Most instances that one answer of `instances` lists, however many were asked for.
pub const REFLECT_PAGE_MAX: u32 = 256;

/// Bytes of an answer at which it ends before its last instance is listed.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of names among the exports of one instance, and among what is fused to it; there may be any number.
const NAMES_BYTES_MAX: usize = 64 << 10;
/// Bytes that the arguments may take once they are unpacked: no instance has a name that is longer.
const ARGS_BYTES_MAX: u64 = 4 << 10;
/// What a record or a name in it takes beside its text, at most.
const ITEM_BYTES: usize = 64;
/// Bytes of what one link is said to be for.
const IMPORTS_BYTES_MAX: usize = 1 << 10;
/// The interface's functions.
const INSTANCES: &str = "instances";
const LINKS: &str = "links";
/// The last of the exports, where the rest of them has no room.
const LEFT_OUT: &str = "..";

// A page that is one short of its end takes one more instance, with its name, and fits into a frame with it.
const _: () = assert!(PAGE_BYTES_MAX + 3 * NAMES_BYTES_MAX < FRAME_BYTES_MAX / 2);

/// The host, as one caller finds it.
pub(crate) struct Reflect {
    pub(crate) registry: Weak<Registry>,
    pub(crate) caller: PeerIdentity,
}

/// The types and functions of what a host says of itself; of one where components live, those for them too.
fn ledger(has_actors: bool) -> Result<&'static Ledger, Failure> {
    static LEDGERS: [OnceLock<Result<Ledger, LedgerError>>; 2] = [OnceLock::new(), OnceLock::new()];
    let made = LEDGERS[usize::from(has_actors)].get_or_init(|| {
        let mut types = RegistryBuilder::new();
        let mut exports = vec![interface(&mut types)?];
        if has_actors {
            exports.push(actors::types::components(&mut types)?);
            exports.push(actors::types::delivery(&mut types)?);
        }
        Ledger::new(Arc::new(types.finish()), Vec::new(), exports)
    });
    made.as_ref().map_err(|error| Fault::Bug { detail: format!("the host's own types: {error}") }.into())
}

/// What to ask a host for these functions of one of its own interfaces.
pub(crate) fn want(interface: &str, functions: &[&str]) -> Result<BindRequest, Failure> {
    let export = ledger(true)?.export(Some(interface));
    let wanted = functions.iter().filter_map(|name| export?.function(name)).map(|it| (it.name.clone(), it.hash));
    Ok(BindRequest { interface: Some(interface.into()), functions: wanted.collect() })
}

/// That there is no function in that place of a table.
pub(crate) fn no_such_function(function: FunctionIndex) -> Failure {
    let (instance, function) = (REFLECT_INSTANCE.into(), format!("number {}", function.0));
    Refusal::NoSuchFunction { instance, function }.into()
}

/// [`REFLECT_INTERFACE`].
fn interface(types: &mut RegistryBuilder) -> Result<Interface, LedgerError> {
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
        field("fused", texts),
    ];
    let named = |name: &str| Some(TypeName { interface: Some(REFLECT_INTERFACE.into()), name: name.into() });
    let instance = types.intern(TypeDef::Record(fields), named("instance"))?;
    let instances = types.intern(TypeDef::List(instance), None)?;
    let more = types.intern(TypeDef::Bool, None)?;
    let page =
        types.intern(TypeDef::Record(vec![field("instances", instances), field("more", more)]), named("page"))?;
    let after = types.intern(TypeDef::Option(text), None)?;
    let limit = types.intern(TypeDef::U32, None)?;
    let fields = vec![
        field("instance", text),
        field("imports", text),
        field("places", limit),
        field("up", limit),
        field("moves", number),
    ];
    let link = types.intern(TypeDef::Record(fields), named("link"))?;
    let links = types.intern(TypeDef::List(link), None)?;
    let mut interface = Interface::new(Some(REFLECT_INTERFACE.into()));
    interface.types.push(NamedType { name: "instance".into(), ty: instance });
    interface.types.push(NamedType { name: "page".into(), ty: page });
    interface.types.push(NamedType { name: "link".into(), ty: link });
    let params = vec![Param { name: "after".into(), ty: after }, Param { name: "limit".into(), ty: limit }];
    interface.functions.push(Function::new(types.types(), INSTANCES, params, Some(page), false)?);
    interface.functions.push(Function::new(types.types(), LINKS, Vec::new(), Some(links), false)?);
    Ok(interface)
}

impl Callee for Reflect {
    fn bind<'a>(&'a self, want: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        Box::pin(async move {
            let living = self.living();
            let ledger = ledger(living.is_some())?;
            let export = want.interface.as_deref().and_then(|wanted| {
                ledger
                    .exports
                    .iter()
                    .find(|export| export.name.as_deref().is_some_and(|name| names_match(wanted, name)))
            });
            let mut table = Vec::with_capacity(want.functions.len());
            for (name, hash) in &want.functions {
                let Some(function) = export.and_then(|export| export.function(name)) else {
                    return Err(Refusal::no_such_function(REFLECT_INSTANCE, want.interface.as_deref(), name).into());
                };
                if function.hash != *hash {
                    let detail = format!("`{name}` has other types here");
                    return Err(Refusal::Incompatible { detail, ledger: ledger.pack().into() }.into());
                }
                table.push(function);
            }
            let names = || table.iter().map(|function| function.name.as_str()).collect();
            let bound: Arc<dyn Bound> = match (export.and_then(|export| export.name.as_deref()), living) {
                (Some(DELIVERY_INTERFACE), Some(living)) => {
                    Arc::new(ServedDelivery::new(living.delivery(&self.caller)?, names()))
                }
                (Some(COMPONENTS_INTERFACE), Some(living)) => {
                    Arc::new(ServedStatus::new(living, self.caller.clone(), names()))
                }
                _ => {
                    let host = Self { registry: self.registry.clone(), caller: self.caller.clone() };
                    Arc::new(BoundReflect { host, types: &ledger.types, table })
                }
            };
            Ok(bound)
        })
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(std::future::ready(ledger(self.living().is_some()).map(|ledger| ledger.pack().into())))
    }

    fn keeps_state(&self) -> Option<bool> {
        Some(false)
    }
}

/// Its functions as a caller bound them.
struct BoundReflect {
    host: Reflect,
    types: &'static TypeRegistry,
    table: Vec<&'static Function>,
}

impl Bound for BoundReflect {
    fn call<'a>(
        &'a self,
        function: FunctionIndex,
        _: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        Box::pin(async move {
            let types = self.types;
            let function = self.table.get(function.0 as usize).ok_or_else(|| no_such_function(function))?;
            let asked = codec::decode_vals(types, function.params.iter().map(|param| param.ty), &args, ARGS_BYTES_MAX)
                .map_err(|error| Failure::from(Refusal::BadArguments { detail: error.to_string() }))?;
            let result = if function.name == LINKS { self.host.links() } else { self.host.page(&asked) };
            let results = codec::encode_vals(types, function.result.into_iter().zip([&result]))
                .map_err(|error| Failure::from(Fault::BadResults { detail: error.to_string() }))?;
            Ok(Reply { results: results.into(), fuel_used: 0 })
        })
    }
}

impl Reflect {
    /// What lives here, if anything does.
    fn living(&self) -> Option<Arc<dyn Living>> {
        self.registry.upgrade()?.living()
    }

    /// The instances after a name: at least one, if there are any, and no more than an answer has room for.
    fn page(&self, asked: &[Val]) -> Val {
        let (after, limit) = match asked {
            [Val::Option(Some(after)), Val::U32(limit)] => (Some(&**after), *limit),
            [_, Val::U32(limit)] => (None, *limit),
            // The types that the arguments were decoded by leave nothing else.
            _ => (None, REFLECT_PAGE_MAX),
        };
        let after = if let Some(Val::String(name)) = after { Some(name.as_str()) } else { None };
        let limit = limit.clamp(1, REFLECT_PAGE_MAX) as usize;
        let registry = self.registry.upgrade();
        let (known, mut more) =
            registry.map(|registry| registry.seen_by(&self.caller, after, limit)).unwrap_or_default();
        let (mut instances, mut bytes) = (Vec::with_capacity(known.len()), 0);
        for (name, handle) in &known {
            if bytes > PAGE_BYTES_MAX {
                more = true;
                break;
            }
            let (instance, size) = shown(name, handle);
            instances.push(instance);
            bytes += size;
        }
        Val::Record(vec![("instances".into(), Val::List(instances)), ("more".into(), Val::Bool(more))])
    }
}

impl Reflect {
    /// The links to several places of the instances that the caller may call.
    fn links(&self) -> Val {
        let registry = self.registry.upgrade();
        let (known, _) = registry.map(|it| it.seen_by(&self.caller, None, INSTANCES_MAX)).unwrap_or_default();
        let groups = known.iter().flat_map(|(name, handle)| handle.remote_groups().iter().map(move |it| (name, it)));
        let links = groups.take(REFLECT_PAGE_MAX as usize).map(|(name, (imports, group))| {
            let places = group.places();
            let count = |n: usize| Val::U32(u32::try_from(n).unwrap_or(u32::MAX));
            let mut imports = imports.clone();
            imports.truncate(imports.floor_char_boundary(IMPORTS_BYTES_MAX));
            Val::Record(vec![
                ("instance".into(), Val::String(name.clone())),
                ("imports".into(), Val::String(imports)),
                ("places".into(), count(places.len())),
                ("up".into(), count(places.iter().filter(|place| place.is_up).count())),
                ("moves".into(), Val::U64(group.moves())),
            ])
        });
        Val::List(links.collect())
    }
}

/// An instance, and about how many bytes it takes.
fn shown(name: &str, handle: &InstanceHandle) -> (Val, usize) {
    let text = |text: String| Val::String(text);
    let (exports, exports_bytes) = listed(handle.ledger().exports.iter().flat_map(exported));
    let (fused, fused_bytes) = listed(handle.fused().iter().map(String::as_str));
    let serving = match handle.serving() {
        Serving::Singleton { .. } => "singleton".into(),
        Serving::Pool { size, .. } => format!("pool={size}"),
        Serving::PerCall { .. } => "per-call".into(),
        _ => "otherwise".into(),
    };
    let record = Val::Record(vec![
        ("name".into(), text(name.into())),
        ("serving".into(), text(serving)),
        ("generation".into(), Val::U64(handle.generation())),
        ("in-flight".into(), Val::U64(handle.in_flight() as u64)),
        ("exports".into(), exports),
        ("fused".into(), fused),
    ]);
    (record, name.len() + 5 * ITEM_BYTES + exports_bytes + fused_bytes)
}

/// Names as far as there is room for them, and about how many bytes they take.
fn listed<'n>(names: impl Iterator<Item = &'n str>) -> (Val, usize) {
    let (mut list, mut bytes) = (Vec::new(), 0);
    for name in names {
        let more = bytes + name.len() + ITEM_BYTES;
        if more > NAMES_BYTES_MAX {
            list.push(Val::String(LEFT_OUT.into()));
            break;
        }
        bytes = more;
        list.push(Val::String(name.to_owned()));
    }
    (Val::List(list), bytes)
}

/// The names under which an export is known: its own, or at the root those of its functions.
fn exported(export: &Interface) -> impl Iterator<Item = &str> {
    let functions = if export.name.is_none() { export.functions.as_slice() } else { &[] };
    export.name.as_deref().into_iter().chain(functions.iter().map(|function| function.name.as_str()))
}
