//! Names of interfaces, and which of them can stand for which.

use std::fmt;

use semver::Version;

/// `ns:pkg/iface`, perhaps with a version.
///
/// ```
/// use isorun_ledger::InterfaceName;
/// let name = InterfaceName::parse("demo:kv/store@0.1.9")?;
/// assert_eq!((name.namespace(), name.package(), name.interface()), ("demo", "kv", "store"));
/// assert_eq!(name.version().map(|version| version.patch), Some(9));
/// # Ok::<(), isorun_ledger::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InterfaceName {
    namespace: String,
    package: String,
    interface: String,
    version: Option<Version>,
}

/// What keeps a text from being the name of an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It is not of the form `ns:pkg/iface` or `ns:pkg/iface@version`.
    #[error("`{name}` is no interface name: one looks like ns:pkg/iface or ns:pkg/iface@1.2.3")]
    Form {
        /// The text.
        name: String,
    },
    /// A part is empty or has characters that names don't have.
    #[error("`{part}` in `{name}` is not in kebab case")]
    Part {
        /// The text.
        name: String,
        /// The part.
        part: String,
    },
    /// What follows the `@` is no version.
    #[error("`{version}` in `{name}` is no version: one looks like 1.2.3")]
    Version {
        /// The text.
        name: String,
        /// What follows the `@`.
        version: String,
    },
}

impl InterfaceName {
    /// Takes a name apart.
    ///
    /// # Errors
    /// [`NameError`], naming the part that is wrong.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let form = || NameError::Form { name: name.to_owned() };
        let (path, version) = match name.split_once('@') {
            Some((path, version)) => (path, Some(version)),
            None => (name, None),
        };
        let (namespace, rest) = path.split_once(':').ok_or_else(form)?;
        let (package, interface) = rest.split_once('/').ok_or_else(form)?;
        for part in [namespace, package, interface] {
            if !is_kebab(part) {
                return Err(NameError::Part { name: name.to_owned(), part: part.to_owned() });
            }
        }
        let parse = |version: &str| {
            Version::parse(version)
                .map_err(|_| NameError::Version { name: name.to_owned(), version: version.to_owned() })
        };
        Ok(Self {
            namespace: namespace.to_owned(),
            package: package.to_owned(),
            interface: interface.to_owned(),
            version: version.map(parse).transpose()?,
        })
    }

    /// Who publishes it: `demo` of `demo:kv/store`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The package: `kv` of `demo:kv/store`.
    #[must_use]
    pub fn package(&self) -> &str {
        &self.package
    }

    /// The interface's own name: `store` of `demo:kv/store`.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The version, if the name has one.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// `ns:pkg` or `ns:pkg@version`.
    pub(crate) fn package_id(&self) -> String {
        match &self.version {
            Some(version) => format!("{}:{}@{version}", self.namespace, self.package),
            None => format!("{}:{}", self.namespace, self.package),
        }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.namespace, self.package, self.interface)?;
        match &self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

impl std::str::FromStr for InterfaceName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::parse(name)
    }
}

/// Words of letters and digits, each starting with a letter, joined by single hyphens.
fn is_kebab(part: &str) -> bool {
    part.split('-').all(|word| {
        word.starts_with(|first: char| first.is_ascii_alphabetic()) && word.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

/// Whether an interface offered under one name serves an import of another, as Wasmtime's linker decides it.
///
/// Versions on one track serve each other both ways: 1.0.0 and 1.4.2, 0.1.0 and
/// 0.1.9. 0.0.x, pre-releases, and a name without a version match only themselves.
///
/// ```
/// use isorun_ledger::names_match;
/// assert!(names_match("demo:kv/store@0.1.0", "demo:kv/store@0.1.9"));
/// assert!(!names_match("demo:kv/store@0.1.0", "demo:kv/store@0.2.0"));
/// assert!(!names_match("demo:kv/store", "demo:kv/store@0.1.0"));
/// ```
#[must_use]
pub fn names_match(wanted: &str, offered: &str) -> bool {
    wanted == offered || matches!((track(wanted), track(offered)), (Some(a), Some(b)) if a == b)
}

/// The version in a name, where it has one that stands on a track.
pub(crate) fn track_version(name: &str) -> Option<Version> {
    track(name)?;
    Version::parse(name.split_once('@')?.1).ok()
}

/// The name up to the `@`, and the part of the version that all of its track share.
fn track(name: &str) -> Option<(&str, u64, u64)> {
    let (path, version) = name.split_once('@')?;
    let version = Version::parse(version).ok()?;
    match (version.pre.is_empty(), version.major, version.minor) {
        (false, _, _) | (true, 0, 0) => None,
        (true, 0, minor) => Some((path, 0, minor)),
        (true, major, _) => Some((path, major, 0)),
    }
}

/// Longest name that is compared for being near another, in bytes: the work grows with the square.
const NEAREST_BYTES_MAX: usize = 256;

/// The name on offer that the wanted one was most likely meant to be.
///
/// `None` where nothing is near: more than a third of the name would have to change.
///
/// ```
/// let offered = ["demo:kv/store@0.1.0", "demo:log/sink@0.1.0"];
/// assert_eq!(isorun_ledger::nearest("demo:kv/stroe@0.1.0", offered.into_iter()), Some("demo:kv/store@0.1.0"));
/// ```
pub fn nearest<'a>(wanted: &str, offered: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if wanted.len() > NEAREST_BYTES_MAX {
        return None;
    }
    offered
        .filter(|name| name.len() <= NEAREST_BYTES_MAX)
        .map(|name| (edits(wanted.as_bytes(), name.as_bytes()), name))
        .filter(|(edits, name)| *edits <= (wanted.len().max(name.len()) / 3).max(1))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// How many bytes to insert, remove, replace or swap with their neighbour to make one text of the other.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut least = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}
