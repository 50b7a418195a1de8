//! What `introspect` reads from components, and that the engine agrees.

use isorun_ledger::{INTERFACES_MAX, Interface, Ledger, LedgerError, TypeDef};
use isorun_runtime::introspect::{CheckError, IntrospectError, check, introspect, introspect_types};
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

/// Every plain type, nested, in an interface, in an import and an export, beside functions at the root.
const PLAIN: &str = r#"(component
    (type $point' (record (field "x" f32) (field "y" f64)))
    (import "demo:geo/types@1.2.0" (instance $types
        (type $p (record (field "x" f32) (field "y" f64)))
        (export "point" (type $point (eq $p)))
        (type $c (enum "red" "green"))
        (export "colour" (type (eq $c)))))
    (alias export $types "point" (type $point))
    (alias export $types "colour" (type $colour))
    (import "demo:kv/store@0.1.0" (instance
        (alias outer 1 $point (type $outer-point))
        (export "point" (type $point (eq $outer-point)))
        (type $f (flags "read" "write"))
        (export "rights" (type $rights (eq $f)))
        (type $v (variant (case "none") (case "at" $point) (case "many" (list $point))))
        (export "place" (type $place (eq $v)))
        (type $r (record (field "key" string) (field "place" $place) (field "rights" $rights)
            (field "pairs" (list (tuple u8 s8 u16 s16))) (field "fixed" (list u32 4)) (field "map" (map string u64))))
        (export "entry" (type $entry (eq $r)))
        (type $alias (list $entry))
        (export "entries" (type $entries (eq $alias)))
        (export "get" (func (param "key" string) (result (result (option $entry) (error string)))))
        (export "all" (func (result $entries)))
        (export "put" (func (param "entry" $entry) (param "c" char) (param "deep" (option (option (list bool))))))))
    (import "log" (func $log (param "line" string) (param "colour" $colour)))
    (import "plain" (instance (export "tick" (func (result s64)))))
    (core module $m
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16))
        (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (func (export "nothing") (param f32 f64)))
    (core instance $i (instantiate $m))
    (func $add (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "add")))
    (export "add" (func $add))
    (func $use (param "point" $point) (canon lift (core func $i "nothing")))
    (instance $out (export "point" (type $point)) (export "use-it" (func $use)))
    (export "demo:geo/sink@1.2.0" (instance $out))
)"#;

#[test]
fn every_import_and_export_is_there_with_its_functions() {
    let ledger = read(PLAIN);
    let names: Vec<_> = ledger.imports.iter().map(|interface| interface.name.as_deref()).collect();
    assert_eq!(names, [Some("demo:geo/types@1.2.0"), Some("demo:kv/store@0.1.0"), Some("plain"), None]);
    let names: Vec<_> = ledger.exports.iter().map(|interface| interface.name.as_deref()).collect();
    assert_eq!(names, [Some("demo:geo/sink@1.2.0"), None]);
    assert_eq!(functions(import(&ledger, "demo:kv/store@0.1.0")), ["get", "all", "put"]);
    assert_eq!(functions(import(&ledger, "plain")), ["tick"]);
    assert_eq!(functions(ledger.import(None).unwrap()), ["log"]);
    assert_eq!(functions(ledger.export(None).unwrap()), ["add"]);
}

#[test]
fn an_interface_of_types_alone_has_no_functions() {
    let ledger = read(PLAIN);
    let types = import(&ledger, "demo:geo/types@1.2.0");
    assert_eq!(functions(types), [""; 0]);
    let named: Vec<_> = types.types.iter().map(|named| named.name.as_str()).collect();
    assert_eq!(named, ["point", "colour"]);
}

