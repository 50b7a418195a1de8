//! Components that pass pointers, among them such as lie: the host follows none that it did not check, and frees what
//! was allocated.

mod support;

use isorun_nodes::{AccessFault, ComponentExecutionError, MemoryRange, WasmProcessorFactory};
use support::{TYPED_RLE, helpers, module, node, pointers, pointers_core, pointers_with, rle};

const PAGE: u64 = 64 << 10;

/// Code that runs where the input begins with 1.
fn on_one(code: &str) -> String {
    format!("(if (i32.eq (i32.load8_u (local.get $p)) (i32.const 1)) (then {code}))")
}

/// Gives `address` and writes `length` where the host wants it.
fn gives(address: &str, length: &str) -> String {
    on_one(&format!("(i64.store (local.get $at) ({length})) (return (call $ok ({address})))"))
}

/// The bad input is told as expected, and the store that it was told of processes the next.
async fn check(wat: &str, expected: &str) {
    let node = node(wat).await;
    let before = node.execute(b"\x02\x02").await;
    assert_eq!(before, Ok(rle(b"\x02\x02").unwrap()));
    for _ in 0..3 {
        let error = node.execute(&[1; 100]).await.unwrap_err();
        assert_eq!(error.to_string(), expected, "{wat}");
    }
    assert_eq!(node.execute(b"\x02\x02").await, before);
}

#[tokio::test]
async fn outputs_outside_of_memory_are_told_and_nothing_is_read() {
    for (address, length, range, memory) in [
        ("i32.const 65536", "i64.const 1", "1 bytes at 0x10000", PAGE),
        ("i32.const 65535", "i64.const 2", "2 bytes at 0xffff", PAGE),
        ("i32.const 1024", "i64.const 0xffffffff", "4294967295 bytes at 0x400", PAGE),
        ("i32.const -1", "i64.const 1", "1 bytes at 0xffffffff", PAGE),
        ("i32.const -1", "i64.const -1", "18446744073709551615 bytes at 0xffffffff", PAGE),
        ("i32.const 0", "i64.const 65537", "65537 bytes at 0x0", PAGE),
        ("i32.const 1", "i64.const 0xffffffffffffffff", "18446744073709551615 bytes at 0x1", PAGE),
        ("i32.const 65537", "i64.const 0", "0 bytes at 0x10001", PAGE),
    ] {
        let expected = format!("memory access failed: the output of process: {range}: its memory has {memory} bytes");
        check(&pointers(&gives(address, length)), &expected).await;
    }
}

#[tokio::test]
async fn an_output_longer_than_any_may_be_is_told_where_memory_has_it() {
    let grow = "(call $grow (i32.const 30000000))";
    let process =
        on_one(&format!("{grow} (i64.store (local.get $at) (i64.const 25000000)) (return (call $ok (i32.const 8)))"));
    // It counts as allocated, and so is freed.
    let process = process.replace("(then ", "(then (drop (call $alloc (i32.const 8)))");
    let expected = "memory access failed: the output of process: 25000000 bytes at 0x8: an output has 20 MiB less 64 bytes at most";
    check(&pointers(&process), expected).await;
}

#[tokio::test]
async fn pointers_of_the_allocator_are_checked_before_they_are_written_to() {
    // The first byte of no input is known yet: every third allocation is bad, of which there are two an input.
    for (code, what) in [
        ("i32.const 0", "the input of allocate: 100 bytes at 0x0: a null pointer"),
        ("i32.const 65536", "the input of allocate: 100 bytes at 0x10000: its memory has 65536 bytes"),
        ("i32.const 65437", "the input of allocate: 100 bytes at 0xff9d: its memory has 65536 bytes"),
        ("i32.const -1", "the input of allocate: 100 bytes at 0xffffffff: its memory has 65536 bytes"),
    ] {
        let allocate = format!("(if (i64.eq (local.get $n) (i64.const 100)) (then (return (call $ok ({code})))))");
        check(&pointers_with(&allocate, "", ""), &format!("memory access failed: {what}")).await;
    }
    // The place for the length is as bad as the one for the input; what is allocated by then is freed.
    let allocate =
        "(if (i32.and (i64.eq (local.get $n) (i64.const 8)) (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 1)))
        (then (return (call $ok (i32.const -4)))))";
    let expected =
        "memory access failed: the output's length of allocate: 8 bytes at 0xfffffffc: its memory has 65536 bytes";
    check(&pointers_with(allocate, "", ""), expected).await;
}

