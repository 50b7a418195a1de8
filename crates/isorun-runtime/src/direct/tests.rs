//! The direct codec against the engine's own values: random types, random values, all encodings, every way in and out
//! of a guest; and its verdict on damaged bytes against the interpreted codec's.
//!
//! `ISORUN_ORACLE_TYPES=5000 cargo test -p isorun-runtime direct` runs longer.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use isorun_core::{
    BindRequest, Bound, BoxFuture, Budget, CallContext, CallFailed, Callee, Failure, FunctionIndex, InstanceUid, Reply,
};
use isorun_ledger::testing::{Noise, every_kind, random_type};
use isorun_ledger::{Function, Param, RegistryBuilder, TypeDef, TypeId, TypeRegistry};
use wasmtime::component::{Component, Func, Instance, Linker, Val};
use wasmtime::{Engine, Store};

use super::{DirectFunc, Plan, define};
use crate::codec::{decode_vals, encode_vals};
use crate::store::{Allowance, begin, new_store};
use crate::stub::{BoundLink, CalleeLink, OnFailure, Stub};
use crate::testing::random_val;
use crate::{HostState, WasmtimeEngine};

const ENCODINGS: [&str; 3] = ["utf8", "utf16", "latin1+utf16"];
/// Types that are tried, each with [`VALUES`] values: 10,800 pairs.
const TYPES: u64 = 540;
const VALUES: u64 = 20;
/// What values may take unpacked; none here comes near.
const ROOM: u64 = 256 << 20;

static ENGINE: LazyLock<WasmtimeEngine> = LazyLock::new(|| WasmtimeEngine::new().unwrap());

/// One type, and a guest that hands its values through.
///
/// It passes what its `flat` is given to the import `take`, gives back what its `big` is given (beside so much else that
/// it goes through memory), and returns from `get` what the import `give` returns.
struct Subject {
    types: Arc<TypeRegistry>,
    ty: TypeId,
    big: TypeId,
    component: Component,
}

impl Subject {
    fn new(mut builder: RegistryBuilder, ty: TypeId, encoding: &str) -> Self {
        let number = builder.intern(TypeDef::U64, None).unwrap();
        let items = std::iter::once(ty).chain(std::iter::repeat_n(number, 17)).collect();
        let big = builder.intern(TypeDef::Tuple(items), None).unwrap();
        let types = Arc::new(builder.finish());
        let wat = guest(&types, ty, big, encoding);
        let engine: &Engine = ENGINE.engine();
        let wasm = wat::parse_str(&wat).unwrap_or_else(|e| panic!("{e}\n{wat}"));
        let component = Component::new(engine, wasm).unwrap_or_else(|e| panic!("{e:?}\n{wat}"));
        Self { types, ty, big, component }
    }

    fn pack(&self, ty: TypeId, val: &Val) -> Bytes {
        encode_vals(&self.types, [(ty, val)]).unwrap().into()
    }

    /// Imports that `hatch` answers, through the direct codec.
    fn direct(&self, hatch: &Hatch) -> Linker<HostState> {
        let mut linker = Linker::new(ENGINE.engine());
        let param = Param { name: "p".into(), ty: self.ty };
        let take = Function::new(&self.types, "take", vec![param], None, false);
        let give = Function::new(&self.types, "give", Vec::new(), Some(self.ty), false);
        for (index, function) in (0..).map(FunctionIndex).zip([take.unwrap(), give.unwrap()]) {
            let callee: Arc<dyn Callee> = Arc::new(hatch.clone());
            let link = CalleeLink {
                callee,
                instance: "hatch".into(),
                place: "here".into(),
                deadline_ms: 10_000,
                lazy: true,
                on_failure: OnFailure::Trap,
            };
            let request = BindRequest { interface: None, functions: vec![(function.name.clone(), function.hash)] };
            let bound = Arc::new(BoundLink::new(link, request));
            let stub = Stub::new(self.types.clone(), function, bound, index);
            define(&mut linker.root(), stub).unwrap();
        }
        linker
    }

