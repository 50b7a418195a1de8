//! `quic://HOST:PORT`, parsed once.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use isorun_net::{HostPort, ServerAddress, ServerAddressError};
use isorun_tls::{ServerNameError, server_name};

const SCHEME: &str = "quic://";

/// Where something listens: `quic://HOST:PORT`, or `quic://HOST:PORT?name=NAME`.
///
/// The host is a name, an IPv4 address, or an IPv6 address in brackets. The
/// certificate there must be for it, or for `NAME` where one is given: a DNS
/// name, an IP address, or the name of a node. Port 0, for listening, means any
/// free port.
///
/// ```
/// use isorun_transport_quic::QuicAddress;
///
/// let address: QuicAddress = "quic://[::1]:7000?name=kv-1".parse()?;
/// assert_eq!(address.to_string(), "quic://[::1]:7000?name=kv-1");
/// assert_eq!(address.name(), "kv-1");
/// assert!("tcp://[::1]:7000".parse::<QuicAddress>().is_err());
/// # Ok::<(), isorun_transport_quic::QuicAddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QuicAddress(ServerAddress);

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
    /// What follows is no host and port, or names nobody.
    #[error("`{address}` has {cause}")]
    Server {
        /// The text.
        address: String,
        /// Which part is wrong.
        #[source]
        cause: ServerAddressError,
    },
    /// No certificate can be for that name.
    #[error(transparent)]
    Name(#[from] ServerNameError),
}

impl QuicAddress {
    /// The same address, whose certificate must be for `name`.
    ///
    /// # Errors
    /// [`QuicAddressError::Name`] for a name that no certificate can be for.
    pub fn named(self, name: &str) -> Result<Self, QuicAddressError> {
        server_name(name)?;
        Ok(Self(self.0.named(name)))
    }

    /// What the certificate there must be for.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// Whether only this machine can reach what listens here, as [`HostPort::is_loopback`] tells.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host_port().is_loopback()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.host_port().port()
    }

    /// The host and the port.
    #[must_use]
    pub fn host_port(&self) -> &HostPort {
        self.0.host_port()
    }

    pub(crate) fn is_named(&self) -> bool {
        self.0.is_named()
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
        let parsed: Result<ServerAddress, _> = rest.parse();
        let server = parsed.map_err(|cause| QuicAddressError::Server { address: address(), cause })?;
        server_name(&server.name())?;
        Ok(Self(server))
    }
}

impl fmt::Display for QuicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use isorun_net::HostPortError;

    use super::*;

    fn check(text: &str, expected: Result<&str, QuicAddressError>) {
        let found = text.parse::<QuicAddress>().map(|address| address.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn an_address_is_its_scheme_a_host_and_a_port_and_perhaps_a_name() {
        check("quic://kv.example.org:7000", Ok("quic://kv.example.org:7000"));
        check("quic://[0:0:0:0:0:0:0:1]:0", Ok("quic://[::1]:0"));
        check("quic://10.0.0.1:7?name=kv_1", Ok("quic://10.0.0.1:7?name=kv_1"));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_part_that_is_wrong() {
        for text in ["kv:1", "tcp://kv:1", "QUIC://kv:1", "quic:kv:1", ""] {
            check(text, Err(QuicAddressError::Scheme { address: text.to_owned() }));
        }
        for (text, cause) in [
            ("quic://:1", HostPortError::Host.into()),
            ("quic://kv", HostPortError::Port.into()),
            ("quic://kv:1/a", HostPortError::Port.into()),
            ("quic://kv:1?", ServerAddressError::Query { query: String::new() }),
        ] {
            check(text, Err(QuicAddressError::Server { address: text.to_owned(), cause }));
        }
        for text in ["quic://a:1?name=", "quic://a:1?name=a b", "quic://a..b:1"] {
            assert!(matches!(text.parse::<QuicAddress>(), Err(QuicAddressError::Name(_))), "{text}");
        }
        let address: QuicAddress = "quic://a:1".parse().unwrap();
        assert!(matches!(address.named("[a]"), Err(QuicAddressError::Name(_))));
    }
}
