//! `quic://HOST:PORT`, parsed once.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use isorun_net::{HostPort, HostPortError};

const SCHEME: &str = "quic://";

/// Where something listens: `quic://HOST:PORT`.
///
/// The host is a name, an IPv4 address, or an IPv6 address in brackets. Port 0,
/// for listening, means any free port.
///
/// ```
/// use isorun_transport_quic::QuicAddress;
///
/// let address: QuicAddress = "quic://[::1]:7000".parse()?;
/// assert_eq!(address.to_string(), "quic://[::1]:7000");
/// assert!("tcp://[::1]:7000".parse::<QuicAddress>().is_err());
/// # Ok::<(), isorun_transport_quic::QuicAddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QuicAddress(HostPort);

/// Why a text is no [`QuicAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuicAddressError {
    /// It names another kind of transport, or none.
    #[error("`{address}` is not a QUIC address: it does not start with `quic://`")]
    Scheme {
        /// The text.
        address: String,
    },
    /// What follows is no host and port.
    #[error("`{address}` has {cause}")]
    HostPort {
        /// The text.
        address: String,
        /// Which of the two is wrong.
        #[source]
        cause: HostPortError,
    },
}

impl QuicAddress {
    /// The host and the port.
    #[must_use]
    pub fn host_port(&self) -> &HostPort {
        &self.0
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port()
    }
}

impl From<SocketAddr> for QuicAddress {
    fn from(address: SocketAddr) -> Self {
        Self(address.into())
    }
}

impl FromStr for QuicAddress {
    type Err = QuicAddressError;

    fn from_str(text: &str) -> Result<Self, QuicAddressError> {
        let address = || text.to_owned();
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| QuicAddressError::Scheme { address: address() })?;
        rest.parse().map(Self).map_err(|cause| QuicAddressError::HostPort { address: address(), cause })
    }
}

impl fmt::Display for QuicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, QuicAddressError>) {
        let found = text.parse::<QuicAddress>().map(|address| address.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn an_address_is_its_scheme_a_host_and_a_port() {
        check("quic://kv.example.org:7000", Ok("quic://kv.example.org:7000"));
        check("quic://[0:0:0:0:0:0:0:1]:0", Ok("quic://[::1]:0"));
        for text in ["kv:1", "tcp://kv:1", "QUIC://kv:1", "quic:kv:1", ""] {
            check(text, Err(QuicAddressError::Scheme { address: text.to_owned() }));
        }
        for (text, cause) in [
            ("quic://:1", HostPortError::Host),
            ("quic://kv", HostPortError::Port),
            ("quic://kv:1/a", HostPortError::Port),
        ] {
            check(text, Err(QuicAddressError::HostPort { address: text.to_owned(), cause }));
        }
    }
}
