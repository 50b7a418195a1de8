//! Every plain WIT type, nested three deep, through every place.
//!
//! The app hands each value to its import and back as it came; what the test
//! gets back must be what it gave, wherever the import's code lives.

mod common;

use std::sync::Arc;

use common::{bounded, serve_channel, wat_guest};
use isorun::wasmtime::component::Linker;
use isorun::{
    HostState, InstanceHandle, LocalInstance, Runtime, Serving, SystemComponent, TcpTransport, TcpTransportListener,
    TypeRegistry, Val, wasmtime,
};
use isorun_ledger::{TypeDef, TypeId};

const INTERFACE: &str = "test:types/all@0.1.0";
/// Values for each function in each place.
const ROUNDS: u64 = 12;

/// A small generator of the same numbers for the same seed.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A number with its edges more often than chance would have them.
    fn bits(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << self.below(64),
            _ => self.next(),
        }
    }

    fn length(&mut self) -> usize {
        [0, 1, 2, 3, 7, 20][self.below(6)]
    }

    fn char(&mut self) -> char {
        let edges =
            ['\0', 'a', '\u{7f}', '\u{80}', '\u{7ff}', '\u{800}', '\u{d7ff}', '\u{e000}', '\u{ffff}', '\u{10ffff}'];
        match self.below(3) {
            0 => edges[self.below(edges.len())],
            _ => char::from_u32((self.next() % 0x11_0000) as u32).unwrap_or('x'),
        }
    }
}

fn val(types: &TypeRegistry, ty: TypeId, rng: &mut Rng) -> Val {
    let some = |types: &TypeRegistry, ty: Option<TypeId>, rng: &mut Rng| ty.map(|ty| Box::new(val(types, ty, rng)));
    match types.def(ty) {
        TypeDef::Bool => Val::Bool(rng.below(2) == 1),
        TypeDef::U8 => Val::U8(rng.bits() as u8),
        TypeDef::U16 => Val::U16(rng.bits() as u16),
        TypeDef::U32 => Val::U32(rng.bits() as u32),
        TypeDef::U64 => Val::U64(rng.bits()),
        TypeDef::S8 => Val::S8(rng.bits() as i8),
        TypeDef::S16 => Val::S16(rng.bits() as i16),
        TypeDef::S32 => Val::S32(rng.bits() as i32),
        TypeDef::S64 => Val::S64(rng.bits() as i64),
        // Any NaN arrives as the one NaN.
        TypeDef::F32 => {
            Val::Float32(Some(f32::from_bits(rng.bits() as u32)).filter(|v| !v.is_nan()).unwrap_or(f32::NAN))
        }
        TypeDef::F64 => Val::Float64(Some(f64::from_bits(rng.bits())).filter(|v| !v.is_nan()).unwrap_or(f64::NAN)),
        TypeDef::Char => Val::Char(rng.char()),
        TypeDef::String => Val::String((0..rng.length()).map(|_| rng.char()).collect()),
        TypeDef::List(item) => Val::List((0..rng.length()).map(|_| val(types, *item, rng)).collect()),
        TypeDef::FixedList(item, n) => Val::FixedLengthList((0..*n).map(|_| val(types, *item, rng)).collect()),
        TypeDef::Map(k, v) => {
            let mut pairs: Vec<(Val, Val)> = Vec::new();
            for _ in 0..rng.length() {
                let pair = (val(types, *k, rng), val(types, *v, rng));
                if pairs.iter().all(|(key, _)| *key != pair.0) {
                    pairs.push(pair);
                }
            }
            Val::Map(pairs)
        }
        TypeDef::Record(fields) => {
            Val::Record(fields.iter().map(|field| (field.name.clone(), val(types, field.ty, rng))).collect())
        }
        TypeDef::Tuple(items) => Val::Tuple(items.iter().map(|item| val(types, *item, rng)).collect()),
        TypeDef::Variant(cases) => {
            let case = &cases[rng.below(cases.len())];
            Val::Variant(case.name.clone(), some(types, case.ty, rng))
        }
        TypeDef::Enum(names) => Val::Enum(names[rng.below(names.len())].clone()),
        TypeDef::Option(item) => Val::Option((rng.below(3) > 0).then(|| Box::new(val(types, *item, rng)))),
        TypeDef::Result { ok, err } => Val::Result(match rng.below(2) {
            0 => Ok(some(types, *ok, rng)),
            _ => Err(some(types, *err, rng)),
        }),
        TypeDef::Flags(names) => {
            let set = rng.bits();
            Val::Flags(
                names.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1).map(|(_, name)| name.clone()).collect(),
            )
        }
        other => panic!("{other:?} is not plain"),
    }
}

