//! `nats://HOST[:PORT][/NAME]`, parsed once.

use std::fmt;
use std::str::FromStr;

use isorun_net::{HostPort, HostPortError};

/// Longest name of an instance, in bytes: it must fit a subject, in which a byte may take three.
pub const NAME_BYTES_MAX: usize = 200;

/// The port that a NATS server listens on unless told otherwise.
pub const PORT_DEFAULT: u16 = 4222;

/// A NATS server: `nats://HOST[:PORT]`, or `nats+tls://HOST[:PORT]` where it is spoken to over TLS.
///
/// The host is a name, an IPv4 address, or an IPv6 address in brackets. There is no user and no password in it, since
/// addresses are printed: those go into [`NatsOptions`](crate::NatsOptions).
///
/// ```
/// use isorun_transport_nats::NatsServer;
///
/// let server: NatsServer = "nats://127.0.0.1".parse()?;
/// assert_eq!(server.to_string(), "nats://127.0.0.1:4222");
/// assert!(server.is_loopback() && !server.is_tls());
/// # Ok::<(), isorun_transport_nats::NatsAddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NatsServer {
    host_port: HostPort,
    tls: bool,
}

/// What is served under a name by way of a NATS server: `nats://HOST[:PORT]/NAME`.
///
/// ```
/// use isorun_transport_nats::NatsAddress;
///
/// let address: NatsAddress = "nats://[::1]:4222/kv".parse()?;
/// assert_eq!((address.name(), address.server().to_string()), ("kv", "nats://[::1]:4222".to_owned()));
/// # Ok::<(), isorun_transport_nats::NatsAddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NatsAddress {
    server: NatsServer,
    name: Box<str>,
}

/// Why a text is no [`NatsServer`] or [`NatsAddress`].
///
/// Shows nothing of a text that may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NatsAddressError {
    /// It names another kind of transport.
    #[error("`{address}` is no NATS server: it starts with neither `nats://` nor `nats+tls://`")]
    Scheme {
        /// The text.
        address: String,
    },
    /// There is a user or a password in it.
    #[error("a NATS address holds no user and no password, since it is printed: put them into a file of credentials")]
    Credentials,
    /// There is no host, or what stands there is none.
    #[error("`{address}` has no valid host: nats://HOST[:PORT], an IPv6 address in brackets")]
    Host {
        /// The text.
        address: String,
    },
    /// What stands where a port belongs is none.
    #[error("`{address}` has no valid port: nats://HOST[:PORT], the port from 1 to 65535")]
    Port {
        /// The text.
        address: String,
    },
    /// There is no name, or one that can't be carried.
    #[error("`{address}` names no instance: nats://HOST[:PORT]/NAME, the name of 1 to {NAME_BYTES_MAX} bytes")]
    Name {
        /// The text.
        address: String,
    },
}

impl NatsServer {
    /// Whether only this machine can reach it: true for a loopback address and for `localhost`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host_port.is_loopback()
    }

    /// Whether the way to the server is encrypted, and the server has to prove its name.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// What is served there under `name`.
    ///
    /// # Errors
    /// [`NatsAddressError::Name`] for an empty name, and one over [`NAME_BYTES_MAX`].
    pub fn named(&self, name: &str) -> Result<NatsAddress, NatsAddressError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(NatsAddressError::Name { address: format!("{self}/{}", clipped(name)) });
        }
        Ok(NatsAddress { server: self.clone(), name: name.into() })
    }

    /// As the client library wants it.
    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.host_port)
    }
}

impl fmt::Display for NatsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "nats+tls" } else { "nats" }, self.host_port)
    }
}

impl FromStr for NatsServer {
    type Err = NatsAddressError;

    fn from_str(address: &str) -> Result<Self, NatsAddressError> {
        let (tls, rest) = scheme(address)?;
        server(address, tls, rest.strip_suffix('/').unwrap_or(rest))
    }
}

impl NatsAddress {
    /// The NATS server.
    #[must_use]
    pub fn server(&self) -> &NatsServer {
        &self.server
    }

    /// The name that is served.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where connections to it are asked for: every instance of the name listens there, and one is given each.
    pub(crate) fn subject(&self) -> String {
        subject(&self.name)
    }
}

impl fmt::Display for NatsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.server, self.name)
    }
}

impl FromStr for NatsAddress {
    type Err = NatsAddressError;

    fn from_str(address: &str) -> Result<Self, NatsAddressError> {
        let (tls, rest) = scheme(address)?;
        let Some((host, name)) = rest.split_once('/') else {
            server(address, tls, rest)?;
            return Err(NatsAddressError::Name { address: clipped(address) });
        };
        let server = server(address, tls, host)?;
        server.named(name).map_err(|_| NatsAddressError::Name { address: clipped(address) })
    }
}

fn scheme(address: &str) -> Result<(bool, &str), NatsAddressError> {
    match address.split_once("://") {
        Some(("nats", rest)) => Ok((false, rest)),
        Some(("nats+tls", rest)) => Ok((true, rest)),
        _ => Err(NatsAddressError::Scheme { address: clipped(address) }),
    }
}

