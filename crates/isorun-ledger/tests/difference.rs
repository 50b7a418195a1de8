//! What two sides that don't fit are told.

mod common;

use std::sync::Arc;

use common::{Store, field, param};
use isorun_ledger::{
    DIFFERENCE_LINES_MAX, Difference, Function, Interface, InterfaceName, Ledger, NameError, RegistryBuilder, Side,
    TypeDef, TypeId, compatible, names_match, nearest,
};

fn compare(here: &Ledger, there: &Ledger) -> Result<(), Difference> {
    let side = |ledger| {
        let ledger: &Ledger = ledger;
        Side { types: &ledger.types, interface: &ledger.imports[0] }
    };
    compatible(side(here), side(there))
}

/// What a consumer of the store is told by a provider that differs in one thing.
fn check(change: impl FnOnce(&mut Store), expected: &str) {
    let mut store = Store::default();
    change(&mut store);
    let difference = compare(&Store::default().ledger(), &store.ledger()).unwrap_err();
    assert_eq!(difference.to_string(), expected);
    assert!(!difference.truncated);
}

#[test]
fn equal_sides_fit_and_so_do_other_versions_and_more_functions() {
    let consumer = Store { functions: vec!["get", "put"], ..Store::default() }.ledger();
    let provider = Store { name: "demo:kv/store@0.1.9", ..Store::default() }.ledger();
    assert_eq!(compare(&consumer, &consumer), Ok(()));
    assert_eq!(compare(&consumer, &provider), Ok(()));
}

#[test]
fn each_kind_of_mismatch_is_named_with_its_path() {
    check(|s| s.entry[1].1 = TypeDef::U32, "store.entry.version: u64 here, u32 there");
    check(|s| s.entry[1].0 = "revision", "store.entry.version: named version here, named revision there");
    check(|s| s.entry.truncate(1), "store.entry.version: u64 here, missing there");
    check(|s| s.entry.push(("size", TypeDef::U32)), "store.entry.size: missing here, u32 there");
    check(|s| s.entry.reverse(), "store.entry: order key, version here, order version, key there");
    check(|s| s.failures.push("other"), "store.failure.other: missing here, present there");
    check(|s| s.failures.truncate(1), "store.failure.missing: present here, missing there");
    check(|s| s.failures[1] = "absent", "store.failure.missing: named missing here, named absent there");
    check(|s| s.failures.reverse(), "store.failure: order denied, missing here, order missing, denied there");
    check(|s| s.rights.push("grant"), "store.rights.grant: missing here, present there");
    check(|s| s.get[1].1 = TypeDef::U64, "store.get.limit: u32 here, u64 there");
    check(|s| s.get[1].0 = "most", "store.get.limit: named limit here, named most there");
    check(|s| s.get.truncate(1), "store.get.limit: u32 here, missing there");
    check(|s| s.get.push(("from", TypeDef::String)), "store.get.from: missing here, string there");
    check(|s| s.get.reverse(), "store.get: order key, limit here, order limit, key there");
    check(|s| s.get_result = false, "store.get(): result<entry, failure> here, nothing there");
    let missing = "store.put: func(entry: entry) here, missing there";
    check(|s| s.functions = vec!["get", "grant", "all"], missing);
}

#[test]
fn every_mismatch_is_listed_and_one_in_a_shared_type_once() {
    let store = Store {
        entry: vec![("key", TypeDef::Char), ("revision", TypeDef::U64), ("size", TypeDef::U32)],
        failures: vec!["missing"],
        is_async: true,
        functions: vec!["get", "put", "all"],
        ..Store::default()
    };
    let difference = compare(&Store::default().ledger(), &store.ledger()).unwrap_err();
    let expected = "\
store.get: func here, async func there
store.entry.version: named version here, named revision there
store.entry.size: missing here, u32 there
store.entry.key: string here, char there
store.failure.denied: present here, missing there
store.put: func here, async func there
store.grant: func(rights: rights) here, missing there
store.all: func here, async func there";
    assert_eq!(difference.to_string(), expected);
}

/// Two ledgers with one function of one parameter, of the types that a closure makes.
fn pair(make: impl Fn(&mut RegistryBuilder, bool) -> TypeId) -> (Ledger, Ledger) {
    let build = |second| {
        let mut builder = RegistryBuilder::new();
        let ty = make(&mut builder, second);
        let types = Arc::new(builder.finish());
        let mut interface = Interface::new(None);
        interface.functions.push(Function::new(&types, "f", vec![param("x", ty)], None, false).unwrap());
        Ledger::new(types, vec![interface], Vec::new()).unwrap()
    };
    (build(false), build(true))
}

