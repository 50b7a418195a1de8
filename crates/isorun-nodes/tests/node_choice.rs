//! What the factory makes of components: which shape, and why; or what is the matter.

mod support;

use isorun_nodes::{
    ArtifactKind, ComponentExecutionError, LoadedModule, NodeShape, WasmArtifact, WasmProcessorFactory,
};
use isorun_runtime::WasmtimeEngine;
use support::{TYPED_RLE, helpers, module, pointers, pointers_core, rle};

/// A component that exports functions of these types, at the root (`name`) or in an interface (`ns:pkg/iface#name`).
///
/// Nothing of it runs: each function is the same core function, or none where its core type differs.
fn exporting(functions: &[(&str, &str)]) -> String {
    let mut wat = String::from("(component\n");
    for (at, (_, ty)) in functions.iter().enumerate() {
        wat += &format!("(type $f{at} (func {ty}))\n");
    }
    // Imports have whatever type one likes, and can be exported again.
    for at in 0..functions.len() {
        wat += &format!("(import \"i{at}\" (func $i{at} (type $f{at})))\n");
    }
    let mut interfaces: Vec<&str> = functions.iter().filter_map(|(path, _)| Some(path.split_once('#')?.0)).collect();
    interfaces.dedup();
    for interface in interfaces {
        wat += "(instance $n";
        wat += &interface.replace([':', '/', '@', '.'], "-");
        for (at, (path, _)) in functions.iter().enumerate() {
            if let Some((of, name)) = path.split_once('#')
                && of == interface
            {
                wat += &format!(" (export \"{name}\" (func $i{at}))");
            }
        }
        wat += &format!(")\n(export \"{interface}\" (instance $n{}))\n", interface.replace([':', '/', '@', '.'], "-"));
    }
    for (at, (path, _)) in functions.iter().enumerate() {
        if !path.contains('#') {
            wat += &format!("(export \"{path}\" (func $i{at}))\n");
        }
    }
    wat + ")"
}

const BYTES: &str = r#"(param "input" (list u8)) (result (result (list u8) (error string)))"#;
const PLAIN: &str = r#"(param "bytes" (list u8)) (result (list u8))"#;
const STREAM: &str = r#"(param "input" (stream u8)) (result (stream u8))"#;
const POINTED: &str = r#"(param "input-ptr" u32) (param "input-len" u64) (param "output-len-ptr" u32)
    (result (result u32 (error string)))"#;
const ALLOCATE: &str = r#"(param "size" u64) (result (result u32 (error string)))"#;
const DEALLOCATE: &str = r#"(param "ptr" u32) (param "size" u64) (result (result (error string)))"#;
const WRITE_INPUT: &str = r#"(param "offset" u32) (param "data" (list u8))"#;
const READ_OUTPUT: &str = r#"(param "offset" u32) (param "len" u64) (result (result (list u8) (error string)))"#;

fn check(functions: &[(&str, &str)], chosen: Option<&str>, expected: Result<(NodeShape, &[&str]), &str>) {
    let factory = match chosen {
        Some(function) => WasmProcessorFactory::new().function(function),
        None => WasmProcessorFactory::new(),
    };
    let wat = exporting(functions);
    match (factory.choose(&module(&wat)), expected) {
        (Ok(choice), Ok((shape, functions))) => {
            assert_eq!(
                (choice.shape, choice.functions.iter().map(String::as_str).collect::<Vec<_>>()),
                (shape, functions.to_vec())
            );
            assert!(choice.because.contains(&choice.functions[0]), "{choice}");
        }
        (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected),
        (found, expected) => panic!("{found:?} where {expected:?}"),
    }
}

