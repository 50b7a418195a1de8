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
            _ => Err(ComponentIdError { text: cut(text) }),
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

/// The beginning of a text that may be of any length, on one line.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(COMPONENT_NAME_BYTES_MAX)].escape_debug().to_string()
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

/// Which components: `namespace/name/instance`, any part of which may be `*`, for whatever stands there.
///
/// A `*` is for a whole part; there is no `coun*`.
///
/// ```
/// use isorun_core::{ComponentId, ComponentPattern};
///
/// let counters = ComponentPattern::parse("demo/counter/*")?;
/// assert!(counters.matches(&ComponentId::new("demo", "counter", "7")));
/// assert!(!counters.matches(&ComponentId::new("demo", "kv", "7")));
/// assert_eq!(counters.to_string(), "demo/counter/*");
/// # Ok::<(), isorun_core::ComponentPatternError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentPattern {
    /// Namespace, name and instance; `None` is any.
    parts: [Option<Box<str>>; 3],
}

/// A text that is no pattern of components.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no pattern of components: wanted is namespace/name/instance, each of 1 to {COMPONENT_NAME_BYTES_MAX} \
     letters, digits, `-`, `_` and `.`, or `*` for any"
)]
pub struct ComponentPatternError {
    /// What was given instead, cut where it is long.
    pub text: String,
}

impl ComponentPattern {
    /// Reads `namespace/name/instance`, with `*` for parts that may be anything.
    ///
    /// # Errors
    /// [`ComponentPatternError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, ComponentPatternError> {
        let part = |part: &str| match part {
            "*" => Some(None),
            name => is_plain(name).then(|| Some(name.into())),
        };
        let mut parts = text.split('/').map(part);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Some(namespace)), Some(Some(name)), Some(Some(instance)), None) => {
                Ok(Self { parts: [namespace, name, instance] })
            }
            _ => Err(ComponentPatternError { text: cut(text) }),
        }
    }

    /// All components: `*/*/*`.
    #[must_use]
    pub fn everything() -> Self {
        Self { parts: [None, None, None] }
    }

    /// Whether a component is one of those.
    #[must_use]
    pub fn matches(&self, id: &ComponentId) -> bool {
        let names = [id.namespace(), id.name(), id.instance()];
        self.parts.iter().zip(names).all(|(part, name)| part.as_deref().is_none_or(|wanted| wanted == name))
    }

    /// How many of its parts are named: of two patterns that match, the one with more says more.
    #[must_use]
    pub fn named_parts(&self) -> usize {
        self.parts.iter().flatten().count()
    }
}

impl From<&ComponentId> for ComponentPattern {
    /// That component alone.
    fn from(id: &ComponentId) -> Self {
        Self { parts: [id.namespace(), id.name(), id.instance()].map(|part| Some(part.into())) }
    }
}

impl std::str::FromStr for ComponentPattern {
    type Err = ComponentPatternError;

    fn from_str(text: &str) -> Result<Self, ComponentPatternError> {
        Self::parse(text)
    }
}

impl std::fmt::Display for ComponentPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [namespace, name, instance] = self.parts.each_ref().map(|part| part.as_deref().unwrap_or("*"));
        write!(f, "{namespace}/{name}/{instance}")
    }
}

impl std::fmt::Debug for ComponentPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ComponentPattern({self})")
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

    #[test]
    fn a_pattern_matches_part_by_part() {
        let matches = |pattern: &str, id: &str| {
            ComponentPattern::parse(pattern).unwrap().matches(&ComponentId::parse(id).unwrap())
        };
        for pattern in ["demo/kv/0", "*/kv/0", "demo/*/0", "demo/kv/*", "*/*/*"] {
            assert!(matches(pattern, "demo/kv/0"), "{pattern}");
            assert_eq!(ComponentPattern::parse(pattern).unwrap().to_string(), pattern);
        }
        for pattern in ["demo/kv/1", "*/kv/00", "Demo/*/0", "demo/k/*"] {
            assert!(!matches(pattern, "demo/kv/0"), "{pattern}");
        }
        let named = |pattern: &str| ComponentPattern::parse(pattern).unwrap().named_parts();
        assert_eq!([named("*/*/*"), named("a/*/*"), named("a/b/*"), named("a/b/c")], [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_no_pattern_is_refused_on_one_short_line() {
        let long = "n".repeat(COMPONENT_NAME_BYTES_MAX + 1);
        for text in ["", "*", "*/*", "*/*/*/*", "demo/coun*/0", "**/a/b", "a//b", "a/../b", "a/b/\n", &long] {
            let error = ComponentPattern::parse(text).unwrap_err();
            assert!(error.text.len() <= COMPONENT_NAME_BYTES_MAX + 8 && !error.text.contains('\n'), "{error}");
        }
    }

    #[test]
    fn the_pattern_of_an_id_matches_it_alone_whatever_is_in_it() {
        let star = ComponentId::new("*", "*", "*");
        assert!(ComponentPattern::from(&star).matches(&star));
        assert!(!ComponentPattern::from(&star).matches(&ComponentId::new("a", "b", "c")));
    }
}
