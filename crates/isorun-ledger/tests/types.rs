//! The registry, hashes, shapes, limits and obstacles.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Store, field, param};
use isorun_ledger::{
    Case, FIELDS_MAX, FLAGS_MAX, Function, INTERFACES_MAX, Interface, Ledger, LedgerError, NAME_BYTES_MAX, PARAMS_MAX,
    RegistryBuilder, TYPES_MAX, TypeDef, TypeId, TypeName, TypeRegistry,
};

fn named(name: &str) -> Option<TypeName> {
    Some(TypeName { interface: Some("demo:kv/store@0.1.0".to_owned()), name: name.to_owned() })
}

#[test]
fn equal_types_of_one_name_are_one_type() {
    let mut builder = RegistryBuilder::new();
    let number = builder.intern(TypeDef::U32, None).unwrap();
    assert_eq!(builder.intern(TypeDef::U32, None).unwrap(), number);
    let size = builder.intern(TypeDef::U32, named("size")).unwrap();
    assert_ne!(size, number);
    assert_ne!(builder.intern(TypeDef::U32, named("count")).unwrap(), size);
    let types = builder.finish();
    assert_eq!(types.len(), 3);
    assert_eq!(types.name(size).unwrap().to_string(), "demo:kv/store@0.1.0.size");
    assert_eq!(types.hash(size), types.hash(number));
    assert!(types.iter().all(|(id, def)| types.def(id) == def));
}

/// The hash of `get` where one thing about the store was changed.
fn hash_of_get(change: impl FnOnce(&mut Store)) -> [u8; 32] {
    let mut store = Store::default();
    change(&mut store);
    store.ledger().imports[0].function("get").unwrap().hash
}

#[test]
fn a_functions_hash_follows_everything_the_two_sides_must_agree_on() {
    let same = hash_of_get(|_| {});
    assert_eq!(hash_of_get(|_| {}), same);
    let mut seen = vec![same];
    for (what, change) in [
        ("a field's name", (|s: &mut Store| s.entry[0].0 = "name") as fn(&mut Store)),
        ("a field's type", |s| s.entry[1].1 = TypeDef::U32),
        ("the order of fields", |s| s.entry.reverse()),
        ("a case's name", |s| s.failures[0] = "refused"),
        ("the order of cases", |s| s.failures.reverse()),
        ("one case more", |s| s.failures.push("other")),
        ("a parameter's name", |s| s.get[0].0 = "name"),
        ("a parameter's type", |s| s.get[1].1 = TypeDef::U64),
        ("the order of parameters", |s| s.get.reverse()),
        ("one parameter less", |s| s.get.truncate(1)),
        ("no result", |s| s.get_result = false),
        ("async", |s| s.is_async = true),
    ] {
        let hash = hash_of_get(change);
        assert!(!seen.contains(&hash), "{what} does not show in the hash");
        seen.push(hash);
    }
}

#[test]
fn a_functions_hash_ignores_versions_type_names_and_unused_types() {
    let same = hash_of_get(|_| {});
    assert_eq!(hash_of_get(|s| s.name = "demo:kv/store@0.1.9"), same);
    assert_eq!(hash_of_get(|s| s.name = "other:thing/shop"), same);
    assert_eq!(hash_of_get(|s| s.rights = vec!["read"]), same);
    assert_eq!(hash_of_get(|s| s.functions = vec!["get"]), same);
}

