//! What may be called, as a thing to hand on.

use std::collections::BTreeSet;
use std::fmt;

use crate::scope::Scope;
use crate::text::Shown;

/// The right to call functions: which, of which interfaces, of which instance.
///
/// It can be narrowed and handed on, and there is no operation that widens it:
/// [`narrow`](Self::narrow) gives what two capabilities have in common, and the
/// others are short for that.
///
/// ```
/// use isorun_security::Capability;
///
/// let store = Capability::of("demo:kv/store").instance("kv");
/// let readers = store.functions(["get", "scan"]);
/// assert!(readers.is_within(&store));
/// assert!(readers.covers("kv", Some("demo:kv/store@0.1.0"), "get"));
/// assert!(!readers.covers("kv", Some("demo:kv/store@0.1.0"), "put"));
///
/// // Asking for more than there is gives nothing of what there isn't.
/// let more = readers.narrow(&Capability::of("demo:kv/store").functions(["get", "clear"]));
/// assert_eq!(more, store.functions(["get"]));
/// assert_eq!(more.to_string(), "`demo:kv/store#get` of instance `kv`");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability {
    scope: Scope,
    functions: Names,
    instances: Names,
}

/// All names, or these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Names {
    All,
    Only(BTreeSet<String>),
}

impl Capability {
    /// The right to call everything.
    #[must_use]
    pub fn everything() -> Self {
        Self { scope: Scope::Everything, functions: Names::All, instances: Names::All }
    }

    /// The right to call what a name stands for, as an operator writes it in a link.
    ///
    /// `ns:pkg/iface@version` is that interface in all versions of its track;
    /// `ns:pkg/iface` in any version; `ns:pkg` is every interface of a package;
    /// `*` is all that is not WASI's. A name without a colon is one function
    /// that stands at the root of its component.
    #[must_use]
    pub fn of(name: impl Into<String>) -> Self {
        let name = name.into();
        match Scope::parse(&name) {
            Scope::Root => Self { scope: Scope::Root, functions: Names::only([name]), instances: Names::All },
            scope => Self { scope, functions: Names::All, instances: Names::All },
        }
    }

    /// The right to call every function of one import or export; `None` is the root of a component.
    ///
    /// Unlike [`of`](Self::of), which reads what an operator writes, this takes any name for that of an interface.
    #[must_use]
    pub fn interface(name: Option<&str>) -> Self {
        let scope = match name {
            None => Scope::Root,
            Some(name) if name.contains('@') => Scope::Versioned(name.into()),
            Some(name) => Scope::Interface(name.into()),
        };
        Self { scope, functions: Names::All, instances: Names::All }
    }

    /// What this and `other` have in common: never more than either.
    #[must_use]
    pub fn narrow(&self, other: &Self) -> Self {
        Self {
            scope: self.scope.meet(&other.scope),
            functions: self.functions.meet(&other.functions),
            instances: self.instances.meet(&other.instances),
        }
    }

    /// Of this, only functions of these names.
    #[must_use]
    pub fn functions<N: Into<String>>(&self, names: impl IntoIterator<Item = N>) -> Self {
        self.narrow(&Self { functions: Names::only(names), ..Self::everything() })
    }

    /// Of this, only what the instance of that name has.
    #[must_use]
    pub fn instance(&self, name: impl Into<String>) -> Self {
        self.narrow(&Self { instances: Names::only([name]), ..Self::everything() })
    }

    /// Whether a function may be called; `interface` is `None` where it stands at the root.
    #[must_use]
    pub fn covers(&self, instance: &str, interface: Option<&str>, function: &str) -> bool {
        self.scope.covers(interface) && self.functions.has(function) && self.instances.has(instance)
    }

    /// Whether nothing may be called that `parent` does not allow too.
    #[must_use]
    pub fn is_within(&self, parent: &Self) -> bool {
        self.is_empty()
            || self.scope.is_within(&parent.scope)
                && self.functions.is_within(&parent.functions)
                && self.instances.is_within(&parent.instances)
    }

    /// Whether nothing at all may be called.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scope == Scope::Nothing || self.functions.is_empty() || self.instances.is_empty()
    }

    /// Whether it has anything of that instance.
    pub(crate) fn reaches(&self, instance: &str) -> bool {
        !self.is_empty() && self.instances.has(instance)
    }

    /// Whether it is for everything that is not WASI's, so that any other grant is closer.
    pub(crate) fn is_rest(&self) -> bool {
        self.scope == Scope::Rest
    }

    /// What a link that grants it is for: links are not written for single functions of an interface.
    pub(crate) fn import(&self) -> String {
        match (&self.scope, &self.functions) {
            (Scope::Root, Names::Only(names)) => Listed(names).to_string(),
            (scope, _) => scope.to_string(),
        }
    }

    /// The same, one function each where they are named: several grants may cover it together.
    pub(crate) fn parts(&self) -> Vec<Self> {
        match &self.functions {
            Names::All => vec![self.clone()],
            Names::Only(names) => names.iter().map(|name| self.functions([name])).collect(),
        }
    }
}

impl From<&str> for Capability {
    fn from(name: &str) -> Self {
        Self::of(name)
    }
}

impl From<String> for Capability {
    fn from(name: String) -> Self {
        Self::of(name)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        match (&self.scope, &self.functions) {
            (Scope::Everything, Names::All) => f.write_str("everything")?,
            (scope, Names::All) => write!(f, "`{scope}`")?,
            (Scope::Root, Names::Only(names)) => write!(f, "`{}`", Listed(names))?,
            (scope, Names::Only(names)) => write!(f, "`{scope}#{}`", Listed(names))?,
        }
        match &self.instances {
            Names::All => Ok(()),
            Names::Only(names) => write!(f, " of instance `{}`", Listed(names)),
        }
    }
}

impl Names {
    fn only<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::Only(names.into_iter().map(Into::into).collect())
    }

    fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, names) | (names, Self::All) => names.clone(),
            (Self::Only(a), Self::Only(b)) => Self::Only(a & b),
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }

    fn is_within(&self, parent: &Self) -> bool {
        match (self, parent) {
            (_, Self::All) => true,
            (Self::All, Self::Only(_)) => false,
            (Self::Only(a), Self::Only(b)) => a.is_subset(b),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Only(names) if names.is_empty())
    }
}

/// Names that a message lists; the others are counted.
const LISTED_MAX: usize = 8;

struct Listed<'a>(&'a BTreeSet<String>);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().take(LISTED_MAX).enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", Shown(name))?;
        }
        match self.0.len().saturating_sub(LISTED_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
