//! Where components' bytes come from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use isorun_core::{BoxFuture, ComponentId, ComponentLoader, WasmError};
use parking_lot::RwLock;

use crate::prescan::prescan;
use crate::read::{ReadError, read_component};

/// Components in files: `base/namespace/name/instance.wasm`.
///
/// A name is 1 to 128 letters, digits, `-`, `_` and `.`, and not dots alone, so
/// that none leads out of the base folder; nor does a link inside it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use isorun_core::{ComponentId, ComponentLoader, WasmError};
/// use isorun_runtime::FileComponentLoader;
///
/// let loader = FileComponentLoader::new("components");
/// let outside = ComponentId::new("demo", "..", "kv");
/// assert!(matches!(loader.load_bytes(&outside).await, Err(WasmError::ComponentNotFound { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FileComponentLoader {
    base: PathBuf,
}

impl FileComponentLoader {
    /// A loader of what is below that folder, which is looked at when something is loaded.
    #[must_use]
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self { base: base.into() }
    }

    fn path(&self, id: &ComponentId) -> Option<PathBuf> {
        let file = || self.base.join(id.namespace()).join(id.name()).join(format!("{}.wasm", id.instance()));
        id.is_plain().then(file)
    }
}

impl ComponentLoader for FileComponentLoader {
    /// # Errors
    /// [`WasmError::ComponentNotFound`] for a file that isn't there or a name that can't be one;
    /// [`WasmError::InvalidComponent`] for one that can't be read, as [`read_component`] says.
    fn load_bytes<'a>(&'a self, id: &'a ComponentId) -> BoxFuture<'a, Result<Bytes, WasmError>> {
        Box::pin(async move {
            let missing = || WasmError::ComponentNotFound { id: id.to_string_id() };
            let path = self.path(id).ok_or_else(missing)?;
            let base = self.base.clone();
            let read = tokio::task::spawn_blocking(move || read_below(&base, &path)).await;
            match read {
                Ok(Ok(Some(bytes))) => Ok(bytes.into()),
                Ok(Ok(None)) => Err(missing()),
                Ok(Err(reason)) => Err(WasmError::invalid(reason)),
                Err(join) => Err(WasmError::runtime(join.to_string()).caused_by(join)),
            }
        })
    }

    fn validate(&self, bytes: &[u8]) -> Result<(), WasmError> {
        validate(bytes)
    }
}

