//! Certificates and keys as they are in files.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::CredentialsError;

/// Largest file of certificates or of a key that is read, in bytes.
///
/// A certificate takes about 2 KiB; a bundle of all authorities that browsers trust, 300 KiB.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Most certificates in one file.
pub const CERTIFICATES_MAX: usize = 256;

/// Where credentials are read from, all PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CredentialFiles {
    /// The node's certificate, and after it those between it and the authority.
    pub certificate: PathBuf,
    /// The key of that certificate, not encrypted.
    pub key: PathBuf,
    /// The certificates of the authorities that peers are known by; several while one takes over from another.
    pub ca: PathBuf,
}

impl CredentialFiles {
    /// What shows that the files are others than before, without reading them.
    pub(crate) fn stamps(&self) -> [Stamp; 3] {
        [&self.certificate, &self.key, &self.ca].map(|file| Stamp::of(file))
    }
}

/// What of a file changes when it does; `None` for one that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(Option<(u64, Option<SystemTime>, [i64; 4])>);

impl Stamp {
    fn of(file: &Path) -> Self {
        Self(file.metadata().ok().map(|of| (of.len(), of.modified().ok(), identity(&of))))
    }
}

/// The file behind a name, and when anything about it changed last.
#[cfg(unix)]
fn identity(of: &Metadata) -> [i64; 4] {
    use std::os::unix::fs::MetadataExt;
    [of.dev().cast_signed(), of.ino().cast_signed(), of.ctime(), of.ctime_nsec()]
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> [i64; 4] {
    [0; 4]
}

/// The certificates in a file, in their order; at least one.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let pem = read(file)?;
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        if found.len() == CERTIFICATES_MAX {
            return Err(CredentialsError::TooMany { file: file.into() });
        }
        found.push(certificate.map_err(|error| not_pem(file, &error))?);
    }
    if found.is_empty() {
        return Err(CredentialsError::NoCertificate { file: file.into() });
    }
    Ok(found)
}

/// The first key in a file.
pub(crate) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, CredentialsError> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| match error {
        PemError::NoItemsFound => CredentialsError::NoKey { file: file.into() },
        error => not_pem(file, &error),
    })
}

/// A whole file, if it is one and not too large.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, CredentialsError> {
    let unread = |cause| CredentialsError::Read { file: file.into(), cause };
    // Before it is opened: opening a pipe waits for whoever writes to it.
    if !file.metadata().map_err(unread)?.is_file() {
        return Err(CredentialsError::NotAFile { file: file.into() });
    }
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    File::open(file).map_err(unread)?.take(limit).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(CredentialsError::TooLarge { file: file.into() });
    }
    Ok(bytes)
}

/// The words are ours: those of the parser quote the file.
fn not_pem(file: &Path, error: &PemError) -> CredentialsError {
    let cause = match error {
        PemError::MissingSectionEnd { .. } => "a section has no -----END line",
        PemError::IllegalSectionStart { .. } => "a -----BEGIN line is not whole",
        PemError::Base64Decode(_) => "a section is not base64",
        _ => "a section can't be read",
    };
    CredentialsError::Pem { file: file.into(), cause }
}