fn told(make: impl Fn(&mut RegistryBuilder, bool) -> TypeId) -> String {
    let (here, there) = pair(make);
    compare(&here, &there).unwrap_err().to_string()
}

#[test]
fn mismatches_inside_types_without_a_name_have_their_whole_path() {
    let leaf = |b: &mut RegistryBuilder, second: bool| {
        b.intern(if second { TypeDef::S64 } else { TypeDef::U64 }, None).unwrap()
    };
    let in_a = |wrap: fn(&mut RegistryBuilder, TypeId) -> TypeDef| {
        told(move |b, second| {
            let item = leaf(b, second);
            let def = wrap(b, item);
            b.intern(def, None).unwrap()
        })
    };
    assert_eq!(in_a(|_, item| TypeDef::List(item)), "f.x[]: u64 here, s64 there");
    assert_eq!(in_a(|_, item| TypeDef::FixedList(item, 3)), "f.x[]: u64 here, s64 there");
    assert_eq!(in_a(|_, item| TypeDef::Option(item)), "f.x.some: u64 here, s64 there");
    assert_eq!(in_a(|_, item| TypeDef::Tuple(vec![item])), "f.x.0: u64 here, s64 there");
    assert_eq!(in_a(|_, item| TypeDef::Result { ok: Some(item), err: None }), "f.x.ok: u64 here, s64 there");
    assert_eq!(in_a(|_, item| TypeDef::Result { ok: None, err: Some(item) }), "f.x.err: u64 here, s64 there");
    assert_eq!(in_a(|_, item| TypeDef::Stream(Some(item))), "f.x[]: u64 here, s64 there");
    let map = |b: &mut RegistryBuilder, item| TypeDef::Map(b.intern(TypeDef::String, None).unwrap(), item);
    assert_eq!(in_a(map), "f.x[value]: u64 here, s64 there");
    let deep = |b: &mut RegistryBuilder, item| {
        let tuple = b.intern(TypeDef::Tuple(vec![item, item]), None).unwrap();
        let record = b.intern(TypeDef::Record(vec![field("at", tuple)]), None).unwrap();
        TypeDef::List(record)
    };
    assert_eq!(in_a(deep), "f.x[].at.0: u64 here, s64 there");
}

#[test]
fn other_kinds_lengths_and_payloads_are_shown() {
    let either = |here: fn(TypeId) -> TypeDef, there: fn(TypeId) -> TypeDef| {
        told(move |b, second| {
            let item = b.intern(TypeDef::U32, None).unwrap();
            b.intern(if second { there(item) } else { here(item) }, None).unwrap()
        })
    };
    assert_eq!(either(TypeDef::List, TypeDef::Option), "f.x: list<u32> here, option<u32> there");
    let fixed = either(|item| TypeDef::FixedList(item, 3), |item| TypeDef::FixedList(item, 4));
    assert_eq!(fixed, "f.x: list<u32, 3> here, list<u32, 4> there");
    let tuples = either(|item| TypeDef::Tuple(vec![item]), |item| TypeDef::Tuple(vec![item; 2]));
    assert_eq!(tuples, "f.x.1: missing here, u32 there");
    let ok = |ok| TypeDef::Result { ok, err: None };
    let results = told(move |b, second| {
        let item = b.intern(TypeDef::U32, None).unwrap();
        b.intern(ok((!second).then_some(item)), None).unwrap()
    });
    assert_eq!(results, "f.x.ok: u32 here, nothing there");
}

#[test]
fn a_difference_has_a_bounded_number_of_lines() {
    let fields = |count: usize| {
        move |b: &mut RegistryBuilder, second: bool| {
            let ty = b.intern(if second { TypeDef::S64 } else { TypeDef::U64 }, None).unwrap();
            let fields = (0..count).map(|n| {
                let inner = vec![field(&format!("a{n}"), ty)];
                field(&format!("f{n}"), b.intern(TypeDef::Record(inner), None).unwrap())
            });
            let fields = fields.collect();
            b.intern(TypeDef::Record(fields), None).unwrap()
        }
    };
    // All fields come down to one pair of types, which is told once.
    let (here, there) = pair(fields(DIFFERENCE_LINES_MAX + 50));
    assert_eq!(compare(&here, &there).unwrap_err().lines.len(), 1);

    let names = |count: usize| {
        move |b: &mut RegistryBuilder, second: bool| {
            let side = if second { "there" } else { "here" };
            let names = (0..count).map(|n| format!("{side}-{n}")).collect();
            b.intern(TypeDef::Enum(names), None).unwrap()
        }
    };
    let (here, there) = pair(names(DIFFERENCE_LINES_MAX));
    let difference = compare(&here, &there).unwrap_err();
    assert_eq!((difference.lines.len(), difference.truncated), (DIFFERENCE_LINES_MAX, false));
    let (here, there) = pair(names(DIFFERENCE_LINES_MAX + 1));
    let difference = compare(&here, &there).unwrap_err();
    assert_eq!((difference.lines.len(), difference.truncated), (DIFFERENCE_LINES_MAX, true));
    assert!(difference.to_string().ends_with("\nand more"));
}

