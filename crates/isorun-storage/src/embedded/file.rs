//! The file: opened, given up after a failure, and opened again.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parking_lot::{RwLock, RwLockReadGuard};
use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError};

use super::tables;

/// Memory for parts of the file that were read or are to be written, in bytes.
pub const CACHE_BYTES: usize = 64 << 20;

/// Why the file of a [`RedbStorage`](crate::RedbStorage) could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open, or this one has.
    #[error("{} is in use: stop the other process that has it open, or give each node a file of its own", file.display())]
    InUse {
        /// The file.
        file: PathBuf,
    },
    /// What is in it is not what was written, or something else altogether.
    #[error(
        "{} is damaged or no storage of isorun: {problem}; put a backup in its place, or move it away to begin with an empty one",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A folder stands there.
    #[error("{} is a folder: name a file in it, {}", file.display(), file.join("components.redb").display())]
    Folder {
        /// The folder.
        file: PathBuf,
    },
    /// The system does not let this process have it.
    #[error("{} can't be read and written by this user: {cause}", file.display())]
    Permission {
        /// The file.
        file: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// There is no folder that it could be made in.
    #[error("{} can't be made: create its folder first", file.display())]
    NoFolder {
        /// The file.
        file: PathBuf,
    },
    /// The system could not do it.
    #[error("{} can't be opened: {cause}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
}

/// Opens the file each time that it is wanted.
type Open = Box<dyn Fn() -> Result<Database, OpenError> + Send + Sync>;

/// The open file, which goes when it has failed and comes back with the next use.
pub(super) struct Kept {
    open: Open,
    /// None after a failure, and once closed.
    database: RwLock<Option<Database>>,
}

impl Kept {
    /// Opens it a first time.
    pub(super) fn open(open: Open) -> Result<Self, OpenError> {
        let database = RwLock::new(Some(open()?));
        Ok(Self { open, database })
    }

    /// Has `work` done with the file, opened again where it has failed before.
    ///
    /// After an error, or a panic, which is one then, the file is given up: redb does nothing more with it, and what it
    /// holds in memory is not what is on the disk.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, String> {
        let database = self.there().map_err(|error| error.to_string())?;
        let Some(open) = database.as_ref() else { return Err("it is being closed".to_owned()) };
        let reason = match catch_unwind(AssertUnwindSafe(|| work(open))) {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "what is in the file does not fit together".to_owned(),
        };
        drop(database);
        tracing::error!(reason, "the storage file failed: it is opened again when it is wanted");
        self.close();
        Err(reason)
    }

    fn there(&self) -> Result<RwLockReadGuard<'_, Option<Database>>, OpenError> {
        let database = self.database.read();
        if database.is_some() {
            return Ok(database);
        }
        drop(database);
        let mut database = self.database.write();
        if database.is_none() {
            *database = Some((self.open)()?);
        }
        Ok(parking_lot::RwLockWriteGuard::downgrade(database))
    }

    /// Lets the file go, once nobody reads or writes it.
    pub(super) fn close(&self) {
        let database = self.database.write().take();
        // redb may find out while closing that nothing can be written; that has been said.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }
}

/// What opens the file at `path`, made if it is not there.
pub(super) fn at(path: &Path) -> Open {
    let path = path.to_owned();
    Box::new(move || {
        let file = open_file(&path)?;
        let backend = FileBackend::new(file).map_err(|error| because(&path, error))?;
        open_database(&path, |builder| builder.create_with_backend(backend))
    })
}

/// Opens what `create` gives, reads it once from end to end, and makes the tables.
pub(super) fn open_database(
    path: &Path,
    create: impl FnOnce(&Builder) -> Result<Database, DatabaseError>,
) -> Result<Database, OpenError> {
    let mut builder = Builder::new();
    // Without it, a file that was damaged may panic long after.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database = create(&builder).map_err(redb::Error::from)?;
        let prepared = tables::prepare(&database)?;
        Ok::<_, redb::Error>((database, prepared))
    }));
    let damaged = |problem: String| OpenError::Damaged { file: path.to_owned(), problem };
    match opened {
        Ok(Ok((database, Ok(())))) => Ok(database),
        Ok(Ok((_, Err(problem)))) => Err(damaged(problem)),
        Ok(Err(error)) => Err(because(path, error)),
        Err(_) => Err(damaged("what is in it does not fit together".to_owned())),
    }
}

fn open_file(path: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    // What components keep is nobody else's.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let is_new = !path.exists();
    let opened = options.open(path).and_then(|file| {
        if is_new && let Some(folder) = path.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            // That there is a file must outlast a power cut too.
            #[cfg(unix)]
            File::open(folder)?.sync_all()?;
            let _ = folder;
        }
        Ok(file)
    });
    opened.map_err(|cause| because_io(path, cause))
}

fn because(path: &Path, error: impl Into<redb::Error>) -> OpenError {
    let file = path.to_owned();
    match error.into() {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => OpenError::InUse { file },
        redb::Error::Io(cause) => because_io(path, cause),
        error => OpenError::Damaged { file, problem: error.to_string() },
    }
}

fn because_io(path: &Path, cause: io::Error) -> OpenError {
    let file = path.to_owned();
    if path.is_dir() {
        return OpenError::Folder { file };
    }
    match cause.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => OpenError::Permission { file, cause },
        ErrorKind::NotFound => OpenError::NoFolder { file },
        // What redb gives for what it did not write.
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => OpenError::Damaged { file, problem: cause.to_string() },
        _ => OpenError::Io { file, cause },
    }
}