fn server(address: &str, tls: bool, text: &str) -> Result<NatsServer, NatsAddressError> {
    if text.contains('@') {
        return Err(NatsAddressError::Credentials);
    }
    let has_port = text.rsplit(']').next().is_some_and(|after| after.contains(':'));
    let with_port = if has_port { text.to_owned() } else { format!("{text}:{PORT_DEFAULT}") };
    let host_port = match with_port.parse::<HostPort>() {
        // A port that means any is for listening, and nobody listens here but the server.
        Ok(host_port) if host_port.port() == 0 => Err(HostPortError::Port),
        parsed => parsed,
    };
    match host_port {
        Ok(host_port) => Ok(NatsServer { host_port, tls }),
        Err(HostPortError::Port) => Err(NatsAddressError::Port { address: clipped(address) }),
        Err(_) => Err(NatsAddressError::Host { address: clipped(address) }),
    }
}

/// Where connections to `name` are asked for: one name, one subject, and one token of it.
///
/// Letters, digits, `-` and `_` stand for themselves, any other byte as `=` and two hexadecimal digits.
pub(crate) fn subject(name: &str) -> String {
    let mut subject = String::from("isorun.");
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => subject.push(byte.into()),
            _ => {
                subject.push('=');
                subject.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
            }
        }
    }
    subject
}

/// A text for a message, cut where it is long.
fn clipped(text: &str) -> String {
    const SHOWN: usize = 300;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}..", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, NatsAddressError>) {
        let found = text.parse::<NatsServer>().map(|server| server.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn servers_of_every_kind_are_parsed_and_printed_as_urls() {
        check("nats://127.0.0.1", Ok("nats://127.0.0.1:4222"));
        check("nats://127.0.0.1/", Ok("nats://127.0.0.1:4222"));
        check("nats://127.0.0.1:7000", Ok("nats://127.0.0.1:7000"));
        check("nats://[::1]", Ok("nats://[::1]:4222"));
        check("nats://[::1]:65535", Ok("nats://[::1]:65535"));
        check("nats://LOCALHOST:1", Ok("nats://localhost:1"));
        check("nats+tls://nats.example-1.org", Ok("nats+tls://nats.example-1.org:4222"));
    }

    #[test]
    fn what_is_no_server_is_refused_with_the_part_that_is_wrong() {
        for text in ["", "127.0.0.1", "tcp://a", "tls://a", "NATS//a"] {
            check(text, Err(NatsAddressError::Scheme { address: text.to_owned() }));
        }
        let long = format!("nats://{}", "a".repeat(254));
        for text in ["nats://", "nats:///", "nats://:1", "nats://[kv]", "nats://[::1", "nats://a b", &long] {
            let found = text.parse::<NatsServer>();
            assert!(matches!(found, Err(NatsAddressError::Host { .. })), "{text}: {found:?}");
        }
        for text in ["nats://a:", "nats://a:0", "nats://a:65536", "nats://a:+1", "nats://[::1]7", "nats://a:1/b"] {
            check(text, Err(NatsAddressError::Port { address: text.to_owned() }));
        }
    }

    #[test]
    fn credentials_are_refused_and_not_shown() {
        for text in ["nats://me:secret@host", "nats://secret@host:1/kv"] {
            let errors = [text.parse::<NatsServer>().err(), text.parse::<NatsAddress>().err()];
            for error in errors.into_iter().flatten() {
                assert_eq!(error, NatsAddressError::Credentials);
                assert!(!error.to_string().contains("secret"), "{error}");
            }
        }
    }

    #[test]
    fn a_name_stands_after_the_server() {
        let address: NatsAddress = "nats://a/b/c d".parse().unwrap();
        assert_eq!((address.name(), address.to_string()), ("b/c d", "nats://a:4222/b/c d".to_owned()));
        let longest = format!("nats://a:4222/{}", "n".repeat(NAME_BYTES_MAX));
        assert_eq!(longest.parse::<NatsAddress>().map(|address| address.to_string()), Ok(longest.clone()));
        for text in ["nats://a", "nats://a/", &format!("{longest}n")] {
            let found = text.parse::<NatsAddress>();
            assert!(matches!(found, Err(NatsAddressError::Name { .. })), "{text}: {found:?}");
        }
    }

    #[test]
    fn each_name_has_a_subject_of_its_own_without_wildcards() {
        assert_eq!(subject("kv-1_a"), "isorun.kv-1_a");
        assert_eq!(subject("a.b"), "isorun.a=2eb");
        assert_eq!(subject("*"), "isorun.=2a");
        assert_eq!(subject("> =2e"), "isorun.=3e=20=3d2e");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, expected) in [
            ("nats://127.0.0.1", true),
            ("nats://[::1]", true),
            ("nats://localhost", true),
            ("nats://0.0.0.0", false),
            ("nats://192.168.0.1", false),
            ("nats://localhost.example", false),
        ] {
            assert_eq!(text.parse::<NatsServer>().map(|server| server.is_loopback()), Ok(expected), "{text}");
        }
    }
}