    /// The same imports, answered with the engine's own values.
    fn by_val(&self, seen: &Arc<Mutex<Vec<Val>>>, given: Val) -> Linker<HostState> {
        let mut linker = Linker::new(ENGINE.engine());
        let seen = seen.clone();
        let mut root = linker.root();
        root.func_new("take", move |_, _, params, _| {
            seen.lock().unwrap().extend_from_slice(params);
            Ok(())
        })
        .unwrap();
        root.func_new("give", move |_, _, _, results| {
            results[0] = given.clone();
            Ok(())
        })
        .unwrap();
        linker
    }

    async fn start(&self, linker: &Linker<HostState>) -> (Store<HostState>, Instance) {
        let budget = Budget { max_memory_bytes: 64 << 20, hostcall_fuel: ROOM, ..Budget::default() };
        let mut store = new_store(ENGINE.engine(), "subject".into(), &budget, &[]).unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let allowance = Allowance { own: budget.fuel, tree: budget.fuel_tree, deadline: until };
        begin(&mut store, InstanceUid([1; 16]), &CallContext::until(until), allowance).unwrap();
        let instance = linker.instantiate_async(&mut store, &self.component).await.unwrap();
        (store, instance)
    }

    /// One value, in and out by every way.
    async fn agrees_on(&self, val: &Val, noise: &mut Noise<'_>) {
        let wit = self.types.wit(self.ty).to_string();
        let packed = self.pack(self.ty, val);
        let numbers = (0..17).map(|_| Val::U64(noise.bits()));
        let big = Val::Tuple(std::iter::once(val.clone()).chain(numbers).collect());
        let packed_big = self.pack(self.big, &big);
        let hatch = Hatch { given: packed.clone(), seen: Arc::default() };
        let empty = Bytes::from_static(&[0x14, 0, 0, 0, 0]);

        // Imports by plan.
        let (mut store, instance) = self.start(&self.direct(&hatch)).await;
        let func = |name: &str, store: &mut Store<HostState>| -> Func { instance.get_func(store, name).unwrap() };
        let mut nothing = [];
        let (flat, get, whole) = (func("flat", &mut store), func("get", &mut store), func("big", &mut store));
        flat.call_async(&mut store, std::slice::from_ref(val), &mut nothing).await.unwrap();
        assert_eq!(hatch.seen.lock().unwrap().pop().unwrap(), packed, "lifted flat\n{wit}\n{val:?}");
        let direct = DirectFunc::new(&store, flat).unwrap();
        let returned = direct.call(&mut store, &packed).await.ok().unwrap();
        assert_eq!(returned, empty);
        assert_eq!(hatch.seen.lock().unwrap().pop().unwrap(), packed, "lowered and lifted flat\n{wit}\n{val:?}");
        let mut got = [Val::Bool(false)];
        get.call_async(&mut store, &[], &mut got).await.unwrap();
        assert_eq!(self.pack(self.ty, &got[0]), packed, "lowered as a result\n{wit}\n{val:?}");
        let direct = DirectFunc::new(&store, whole).unwrap();
        let returned = direct.call(&mut store, &packed_big).await.ok().unwrap();
        assert_eq!(returned, packed_big, "lowered to memory and lifted from it\n{wit}\n{val:?}");

        // Imports by the engine's values.
        let seen = Arc::default();
        let (mut store, instance) = self.start(&self.by_val(&seen, val.clone())).await;
        let func = |name: &str, store: &mut Store<HostState>| -> Func { instance.get_func(store, name).unwrap() };
        let (flat, get, whole) = (func("flat", &mut store), func("get", &mut store), func("big", &mut store));
        let direct = DirectFunc::new(&store, flat).unwrap();
        direct.call(&mut store, &packed).await.ok().unwrap();
        let taken = seen.lock().unwrap().pop().unwrap();
        assert_eq!(self.pack(self.ty, &taken), packed, "lowered flat\n{wit}\n{val:?}");
        let direct = DirectFunc::new(&store, get).unwrap();
        let returned = direct.call(&mut store, &empty).await.ok().unwrap();
        assert_eq!(returned, packed, "lifted as a result\n{wit}\n{val:?}");
        let mut got = [Val::Bool(false)];
        whole.call_async(&mut store, std::slice::from_ref(&big), &mut got).await.unwrap();
        assert_eq!(self.pack(self.big, &got[0]), packed_big, "{wit}\n{val:?}");
    }