#[test]
fn kinds_with_the_same_parts_hash_differently() {
    let mut builder = RegistryBuilder::new();
    let unit = builder.intern(TypeDef::U8, None).unwrap();
    let case = |ty| Case { name: "a".to_owned(), ty };
    let names = || vec!["a".to_owned()];
    let defs = [
        TypeDef::List(unit),
        TypeDef::FixedList(unit, 1),
        TypeDef::FixedList(unit, 2),
        TypeDef::Option(unit),
        TypeDef::Tuple(vec![unit]),
        TypeDef::Map(unit, unit),
        TypeDef::Tuple(vec![unit, unit]),
        TypeDef::Record(vec![field("a", unit)]),
        TypeDef::Variant(vec![case(Some(unit))]),
        TypeDef::Variant(vec![case(None)]),
        TypeDef::Enum(names()),
        TypeDef::Flags(names()),
        TypeDef::Result { ok: Some(unit), err: None },
        TypeDef::Result { ok: None, err: Some(unit) },
        TypeDef::Result { ok: None, err: None },
        TypeDef::Stream(Some(unit)),
        TypeDef::Stream(None),
        TypeDef::Future(None),
        TypeDef::Own("a".to_owned()),
        TypeDef::Borrow("a".to_owned()),
    ];
    let ids: Vec<TypeId> = defs.iter().map(|def| builder.intern(def.clone(), None).unwrap()).collect();
    let types = builder.finish();
    let mut hashes: Vec<[u8; 32]> = ids.iter().map(|id| types.hash(*id)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), defs.len());
}

/// A registry with one type in it, built by a closure.
fn one(make: impl FnOnce(&mut RegistryBuilder) -> TypeDef) -> (TypeRegistry, TypeId) {
    let mut builder = RegistryBuilder::new();
    let def = make(&mut builder);
    let id = builder.intern(def, None).unwrap();
    (builder.finish(), id)
}

fn shape_bytes(make: impl FnOnce(&mut RegistryBuilder) -> TypeDef) -> Option<Vec<u8>> {
    let (types, id) = one(make);
    types.row_shape(id).map(|shape| shape.as_shape().bytes().to_vec())
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("n{n}")).collect()
}

#[test]
fn fixed_width_types_have_a_row_shape_and_others_none() {
    use neopack::{Leaf, ShapeBuf, Width};
    let leaf = |leaf| Some(ShapeBuf::builder().leaf(leaf).finish().unwrap().as_shape().bytes().to_vec());
    assert_eq!(shape_bytes(|_| TypeDef::U32), leaf(Leaf::U32));
    assert_eq!(shape_bytes(|_| TypeDef::Char), leaf(Leaf::Char));
    for (cases, width) in [(1, Width::One), (256, Width::One), (257, Width::Two), (FIELDS_MAX, Width::Two)] {
        assert_eq!(shape_bytes(|_| TypeDef::Enum(names(cases))), leaf(Leaf::Enum(width)), "{cases} cases");
    }
    for (flags, width) in [(8, Width::One), (9, Width::Two), (16, Width::Two), (17, Width::Four), (32, Width::Four)] {
        assert_eq!(shape_bytes(|_| TypeDef::Flags(names(flags))), leaf(Leaf::Flags(width)), "{flags} flags");
    }
    let nested = ShapeBuf::builder().group(2).leaf(Leaf::U8).group(2).leaf(Leaf::F32).leaf(Leaf::Bool).finish();
    let record = |b: &mut RegistryBuilder| {
        let (byte, float) = (b.intern(TypeDef::U8, None).unwrap(), b.intern(TypeDef::F32, None).unwrap());
        let truth = b.intern(TypeDef::Bool, None).unwrap();
        let tuple = b.intern(TypeDef::Tuple(vec![float, truth]), None).unwrap();
        TypeDef::Record(vec![field("id", byte), field("at", tuple)])
    };
    assert_eq!(shape_bytes(record), Some(nested.unwrap().as_shape().bytes().to_vec()));
    let of = |make: fn(TypeId) -> TypeDef| {
        move |b: &mut RegistryBuilder| {
            let item = b.intern(TypeDef::U32, None).unwrap();
            make(item)
        }
    };
    assert_eq!(shape_bytes(|_| TypeDef::U8), None, "a list of u8 is bytes");
    assert_eq!(shape_bytes(|_| TypeDef::String), None);
    assert_eq!(shape_bytes(of(|item| TypeDef::FixedList(item, 4))), None);
    assert_eq!(shape_bytes(of(TypeDef::List)), None);
    assert_eq!(shape_bytes(of(TypeDef::Option)), None);
    assert_eq!(shape_bytes(of(|item| TypeDef::Variant(vec![Case { name: "a".to_owned(), ty: Some(item) }]))), None);
}

