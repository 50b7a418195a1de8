//! Bounds on what may be compiled, found by one pass over the bytes.
//!
//! The compiler has no limit on memory, no limit on time and can't be
//! cancelled: 118 KB of components nested 10,000 deep cost seconds and
//! gigabytes. So whatever goes to it passes here first.

mod weight;

use wasmparser::{BinaryReaderError, Encoding, FunctionBody, Operator, Parser, Payload};

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
/// Most of blocks times locals in one core function.
///
/// The compiler's work and memory grow with this product: 40 million take 17 s
/// and 1.8 GB. The largest function of a JavaScript guest has 194,000.
pub const FLOW_MAX: usize = 2_000_000;
/// Bodies up to this are not looked into: they can't reach [`FLOW_MAX`].
const BODY_BYTES_SMALL: usize = 4 << 10;

/// Why bytes were not even compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrescanError {
    /// Not WebAssembly at all.
    #[error("this is {what}, not a WebAssembly component")]
    NotWasm {
        /// What the first bytes look like.
        what: &'static str,
    },
    /// A core module, which has no typed imports and exports.
    #[error(
        "this is a core module, not a component: make it one with `wasm-tools component new`, or build for wasm32-wasip2"
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
    let (mut depth, mut parts, mut functions) = (0usize, 0usize, 0usize);
    let mut weight = Weight::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(damaged)?;
        weight.add(&payload)?;
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
            Payload::CodeSectionStart { count, .. } => {
                functions = functions.saturating_add(count as usize);
                bound("the number of functions", functions, FUNCTIONS_MAX)?;
            }
            Payload::CodeSectionEntry(body) => {
                let size = body.range().len();
                bound("a function's body in bytes", size, FUNCTION_BYTES_MAX)?;
                if size > BODY_BYTES_SMALL {
                    bound("a function's blocks times its locals", flow(&body).map_err(damaged)?, FLOW_MAX)?;
                }
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

/// Blocks times locals of a function.
fn flow(body: &FunctionBody<'_>) -> Result<usize, BinaryReaderError> {
    let mut locals = 0usize;
    for local in body.get_locals_reader()? {
        locals = locals.saturating_add(local?.0 as usize);
    }
    let mut blocks = 0usize;
    for operator in body.get_operators_reader()? {
        if matches!(operator?, Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. }) {
            blocks += 1;
        }
    }
    Ok(blocks.saturating_mul(locals))
}

fn bound(what: &'static str, found: usize, limit: usize) -> Result<(), PrescanError> {
    if found > limit { Err(PrescanError::TooLarge { what, found, limit }) } else { Ok(()) }
}

/// What a file that is no WebAssembly seems to be.
fn look(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file",
        [0x7f, b'E', b'L', b'F', ..] => "a native program or library (ELF)",
        [0xcf, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, 0xcf, ..] => "a native program (Mach-O)",
        [b'M', b'Z', ..] => "a Windows program",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive",
        [0x1f, 0x8b, ..] => "gzip data",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd data",
        [b'#', b'!', ..] => "a script",
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "a static library",
        _ => match std::str::from_utf8(&bytes[..bytes.len().min(512)]) {
            Ok(text) if text.trim_start().starts_with("(component") || text.trim_start().starts_with(";;") => {
                "WebAssembly text (`wasm-tools parse` makes it a component)"
            }
            Ok(_) => "text",
            Err(_) => "data of another kind",
        },
    }
}

#[cfg(test)]
mod tests {
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
        let body =
            |n: usize| wat::parse_str(format!("(component (core module (func {})))", "nop ".repeat(n - 2))).unwrap();
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
    fn a_function_that_the_compiler_would_choke_on_is_refused() {
        let bomb = |n: usize| {
            let locals = "i32 ".repeat(n);
            let loops: String = (0..n).map(|at| format!("(loop (br_if 0 (local.get {at})))")).collect();
            wat::parse_str(format!("(component (core module (func (local {locals}) {loops})))")).unwrap()
        };
        assert_eq!(prescan(&bomb(1_400)), Ok(()));
        assert!(matches!(prescan(&bomb(1_500)), Err(PrescanError::TooLarge { limit: FLOW_MAX, found: 2_250_000, .. })));
    }

    #[test]
    fn a_core_module_text_and_garbage_are_told_apart() {
        assert_eq!(prescan(&wat::parse_str("(module)").unwrap()), Err(PrescanError::CoreModule));
        assert_eq!(prescan(b""), Err(PrescanError::NotWasm { what: "an empty file" }));
        assert_eq!(prescan(b"hello"), Err(PrescanError::NotWasm { what: "text" }));
        assert!(matches!(prescan(b"\0asm"), Err(PrescanError::Damaged { .. })));
        assert!(matches!(prescan(b"\0asm\x0d\0\x01\0\xff\xff\xff"), Err(PrescanError::Damaged { .. })));
    }
}
