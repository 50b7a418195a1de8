//! Credentials as they were read at one moment.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::identity::name_of;
use crate::verify::{Clients, Servers};
use crate::{CredentialFiles, CredentialsError, NodeName, files};

/// Both ends' configurations, without a protocol.
pub(crate) struct Loaded {
    pub(crate) name: NodeName,
    pub(crate) client: ClientConfig,
    pub(crate) server: ServerConfig,
}

impl Loaded {
    /// Reads the files, and checks what peers will check.
    pub(crate) fn read(files: &CredentialFiles) -> Result<Self, CredentialsError> {
        let unusable = |error: Error| certificate_error(&files.certificate, &error);
        let chain = files::certificates(&files.certificate)?;
        let key = files::key(&files.key)?;
        let roots = Arc::new(roots(&files.ca)?);

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|_| CredentialsError::Key { file: files.key.clone() })?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                CredentialsError::KeyMismatch { key: files.key.clone(), certificate: files.certificate.clone() }
            }
            error => unusable(error),
        })?;
        check_issued(&certified.cert, &roots, &provider, files)?;
        let of = certified.cert.first().ok_or_else(|| unusable(Error::NoCertificatesPresented))?;
        let name =
            name_of(of).map_err(|cause| CredentialsError::Identity { file: files.certificate.clone(), cause })?;

        let algorithms = provider.signature_verification_algorithms;
        let clients = Clients::new(roots.clone(), provider.clone())
            .map_err(|error| CredentialsError::Certificate { file: files.ca.clone(), cause: error.to_string() })?;
        let shown = Arc::new(SingleCertAndKey::from(certified));
        let client = client(provider.clone(), Servers { roots, algorithms }, shown.clone()).map_err(unusable)?;
        let server = server(provider, clients, shown).map_err(unusable)?;
        Ok(Self { name, client, server })
    }
}

fn client(
    provider: Arc<CryptoProvider>,
    servers: Servers,
    shown: Arc<SingleCertAndKey>,
) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(servers));
    let mut config = config.with_client_cert_resolver(shown);
    // A session that is taken up again is not verified again, by whatever authority there is by then.
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

fn server(
    provider: Arc<CryptoProvider>,
    clients: Clients,
    shown: Arc<SingleCertAndKey>,
) -> Result<ServerConfig, Error> {
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
    let mut config = config.with_client_cert_verifier(Arc::new(clients)).with_cert_resolver(shown);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

fn roots(ca: &Path) -> Result<RootCertStore, CredentialsError> {
    let mut roots = RootCertStore::empty();
    for certificate in files::certificates(ca)? {
        roots.add(certificate).map_err(|error| certificate_error(ca, &error))?;
    }
    Ok(roots)
}

/// Whether peers with the same authority would accept the certificate, as a client's or as a server's.
fn check_issued(
    chain: &[CertificateDer<'_>],
    roots: &RootCertStore,
    provider: &CryptoProvider,
    files: &CredentialFiles,
) -> Result<(), CredentialsError> {
    let file = || files.certificate.clone();
    let unusable = |error: webpki::Error| match error {
        webpki::Error::CertExpired { time, not_after } => {
            CredentialsError::Expired { file: file(), ago_s: time.as_secs().saturating_sub(not_after.as_secs()) }
        }
        webpki::Error::CertNotValidYet { time, not_before } => {
            CredentialsError::NotYetValid { file: file(), in_s: not_before.as_secs().saturating_sub(time.as_secs()) }
        }
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            CredentialsError::NotIssued { file: file(), ca: files.ca.clone() }
        }
        webpki::Error::CaUsedAsEndEntity => {
            CredentialsError::Certificate { file: file(), cause: "it is that of an authority, not of a node".into() }
        }
        error => CredentialsError::Certificate { file: file(), cause: error.to_string() },
    };
    let (first, between) = chain.split_first().ok_or_else(|| CredentialsError::NoCertificate { file: file() })?;
    let certificate = EndEntityCert::try_from(first).map_err(unusable)?;
    let verify = |usage| {
        let algorithms = provider.signature_verification_algorithms.all;
        certificate.verify_for_usage(algorithms, &roots.roots, between, UnixTime::now(), usage, None, None).map(drop)
    };
    match verify(KeyUsage::client_auth()) {
        Err(webpki::Error::RequiredEkuNotFoundContext(_)) => verify(KeyUsage::server_auth()).map_err(unusable),
        verified => verified.map_err(unusable),
    }
}

fn certificate_error(file: &Path, error: &Error) -> CredentialsError {
    CredentialsError::Certificate { file: file.into(), cause: error.to_string() }
}
