//! Bounds on what may be compiled, found by one pass over the bytes.
//!
//! The compiler has no limit on memory, no limit on time and can't be
//! cancelled: 118 KB of components nested 10,000 deep cost seconds and
//! gigabytes. So whatever goes to it passes here first.

mod code;
mod weight;

use wasmparser::{BinaryReaderError, Encoding, Parser, Payload};

use code::Code;
use weight::Weight;

/// Largest component, in bytes. A Python guest with its interpreter has 18 MiB.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// Deepest nesting of components and modules. Composed components nest two or three deep.
pub const NESTING_MAX: usize = 16;
/// Most core functions in one component, all modules together. A guest that brings an interpreter has some 13,000.
pub const FUNCTIONS_MAX: usize = 200_000;
/// Largest body of one core function, in bytes. The largest of Python's has 417 KiB; compile time grows faster than the body.
pub const FUNCTION_BYTES_MAX: usize = 1 << 20;
/// Most modules and components inside one component. A Python guest has 40.
pub const PARTS_MAX: usize = 1_000;
/// Most instances that starting the component makes, each as often as it is made.
///
/// The compiler lays all of them out, so that components which instantiate each
/// other a hundred times over three levels (1 KB of them) would be a million.
pub const INSTANTIATIONS_MAX: usize = 2_000;
/// Most types of instances and components that one section of types may have inside other types.
///
/// Readers of types recurse, and this bounds their stack; real components have a handful.
pub const NESTED_TYPES_MAX: usize = 256;
/// Most items that all instances lay out together: what each imports, exports, aliases, takes and lowers.
///
/// An item that is an instance counts with all that is in it, as often as it is
/// handed on: the compiler copies it. 20 instances of which each holds the one
/// before it twice (340 bytes) are a million items, 21 s and 4 GiB. 50,000 take
/// half a second and 250 MiB. A Python guest has 5,800.
pub const LAYOUT_MAX: usize = 50_000;
/// Most functions that all instances lift and lower together, each as often as it is.
///
/// One that is lowered here and lifted there is a function of the compiler's own;
/// a hundred with 200 strings each take 1.5 s. A Python guest has 126.
pub const CANONS_MAX: usize = 2_000;
/// Most core types in one component, all modules together. A Python guest has 1,330.
pub const CORE_TYPES_MAX: usize = 20_000;
/// Most locals and parameters of all core functions together.
///
/// One group of locals has 5 bytes and may declare 50,000; a thousand such
/// functions (8 KB) take 4 s. A JavaScript guest has 86,000.
pub const LOCALS_MAX: usize = 1_000_000;
/// Most values that calls and blocks leave beyond one each, all core functions together.
///
/// A call of two bytes may leave a thousand: with a million of them, 6 KB of code
/// take 22 s and 1 GB. Compilers for one value each leave none; that is all
/// that guests in C, Rust, JavaScript and Python come from.
pub const HANDED_MAX: usize = 100_000;
/// Most of blocks times values in one core function.
///
/// The values are locals, parameters, and operands that wait on the stack. The
/// compiler's work and memory grow with this product: 3 million take a second,
/// 40 million 17 s and 1.8 GB. The largest function of a JavaScript guest has 399,000.
pub const FLOW_MAX: usize = 3_200_000;
/// Most of blocks times values in all core functions together, each by itself.
///
/// This much takes 18 s, which is what a guest that brings an interpreter may
/// take too. A JavaScript guest has 6.5 million.
pub const FLOW_TOTAL_MAX: usize = 52_000_000;

// One function alone may not use up what all have.
const _: () = assert!(FLOW_TOTAL_MAX > 8 * FLOW_MAX);

