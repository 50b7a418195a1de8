//! `HOST:PORT?name=NAME`, parsed once.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::{HostPort, HostPortError};

/// Where a server is that proves a name: `HOST:PORT`, or `HOST:PORT?name=NAME`.
///
/// What it proves is the host, or `NAME` where one is given. Whether anybody can
/// prove such a name is for the transport to say, which knows by what means.
///
/// ```
/// use isorun_net::ServerAddress;
///
/// let address: ServerAddress = "10.0.0.7:7000?name=kv-1".parse()?;
/// assert_eq!(address.name(), "kv-1");
/// assert_eq!(address.host_port().to_string(), "10.0.0.7:7000");
/// assert_eq!(address.to_string(), "10.0.0.7:7000?name=kv-1");
/// # Ok::<(), isorun_net::ServerAddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    host_port: HostPort,
    name: Option<Box<str>>,
}

/// Why a text is no [`ServerAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerAddressError {
    /// What stands there is no host and port.
    #[error(transparent)]
    HostPort(#[from] HostPortError),
    /// Something else than a name is asked for.
    #[error("`?{query}`, which means nothing: there is `?name=NAME`")]
    Query {
        /// What stands after the question mark.
        query: String,
    },
}

impl ServerAddress {
    /// The same place, where `name` has to be proven.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// What has to be proven there.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.as_deref().map_or_else(|| self.host_port.host(), str::to_owned)
    }

    /// Whether the name is not that of the host.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.name.is_some()
    }

    /// The host and the port.
    #[must_use]
    pub fn host_port(&self) -> &HostPort {
        &self.host_port
    }
}

impl From<HostPort> for ServerAddress {
    fn from(host_port: HostPort) -> Self {
        Self { host_port, name: None }
    }
}

impl From<SocketAddr> for ServerAddress {
    fn from(address: SocketAddr) -> Self {
        HostPort::from(address).into()
    }
}

impl FromStr for ServerAddress {
    type Err = ServerAddressError;

    fn from_str(text: &str) -> Result<Self, ServerAddressError> {
        let (host_port, query) = text.split_once('?').map_or((text, None), |(before, query)| (before, Some(query)));
        let address = Self::from(host_port.parse::<HostPort>()?);
        match query.map(|query| query.strip_prefix("name=").ok_or(query)) {
            None => Ok(address),
            Some(Ok(name)) => Ok(address.named(name)),
            Some(Err(query)) => Err(ServerAddressError::Query { query: query.into() }),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host_port.fmt(f)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, "?name={name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, &str), ServerAddressError>) {
        let found = text.parse::<ServerAddress>().map(|address| (address.to_string(), address.name()));
        assert_eq!(found, expected.map(|(text, name)| (text.to_owned(), name.to_owned())), "{text}");
    }

    #[test]
    fn the_host_is_the_name_unless_there_is_one() {
        check("[::1]:7000", Ok(("[::1]:7000", "::1")));
        check("kv.example.org:1", Ok(("kv.example.org:1", "kv.example.org")));
        check("[::1]:7000?name=kv-1", Ok(("[::1]:7000?name=kv-1", "kv-1")));
    }

    #[test]
    fn what_is_none_is_refused_with_the_part_that_is_wrong() {
        check("a", Err(HostPortError::Port.into()));
        check(":1?name=a", Err(HostPortError::Host.into()));
        for query in ["", "key=b", "Name=b"] {
            check(&format!("a:1?{query}"), Err(ServerAddressError::Query { query: query.into() }));
        }
    }
}
