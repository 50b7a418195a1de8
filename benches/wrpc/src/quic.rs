//! QUIC with a certificate of the run's own, which travels within the address.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{ClientConfig, Endpoint, ServerConfig};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
pub use wrpc_transport_quic::{Client, Server};

use crate::child::Error;

const NAME: &str = "localhost";

/// An endpoint on a free port, and its address: `HOST:PORT CERTIFICATE`, the latter in hex.
pub fn listen() -> Result<(Endpoint, String), Error> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let certificate = made.cert.der().clone();
    let hex: String = certificate.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let config = ServerConfig::with_single_cert(vec![certificate], key)?;
    let endpoint = Endpoint::server(config, SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = format!("{} {hex}", endpoint.local_addr()?);
    Ok((endpoint, address))
}

/// One connection to such an address, for all callers.
pub async fn connect(address: &str) -> Result<Client, Error> {
    let (at, hex) = address.split_once(' ').ok_or("an address over QUIC is HOST:PORT CERTIFICATE")?;
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2).unwrap_or_default(), 16));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(bytes.collect::<Result<Vec<_>, _>>()?))?;
    let mut endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    endpoint.set_default_client_config(ClientConfig::with_root_certificates(Arc::new(roots))?);
    Ok(endpoint.connect(at.parse()?, NAME)?.await?.into())
}