#[test]
fn types_are_read_at_any_depth_with_their_names() {
    let ledger = read(PLAIN);
    let store = import(&ledger, "demo:kv/store@0.1.0");
    let wit = |name: &str| ledger.types.wit(store.types.iter().find(|n| n.name == name).unwrap().ty).to_string();
    assert_eq!(wit("entry"), "entry");
    let get = store.function("get").unwrap();
    assert_eq!(ledger.types.wit(get.result.unwrap()).to_string(), "result<option<entry>, string>");
    let put = store.function("put").unwrap();
    let params: Vec<_> = put.params.iter().map(|p| (p.name.as_str(), ledger.types.wit(p.ty).to_string())).collect();
    let expected = [("entry", "entry"), ("c", "char"), ("deep", "option<option<list<bool>>>")];
    assert_eq!(params, expected.map(|(name, wit)| (name, wit.to_owned())));
    let TypeDef::Record(fields) = ledger.types.def(put.params[0].ty) else { panic!("entry is a record") };
    let fields: Vec<_> = fields.iter().map(|f| (f.name.as_str(), ledger.types.wit(f.ty).to_string())).collect();
    let expected = [
        ("key", "string"),
        ("place", "place"),
        ("rights", "rights"),
        ("pairs", "list<tuple<u8, s8, u16, s16>>"),
        ("fixed", "list<u32, 4>"),
        ("map", "map<string, u64>"),
    ];
    assert_eq!(fields, expected.map(|(name, wit)| (name, wit.to_owned())));
}

#[test]
fn a_type_that_is_used_elsewhere_keeps_the_name_of_where_it_was_declared() {
    let ledger = read(PLAIN);
    let point = |interface: &Interface| interface.types.iter().find(|named| named.name == "point").unwrap().ty;
    let declared = point(import(&ledger, "demo:geo/types@1.2.0"));
    assert_eq!(point(import(&ledger, "demo:kv/store@0.1.0")), declared);
    assert_eq!(point(ledger.export(Some("demo:geo/sink@1.2.0")).unwrap()), declared);
    assert_eq!(ledger.types.name(declared).unwrap().to_string(), "demo:geo/types@1.2.0.point");
}

#[test]
fn resources_show_with_their_functions() {
    let ledger = read(RESOURCES);
    let store = import(&ledger, "demo:kv/store@0.1.0");
    assert_eq!(store.resources, ["cursor"]);
    assert_eq!(functions(store), ["[constructor]cursor", "[method]cursor.next", "[static]cursor.count", "scan"]);
    let obstacles: Vec<_> = store.obstacles(&ledger.types).iter().map(ToString::to_string).collect();
    assert_eq!(
        obstacles,
        [
            "[constructor]cursor(): own<cursor> is a handle, and handles are not carried by links yet",
            "[method]cursor.next.self: borrow<cursor> is a handle, and handles are not carried by links yet",
            "scan()[]: own<cursor> is a handle, and handles are not carried by links yet",
        ]
    );
    let user = import(&ledger, "demo:kv/user@0.1.0");
    assert!(user.resources.is_empty(), "a used resource belongs to the interface that declares it");
    let handle = user.function("take").unwrap().params[0].ty;
    assert_eq!(ledger.types.name(handle).unwrap().to_string(), "demo:kv/store@0.1.0.cursor");
}

const RESOURCES: &str = r#"(component
    (import "demo:kv/store@0.1.0" (instance $store
        (export "cursor" (type $cursor (sub resource)))
        (export "[constructor]cursor" (func (param "from" string) (result (own $cursor))))
        (export "[method]cursor.next" (func (param "self" (borrow $cursor)) (result (option string))))
        (export "[static]cursor.count" (func (result u32)))
        (export "scan" (func (result (list (own $cursor)))))))
    (alias export $store "cursor" (type $cursor))
    (import "demo:kv/user@0.1.0" (instance
        (alias outer 1 $cursor (type $outer))
        (export "cursor" (type $cursor (eq $outer)))
        (export "take" (func (param "cursor" (own $cursor)))))))"#;

/// What the engine is not asked to compile.
const ASYNC: &str = r#"(component
    (import "demo:kv/feed@0.1.0" (instance
        (export "slow" (func async (result u32)))
        (export "watch" (func (result (stream u8))))
        (export "later" (func (result (future string)))))))"#;

