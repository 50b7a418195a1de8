//! Files that are credentials, and files that are not.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use isorun_core::PeerIdentity;
use isorun_tls::issue::{Authority, NodeRequest};
use isorun_tls::{
    CERTIFICATES_MAX, CredentialFiles, Credentials, CredentialsError, FILE_BYTES_MAX, IdentityError, identity_of,
    peer_of,
};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;

/// An authority, and a node's files.
fn lab() -> (TempDir, Authority, CredentialFiles) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("lab", 30).unwrap();
    let files = authority.issue(&request("kv-1")).unwrap().write(folder.path(), false).unwrap();
    (folder, authority, files)
}

fn request(name: &str) -> NodeRequest {
    NodeRequest::new(name.parse().unwrap())
}

/// Checks what is said of files after `spoil` had them; it names the spoiled one.
#[track_caller]
fn refused(spoil: impl FnOnce(&CredentialFiles), file: fn(&CredentialFiles) -> &Path, words: &str) {
    let (_folder, _, files) = lab();
    spoil(&files);
    let error = Credentials::open(files.clone()).unwrap_err().to_string();
    assert!(error.contains(words), "`{words}` is missing in: {error}");
    assert!(error.contains(&file(&files).display().to_string()), "{error}");
}

fn certificate(files: &CredentialFiles) -> &Path {
    &files.certificate
}

fn key(files: &CredentialFiles) -> &Path {
    &files.key
}

fn ca(files: &CredentialFiles) -> &Path {
    &files.ca
}

#[test]
fn a_node_is_known_by_its_name() {
    let (_folder, _, files) = lab();
    let credentials = Credentials::open(files.clone()).unwrap();
    assert_eq!(credentials.identity(), PeerIdentity::Authenticated { name: "kv-1".into() });
    assert_eq!((credentials.name().as_str(), credentials.generation()), ("kv-1", 1));
    assert_eq!(credentials.files(), &files);
}

#[test]
fn files_that_are_not_there_or_are_none_are_named() {
    refused(|files| fs::remove_file(&files.key).unwrap(), key, "cannot read");
    refused(|files| fs::write(&files.certificate, "").unwrap(), certificate, "no certificate in it");
    refused(|files| fs::write(&files.ca, "hello").unwrap(), ca, "no certificate in it");
    refused(|files| fs::write(&files.key, "hello").unwrap(), key, "no key in it");
    refused(|files| drop(fs::copy(&files.ca, &files.key)), key, "no key in it");
    let begun = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    refused(|files| fs::write(&files.certificate, begun).unwrap(), certificate, "no -----END line");
    let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    refused(|files| fs::write(&files.certificate, hollow).unwrap(), certificate, "can't be used");
    refused(|files| fs::write(&files.ca, hollow).unwrap(), ca, "can't be used");
    let hollow = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    refused(|files| fs::write(&files.key, hollow).unwrap(), key, "can't be used");
    refused(
        |files| {
            fs::remove_file(&files.key).unwrap();
            fs::create_dir(&files.key).unwrap();
        },
        key,
        "is not a file",
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    refused(
        |files| {
            fs::remove_file(&files.key).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(&files.key).status().unwrap().success());
        },
        key,
        "is not a file",
    );
}

#[test]
fn a_file_is_read_up_to_its_limit_and_no_further() {
    let pad = |files: &CredentialFiles, size: usize| {
        let mut pem = fs::read(&files.ca).unwrap();
        pem.resize(size, b'\n');
        fs::write(&files.ca, pem).unwrap();
    };
    let (_folder, _, files) = lab();
    pad(&files, FILE_BYTES_MAX);
    assert!(Credentials::open(files).is_ok());
    refused(|files| pad(files, FILE_BYTES_MAX + 1), ca, "has more than 1048576 bytes");
}

#[test]
fn certificates_are_read_up_to_their_limit() {
    let repeat = |files: &CredentialFiles, times: usize| {
        let pem = fs::read_to_string(&files.ca).unwrap();
        fs::write(&files.ca, pem.repeat(times)).unwrap();
    };
    let (_folder, _, files) = lab();
    repeat(&files, CERTIFICATES_MAX);
    assert!(Credentials::open(files).is_ok());
    refused(|files| repeat(files, CERTIFICATES_MAX + 1), ca, "more than 256 certificates");
}

#[test]
fn a_key_of_another_certificate_is_refused_with_both_files() {
    let (folder, authority, files) = lab();
    let other = authority.issue(&request("other")).unwrap().write(folder.path(), false).unwrap();
    let mixed = CredentialFiles { key: other.key.clone(), ..files.clone() };
    let error = Credentials::open(mixed).unwrap_err();
    assert!(matches!(&error, CredentialsError::KeyMismatch { key, certificate }
        if *key == other.key && *certificate == files.certificate));
}

