//! `tcp://HOST:PORT`, parsed once.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use isorun_net::{HostPort, HostPortError};

/// Where something listens: `tcp://HOST:PORT`.
///
/// The host is a name, an IPv4 address, or an IPv6 address in brackets; `tcp://`
/// may be left out. Port 0, for listening, means any free port.
///
/// ```
/// use isorun_transport_tcp::TcpAddress;
///
/// let address: TcpAddress = "[::1]:7000".parse()?;
/// assert_eq!(address.to_string(), "tcp://[::1]:7000");
/// assert!(address.is_loopback());
/// # Ok::<(), isorun_transport_tcp::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TcpAddress(HostPort);

/// Why a text is no [`TcpAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It names another kind of transport.
    #[error("`{address}` is not a TCP address: it does not start with `tcp://`")]
    Scheme {
        /// The text.
        address: String,
    },
    /// There is no host, or what stands there is none.
    #[error("`{address}` has no valid host: `tcp://HOST:PORT`, an IPv6 address in brackets")]
    Host {
        /// The text.
        address: String,
    },
    /// There is no port, or what stands there is none.
    #[error("`{address}` has no valid port: `tcp://HOST:PORT`, the port from 0 to 65535")]
    Port {
        /// The text.
        address: String,
    },
}

impl TcpAddress {
    /// Whether only this machine can reach what listens here.
    ///
    /// True for a loopback address and for `localhost`, which this crate never
    /// asks a name server about. Any other name is not, whatever it resolves to.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.0.is_loopback()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// The host, as it stands in an address but for the brackets of IPv6.
    #[must_use]
    pub fn host(&self) -> String {
        self.0.host()
    }

    /// The socket addresses behind it, asking the system about a name.
    pub(crate) async fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.0.resolve().await
    }
}

impl From<SocketAddr> for TcpAddress {
    fn from(address: SocketAddr) -> Self {
        Self(address.into())
    }
}

impl FromStr for TcpAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let address = || text.to_owned();
        let rest = match text.split_once("://") {
            Some(("tcp", rest)) => rest,
            Some(_) => return Err(AddressError::Scheme { address: address() }),
            None => text,
        };
        rest.parse().map(Self).map_err(|error| match error {
            HostPortError::Port => AddressError::Port { address: address() },
            _ => AddressError::Host { address: address() },
        })
    }
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp://{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, AddressError>) {
        let found = text.parse::<TcpAddress>().map(|address| address.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn hosts_of_every_kind_are_parsed_and_printed_as_urls() {
        check("tcp://127.0.0.1:7000", Ok("tcp://127.0.0.1:7000"));
        check("127.0.0.1:0", Ok("tcp://127.0.0.1:0"));
        check("tcp://[::1]:7000", Ok("tcp://[::1]:7000"));
        check("tcp://[0:0:0:0:0:0:0:1]:65535", Ok("tcp://[::1]:65535"));
        check("tcp://LOCALHOST:1", Ok("tcp://localhost:1"));
        check("tcp://kv.example-1.org:7000", Ok("tcp://kv.example-1.org:7000"));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_part_that_is_wrong() {
        for text in ["http://a:1", "://a:1", "TCP:///a:1"] {
            check(text, Err(AddressError::Scheme { address: text.to_owned() }));
        }
        for text in ["tcp://:1", ":1", "tcp://[::1:1", "tcp://a/b:1"] {
            check(text, Err(AddressError::Host { address: text.to_owned() }));
        }
        for text in ["", "tcp://", "a:65536", "tcp://a:1/name"] {
            check(text, Err(AddressError::Port { address: text.to_owned() }));
        }
    }
}