    /// Both codecs take the same bytes, however damaged.
    fn judges_alike(&self, packed: &[u8], noise: &mut Noise<'_>) -> (u32, u32) {
        let plan = Plan::new(&self.types, [self.ty]).unwrap();
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..24 {
            let mut bytes = packed.to_vec();
            for _ in 0..=noise.below(2) {
                let at = noise.below(bytes.len());
                match noise.below(6) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes.insert(at, noise.bits() as u8),
                    2 => bytes[at] = [0, 1, 2, 0x7f, 0x80, 0xff][noise.below(6)],
                    3 => bytes[at] ^= 1 << noise.below(8),
                    4 => bytes.push(0),
                    _ => bytes[at] = noise.bits() as u8,
                }
            }
            let interpreted = decode_vals(&self.types, [self.ty], &bytes, ROOM);
            let direct = plan.check(&bytes);
            let wit = || self.types.wit(self.ty).to_string();
            assert_eq!(interpreted.is_ok(), direct.is_ok(), "{}\n{bytes:02x?}\n{interpreted:?}", wit());
            match interpreted {
                Ok(vals) => {
                    taken += 1;
                    assert_eq!(self.pack(self.ty, &vals[0]), bytes, "{}", wit());
                }
                Err(_) => refused += 1,
            }
        }
        (taken, refused)
    }
}

/// Remembers what it is given, and gives what it was told to.
#[derive(Clone)]
struct Hatch {
    given: Bytes,
    seen: Arc<Mutex<Vec<Bytes>>>,
}

impl Callee for Hatch {
    fn bind<'a>(&'a self, _: &'a BindRequest) -> BoxFuture<'a, Result<Arc<dyn Bound>, Failure>> {
        let bound: Arc<dyn Bound> = Arc::new(self.clone());
        Box::pin(std::future::ready(Ok(bound)))
    }

    fn describe(&self) -> BoxFuture<'_, Result<Bytes, Failure>> {
        Box::pin(std::future::ready(Ok(Bytes::new())))
    }
}

impl Bound for Hatch {
    fn call<'a>(
        &'a self,
        function: FunctionIndex,
        _: &'a CallContext,
        args: Bytes,
    ) -> BoxFuture<'a, Result<Reply, CallFailed>> {
        let results = if function.0 == 0 {
            self.seen.lock().unwrap().push(args);
            Bytes::from_static(&[0x14, 0, 0, 0, 0])
        } else {
            self.given.clone()
        };
        Box::pin(std::future::ready(Ok(Reply { results, fuel_used: 0 })))
    }
}

