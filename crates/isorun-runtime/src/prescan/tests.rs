//! Every limit at its most and one past it, and small files that would take the compiler long.

use super::*;

fn nested(depth: usize) -> Vec<u8> {
    let mut text = String::from("(component");
    for _ in 0..depth {
        text += "(component";
    }
    text += &")".repeat(depth + 1);
    wat::parse_str(text).unwrap()
}

#[test]
fn nesting_is_taken_at_the_limit_and_refused_past_it() {
    assert_eq!(prescan(&nested(NESTING_MAX)), Ok(()));
    assert_eq!(
        prescan(&nested(NESTING_MAX + 1)),
        Err(PrescanError::TooLarge { what: "nesting", found: NESTING_MAX + 1, limit: NESTING_MAX })
    );
}

#[test]
fn siblings_do_not_count_as_nesting() {
    let text = format!("(component {})", "(component)".repeat(100));
    assert_eq!(prescan(&wat::parse_str(text).unwrap()), Ok(()));
}

#[test]
fn parts_are_taken_at_the_limit_and_refused_past_it() {
    let many = |n| wat::parse_str(format!("(component {})", "(component)".repeat(n))).unwrap();
    assert_eq!(prescan(&many(PARTS_MAX)), Ok(()));
    assert!(matches!(prescan(&many(PARTS_MAX + 1)), Err(PrescanError::TooLarge { .. })));
}

#[test]
fn a_function_is_taken_at_the_limit_and_refused_past_it() {
    // A body is its one byte of locals, one-byte instructions, and its end.
    let body = |n: usize| wat::parse_str(format!("(component (core module (func {})))", "nop ".repeat(n - 2))).unwrap();
    assert_eq!(prescan(&body(FUNCTION_BYTES_MAX)), Ok(()));
    assert!(matches!(
        prescan(&body(FUNCTION_BYTES_MAX + 1)),
        Err(PrescanError::TooLarge { found, .. }) if found == FUNCTION_BYTES_MAX + 1
    ));
}

#[test]
fn instances_are_counted_as_often_as_they_are_made() {
    // Each component makes `n` of the one before it.
    let tower = |n: usize, levels: usize| {
        let mut text = String::from("(component (component $c0 (core module $m) (core instance (instantiate $m)))");
        for level in 1..=levels {
            let before = format!("(alias outer 1 $c{} (component $c))", level - 1);
            text += &format!("(component $c{level} {before} {})", "(instance (instantiate $c))".repeat(n));
        }
        text += &format!("(instance (instantiate $c{levels})))");
        wat::parse_str(text).unwrap()
    };
    assert_eq!(prescan(&tower(10, 2)), Ok(()));
    for (n, levels) in [(100, 3), (2, 15), (1_001, 1)] {
        let refused = prescan(&tower(n, levels));
        assert!(matches!(refused, Err(PrescanError::TooLarge { limit: INSTANTIATIONS_MAX, .. })), "{refused:?}");
    }
}

