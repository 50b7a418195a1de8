//! Reads a component's file without waiting for anybody, and without end.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::prescan::COMPONENT_BYTES_MAX;

/// Why a component's file was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It isn't there.
    #[error("no such file")]
    NotFound,
    /// It may not be read.
    #[error("permission denied")]
    PermissionDenied,
    /// It is something that might keep its reader waiting, or never end.
    #[error("this is {what}, and no regular file")]
    NotAFile {
        /// What it is.
        what: &'static str,
    },
    /// It has more than [`COMPONENT_BYTES_MAX`] bytes, or grew past them while it was read.
    #[error("more than {COMPONENT_BYTES_MAX} bytes, which is the most that a component may have")]
    TooLarge,
    /// Anything else that reading files may end with.
    #[error(transparent)]
    Io(std::io::Error),
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::PermissionDenied => Self::PermissionDenied,
            _ => Self::Io(error),
        }
    }
}

/// Reads the file of a component: a regular file of at most [`COMPONENT_BYTES_MAX`] bytes.
///
/// Looked at are the file's kind and size, not yet whether it is a component. A
/// pipe or a device is refused without waiting for its other end.
///
/// # Errors
/// [`ReadError`]; nothing is read of what is too large or no regular file.
pub fn read_component(path: &Path) -> Result<Vec<u8>, ReadError> {
    // Opening some devices does something to them, so that they are not even opened.
    suits(&std::fs::metadata(path)?)?;
    let file = open(path)?;
    // Another file may be there by now.
    suits(&file.metadata()?)?;
    read(file)
}

/// Opens without waiting for somebody who writes, should it be a pipe.
fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
}

fn suits(file: &Metadata) -> Result<(), ReadError> {
    if !file.is_file() {
        return Err(ReadError::NotAFile { what: kind(file.file_type()) });
    }
    if file.len() > COMPONENT_BYTES_MAX as u64 { Err(ReadError::TooLarge) } else { Ok(()) }
}

/// Reads to the end, or one byte further than a component may go.
fn read(from: impl Read) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    from.take(COMPONENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > COMPONENT_BYTES_MAX { Err(ReadError::TooLarge) } else { Ok(bytes) }
}

fn kind(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "something else" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_at_the_limit_and_refused_past_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.wasm");
        let file = File::create(&path).unwrap();
        file.set_len(COMPONENT_BYTES_MAX as u64).unwrap();
        assert_eq!(read_component(&path).unwrap().len(), COMPONENT_BYTES_MAX);
        file.set_len(COMPONENT_BYTES_MAX as u64 + 1).unwrap();
        assert!(matches!(read_component(&path), Err(ReadError::TooLarge)));
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_not_read_without_end() {
        assert!(matches!(read(std::io::repeat(0)), Err(ReadError::TooLarge)));
        assert_eq!(read(std::io::repeat(0).take(COMPONENT_BYTES_MAX as u64)).unwrap().len(), COMPONENT_BYTES_MAX);
    }

    #[test]
    fn a_file_that_is_not_there_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read_component(&folder.path().join("no.wasm")), Err(ReadError::NotFound)));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_that_took_the_place_of_a_file_is_opened_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.wasm");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let opened = open(&pipe).unwrap().metadata().unwrap();
        assert!(matches!(suits(&opened), Err(ReadError::NotAFile { what: "a pipe" })));
        for device in ["/dev/zero", "/dev/null"] {
            let refused = read_component(Path::new(device));
            assert!(matches!(refused, Err(ReadError::NotAFile { what: "a device" })), "{refused:?}");
        }
    }
}
