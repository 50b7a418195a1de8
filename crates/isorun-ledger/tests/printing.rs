//! Ledgers printed as WIT, and read again by the WIT parser.

mod common;

use std::sync::Arc;

use common::{Store, field, param};
use isorun_ledger::{
    Case, Function, Interface, Ledger, NamedType, RegistryBuilder, TypeDef, TypeId, TypeName, TypeRegistry,
};
use wit_parser::Resolve;

/// Parses what was printed; the names of the world's imports and exports.
fn parse(text: &str) -> (Vec<String>, Vec<String>) {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("printed.wit", text).unwrap_or_else(|e| panic!("{e:#}\n{text}"));
    let world = &resolve.worlds[resolve.select_world(&[package], None).unwrap()];
    let names = |items: &wit_parser::IndexMap<wit_parser::WorldKey, wit_parser::WorldItem>| {
        items.keys().map(|key| resolve.name_world_key(key)).collect()
    };
    (names(&world.imports), names(&world.exports))
}

#[test]
fn a_store_prints_as_the_wit_it_is() {
    let text = Store::default().ledger().to_string();
    let expected = "\
package root:component;

world root {
  import demo:kv/store@0.1.0;
}

package demo:kv@0.1.0 {
  interface store {
    record entry {
      key: string,
      version: u64,
    }
    variant failure {
      denied,
      missing,
    }
    flags rights {
      read,
      write,
    }
    get: func(key: string, limit: u32) -> result<entry, failure>;
    put: func(entry: entry);
    grant: func(rights: rights);
    all: func() -> option<list<entry>>;
  }
}
";
    assert_eq!(text, expected);
    assert_eq!(parse(&text), (vec!["demo:kv/store@0.1.0".to_owned()], Vec::new()));
}

/// Builds ledgers by hand.
struct World {
    builder: RegistryBuilder,
}

impl World {
    fn ty(&mut self, def: TypeDef) -> TypeId {
        self.builder.intern(def, None).unwrap()
    }

    fn named(&mut self, interface: Option<&str>, name: &str, def: TypeDef) -> TypeId {
        let name = TypeName { interface: interface.map(str::to_owned), name: name.to_owned() };
        self.builder.intern(def, Some(name)).unwrap()
    }
}

fn world() -> World {
    World { builder: RegistryBuilder::new() }
}

fn interface(name: Option<&str>, functions: Vec<Function>, types: &[(&str, TypeId)]) -> Interface {
    let mut interface = Interface::new(name.map(str::to_owned));
    interface.functions = functions;
    interface.types = types.iter().map(|(name, ty)| NamedType { name: (*name).to_owned(), ty: *ty }).collect();
    interface
}

fn function(types: &TypeRegistry, name: &str, params: &[(&str, TypeId)], result: Option<TypeId>) -> Function {
    let params = params.iter().map(|(name, ty)| param(name, *ty)).collect();
    Function::new(types, name, params, result, false).unwrap()
}

const TYPES: &str = "demo:geo/types@1.2.0";

#[test]
fn every_type_prints_and_parses_again() {
    let mut w = world();
    let scalars = [
        TypeDef::Bool,
        TypeDef::U8,
        TypeDef::U16,
        TypeDef::U32,
        TypeDef::U64,
        TypeDef::S8,
        TypeDef::S16,
        TypeDef::S32,
        TypeDef::S64,
        TypeDef::F32,
        TypeDef::F64,
        TypeDef::Char,
        TypeDef::String,
        TypeDef::ErrorContext,
    ];
    let mut all: Vec<TypeId> = scalars.into_iter().map(|def| w.ty(def)).collect();
    let text = all[12];
    let point = w.named(Some(TYPES), "point", TypeDef::Record(vec![field("x", all[9]), field("type", all[10])]));
    let size = w.named(Some(TYPES), "size", TypeDef::U32);
    let names = || vec!["list".to_owned(), "red".to_owned()];
    let case = |name: &str, ty| Case { name: name.to_owned(), ty };
    let place = w.named(Some(TYPES), "place", TypeDef::Variant(vec![case("none", None), case("at", Some(point))]));
    let colour = w.named(Some(TYPES), "colour", TypeDef::Enum(names()));
    let rights = w.named(Some(TYPES), "rights", TypeDef::Flags(names()));
    let points = w.named(Some(TYPES), "points", TypeDef::List(point));
    for def in [
        TypeDef::List(point),
        TypeDef::FixedList(text, 3),
        TypeDef::Map(text, place),
        TypeDef::Tuple(vec![colour, rights, size]),
        TypeDef::Option(points),
        TypeDef::Result { ok: None, err: None },
        TypeDef::Result { ok: Some(text), err: None },
        TypeDef::Result { ok: None, err: Some(text) },
        TypeDef::Result { ok: Some(text), err: Some(point) },
        TypeDef::Stream(Some(text)),
        TypeDef::Stream(None),
        TypeDef::Future(Some(point)),
        TypeDef::Future(None),
    ] {
        all.push(w.ty(def));
    }
    let types = Arc::new(w.builder.finish());
    let functions = all.iter().enumerate().map(|(n, ty)| function(&types, &format!("f{n}"), &[("a", *ty)], Some(*ty)));
    let here = interface(Some(TYPES), functions.collect(), &[("point", point), ("dot", point), ("text", text)]);
    let user = function(&types, "use", &[("point", point), ("place", place)], None);
    let user = interface(Some("demo:geo/user@1.2.0"), vec![user], &[("point", point), ("spot", place)]);
    let root = interface(None, vec![function(&types, "draw", &[("points", points)], None)], &[]);
    let ledger = Ledger::new(types, vec![here], vec![user, root]).unwrap();
    let text = ledger.to_string();
    for line in [
        "type size = u32;",
        "type points = list<point>;",
        "type dot = point;",
        "type text = string;",
        "%type: f64,",
        "use types.{point};",
        "use demo:geo/types@1.2.0.{points};",
        "use types.{place as spot};",
        "%use: func(point: point, place: spot);",
        "export draw: func(points: points);",
        "list<string, 3>",
        "map<string, place>",
        "result<_, string>",
    ] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
    let (imports, exports) = parse(&text);
    assert_eq!(imports, ["demo:geo/types@1.2.0", "points"], "a world's `use` counts as an import");
    assert_eq!(exports, ["draw", "demo:geo/user@1.2.0"]);
}