#[test]
fn types_inside_types_are_refused_before_anybody_reads_them() {
    let nested = |depth: usize| {
        let mut types = vec![0x01];
        for _ in 0..depth {
            types.extend([0x41, 0x01, 0x01]);
        }
        types.extend([0x41, 0x00]);
        let mut bytes = b"\0asm\x0d\0\x01\0\x07".to_vec();
        let mut length = types.len();
        while length > 0x7f {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(types);
        bytes
    };
    // The section's own count, 1, looks like one more.
    assert_eq!(prescan(&nested(NESTED_TYPES_MAX - 1)), Ok(()));
    for depth in [NESTED_TYPES_MAX, 100_000] {
        let refused = prescan(&nested(depth));
        assert!(matches!(refused, Err(PrescanError::TooLarge { limit: NESTED_TYPES_MAX, .. })), "{refused:?}");
    }
}

#[test]
fn a_core_module_text_and_garbage_are_told_apart() {
    assert_eq!(prescan(&wat::parse_str("(module)").unwrap()), Err(PrescanError::CoreModule));
    assert_eq!(
        prescan(b""),
        Err(PrescanError::NotWasm { what: "an empty file (its build or its copy failed: make it again)" })
    );
    assert_eq!(
        prescan(b"hello"),
        Err(PrescanError::NotWasm { what: "text (a component is what a build for wasm32-wasip2 makes)" })
    );
    assert!(matches!(prescan(b"\0asm"), Err(PrescanError::Damaged { .. })));
    assert!(matches!(prescan(b"\0asm\x0d\0\x01\0\xff\xff\xff"), Err(PrescanError::Damaged { .. })));
}

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// Takes `most`, and refuses `over` for being one past `limit`.
fn at_and_over(most: &[u8], over: &[u8], limit: usize) {
    assert_eq!(prescan(most), Ok(()));
    match prescan(over) {
        Err(PrescanError::TooLarge { found, limit: named, .. }) => assert_eq!((found, named), (limit + 1, limit)),
        other => panic!("{other:?}"),
    }
}

/// Refuses a file of at most `bytes` for being over `limit`, far over or not.
fn refused(file: &[u8], bytes: usize, limit: usize) {
    assert!(file.len() <= bytes, "{} bytes", file.len());
    match prescan(file) {
        Err(PrescanError::TooLarge { found, limit: named, .. }) => {
            assert_eq!(named, limit);
            assert!(found > limit);
        }
        other => panic!("{other:?}"),
    }
}

/// A component of one core module with these functions, and `head` before them.
fn functions(head: &str, functions: &str) -> Vec<u8> {
    wasm(&format!("(component (core module {head} {functions}))"))
}

fn locals(n: usize) -> String {
    format!("(local {})", "i32 ".repeat(n))
}

fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    [number(bytes.len()), bytes.to_vec()].concat()
}

/// A component of one core module, whose functions declare that many locals in one group each.
fn declaring(locals: &[usize]) -> Vec<u8> {
    let count = number(locals.len());
    let body = |&n: &usize| with_length(&[vec![1], number(n), vec![0x7f, 0x0b]].concat());
    let bodies: Vec<u8> = locals.iter().flat_map(body).collect();
    let section = |id: u8, parts: &[&[u8]]| [vec![id], with_length(&parts.concat())].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[&[1, 0x60, 0, 0]]),
        section(3, &[&count, &vec![0; locals.len()]]),
        section(10, &[&count, &bodies]),
    ];
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &[&module.concat()])].concat()
}

#[test]
fn locals_of_all_functions_together_are_taken_at_the_limit_and_refused_past_it() {
    let mut all = vec![50_000; LOCALS_MAX / 50_000];
    let most = declaring(&all);
    all.push(1);
    at_and_over(&most, &declaring(&all), LOCALS_MAX);
    refused(&declaring(&[50_000; 1_000]), 9_000, LOCALS_MAX);
    refused(&declaring(&[usize::MAX >> 32; 1_000]), 11_000, LOCALS_MAX);
}

#[test]
fn parameters_count_as_locals_each_time_that_their_type_is_used() {
    let head = format!("(type $t (func (param {})))", "i32 ".repeat(1_000));
    let many = |n| functions(&head, &"(func (type $t))".repeat(n));
    assert_eq!(prescan(&many(LOCALS_MAX / 1_000)), Ok(()));
    refused(&many(LOCALS_MAX / 1_000 + 1), 6_100, LOCALS_MAX);
}

#[test]
fn a_function_that_the_compiler_would_choke_on_is_refused() {
    assert_eq!(FLOW_MAX, 3_200 * 1_000);
    let blocks = |one: &str| functions("", &format!("(func {} {} {one})", locals(1_000), "(block)".repeat(3_199)));
    at_and_over(&blocks("(block)"), &blocks("i32.const 1 (block) drop"), FLOW_MAX);
    let bomb = |n: usize| {
        let loops: String = (0..n).map(|at| format!("(loop (br_if 0 (local.get {at})))")).collect();
        functions("", &format!("(func {} {loops})", locals(n)))
    };
    refused(&bomb(10_000), 100_000, FLOW_MAX);
}

