//! `HOST:PORT`, parsed once.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Longest name of a host, in bytes: what DNS allows.
const HOST_BYTES_MAX: usize = 253;

/// A host and a port of it: what stands after the scheme of a transport's address.
///
/// The host is a name, an IPv4 address, or an IPv6 address in brackets.
///
/// ```
/// use isorun_net::HostPort;
///
/// let address: HostPort = "[::1]:7000".parse()?;
/// assert_eq!(address.to_string(), "[::1]:7000");
/// assert_eq!(address.host(), "::1");
/// assert!(address.is_loopback());
/// # Ok::<(), isorun_net::HostPortError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
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

/// Which part of a text keeps it from being a [`HostPort`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostPortError {
    /// There is no host, or what stands there is none.
    #[error("no valid host: `HOST:PORT`, an IPv6 address in brackets")]
    Host,
    /// There is no port, or what stands there is none.
    #[error("no valid port: `HOST:PORT`, the port from 0 to 65535")]
    Port,
}

impl HostPort {
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

    /// The host as a certificate names it: a name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.host {
            Host::Ip(ip) => ip.to_string(),
            Host::Localhost => "localhost".to_owned(),
            Host::Name(name) => name.to_string(),
        }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The socket addresses behind it, asking the system about a name; needs a tokio runtime.
    ///
    /// # Errors
    /// What the system says of a name that it doesn't know.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
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

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::Ip(address.ip()), port: address.port() }
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (ip, rest) = rest.split_once(']').ok_or(HostPortError::Host)?;
                let ip = ip.parse::<Ipv6Addr>().map_err(|_| HostPortError::Host)?;
                (Host::Ip(ip.into()), rest.strip_prefix(':').ok_or(HostPortError::Port)?)
            }
            None => {
                let (host, port) = text.split_once(':').ok_or(HostPortError::Port)?;
                (parse_host(host).ok_or(HostPortError::Host)?, port)
            }
        };
        // `u16::from_str` takes a sign, an address does not.
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(HostPortError::Port);
        }
        Ok(Self { host, port: port.parse().map_err(|_| HostPortError::Port)? })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Localhost => write!(f, "localhost:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
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

    fn check(text: &str, expected: Result<&str, HostPortError>) {
        let found = text.parse::<HostPort>().map(|address| address.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn hosts_of_every_kind_are_parsed_and_printed() {
        check("127.0.0.1:7000", Ok("127.0.0.1:7000"));
        check("127.0.0.1:0", Ok("127.0.0.1:0"));
        check("[::1]:7000", Ok("[::1]:7000"));
        check("[0:0:0:0:0:0:0:1]:65535", Ok("[::1]:65535"));
        check("LOCALHOST:1", Ok("localhost:1"));
        check("kv.example-1.org:7000", Ok("kv.example-1.org:7000"));
    }

    #[test]
    fn what_is_none_is_refused_with_the_part_that_is_wrong() {
        let long = format!("{}:1", "a".repeat(HOST_BYTES_MAX + 1));
        for text in [":1", "[::1:1", "[kv]:1", "a/b:1", "a@b:1", "a b:1", "::1:7000", &long] {
            check(text, Err(HostPortError::Host));
        }
        for text in ["", "a", "a:", "a:65536", "a:+1", "a:-1", "a:1/name", "[::1]", "[::1]7", "a:1 "] {
            check(text, Err(HostPortError::Port));
        }
    }

    #[test]
    fn the_longest_host_name_is_parsed() {
        let longest = format!("{}:1", "a".repeat(HOST_BYTES_MAX));
        check(&longest, Ok(&longest));
    }

    #[test]
    fn a_certificate_names_an_address_without_brackets() {
        for (text, expected) in
            [("[::1]:1", "::1"), ("10.0.0.1:1", "10.0.0.1"), ("LocalHost:1", "localhost"), ("kv:1", "kv")]
        {
            assert_eq!(text.parse::<HostPort>().map(|address| address.host()), Ok(expected.to_owned()));
        }
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
            assert_eq!(text.parse::<HostPort>().map(|address| address.is_loopback()), Ok(expected), "{text}");
        }
    }
}