#[test]
fn resources_print_with_their_functions_inside() {
    const STORE: &str = "demo:kv/store@0.1.0";
    let mut w = world();
    let own = w.named(Some(STORE), "cursor", TypeDef::Own("cursor".to_owned()));
    let borrow = w.named(Some(STORE), "cursor", TypeDef::Borrow("cursor".to_owned()));
    let text = w.ty(TypeDef::String);
    let list = w.ty(TypeDef::List(own));
    let types = Arc::new(w.builder.finish());
    let functions = vec![
        function(&types, "[constructor]cursor", &[("start", text)], Some(own)),
        function(&types, "[method]cursor.next", &[("self", borrow)], Some(text)),
        function(&types, "[static]cursor.all", &[], Some(list)),
        function(&types, "scan", &[("old", borrow)], Some(own)),
    ];
    let mut store = interface(Some(STORE), functions, &[]);
    store.resources = vec!["cursor".to_owned(), "opaque".to_owned()];
    let take = function(&types, "take", &[("cursor", own)], None);
    let user = interface(Some("demo:kv/user@0.1.0"), vec![take], &[]);
    let text = Ledger::new(types, vec![store, user], Vec::new()).unwrap().to_string();
    let expected = "    resource cursor {
      constructor(start: string);
      next: func() -> string;
      all: static func() -> list<own<cursor>>;
    }
    resource opaque;
    scan: func(old: borrow<cursor>) -> own<cursor>;
";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("use store.{cursor};"), "{text}");
    parse(&text);
}

#[test]
fn an_interface_on_both_sides_prints_once_and_says_who_has_what() {
    const STORE: &str = "demo:kv/store@0.1.0";
    let mut w = world();
    let (small, large) = (w.ty(TypeDef::U32), w.ty(TypeDef::U64));
    let types = Arc::new(w.builder.finish());
    let both = || function(&types, "both", &[("a", small)], None);
    let here = vec![both(), function(&types, "differs", &[], Some(small)), function(&types, "here", &[], None)];
    let there = vec![both(), function(&types, "differs", &[], Some(large)), function(&types, "there", &[], None)];
    let (import, export) = (interface(Some(STORE), here, &[]), interface(Some(STORE), there, &[]));
    let text = Ledger::new(types.clone(), vec![import], vec![export]).unwrap().to_string();
    let expected = "  interface store {
    both: func(a: u32);
    differs: func() -> u32; // only imported
    here: func(); // only imported
    // only exported: differs: func() -> u64;
    there: func(); // only exported
  }
";
    assert!(text.contains(expected), "{text}");
    let (imports, exports) = parse(&text);
    assert_eq!(imports, exports);
}

#[test]
fn plain_interfaces_and_root_types_print_in_the_world() {
    let mut w = world();
    let number = w.ty(TypeDef::S64);
    let point = w.named(None, "point", TypeDef::Record(vec![field("x", number)]));
    let inner = w.named(Some("clock"), "moment", TypeDef::Record(vec![field("s", number)]));
    let types = Arc::new(w.builder.finish());
    let tick = function(&types, "tick", &[], Some(inner));
    let clock = interface(Some("clock"), vec![tick], &[("moment", inner)]);
    let root = interface(None, vec![function(&types, "move", &[("to", point)], None)], &[("point", point)]);
    let text = Ledger::new(types, vec![clock, root], Vec::new()).unwrap().to_string();
    let expected = "\
package root:component;

world root {
  record point {
    x: s64,
  }
  import clock: interface {
    record moment {
      s: s64,
    }
    tick: func() -> moment;
  }
  import move: func(to: point);
}
";
    assert_eq!(text, expected);
    parse(&text);
}

#[test]
fn a_type_without_a_name_is_spelled_out() {
    let mut w = world();
    let number = w.ty(TypeDef::U32);
    let record = w.ty(TypeDef::Record(vec![field("a", number), field("b", number)]));
    let list = w.ty(TypeDef::List(record));
    let types = w.builder.finish();
    assert_eq!(types.wit(list).to_string(), "list<record { a: u32, b: u32 }>");
}

#[test]
fn a_ledger_that_would_print_for_ever_is_cut_short() {
    let mut w = world();
    let mut ty = w.ty(TypeDef::U32);
    for _ in 0..60 {
        ty = w.ty(TypeDef::Tuple(vec![ty, ty]));
    }
    let types = Arc::new(w.builder.finish());
    let functions = (0..3_000).map(|n| function(&types, &format!("f{n}"), &[("a", ty), ("b", ty)], Some(ty)));
    let ledger = Ledger::new(types.clone(), vec![interface(Some(TYPES), functions.collect(), &[])], Vec::new());
    let text = ledger.unwrap().to_string();
    assert!(text.len() < 20 << 20, "{} bytes", text.len());
    assert!(text.ends_with("// and more\n"));
}
