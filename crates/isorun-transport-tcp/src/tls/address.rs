//! `tls://HOST:PORT`, parsed once.

use std::fmt;
use std::str::FromStr;

use isorun_tls::{ServerNameError, server_name};
use rustls::pki_types::ServerName;

use crate::{AddressError, TcpAddress};

/// Where something listens with TLS: `tls://HOST:PORT`, or `tls://HOST:PORT?name=NAME`.
///
/// The certificate there must be for the host, as DNS name or IP address, or for
/// `NAME` where one is given: a DNS name, an IP address, or the name of a node.
///
/// ```
/// use isorun_transport_tcp::TlsAddress;
///
/// let address: TlsAddress = "tls://10.0.0.7:7000?name=kv-1".parse()?;
/// assert_eq!(address.to_string(), "tls://10.0.0.7:7000?name=kv-1");
/// assert_eq!(address.name(), "kv-1");
/// # Ok::<(), isorun_transport_tcp::TlsAddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsAddress {
    tcp: TcpAddress,
    name: Option<Box<str>>,
    server: ServerName<'static>,
}

/// Why a text is no [`TlsAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsAddressError {
    /// It names another kind of transport.
    #[error("`{address}` is not a TLS address: it does not start with `tls://`")]
    Scheme {
        /// The text.
        address: String,
    },
    /// There is no host, or what stands there is none.
    #[error("`{address}` has no valid host: `tls://HOST:PORT`, an IPv6 address in brackets")]
    Host {
        /// The text.
        address: String,
    },
    /// There is no port, or what stands there is none.
    #[error("`{address}` has no valid port: `tls://HOST:PORT`, the port from 0 to 65535")]
    Port {
        /// The text.
        address: String,
    },
    /// Something else than a name is asked for.
    #[error("`?{query}` is nothing that can be said of a TLS address: there is `?name=NAME`")]
    Query {
        /// What stands after the question mark.
        query: String,
    },
    /// No certificate can be for that name.
    #[error(transparent)]
    Name(#[from] ServerNameError),
}

impl TlsAddress {
    /// An address whose certificate must be for its host.
    ///
    /// # Errors
    /// [`TlsAddressError::Name`] for a host that no certificate can be for.
    pub fn new(tcp: TcpAddress) -> Result<Self, TlsAddressError> {
        let server = server_name(&tcp.host())?;
        Ok(Self { tcp, name: None, server })
    }

    /// The same address, whose certificate must be for `name`.
    ///
    /// # Errors
    /// [`TlsAddressError::Name`] for a name that no certificate can be for.
    pub fn named(self, name: &str) -> Result<Self, TlsAddressError> {
        Ok(Self { server: server_name(name)?, name: Some(name.into()), ..self })
    }

    /// What the certificate there must be for.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.as_deref().map_or_else(|| self.tcp.host(), str::to_owned)
    }

    /// Whether only this machine can reach what listens here, as [`TcpAddress::is_loopback`] tells.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.tcp.is_loopback()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.tcp.port()
    }

    /// The host and the port.
    #[must_use]
    pub fn tcp(&self) -> &TcpAddress {
        &self.tcp
    }

    pub(crate) fn is_named(&self) -> bool {
        self.name.is_some()
    }

    pub(crate) fn server(&self) -> ServerName<'static> {
        self.server.clone()
    }
}

impl FromStr for TlsAddress {
    type Err = TlsAddressError;

    fn from_str(address: &str) -> Result<Self, TlsAddressError> {
        let whole = || address.to_owned();
        let rest = address.strip_prefix("tls://").ok_or_else(|| TlsAddressError::Scheme { address: whole() })?;
        let (host, query) = rest.split_once('?').map_or((rest, None), |(host, query)| (host, Some(query)));
        // Without a scheme of its own: `tls://tcp://a:1` is no address.
        let tcp = if host.contains("://") { Err(AddressError::Host { address: whole() }) } else { host.parse() };
        let tcp = tcp.map_err(|error| match error {
            AddressError::Port { .. } => TlsAddressError::Port { address: whole() },
            AddressError::Scheme { .. } | AddressError::Host { .. } => TlsAddressError::Host { address: whole() },
        })?;
        let here = Self::new(tcp)?;
        match query {
            None => Ok(here),
            Some(query) => match query.strip_prefix("name=") {
                Some(name) => here.named(name),
                None => Err(TlsAddressError::Query { query: query.into() }),
            },
        }
    }
}

impl fmt::Display for TlsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tcp = self.tcp.to_string();
        write!(f, "tls://{}", tcp.strip_prefix("tcp://").unwrap_or(&tcp))?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, "?name={name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, TlsAddressError>) {
        let found = text.parse::<TlsAddress>().map(|address| address.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn addresses_are_parsed_and_printed_as_urls() {
        check("tls://127.0.0.1:7000", Ok("tls://127.0.0.1:7000"));
        check("tls://[::1]:7000?name=kv-1", Ok("tls://[::1]:7000?name=kv-1"));
        check("tls://localhost:0", Ok("tls://localhost:0"));
        check("tls://kv.example.org:1?name=10.0.0.1", Ok("tls://kv.example.org:1?name=10.0.0.1"));
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_part_that_is_wrong() {
        for text in ["127.0.0.1:1", "tcp://127.0.0.1:1", ""] {
            check(text, Err(TlsAddressError::Scheme { address: text.into() }));
        }
        for text in ["tls://:1", "tls://tcp://a:1", "tls://[kv]:1", "tls://a/b:1"] {
            check(text, Err(TlsAddressError::Host { address: text.into() }));
        }
        for text in ["tls://a", "tls://a:x", "tls://a:65536"] {
            check(text, Err(TlsAddressError::Port { address: text.into() }));
        }
        check("tls://a:1?", Err(TlsAddressError::Query { query: String::new() }));
        check("tls://a:1?key=b", Err(TlsAddressError::Query { query: "key=b".into() }));
        for text in ["tls://a:1?name=", "tls://a:1?name=a b", "tls://a..b:1"] {
            assert!(matches!(text.parse::<TlsAddress>(), Err(TlsAddressError::Name(_))), "{text}");
        }
    }
}