/// Why bytes were not even compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrescanError {
    /// Not WebAssembly at all.
    #[error("this is {what}, not a WebAssembly component")]
    NotWasm {
        /// What the first bytes look like, and what to do about it.
        what: &'static str,
    },
    /// A core module, which has no typed imports and exports.
    #[error(
        "this is a core module, not a component: make it one with `wasm-tools component new`, or build for wasm32-wasip2; \
         `isorun pipe --componentize` takes one whose exports are a node's"
    )]
    CoreModule,
    /// Damaged.
    #[error("damaged component: {detail} (at byte {offset:#x})")]
    Damaged {
        /// What the parser says.
        detail: String,
        /// Where, from the first byte of the file.
        offset: usize,
    },
    /// Valid, but nothing that isorun runs.
    #[error("not supported: {what}")]
    Unsupported {
        /// What it has.
        what: &'static str,
    },
    /// Over one of this module's limits.
    #[error("component too large: {what} is {found}, at most {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much was found when the pass stopped.
        found: usize,
        /// The limit.
        limit: usize,
    },
}

/// Checks that `bytes` are a component within this module's limits.
///
/// Iterative, in time linear in the bytes, and without copying them.
///
/// # Errors
/// The first thing that is wrong.
pub fn prescan(bytes: &[u8]) -> Result<(), PrescanError> {
    bound("the file", bytes.len(), COMPONENT_BYTES_MAX)?;
    if !bytes.starts_with(b"\0asm") {
        return Err(PrescanError::NotWasm { what: look(bytes) });
    }
    if Parser::is_core_wasm(bytes) {
        return Err(PrescanError::CoreModule);
    }
    let (mut depth, mut parts) = (0usize, 0usize);
    let (mut weight, mut code) = (Weight::default(), Code::default());
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(damaged)?;
        weight.add(&payload)?;
        code.add(&payload)?;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Err(PrescanError::CoreModule),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                parts += 1;
                bound("nesting", depth, NESTING_MAX)?;
                bound("the number of modules and components", parts, PARTS_MAX)?;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentTypeSection(types) => {
                let types = bytes.get(types.range()).unwrap_or_default();
                bound("the number of types inside types", nested_types(types), NESTED_TYPES_MAX)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn damaged(error: BinaryReaderError) -> PrescanError {
    PrescanError::Damaged { detail: error.message().to_owned(), offset: error.offset() }
}

/// At least as many as there are types of instances and components inside others.
///
/// Each of those begins with these two bytes. They may stand elsewhere too,
/// so this is a bound; to know for certain one would have to read the types.
fn nested_types(section: &[u8]) -> usize {
    section.windows(2).filter(|pair| matches!(pair, [0x01, 0x41 | 0x42])).count()
}

fn bound(what: &'static str, found: usize, limit: usize) -> Result<(), PrescanError> {
    if found > limit { Err(PrescanError::TooLarge { what, found, limit }) } else { Ok(()) }
}

/// What a file that is no WebAssembly seems to be.
fn look(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file (its build or its copy failed: make it again)",
        [0x7f, b'E', b'L', b'F', ..] => "a native program or library (ELF; build it for wasm32-wasip2)",
        [0xcf, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, 0xcf, ..] => {
            "a native program (Mach-O; build it for wasm32-wasip2)"
        }
        [b'M', b'Z', ..] => "a Windows program (build it for wasm32-wasip2)",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive (unpack it)",
        [0x1f, 0x8b, ..] => "gzip data (unpack it)",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd data (unpack it)",
        [b'#', b'!', ..] => "a script (a component is what a build for wasm32-wasip2 makes)",
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "a static library (build it for wasm32-wasip2)",
        _ => match std::str::from_utf8(&bytes[..bytes.len().min(512)]) {
            Ok(text) if ["(component", "(module", ";;"].iter().any(|start| text.trim_start().starts_with(start)) => {
                "WebAssembly text (`wasm-tools parse` makes it a component)"
            }
            Ok(_) => "text (a component is what a build for wasm32-wasip2 makes)",
            Err(_) => "data of another kind (a component is what a build for wasm32-wasip2 makes)",
        },
    }
}

#[cfg(test)]
mod tests;
