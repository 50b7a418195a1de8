//! The folder: who may write it, and files that are there whole or not at all.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result as IoResult, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::CacheError;
use super::sealed::{KEY_BYTES, Key};

/// The file of the key.
const KEY: &str = "key";
/// How names of files that are being written end.
const PARTIAL: &str = "partial";
/// A file that is being written for longer than this was left by a process that ended.
const PARTIAL_MAX: Duration = Duration::from_secs(3_600);

/// A folder that only this user can write.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The user that this process's files belong to.
    #[cfg(unix)]
    me: u32,
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    #[cfg(not(unix))]
    pub(super) fn open(_: &Path) -> Result<Self, CacheError> {
        Err(CacheError::Unsupported)
    }

    /// Makes the folder if it isn't there, and looks whose it is.
    #[cfg(unix)]
    pub(super) fn open(path: &Path) -> Result<Self, CacheError> {
        use std::os::unix::fs::{DirBuilderExt, MetadataExt};

        let failed = |path: &Path| {
            let path = path.to_owned();
            |cause| CacheError::Io { path, cause }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
        let not_private = |path: &Path, why| Err(CacheError::NotPrivate { path: path.to_owned(), why });
        if path.symlink_metadata().map_err(failed(path))?.is_symlink() {
            return not_private(path, "is a symbolic link");
        }
        let path = path.canonicalize().map_err(failed(path))?;
        let me = me(&path).map_err(failed(&path))?;
        let found = path.symlink_metadata().map_err(failed(&path))?;
        if !found.is_dir() {
            return not_private(&path, "is no folder");
        }
        if found.uid() != me {
            return not_private(&path, "belongs to another user");
        }
        if found.mode() & OTHERS_WRITE != 0 {
            return not_private(&path, "can be written by others");
        }
        // Whoever can write a folder above can put another one in this one's place.
        for above in path.ancestors().skip(1) {
            let found = above.symlink_metadata().map_err(failed(above))?;
            if found.uid() != me && found.uid() != ROOT {
                return not_private(above, "belongs to another user");
            }
            if found.mode() & OTHERS_WRITE != 0 && found.mode() & STICKY == 0 {
                return not_private(above, "can be written by others");
            }
        }
        Ok(Self { path, me })
    }

    /// The folder's key, which is made with the folder.
    pub(super) fn key(&self) -> Result<Key, CacheError> {
        let path = self.path.join(KEY);
        let failed = |cause| CacheError::Io { path: path.clone(), cause };
        if let Some(key) = self.read_key(&path)? {
            return Ok(key);
        }
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(|error| failed(Error::other(error.to_string())))?;
        let (mut file, partial) = partial(&self.path).map_err(failed)?;
        let made = file.write_all(&key).and_then(|()| file.sync_all());
        // Whoever is first makes the key, whole; the others find it.
        let made = made.and_then(|()| match std::fs::hard_link(&partial, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
        let _ = std::fs::remove_file(partial);
        made.map_err(failed)?;
        self.read_key(&path)?.ok_or_else(|| failed(ErrorKind::NotFound.into()))
    }

    /// Reads the key, if it is there.
    fn read_key(&self, path: &Path) -> Result<Option<Key>, CacheError> {
        let failed = |cause| CacheError::Io { path: path.to_owned(), cause };
        let file = match open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let found = file.metadata().map_err(failed)?;
        if let Some(why) = self.exposed(&found) {
            return Err(CacheError::NotPrivate { path: path.to_owned(), why });
        }
        let mut bytes = Vec::new();
        file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        let key =
            bytes.try_into().map_err(|_| failed(Error::new(ErrorKind::InvalidData, "the key has another length")))?;
        Ok(Some(Key::new(key)))
    }

    /// Why a key's file may not be relied on.
    fn exposed(&self, found: &Metadata) -> Option<&'static str> {
        if !found.is_file() {
            return Some("is no regular file");
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            if found.uid() != self.me {
                return Some("belongs to another user");
            }
            if found.mode() & OTHERS_ANY != 0 {
                return Some("can be read or written by others");
            }
        }
        None
    }

    /// The file's bytes, read once; `None` where there is none.
    pub(super) fn read(&self, name: &str, bytes_max: u64) -> IoResult<Option<Vec<u8>>> {
        let file = match open(&self.path.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let found = file.metadata()?;
        if !found.is_file() || found.len() > bytes_max {
            return Err(Error::new(ErrorKind::InvalidData, "no regular file, or larger than any entry"));
        }
        let mut bytes = Vec::new();
        // The length is the file system's word, and bounded.
        bytes.try_reserve_exact(usize::try_from(found.len()).unwrap_or(0))?;
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Says that a file was used.
    pub(super) fn touch(&self, name: &str) {
        // It is about the order in which entries go, so that nothing is lost where it fails.
        let _ = open(&self.path.join(name)).and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// Puts a file there, whole, in place of the one that was there.
    pub(super) fn write(&self, name: &str, parts: &[&[u8]]) -> IoResult<()> {
        let (mut file, partial) = partial(&self.path)?;
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        drop(file);
        let put = written.and_then(|()| std::fs::rename(&partial, self.path.join(name)));
        if put.is_err() {
            // What is half there only takes room.
            let _ = std::fs::remove_file(&partial);
        }
        put
    }

    /// Removes files of that kind, the ones that were used least lately first, until the others have `bytes_max` bytes
    /// at most; and what processes left that ended while they wrote.
    pub(super) fn trim(&self, kind: &str, bytes_max: u64, now: SystemTime) -> IoResult<()> {
        let (mut kept, mut bytes) = (Vec::new(), 0u64);
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            let ends_with = |kind: &str| path.extension().is_some_and(|extension| extension == kind);
            // Another process may remove it meanwhile.
            let Ok(found) = path.symlink_metadata() else { continue };
            let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if ends_with(PARTIAL) && now.duration_since(used).is_ok_and(|age| age > PARTIAL_MAX) {
                let _ = std::fs::remove_file(&path);
            } else if ends_with(kind) {
                bytes = bytes.saturating_add(found.len());
                kept.push((used, found.len(), path));
            }
        }
        kept.sort();
        for (_, size, path) in kept {
            if bytes <= bytes_max {
                break;
            }
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => bytes = bytes.saturating_sub(size),
            }
        }
        Ok(())
    }
}

/// The user that this process's files belong to. The system would say it too, but by no safe function of `std`.
#[cfg(unix)]
fn me(folder: &Path) -> IoResult<u32> {
    use std::os::unix::fs::MetadataExt;

    let (file, path) = partial(folder)?;
    let found = file.metadata();
    let _ = std::fs::remove_file(path);
    Ok(found?.uid())
}

/// A new file of a name that nobody has, which only this user can read.
fn partial(folder: &Path) -> IoResult<(File, PathBuf)> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Error::other(error.to_string()))?;
    let path = folder.join(format!("{:032x}.{PARTIAL}", u128::from_le_bytes(random)));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok((options.open(&path)?, path))
}

/// Opens to read: no symbolic link, and without waiting, should it be a pipe.
fn open(path: &Path) -> IoResult<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options.open(path)
}

#[cfg(unix)]
const ROOT: u32 = 0;
#[cfg(unix)]
const OTHERS_WRITE: u32 = 0o022;
#[cfg(unix)]
const OTHERS_ANY: u32 = 0o077;
#[cfg(unix)]
const STICKY: u32 = 0o1000;
