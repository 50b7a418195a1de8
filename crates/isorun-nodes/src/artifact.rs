//! Bytes that may be a component, and what to do about those that are not.

use std::fmt;
use std::path::Path;

use bytes::Bytes;
use isorun_runtime::{ReadError, read_component};

use crate::ComponentExecutionError;
use crate::componentize::componentize;

/// What bytes seem to be, by their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArtifactKind {
    /// A component, whole or damaged.
    Component,
    /// A core module: functions and memories without types that a host could go by.
    CoreModule,
    /// WebAssembly as text.
    Text,
    /// Nothing of WebAssembly.
    Garbage,
}

impl ArtifactKind {
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0, b'a', b's', b'm', _, _, 1, 0, ..] => Self::Component,
            [0, b'a', b's', b'm', ..] => Self::CoreModule,
            _ if is_text(bytes) => Self::Text,
            _ => Self::Garbage,
        }
    }

    /// What makes a component of it; `None` for one.
    ///
    /// ```
    /// use isorun_nodes::ArtifactKind;
    ///
    /// assert!(ArtifactKind::CoreModule.remedy().unwrap().contains("wasm-tools component new"));
    /// assert_eq!(ArtifactKind::Component.remedy(), None);
    /// ```
    #[must_use]
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Component => None,
            Self::CoreModule => Some(
                "make it one with `wasm-tools component embed --world WORLD wit/processing-node.wit CORE.wasm -o \
                 EMBEDDED.wasm` and `wasm-tools component new EMBEDDED.wasm -o NODE.wasm`, where WORLD is `typed`, \
                 `helpers` or `pointers`, or have it wrapped with `--componentize`",
            ),
            Self::Text => Some("make it one with `wasm-tools parse TEXT.wat -o NODE.wasm`"),
            Self::Garbage => {
                Some("give the file that your language's component toolchain wrote, which begins with `\\0asm`")
            }
        }
    }
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Component => "a component",
            Self::CoreModule => "a core module",
            Self::Text => "WebAssembly text",
            Self::Garbage => "no WebAssembly",
        })
    }
}

/// Whether the first thing that is no space and no comment opens a module or a component.
fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(TEXT_BYTES_LOOKED_AT)];
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_start);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b";;"));
    first.is_some_and(|line| line.starts_with(b"(component") || line.starts_with(b"(module"))
}

/// How far into a text its beginning may be: past a licence's worth of comments.
const TEXT_BYTES_LOOKED_AT: usize = 16 << 10;

/// Bytes, and where they are from.
///
/// Nothing is checked yet but how they begin; [`LoadedModule::load`](crate::LoadedModule::load) does. Cloning is cheap
/// and copies nothing.
#[derive(Clone)]
pub struct WasmArtifact {
    bytes: Bytes,
    origin: String,
    kind: ArtifactKind,
}

impl WasmArtifact {
    /// Bytes that are at hand; `origin` is for messages, a path mostly.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>, origin: impl Into<String>) -> Self {
        let bytes = bytes.into();
        Self { kind: ArtifactKind::of(&bytes), bytes, origin: origin.into() }
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// [`ReadError`]: it is not there, no regular file, or larger than a component may be.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        Ok(Self::new(read_component(path)?, path.display().to_string()))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Where they are from.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A component around a core module that exports the functions of one of the [shapes](crate::NodeShape) under their
    /// own names, with a `memory`; a component is given back as it is.
    ///
    /// Of which world in `wit/processing-node.wit` the module is, its exports say, or the module itself where a bindings
    /// generator wrote it in. One whose `process` takes bytes wants a `cabi_realloc` too.
    ///
    /// # Errors
    /// [`NotComponentized`](ComponentExecutionError::NotComponentized) with what is in the way, and
    /// [`NotAComponent`](ComponentExecutionError::NotAComponent) for what is no core module either.
    pub fn componentize(&self) -> Result<Self, ComponentExecutionError> {
        match self.kind {
            ArtifactKind::Component => Ok(self.clone()),
            ArtifactKind::CoreModule => match componentize(&self.bytes) {
                Ok(bytes) => Ok(Self::new(bytes, self.origin.clone())),
                Err(why) => Err(ComponentExecutionError::NotComponentized { origin: self.origin.clone(), why }),
            },
            kind @ (ArtifactKind::Text | ArtifactKind::Garbage) => {
                Err(ComponentExecutionError::NotAComponent { origin: self.origin.clone(), kind })
            }
        }
    }

    /// What they seem to be.
    #[must_use]
    pub fn kind(&self) -> ArtifactKind {
        self.kind
    }
}

impl fmt::Debug for WasmArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmArtifact")
            .field("origin", &self.origin)
            .field("kind", &self.kind)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}