#[test]
fn operands_that_wait_on_the_stack_count_like_locals() {
    let head = "(func $g (result i32) i32.const 1)";
    let waiting = |n: usize, blocks: usize| {
        let blocks = "(block (br_if 0 (i32.const 1)))".repeat(blocks);
        functions(
            head,
            &format!("(func (result i32) {} {blocks} {})", "i32.const 1 ".repeat(n), "i32.add ".repeat(n - 1)),
        )
    };
    assert_eq!(prescan(&waiting(1_000, 1_600)), Ok(()));
    refused(&waiting(1_000, 1_601), 20_000, FLOW_MAX);
    // They wait for calls, too.
    let calls = |n: usize| format!("(func (result i32) {} {})", "call $g ".repeat(n), "i32.add ".repeat(n - 1));
    assert_eq!(prescan(&functions(head, &calls(2_000))), Ok(()));
    refused(&functions(head, &calls(16_000)), 50_000, FLOW_MAX);
}

#[test]
fn operands_of_a_block_are_gone_after_it_and_after_a_branch() {
    let dead = "(block (result i32) i32.const 1 i32.const 1 i32.const 1 br 0) drop";
    let arms = "(if (result i32) (i32.const 1) (then i32.const 1) (else i32.const 1)) drop";
    let body = format!("{dead} {arms} unreachable drop drop i32.add drop");
    assert_eq!(prescan(&functions("", &format!("(func {body})"))), Ok(()));
    // Each of these blocks begins with nothing that waits.
    let long = format!("(func {})", format!("{dead} {arms} ").repeat(40_000));
    assert_eq!(prescan(&functions("", &long)), Ok(()));
}

#[test]
fn blocks_of_all_functions_together_are_taken_at_the_limit_and_refused_past_it() {
    let function = |locals_of: usize, blocks| format!("(func {} {})", locals(locals_of), "(block)".repeat(blocks));
    // 50 million, two million less ten thousand, and what is said.
    let most = function(1_000, 2_000).repeat(25) + &function(1_000, 1_990);
    assert_eq!(FLOW_TOTAL_MAX, 25 * 2_000_000 + 1_990_000 + 10_000);
    let all = |last| functions("", &format!("{most} {}", function(1, last)));
    at_and_over(&all(10_000), &all(10_001), FLOW_TOTAL_MAX);
}

#[test]
fn values_handed_on_together_are_taken_at_the_limit_and_refused_past_it() {
    // A call that leaves a thousand hands on 999 more than one, and so does the end of the function that it calls.
    assert_eq!(HANDED_MAX, 100 * 999 + 2 * 50);
    let calls = |more: &str| {
        let leaving = |n| format!("(func (result {}) unreachable)", "i32 ".repeat(n));
        let thousand = "call 0 ".to_owned() + &"drop ".repeat(1_000);
        let body = format!("{} call 1 {}", thousand.repeat(99), "drop ".repeat(51));
        functions(&leaving(1_000), &format!("{} (func {body}) {more}", leaving(51)))
    };
    at_and_over(&calls(""), &calls("(func (result i32 i32) unreachable)"), HANDED_MAX);
    let wide = "i32 ".repeat(1_000);
    let chain = format!("(type $t (func (param {wide}) (result {wide}))) (func $f (type $t) unreachable)");
    let body = "local.get 0 ".repeat(1_000) + &"call $f ".repeat(1_000);
    refused(&functions(&chain, &format!("(func (type $t) {body})")), 7_000, HANDED_MAX);
}

#[test]
fn core_types_of_all_modules_together_are_taken_at_the_limit_and_refused_past_it() {
    let module = |n| format!("(core module {})", "(type (func))".repeat(n));
    let two = |n| wasm(&format!("(component {} {})", module(CORE_TYPES_MAX - 5), module(n)));
    at_and_over(&two(5), &two(6), CORE_TYPES_MAX);
}

