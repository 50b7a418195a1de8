//! Who a certificate is of.

use isorun_core::PeerIdentity;
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::name::cut;
use crate::{NameError, NodeName};

/// What a node's name stands after in the URI names of its certificate.
pub(crate) const URI_SCHEME: &str = "isorun://";

/// Why a certificate proves no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// There is no certificate.
    #[error("it showed no certificate")]
    NoCertificate,
    /// It is no certificate that can be read.
    #[error("its certificate can't be read: {cause}")]
    Malformed {
        /// What is wrong with it.
        cause: String,
    },
    /// It has no name that a node can have.
    #[error("its certificate names nobody: it needs a URI name isorun://NAME, or a DNS name")]
    Nameless,
    /// It has two names of nodes.
    #[error("its certificate names two nodes, `{first}` and `{second}`")]
    Ambiguous {
        /// The first one.
        first: NodeName,
        /// The second.
        second: String,
    },
    /// What stands after `isorun://` is no name.
    #[error("its certificate has a URI name isorun:// that can't be used: {0}")]
    Name(#[from] NameError),
}

/// The name that a certificate is proof of, as [`PeerIdentity::Authenticated`].
///
/// It is what stands after `isorun://` in the subject's URI names, of which there
/// may be one; where there is none, the first DNS name, in lower case, that is
/// no pattern. The subject's common name is not looked at. Nothing is verified
/// here: rustls has done that before it gives a certificate out.
///
/// # Errors
/// [`IdentityError`] where it has no such name, or two. The configurations of
/// [`Credentials`](crate::Credentials) refuse such a peer in the handshake.
pub fn identity_of(certificate: &CertificateDer<'_>) -> Result<PeerIdentity, IdentityError> {
    Ok(PeerIdentity::Authenticated { name: name_of(certificate)?.to_string() })
}

/// [`identity_of`] the first certificate of the chain that a peer showed, as rustls and quinn give it.
///
/// # Errors
/// As [`identity_of`], and [`IdentityError::NoCertificate`].
pub fn peer_of(chain: Option<&[CertificateDer<'_>]>) -> Result<PeerIdentity, IdentityError> {
    identity_of(chain.and_then(<[_]>::first).ok_or(IdentityError::NoCertificate)?)
}

pub(crate) fn name_of(certificate: &CertificateDer<'_>) -> Result<NodeName, IdentityError> {
    let certificate =
        EndEntityCert::try_from(certificate).map_err(|error| IdentityError::Malformed { cause: error.to_string() })?;
    let mut uris = certificate.valid_uri_names().filter_map(|uri| uri.strip_prefix(URI_SCHEME));
    if let Some(first) = uris.next() {
        let first: NodeName = first.parse()?;
        return match uris.next() {
            Some(second) => Err(IdentityError::Ambiguous { first, second: cut(second) }),
            None => Ok(first),
        };
    }
    // A pattern (`*.example.org`) is no name and does not parse as one.
    let mut names = certificate.valid_dns_names().filter_map(|name| name.to_ascii_lowercase().parse().ok());
    names.next().ok_or(IdentityError::Nameless)
}