/// Reads a file that is really below `base`; `None` if it isn't there.
fn read_below(base: &Path, path: &Path) -> Result<Option<Vec<u8>>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let (base, real) = match (base.canonicalize(), path.canonicalize()) {
        (Ok(base), Ok(real)) => (base, real),
        (Err(error), _) | (_, Err(error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        (Err(error), _) | (_, Err(error)) => return Err(told(error)),
    };
    if !real.starts_with(&base) {
        return Err(format!("{} leads out of {}", path.display(), base.display()));
    }
    match read_component(&real) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(ReadError::NotFound) => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Components in memory.
#[derive(Debug, Default)]
pub struct InMemoryComponentLoader {
    components: RwLock<HashMap<ComponentId, Bytes>>,
}

impl InMemoryComponentLoader {
    /// A loader of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a component's bytes under `id`; those that it replaces, if any.
    pub fn insert(&self, id: ComponentId, bytes: impl Into<Bytes>) -> Option<Bytes> {
        self.components.write().insert(id, bytes.into())
    }

    /// Takes a component out.
    pub fn remove(&self, id: &ComponentId) -> Option<Bytes> {
        self.components.write().remove(id)
    }
}

impl ComponentLoader for InMemoryComponentLoader {
    fn load_bytes<'a>(&'a self, id: &'a ComponentId) -> BoxFuture<'a, Result<Bytes, WasmError>> {
        let found = self.components.read().get(id).cloned();
        let found = found.ok_or_else(|| WasmError::ComponentNotFound { id: id.to_string_id() });
        Box::pin(std::future::ready(found))
    }

    fn validate(&self, bytes: &[u8]) -> Result<(), WasmError> {
        validate(bytes)
    }
}

fn validate(bytes: &[u8]) -> Result<(), WasmError> {
    prescan(bytes).map_err(|error| WasmError::invalid(error.to_string()).caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(namespace: &str, name: &str, instance: &str) -> ComponentId {
        ComponentId::new(namespace, name, instance)
    }

    #[tokio::test]
    async fn a_file_is_found_by_its_id_and_nothing_outside_the_base_is() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base");
        std::fs::create_dir_all(base.join("demo/kv")).unwrap();
        std::fs::write(base.join("demo/kv/0.wasm"), "bytes").unwrap();
        std::fs::write(folder.path().join("secret.wasm"), "secret").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret.wasm"), base.join("demo/kv/link.wasm")).unwrap();

        let loader = FileComponentLoader::new(&base);
        assert_eq!(loader.load_bytes(&id("demo", "kv", "0")).await.unwrap(), "bytes");
        for (namespace, name, instance) in [
            ("..", "..", "secret"),
            ("demo", "kv", "../../../secret"),
            ("demo", "", "0"),
            ("demo", "kv", "1"),
            ("a/b", "c", "d"),
        ] {
            let error = loader.load_bytes(&id(namespace, name, instance)).await.unwrap_err();
            assert!(matches!(error, WasmError::ComponentNotFound { .. }), "{error}");
        }
        let error = loader.load_bytes(&id("demo", "kv", "link")).await.unwrap_err();
        assert!(error.to_string().contains("leads out of"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_regular_file_is_refused_and_waits_for_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("demo/kv");
        std::fs::create_dir_all(base.join("folder.wasm")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(base.join("pipe.wasm")).status().unwrap();
        assert!(made.success());
        let loader = FileComponentLoader::new(folder.path());
        for (instance, what) in [("folder", "a folder"), ("pipe", "a pipe")] {
            let error = loader.load_bytes(&id("demo", "kv", instance)).await.unwrap_err();
            let WasmError::InvalidComponent { reason, .. } = &error else { panic!("{error}") };
            assert!(reason.contains(what), "{reason}");
        }
    }

    #[tokio::test]
    async fn a_component_in_memory_is_found_until_it_is_removed() {
        let loader = InMemoryComponentLoader::new();
        let kv = id("demo", "kv", "0");
        assert!(loader.insert(kv.clone(), &b"one"[..]).is_none());
        assert_eq!(loader.insert(kv.clone(), &b"two"[..]).unwrap(), "one");
        assert_eq!(loader.load_bytes(&kv).await.unwrap(), "two");
        assert_eq!(loader.remove(&kv).unwrap(), "two");
        assert_eq!(loader.load_bytes(&kv).await.unwrap_err(), WasmError::ComponentNotFound { id: "demo/kv/0".into() });
    }

    #[test]
    fn a_component_a_core_module_and_garbage_are_told_apart_each_with_its_remedy() {
        let loader = InMemoryComponentLoader::new();
        let told = |bytes: &[u8], parts: [&str; 2]| {
            let told = loader.validate(bytes).unwrap_err();
            assert!(matches!(told, WasmError::InvalidComponent { cause: Some(_), .. }), "{told:?}");
            assert!(parts.iter().all(|part| told.to_string().contains(part)), "{told}");
        };
        assert_eq!(loader.validate(&wat::parse_str("(component)").unwrap()), Ok(()));
        told(&wat::parse_str("(module)").unwrap(), ["core module", "wasm-tools component new"]);
        told(&wat::parse_str("(module)").unwrap(), ["core module", "isorun pipe --componentize"]);
        told(b" (module)", ["WebAssembly text", "wasm-tools parse"]);
        told(b"garbage", ["this is text", "build for wasm32-wasip2"]);
        told(b"\xff\xfe", ["data of another kind", "build for wasm32-wasip2"]);
        told(b"\x1f\x8b\x08", ["gzip", "unpack it"]);
        told(b"", ["an empty file", "make it again"]);
        let component = wat::parse_str("(component (core module))").unwrap();
        told(&component[..component.len() - 1], ["damaged", "at byte"]);
    }
}