#[test]
fn a_row_shape_has_at_most_as_many_nodes_as_neopack_takes() {
    let numbers = |count| {
        shape_bytes(move |b| {
            let number = b.intern(TypeDef::U32, None).unwrap();
            TypeDef::Tuple(vec![number; count])
        })
    };
    assert!(numbers(neopack::SHAPE_NODES_MAX - 1).is_some());
    assert!(numbers(neopack::SHAPE_NODES_MAX).is_none());
}

#[test]
fn depth_counts_the_containers_of_the_packed_value() {
    let depth = |make: fn(&mut RegistryBuilder) -> TypeDef| {
        let (types, id) = one(make);
        types.depth(id)
    };
    assert_eq!(depth(|_| TypeDef::String), 0);
    assert_eq!(depth(|_| TypeDef::Enum(names(2))), 0);
    assert_eq!(depth(|_| TypeDef::Result { ok: None, err: None }), 1);
    assert_eq!(depth(|_| TypeDef::Variant(vec![Case { name: "a".to_owned(), ty: None }])), 1);
    assert_eq!(depth(|b| TypeDef::List(b.intern(TypeDef::U8, None).unwrap())), 0, "bytes");
    assert_eq!(depth(|b| TypeDef::FixedList(b.intern(TypeDef::U8, None).unwrap(), 4)), 0, "bytes");
    assert_eq!(depth(|b| TypeDef::List(b.intern(TypeDef::U32, None).unwrap())), 1, "rows");
    let nested = |b: &mut RegistryBuilder| {
        let text = b.intern(TypeDef::String, None).unwrap();
        let option = b.intern(TypeDef::Option(text), None).unwrap();
        TypeDef::List(option)
    };
    assert_eq!(depth(nested), 2);
}

/// `option<option<..>>` so often.
fn options(builder: &mut RegistryBuilder, times: usize) -> TypeId {
    let mut id = builder.intern(TypeDef::String, None).unwrap();
    for _ in 0..times {
        id = builder.intern(TypeDef::Option(id), None).unwrap();
    }
    id
}