#[test]
fn streams_and_futures_are_obstacles_and_async_functions_are_none() {
    let ledger = read(ASYNC);
    assert!(ledger.has_async());
    let obstacles = import(&ledger, "demo:kv/feed@0.1.0").obstacles(&ledger.types);
    let lines: Vec<_> = obstacles.iter().map(ToString::to_string).collect();
    let expected = ["watch(): streams are not carried by links yet", "later(): futures are not carried by links yet"];
    assert_eq!(lines, expected);
}

/// Imports an interface and exports it again, with another set of functions.
const MIDDLEWARE: &str = r#"(component
    (import "demo:kv/store@0.1.0" (instance $store (export "get" (func (param "key" u32) (result u32)))))
    (alias export $store "get" (func $get))
    (core module $m (func (export "count") (result i64) (i64.const 0)))
    (core instance $i (instantiate $m))
    (func $count (result u64) (canon lift (core func $i "count")))
    (instance $out (export "count" (func $count)))
    (export "demo:kv/store@0.1.0" (instance $out)))"#;

#[test]
fn an_interface_both_imported_and_exported_shows_what_each_side_has() {
    let ledger = read(MIDDLEWARE);
    assert_eq!(functions(import(&ledger, "demo:kv/store@0.1.0")), ["get"]);
    assert_eq!(functions(ledger.export(Some("demo:kv/store@0.1.0")).unwrap()), ["count"]);
}

#[test]
fn a_component_that_only_computes_has_an_empty_ledger() {
    let ledger = read("(component)");
    assert!(ledger.imports.is_empty() && ledger.exports.is_empty());
}

#[test]
fn the_engine_agrees_with_every_ledger() {
    for wat in [PLAIN, RESOURCES, MIDDLEWARE, "(component)"] {
        let component = compile(wat);
        check(&read(wat), &component).unwrap();
    }
}

#[test]
fn a_ledger_of_another_component_is_noticed() {
    let of = |result: &str| {
        format!(r#"(component (import "demo:kv/store@0.1.0" (instance (export "get" (func (result {result}))))))"#)
    };
    let component = compile(&of("u32"));
    let name = || "demo:kv/store@0.1.0#get".to_owned();
    assert_eq!(check(&read(&of("u64")), &component), Err(CheckError::Differs { name: name() }));
    assert_eq!(check(&read("(component)"), &component), Err(CheckError::NotInLedger { name: name() }));
    let nothing = compile("(component)");
    assert_eq!(check(&read(&of("u32")), &nothing), Err(CheckError::NotInComponent { name: name() }));
}

#[test]
fn the_engines_types_give_a_ledger_with_the_same_hashes() {
    for wat in [PLAIN, RESOURCES, MIDDLEWARE, "(component)"] {
        let (read, types) = (read(wat), introspect_types(&compile(wat)).unwrap());
        for (ours, theirs) in [(&read.imports, &types.imports), (&read.exports, &types.exports)] {
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert_eq!((&ours.name, &ours.resources), (&theirs.name, &theirs.resources));
                let hashes = |interface: &Interface| -> Vec<(String, [u8; 32])> {
                    interface.functions.iter().map(|f| (f.name.clone(), f.hash)).collect()
                };
                assert_eq!(hashes(ours), hashes(theirs));
            }
        }
    }
    let types = introspect_types(&compile(PLAIN)).unwrap();
    let get = import(&types, "demo:kv/store@0.1.0").function("get").unwrap();
    assert_eq!(types.types.wit(get.result.unwrap()).to_string(), "result<option<entry>, string>");
}

