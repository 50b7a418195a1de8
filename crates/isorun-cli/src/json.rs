//! What `-o json` prints. `--help` documents it.

use isorun::{CodecPlan, Function, Interface, Ledger, PlanSide, Provider, TypeRegistry, Val};
use serde_json::{Map, Value, json};

/// A result, as text and as a value. The text is the proof that it is nested no deeper than text may be.
pub fn result(text: &str, value: &Val) -> Value {
    json!({ "wave": text, "value": shown(value) })
}

/// A value that came from a host and is nested no deeper than its type.
pub fn value(value: &Val) -> Value {
    shown(value)
}

/// A process that serves a name at a NATS server.
pub fn provider(provider: &Provider) -> Value {
    json!({
        "name": provider.name,
        "id": provider.id,
        "version": provider.version,
        "description": provider.description,
        "interfaces": provider.interfaces,
        "component": provider.component,
        "requests": provider.requests,
        "errors": provider.errors,
        "channels": provider.channels,
    })
}

/// A value; its nesting is bounded, since it has been written as text.
fn shown(value: &Val) -> Value {
    match value {
        Val::Bool(it) => json!(it),
        Val::S8(it) => json!(it),
        Val::U8(it) => json!(it),
        Val::S16(it) => json!(it),
        Val::U16(it) => json!(it),
        Val::S32(it) => json!(it),
        Val::U32(it) => json!(it),
        Val::S64(it) => json!(it),
        Val::U64(it) => json!(it),
        // By the shortest text, so that 0.1 stays 0.1.
        Val::Float32(it) => it.to_string().parse().map_or(Value::Null, float),
        Val::Float64(it) => float(*it),
        Val::Char(it) => json!(it.to_string()),
        Val::String(it) | Val::Enum(it) => json!(it),
        Val::List(items) | Val::FixedLengthList(items) | Val::Tuple(items) => items.iter().map(shown).collect(),
        Val::Map(pairs) => pairs.iter().map(|(key, value)| json!([shown(key), shown(value)])).collect(),
        Val::Record(fields) => fields.iter().map(|(name, field)| (name.clone(), shown(field))).collect(),
        Val::Variant(case, Some(payload)) => named(case, shown(payload)),
        Val::Variant(case, None) => json!(case),
        Val::Option(None) => Value::Null,
        Val::Option(Some(inner)) if matches!(**inner, Val::Option(_)) => named("some", shown(inner)),
        Val::Option(Some(inner)) => shown(inner),
        Val::Result(Ok(payload)) => named("ok", payload.as_deref().map_or(Value::Null, shown)),
        Val::Result(Err(payload)) => named("err", payload.as_deref().map_or(Value::Null, shown)),
        Val::Flags(names) => json!(names),
        // None of these can be written as text.
        Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => Value::Null,
    }
}

fn named(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

/// JSON has no numbers for what is infinite or none.
fn float(it: f64) -> Value {
    match it {
        _ if it.is_nan() => json!("nan"),
        _ if it.is_infinite() => json!(if it > 0.0 { "inf" } else { "-inf" }),
        _ => json!(it),
    }
}

/// What a component imports and exports.
pub fn ledger(ledger: &Ledger) -> Value {
    let side = |side: &[Interface]| side.iter().map(|it| interface(&ledger.types, it)).collect::<Value>();
    json!({ "imports": side(&ledger.imports), "exports": side(&ledger.exports), "wit": ledger.to_string() })
}

/// How the values of each function are translated.
pub fn plans(ledger: &Ledger) -> Value {
    let side = |side: &PlanSide| {
        json!({
            "core-values": side.core_values,
            "memory-bytes": side.memory_bytes,
            "types": side.types,
            "lists-whole": side.lists_whole,
            "lists-by-runs": side.lists_by_runs,
            "lists-by-item": side.lists_by_item,
        })
    };
    let function = |interface: &Interface, function: &Function| match CodecPlan::of(&ledger.types, function) {
        Ok(plan) => json!({
            "interface": interface.name, "function": function.name, "codec": "direct",
            "params": side(&plan.params), "results": side(&plan.results),
        }),
        Err(why) => json!({
            "interface": interface.name, "function": function.name, "codec": null, "reason": why.to_string(),
        }),
    };
    let all = |interfaces: &[Interface]| {
        let functions = interfaces.iter().flat_map(|it| it.functions.iter().map(|each| function(it, each)));
        functions.collect::<Value>()
    };
    json!({ "imports": all(&ledger.imports), "exports": all(&ledger.exports) })
}

fn interface(types: &TypeRegistry, interface: &Interface) -> Value {
    json!({
        "name": interface.name,
        "functions": interface.functions.iter().map(|it| function(types, it)).collect::<Value>(),
        "resources": interface.resources,
        "types": interface.types.iter().map(|it| it.name.as_str()).collect::<Value>(),
    })
}

fn function(types: &TypeRegistry, function: &Function) -> Value {
    let param = |name: &str, ty: String| json!({ "name": name, "type": ty });
    let params = function.params.iter().map(|it| param(&it.name, types.wit(it.ty).to_string()));
    json!({
        "name": function.name,
        "params": params.collect::<Value>(),
        "result": function.result.map(|ty| types.wit(ty).to_string()),
        "async": function.is_async,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: Val, expected: &str) {
        assert_eq!(shown(&value).to_string(), expected);
    }

    fn some(value: Val) -> Val {
        Val::Option(Some(Box::new(value)))
    }

    #[test]
    fn numbers_are_exact_and_what_is_no_number_is_text() {
        check(Val::U64(u64::MAX), "18446744073709551615");
        check(Val::S64(i64::MIN), "-9223372036854775808");
        check(Val::Float32(0.1), "0.1");
        check(Val::Float64(0.1), "0.1");
        check(Val::Float32(f32::NAN), "\"nan\"");
        check(Val::Float64(f64::NEG_INFINITY), "\"-inf\"");
    }

    #[test]
    fn an_option_in_an_option_loses_nothing() {
        check(Val::Option(None), "null");
        check(some(Val::U8(1)), "1");
        check(some(Val::Option(None)), r#"{"some":null}"#);
        check(some(some(Val::U8(1))), r#"{"some":1}"#);
    }

    #[test]
    fn cases_results_records_and_maps() {
        check(Val::Variant("denied".into(), None), "\"denied\"");
        check(Val::Variant("not-found".into(), Some(Box::new(Val::String("k".into())))), r#"{"not-found":"k"}"#);
        check(Val::Result(Ok(None)), r#"{"ok":null}"#);
        check(Val::Result(Err(Some(Box::new(Val::Char('c'))))), r#"{"err":"c"}"#);
        check(Val::Record(vec![("a".into(), Val::Bool(true))]), r#"{"a":true}"#);
        check(Val::Map(vec![(Val::U8(1), Val::Flags(vec!["r".into()]))]), r#"[[1,["r"]]]"#);
        check(Val::Tuple(vec![Val::U8(1), Val::List(vec![])]), "[1,[]]");
    }
}
