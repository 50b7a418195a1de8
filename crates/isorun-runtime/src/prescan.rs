//! Bounds on what may be compiled, found by one pass over the bytes.
//!
//! The compiler has no limit on memory, no limit on time and can't be
//! cancelled: 118 KB of components nested 10,000 deep cost seconds and
//! gigabytes. So whatever goes to it passes here first.

use wasmparser::{Encoding, Parser, Payload};

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
    for payload in Parser::new(0).parse_all(bytes) {
        let payload =
            payload.map_err(|e| PrescanError::Damaged { detail: e.message().to_owned(), offset: e.offset() })?;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Err(PrescanError::CoreModule),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                parts += 1;
                bound("nesting", depth, NESTING_MAX)?;
                bound("the number of modules and components", parts, PARTS_MAX)?;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CodeSectionStart { count, .. } => {
                functions = functions.saturating_add(count as usize);
                bound("the number of functions", functions, FUNCTIONS_MAX)?;
            }
            Payload::CodeSectionEntry(body) => {
                bound("a function's body in bytes", body.range().len(), FUNCTION_BYTES_MAX)?;
            }
            _ => {}
        }
    }
    Ok(())
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
    fn a_core_module_text_and_garbage_are_told_apart() {
        assert_eq!(prescan(&wat::parse_str("(module)").unwrap()), Err(PrescanError::CoreModule));
        assert_eq!(prescan(b""), Err(PrescanError::NotWasm { what: "an empty file" }));
        assert_eq!(prescan(b"hello"), Err(PrescanError::NotWasm { what: "text" }));
        assert!(matches!(prescan(b"\0asm"), Err(PrescanError::Damaged { .. })));
        assert!(matches!(prescan(b"\0asm\x0d\0\x01\0\xff\xff\xff"), Err(PrescanError::Damaged { .. })));
    }
}