/// Sends values of every function's type through the app and back.
async fn every_type(app: &InstanceHandle, seed: u64) {
    let functions = app.functions();
    assert!(functions.len() >= 50, "{functions:?}");
    for name in functions {
        let (function, types) = app.function(&name).unwrap();
        for round in 0..ROUNDS {
            let mut rng = Rng(seed ^ round ^ (name.len() as u64) << 32);
            let args: Vec<Val> = function.params.iter().map(|param| val(types, param.ty, &mut rng)).collect();
            let back = bounded(app.exec(&name, &args)).await.unwrap_or_else(|e| panic!("{e}\n{name}{args:?}"));
            let expected = match args.len() {
                0 | 1 => args,
                _ => vec![Val::Tuple(args)],
            };
            assert_eq!(back, expected, "{name}");
        }
    }
    assert_eq!(app.generation(), 1, "a call cost the app its store");
}

async fn provider(runtime: &Runtime, id: &str, serving: Serving) -> InstanceHandle {
    let component = runtime.load(wat_guest("types-provider")).unwrap();
    runtime.builder(&component).serving(serving).register_as(id).instantiate().await.unwrap()
}

#[tokio::test]
async fn every_type_through_a_local_singleton() {
    let runtime = Runtime::new().unwrap();
    let types = provider(&runtime, "types", Serving::SINGLETON).await;
    let app = runtime.load(wat_guest("types-app")).unwrap();
    every_type(&runtime.builder(&app).link_local(INTERFACE, &types).instantiate().await.unwrap(), 1).await;
}

#[tokio::test]
async fn every_type_through_a_store_for_each_call() {
    let runtime = Runtime::new().unwrap();
    provider(&runtime, "types", Serving::PER_CALL).await;
    let app = runtime.load(wat_guest("types-app")).unwrap();
    let to = LocalInstance::from("types");
    every_type(&runtime.builder(&app).link_local(INTERFACE, to).instantiate().await.unwrap(), 2).await;
}

#[tokio::test]
async fn every_type_through_a_channel() {
    let (far, near) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    provider(&far, "types", Serving::SINGLETON).await;
    let (transport, _) = serve_channel(&far);
    let app = near.load(wat_guest("types-app")).unwrap();
    every_type(&near.builder(&app).link_remote(INTERFACE, transport, "types").instantiate().await.unwrap(), 3).await;
}

#[tokio::test]
async fn every_type_through_tcp() {
    let (far, near) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    provider(&far, "types", Serving::SINGLETON).await;
    let listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    let transport = Arc::new(TcpTransport::new(&isorun::Listener::address(&listener)).unwrap());
    tokio::spawn(async move { far.serve(Box::new(listener)).await });
    let app = near.load(wat_guest("types-app")).unwrap();
    every_type(&near.builder(&app).link_remote("*", transport, "types").instantiate().await.unwrap(), 4).await;
}

/// Both other encodings that a guest may give its strings.
#[tokio::test]
async fn every_type_between_guests_of_other_string_encodings() {
    let text = |name: &str| {
        std::fs::read_to_string(format!("{}/../../guests/wat/{name}.wat", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    for (app, provider) in [("utf16", "latin1+utf16"), ("latin1+utf16", "utf16")] {
        let encoded = |name: &str, encoding: &str| {
            let text = text(name);
            assert!(text.contains("string-encoding=utf8"), "{name}");
            wat::parse_str(text.replace("string-encoding=utf8", &format!("string-encoding={encoding}"))).unwrap()
        };
        let runtime = Runtime::new().unwrap();
        let types = runtime.load(encoded("types-provider", provider)).unwrap();
        let types = runtime.builder(&types).name("types").instantiate().await.unwrap();
        let app = runtime.load(encoded("types-app", app)).unwrap();
        every_type(&runtime.builder(&app).link_local(INTERFACE, &types).instantiate().await.unwrap(), 5).await;
    }
}

/// A host component that gives back what it gets.
struct Echo(Vec<String>);

impl SystemComponent for Echo {
    fn interfaces(&self) -> Vec<String> {
        vec![INTERFACE.into()]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let mut instance = linker.instance(INTERFACE)?;
        for name in &self.0 {
            instance.func_new(name, |_, _, params, results| {
                if let [slot] = results {
                    *slot = match params {
                        [one] => one.clone(),
                        several => Val::Tuple(several.to_vec()),
                    };
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn configure(&self, _: &mut HostState) -> wasmtime::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_type_through_the_host() {
    let runtime = Runtime::new().unwrap();
    let app = runtime.load(wat_guest("types-app")).unwrap();
    let names = app.ledger().import(Some(INTERFACE)).unwrap().functions.iter().map(|f| f.name.clone()).collect();
    every_type(&runtime.builder(&app).link_system(INTERFACE, Echo(names)).instantiate().await.unwrap(), 6).await;
}
