//! `unix:///PATH`, parsed once.

use std::fmt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Longest path of a Unix socket, in bytes: the room the system has for it, less the zero that ends it.
pub const UNIX_PATH_BYTES_MAX: usize =
    if cfg!(any(target_os = "linux", target_os = "android")) { 108 - 1 } else { 104 - 1 };

/// Where something listens on this machine: `unix:///PATH`, the path of a socket file.
///
/// The path is absolute, has [`UNIX_PATH_BYTES_MAX`] bytes at most, and stands as
/// it is, without escapes. It holds no `#`: what an address names an instance
/// with comes after one (`unix:///run/kv.sock#kv`), and whoever reads such a
/// place cuts it off before.
///
/// ```
/// use isorun_transport_tcp::UnixAddress;
///
/// let address: UnixAddress = "unix:///run/isorun/kv.sock".parse()?;
/// assert_eq!(address.path().to_str(), Some("/run/isorun/kv.sock"));
/// assert_eq!(address.to_string(), "unix:///run/isorun/kv.sock");
/// # Ok::<(), isorun_transport_tcp::UnixAddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnixAddress {
    path: Box<str>,
}

/// Why a text or a path is no [`UnixAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnixAddressError {
    /// It names another kind of transport.
    #[error("`{address}` is not the address of a Unix socket: it does not start with `unix://`")]
    Scheme {
        /// The text.
        address: String,
    },
    /// The path does not start at the root, or there is none.
    #[error("`{path}` is not an absolute path: `unix:///PATH`, with three slashes")]
    Relative {
        /// The path.
        path: String,
    },
    /// The path has a character that no address has.
    #[error("`{}` can't be the path of a socket: it has {what}", path.escape_debug())]
    Character {
        /// The path.
        path: String,
        /// The character, in words.
        what: &'static str,
    },
    /// The path is longer than the system takes.
    #[error("the path of a socket has {max} bytes at most, and `{path}` has {size}: use a shorter folder")]
    TooLong {
        /// The path.
        path: String,
        /// Its size, in bytes.
        size: usize,
        /// The largest, in bytes: [`UNIX_PATH_BYTES_MAX`].
        max: usize,
    },
}

impl UnixAddress {
    /// The address of the socket file at `path`, which need not exist; a relative path is taken from the current folder.
    ///
    /// # Errors
    /// [`UnixAddressError`] where no socket can have that path.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, UnixAddressError> {
        let path = path.as_ref();
        let text = || path.to_string_lossy().into_owned();
        let absolute = std::path::absolute(path).map_err(|_| UnixAddressError::Relative { path: text() })?;
        let what = "bytes that are not UTF-8";
        let absolute = absolute.to_str().ok_or_else(|| UnixAddressError::Character { path: text(), what })?;
        Self::absolute(absolute)
    }

    fn absolute(path: &str) -> Result<Self, UnixAddressError> {
        if !path.starts_with('/') {
            return Err(UnixAddressError::Relative { path: path.to_owned() });
        }
        // They would end the path early, or an address that stands in a line of text.
        for (what, found) in [
            ("a `#`, which begins the name of an instance", path.contains('#')),
            ("a control character", path.contains(char::is_control)),
        ] {
            if found {
                return Err(UnixAddressError::Character { path: path.to_owned(), what });
            }
        }
        // The constant is what the error says; whether it fits is for the system to say.
        if path.len() > UNIX_PATH_BYTES_MAX || SocketAddr::from_pathname(path).is_err() {
            let (size, max) = (path.len(), UNIX_PATH_BYTES_MAX);
            return Err(UnixAddressError::TooLong { path: path.to_owned(), size, max });
        }
        Ok(Self { path: path.into() })
    }

    /// The path of the socket file: absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        Path::new(&*self.path)
    }

    /// The folder that the socket file is in.
    pub(crate) fn folder(&self) -> PathBuf {
        self.path().parent().unwrap_or(Path::new("/")).to_owned()
    }
}

impl FromStr for UnixAddress {
    type Err = UnixAddressError;

    fn from_str(address: &str) -> Result<Self, UnixAddressError> {
        match address.strip_prefix("unix://") {
            Some(path) => Self::absolute(path),
            None => Err(UnixAddressError::Scheme { address: address.to_owned() }),
        }
    }
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<(), UnixAddressError>) {
        let found = text.parse::<UnixAddress>().map(|address| address.to_string());
        assert_eq!(found, expected.map(|()| text.to_owned()), "{text}");
    }

    #[test]
    fn absolute_paths_are_parsed_and_printed_as_urls() {
        for text in ["unix:///run/kv.sock", "unix:///a", "unix:///with space/ä%20?x=1/..", "unix:////a"] {
            check(text, Ok(()));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_part_that_is_wrong() {
        for text in ["", "/run/kv.sock", "unix:/run/kv.sock", "tcp://a:1", "UNIX:///a"] {
            check(text, Err(UnixAddressError::Scheme { address: text.to_owned() }));
        }
        for path in ["", "run/kv.sock", "./a"] {
            check(&format!("unix://{path}"), Err(UnixAddressError::Relative { path: path.to_owned() }));
        }
        for (path, said) in [("/a#kv", "a `#`"), ("/a\0", "a control character"), ("/a\nb", "a control character")] {
            let error = format!("unix://{path}").parse::<UnixAddress>().unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, UnixAddressError::Character { .. }) && text.contains(said), "{text}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }

    #[test]
    fn the_longest_path_is_parsed_and_one_byte_more_is_an_error_that_says_so() {
        let longest = format!("/{}", "a".repeat(UNIX_PATH_BYTES_MAX - 1));
        check(&format!("unix://{longest}"), Ok(()));
        let path = format!("{longest}a");
        let (size, max) = (UNIX_PATH_BYTES_MAX + 1, UNIX_PATH_BYTES_MAX);
        let error = UnixAddressError::TooLong { path: path.clone(), size, max };
        assert!(error.to_string().starts_with(&format!("the path of a socket has {max} bytes at most")));
        check(&format!("unix://{path}"), Err(error));
    }

    #[test]
    fn a_relative_path_is_one_from_the_current_folder() {
        let expected = std::env::current_dir().unwrap().join("kv.sock");
        match UnixAddress::new("kv.sock") {
            Ok(address) => assert_eq!(address.path(), expected),
            Err(error) => assert!(matches!(error, UnixAddressError::TooLong { .. }), "{error}"),
        }
        assert!(matches!(UnixAddress::new(""), Err(UnixAddressError::Relative { .. })));
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_printed_the_same_and_no_text_panics(text in "(unix://)?/?.{0,120}") {
            if let Ok(address) = text.parse::<UnixAddress>() {
                prop_assert_eq!(address.to_string(), text);
                prop_assert!(address.path().is_absolute());
            }
        }
    }
}
