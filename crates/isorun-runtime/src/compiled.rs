//! Compiled code that is kept in a folder, so that a component is compiled once and not by each process.
//!
//! Nothing here is trusted but the key: an entry that is not exactly what this user's isorun wrote for these bytes, this
//! engine and these settings is as good as none. See `docs/adr/0017-compiled-code-is-kept.md`.

mod files;
mod sealed;

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use files::Folder;
use sealed::{Key, SEALED_BYTES};

/// Bytes that all entries of a cache's folder have together, at most; the ones that were used least lately go first.
///
/// Compiled code has three to five times the size of its component: this is room for 30 that bring an interpreter, or for
/// thousands that don't.
pub const CACHE_BYTES_MAX: u64 = 2 << 30;
/// Bytes of one entry, at most: what is larger is compiled each time.
pub const CACHE_ENTRY_BYTES_MAX: u64 = 512 << 20;
const _: () = assert!(CACHE_ENTRY_BYTES_MAX < CACHE_BYTES_MAX);

/// The version of what entries look like and of what they stand for: another one's are not found.
const FORMAT: u32 = 1;

/// Why a folder is not used to keep compiled code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The folder, or the key in it, can't be made or read.
    #[error("cannot use `{}`: {cause}", path.display())]
    Io {
        /// What was to be made or read.
        path: PathBuf,
        /// Why it was not.
        cause: std::io::Error,
    },
    /// Somebody else could put code there that would be run.
    #[error("`{}` {why}: whoever can write there could have this process run any code", path.display())]
    NotPrivate {
        /// The folder, one above it, or the key.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no way to tell whose the folder is.
    #[error("compiled code is kept only where files have owners, which is on Unix")]
    Unsupported,
}

/// A folder of compiled code, which only this user can write.
///
/// Any number of processes and threads may use it at once.
#[derive(Debug)]
pub struct CompiledCache {
    folder: Folder,
    key: Key,
    bytes_max: u64,
}

/// Which code an entry is: that of these bytes, compiled by this engine with these settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryId([u8; 32]);

impl EntryId {
    pub(crate) fn of(engine: &Engine, component: &[u8]) -> Self {
        let mut all = Words(Sha256::new());
        all.0.update(b"isorun compiled component");
        all.0.update(FORMAT.to_le_bytes());
        all.0.update(Sha256::digest(component));
        engine.precompile_compatibility_hash().hash(&mut all);
        Self(all.0.finalize().into())
    }

    fn file(&self) -> String {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hex}.{ENTRY}")
    }
}

/// How names of entries end.
const ENTRY: &str = "compiled";

/// Whatever is hashed, all of it, in 256 bits.
struct Words(Sha256);

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl CompiledCache {
    /// The cache in that folder, which is made if need be, and its key too.
    ///
    /// # Errors
    /// [`CacheError::NotPrivate`] where others could write: the folder must be this user's own, no symbolic link, and
    /// writable by nobody else, and none of the folders above it may be another user's or writable by others, unless
    /// those can't rename what isn't theirs (`/tmp`).
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, CacheError> {
        let folder = Folder::open(folder.as_ref())?;
        let key = folder.key()?;
        Ok(Self { folder, key, bytes_max: CACHE_BYTES_MAX })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The code that was kept, if it was and is as it was.
    pub(crate) fn load(&self, engine: &Engine, id: &EntryId) -> Option<Component> {
        let name = id.file();
        let bytes = match self.folder.read(&name, CACHE_ENTRY_BYTES_MAX) {
            Ok(bytes) => bytes?,
            Err(error) => {
                tracing::warn!(entry = name, %error, "cannot read compiled code; it is compiled again");
                return None;
            }
        };
        let code = sealed::open(&self.key, id, bytes).and_then(|code| sealed::deserialize(engine, &code));
        match code {
            Some(_) => self.folder.touch(&name),
            None => tracing::warn!(entry = name, "compiled code is not as it was kept; it is compiled again"),
        }
        code
    }

    /// Keeps the code, and makes room for it; whether it is kept now. Where it can't be, that is only told in the log.
    pub(crate) fn keep(&self, id: &EntryId, component: &Component) -> bool {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::warn!(folder = %self.folder().display(), %error, "cannot keep compiled code");
            false
        };
        let code = match component.serialize() {
            Ok(code) => code,
            Err(error) => return failed(&error),
        };
        if code.len() as u64 + SEALED_BYTES as u64 > CACHE_ENTRY_BYTES_MAX {
            return failed(&format!("it has {} bytes, at most {CACHE_ENTRY_BYTES_MAX} are kept", code.len()));
        }
        let head = sealed::seal(&self.key, id, &code);
        if let Err(error) = self.folder.write(&id.file(), &[&head, &code]) {
            return failed(&error);
        }
        match self.folder.trim(ENTRY, self.bytes_max, SystemTime::now()) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(folder = %self.folder().display(), %error, "cannot look how much compiled code is kept");
                true
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests;
