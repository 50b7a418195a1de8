//! The core module that is appended: it imports the component's memory and has none of its own.

use wasm_encoder::{
    CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function, FunctionSection, GlobalSection,
    GlobalType, ImportSection, MemArg, MemoryType, Module, TypeSection, ValType,
};

/// Says where the next [`PUT`] goes: `func(address: u32)`.
pub(crate) const AT: &str = "isorun-memory-at";
/// Copies bytes to where [`AT`] said: `func(data: list<u8>)`.
pub(crate) const PUT: &str = "isorun-memory-put";
/// Reads bytes: `func(address: u32, length: u32) -> list<u8>`.
pub(crate) const READ: &str = "isorun-memory-read";
/// Says how large the memory is, in pages of 64 KiB: `func() -> u32`.
pub(crate) const SIZE: &str = "isorun-memory-size";

/// The module's functions, in the order of [`CORE`].
pub(super) const CORE_AT: usize = 0;
pub(super) const CORE_PUT_REALLOC: usize = 1;
pub(super) const CORE_PUT: usize = 2;
pub(super) const CORE_READ: usize = 3;
pub(super) const CORE_READ_POST: usize = 4;
pub(super) const CORE_SIZE: usize = 5;
/// What the module exports its functions as.
pub(super) const CORE: [&str; 6] = ["at", "put-realloc", "put", "read", "read-post", "size"];

/// What the module imports the memory as.
pub(super) const MEMORY: (&str, &str) = ("guest", "memory");

// Globals: where the next `put` goes, where `read` put its result, and what stood there.
const PUT_AT: u32 = 0;
const RESULT_AT: u32 = 1;
const STOOD_THERE: u32 = 2;

/// The module, in binary form.
///
/// As text:
///
/// ```wat
/// (module
///   (import "guest" "memory" (memory 0))
///   (global $put-at (mut i32) (i32.const 0))
///   (global $result-at (mut i32) (i32.const 0))
///   (global $stood-there (mut i64) (i64.const 0))
///   (func (export "at") (param i32) (global.set $put-at (local.get 0)))
///   ;; The canonical ABI asks this one where the list is to go, and copies it straight there.
///   (func (export "put-realloc") (param i32 i32 i32 i32) (result i32) (global.get $put-at))
///   (func (export "put") (param i32 i32))
///   ;; A list is given as address and length, which must lie in memory themselves. They are lent 8 bytes that the list
///   ;; does not cover: at 0, or behind a list that begins before 8. The host sees to it that there are such.
///   (func (export "read") (param $address i32) (param $length i32) (result i32)
///     (local $at i32)
///     (if (i32.lt_u (local.get $address) (i32.const 8))
///       (then (local.set $at (i32.and (i32.add (i32.add (local.get $address) (local.get $length)) (i32.const 7))
///         (i32.const -8)))))
///     (global.set $result-at (local.get $at))
///     (global.set $stood-there (i64.load (local.get $at)))
///     (i32.store (local.get $at) (local.get $address))
///     (i32.store offset=4 (local.get $at) (local.get $length))
///     (local.get $at))
///   ;; Once the host has copied the list.
///   (func (export "read-post") (param i32) (i64.store (global.get $result-at) (global.get $stood-there)))
///   (func (export "size") (result i32) (memory.size)))
/// ```
pub(super) fn module() -> Vec<u8> {
    use ValType::{I32, I64};
    let mut types = TypeSection::new();
    // In the order of CORE.
    let signatures: [(&[ValType], &[ValType]); CORE.len()] =
        [(&[I32], &[]), (&[I32; 4], &[I32]), (&[I32; 2], &[]), (&[I32; 2], &[I32]), (&[I32], &[]), (&[], &[I32])];
    let (mut functions, mut exports) = (FunctionSection::new(), ExportSection::new());
    for (at, ((params, results), name)) in (0..).zip(signatures.into_iter().zip(CORE)) {
        types.ty().function(params.iter().copied(), results.iter().copied());
        functions.function(at);
        exports.export(name, ExportKind::Func, at);
    }
    let mut imports = ImportSection::new();
    let memory = MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };
    imports.import(MEMORY.0, MEMORY.1, EntityType::Memory(memory));
    let mut globals = GlobalSection::new();
    for (val_type, init) in
        [(I32, ConstExpr::i32_const(0)), (I32, ConstExpr::i32_const(0)), (I64, ConstExpr::i64_const(0))]
    {
        globals.global(GlobalType { val_type, mutable: true, shared: false }, &init);
    }
    let mut code = CodeSection::new();
    for function in [at(), put_realloc(), put(), read(), read_post(), size()] {
        code.function(&function);
    }
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&globals).section(&exports).section(&code);
    module.finish()
}

fn at() -> Function {
    let mut function = Function::new([]);
    function.instructions().local_get(0).global_set(PUT_AT).end();
    function
}

fn put_realloc() -> Function {
    let mut function = Function::new([]);
    function.instructions().global_get(PUT_AT).end();
    function
}

fn put() -> Function {
    let mut function = Function::new([]);
    function.instructions().end();
    function
}

fn read() -> Function {
    const ADDRESS: u32 = 0;
    const LENGTH: u32 = 1;
    const AT: u32 = 2;
    let mut function = Function::new([(1, ValType::I32)]);
    let mut code = function.instructions();
    code.local_get(ADDRESS).i32_const(8).i32_lt_u().if_(wasm_encoder::BlockType::Empty);
    code.local_get(ADDRESS).local_get(LENGTH).i32_add().i32_const(7).i32_add().i32_const(-8).i32_and().local_set(AT);
    code.end();
    code.local_get(AT).global_set(RESULT_AT);
    code.local_get(AT).i64_load(memarg(0, 3)).global_set(STOOD_THERE);
    code.local_get(AT).local_get(ADDRESS).i32_store(memarg(0, 2));
    code.local_get(AT).local_get(LENGTH).i32_store(memarg(4, 2));
    code.local_get(AT).end();
    function
}

fn read_post() -> Function {
    let mut function = Function::new([]);
    function.instructions().global_get(RESULT_AT).global_get(STOOD_THERE).i64_store(memarg(0, 3)).end();
    function
}

fn size() -> Function {
    let mut function = Function::new([]);
    function.instructions().memory_size(0).end();
    function
}

fn memarg(offset: u64, align: u32) -> MemArg {
    MemArg { offset, align, memory_index: 0 }
}
