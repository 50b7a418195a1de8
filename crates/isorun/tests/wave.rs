//! Values as text, and back.

use isorun::wave::{self, DEPTH_MAX, VALUES_MAX, WaveError};
use isorun::{Function, TypeRegistry, Val};
use isorun_ledger::{Case, Field, Param, RegistryBuilder, TypeDef, TypeId};
use proptest::prelude::*;

/// A table of types, and the last of those that `define` put there.
fn types(define: impl FnOnce(&mut RegistryBuilder) -> TypeId) -> (TypeRegistry, TypeId) {
    let mut builder = RegistryBuilder::new();
    let ty = define(&mut builder);
    (builder.finish(), ty)
}

fn add(builder: &mut RegistryBuilder, def: TypeDef) -> TypeId {
    builder.intern(def, None).unwrap()
}

fn field(name: &str, ty: TypeId) -> Field {
    Field { name: name.into(), ty }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn boxed(value: Val) -> Option<Box<Val>> {
    Some(Box::new(value))
}

/// `record { key: string, value: list<u8>, note: option<string>, may: flags { read, true } }`
fn entry(builder: &mut RegistryBuilder) -> TypeId {
    let text = add(builder, TypeDef::String);
    let byte = add(builder, TypeDef::U8);
    let bytes = add(builder, TypeDef::List(byte));
    let note = add(builder, TypeDef::Option(text));
    let may = add(builder, TypeDef::Flags(names(&["read", "true"])));
    let fields = vec![field("key", text), field("value", bytes), field("note", note), field("may", may)];
    add(builder, TypeDef::Record(fields))
}

/// Reads `text` as a value of the type, and gives it back as it is written.
fn rewritten(define: impl FnOnce(&mut RegistryBuilder) -> TypeId, text: &str) -> String {
    let (types, ty) = types(define);
    wave::render(&wave::parse_value(&types, ty, text).unwrap()).unwrap()
}

fn refusal(define: impl FnOnce(&mut RegistryBuilder) -> TypeId, text: &str) -> String {
    let (types, ty) = types(define);
    wave::parse_value(&types, ty, text).unwrap_err().to_string()
}

/// `run: func(n: u32, name: string, limit: option<u64>)`
fn run() -> (TypeRegistry, Function) {
    let mut builder = RegistryBuilder::new();
    let n = add(&mut builder, TypeDef::U32);
    let name = add(&mut builder, TypeDef::String);
    let number = add(&mut builder, TypeDef::U64);
    let limit = add(&mut builder, TypeDef::Option(number));
    let types = builder.finish();
    let params = [("n", n), ("name", name), ("limit", limit)];
    let params = params.map(|(name, ty)| Param { name: name.into(), ty }).to_vec();
    let function = Function::new(&types, "run", params, None, false).unwrap();
    (types, function)
}

#[test]
fn a_call_is_a_name_and_arguments() {
    for (text, function, args) in [
        ("run(40)", "run", "(40)"),
        (" run ( 40 )", "run", "( 40 )"),
        ("demo:kv/store#get(\"(\")", "demo:kv/store#get", "(\"(\")"),
        ("demo:kv/store@0.1.0-rc.1+x#[method]a.b()", "demo:kv/store@0.1.0-rc.1+x#[method]a.b", "()"),
    ] {
        let call = wave::parse_call(text).unwrap();
        assert_eq!((call.function(), call.args_text()), (function, args));
    }
    for text in ["", "run", "(40)", "  (40)", "run 40", "two words(40)"] {
        assert_eq!(wave::parse_call(text), Err(WaveError::NotACall { text: text.into() }));
    }
}

#[test]
fn arguments_are_what_the_function_takes() {
    let (types, function) = run();
    let args = |text: &str| wave::parse_args(&types, &function, text).map_err(|error| error.to_string());
    let (n, name) = (Val::U32(1), Val::String("x".into()));
    let limit = Val::Option(boxed(Val::U64(9)));
    assert_eq!(args("(1, \"x\", some(9))"), Ok(vec![n.clone(), name.clone(), limit.clone()]));
    assert_eq!(args(" ( 1 , \"x\" , 9 , ) "), Ok(vec![n.clone(), name.clone(), limit]));
    assert_eq!(args("(1, \"x\")"), Ok(vec![n, name, Val::Option(None)]), "an option at the end may be left out");

    assert_eq!(args("()").unwrap_err(), "column 1: expected 3 arguments, found 0");
    assert_eq!(args("(1)").unwrap_err(), "column 1: expected 3 arguments, found 1");
    assert_eq!(args("(1, \"x\", 2, 3)").unwrap_err(), "column 13: expected 3 arguments, found 4");
    assert_eq!(args("(\"x\", 1)").unwrap_err(), "column 2: expected u32, found a string");
    assert_eq!(args("(1, \"x\") 2").unwrap_err(), "column 10: trailing characters after value");
    assert_eq!(args("oo(1)").unwrap_err(), "`oo(1)` is no call: one looks like run(40) or demo:kv/store#get(\"k\")");
    assert_eq!(args("(1, \"x\"").unwrap_err(), "column 8: unexpected end of input");
}

#[test]
fn a_column_counts_the_characters_of_the_whole_call() {
    let (types, function) = run();
    let error = |text: &str| wave::parse_call(text).unwrap().args(&types, &function).unwrap_err().to_string();
    assert_eq!(error("run(1, 2)"), "column 8: expected string, found a number");
    assert_eq!(error("demo:kv/store#run(1, \"x\", -2)"), "column 27: `-2` is no u64");
    assert_eq!(error("run(1, \"äöü\", x)"), "column 15: expected u64, found a name");
}

#[test]
fn a_function_without_parameters_takes_empty_parentheses() {
    let types = RegistryBuilder::new().finish();
    let function = Function::new(&types, "clear", vec![], None, false).unwrap();
    for text in ["()", " ( ) ", "(// nothing\n)"] {
        assert_eq!(wave::parse_args(&types, &function, text), Ok(vec![]));
    }
    assert!(wave::parse_args(&types, &function, "(1)").is_err());
}

#[test]
fn numbers_are_read_within_their_types() {
    for (def, min, max, below, above) in [
        (TypeDef::U8, "0", "255", "-1", "256"),
        (TypeDef::S8, "-128", "127", "-129", "128"),
        (TypeDef::U16, "0", "65535", "-1", "65536"),
        (TypeDef::S16, "-32768", "32767", "-32769", "32768"),
        (TypeDef::U32, "0", "4294967295", "-1", "4294967296"),
        (TypeDef::S32, "-2147483648", "2147483647", "-2147483649", "2147483648"),
        (TypeDef::U64, "0", "18446744073709551615", "-1", "18446744073709551616"),
        (TypeDef::S64, "-9223372036854775808", "9223372036854775807", "-9223372036854775809", "9223372036854775808"),
    ] {
        for text in [min, max] {
            assert_eq!(rewritten(|builder| add(builder, def.clone()), text), text);
        }
        for text in [below, above, "1.5"] {
            let wanted = format!("column 1: `{text}` is no {}", def.kind());
            assert_eq!(refusal(|builder| add(builder, def.clone()), text), wanted);
        }
    }
}

#[test]
fn floats_need_not_be_finite() {
    for def in [TypeDef::F32, TypeDef::F64] {
        for text in ["inf", "-inf", "nan", "0", "-0", "1.5", "-1.25"] {
            assert_eq!(rewritten(|builder| add(builder, def.clone()), text), text);
        }
        assert_eq!(rewritten(|builder| add(builder, def.clone()), "1e3"), "1000");
    }
}

#[test]
fn text_is_escaped_where_it_must_be() {
    let char = |builder: &mut RegistryBuilder| add(builder, TypeDef::Char);
    for text in [r"'a'", r"'\''", r"'\n'", r"'\\'", "'☃'", r"'\u{7f}'", r"'\u{0}'"] {
        assert_eq!(rewritten(char, text), text);
    }
    assert_eq!(rewritten(char, r"'\u{2603}'"), "'☃'");
    assert!(refusal(char, r"'\u{d800}'").starts_with("column 1: "), "no half of a surrogate pair");
    assert!(refusal(char, "'ab'").starts_with("column 1: "));
    let text = |builder: &mut RegistryBuilder| add(builder, TypeDef::String);
    assert_eq!(rewritten(text, "\"\"\"\n  two\n  lines\n  \"\"\""), r#""two\nlines""#);
    assert_eq!(rewritten(text, r#""tab\t\"quoted\" \u{1b}""#), r#""tab\t\"quoted\" \u{1b}""#);
    assert_eq!(refusal(text, "'a'"), "column 1: expected string, found a char");
}

#[test]
fn records_take_their_fields_in_any_order_and_options_may_be_left_out() {
    let text = r#"{key: "k", value: [1, 2], note: some("n"), may: {read, true}}"#;
    assert_eq!(rewritten(entry, text), text);
    let shuffled = r#"{ may: {%true, read}, note: "n", value: [1, 2,], key: "k", }"#;
    assert_eq!(rewritten(entry, shuffled), text);
    assert_eq!(rewritten(entry, r#"{key: "k", value: [], may: {}}"#), r#"{key: "k", value: [], may: {}}"#);
}

#[test]
fn a_refusal_says_where_and_what_there_is() {
    for (text, wanted) in [
        (r#"{key: "k", value: []}"#, "column 1: field `may` is missing"),
        (r#"{key: "k", vlue: [], may: {}}"#, "column 12: no field `vlue`; there are: key, value, note, may"),
        (
            r#"{key: "k", value: [], may: {}, nope: none}"#,
            "column 32: no field `nope`; there are: key, value, note, may",
        ),
        (r#"{key: "k", value: [], may: {write}}"#, "column 28: no flag `write`; there are: read, true"),
        (r#"{key: "k", value: [1, 256], may: {}}"#, "column 23: `256` is no u8"),
        (r#"{key: "k", key: "l", value: [], may: {}}"#, "column 12: duplicate field: \"key\""),
        (r#"{key: "k", value: [], may: {read, read}}"#, "column 35: duplicate flag: \"read\""),
        ("[]", "column 1: expected record"),
        ("{}", "column 1: expected record"),
        ("{key: ", "column 7: unexpected end of input"),
    ] {
        let error = refusal(entry, text);
        assert!(error.starts_with(wanted), "{text}: {error}");
    }
}

#[test]
fn cases_carry_what_they_carry() {
    let shape = |builder: &mut RegistryBuilder| {
        let number = add(builder, TypeDef::U32);
        let case = |name: &str, ty| Case { name: name.into(), ty };
        add(builder, TypeDef::Variant(vec![case("dot", None), case("line", Some(number)), case("none", Some(number))]))
    };
    for text in ["dot", "line(1)", "%none(2)"] {
        assert_eq!(rewritten(shape, text), text);
    }
    assert_eq!(refusal(shape, "dot(1)"), "column 1: case `dot` carries no value");
    assert_eq!(refusal(shape, "line"), "column 1: case `line` carries a value: write it in parentheses");
    assert_eq!(refusal(shape, "ring"), "column 1: no case `ring`; there are: dot, line, none");
    assert_eq!(refusal(shape, "line(line(1))"), "column 6: expected u32, found a case with a value");

    let colour = |builder: &mut RegistryBuilder| add(builder, TypeDef::Enum(names(&["red", "err", "nan"])));
    for text in ["red", "%err", "%nan"] {
        assert_eq!(rewritten(colour, text), text);
    }
    assert_eq!(refusal(colour, "blue"), "column 1: no case `blue`; there are: red, err, nan");
}

#[test]
fn options_and_results_may_be_nested() {
    let nested = |builder: &mut RegistryBuilder| {
        let number = add(builder, TypeDef::U32);
        let inner = add(builder, TypeDef::Option(number));
        let option = add(builder, TypeDef::Option(inner));
        add(builder, TypeDef::Result { ok: Some(option), err: None })
    };
    for text in ["ok(none)", "ok(some(none))", "ok(some(some(1)))", "err"] {
        assert_eq!(rewritten(nested, text), text);
    }
    assert_eq!(rewritten(nested, "ok(some(1))"), "ok(some(some(1)))", "the innermost `some` may be left out");
    for text in ["1", "some(1)", "none"] {
        assert!(refusal(nested, text).contains("expected result"), "{text}");
    }
    assert_eq!(refusal(nested, "ok"), "column 1: case `ok` carries a value: write it in parentheses");
    assert_eq!(refusal(nested, "err(1)"), "column 1: case `err` carries no value");

    let unit = |builder: &mut RegistryBuilder| add(builder, TypeDef::Result { ok: None, err: None });
    assert_eq!(rewritten(unit, "ok"), "ok");
    let flat = |builder: &mut RegistryBuilder| {
        let number = add(builder, TypeDef::U32);
        add(builder, TypeDef::Result { ok: Some(number), err: None })
    };
    assert_eq!(rewritten(flat, "7"), "ok(7)");
}

#[test]
fn lists_tuples_and_maps_hold_what_their_types_say() {
    let quad = |builder: &mut RegistryBuilder| {
        let number = add(builder, TypeDef::S16);
        add(builder, TypeDef::FixedList(number, 4))
    };
    assert_eq!(rewritten(quad, "[1, -2, 3, -4]"), "[1, -2, 3, -4]");
    assert_eq!(refusal(quad, "[1, 2, 3]"), "column 1: expected 4 items, found 3");
    assert_eq!(refusal(quad, "[1, 2, 3, 4, 5]"), "column 1: expected 4 items, found 5");
    let (types, ty) = types(quad);
    let value = wave::parse_value(&types, ty, "[1, 2, 3, 4]").unwrap();
    assert!(matches!(value, Val::FixedLengthList(items) if items.len() == 4));

    let pair = |builder: &mut RegistryBuilder| {
        let number = add(builder, TypeDef::U8);
        let text = add(builder, TypeDef::String);
        add(builder, TypeDef::Tuple(vec![number, text]))
    };
    assert_eq!(rewritten(pair, "(1, \"x\")"), "(1, \"x\")");
    assert_eq!(refusal(pair, "(1)"), "column 1: expected 2 items, found 1");

    for (key, text) in [
        (TypeDef::String, r#"{"a": [1], "b": []}"#),
        (TypeDef::Bool, "{true: [1], false: []}"),
        (TypeDef::U64, "{0: [], 18446744073709551615: [2]}"),
        (TypeDef::Char, "{'a': [], 'b': [255]}"),
        (TypeDef::String, "{}"),
    ] {
        let map = |builder: &mut RegistryBuilder| {
            let key = add(builder, key.clone());
            let byte = add(builder, TypeDef::U8);
            let bytes = add(builder, TypeDef::List(byte));
            add(builder, TypeDef::Map(key, bytes))
        };
        assert_eq!(rewritten(map, text), text);
    }
}

#[test]
fn what_is_no_plain_value_has_no_text() {
    for def in [TypeDef::Own("file".into()), TypeDef::Borrow("file".into()), TypeDef::Stream(None)] {
        let wanted = format!("values of type {} can't be written as text", def.kind());
        assert_eq!(refusal(|builder| add(builder, def.clone()), "1"), wanted);
    }
}

#[test]
fn nesting_is_taken_up_to_the_limit() {
    let deep = |depth: usize| {
        types(|builder| {
            let mut ty = add(builder, TypeDef::Bool);
            for _ in 1..depth {
                ty = add(builder, TypeDef::List(ty));
            }
            ty
        })
    };
    let text = |depth: usize| format!("{}true{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let value = |depth: usize| (1..depth).fold(Val::Bool(true), |value, _| Val::List(vec![value]));

    let (types, ty) = deep(DEPTH_MAX);
    assert_eq!(wave::parse_value(&types, ty, &text(DEPTH_MAX)), Ok(value(DEPTH_MAX)));
    assert_eq!(wave::render(&value(DEPTH_MAX)), Ok(text(DEPTH_MAX)));

    let (types, ty) = deep(DEPTH_MAX + 1);
    assert_eq!(wave::parse_value(&types, ty, &text(DEPTH_MAX + 1)), Err(WaveError::TooDeep));
    assert_eq!(wave::render(&value(DEPTH_MAX + 1)), Err(WaveError::TooDeep));
    assert_eq!(wave::parse_value(&types, ty, &"[".repeat(1 << 20)), Err(WaveError::TooDeep));
}

#[test]
fn a_short_text_does_not_become_a_long_value() {
    let (types, ty) = types(|builder| {
        let flag = add(builder, TypeDef::Bool);
        let option = add(builder, TypeDef::Option(flag));
        let fields = (0..10_000).map(|at| field(&format!("f{at}"), option)).collect();
        let record = add(builder, TypeDef::Record(fields));
        add(builder, TypeDef::List(record))
    });
    let text = format!("[{}]", "{:},".repeat(VALUES_MAX / 10_000 + 1));
    assert_eq!(wave::parse_value(&types, ty, &text), Err(WaveError::TooMany));
}

/// What to build a random type from.
#[derive(Debug, Clone)]
enum Plan {
    Leaf(TypeDef),
    List(Box<Plan>),
    Fixed(Box<Plan>, u32),
    Map(TypeDef, Box<Plan>),
    Option(Box<Plan>),
    Result(Option<Box<Plan>>, Option<Box<Plan>>),
    Tuple(Vec<Plan>),
    Record(Vec<Plan>),
    Variant(Vec<Option<Plan>>),
}

/// Names that are words of WAVE's own among them.
const NAMES: [&str; 8] = ["a", "true", "some-2", "none", "ok", "LOUD-x", "inf", "err"];

fn plan() -> impl Strategy<Value = Plan> {
    let leaf = prop_oneof![
        Just(TypeDef::Bool),
        Just(TypeDef::U8),
        Just(TypeDef::S16),
        Just(TypeDef::U32),
        Just(TypeDef::S64),
        Just(TypeDef::U64),
        Just(TypeDef::F32),
        Just(TypeDef::F64),
        Just(TypeDef::Char),
        Just(TypeDef::String),
        (1..=NAMES.len()).prop_map(|n| TypeDef::Enum(names(&NAMES[..n]))),
        (1..=NAMES.len()).prop_map(|n| TypeDef::Flags(names(&NAMES[..n]))),
    ];
    let key = prop_oneof![Just(TypeDef::Bool), Just(TypeDef::S8), Just(TypeDef::Char), Just(TypeDef::String)];
    leaf.prop_map(Plan::Leaf).prop_recursive(5, 40, 4, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed.clone().prop_map(Plan::List),
            (boxed.clone(), 1..4u32).prop_map(|(item, n)| Plan::Fixed(item, n)),
            (key.clone(), boxed.clone()).prop_map(|(key, value)| Plan::Map(key, value)),
            boxed.clone().prop_map(Plan::Option),
            (proptest::option::of(boxed.clone()), proptest::option::of(boxed))
                .prop_map(|(ok, err)| Plan::Result(ok, err)),
            proptest::collection::vec(inner.clone(), 1..5).prop_map(Plan::Tuple),
            proptest::collection::vec(inner.clone(), 1..5).prop_map(Plan::Record),
            proptest::collection::vec(proptest::option::of(inner), 1..5).prop_map(Plan::Variant),
        ]
    })
}

fn define(builder: &mut RegistryBuilder, plan: &Plan) -> TypeId {
    let def = match plan {
        Plan::Leaf(def) => def.clone(),
        Plan::List(item) => TypeDef::List(define(builder, item)),
        Plan::Fixed(item, n) => TypeDef::FixedList(define(builder, item), *n),
        Plan::Map(key, value) => TypeDef::Map(add(builder, key.clone()), define(builder, value)),
        Plan::Option(item) => TypeDef::Option(define(builder, item)),
        Plan::Result(ok, err) => {
            let [ok, err] = [ok, err].map(|part| part.as_ref().map(|part| define(builder, part)));
            TypeDef::Result { ok, err }
        }
        Plan::Tuple(items) => TypeDef::Tuple(items.iter().map(|item| define(builder, item)).collect()),
        Plan::Record(items) => {
            TypeDef::Record(NAMES.iter().zip(items).map(|(name, item)| field(name, define(builder, item))).collect())
        }
        Plan::Variant(items) => {
            let case = |(name, item): (&&str, &Option<Plan>)| Case {
                name: (*name).into(),
                ty: item.as_ref().map(|item| define(builder, item)),
            };
            TypeDef::Variant(NAMES.iter().zip(items).map(case).collect())
        }
    };
    add(builder, def)
}

fn some_value(types: &TypeRegistry, ty: TypeId) -> BoxedStrategy<Val> {
    let part = |ty: &TypeId| some_value(types, *ty);
    let payload = |ty: &Option<TypeId>| match ty {
        Some(ty) => some_value(types, *ty).prop_map(boxed).boxed(),
        None => Just(None).boxed(),
    };
    match types.def(ty) {
        TypeDef::Bool => any::<bool>().prop_map(Val::Bool).boxed(),
        TypeDef::U8 => any::<u8>().prop_map(Val::U8).boxed(),
        TypeDef::S8 => any::<i8>().prop_map(Val::S8).boxed(),
        TypeDef::S16 => any::<i16>().prop_map(Val::S16).boxed(),
        TypeDef::U32 => any::<u32>().prop_map(Val::U32).boxed(),
        TypeDef::S64 => any::<i64>().prop_map(Val::S64).boxed(),
        TypeDef::U64 => any::<u64>().prop_map(Val::U64).boxed(),
        TypeDef::F32 => proptest::num::f32::ANY.prop_map(Val::Float32).boxed(),
        TypeDef::F64 => proptest::num::f64::ANY.prop_map(Val::Float64).boxed(),
        TypeDef::Char => any::<char>().prop_map(Val::Char).boxed(),
        TypeDef::String => any::<String>().prop_map(Val::String).boxed(),
        TypeDef::Enum(names) => proptest::sample::select(names.clone()).prop_map(Val::Enum).boxed(),
        TypeDef::Flags(names) => {
            let count = names.len();
            proptest::sample::subsequence(names.clone(), 0..=count).prop_map(Val::Flags).boxed()
        }
        TypeDef::List(item) => proptest::collection::vec(part(item), 0..4).prop_map(Val::List).boxed(),
        TypeDef::FixedList(item, n) => {
            proptest::collection::vec(part(item), *n as usize).prop_map(Val::FixedLengthList).boxed()
        }
        TypeDef::Map(key, value) => {
            // Of two pairs with one key, the text has the last.
            let unique = |pairs: Vec<(Val, Val)>| {
                pairs.into_iter().fold(Vec::new(), |mut unique: Vec<(Val, Val)>, pair| {
                    if unique.iter().all(|(key, _)| *key != pair.0) {
                        unique.push(pair);
                    }
                    unique
                })
            };
            let pairs = proptest::collection::vec((part(key), part(value)), 0..4);
            pairs.prop_map(move |pairs| Val::Map(unique(pairs))).boxed()
        }
        TypeDef::Tuple(items) => items.iter().map(part).collect::<Vec<_>>().prop_map(Val::Tuple).boxed(),
        TypeDef::Record(fields) => {
            let values: Vec<_> = fields.iter().map(|field| (Just(field.name.clone()), part(&field.ty))).collect();
            values.prop_map(Val::Record).boxed()
        }
        TypeDef::Variant(cases) => {
            let cases: Vec<_> = cases.iter().map(|case| (case.name.clone(), payload(&case.ty))).collect();
            let case = proptest::sample::select(cases);
            case.prop_flat_map(|(name, payload)| payload.prop_map(move |value| Val::Variant(name.clone(), value)))
                .boxed()
        }
        TypeDef::Option(item) => proptest::option::of(part(item).prop_map(Box::new)).prop_map(Val::Option).boxed(),
        TypeDef::Result { ok, err } => prop_oneof![
            payload(ok).prop_map(|value| Val::Result(Ok(value))),
            payload(err).prop_map(|value| Val::Result(Err(value))),
        ]
        .boxed(),
        other => panic!("{other:?}"),
    }
}

fn typed_value() -> impl Strategy<Value = (TypeRegistry, TypeId, Val)> {
    plan().prop_flat_map(|plan| {
        let (types, ty) = types(|builder| define(builder, &plan));
        some_value(&types, ty).prop_map(move |value| (types.clone(), ty, value))
    })
}

proptest! {
    #[test]
    fn every_value_of_every_type_comes_back_from_its_text((types, ty, value) in typed_value()) {
        let text = wave::render(&value).unwrap();
        let back = wave::parse_value(&types, ty, &text);
        // As text, for NaN is not equal to itself.
        prop_assert_eq!(format!("{:?}", back), format!("{:?}", Ok::<_, WaveError>(value)), "{}", text);
    }

    #[test]
    fn no_text_is_more_than_refused(text in any::<String>(), (types, ty, value) in typed_value(), at in any::<prop::sample::Index>()) {
        let _ = wave::parse_value(&types, ty, &text);
        let _ = wave::parse_call(&text);
        // A good text with something in its midst.
        let good = wave::render(&value).unwrap();
        let chars: Vec<_> = good.chars().collect();
        let at = at.index(chars.len() + 1);
        let spoiled: String = chars[..at].iter().chain(&text.chars().collect::<Vec<_>>()).chain(&chars[at..]).collect();
        let _ = wave::parse_value(&types, ty, &spoiled);
    }

    #[test]
    fn nothing_made_of_waves_own_signs_is_more_than_refused(text in r#"[\[\](){}:,%'"\\ua1-9.\-/ ntsomekrifx]{0,24}"#, (types, ty, _) in typed_value()) {
        let _ = wave::parse_value(&types, ty, &text);
    }
}

#[test]
fn a_comment_at_the_end_is_no_more_than_a_comment() {
    let mut builder = RegistryBuilder::new();
    let bool_ = builder.intern(TypeDef::Bool, None).unwrap();
    let types = builder.finish();
    for text in ["true//", "true //", "true // so it is", "true//\n"] {
        assert_eq!(wave::parse_value(&types, bool_, text).unwrap(), Val::Bool(true), "{text}");
    }
    for text in ["//", "//true", "// true\n"] {
        assert!(wave::parse_value(&types, bool_, text).is_err(), "{text}");
    }
}
