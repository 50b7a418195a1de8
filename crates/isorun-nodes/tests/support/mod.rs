//! Guests in WAT, one per shape, and what is expected of them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use isorun_nodes::{ComponentExecutionError, LoadedModule, WasmArtifact, WasmProcessorFactory, WitNodeExecutor};
use isorun_runtime::WasmtimeEngine;

/// `demo:rle`, typed.
pub const TYPED_RLE: &str = include_str!("../../../../guests/wat/rle.wat");

pub fn module(wat: &str) -> LoadedModule {
    let bytes = wat::parse_str(wat).unwrap_or_else(|error| panic!("{error}\n{wat}"));
    loaded(bytes).unwrap()
}

pub fn loaded(bytes: Vec<u8>) -> Result<LoadedModule, ComponentExecutionError> {
    LoadedModule::load(&WasmtimeEngine::new().unwrap(), &WasmArtifact::new(bytes, "guest.wasm"))
}

pub async fn node(wat: &str) -> WitNodeExecutor {
    WasmProcessorFactory::new().build(&module(wat)).await.unwrap()
}

/// Run-length encoding, as `guests/wit/rle.wit` says.
pub fn rle(input: &[u8]) -> Result<Vec<u8>, &'static str> {
    if input.first() == Some(&0xff) {
        return Err("cannot encode 0xff");
    }
    let mut output: Vec<u8> = Vec::with_capacity(2 * input.len());
    for &byte in input {
        match output.last_chunk_mut() {
            Some([count, last]) if *last == byte && *count < 255 => *count += 1,
            _ => output.extend_from_slice(&[1, byte]),
        }
    }
    Ok(output)
}

/// `encode(from, bytes, to) -> bytes written`, memory that grows, and what results are made with.
///
/// Results are at 16, the words of errors from 64 on.
const COMMON: &str = r#"
    (memory (export "memory") 1)
    (data (i32.const 64) "cannot encode 0xff")
    (data (i32.const 96) "freed twice")
    (data (i32.const 128) "not all is freed")
    (data (i32.const 160) "no memory")
    (func $grow (param $end i32)
      (block $ok (loop $grow
        (br_if $ok (i32.le_u (local.get $end) (i32.shl (memory.size) (i32.const 16))))
        (if (i32.lt_s (memory.grow (i32.const 16)) (i32.const 0))
          (then (if (i32.lt_s (memory.grow (i32.const 1)) (i32.const 0)) (then unreachable))))
        (br $grow))))
    (func $ok (param $value i32) (result i32)
      (i32.store8 (i32.const 16) (i32.const 0)) (i32.store (i32.const 20) (local.get $value)) (i32.const 16))
    (func $fail (param $p i32) (param $n i32) (result i32)
      (i32.store8 (i32.const 16) (i32.const 1))
      (i32.store (i32.const 20) (local.get $p)) (i32.store (i32.const 24) (local.get $n)) (i32.const 16))
    (func $encode (param $p i32) (param $n i32) (param $o i32) (result i32)
      (local $k i32) (local $i i32) (local $c i32)
      (block $done (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $c (i32.const 1))
        (block $end (loop $run
          (br_if $end (i32.ge_u (local.get $c) (i32.const 255)))
          (br_if $end (i32.ge_u (i32.add (local.get $i) (local.get $c)) (local.get $n)))
          (br_if $end (i32.ne (i32.load8_u (i32.add (local.get $p) (local.get $i)))
            (i32.load8_u (i32.add (i32.add (local.get $p) (local.get $i)) (local.get $c)))))
          (local.set $c (i32.add (local.get $c) (i32.const 1)))
          (br $run)))
        (i32.store8 (i32.add (local.get $o) (local.get $k)) (local.get $c))
        (i32.store8 offset=1 (i32.add (local.get $o) (local.get $k))
          (i32.load8_u (i32.add (local.get $p) (local.get $i))))
        (local.set $k (i32.add (local.get $k) (i32.const 2)))
        (local.set $i (i32.add (local.get $i) (local.get $c)))
        (br $next)))
      (local.get $k))"#;

