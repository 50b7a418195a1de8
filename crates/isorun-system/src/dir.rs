//! One directory of the host, shown to a guest.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use isorun_runtime::{HostState, SystemComponent};
use isorun_security::{Access, Mount, Request};
use wasmtime::component::Linker;
use wasmtime_wasi::FsPerms;

use crate::interfaces::Package;
use crate::state;

/// A directory of the host that a guest sees as a preopened one: `wasi:filesystem`, and the `wasi:io` that it needs.
///
/// Nothing outside of it can be reached: not by `..`, not by an absolute path,
/// not through a symbolic link. Several on one component are so many preopened
/// directories, each under a path of its own.
///
/// What a guest writes is bounded by the disk alone, as is the time that the
/// disk takes: give a guest that you don't trust a folder on a volume of its
/// own, or a read-only one.
///
/// ```
/// use isorun_system::WasiDir;
///
/// # fn main() -> Result<(), isorun_system::WasiDirError> {
/// # let folder = std::env::temp_dir();
/// let photos = WasiDir::read_only(folder, "/photos")?;
/// assert_eq!(photos.mount().guest.to_str(), Some("/photos"));
///
/// let error = WasiDir::read_only("no/such/folder", "/x").unwrap_err();
/// assert_eq!(error.to_string(), "cannot open folder `no/such/folder`: entity not found");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WasiDir {
    mount: Mount,
    /// The guest's path once more, as WASI has it.
    guest: String,
}

/// Why a directory can't be shown to a guest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WasiDirError {
    /// It isn't there, or may not be opened.
    #[error("cannot open folder `{}`: {kind}", host.display())]
    Open {
        /// The path, as it was given.
        host: PathBuf,
        /// What the system says.
        kind: ErrorKind,
    },
    /// It is a file.
    #[error("`{}` is not a folder", host.display())]
    NotAFolder {
        /// The path, as it was given.
        host: PathBuf,
    },
    /// The path in the guest is empty, or no text.
    #[error("folder `{}` can't be shown to the guest as `{}`: the guest's path must be text, and not empty", host.display(), guest.display())]
    GuestPath {
        /// The path on the host, as it was given.
        host: PathBuf,
        /// The path in the guest.
        guest: PathBuf,
    },
}

impl WasiDir {
    /// The folder `host`, which the guest sees as `guest` and can list and read.
    ///
    /// # Errors
    /// Where there is no such folder, or the guest's path is empty.
    pub fn read_only(host: impl AsRef<Path>, guest: impl AsRef<Path>) -> Result<Self, WasiDirError> {
        Self::new(&Mount::new(host.as_ref(), guest.as_ref(), Access::ReadOnly))
    }

    /// The folder `host`, which the guest sees as `guest` and can also write to: create, change and remove.
    ///
    /// # Errors
    /// As [`read_only`](Self::read_only).
    pub fn read_write(host: impl AsRef<Path>, guest: impl AsRef<Path>) -> Result<Self, WasiDirError> {
        Self::new(&Mount::new(host.as_ref(), guest.as_ref(), Access::ReadWrite))
    }

    /// The folder, path and access that `mount` names.
    ///
    /// # Errors
    /// As [`read_only`](Self::read_only).
    pub fn new(mount: &Mount) -> Result<Self, WasiDirError> {
        let named = mount.host.clone();
        let open = |e: std::io::Error| WasiDirError::Open { host: mount.host.clone(), kind: e.kind() };
        let host = mount.host.canonicalize().map_err(open)?;
        if !host.is_dir() {
            return Err(WasiDirError::NotAFolder { host: named });
        }
        // That it may be listed is found out now, not when the first guest asks.
        std::fs::read_dir(&host).map_err(open)?;
        let guest = match mount.guest.to_str() {
            Some(guest) if !guest.is_empty() && !guest.contains('\0') => guest.to_owned(),
            _ => return Err(WasiDirError::GuestPath { host: named, guest: mount.guest.clone() }),
        };
        Ok(Self { mount: Mount { host, guest: mount.guest.clone(), access: mount.access }, guest })
    }

    /// What is mounted where; the host's path is absolute, and all links in it are resolved.
    #[must_use]
    pub fn mount(&self) -> &Mount {
        &self.mount
    }
}

impl SystemComponent for WasiDir {
    fn interfaces(&self) -> Vec<String> {
        Package::Filesystem.interfaces().chain(Package::Io.interfaces()).collect()
    }

    fn adds_up(&self) -> bool {
        true
    }

    fn needs(&self) -> Vec<Request<'_>> {
        vec![Request::Mount(&self.mount)]
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        Package::Filesystem.install(linker)?;
        Package::Io.install(linker)
    }

    fn configure(&self, state: &mut HostState) -> wasmtime::Result<()> {
        let perms = match self.mount.access {
            Access::ReadOnly => FsPerms::ReadOnly,
            Access::ReadWrite => FsPerms::ReadWrite,
        };
        state::mount(state, &self.mount.host, &self.guest, perms)
    }
}
