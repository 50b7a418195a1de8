//! Authorities and certificates, and the files they are in.

use std::fs;
use std::path::Path;

use isorun_tls::issue::{Authority, CA_KEY, DAYS_MAX, IssueError, NAMES_MAX, NodeRequest};
use isorun_tls::{CredentialFiles, Credentials};

fn node(name: &str) -> NodeRequest {
    NodeRequest::new(name.parse().unwrap())
}

#[test]
fn an_authority_that_was_written_goes_on_signing() {
    let folder = tempfile::tempdir().unwrap();
    let first = Authority::new("lab", 30).unwrap();
    first.write(folder.path(), false).unwrap();
    let again = Authority::read(folder.path()).unwrap();
    assert_eq!(again.certificate_pem(), first.certificate_pem());
    let out = folder.path().join("nodes");
    for (authority, name) in [(&first, "a"), (&again, "b")] {
        let files = authority.issue(&node(name)).unwrap().write(&out, false).unwrap();
        assert_eq!(Credentials::open(files).unwrap().name().as_str(), name);
    }
}

#[cfg(unix)]
#[test]
fn keys_and_their_folder_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/certs");
    let authority = Authority::new("lab", 30).unwrap();
    let (_, key) = authority.write(&out, false).unwrap();
    let files = authority.issue(&node("a")).unwrap().write(&out, false).unwrap();
    assert_eq!((mode(&out), mode(&key), mode(&files.key)), (0o700, 0o600, 0o600));
    // One that was open to others is not after it is replaced.
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    authority.issue(&node("a")).unwrap().write(&out, true).unwrap();
    assert_eq!(mode(&files.key), 0o600);
}

#[test]
fn nothing_is_overwritten_that_was_not_given_up_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("lab", 30).unwrap();
    authority.write(folder.path(), false).unwrap();
    authority.issue(&node("a")).unwrap().write(folder.path(), false).unwrap();
    let all = || -> Vec<_> {
        let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| (fs::read(&file).unwrap(), file)).collect()
    };
    let before = all();
    assert_eq!(before.len(), 4, "two of the authority and two of the node");

    let other = Authority::new("lab", 30).unwrap();
    assert!(matches!(other.write(folder.path(), false), Err(IssueError::Exists { .. })));
    for overwrite in [false, true] {
        let error = other.issue(&node("b")).unwrap().write(folder.path(), overwrite).unwrap_err();
        assert!(matches!(&error, IssueError::OtherAuthority { file } if file.ends_with("ca.pem")), "{error}");
    }
    assert!(matches!(authority.issue(&node("ca")), Err(IssueError::AuthorityName { .. })));
    let error = authority.issue(&node("a")).unwrap().write(folder.path(), false).unwrap_err();
    assert!(matches!(&error, IssueError::Exists { file } if file.ends_with("a.pem")), "{error}");
    assert_eq!(all(), before);

    // A link that leads nowhere is a file that is there too.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", folder.path().join("c.key")).unwrap();
        assert!(authority.issue(&node("c")).unwrap().write(folder.path(), false).is_err());
        assert!(!folder.path().join("nowhere").exists());
    }
}

#[test]
fn what_no_certificate_can_have_is_refused() {
    for name in ["", &"n".repeat(65)] {
        assert!(matches!(Authority::new(name, 30), Err(IssueError::CaName)), "{name}");
    }
    let authority = Authority::new(&"n".repeat(64), DAYS_MAX).unwrap();
    for days in [0, DAYS_MAX + 1] {
        assert!(matches!(Authority::new("lab", days), Err(IssueError::Days { .. })), "{days}");
        assert!(matches!(authority.issue(&node("a").days(days)), Err(IssueError::Days { .. })), "{days}");
    }
    for days in [1, DAYS_MAX] {
        assert!(authority.issue(&node("a").days(days)).is_ok(), "{days}");
    }
    for name in ["", "a b", "10.0.0.1", "*.example.org", "ä"] {
        assert!(matches!(authority.issue(&node("a").dns(name)), Err(IssueError::Dns { .. })), "{name}");
    }
    let named = |count: usize| (0..count).fold(node("a"), |node, at| node.dns(format!("n{at}")));
    assert!(authority.issue(&named(NAMES_MAX)).is_ok());
    assert!(matches!(authority.issue(&named(NAMES_MAX + 1)), Err(IssueError::TooManyNames)));
}

#[test]
fn files_that_are_no_authority_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let told = || Authority::read(folder.path()).unwrap_err().to_string();
    assert!(told().contains("ca.pem"), "{}", told());
    let authority = Authority::new("lab", 30).unwrap();
    authority.write(folder.path(), false).unwrap();

    // The key of another one, or none.
    let other = tempfile::tempdir().unwrap();
    Authority::new("lab", 30).unwrap().write(other.path(), false).unwrap();
    fs::copy(other.path().join(CA_KEY), folder.path().join(CA_KEY)).unwrap();
    assert!(told().contains("does not match"), "{}", told());
    fs::write(folder.path().join(CA_KEY), "none").unwrap();
    assert!(told().contains("ca.key") && told().contains("no key"), "{}", told());
}

#[test]
fn a_node_can_sign_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("lab", 30).unwrap();
    let files = authority.issue(&node("a")).unwrap().write(folder.path(), false).unwrap();
    // The node's own certificate and key in the place of an authority's.
    let forger = folder.path().join("forger");
    fs::create_dir(&forger).unwrap();
    fs::copy(&files.certificate, forger.join("ca.pem")).unwrap();
    fs::copy(&files.key, forger.join(CA_KEY)).unwrap();
    let Ok(forger) = Authority::read(&forger) else { return };
    let Ok(forged) = forger.issue(&node("b")) else { return };
    let out = folder.path().join("forged");
    let forged = forged.write(&out, false).unwrap();
    let chain = fs::read_to_string(&forged.certificate).unwrap() + &fs::read_to_string(&files.certificate).unwrap();
    fs::write(&forged.certificate, chain).unwrap();
    let forged = CredentialFiles { ca: files.ca, ..forged };
    assert!(Credentials::open(forged).is_err(), "a node's certificate was taken for an authority's");
}