#[test]
fn what_cannot_be_linked_is_named() {
    let module = r#"(component (import "code" (core module)))"#;
    let expected = IntrospectError::Unsupported { name: "code".to_owned(), what: "core module" };
    assert_eq!(introspect(&bytes(module)), Err(expected));
    let nested = r#"(component (import "a:b/c" (instance (export "inner" (instance)))))"#;
    let expected = IntrospectError::Unsupported { name: "a:b/c.inner".to_owned(), what: "nested interface" };
    assert_eq!(introspect(&bytes(nested)), Err(expected));
    let package = r#"(component (type $t (component)) (export "things" (type $t)))"#;
    let expected = IntrospectError::WitPackage { name: "things".to_owned() };
    assert_eq!(introspect(&bytes(package)), Err(expected));
    assert_eq!(introspect(&bytes("(module)")), Err(IntrospectError::CoreModule));
}

#[test]
fn any_garbage_is_an_error_and_never_a_panic() {
    let component = bytes(PLAIN);
    // Between two sections a cut leaves a component, only with less in it.
    let whole = (0..component.len()).filter(|end| introspect(&component[..*end]).is_ok()).count();
    assert!(whole < 40, "{whole} cuts were taken");
    assert!(introspect(&component[..component.len() - 1]).is_err());
    for at in 0..component.len() {
        for bit in [0x01, 0x10, 0x80, 0xff] {
            let mut changed = component.clone();
            changed[at] ^= bit;
            let _ = introspect(&changed);
        }
    }
    for garbage in [&b""[..], b"\0asm", b"hello, world", &[0xff; 64]] {
        assert!(matches!(introspect(garbage), Err(IntrospectError::Invalid { .. })));
    }
}

#[test]
fn a_ledger_of_doubling_tuples_is_read_at_once() {
    // The validator counts shared types as often as they are used, and stops at a million.
    let doubled = |times: usize| {
        let types: String = (1..=times).map(|n| format!("(type $t{n} (tuple $t{0} $t{0}))", n - 1)).collect();
        format!(
            r#"(component (import "a:b/c" (instance (type $t0 (tuple u8 u8)) {types} (export "f" (func (param "x" $t{times}))))))"#
        )
    };
    let ledger = read(&doubled(15));
    assert_eq!(ledger.types.len(), 17);
    assert!(matches!(introspect(&bytes(&doubled(60))), Err(IntrospectError::Invalid { .. })));
}

#[test]
fn a_component_with_more_than_a_ledger_takes_is_refused() {
    let functions = |count: usize| -> String { (0..count).map(|n| format!("(export \"f{n}\" (func))")).collect() };
    let refused = |wat: &str| match introspect(&bytes(wat)) {
        Err(IntrospectError::Ledger(LedgerError::TooMany { what, .. })) => Some(what),
        Err(error) => panic!("{error}"),
        Ok(_) => None,
    };
    let interface = |count| format!(r#"(component (import "a:b/c" (instance {})))"#, functions(count));
    assert_eq!(refused(&interface(10_000)), None);
    assert_eq!(refused(&interface(10_001)), Some("functions"));
    assert_eq!(refused(&interface(30_000)), Some("declarations"));
    let many = |count: usize| -> String {
        let imports: String = (0..count).map(|n| format!("(import \"a:b/i{n}\" (instance))")).collect();
        format!("(component {imports})")
    };
    // The validator takes as many interfaces as a ledger does, and no more.
    assert_eq!(refused(&many(INTERFACES_MAX)), None);
    assert!(matches!(introspect(&bytes(&many(INTERFACES_MAX + 1))), Err(IntrospectError::Invalid { .. })));
}

fn bytes(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap()
}

fn read(wat: &str) -> Ledger {
    introspect(&bytes(wat)).unwrap()
}

fn compile(wat: &str) -> Component {
    let mut config = Config::new();
    config.wasm_component_model_map(true).wasm_component_model_fixed_length_lists(true);
    Component::new(&Engine::new(&config).unwrap(), bytes(wat)).unwrap()
}

fn import<'a>(ledger: &'a Ledger, name: &str) -> &'a Interface {
    ledger.import(Some(name)).unwrap()
}

fn functions(interface: &Interface) -> Vec<&str> {
    interface.functions.iter().map(|function| function.name.as_str()).collect()
}
