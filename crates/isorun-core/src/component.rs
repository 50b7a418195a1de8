//! What a component is called, and what it says of itself.

use std::sync::Arc;

/// Names one instance of a component: `namespace/name/instance`.
///
/// Cloning is cheap: the text is shared.
///
/// ```
/// use isorun_core::ComponentId;
///
/// let id = ComponentId::parse("demo/kv/0")?;
/// assert_eq!((id.namespace(), id.name(), id.instance()), ("demo", "kv", "0"));
/// assert_eq!(id, ComponentId::new("demo", "kv", "0"));
/// assert!(ComponentId::parse("demo/../0").is_err());
/// # Ok::<(), isorun_core::ComponentIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId {
    text: Arc<str>,
    /// Where the first slash stands, and the second.
    slashes: (u32, u32),
}

/// Longest of the three parts of a [`ComponentId`], in bytes.
pub const COMPONENT_NAME_BYTES_MAX: usize = 128;

/// A text that names no component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no component: wanted is namespace/name/instance, each of 1 to {COMPONENT_NAME_BYTES_MAX} letters, \
     digits, `-`, `_` and `.`, and not dots alone"
)]
pub struct ComponentIdError {
    /// What was given instead, cut where it is long.
    pub text: String,
}

impl ComponentId {
    /// The id of that namespace, name and instance, whatever is in them.
    ///
    /// An engine or a loader may refuse what [`is_plain`](Self::is_plain) denies.
    #[must_use]
    pub fn new(namespace: impl AsRef<str>, name: impl AsRef<str>, instance: impl AsRef<str>) -> Self {
        let (namespace, name, instance) = (namespace.as_ref(), name.as_ref(), instance.as_ref());
        let first = u32::try_from(namespace.len()).unwrap_or(u32::MAX);
        let second = u32::try_from(namespace.len() + 1 + name.len()).unwrap_or(u32::MAX);
        Self { text: format!("{namespace}/{name}/{instance}").into(), slashes: (first, second) }
    }

    /// Reads `namespace/name/instance`.
    ///
    /// # Errors
    /// [`ComponentIdError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, ComponentIdError> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(namespace), Some(name), Some(instance), None)
                if [namespace, name, instance].into_iter().all(is_plain) =>
            {
                Ok(Self::new(namespace, name, instance))
            }
            _ => {
                let cut = text.floor_char_boundary(COMPONENT_NAME_BYTES_MAX);
                Err(ComponentIdError { text: text[..cut].escape_debug().to_string() })
            }
        }
    }

    /// Who made it.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.text[..self.slashes.0 as usize]
    }

    /// What it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.slashes.0 as usize + 1..self.slashes.1 as usize]
    }

    /// Which one.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.text[self.slashes.1 as usize + 1..]
    }

    /// `namespace/name/instance`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `namespace/name/instance`.
    ///
    /// ```
    /// let id = isorun_core::ComponentId::new("demo", "kv", "0");
    /// assert_eq!(id.to_string_id(), "demo/kv/0");
    /// ```
    #[must_use]
    pub fn to_string_id(&self) -> String {
        self.as_str().to_owned()
    }

    /// Whether [`parse`](Self::parse) reads it back: nothing in it leads out of a folder or breaks a line.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        [self.namespace(), self.name(), self.instance()].into_iter().all(is_plain)
    }
}

fn is_plain(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=COMPONENT_NAME_BYTES_MAX).contains(&part.len()) && part.chars().all(plain) && part.chars().any(|c| c != '.')
}

impl std::str::FromStr for ComponentId {
    type Err = ComponentIdError;

    fn from_str(text: &str) -> Result<Self, ComponentIdError> {
        Self::parse(text)
    }
}

impl std::fmt::Display for ComponentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::fmt::Debug for ComponentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ComponentId({})", self.as_str())
    }
}

/// What a component is started with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComponentConfig {
    /// Names and values, in the order in which the operator gave them.
    pub settings: Vec<(String, String)>,
    /// How often it was started again before; 0 the first time.
    pub restarts: u32,
}

/// What a component says it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComponentMetadata {
    /// Its name, for people.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does.
    pub description: String,
    /// Anything else: names and values.
    pub properties: Vec<(String, String)>,
}

/// How well a component says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HealthStatus {
    /// It does all it should.
    Healthy,
    /// It does less than it should.
    Degraded,
    /// It does not do what it should.
    Unhealthy,
    /// It can't tell.
    Unknown,
}

impl std::fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        })
    }
}

/// How well a component says it is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentHealth {
    /// How well.
    pub status: HealthStatus,
    /// Why.
    pub reason: Option<String>,
}

/// What a live component holds and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ComponentUsage {
    /// Bytes of all its linear memories.
    pub memory_bytes: u64,
    /// Fuel that its calls have burned since it was loaded.
    pub fuel: u64,
    /// Calls into it since it was loaded.
    pub calls: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_nothing_else_is() {
        let long = "n".repeat(COMPONENT_NAME_BYTES_MAX);
        for text in ["demo/kv/0", "a/b/c", "a.b/c-d/e_f", &format!("{long}/{long}/{long}")] {
            let id = ComponentId::parse(text).unwrap();
            assert_eq!(id.as_str(), text);
            assert!(id.is_plain());
        }
        let longer = format!("{long}n/b/c");
        for text in ["", "a", "a/b", "a/b/c/d", "a//c", "a/../c", "a/b/.", "a/b/c\n", "a/b/ ", "ä/b/c", &longer] {
            let error = ComponentId::parse(text).unwrap_err();
            assert!(error.text.len() <= COMPONENT_NAME_BYTES_MAX + 8 && !error.text.contains('\n'), "{error}");
        }
        assert!(!ComponentId::new("a/b", "c", "d").is_plain());
        assert_ne!(ComponentId::new("a/b", "c", "d"), ComponentId::new("a", "b/c", "d"));
    }
}
