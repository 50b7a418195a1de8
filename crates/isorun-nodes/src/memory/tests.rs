use isorun_runtime::introspect::introspect;
use isorun_runtime::prescan::prescan;
use proptest::prelude::*;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::{AT, PUT, READ, SIZE, append};

/// Functions of the shape, which do nothing.
const CORE: &str = r#"
    (func (export "allocate") (param i64) (result i32) (i32.const 0))
    (func (export "process") (param i32 i64 i32) (result i32) (i32.const 0))
    (func (export "deallocate") (param i32 i64) (result i32) (i32.const 0))"#;

/// Their lifts without results, which need no memory of their own; `{}` stands for the instance.
const LIFTS: &str = r#"
    (func $allocate (param "size" u64) (result u32) (canon lift (core func {} "allocate")))
    (func $process (param "a" u32) (param "b" u64) (param "c" u32) (result u32) (canon lift (core func {} "process")))
    (func $deallocate (param "a" u32) (param "b" u64) (result u32) (canon lift (core func {} "deallocate")))"#;

const EXPORTS: &str = r#"
    (export "allocate" (func $allocate)) (export "process" (func $process)) (export "deallocate" (func $deallocate))"#;

const FUNCTIONS: [&str; 3] = ["process", "allocate", "deallocate"];

/// A component of one module with that memory, in text.
fn with_memory(memory: &str) -> String {
    let lifts = LIFTS.replace("{}", "$m");
    format!("(component (core module $M {memory} {CORE}) (core instance $m (instantiate $M)) {lifts} {EXPORTS})")
}

fn parse(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap_or_else(|error| panic!("{error}\n{wat}"))
}

/// Appends to a component and looks at what came of it.
fn appended(component: &[u8], interface: Option<&str>, functions: &[&str]) -> Result<(), String> {
    let whole = append(component, interface, functions)?;
    assert!(whole.starts_with(component), "its own bytes are not the first any more");
    prescan(&whole).unwrap();
    let (before, mut after) = (introspect(component).unwrap(), introspect(&whole).unwrap());
    let root = after.exports.iter_mut().find(|export| export.name.is_none()).unwrap();
    let names: Vec<&str> = root.functions.iter().rev().take(4).map(|function| function.name.as_str()).collect();
    assert_eq!(names, [SIZE, READ, PUT, AT]);
    root.functions.truncate(root.functions.len() - 4);
    after.exports.retain(|export| export.name.is_some() || !export.functions.is_empty() || !export.types.is_empty());
    assert_eq!(after.to_string(), before.to_string(), "more than the accessors is new");
    Ok(())
}

fn refused(wat: &str) -> String {
    let component = parse(wat);
    prescan(&component).unwrap();
    introspect(&component).unwrap();
    append(&component, None, &FUNCTIONS).unwrap_err()
}

