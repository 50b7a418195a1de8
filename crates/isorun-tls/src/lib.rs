//! Mutual TLS between isorun hosts: credentials from files, rotation, and the identity that a peer has proven.
//!
//! [`Credentials`] are a certificate, its key, and the certificates of the
//! authority that everybody on the network is known by. They give rustls the
//! configurations of both ends: TLS 1.3 alone, each end shows a certificate, and
//! nobody is trusted whom that authority has not signed; what the system trusts
//! plays no part. Files that change are read again without a restart.
//!
//! Who a peer is says its certificate, and [`identity_of`] reads it: the name
//! after `isorun://` in its URI name, or else its first DNS name. A peer without
//! such a name does not get past the handshake.
//!
//! There is no socket here and no runtime: transports bring both.
//!
//! With the feature `issue`, `Authority` makes authorities and certificates.
//!
//! ```
//! # #[cfg(feature = "issue")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use isorun_tls::issue::{Authority, NodeRequest};
//! use isorun_tls::Credentials;
//!
//! let folder = tempfile::tempdir()?;
//! let authority = Authority::new("example", 30)?;
//! let files = authority.issue(&NodeRequest::new("kv-1".parse()?))?.write(folder.path(), false)?;
//!
//! let credentials = Credentials::open(files)?;
//! assert_eq!(credentials.identity().to_string(), "kv-1");
//! let _server = credentials.server_config(b"isorun/1");
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "issue"))]
//! # fn main() {}
//! ```
#![forbid(unsafe_code)]

mod credentials;
mod error;
mod files;
mod handshake_log;
mod identity;
#[cfg(feature = "issue")]
pub mod issue;
mod loaded;
mod name;
mod refusal;
mod verify;

pub use credentials::{Credentials, LOOK_MS_MIN};
pub use error::CredentialsError;
pub use files::{CERTIFICATES_MAX, CredentialFiles, FILE_BYTES_MAX};
pub use handshake_log::{HandshakeLog, LOG_LINES_MAX, LOG_WINDOW_MS};
pub use identity::{IdentityError, identity_of, peer_of};
pub use name::{NAME_BYTES_MAX, NameError, NodeName, ServerNameError, server_name};
pub use refusal::refusal;
/// The protocol that both ends must name in the handshake (ALPN).
pub const ALPN: &[u8] = b"isorun/1";