#[test]
fn a_certificate_that_peers_would_refuse_is_refused_at_home() {
    let (folder, authority, files) = lab();
    let now = SystemTime::now();
    let (hour, day) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
    let open = |request: &NodeRequest| {
        let files = authority.issue(request).unwrap().write(&folder.path().join("other"), true).unwrap();
        Credentials::open(files).map(drop)
    };
    let error = open(&request("late").between(now - 9 * day, now - 3 * day)).unwrap_err();
    assert!(error.to_string().ends_with("has expired, 3 days ago"), "{error}");
    let error = open(&request("early").between(now + 5 * hour, now + day)).unwrap_err();
    assert!(matches!(error, CredentialsError::NotYetValid { in_s: 17_900..=18_000, .. }), "{error}");

    // Of an authority with the same name, and of one with another.
    for name in ["lab", "other"] {
        let other = Authority::new(name, 30).unwrap();
        fs::write(&files.ca, other.certificate_pem()).unwrap();
        let error = Credentials::open(files.clone()).unwrap_err();
        assert!(matches!(error, CredentialsError::NotIssued { .. }), "{error}");
    }
    let (ca, ca_key) = authority.write(&folder.path().join("ca"), false).unwrap();
    let files = CredentialFiles { certificate: ca.clone(), key: ca_key, ca };
    let error = Credentials::open(files).unwrap_err().to_string();
    assert!(error.contains("that of an authority, not of a node"), "{error}");
}

#[test]
fn changed_files_are_used_and_broken_ones_are_not() {
    let (folder, authority, files) = lab();
    let credentials = Credentials::open(files.clone()).unwrap();
    credentials.reload().unwrap();
    assert_eq!(credentials.generation(), 1, "nothing changed");

    authority.issue(&request("kv-1")).unwrap().write(folder.path(), true).unwrap();
    credentials.reload().unwrap();
    assert_eq!(credentials.generation(), 2);

    fs::write(&files.certificate, "half of it").unwrap();
    let error = credentials.reload().unwrap_err();
    assert!(matches!(*error, CredentialsError::NoCertificate { .. }), "{error}");
    assert_eq!((credentials.generation(), credentials.name().as_str()), (2, "kv-1"));
    assert!(credentials.last_error().is_some());

    authority.issue(&request("kv-1")).unwrap().write(folder.path(), true).unwrap();
    credentials.reload().unwrap();
    assert_eq!((credentials.generation(), credentials.last_error().is_none()), (3, true));
    let clone = credentials.clone();
    fs::remove_file(&files.ca).unwrap();
    assert!(clone.reload().is_err() && credentials.last_error().is_some(), "clones are the same");
}

#[test]
fn nothing_that_is_printed_has_a_key_in_it() {
    let (folder, authority, files) = lab();
    let issued = authority.issue(&request("other")).unwrap();
    let pem = fs::read_to_string(&files.key).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    let printed = format!("{:?} {issued:?} {authority:?}", Credentials::open(files.clone()).unwrap());
    assert!(!printed.contains("PRIVATE") && !printed.contains(secret), "{printed}");
    // What is wrong with a key is told without it.
    fs::write(&files.key, pem.replace("-----END", "----END")).unwrap();
    let error = Credentials::open(files.clone()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    fs::write(&files.key, pem.replace(secret, &format!("?{secret}"))).unwrap();
    let error = Credentials::open(files).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    drop(folder);
}

/// A certificate, signed by itself, with these names.
fn signed(names: &[SanType]) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

#[track_caller]
fn identity(names: &[SanType], expected: Result<&str, &str>) {
    match (identity_of(&signed(names)), expected) {
        (Ok(PeerIdentity::Authenticated { name }), Ok(expected)) => assert_eq!(name, expected),
        (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
        (found, _) => panic!("{found:?} is not {expected:?}"),
    }
}

#[test]
fn a_name_is_that_of_the_uri_or_else_the_first_dns_name() {
    identity(&[uri("isorun://kv-1")], Ok("kv-1"));
    identity(&[dns("kv.example.org"), uri("https://example.org"), uri("isorun://kv-1")], Ok("kv-1"));
    identity(&[dns("KV.example.org"), dns("other.example.org")], Ok("kv.example.org"));
    identity(&[dns("*.example.org"), dns("kv.example.org")], Ok("kv.example.org"));
}

#[test]
fn names_that_could_be_mistaken_are_none() {
    let nobody = Err("names nobody");
    identity(&[], nobody);
    identity(&[dns("*.example.org")], nobody);
    identity(&[uri("https://example.org/kv-1")], nobody);
    identity(&[SanType::IpAddress("127.0.0.1".parse().unwrap())], nobody);
    identity(&[uri("isorun://kv-1"), uri("isorun://kv-2")], Err("names two nodes, `kv-1` and `kv-2`"));
    // A bad name does not give way to a good one of another kind.
    for bad in ["isorun://", "isorun://KV", "isorun://a/b", "isorun://10.0.0.1", "isorun://a@b", "isorun://*"] {
        identity(&[uri(bad), dns("kv.example.org")], Err("can't be used"));
    }
}

#[test]
fn what_is_no_certificate_is_nobodys() {
    assert_eq!(peer_of(None), Err(IdentityError::NoCertificate));
    assert_eq!(peer_of(Some(&[])), Err(IdentityError::NoCertificate));
    for bytes in [&[][..], &[0x30], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[7; 100]] {
        let found = identity_of(&CertificateDer::from(bytes));
        assert!(matches!(found, Err(IdentityError::Malformed { .. })), "{found:?}");
    }
    let (_folder, _, files) = lab();
    let whole = CertificateDer::from_pem_file(&files.certificate).unwrap();
    for size in 0..whole.len() {
        assert!(identity_of(&CertificateDer::from(&whole[..size])).is_err(), "{size} bytes of it");
    }
}