#[test]
fn a_function_whose_values_nest_too_deep_is_reported() {
    let obstacles = |times| {
        let mut builder = RegistryBuilder::new();
        let ty = options(&mut builder, times);
        let types = builder.finish();
        let function = Function::new(&types, "get", vec![param("key", ty)], Some(ty), false).unwrap();
        assert_eq!(function.depth(&types), times + 1);
        function.obstacles(&types).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(obstacles(neopack::DEPTH_MAX - 1).is_empty());
    let expected = ["get.key: nested 65 deep, at most 64 is carried", "get(): nested 65 deep, at most 64 is carried"];
    assert_eq!(obstacles(neopack::DEPTH_MAX), expected);
}

#[test]
fn what_cannot_travel_is_reported_with_its_place() {
    let mut builder = RegistryBuilder::new();
    let own = builder.intern(TypeDef::Own("cursor".to_owned()), named("cursor")).unwrap();
    let option = builder.intern(TypeDef::Option(own), None).unwrap();
    let record = builder.intern(TypeDef::Record(vec![field("at", option)]), named("page")).unwrap();
    let list = builder.intern(TypeDef::List(record), None).unwrap();
    let stream = builder.intern(TypeDef::Stream(None), None).unwrap();
    let number = builder.intern(TypeDef::U32, None).unwrap();
    let map = builder.intern(TypeDef::Map(number, stream), None).unwrap();
    let context = builder.intern(TypeDef::ErrorContext, None).unwrap();
    let types = builder.finish();
    assert!(types.travels(number).is_ok());
    let obstacle = types.travels(list).unwrap_err();
    let handle = "own<cursor> is a handle, and handles are not carried by links yet";
    assert_eq!((obstacle.path.as_str(), obstacle.to_string()), ("[].at.some", format!("[].at.some: {handle}")));
    let params = vec![param("pages", list), param("limit", number), param("feeds", map)];
    let mut interface = Interface::new(None);
    interface.functions.push(Function::new(&types, "scan", params, Some(context), true).unwrap());
    interface.functions.push(Function::new(&types, "plain", vec![param("n", number)], None, false).unwrap());
    let lines: Vec<_> = interface.obstacles(&types).iter().map(ToString::to_string).collect();
    let expected = [
        format!("scan.pages[].at.some: {handle}"),
        "scan.feeds[value]: streams are not carried by links yet".to_owned(),
        "scan(): an error-context is not carried by links".to_owned(),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn sixty_doubling_tuples_take_no_time() {
    let start = Instant::now();
    let build = |leaf| {
        let mut builder = RegistryBuilder::new();
        let mut id = builder.intern(leaf, None).unwrap();
        for _ in 0..60 {
            id = builder.intern(TypeDef::Tuple(vec![id, id]), None).unwrap();
        }
        let types = Arc::new(builder.finish());
        let mut interface = Interface::new(Some("a:b/c@1.0.0".to_owned()));
        interface.functions.push(Function::new(&types, "f", vec![param("x", id)], Some(id), false).unwrap());
        Ledger::new(types, vec![interface], Vec::new()).unwrap()
    };
    let (a, b) = (build(TypeDef::U32), build(TypeDef::U64));
    assert_eq!(a.types.depth(a.types.id(60).unwrap()), 60);
    assert!(a.types.row_shape(a.types.id(60).unwrap()).is_none());
    assert!(a.types.row_shape(a.types.id(7).unwrap()).is_some());
    assert!(a.types.wit(a.types.id(60).unwrap()).to_string().len() < 100_000);
    assert!(a.to_string().len() < 1_000_000);
    assert_eq!(Ledger::unpack(&a.pack()).unwrap(), a);
    let side = |ledger| {
        let ledger: &Ledger = ledger;
        isorun_ledger::Side { types: &ledger.types, interface: &ledger.imports[0] }
    };
    let difference = isorun_ledger::compatible(side(&a), side(&b)).unwrap_err();
    assert_eq!(difference.lines.len(), 1);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn the_number_of_types_is_limited() {
    let mut builder = RegistryBuilder::new();
    options(&mut builder, TYPES_MAX - 1);
    assert_eq!(builder.types().len(), TYPES_MAX);
    assert!(builder.intern(TypeDef::String, None).is_ok(), "one that is there already needs no room");
    let error = builder.intern(TypeDef::U8, None).unwrap_err();
    assert_eq!(error, LedgerError::TooMany { what: "types", count: TYPES_MAX + 1, max: TYPES_MAX });
    // Paths, hashes and printing work over the deepest registry there can be.
    let types = builder.finish();
    let deepest = types.id(TYPES_MAX - 1).unwrap();
    assert_eq!(types.depth(deepest), TYPES_MAX - 1);
    assert!(types.wit(deepest).to_string().starts_with("option<option<"));
}

#[test]
fn the_size_of_one_type_is_limited() {
    let intern = |def| RegistryBuilder::new().intern(def, None);
    assert!(intern(TypeDef::Enum(names(FIELDS_MAX))).is_ok());
    let too_many = |what, max| Err(LedgerError::TooMany { what, count: max + 1, max });
    assert_eq!(intern(TypeDef::Enum(names(FIELDS_MAX + 1))), too_many("cases", FIELDS_MAX));
    assert!(intern(TypeDef::Flags(names(FLAGS_MAX))).is_ok());
    assert_eq!(intern(TypeDef::Flags(names(FLAGS_MAX + 1))), too_many("flags", FLAGS_MAX));
    assert_eq!(intern(TypeDef::Enum(Vec::new())), Err(LedgerError::Empty { what: "enum" }));
    assert_eq!(intern(TypeDef::Tuple(Vec::new())), Err(LedgerError::Empty { what: "tuple" }));
    let twice = vec!["a".to_owned(), "a".to_owned()];
    assert_eq!(intern(TypeDef::Flags(twice)), Err(LedgerError::Duplicate { what: "flags", name: "a".to_owned() }));
}

#[test]
fn names_are_limited_and_printable() {
    let intern = |name: String| RegistryBuilder::new().intern(TypeDef::Own(name), None);
    assert!(intern("x".repeat(NAME_BYTES_MAX)).is_ok());
    let bytes = NAME_BYTES_MAX + 1;
    assert_eq!(intern("x".repeat(bytes)), Err(LedgerError::NameSize { bytes }));
    assert_eq!(intern(String::new()), Err(LedgerError::NameSize { bytes: 0 }));
    assert_eq!(intern("a\x1b[31m".to_owned()), Err(LedgerError::NameText { what: '\x1b', offset: 1 }));
}

#[test]
fn a_type_refers_only_to_what_is_there() {
    let mut larger = RegistryBuilder::new();
    let far = options(&mut larger, 5);
    let mut builder = RegistryBuilder::new();
    assert_eq!(builder.intern(TypeDef::List(far), None), Err(LedgerError::NoSuchType { of: 0, to: 5 }));
    let types = builder.finish();
    assert!(!types.contains(far));
    let error = Function::new(&types, "f", vec![param("x", far)], None, false).unwrap_err();
    assert_eq!(error, LedgerError::NoSuchType { of: 0, to: 5 });
}

#[test]
fn the_size_of_a_function_and_of_a_ledger_is_limited() {
    let mut builder = RegistryBuilder::new();
    let number = builder.intern(TypeDef::U32, None).unwrap();
    let types = Arc::new(builder.finish());
    let function = |count: usize| {
        let params = (0..count).map(|n| param(&format!("p{n}"), number)).collect();
        Function::new(&types, "f", params, None, false)
    };
    assert!(function(PARAMS_MAX).is_ok());
    assert!(matches!(function(PARAMS_MAX + 1), Err(LedgerError::TooMany { what: "parameters", .. })));
    let ledger = |count: usize| {
        let interfaces = (0..count).map(|n| Interface::new(Some(format!("a:b/i{n}")))).collect();
        Ledger::new(types.clone(), interfaces, Vec::new())
    };
    assert!(ledger(INTERFACES_MAX).is_ok());
    assert!(matches!(ledger(INTERFACES_MAX + 1), Err(LedgerError::TooMany { what: "interfaces", .. })));
    let mut interface = Interface::new(None);
    interface.functions = vec![function(1).unwrap(), function(2).unwrap()];
    let twice = Ledger::new(types.clone(), vec![interface], Vec::new());
    assert_eq!(twice, Err(LedgerError::Duplicate { what: "functions", name: "f".to_owned() }));
    let roots = Ledger::new(types.clone(), vec![Interface::new(None), Interface::new(None)], Vec::new());
    assert!(matches!(roots, Err(LedgerError::Duplicate { what: "interfaces", .. })));
}

#[test]
fn interfaces_are_found_by_name_and_by_version() {
    let at = |name: &str| Interface::new(Some(name.to_owned()));
    let names = ["demo:kv/store@0.1.2", "demo:kv/store@0.1.10", "demo:kv/store@0.2.0", "plain"];
    let mut interfaces: Vec<Interface> = names.into_iter().map(at).collect();
    interfaces.push(Interface::new(None));
    let ledger = Ledger::new(Arc::default(), Vec::new(), interfaces).unwrap();
    let find = |name: Option<&str>| ledger.export(name).map(|interface| interface.name.clone());
    let some = |name: &str| Some(Some(name.to_owned()));
    assert_eq!(find(Some("demo:kv/store@0.1.2")), some("demo:kv/store@0.1.2"));
    assert_eq!(find(Some("demo:kv/store@0.1.0")), some("demo:kv/store@0.1.10"), "the newest that serves");
    assert_eq!(find(Some("demo:kv/store@0.3.0")), None);
    assert_eq!(find(Some("demo:kv/store")), None);
    assert_eq!(find(Some("plain")), some("plain"));
    assert_eq!(find(None), Some(None));
    assert_eq!(ledger.import(None), None);
}
