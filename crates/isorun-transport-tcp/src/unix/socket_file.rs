//! The socket file: made for its owner alone, replaced when nobody listens on it, removed in the end.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::time::Instant;

use super::{UnixAddress, UnixListenError};

/// Channels that may wait to be accepted; the system may allow fewer.
const BACKLOG_MAX: u32 = 1_024;

/// Who may connect: whoever may write to the file, its owner alone.
const MODE: u32 = 0o600;

/// How long to wait for another process that is making a socket in the same folder, in milliseconds.
///
/// Each holds the folder for a few system calls.
const LOCK_MS_MAX: u64 = 1_000;

/// How often it is asked whether the folder is free, in milliseconds.
const LOCK_POLL_MS: u64 = 5;

/// Removes the file when dropped, if it is still the one that was made.
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// Listens at `address`, on a file made for it.
    ///
    /// Deciding that nobody listens on a file, and replacing it, takes several
    /// steps, and so does making one that is listened on: whoever does either
    /// holds the folder's lock, so that nobody takes a socket that is just being
    /// made for one that was left behind.
    pub(super) async fn listen(address: &UnixAddress) -> Result<(UnixListener, Self), UnixListenError> {
        let failed = |cause| UnixListenError::Bind { address: address.clone(), cause };
        let folder = File::open(address.folder()).map_err(failed)?;
        lock(&folder).await.map_err(failed)?;
        let socket = private_socket().map_err(failed)?;
        if let Err(error) = socket.bind(address.path()) {
            if error.kind() != io::ErrorKind::AddrInUse {
                return Err(failed(error));
            }
            remove_if_stale(address).await?;
            socket.bind(address.path()).map_err(failed)?;
        }
        // From here on the file goes when this function fails.
        let file = Self::of(address).map_err(failed)?;
        // Where the system takes no permissions from the socket: nobody can connect before `listen`.
        fs::set_permissions(address.path(), Permissions::from_mode(MODE)).map_err(failed)?;
        let listener = socket.listen(BACKLOG_MAX).map_err(failed)?;
        Ok((listener, file))
    }

    fn of(address: &UnixAddress) -> io::Result<Self> {
        let found = fs::symlink_metadata(address.path())?;
        Ok(Self { path: address.path().to_owned(), device: found.dev(), inode: found.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode)) {
            // Nobody is left to tell; a file that stays is replaced by the next who listens there.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A socket whose file will be its owner's alone from the moment it is there, whatever the umask.
fn private_socket() -> io::Result<UnixSocket> {
    let socket = UnixSocket::new_stream()?;
    // Linux gives the file the socket's own permissions. Other systems may refuse the question.
    let _ = File::from(socket.as_fd().try_clone_to_owned()?).set_permissions(Permissions::from_mode(MODE));
    Ok(socket)
}

/// Holds the folder against others who make sockets in it, until the file is closed.
async fn lock(folder: &File) -> io::Result<()> {
    let end = Instant::now() + Duration::from_millis(LOCK_MS_MAX);
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => {
                let cause = format!("its folder has been locked by another process for {LOCK_MS_MAX} ms");
                return Err(io::Error::new(io::ErrorKind::WouldBlock, cause));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(LOCK_POLL_MS)).await,
        }
    }
}

/// Removes a socket file that nobody listens on, and no other.
async fn remove_if_stale(address: &UnixAddress) -> Result<(), UnixListenError> {
    let failed = |cause| UnixListenError::Bind { address: address.clone(), cause };
    let found = match fs::symlink_metadata(address.path()) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !found.file_type().is_socket() {
        return Err(UnixListenError::NotASocket { address: address.clone() });
    }
    match UnixStream::connect(address.path()).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(address.path()).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A full backlog is one that somebody listens with.
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(failed(error)),
        Ok(_) | Err(_) => Err(UnixListenError::Taken { address: address.clone() }),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The permissions are asked for between `bind` and `listen`: before the file's own are set.
    #[tokio::test]
    async fn the_file_is_its_owners_alone_from_the_moment_it_is_there() {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let path = folder.path().join("s");
        let socket = private_socket().unwrap();
        socket.bind(&path).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let refused = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "nobody connects before it is listened on");
    }
}