#[test]
fn the_components_own_bytes_stay_and_nothing_but_accessors_is_new() {
    appended(&parse(&with_memory(r#"(memory (export "memory") 1)"#)), None, &FUNCTIONS).unwrap();
    appended(&parse(&with_memory(r#"(memory (export "mem") 0 3)"#)), None, &FUNCTIONS).unwrap();
}

/// What a toolchain makes of a core module and a world whose functions stand in an interface.
fn in_interface() -> Vec<u8> {
    let core = CORE.replace("(export \"", "(export \"demo:node/raw@1.0.0#");
    let mut module = parse(&format!(r#"(module (memory (export "memory") 1) {core})"#));
    let wit = "package demo:node@1.0.0;
        interface raw {
            allocate: func(size: u64) -> result<u32, string>;
            process: func(input-ptr: u32, input-len: u64, output-len-ptr: u32) -> result<u32, string>;
            deallocate: func(ptr: u32, size: u64) -> result<_, string>;
        }
        world w { export raw; }";
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_source("node.wit", wit).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

#[test]
fn functions_of_an_interface_are_followed_through_what_toolchains_make_of_it() {
    appended(&in_interface(), Some("demo:node/raw@1.0.0"), &FUNCTIONS).unwrap();
    let bag = with_memory(r#"(memory (export "memory") 1)"#);
    let bag = bag.replace(EXPORTS, &format!("(instance $i {EXPORTS}) (export \"demo:node/raw@1.0.0\" (instance $i))"));
    appended(&parse(&bag), Some("demo:node/raw@1.0.0"), &FUNCTIONS).unwrap();
    // A function that is another's alias, and exported twice.
    let alias = with_memory(r#"(memory (export "memory") 1)"#).replace(
        EXPORTS,
        &format!(
            "(instance $i {EXPORTS}) (export $p \"process\" (func $i \"process\")) (export \"process-too\" (func $p))
            (export \"allocate\" (func $i \"allocate\")) (export \"deallocate\" (func $i \"deallocate\"))"
        ),
    );
    appended(&parse(&alias), None, &["process-too", "allocate", "deallocate"]).unwrap();
}

#[test]
fn memory_that_a_module_was_given_is_followed_to_the_one_that_has_it() {
    let lifts = LIFTS.replace("{}", "$m");
    let given = format!(
        r#"(component
        (core module $L (memory (export "memory") 1))
        (core instance $l (instantiate $L))
        (alias core export $l "memory" (core memory $memory))
        (core instance $bag (export "m" (memory $memory)))
        (core module $M (import "env" "m" (memory 1)) {CORE})
        (core instance $m (instantiate $M (with "env" (instance $bag))))
        {lifts} {EXPORTS})"#
    );
    appended(&parse(&given), None, &FUNCTIONS).unwrap();
}

#[test]
fn of_several_memories_the_one_that_results_lie_in_is_taken() {
    let two = with_memory(r#"(memory (export "a") 1) (memory (export "b") 2)"#);
    let why = refused(&two);
    assert_eq!(why, "its functions may work on several memories: `a` of core instance 0, `b` of core instance 0");
    let told = two.replace(
        r#"(param "a" u32) (param "b" u64) (param "c" u32) (result u32) (canon lift (core func $m "process"))"#,
        r#"(param "a" u32) (param "b" u64) (param "c" u32) (result (result u32 (error string)))
            (canon lift (core func $m "process") (memory (core memory $m "b")))"#,
    );
    appended(&parse(&told), None, &FUNCTIONS).unwrap();
}

#[test]
fn memories_out_of_reach_are_refused_by_name() {
    for (memory, why) in [
        ("(memory 1)", "the core module does not export its memory"),
        ("", "the core module does not export its memory"),
        (r#"(memory (export "memory") i64 1)"#, "its memory has 64-bit addresses"),
        (r#"(memory (export "memory") 1 2 shared)"#, "its memory is shared"),
        (r#"(memory (export "memory") 1 (pagesize 1))"#, "its memory has pages of its own size"),
    ] {
        assert_eq!(refused(&with_memory(memory)), why);
    }
}

#[test]
fn components_inside_others_are_refused_by_name() {
    let inner = with_memory(r#"(memory (export "memory") 1)"#).replacen("(component", "(component $C", 1);
    let nested = format!(
        r#"(component {inner} (instance $c (instantiate $C)) (export "process" (func $c "process"))
        (export "allocate" (func $c "allocate")) (export "deallocate" (func $c "deallocate")))"#
    );
    let why = "`process` comes from a component inside it (it is nested or composed), whose memory stays there";
    assert_eq!(refused(&nested), why);
    let composed =
        format!(r#"(component {inner} (instance $c (instantiate $C)) (export "demo:node/raw" (instance $c)))"#);
    assert_eq!(append(&parse(&composed), Some("demo:node/raw"), &FUNCTIONS).unwrap_err(), why);
    let imported = r#"(component
        (import "run" (func $run (param "a" u32) (param "b" u64) (param "c" u32) (result u32)))
        (export "process" (func $run)))"#;
    assert_eq!(refused(imported), "`process` is no function of its own, but its import `run`");
}

#[test]
fn names_that_are_taken_are_refused_by_name() {
    for name in [AT, PUT, READ, SIZE] {
        let taken = with_memory(r#"(memory (export "memory") 1)"#)
            .replace(EXPORTS, &format!("{EXPORTS} (export \"{name}\" (func $process))"));
        assert_eq!(refused(&taken), format!("it has an export `{name}` already"));
    }
}

#[test]
fn components_of_real_toolchains_get_accessors() {
    let rle = include_bytes!("../../../../guests/prebuilt/rle.wasm");
    appended(rle, None, &["process"]).unwrap();
    let provider = include_bytes!("../../../../guests/prebuilt/kv-provider.wasm");
    appended(provider, Some("demo:kv/store@0.1.0"), &["get"]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever stands in a component: accessors that validate, or a refusal in words.
    #[test]
    fn damaged_components_are_refused_or_stay_valid(
        which in 0..5usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..5),
    ) {
        let (mut bytes, interface) = match which {
            0 => (parse(&with_memory(r#"(memory (export "memory") 1)"#)), None),
            1 => (parse(&with_memory(r#"(memory (export "a") 1) (memory (export "b") 1)"#)), None),
            2 => (in_interface(), Some("demo:node/raw@1.0.0")),
            3 => (parse(&with_memory(r#"(memory (export "memory") i64 1)"#)), None),
            _ => (include_bytes!("../../../../guests/prebuilt/rle.wasm").to_vec(), None),
        };
        for (at, byte, edit) in edits {
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let functions: &[&str] = if which == 4 { &["process"] } else { &FUNCTIONS };
        match append(&bytes, interface, functions) {
            Ok(whole) => {
                prop_assert!(whole.starts_with(&bytes));
                // What was no component for the runtime is none with accessors.
                if prescan(&bytes).is_ok() && introspect(&bytes).is_ok() {
                    prop_assert!(introspect(&whole).is_ok(), "{:?}", introspect(&whole));
                }
            }
            Err(why) => prop_assert!(!why.is_empty()),
        }
    }
}
