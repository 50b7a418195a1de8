//! Names that certificates carry.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls_pki_types::ServerName;

/// Longest name of a node, in bytes: what DNS allows.
pub const NAME_BYTES_MAX: usize = 253;

/// The name of a node: what its certificate proves, and what operators grant to.
///
/// Lower-case letters, digits, `-`, `_` and `.`, as in the name of a host; never
/// an IP address. So two names are the same exactly if their bytes are.
///
/// ```
/// use isorun_tls::NodeName;
///
/// assert_eq!("kv-1.lab".parse::<NodeName>()?.as_str(), "kv-1.lab");
/// assert!("KV".parse::<NodeName>().is_err());
/// assert!("10.0.0.1".parse::<NodeName>().is_err());
/// # Ok::<(), isorun_tls::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Box<str>);

/// A text that is no [`NodeName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no name of a node: lower-case letters, digits, `-`, `_` and `.`, {NAME_BYTES_MAX} bytes at most, and no IP address",
    Shown(.name)
)]
pub struct NameError {
    /// The text, the beginning of it where it is long.
    pub name: String,
}

impl NodeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
        let sized = (1..=NAME_BYTES_MAX).contains(&name.len());
        if sized && name.bytes().all(plain) && matches!(ServerName::try_from(name), Ok(ServerName::DnsName(_))) {
            return Ok(Self(name.into()));
        }
        Err(NameError { name: cut(name) })
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that no certificate of a server can be for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is neither a DNS name nor an IP address, so no certificate can be for it", Shown(.name))]
pub struct ServerNameError {
    /// The text, the beginning of it where it is long.
    pub name: String,
}

/// The name that a server's certificate must be for: a DNS name or an IP address, of IPv6 with or without brackets.
///
/// # Errors
/// [`ServerNameError`] where it is neither.
pub fn server_name(host: &str) -> Result<ServerName<'static>, ServerNameError> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(ip.into()));
    }
    ServerName::try_from(host).map(|name| name.to_owned()).map_err(|_| ServerNameError { name: cut(host) })
}

/// Characters of somebody else's text that are shown.
const SHOWN_CHARS_MAX: usize = 200;

pub(crate) fn cut(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// Somebody else's text in a message: cut, and nothing in it that a terminal would obey.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().take(SHOWN_CHARS_MAX).try_for_each(|c| {
            if isorun_core::moves_cursor(c) { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") }
        })?;
        if self.0.chars().nth(SHOWN_CHARS_MAX).is_some() { f.write_str("..") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_lower_case_and_no_addresses() {
        let longest = [&"a".repeat(63), ".", &"b".repeat(63), ".", &"c".repeat(63), ".", &"d".repeat(61)].concat();
        assert_eq!(longest.len(), NAME_BYTES_MAX);
        for name in ["a", "kv-1", "kv_1.lab", "7up", &longest] {
            assert_eq!(name.parse::<NodeName>().map(|name| name.to_string()).as_deref(), Ok(name));
        }
        let long = format!("{longest}d");
        for name in ["", "A", "a b", "a/b", "a@b", "*.a", "10.0.0.1", "::1", "[::1]", "a\n", "ä", ".", "a..b", &long] {
            assert!(name.parse::<NodeName>().is_err(), "{name}");
        }
    }

    #[test]
    fn servers_are_named_by_dns_and_by_address() {
        for name in ["kv", "kv.example.org", "127.0.0.1", "::1", "[::1]", "localhost", "KV"] {
            assert!(server_name(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "[kv]", "[::1", "*.a", "a/b"] {
            assert!(server_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn text_of_others_is_cut_and_says_nothing_to_a_terminal() {
        let shown = Shown("\u{1b}[2Jkv\u{202e}\n").to_string();
        assert_eq!(shown, "\\u{1b}[2Jkv\\u{202e}\\n");
        assert_eq!(Shown(&"a".repeat(10_000)).to_string().len(), SHOWN_CHARS_MAX + 2);
    }
}
