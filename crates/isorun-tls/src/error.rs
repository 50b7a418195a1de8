//! What is wrong with credentials.

use std::io;
use std::path::PathBuf;

use crate::{CERTIFICATES_MAX, FILE_BYTES_MAX, IdentityError};

/// Why files are no credentials, and which of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A file can't be read.
    #[error("cannot read `{}`: {cause}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A path is that of a folder, a pipe or a device.
    #[error("`{}` is not a file", .file.display())]
    NotAFile {
        /// The path.
        file: PathBuf,
    },
    /// A file is larger than any certificate or key.
    #[error("`{}` has more than {FILE_BYTES_MAX} bytes, so it holds no certificates or key", .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// A file is not PEM.
    #[error("`{}` is not valid PEM: {cause}", .file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What is wrong with it; never a part of a key.
        cause: &'static str,
    },
    /// There is no certificate in a file.
    #[error("`{}` has no certificate in it: a section that begins -----BEGIN CERTIFICATE----- is needed", .file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// There are more certificates in a file than are looked at.
    #[error("`{}` has more than {CERTIFICATES_MAX} certificates", .file.display())]
    TooMany {
        /// The file.
        file: PathBuf,
    },
    /// There is no key in a file.
    #[error(
        "`{}` has no key in it: a section that begins -----BEGIN PRIVATE KEY-----, not encrypted, is needed",
        .file.display()
    )]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// A key is of a kind that can't be used.
    #[error("the key in `{}` can't be used: ECDSA (P-256, P-384), Ed25519 and RSA can", .file.display())]
    Key {
        /// The file.
        file: PathBuf,
    },
    /// The key is not the one that the certificate is for.
    #[error("the key in `{}` does not match the certificate in `{}`", .key.display(), .certificate.display())]
    KeyMismatch {
        /// The file with the key.
        key: PathBuf,
        /// The file with the certificate.
        certificate: PathBuf,
    },
    /// A certificate can't be used.
    #[error("the certificate in `{}` can't be used: {cause}", .file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A certificate is too old.
    #[error("the certificate in `{}` has expired, {} ago", .file.display(), Ago(*.ago_s))]
    Expired {
        /// The file.
        file: PathBuf,
        /// For how long it has been, in seconds.
        ago_s: u64,
    },
    /// A certificate is for a time to come.
    #[error("the certificate in `{}` is not valid yet: it will be in {}", .file.display(), Ago(*.in_s))]
    NotYetValid {
        /// The file.
        file: PathBuf,
        /// Until then, in seconds.
        in_s: u64,
    },
    /// A certificate is not from the authority that peers are known by.
    #[error(
        "the certificate in `{}` was not issued by an authority in `{}`, so no peer would accept it",
        .file.display(),
        .ca.display()
    )]
    NotIssued {
        /// The file.
        file: PathBuf,
        /// The file with the authority's certificates.
        ca: PathBuf,
    },
    /// A certificate names nobody.
    #[error("`{}`: {cause}", .file.display())]
    Identity {
        /// The file.
        file: PathBuf,
        /// What is wrong with its names.
        #[source]
        cause: IdentityError,
    },
}

/// A time that people can grasp.
pub(crate) struct Ago(pub(crate) u64);

impl std::fmt::Display for Ago {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const HOUR_S: u64 = 3_600;
        match self.0 {
            0..120 => write!(f, "{} seconds", self.0),
            120..7_200 => write!(f, "{} minutes", self.0 / 60),
            7_200..172_800 => write!(f, "{} hours", self.0 / HOUR_S),
            _ => write!(f, "{} days", self.0 / (24 * HOUR_S)),
        }
    }
}
