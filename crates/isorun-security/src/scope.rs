//! Which interfaces a capability is for.

use std::fmt;

use semver::Version;

use crate::text::Shown;

/// A set of interfaces.
///
/// Of any two, one is within the other or they have nothing in common; so what
/// two have in common is always one of them, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Everything,
    /// All but WASI's, and the root.
    Rest,
    /// Functions that stand at the root of a component.
    Root,
    /// `ns:pkg`.
    Package(String),
    /// `ns:pkg/iface`, in any version.
    Interface(String),
    /// `ns:pkg/iface@version`, in the versions of its track.
    Versioned(String),
    Nothing,
}

impl Scope {
    /// Reads a name as links are written.
    pub(crate) fn parse(name: &str) -> Self {
        match name {
            "*" => Self::Rest,
            _ if name.contains('/') && name.contains('@') => Self::Versioned(name.into()),
            _ if name.contains('/') => Self::Interface(name.into()),
            _ if name.contains(':') => Self::Package(name.into()),
            _ => Self::Root,
        }
    }

    /// Whether an interface is in it; `None` is the root.
    pub(crate) fn covers(&self, interface: Option<&str>) -> bool {
        match (self, interface) {
            (Self::Everything, _) | (Self::Rest | Self::Root, None) => true,
            (Self::Rest, Some(name)) => !is_wasi(name),
            (Self::Package(package), Some(name)) => package_of(name) == package,
            (Self::Interface(interface), Some(name)) => unversioned(name) == interface,
            (Self::Versioned(granted), Some(name)) => same_track(granted, name),
            (Self::Root, Some(_))
            | (Self::Package(_) | Self::Interface(_) | Self::Versioned(_), None)
            | (Self::Nothing, _) => false,
        }
    }

    /// Whether all in it is in `parent` too.
    pub(crate) fn is_within(&self, parent: &Self) -> bool {
        match (self, parent) {
            (Self::Nothing, _) | (_, Self::Everything) => true,
            (Self::Everything, _) | (_, Self::Nothing) => false,
            (Self::Rest | Self::Root, Self::Rest) | (Self::Root, Self::Root) => true,
            (Self::Rest, _) | (Self::Root, _) | (_, Self::Root) => false,
            (Self::Package(a), Self::Package(b)) => a == b,
            (Self::Package(a), Self::Rest) => !is_wasi(a),
            (Self::Package(_), Self::Interface(_) | Self::Versioned(_)) => false,
            (Self::Interface(_), Self::Versioned(_)) => false,
            (
                Self::Interface(name) | Self::Versioned(name),
                Self::Rest | Self::Package(_) | Self::Interface(_) | Self::Versioned(_),
            ) => parent.covers(Some(name)),
        }
    }

    /// What two have in common.
    pub(crate) fn meet(&self, other: &Self) -> Self {
        if self.is_within(other) {
            self.clone()
        } else if other.is_within(self) {
            other.clone()
        } else {
            Self::Nothing
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Rest => f.write_str("*"),
            Self::Root => f.write_str("root"),
            Self::Package(name) | Self::Interface(name) | Self::Versioned(name) => Shown(name).fmt(f),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

fn is_wasi(name: &str) -> bool {
    name.starts_with("wasi:")
}

fn package_of(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

fn unversioned(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}

/// The same name; or the same interface in a version of the same track, as
/// linking itself matches: 0.1.0 and 0.1.9, 1.0.0 and 1.2.0.
fn same_track(granted: &str, wanted: &str) -> bool {
    if granted == wanted {
        return true;
    }
    let (Some((granted, granted_version)), Some((wanted, wanted_version))) =
        (granted.split_once('@'), wanted.split_once('@'))
    else {
        return false;
    };
    granted == wanted && track(granted_version).is_some_and(|found| Some(found) == track(wanted_version))
}

/// The versions that serve each other: the leading number that is not 0, and what stands before it.
///
/// None for 0.0.x and for pre-releases, which serve only themselves.
fn track(version: &str) -> Option<(u64, u64)> {
    let version = Version::parse(version).ok().filter(|version| version.pre.is_empty())?;
    match (version.major, version.minor) {
        (0, 0) => None,
        (0, minor) => Some((0, minor)),
        (major, _) => Some((major, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(granted: &str, wanted: &str, expected: bool) {
        assert_eq!(Scope::parse(granted).covers(Some(wanted)), expected, "{granted} for {wanted}");
    }

    #[test]
    fn versions_of_one_track_serve_each_other_both_ways() {
        check("demo:kv/store@0.1.0", "demo:kv/store@0.1.9", true);
        check("demo:kv/store@0.1.9", "demo:kv/store@0.1.0", true);
        check("demo:kv/store@1.0.0", "demo:kv/store@1.4.2", true);
        check("demo:kv/store@1.0.0+build", "demo:kv/store@1.0.0", true);
    }

    #[test]
    fn other_tracks_pre_releases_and_missing_versions_do_not_match_a_version() {
        check("demo:kv/store@0.1.0", "demo:kv/store@0.2.0", false);
        check("demo:kv/store@1.0.0", "demo:kv/store@2.0.0", false);
        check("demo:kv/store@0.1.0", "demo:kv/store@1.0.0", false);
        check("demo:kv/store@0.0.1", "demo:kv/store@0.0.2", false);
        check("demo:kv/store@1.0.0-rc.1", "demo:kv/store@1.0.0", false);
        check("demo:kv/store@1.0.0", "demo:kv/store", false);
        check("demo:kv/store@1.0.0", "demo:kv/other@1.0.0", false);
        check("demo:kv/store@one", "demo:kv/store@two", false);
    }

    #[test]
    fn the_same_text_matches_whatever_its_version_is() {
        for name in ["demo:kv/store@0.0.1", "demo:kv/store@1.0.0-rc.1", "demo:kv/store@x", "demo:kv/store"] {
            check(name, name, true);
        }
    }

    #[test]
    fn a_name_without_a_version_stands_for_all_of_them_and_a_package_for_its_interfaces() {
        check("demo:kv/store", "demo:kv/store@1.0.0-rc.1", true);
        check("demo:kv/store", "demo:kv/stores@1.0.0", false);
        check("demo:kv", "demo:kv/store@1.0.0", true);
        check("demo:k", "demo:kv/store", false);
    }

    #[test]
    fn a_star_stands_for_everything_but_wasi() {
        check("*", "demo:kv/store@0.1.0", true);
        check("*", "wasi:clocks/wall-clock@0.2.6", false);
        check("demo:*", "demo:kv/store", false);
        assert!(Scope::Rest.covers(None));
        assert!(!Scope::parse("wasi:clocks").is_within(&Scope::Rest));
        assert!(!Scope::Rest.is_within(&Scope::Root));
    }
}