#[test]
fn the_deepest_registries_are_compared_without_recursion() {
    let (here, there) = pair(|b, second| {
        let mut ty = b.intern(if second { TypeDef::S64 } else { TypeDef::U64 }, None).unwrap();
        for _ in 0..isorun_ledger::TYPES_MAX - 1 {
            ty = b.intern(TypeDef::Option(ty), None).unwrap();
        }
        ty
    });
    let difference = compare(&here, &there).unwrap_err();
    assert_eq!(difference.lines.len(), 1);
    assert!(difference.lines[0].path.len() < 2_000);
}

#[test]
fn names_match_as_the_linker_matches_them() {
    let cases = [
        ("a:b/c@0.1.0", "a:b/c@0.1.9", true),
        ("a:b/c@0.1.9", "a:b/c@0.1.0", true),
        ("a:b/c@1.0.0", "a:b/c@1.9.0", true),
        ("a:b/c@1.0.0", "a:b/c@1.2.3+build", true),
        ("a:b/c@1.0.0", "a:b/c@2.0.0", false),
        ("a:b/c@0.1.0", "a:b/c@0.2.0", false),
        ("a:b/c@0.0.1", "a:b/c@0.0.2", false),
        ("a:b/c@0.0.1", "a:b/c@0.0.1", true),
        ("a:b/c@1.0.0-rc.1", "a:b/c@1.0.0", false),
        ("a:b/c@1.0.0-rc.1", "a:b/c@1.0.0-rc.1", true),
        ("a:b/c", "a:b/c@1.0.0", false),
        ("a:b/c", "a:b/c", true),
        ("a:b/c@1.0.0", "a:b/d@1.0.0", false),
        ("plain", "plain", true),
        ("plain", "other", false),
        ("a:b/c@nonsense", "a:b/c@other", false),
    ];
    for (wanted, offered, expected) in cases {
        assert_eq!(names_match(wanted, offered), expected, "{wanted} and {offered}");
    }
}

#[test]
fn interface_names_are_parsed_and_refused_by_part() {
    for name in ["demo:kv/store", "demo:kv/store@1.2.3", "wasi:io/streams@0.2.6", "a:b2/c-d@1.0.0-rc.1+x"] {
        assert_eq!(InterfaceName::parse(name).unwrap().to_string(), name);
    }
    for name in ["store", "kv/store", "demo:kv", "@1.0.0", ""] {
        assert_eq!(InterfaceName::parse(name), Err(NameError::Form { name: name.to_owned() }));
    }
    for (name, part) in [("demo:kv/", ""), ("de mo:kv/store", "de mo"), ("demo:kv/a--b", "a--b"), ("a:b/1c", "1c")] {
        let refused = NameError::Part { name: name.to_owned(), part: part.to_owned() };
        assert_eq!(InterfaceName::parse(name), Err(refused));
    }
    let refused = InterfaceName::parse("a:b/c@1.0").unwrap_err().to_string();
    assert_eq!(refused, "`1.0` in `a:b/c@1.0` is no version: one looks like 1.2.3");
}

#[test]
fn a_near_name_is_found_and_a_far_one_is_not() {
    let offered = ["demo:kv/store@0.1.0", "demo:kv/stage@0.1.0", "wasi:cli/run@0.2.6"];
    let near = |wanted: &str| nearest(wanted, offered.into_iter());
    assert_eq!(near("demo:kv/stor@0.1.0"), Some("demo:kv/store@0.1.0"));
    assert_eq!(near("demo:kv/store"), Some("demo:kv/store@0.1.0"));
    assert_eq!(near("demo:kv/store@0.2.0"), Some("demo:kv/store@0.1.0"));
    assert_eq!(near("something:else/entirely@9.9.9"), None);
    assert_eq!(near(&"x".repeat(10_000)), None);
    assert_eq!(nearest("a", std::iter::empty()), None);
}