#[tokio::test]
async fn the_very_ends_of_memory_are_read_and_written() {
    let last = "(if (i64.eq (local.get $n) (i64.const 100))
        (then (global.set $allocated (i32.add (global.get $allocated) (i32.const 1))) (return (call $ok (i32.const 65436)))))";
    let node = node(&pointers_with(last, "", "")).await;
    let input: Vec<u8> = (0..100).collect();
    assert_eq!(node.execute(&input).await, Ok(rle(&input).unwrap()));
}

/// Gives a part of its own memory: the input is an address and a length, 4 bytes each.
const PEEK: &str = "(i64.store (local.get $at) (i64.load32_u offset=4 (local.get $p)))
    (return (call $ok (i32.load (local.get $p))))";
/// What is not its own is not freed.
const KEEP: &str = "(if (i32.or (i32.lt_u (local.get $p) (i32.const 1024)) (i32.ge_u (local.get $p) (i32.const 1056)))
    (then (i32.store8 (i32.const 16) (i32.const 0)) (return (i32.const 16))))";

#[tokio::test]
async fn reading_leaves_memory_as_it_was_wherever_it_begins_and_ends() {
    let node = node(&pointers_with("", PEEK, KEEP)).await;
    let peek = async |address: u32, length: u32| {
        let input = [address.to_le_bytes(), length.to_le_bytes()].concat();
        node.execute(&input).await.map_err(|error| format!("{address} {length}: {error}"))
    };
    // All but the last 8 bytes takes one reading, all of it two.
    let mut whole = peek(8, PAGE as u32 - 8).await.unwrap();
    whole.splice(0..0, peek(0, 8).await.unwrap());
    // Results are at 16, and the input itself at 1024: not what stays.
    let but = |bytes: &[u8], from: usize| -> Vec<u8> {
        let varies = |at: usize| (16..32).contains(&at) || (1024..1056).contains(&at);
        bytes.iter().enumerate().map(|(at, byte)| if varies(from + at) { 0 } else { *byte }).collect()
    };
    for address in [0, 1, 4, 7, 8, 9, 15, 16, 1000, 65527, 65528, 65529, 65535, 65536] {
        for length in [0, 1, 3, 7, 8, 9, 64, 65519, 65520, 65528, 65529, 65532, 65535, 65536] {
            if address + length <= PAGE as u32 {
                let from = address as usize;
                let read = peek(address, length).await.unwrap();
                assert_eq!(but(&read, from), but(&whole[from..from + length as usize], from), "{address} {length}");
            } else {
                assert!(peek(address, length).await.is_err());
            }
        }
    }
}