#[test]
fn what_is_laid_out_is_taken_at_the_limit_and_refused_past_it() {
    // The instance of `$c` lays out the instance itself, the component and what it aliases; so does its definition.
    let all = |n: usize| {
        let aliases = "(alias outer 1 $t (type))".repeat(n);
        wasm(&format!("(component (type $t u8) (component $c {aliases}) {})", "(instance (instantiate $c))".repeat(10)))
    };
    // A type, the component, and for each instance what is given to it, the component again, and the aliases.
    let each = (LAYOUT_MAX - 2) / 10 - 2;
    assert_eq!(2 + 10 * (2 + each), LAYOUT_MAX - 8);
    assert_eq!(prescan(&all(each)), Ok(()));
    refused(&all(each + 1), 60_000, LAYOUT_MAX);
    let exact = |n: usize| wasm(&format!("(component {})", "(type u8)".repeat(n)));
    at_and_over(&exact(LAYOUT_MAX), &exact(LAYOUT_MAX + 1), LAYOUT_MAX);
}

#[test]
fn instances_inside_instances_are_counted_as_often_as_they_are_copied() {
    let doubled_as_arguments = |levels: usize| {
        let twice = "(import \"i\" (instance $i)) (export \"a\" (instance $i)) (export \"b\" (instance $i))";
        let each = |at| format!("(instance $i{} (instantiate $d (with \"i\" (instance $i{at}))))", at + 1);
        let all: String = (0..levels).map(each).collect();
        wasm(&format!("(component (component $d {twice}) (instance $i0) {all})"))
    };
    let doubled_as_exports = |levels: usize| {
        let each =
            |at| format!("(instance $i{} (export \"a\" (instance $i{at})) (export \"b\" (instance $i{at})))", at + 1);
        wasm(&format!("(component (instance $i0) {})", (0..levels).map(each).collect::<String>()))
    };
    for doubled in [&doubled_as_arguments as &dyn Fn(usize) -> Vec<u8>, &doubled_as_exports] {
        assert_eq!(prescan(&doubled(8)), Ok(()));
        refused(&doubled(20), 400, LAYOUT_MAX);
        refused(&doubled(200), 5_000, LAYOUT_MAX);
    }
}

#[test]
fn components_that_hold_each_other_are_counted_as_often_as_they_are_copied() {
    let doubled = |levels: usize| {
        let each = |at| {
            let before = format!("(alias outer 1 $c{} (component))", at - 1);
            format!("(component $c{at} {before} {before})")
        };
        wasm(&format!("(component (component $c0) {})", (1..=levels).map(each).collect::<String>()))
    };
    assert_eq!(prescan(&doubled(10)), Ok(()));
    refused(&doubled(20), 1_100, LAYOUT_MAX);
    refused(&doubled(90), 6_000, LAYOUT_MAX);
}

#[test]
fn imports_of_modules_are_laid_out_with_each_instance() {
    let imports: String = (0..1_000).map(|at| format!("(import \"\" \"{at}\" (func))")).collect();
    let exports: String = (0..1_000).map(|at| format!("(export \"{at}\" (func $f))")).collect();
    let some = |n: usize| {
        let given = format!("(core func $f (canon resource.drop $r)) (core instance $i {exports})");
        let given = format!("(type $r (resource (rep i32))) {given}").replace("resource.drop", "resource.new");
        let made = "(core instance (instantiate $m (with \"\" (instance $i))))".repeat(n);
        wasm(&format!("(component (core module $m {imports}) {given} {made})"))
    };
    assert_eq!(prescan(&some(10)), Ok(()));
    refused(&some(100), 50_000, LAYOUT_MAX);
}

#[test]
fn lifted_and_lowered_functions_are_taken_at_the_limit_and_refused_past_it() {
    let all = |inside: usize, outside: usize| {
        let lowered = |n| "(core func (canon lower (func $f)))".repeat(n);
        let made = "(instance (instantiate $c (with \"f\" (func $f))))".repeat(10);
        let component = format!("(component $c (import \"f\" (func $f)) {})", lowered(inside));
        wasm(&format!("(component (import \"f\" (func $f)) {component} {made} {})", lowered(outside)))
    };
    at_and_over(&all(100, CANONS_MAX - 1_000), &all(100, CANONS_MAX - 999), CANONS_MAX);
    refused(&all(1_000, 0), 5_000, CANONS_MAX);
}
