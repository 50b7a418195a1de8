//! Who gets past the handshake.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::identity::{URI_SCHEME, name_of};
use crate::{IdentityError, NodeName};

/// Accepts servers that the authority has signed, that have a node's name, and that are the one who was asked for.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, self.algorithms.all)?;
        let node = name_of(end_entity).map_err(nameless)?;
        match verify_server_name(&certificate, server_name) {
            // The names of nodes and those of servers are one space, and the authority vouches for both.
            Err(_) if is_named(&node, server_name) => Ok(ServerCertVerified::assertion()),
            Err(error) => Err(with_plain_names(error)),
            Ok(()) => Ok(ServerCertVerified::assertion()),
        }
    }

    /// Not asked: nobody speaks TLS 1.2 here.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls13_only())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Accepts clients that the authority has signed and that have a node's name.
#[derive(Debug)]
pub(crate) struct Clients {
    /// Verifies the chain, and requires one.
    pub(crate) chain: Arc<dyn ClientCertVerifier>,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl Clients {
    pub(crate) fn new(
        roots: Arc<RootCertStore>,
        provider: Arc<rustls::crypto::CryptoProvider>,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        let algorithms = provider.signature_verification_algorithms;
        // Whoever connects has not proven anything yet, and need not be told whom we trust.
        let chain = WebPkiClientVerifier::builder_with_provider(roots, provider).clear_root_hint_subjects().build()?;
        Ok(Self { chain, algorithms })
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        name_of(end_entity).map_err(nameless)?;
        Ok(verified)
    }

    /// Not asked: nobody speaks TLS 1.2 here.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls13_only())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn is_named(node: &NodeName, wanted: &ServerName<'_>) -> bool {
    match wanted {
        ServerName::DnsName(name) => name.as_ref().eq_ignore_ascii_case(node.as_str()),
        // No node is named by an address, and kinds of names that are yet to come are not ours.
        _ => false,
    }
}

/// The names that a certificate has as people write them, instead of as the library does.
fn with_plain_names(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented }) => {
            let mut names: Vec<String> = Vec::new();
            for name in presented.iter().filter_map(|name| plain_name(name)) {
                if names.len() < NAMES_SHOWN_MAX && !names.contains(&name) {
                    names.push(name);
                }
            }
            CertificateError::NotValidForNameContext { expected, presented: names }.into()
        }
        error => error,
    }
}

/// Most names of a certificate that an error tells of; more would hide what it says.
const NAMES_SHOWN_MAX: usize = 10;

/// `DnsName("a")`, `IpAddress(127.0.0.1)` or `UniformResourceIdentifier("isorun://a")` without what stands around it.
fn plain_name(name: &str) -> Option<String> {
    let (kind, rest) = name.split_once('(')?;
    let inner = rest.strip_suffix(')')?.trim_matches('"');
    match kind {
        "DnsName" | "IpAddress" => Some(inner.to_owned()),
        "UniformResourceIdentifier" => inner.strip_prefix(URI_SCHEME).map(str::to_owned),
        _ => None,
    }
}

fn nameless(error: IdentityError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

fn tls13_only() -> Error {
    PeerIncompatible::Tls12NotOfferedOrEnabled.into()
}