#[tokio::test]
async fn memory_that_grew_in_the_call_is_looked_at_again() {
    let process = on_one(
        "(call $grow (i32.const 3000000)) (i32.store8 (i32.const 2999999) (i32.const 42))
         (i64.store (local.get $at) (i64.const 1)) (drop (call $alloc (i32.const 1)))
         (return (call $ok (i32.const 2999999)))",
    );
    let node = node(&pointers(&process)).await;
    assert_eq!(node.execute(&[1]).await.unwrap(), [42]);
    assert_eq!(node.execute(&[2]).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn an_output_in_the_inputs_place_is_freed_once() {
    let process = "(i64.store (local.get $at) (i64.extend_i32_u (local.get $n))) (return (call $ok (local.get $p)))";
    let node = node(&pointers(process)).await;
    for input in [&b"abc"[..], b"", b"def"] {
        assert_eq!(node.execute(input).await.unwrap(), input);
    }
}

#[tokio::test]
async fn what_was_allocated_is_freed_where_the_guest_fails_and_where_it_gives_nothing() {
    let node = node(&pointers(&gives("i32.const 0", "i64.const 0"))).await;
    for _ in 0..3 {
        // Its `process` says so if anything is left from before.
        let failed = node.execute(b"\xff").await.unwrap_err();
        assert_eq!(failed.to_string(), "cannot encode 0xff");
        assert_eq!(node.execute(&[1]).await.unwrap(), b"");
        assert_eq!(node.execute(b"ab").await.unwrap(), b"\x01a\x01b");
    }
}

#[tokio::test]
async fn a_guest_that_does_not_free_is_told_as_such_and_gets_a_fresh_store() {
    let refuse = "(if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 1)) (then (return (call $fail (i32.const 96) (i32.const 11)))))";
    let node = node(&pointers_with("", "", refuse)).await;
    let error = node.execute(&[1, 1]).await.unwrap_err();
    let (what, range) = ("the output", MemoryRange { address: 1040, bytes: 2 });
    let (function, message) = ("deallocate".to_owned(), "freed twice".to_owned());
    assert_eq!(error, ComponentExecutionError::DeallocateFailed { what, function, range, message });
    assert_eq!(error.to_string(), "`deallocate` did not free the output (2 bytes at 0x410): freed twice");
    assert_eq!(node.execute(b"ab").await.unwrap(), b"\x01a\x01b");
    // The guest's error goes before: it came first.
    let both = on_one("(return (call $fail (i32.const 64) (i32.const 18)))");
    let node = support::node(&pointers_with("", &both, refuse)).await;
    assert_eq!(node.execute(&[1]).await.unwrap_err().to_string(), "cannot encode 0xff");
    assert_eq!(node.execute(b"ab").await.unwrap(), b"\x01a\x01b");
}

#[tokio::test]
async fn an_allocator_that_says_no_is_told_in_its_own_words() {
    let allocate =
        "(if (i64.gt_u (local.get $n) (i64.const 50)) (then (return (call $fail (i32.const 160) (i32.const 9)))))";
    check(&pointers_with(allocate, "", ""), "no memory").await;
}

#[tokio::test]
async fn a_trap_costs_the_store_and_the_next_input_gets_a_fresh_one() {
    for (at, wat) in [
        ("allocate", pointers_with("(if (i64.eq (local.get $n) (i64.const 100)) (then unreachable))", "", "")),
        ("process", pointers(&on_one("unreachable"))),
        (
            "deallocate",
            pointers_with("", "", "(if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 1)) (then unreachable))"),
        ),
    ] {
        let node = node(&wat).await;
        let error = node.execute(&[1; 100]).await.unwrap_err();
        let ComponentExecutionError::Trap { function, message } = &error else { panic!("{error:?}") };
        assert_eq!((function.as_str(), message.contains("unreachable")), (at, true), "{message}");
        assert_eq!(node.execute(b"ab").await.unwrap(), b"\x01a\x01b");
    }
}

#[tokio::test]
async fn memory_past_the_budget_is_told_with_the_limit() {
    let mut budget = isorun_nodes::NodeOptions::BUDGET;
    budget.max_memory_bytes = 1 << 20;
    let node = WasmProcessorFactory::new().budget(budget).build(&module(&pointers(""))).await.unwrap();
    let error = node.execute(&vec![3; 2 << 20]).await.unwrap_err();
    let ComponentExecutionError::Limit { which, limit, wanted, .. } = &error else { panic!("{error:?}") };
    assert_eq!((which.as_str(), *limit), ("max_memory_bytes", 1 << 20));
    assert!(*wanted > 1 << 20);
    assert_eq!(node.execute(b"ab").await.unwrap(), b"\x01a\x01b");
}

#[tokio::test]
async fn helpers_that_lie_are_told_and_the_store_lives_on() {
    for (address, length, expected) in [
        (
            "i32.const 0",
            "i64.const 20971457",
            "the output of process: 20971457 bytes at 0x0: an output has 20 MiB less 64 bytes at most",
        ),
        (
            "i32.const 0",
            "i64.const -1",
            "the output of process: 18446744073709551615 bytes at 0x0: an output has 20 MiB less 64 bytes at most",
        ),
        (
            "i32.const 0",
            "i64.const 0xffffffff",
            "the output of process: 4294967295 bytes at 0x0: an output has 20 MiB less 64 bytes at most",
        ),
    ] {
        check(&helpers(&gives(address, length)), &format!("memory access failed: {expected}")).await;
    }
    // A list outside of its own memory is what the canonical ABI traps at.
    let node = node(&helpers(&gives("i32.const -2000", "i64.const 10"))).await;
    let error = node.execute(&[1]).await.unwrap_err();
    assert!(matches!(error, ComponentExecutionError::Trap { .. }), "{error}");
    assert_eq!(node.execute(b"ab").await.unwrap(), b"\x01a\x01b");
    // Another number of bytes than was asked for.
    let short = helpers("").replacen("(i32.wrap_i64 (local.get $n))", "(i32.const 3)", 1);
    let error = support::node(&short).await.execute(b"ab").await.unwrap_err();
    let ComponentExecutionError::MemoryAccessFailed { what, cause, .. } = error else { panic!("{error:?}") };
    assert_eq!((what, cause), ("the output's length", AccessFault::OtherLength { bytes: 3 }));
}

#[tokio::test]
async fn an_address_that_the_other_functions_have_no_room_for_is_told() {
    let wide = helpers(&on_one("(i64.store (local.get $at) (i64.const 1)) (return (call $ok_wide))"));
    // The same with a 64-bit result, whose place is 8 bytes on.
    let wide = wide
        .replace(
            "(result (result u32 (error string)))\n    (canon lift (core func $m \"process\")",
            "(result u64)\n    (canon lift (core func $m \"process\")",
        )
        .replace("(return (call $ok_wide))", "(return (i64.const 0x100000000))")
        .replace("(param $n64 i64) (param $at i32) (result i32)", "(param $n64 i64) (param $at i32) (result i64)")
        .replace("(then (return (call $fail (i32.const 64) (i32.const 18)))))", "(then unreachable))")
        .replace(
            "(call $ok (i32.sub (local.get $o) (i32.const 1024)))",
            "(i64.extend_i32_u (i32.sub (local.get $o) (i32.const 1024)))",
        );
    check(&wide, "memory access failed: the output of process: 1 bytes at 0x100000000: addresses have 32 bits").await;
}

#[tokio::test]
async fn functions_without_result_and_of_32_bits_do_as_well() {
    let core = pointers_core("", "", "")
        .replace(
            r#"(func (export "allocate") (param $n i64) (result i32)"#,
            r#"(func (export "allocate") (param $n i32) (result i32)"#,
        )
        .replace("(call $ok (call $alloc (i32.wrap_i64 (local.get $n))))", "(call $alloc (local.get $n))")
        .replace("(call $ok (local.get $o))", "(local.get $o)")
        .replace("(then (return (call $fail (i32.const 128) (i32.const 16))))", "(then unreachable)")
        .replace("(then (return (call $fail (i32.const 64) (i32.const 18))))", "(then unreachable)")
        .replace(
            r#"(func (export "deallocate") (param $p i32) (param $n i64) (result i32)"#,
            r#"(func (export "deallocate") (param $p i32) (param $n i64)"#,
        )
        .replace("(then (return (call $fail (i32.const 96) (i32.const 11))))", "(then unreachable)")
        .replace(
            "(i32.store8 (i32.const 16) (i32.const 0)) (i32.const 16))\n    (func (export \"process\")",
            ")\n    (func (export \"process\")",
        );
    let wat = format!(
        r#"(component (core module $M {core}) (core instance $m (instantiate $M))
        (func (export "allocate") (param "n" u32) (result u32) (canon lift (core func $m "allocate")))
        (func (export "deallocate") (param "p" u32) (param "n" u64) (canon lift (core func $m "deallocate")))
        (func (export "process") (param "p" u32) (param "n" u64) (param "at" u32) (result u32)
            (canon lift (core func $m "process"))))"#
    );
    let node = node(&wat).await;
    for input in [&b""[..], b"a", b"aab", &[5; 70_000]] {
        assert_eq!(node.execute(input).await, Ok(rle(input).unwrap()));
    }
    assert!(matches!(node.execute(b"\xff").await, Err(ComponentExecutionError::Trap { .. })));
    assert_eq!(node.execute(b"ab").await.unwrap(), b"\x01a\x01b");
}

#[tokio::test]
async fn accessors_show_in_no_ledger_and_nodes_of_one_module_share_code() {
    let module = module(&pointers(""));
    let before = module.ledger().to_string();
    let first = WasmProcessorFactory::new().build(&module).await.unwrap();
    let compiled = module.component().engine().compile_counts().compiled;
    let second = WasmProcessorFactory::new().build(&module.clone()).await.unwrap();
    assert_eq!(module.component().engine().compile_counts().compiled, compiled);
    assert_eq!(first.execute(b"aa").await, second.execute(b"aa").await);
    assert_eq!(module.ledger().to_string(), before);
    assert!(!before.contains("isorun-memory") && !first.choice().to_string().contains("isorun-memory"));
}

#[tokio::test]
async fn a_composed_component_is_a_node_in_any_shape_but_with_pointers() {
    let inside = |component: &str, functions: &[&str]| {
        let inner = component.trim_start_matches(|c| c != '(').replacen("(component", "(component $C", 1);
        let exports = functions.iter().map(|name| format!("(export \"{name}\" (func $c \"{name}\"))"));
        format!("(component {inner} (instance $c (instantiate $C)) {})", exports.collect::<String>())
    };
    let typed = TYPED_RLE.split_once('\n').unwrap().1;
    for wat in [inside(typed, &["process"]), inside(&helpers(""), &["process", "write-input", "read-output"])] {
        assert_eq!(node(&wat).await.execute(b"aab").await.unwrap(), b"\x02a\x01b");
    }
    let nested = module(&inside(&pointers(""), &["process", "allocate", "deallocate"]));
    let error = WasmProcessorFactory::new().build(&nested).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "guest.wasm passes pointers, but its memory is out of reach: `process` comes from a component inside it (it is \
         nested or composed), whose memory stays there; export `process: func(input: list<u8>) -> result<list<u8>, \
         string>` instead, where no pointer is seen"
    );
}
