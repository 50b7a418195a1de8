//! `tcp://HOST:PORT`, parsed once.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Longest name of a host, in bytes: what DNS allows.
const HOST_BYTES_MAX: usize = 253;

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
pub struct TcpAddress {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    Ip(IpAddr),
    /// `localhost`, which is this machine whatever a name server says.
    Localhost,
    Name(Box<str>),
}

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
        match &self.host {
            Host::Ip(ip) => ip.to_canonical().is_loopback(),
            Host::Localhost => true,
            Host::Name(_) => false,
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host, as it stands in an address but for the brackets of IPv6.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.host {
            Host::Ip(ip) => ip.to_string(),
            Host::Localhost => "localhost".into(),
            Host::Name(name) => name.to_string(),
        }
    }

    /// The socket addresses behind it, asking the system about a name.
    pub(crate) async fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        match &self.host {
            Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, self.port)]),
            Host::Localhost => Ok(vec![
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port),
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), self.port),
            ]),
            Host::Name(name) => Ok(tokio::net::lookup_host((&**name, self.port)).await?.collect()),
        }
    }
}

impl From<SocketAddr> for TcpAddress {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::Ip(address.ip()), port: address.port() }
    }
}

impl FromStr for TcpAddress {
    type Err = AddressError;

    fn from_str(address: &str) -> Result<Self, AddressError> {
        let rest = match address.split_once("://") {
            Some(("tcp", rest)) => rest,
            Some(_) => return Err(AddressError::Scheme { address: address.to_owned() }),
            None => address,
        };
        let no_host = || AddressError::Host { address: address.to_owned() };
        let no_port = || AddressError::Port { address: address.to_owned() };
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (ip, rest) = rest.split_once(']').ok_or_else(no_host)?;
                let ip = ip.parse::<Ipv6Addr>().map_err(|_| no_host())?;
                (Host::Ip(ip.into()), rest.strip_prefix(':').ok_or_else(no_port)?)
            }
            None => {
                let (host, port) = rest.split_once(':').ok_or_else(no_port)?;
                (parse_host(host).ok_or_else(no_host)?, port)
            }
        };
        // `u16::from_str` takes a sign, an address does not.
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(no_port());
        }
        Ok(Self { host, port: port.parse().map_err(|_| no_port())? })
    }
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => write!(f, "tcp://{}", SocketAddr::new(*ip, self.port)),
            Host::Localhost => write!(f, "tcp://localhost:{}", self.port),
            Host::Name(name) => write!(f, "tcp://{name}:{}", self.port),
        }
    }
}

fn parse_host(host: &str) -> Option<Host> {
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Some(Host::Ip(ip.into()));
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Some(Host::Localhost);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let named = !host.is_empty() && host.len() <= HOST_BYTES_MAX && host.bytes().all(plain);
    named.then(|| Host::Name(host.into()))
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
        let long = format!("tcp://{}:1", "a".repeat(HOST_BYTES_MAX + 1));
        for text in
            ["tcp://:1", ":1", "tcp://[::1:1", "tcp://[kv]:1", "tcp://a/b:1", "tcp://a@b:1", "tcp://a b:1", &long]
        {
            check(text, Err(AddressError::Host { address: text.to_owned() }));
        }
        for text in
            ["", "tcp://", "a", "a:", "a:65536", "a:+1", "a:-1", "a:1/name", "::1:7000", "[::1]", "[::1]7", "a:1 "]
        {
            let found = text.parse::<TcpAddress>();
            assert!(matches!(found, Err(AddressError::Port { .. } | AddressError::Host { .. })), "{text}: {found:?}");
        }
        check("a:65536", Err(AddressError::Port { address: "a:65536".to_owned() }));
        check("a:1/name", Err(AddressError::Port { address: "a:1/name".to_owned() }));
    }

    #[test]
    fn the_longest_host_name_is_parsed() {
        let longest = format!("tcp://{}:1", "a".repeat(HOST_BYTES_MAX));
        check(&longest, Ok(&longest));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, expected) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("localhost:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.168.0.1:1", false),
            ("localhost.example:1", false),
            ("[::ffff:10.0.0.1]:1", false),
        ] {
            assert_eq!(text.parse::<TcpAddress>().map(|address| address.is_loopback()), Ok(expected), "{text}");
        }
    }
}
