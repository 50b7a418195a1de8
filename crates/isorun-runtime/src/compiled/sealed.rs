//! What makes it safe to run code from a file: the proof that this user's isorun wrote it.
//!
//! An entry is, in bytes: `isorun\0\x01`, the entry's id (32), the code's length (8, little-endian), the HMAC-SHA256 of all
//! of these and the code under the folder's key (32), and the code.
#![allow(unsafe_code, reason = "compiled code can be loaded in no other way; the proof is beside it")]

use hmac::{Hmac, Mac};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::EntryId;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
/// Bytes before the code.
pub(super) const SEALED_BYTES: usize = MAGIC.len() + 32 + 8 + MAC_BYTES;

const MAGIC: &[u8; 8] = b"isorun\0\x01";
const MAC_BYTES: usize = 32;

/// What only this user has: who has it can write code that is run.
pub(super) struct Key([u8; KEY_BYTES]);

impl Key {
    pub(super) fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    fn mac(&self, id: &EntryId, code: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(MAGIC);
        mac.update(&id.0);
        mac.update(&(code.len() as u64).to_le_bytes());
        mac.update(code);
        Some(mac)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Code whose seal was whole. Only [`open`] makes one, and nobody can change what is in it.
pub(super) struct Authentic {
    entry: Vec<u8>,
}

impl Authentic {
    fn code(&self) -> &[u8] {
        self.entry.get(SEALED_BYTES..).unwrap_or_default()
    }
}

/// What stands before the code of an entry.
pub(super) fn seal(key: &Key, id: &EntryId, code: &[u8]) -> Vec<u8> {
    let mac = key.mac(id, code).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
    [&MAGIC[..], &id.0, &(code.len() as u64).to_le_bytes(), &mac].concat()
}

/// The code of an entry, if it is that entry, whole, and written by somebody who has the key.
pub(super) fn open(key: &Key, id: &EntryId, entry: Vec<u8>) -> Option<Authentic> {
    let (head, code) = entry.split_at_checked(SEALED_BYTES)?;
    let (told, seal) = head.split_at_checked(SEALED_BYTES - MAC_BYTES)?;
    let expected = [&MAGIC[..], &id.0, &(code.len() as u64).to_le_bytes()].concat();
    if told != expected {
        return None;
    }
    // Takes as long for any seal.
    key.mac(id, code)?.verify_slice(seal).ok()?;
    Some(Authentic { entry })
}

/// The component of code that is authentic; `None` where the engine finds that it is another engine's after all.
pub(super) fn deserialize(engine: &Engine, code: &Authentic) -> Option<Component> {
    // SAFETY: `deserialize` runs what it is given, so it must be bytes that `Component::serialize` made. `code` holds what
    // `open` took an HMAC-SHA256 of under a key that is 32 random bytes in a file that only this user can read (`files`
    // refuses any other), so they were sealed by a process of this user that has read that file; isorun is what reads it,
    // and it seals one thing alone: what `Component::serialize` returned, in `CompiledCache::keep`. The seal covers the
    // entry's id, which is a hash of the component's bytes, of the engine's version, target and settings, and of the format,
    // so that it is this component's code for this engine. The bytes were read into memory once, before they were verified,
    // by nobody else's leave: a change of the file since then changes nothing here.
    let component = unsafe { Component::deserialize(engine, code.code()) };
    component.map_err(|error| tracing::debug!(error = %format!("{error:#}"), "the engine refuses kept code")).ok()
}