#[test]
fn each_shape_is_known_by_its_functions_at_the_root_or_in_an_interface() {
    use NodeShape::{Helpers, Pointers, Typed};
    check(&[("process", BYTES)], None, Ok((Typed, &["process"])));
    check(&[("process", PLAIN)], None, Ok((Typed, &["process"])));
    check(&[("a:b/c@1.0.0#process", BYTES), ("other", PLAIN)], None, Ok((Typed, &["a:b/c@1.0.0#process"])));
    check(
        &[("process", POINTED), ("write-input", WRITE_INPUT), ("read-output", READ_OUTPUT)],
        None,
        Ok((Helpers, &["process", "write-input", "read-output"])),
    );
    check(
        &[("a:b/c#allocate", ALLOCATE), ("a:b/c#process", POINTED), ("a:b/c#deallocate", DEALLOCATE)],
        None,
        Ok((Pointers, &["a:b/c#process", "a:b/c#allocate", "a:b/c#deallocate"])),
    );
}

#[test]
fn sizes_may_be_of_either_width_and_results_without_result() {
    let pointed = r#"(param "a" u32) (param "b" u32) (param "c" u64) (result u32)"#;
    let functions = [
        ("allocate", r#"(param "n" u32) (result u32)"#),
        ("process", pointed),
        ("deallocate", r#"(param "a" u32) (param "n" u32)"#),
    ];
    check(&functions, None, Ok((NodeShape::Pointers, &["process", "allocate", "deallocate"])));
    let functions = [
        ("write-input", r#"(param "o" u64) (param "d" (list u8)) (result (result (error string)))"#),
        ("read-output", r#"(param "o" u32) (param "n" u32) (result (list u8))"#),
        ("process", pointed),
    ];
    check(&functions, None, Ok((NodeShape::Helpers, &["process", "write-input", "read-output"])));
}

#[test]
fn of_several_shapes_the_typed_one_is_taken_and_the_others_are_named() {
    let functions =
        [("process", POINTED), ("allocate", ALLOCATE), ("deallocate", DEALLOCATE), ("a:b/c#process", BYTES)];
    let choice = WasmProcessorFactory::new().choose(&module(&exporting(&functions))).unwrap();
    assert_eq!(
        choice.to_string(),
        "typed (a:b/c#process): `a:b/c#process` takes and gives bytes; passed over for it: process (pointers)"
    );
    check(&functions, Some("process"), Ok((NodeShape::Pointers, &["process", "allocate", "deallocate"])));
}

#[test]
fn several_of_one_shape_are_refused_until_one_is_chosen() {
    let functions = [("a:b/c@1.0.0#process", BYTES), ("a:b/d#process", PLAIN), ("process", BYTES)];
    let refused = "guest.wasm could be several nodes: choose one of a:b/c@1.0.0#process, a:b/d#process, process";
    check(&functions, None, Err(refused));
    for (chosen, found) in [
        ("a:b/c#process", "a:b/c@1.0.0#process"),
        ("a:b/c@1.0.0#process", "a:b/c@1.0.0#process"),
        ("a:b/d#process", "a:b/d#process"),
        ("process", "process"),
    ] {
        check(&functions, Some(chosen), Ok((NodeShape::Typed, &[found])));
    }
}

#[test]
fn a_function_of_another_name_is_taken_where_it_is_chosen() {
    check(&[("encode", BYTES), ("decode", BYTES)], Some("decode"), Ok((NodeShape::Typed, &["decode"])));
    let refused = "guest.wasm exports no `code`; it exports encode, decode";
    check(&[("encode", BYTES), ("decode", BYTES)], Some("code"), Err(refused));
}

#[test]
fn streams_are_refused_in_their_own_words() {
    let refused = "guest.wasm: `process` takes or gives a stream (func(input: stream<u8>) -> stream<u8>), and nodes do \
                   not carry streams yet: let it take and give `list<u8>`";
    check(&[("process", STREAM)], None, Err(refused));
    check(&[("process", STREAM)], Some("process"), Err(refused));
    // Where there is a way without, it is taken.
    check(&[("process", STREAM), ("a:b/c#process", BYTES)], None, Ok((NodeShape::Typed, &["a:b/c#process"])));
}

#[test]
fn what_has_no_known_shape_is_told_all_that_differs() {
    let functions = [("process", r#"(param "input" string) (result string)"#), ("allocate", ALLOCATE)];
    let refused = "\
guest.wasm is no processing node
  typed: `process` is func(input: string) -> string, wanted func(input: list<u8>) -> result<list<u8>, string>
  helpers: `process` is func(input: string) -> string, wanted func(input-ptr: u32, input-len: u64, output-len-ptr: u32) \
                   -> result<u32, string>; `write-input` is missing: func(offset: u32, data: list<u8>); `read-output` is \
                   missing: func(offset: u32, len: u64) -> result<list<u8>, string>
  pointers: `process` is func(input: string) -> string, wanted func(input-ptr: u32, input-len: u64, output-len-ptr: \
                   u32) -> result<u32, string>; `deallocate` is missing: func(ptr: u32, size: u64) -> result<_, string>
it exports:
  process: func(input: string) -> string
  allocate: func(size: u64) -> result<u32, string>";
    check(&functions, None, Err(refused));
    let nothing = WasmProcessorFactory::new().choose(&module("(component)")).unwrap_err().to_string();
    assert!(nothing.ends_with("it exports no function"), "{nothing}");
}

#[test]
fn what_is_no_component_is_told_what_makes_it_one() {
    let engine = WasmtimeEngine::new().unwrap();
    let cases: [(&[u8], ArtifactKind, &str); 5] = [
        (b"\0asm\x01\0\0\0", ArtifactKind::CoreModule, "wasm-tools component new"),
        (b"\n;; a node\n  (component)", ArtifactKind::Text, "wasm-tools parse"),
        (b"(module)", ArtifactKind::Text, "wasm-tools parse"),
        (b"\x7fELF", ArtifactKind::Garbage, "component toolchain"),
        (b"", ArtifactKind::Garbage, "component toolchain"),
    ];
    for (bytes, kind, remedy) in cases {
        let artifact = WasmArtifact::new(bytes.to_vec(), "node.wasm");
        assert_eq!(artifact.kind(), kind);
        let error = LoadedModule::load(&engine, &artifact).unwrap_err();
        assert!(error.to_string().contains(remedy), "{error}");
        assert_eq!(error, ComponentExecutionError::NotAComponent { origin: "node.wasm".into(), kind });
    }
    let damaged = LoadedModule::load(&engine, &WasmArtifact::new(b"\0asm\x0d\0\x01\0junk".to_vec(), "node.wasm"));
    assert!(matches!(damaged, Err(ComponentExecutionError::Load { .. })), "{damaged:?}");
}

#[tokio::test]
async fn a_component_that_is_not_linked_is_told_what_it_imports() {
    let wat = exporting(&[("process", BYTES)]);
    let error = WasmProcessorFactory::new().build(&module(&wat)).await.unwrap_err();
    assert!(matches!(error, ComponentExecutionError::NotLinked { .. }), "{error}");
    assert!(error.to_string().contains("i0"), "{error}");
}

async fn wrapped(core: &str) -> Result<(NodeShape, Vec<u8>), ComponentExecutionError> {
    let artifact = WasmArtifact::new(wat::parse_str(core).unwrap(), "core.wasm");
    assert_eq!(artifact.kind(), ArtifactKind::CoreModule);
    let engine = WasmtimeEngine::new().unwrap();
    let module = LoadedModule::load(&engine, &artifact.componentize()?)?;
    let node = WasmProcessorFactory::new().build(&module).await?;
    Ok((node.choice().shape, node.execute(b"aaabbc").await?))
}

/// The core module of a component in text that has one.
fn core_of(component: &str) -> String {
    let start = component.find("(core module").unwrap();
    let body = component[start..].find(char::is_whitespace).unwrap() + start + " module $M".len();
    let (mut depth, mut end) = (1, body);
    for (at, byte) in component[body..].bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            end = body + at;
            break;
        }
    }
    format!("(module {})", &component[body..end])
}

#[tokio::test]
async fn a_core_module_is_wrapped_by_what_it_exports() {
    let expected = rle(b"aaabbc").unwrap();
    let typed =
        core_of(TYPED_RLE).replace("\"realloc\"", "\"cabi_realloc\"").replace("\"post\"", "\"cabi_post_process\"");
    let helpers = core_of(&helpers("")).replace("\"realloc\"", "\"cabi_realloc\"");
    let pointers = format!("(module {})", pointers_core("", "", ""));
    for (shape, core) in [(NodeShape::Typed, &typed), (NodeShape::Helpers, &helpers), (NodeShape::Pointers, &pointers)]
    {
        assert_eq!(wrapped(core).await, Ok((shape, expected.clone())));
    }
    let in_interface = typed
        .replace("(export \"process\")", "(export \"isorun:processing/node@0.1.0#process\")")
        .replace("cabi_post_process", "cabi_post_isorun:processing/node@0.1.0#process");
    assert_eq!(wrapped(&in_interface).await, Ok((NodeShape::Typed, expected)));
}

#[tokio::test]
async fn a_core_module_that_cannot_be_wrapped_is_told_why() {
    let process =
        r#"(memory (export "memory") 1) (func (export "process") (param i32 i32) (result i32) (i32.const 0))"#;
    let realloc = r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))"#;
    let func = |name: &str, types: &str| format!("(func (export \"{name}\") {types} unreachable)");
    let with_memory = |memory: &str| format!("(module {} {realloc})", process.replace("1)", memory));
    for (core, why) in [
        (r#"(module (func (export "run")))"#.to_owned(), "no `process`, alone or with `write-input`"),
        (r#"(module (func (export "run")))"#.to_owned(), "it exports run"),
        ("(module)".into(), "it exports no function"),
        (
            r#"(module (func (export "process") (param i32 i32) (result i32) (i32.const 0)))"#.into(),
            "it exports no `memory`",
        ),
        (
            format!("(module {process})"),
            "it exports no `cabi_realloc: (i32, i32, i32, i32) -> i32`, which the input is allocated with",
        ),
        (
            format!(r#"(module {process} (func (export "cabi_realloc") (param i32)))"#),
            "its `cabi_realloc` is (i32) -> nothing, wanted (i32, i32, i32, i32) -> i32",
        ),
        (
            format!(r#"(module (import "env" "log" (func)) (import "env" "t" (table 0 funcref)) {process} {realloc})"#),
            "it imports `log` of `env` (a function), `t` of `env` (a table), and what is wrapped can import nothing",
        ),
        (format!(r#"(module (import "wasi_snapshot_preview1" "f" (func)) {process})"#), "wasm32-wasip2"),
        (
            format!(r#"(module (memory (export "memory") 1) (func (export "process")) {realloc})"#),
            "its `process` is () -> nothing, wanted (i32, i32) -> i32",
        ),
        (with_memory("i64 1)"), "its memory has 64-bit addresses, wanted 32-bit ones: build it for wasm32"),
        (with_memory("1 1 shared)"), "its memory is shared"),
        (
            format!(
                r#"(module (memory (export "memory") 1) {} {realloc})"#,
                func("process", "(param i32 i64 i32) (result i32)")
            ),
            "its `process` is (i32, i64, i32) -> i32, wanted (i32, i32) -> i32; with offsets or pointers it stands \
             beside `write-input`",
        ),
        (
            format!(
                r#"(module (memory (export "memory") 1) {} {} {})"#,
                func("process", "(param i32 i64 i32) (result i32)"),
                func("allocate", "(param i32) (result i32)"),
                func("deallocate", "(param i32 i64) (result i32)"),
            ),
            "its `allocate` is (i32) -> i32, wanted (i64) -> i32",
        ),
    ] {
        let error = wrapped(&core).await.unwrap_err();
        assert!(matches!(&error, ComponentExecutionError::NotComponentized { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error} where {why}");
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
    let component = WasmArtifact::new(wat::parse_str(pointers("")).unwrap(), "node.wasm");
    assert_eq!(component.componentize().unwrap().bytes(), component.bytes());
    let damaged = WasmArtifact::new(b"\0asm\x01\0\0\0junk".to_vec(), "core.wasm").componentize().unwrap_err();
    assert!(damaged.to_string().contains("damaged"), "{damaged}");
}