/// Run-length encoding with `write-input` and `read-output`; offset 0 is address 1024.
///
/// `process` is code that may return before the encoder; `$p`, `$n` and `$at` are its arguments as addresses.
pub fn helpers(process: &str) -> String {
    format!(
        r#"(component (core module $M {COMMON}
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (call $grow (i32.add (i32.const 1024) (local.get 3)))
      (i32.const 1024))
    (func (export "write-input") (param $offset i32) (param $p i32) (param $n i32)
      (call $grow (i32.add (i32.add (i32.const 1024) (local.get $offset)) (local.get $n)))
      (memory.copy (i32.add (i32.const 1024) (local.get $offset)) (local.get $p) (local.get $n)))
    (func (export "read-output") (param $offset i32) (param $n i64) (result i32)
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.add (i32.const 1024) (local.get $offset)))
      (i32.store (i32.const 24) (i32.wrap_i64 (local.get $n))) (i32.const 16))
    (func (export "process") (param $p i32) (param $n64 i64) (param $at i32) (result i32)
      (local $n i32) (local $o i32)
      (local.set $n (i32.wrap_i64 (local.get $n64)))
      (local.set $p (i32.add (local.get $p) (i32.const 1024)))
      (local.set $at (i32.add (local.get $at) (i32.const 1024)))
      (local.set $o (i32.add (local.get $at) (i32.const 8)))
      (call $grow (i32.add (local.get $o) (i32.shl (local.get $n) (i32.const 1))))
      {process}
      (if (i32.and (i32.ne (local.get $n) (i32.const 0)) (i32.eq (i32.load8_u (local.get $p)) (i32.const 255)))
        (then (return (call $fail (i32.const 64) (i32.const 18)))))
      (i64.store (local.get $at)
        (i64.extend_i32_u (call $encode (local.get $p) (local.get $n) (local.get $o))))
      (call $ok (i32.sub (local.get $o) (i32.const 1024)))))
  (core instance $m (instantiate $M))
  (alias core export $m "memory" (core memory $memory))
  (func (export "write-input") (param "offset" u32) (param "data" (list u8))
    (canon lift (core func $m "write-input") (memory (core memory $memory)) (realloc (core func $m "realloc"))))
  (func (export "read-output") (param "offset" u32) (param "len" u64) (result (result (list u8) (error string)))
    (canon lift (core func $m "read-output") (memory (core memory $memory))))
  (func (export "process") (param "input-ptr" u32) (param "input-len" u64) (param "output-len-ptr" u32)
    (result (result u32 (error string)))
    (canon lift (core func $m "process") (memory (core memory $memory)))))"#
    )
}

/// The core module of [`pointers`]: an allocator that counts, and refuses to process while more is allocated than an
/// input and a length.
///
/// `allocate` and `deallocate` are code that may return first, before anything is done; `process` is as in [`helpers`].
pub fn pointers_core(allocate: &str, process: &str, deallocate: &str) -> String {
    format!(
        r#"{COMMON}
    (global $top (mut i32) (i32.const 1024))
    (global $allocated (mut i32) (i32.const 0))
    (func $alloc (param $n i32) (result i32) (local $p i32)
      (local.set $p (global.get $top))
      (global.set $top (i32.and (i32.add (i32.add (local.get $p) (local.get $n)) (i32.const 7)) (i32.const -8)))
      (call $grow (global.get $top))
      (global.set $allocated (i32.add (global.get $allocated) (i32.const 1)))
      (local.get $p))
    (func (export "allocate") (param $n i64) (result i32)
      {allocate}
      (call $ok (call $alloc (i32.wrap_i64 (local.get $n)))))
    (func (export "deallocate") (param $p i32) (param $n i64) (result i32)
      {deallocate}
      (if (i32.eqz (global.get $allocated)) (then (return (call $fail (i32.const 96) (i32.const 11)))))
      (global.set $allocated (i32.sub (global.get $allocated) (i32.const 1)))
      (if (i32.eqz (global.get $allocated)) (then (global.set $top (i32.const 1024))))
      (i32.store8 (i32.const 16) (i32.const 0)) (i32.const 16))
    (func (export "process") (param $p i32) (param $n64 i64) (param $at i32) (result i32)
      (local $n i32) (local $o i32)
      (local.set $n (i32.wrap_i64 (local.get $n64)))
      (if (i32.ne (global.get $allocated) (i32.const 2))
        (then (return (call $fail (i32.const 128) (i32.const 16)))))
      {process}
      (if (i32.and (i32.ne (local.get $n) (i32.const 0)) (i32.eq (i32.load8_u (local.get $p)) (i32.const 255)))
        (then (return (call $fail (i32.const 64) (i32.const 18)))))
      (local.set $o (call $alloc (i32.shl (local.get $n) (i32.const 1))))
      (i64.store (local.get $at)
        (i64.extend_i32_u (call $encode (local.get $p) (local.get $n) (local.get $o))))
      (call $ok (local.get $o)))"#
    )
}

/// What lifts the functions of [`pointers_core`], instantiated as `$m`.
pub const POINTERS_LIFTS: &str = r#"
  (alias core export $m "memory" (core memory $memory))
  (func $allocate (export "allocate") (param "size" u64) (result (result u32 (error string)))
    (canon lift (core func $m "allocate") (memory (core memory $memory))))
  (func $deallocate (export "deallocate") (param "ptr" u32) (param "size" u64) (result (result (error string)))
    (canon lift (core func $m "deallocate") (memory (core memory $memory))))
  (func $process (export "process") (param "input-ptr" u32) (param "input-len" u64) (param "output-len-ptr" u32)
    (result (result u32 (error string)))
    (canon lift (core func $m "process") (memory (core memory $memory))))"#;

/// Run-length encoding with pointers.
pub fn pointers_with(allocate: &str, process: &str, deallocate: &str) -> String {
    let core = pointers_core(allocate, process, deallocate);
    format!("(component (core module $M {core}) (core instance $m (instantiate $M)) {POINTERS_LIFTS})")
}

pub fn pointers(process: &str) -> String {
    pointers_with("", process, "")
}