/// The guest, as text.
fn guest(types: &TypeRegistry, ty: TypeId, big: TypeId, encoding: &str) -> String {
    let mut wat = String::from("(component\n");
    for (id, def) in types.iter() {
        let n = id.index();
        if let Some(text) = text(types, def) {
            writeln!(wat, "(type $d{n} {text})").unwrap();
            // What has names must have one itself.
            match def {
                TypeDef::Record(_) | TypeDef::Variant(_) | TypeDef::Enum(_) | TypeDef::Flags(_) => {
                    writeln!(wat, "(import \"t{n}\" (type $t{n} (eq $d{n})))").unwrap();
                }
                _ => writeln!(wat, "(alias outer 0 $d{n} (type $t{n}))").unwrap(),
            }
        }
    }
    let (t, b) = (name(types, ty), name(types, big));
    let flat = flats(types, ty);
    let params = if flat.len() > 16 { "i32".to_owned() } else { flat.join(" ") };
    let count = params.split_whitespace().count();
    let (result, ret) = if flat.len() > 1 { ("", "(param i32)") } else { (flat[0], "") };
    let locals: String = (0..count).map(|n| format!("(local.get {n})")).collect();
    let get = match result {
        "" => "(func (export \"get\") (result i32) (call $give (i32.const 64)) (i32.const 64))".to_owned(),
        result => format!("(func (export \"get\") (result {result}) (call $give))"),
    };
    let result = if result.is_empty() { String::new() } else { format!("(result {result})") };
    // Results of `give` lie at 64; the first page is theirs.
    write!(
        wat,
        r#"
(import "take" (func $take (param "p" {t})))
(import "give" (func $give (result {t})))
(core module $L (memory (export "m") 1 1000) (global $top (mut i32) (i32.const 65536))
    (func (export "r") (param i32 i32 i32 i32) (result i32) (local $p i32)
        (local.set $p (i32.and (i32.add (global.get $top) (i32.sub (local.get 2) (i32.const 1)))
            (i32.sub (i32.const 0) (local.get 2))))
        (global.set $top (i32.add (local.get $p) (local.get 3)))
        (block $done (loop $grow
            (br_if $done (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
            (drop (memory.grow (i32.const 1))) (br $grow)))
        (if (local.get 0) (then (memory.copy (local.get $p) (local.get 0)
            (select (local.get 1) (local.get 3) (i32.lt_u (local.get 1) (local.get 3))))))
        (local.get $p)))
(core instance $l (instantiate $L))
(core func $take' (canon lower (func $take) (memory (core memory $l "m")) (realloc (core func $l "r")) string-encoding={encoding}))
(core func $give' (canon lower (func $give) (memory (core memory $l "m")) (realloc (core func $l "r")) string-encoding={encoding}))
(core module $M
    (import "" "take" (func $take (param {params})))
    (import "" "give" (func $give {ret} {result}))
    (func (export "flat") (param {params}) (call $take {locals}))
    {get}
    (func (export "big") (param i32) (result i32) (local.get 0)))
(core instance $m (instantiate $M (with "" (instance (export "take" (func $take')) (export "give" (func $give'))))))
(func (export "flat") (param "p" {t}) (canon lift (core func $m "flat")
    (memory (core memory $l "m")) (realloc (core func $l "r")) string-encoding={encoding}))
(func (export "get") (result {t}) (canon lift (core func $m "get")
    (memory (core memory $l "m")) (realloc (core func $l "r")) string-encoding={encoding}))
(func (export "big") (param "p" {b}) (result {b}) (canon lift (core func $m "big")
    (memory (core memory $l "m")) (realloc (core func $l "r")) string-encoding={encoding})))
"#
    )
    .unwrap();
    wat
}

/// How a type is named where it is used.
fn name(types: &TypeRegistry, ty: TypeId) -> String {
    match text(types, types.def(ty)) {
        Some(_) => format!("$t{}", ty.index()),
        None => types.def(ty).kind().to_owned(),
    }
}

/// A type that is made of others, as text.
fn text(types: &TypeRegistry, def: &TypeDef) -> Option<String> {
    let name = |ty: &TypeId| name(types, *ty);
    let strings = |names: &[String]| names.iter().map(|name| format!(" \"{name}\"")).collect::<String>();
    Some(match def {
        TypeDef::List(item) => format!("(list {})", name(item)),
        TypeDef::FixedList(item, count) => format!("(list {} {count})", name(item)),
        TypeDef::Map(key, value) => format!("(map {} {})", name(key), name(value)),
        TypeDef::Record(fields) => {
            let fields = fields.iter().map(|field| format!(" (field \"{}\" {})", field.name, name(&field.ty)));
            format!("(record{})", fields.collect::<String>())
        }
        TypeDef::Tuple(items) => {
            format!("(tuple{})", items.iter().map(|item| format!(" {}", name(item))).collect::<String>())
        }
        TypeDef::Variant(cases) => {
            let payload = |ty: Option<&TypeId>| ty.map(name).unwrap_or_default();
            let cases = cases.iter().map(|case| format!(" (case \"{}\" {})", case.name, payload(case.ty.as_ref())));
            format!("(variant{})", cases.collect::<String>())
        }
        TypeDef::Enum(names) => format!("(enum{})", strings(names)),
        TypeDef::Flags(names) => format!("(flags{})", strings(names)),
        TypeDef::Option(item) => format!("(option {})", name(item)),
        TypeDef::Result { ok, err } => {
            let err = err.as_ref().map(|err| format!("(error {})", name(err))).unwrap_or_default();
            format!("(result {} {err})", ok.as_ref().map(name).unwrap_or_default())
        }
        _ => return None,
    })
}

/// The core types of a value that is passed flat, as the canonical ABI has them.
fn flats(types: &TypeRegistry, ty: TypeId) -> Vec<&'static str> {
    let all = |parts: Vec<TypeId>| parts.into_iter().flat_map(|part| flats(types, part)).collect::<Vec<_>>();
    match types.def(ty) {
        TypeDef::F32 => vec!["f32"],
        TypeDef::F64 => vec!["f64"],
        TypeDef::U64 | TypeDef::S64 => vec!["i64"],
        TypeDef::String | TypeDef::List(_) | TypeDef::Map(..) => vec!["i32", "i32"],
        TypeDef::FixedList(item, count) => {
            let item = flats(types, *item);
            item.iter().copied().cycle().take((item.len() * *count as usize).min(20)).collect()
        }
        def @ (TypeDef::Record(_) | TypeDef::Tuple(_)) => all(def.children()),
        def @ (TypeDef::Variant(_) | TypeDef::Option(_) | TypeDef::Result { .. }) => {
            let mut joined: Vec<&'static str> = Vec::new();
            for case in def.children() {
                for (at, flat) in flats(types, case).into_iter().enumerate() {
                    match joined.get_mut(at) {
                        None => joined.push(flat),
                        Some(known) if *known == flat => {}
                        Some(known) if matches!((*known, flat), ("i32", "f32") | ("f32", "i32")) => *known = "i32",
                        Some(known) => *known = "i64",
                    }
                }
            }
            std::iter::once("i32").chain(joined).collect()
        }
        _ => vec!["i32"],
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn every_kind_of_type_goes_in_and_out_of_a_guest_as_the_engine_has_it() {
    let count = every_kind(&mut RegistryBuilder::new()).len();
    run(async {
        for at in 0..count {
            for encoding in ENCODINGS {
                let mut builder = RegistryBuilder::new();
                let ty = every_kind(&mut builder)[at];
                let subject = Subject::new(builder, ty, encoding);
                let mut noise = Noise::of_seed(at as u64);
                for _ in 0..4 {
                    let val = random_val(&subject.types, ty, &mut noise);
                    subject.agrees_on(&val, &mut noise).await;
                }
            }
        }
    });
}

#[test]
fn random_types_go_in_and_out_of_a_guest_as_the_engine_has_them() {
    let types = std::env::var("ISORUN_ORACLE_TYPES").ok().and_then(|n| n.parse().ok()).unwrap_or(TYPES);
    let (mut pairs, mut taken, mut refused) = (0, 0, 0);
    run(async {
        for seed in 0..types {
            let mut noise = Noise::of_seed(seed);
            let mut builder = RegistryBuilder::new();
            let depth = noise.below(6);
            let ty = random_type(&mut builder, &mut noise, depth);
            let subject = Subject::new(builder, ty, ENCODINGS[seed as usize % 3]);
            for _ in 0..VALUES {
                let val = random_val(&subject.types, ty, &mut noise);
                subject.agrees_on(&val, &mut noise).await;
                let (t, r) = subject.judges_alike(&subject.pack(ty, &val), &mut noise);
                (pairs, taken, refused) = (pairs + 1, taken + t, refused + r);
            }
        }
    });
    assert!(taken > 1_000 && refused > 1_000, "{pairs} pairs, {taken} damaged values taken, {refused} refused");
}
