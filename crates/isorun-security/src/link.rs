//! Which imports the name in a link grant stands for.

use semver::Version;

/// The grant for all imports but those of WASI.
pub(crate) const ALL: &str = "*";

/// Whether a grant for `granted` covers the import `wanted`.
///
/// The same name; or the same interface in a version of the same track, as
/// linking itself matches (0.1.0 and 0.1.9, 1.0.0 and 1.2.0); or [`ALL`], for
/// what is not WASI's.
pub(crate) fn covers(granted: &str, wanted: &str) -> bool {
    if granted == ALL {
        return !wanted.starts_with("wasi:");
    }
    if granted == wanted {
        return true;
    }
    let (Some((granted, granted_version)), Some((wanted, wanted_version))) =
        (granted.rsplit_once('@'), wanted.rsplit_once('@'))
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
        assert_eq!(covers(granted, wanted), expected, "{granted} for {wanted}");
    }

    #[test]
    fn versions_of_one_track_serve_each_other_both_ways() {
        check("demo:kv/store@0.1.0", "demo:kv/store@0.1.9", true);
        check("demo:kv/store@0.1.9", "demo:kv/store@0.1.0", true);
        check("demo:kv/store@1.0.0", "demo:kv/store@1.4.2", true);
        check("demo:kv/store@1.0.0+build", "demo:kv/store@1.0.0", true);
    }

    #[test]
    fn other_tracks_pre_releases_and_missing_versions_do_not_match() {
        check("demo:kv/store@0.1.0", "demo:kv/store@0.2.0", false);
        check("demo:kv/store@1.0.0", "demo:kv/store@2.0.0", false);
        check("demo:kv/store@0.1.0", "demo:kv/store@1.0.0", false);
        check("demo:kv/store@0.0.1", "demo:kv/store@0.0.2", false);
        check("demo:kv/store@1.0.0-rc.1", "demo:kv/store@1.0.0", false);
        check("demo:kv/store", "demo:kv/store@1.0.0", false);
        check("demo:kv/store@1.0.0", "demo:kv/store", false);
        check("demo:kv/store@1.0.0", "demo:kv/other@1.0.0", false);
        check("demo:kv/store@one", "demo:kv/store@two", false);
    }

    #[test]
    fn the_same_text_matches_whatever_it_is() {
        for name in ["demo:kv/store@0.0.1", "demo:kv/store@1.0.0-rc.1", "log", "demo:kv/store"] {
            check(name, name, true);
        }
    }

    #[test]
    fn a_star_stands_for_everything_but_wasi() {
        check("*", "demo:kv/store@0.1.0", true);
        check("*", "log", true);
        check("*", "wasi:clocks/wall-clock@0.2.6", false);
        check("demo:*", "demo:kv/store", false);
    }
}
