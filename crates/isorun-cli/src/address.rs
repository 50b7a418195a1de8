//! Addresses: where a process serves, and the instances there.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use isorun::{
    Announcement, Listener, NatsTransport, NatsTransportListener, QuicAddress, QuicTransport, QuicTransportListener,
    REFLECT_INSTANCE, TcpAddress, TcpTransport, TcpTransportListener, TlsAddress, TlsTransport, TlsTransportListener,
    Transport,
};
#[cfg(unix)]
use isorun::{UnixAddress, UnixTransport, UnixTransportListener};

use crate::exit::{FAILED, Failed};
use crate::keys::Keys;
use crate::nats::NatsPlace;
use crate::place::several;

/// Where a process serves.
///
/// A further kind is a variant here, a line in [`KINDS`] and in the forms of `place`, and an arm in each `match` below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(TcpAddress),
    Tls(TlsAddress),
    Quic(QuicAddress),
    #[cfg(unix)]
    Unix(UnixAddress),
    Nats(NatsPlace),
}

/// How the addresses of one kind are written.
struct Kind {
    /// What stands before the first colon.
    scheme: &'static str,
    /// What stands between an address and the name of an instance.
    mark: char,
    /// The form of an instance, for messages.
    form: &'static str,
    /// Reads an address without a name.
    parse: fn(&str) -> Result<Address, String>,
}

const KINDS: &[Kind] = &[
    Kind {
        scheme: "tcp",
        mark: '/',
        form: "tcp://HOST:PORT/NAME",
        parse: |text| text.parse().map(Address::Tcp).map_err(|error: isorun::AddressError| error.to_string()),
    },
    Kind {
        scheme: "tls",
        mark: '/',
        form: "tls://HOST:PORT/NAME",
        parse: |text| text.parse().map(Address::Tls).map_err(|error: isorun::TlsAddressError| error.to_string()),
    },
    Kind {
        scheme: "quic",
        mark: '/',
        form: "quic://HOST:PORT/NAME",
        parse: |text| text.parse().map(Address::Quic).map_err(|error: isorun::QuicAddressError| error.to_string()),
    },
    #[cfg(unix)]
    Kind {
        scheme: "unix",
        mark: '#',
        form: "unix:///PATH#NAME",
        parse: |text| text.parse().map(Address::Unix).map_err(|error: isorun::UnixAddressError| error.to_string()),
    },
    Kind { scheme: "nats", mark: '/', form: "nats://HOST[:PORT]/NAME", parse: |text| text.parse().map(Address::Nats) },
    Kind {
        scheme: "nats+tls",
        mark: '/',
        form: "nats+tls://HOST[:PORT]/NAME",
        parse: |text| text.parse().map(Address::Nats),
    },
];

impl Address {
    /// Whether only this machine reaches what listens here.
    pub fn stays_here(&self) -> bool {
        match self {
            Self::Tcp(address) => address.is_loopback(),
            Self::Tls(address) => address.is_loopback(),
            Self::Quic(address) => address.is_loopback(),
            #[cfg(unix)]
            Self::Unix(_) => true,
            Self::Nats(place) => place.stays_here(),
        }
    }

    /// The same NATS server over TLS, where it is one in the clear.
    pub fn over_tls(&self) -> Option<String> {
        let Self::Nats(place) = self else { return None };
        place.to_string().strip_prefix("nats://").map(|rest| format!("nats+tls://{rest}"))
    }

    /// Whether who connects here has proven its name before anything it sends is looked at.
    pub fn authenticates(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(_) => true,
            Self::Quic(_) => true,
            #[cfg(unix)]
            Self::Unix(_) => false,
            // The server stands between them.
            Self::Nats(_) => false,
        }
    }

    /// A way to an instance there; nothing is opened yet.
    fn transport(&self, keys: &Keys, instance: &str) -> Result<Arc<dyn Transport>, Failed> {
        Ok(match self {
            Self::Tcp(address) => Arc::new(TcpTransport::from(address.clone())),
            Self::Tls(address) => Arc::new(TlsTransport::to(address.clone(), keys.credentials(self)?)),
            Self::Quic(address) => Arc::new(QuicTransport::to(address.clone(), keys.credentials(self)?)),
            #[cfg(unix)]
            Self::Unix(address) => Arc::new(UnixTransport::from(address.clone())),
            Self::Nats(place) => {
                let address = place.named(instance).map_err(Failed::usage)?;
                Arc::new(NatsTransport::with_options(address, place.options()))
            }
        })
    }

    /// Listens; and where, which is somewhere else than was asked for if any port would do.
    ///
    /// What is served, and as what, is said where there is somebody to say it to.
    pub async fn listen(
        &self,
        keys: &Keys,
        instance: &str,
        announcement: Announcement,
    ) -> Result<(Box<dyn Listener>, Self), Failed> {
        match self {
            Self::Tcp(address) => {
                let listener = TcpTransportListener::bind_address(address).await.map_err(unbound)?;
                let address = listener.local_address().clone();
                Ok((Box::new(listener), Self::Tcp(address)))
            }
            Self::Tls(address) => {
                let credentials = keys.credentials(self)?;
                let listener = TlsTransportListener::bind_address(address, credentials).await.map_err(unbound)?;
                let address = listener.local_address().clone();
                Ok((Box::new(listener), Self::Tls(address)))
            }
            Self::Quic(address) => {
                let credentials = keys.credentials(self)?;
                let listener = QuicTransportListener::bind_address(address, credentials).await.map_err(unbound)?;
                let address = listener.local_address().clone();
                Ok((Box::new(listener), Self::Quic(address)))
            }
            #[cfg(unix)]
            Self::Unix(address) => {
                let listener = UnixTransportListener::bind_address(address).await.map_err(unbound)?;
                Ok((Box::new(listener), Self::Unix(address.clone())))
            }
            Self::Nats(place) => {
                let (address, options) = (place.named(instance).map_err(unbound)?, place.options());
                let listener = NatsTransportListener::announce(&address, announcement, &options).await;
                Ok((Box::new(listener.map_err(unbound)?), self.clone()))
            }
        }
    }

    /// Whether nobody can be reached there: it has a port that means any.
    fn is_for_listening(&self) -> bool {
        match self {
            Self::Tcp(address) => address.port() == 0,
            Self::Tls(address) => address.port() == 0,
            Self::Quic(address) => address.port() == 0,
            #[cfg(unix)]
            Self::Unix(_) => false,
            Self::Nats(_) => false,
        }
    }

    fn kind(&self) -> &'static Kind {
        let scheme = match self {
            Self::Tcp(_) => "tcp",
            Self::Tls(_) => "tls",
            Self::Quic(_) => "quic",
            #[cfg(unix)]
            Self::Unix(_) => "unix",
            Self::Nats(place) if place.is_tls() => "nats+tls",
            Self::Nats(_) => "nats",
        };
        KINDS.iter().find(|kind| kind.scheme == scheme).unwrap_or(&KINDS[0])
    }
}

fn unbound(error: impl fmt::Display) -> Failed {
    Failed::new(FAILED, error.to_string())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Tls(address) => address.fmt(f),
            Self::Quic(address) => address.fmt(f),
            #[cfg(unix)]
            Self::Unix(address) => address.fmt(f),
            Self::Nats(place) => place.fmt(f),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((scheme, _)) = text.split_once("://")
            && Kind::of(text).is_none()
        {
            let kinds = KINDS.iter().map(|kind| format!("{}://", kind.scheme)).collect::<Vec<_>>().join(", ");
            return Err(format!("`{scheme}://` is no kind of address: there are {kinds}"));
        }
        // `tcp://` may be left out, so a host stands where another kind's scheme does.
        let kind = Kind::of(text).unwrap_or(&KINDS[0]);
        kind.read(text).map_err(|error| match kind.named(text) {
            Some((address, name)) => format!(
                "`{name}` stands where an address ends: where something is served is `{address}`, and its name belongs \
                 in `--as {name}`"
            ),
            None => error,
        })
    }
}

/// An instance that another process serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerPlace {
    pub address: Address,
    pub instance: String,
}

impl PeerPlace {
    /// A way there; nothing is opened yet.
    pub fn transport(&self, keys: &Keys) -> Result<Arc<dyn Transport>, Failed> {
        self.address.transport(keys, &self.instance)
    }

    /// What two places have in common that are reached over one connection.
    pub fn connection(&self) -> String {
        match &self.address {
            // Each name has providers of its own.
            Address::Nats(_) => self.to_string(),
            address => address.to_string(),
        }
    }

    /// The instance that a place names; `None` where its text begins as that of no kind of address.
    pub fn parse(text: &str) -> Option<Result<Self, String>> {
        Kind::of(text).map(|kind| kind.place(text))
    }

    /// The instance in which a host speaks of itself, where a place names a host and no instance.
    pub fn of_host(text: &str) -> Option<Result<Self, String>> {
        let kind = Kind::of(text)?;
        let (_, rest) = text.split_once("://")?;
        // What is before a name may stand there without one.
        let (rest, query) = kind.query(rest);
        let host = rest.strip_suffix(kind.mark).unwrap_or(rest);
        if host.contains(kind.mark) {
            return None;
        }
        let Kind { scheme, mark, .. } = kind;
        // A NATS server is no host, and what is behind it does not listen there itself.
        if scheme.starts_with("nats") {
            return None;
        }
        Some(kind.place(&format!("{scheme}://{host}{mark}{REFLECT_INSTANCE}{query}")))
    }
}

impl Kind {
    /// Reads an address, in which nobody can be let in by a name and a password.
    fn read(&self, text: &str) -> Result<Address, String> {
        let host = text.split_once("://").map_or(text, |(_, host)| host);
        // A path may have what no host has, and NATS has a way to be let in, which its own error tells of.
        if self.mark == '/' && !self.scheme.starts_with("nats") && self.query(host).0.contains('@') {
            return Err("an address holds no user and no password, since it is printed".into());
        }
        (self.parse)(text)
    }

    fn of(text: &str) -> Option<&'static Self> {
        let (scheme, _) = text.split_once(':')?;
        KINDS.iter().find(|kind| kind.scheme == scheme)
    }

    /// The address and the name of what is an instance's place, where an address was asked for.
    fn named<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let (scheme, rest) = text.split_once("://")?;
        let (host, name) = self.query(rest).0.rsplit_once(self.mark)?;
        let address = &text[..scheme.len() + "://".len() + host.len()];
        (!name.is_empty() && (self.parse)(address).is_ok()).then_some((address, name))
    }

    fn place(&self, text: &str) -> Result<PeerPlace, String> {
        let form = self.form;
        let unnamed = || format!("`{text}` names no instance: an instance is named as {form}");
        // A path may have marks in it that are none, but not the first two of `://`.
        let begin = text.find("://").map_or(0, |at| at + "://".len());
        if begin == 0 && self.mark == '/' {
            return Err(unnamed());
        }
        let (before, rest) = text.split_at(begin);
        let (host, named) = rest.split_once(self.mark).ok_or_else(unnamed)?;
        let (instance, query) = self.query(named);
        if instance.is_empty() {
            return Err(unnamed());
        }
        let address = self.read(&format!("{before}{host}{query}"))?;
        if address.is_for_listening() {
            return Err(format!("`{text}`: port 0 is for listening; an instance is named as {form}"));
        }
        if let Address::Nats(place) = &address {
            place.named(instance)?;
        }
        Ok(PeerPlace { address, instance: instance.into() })
    }

    /// What stands before `?`, and that with what follows; a path may have one that is none.
    fn query<'a>(&self, text: &'a str) -> (&'a str, &'a str) {
        let at = if self.mark == '/' { text.find('?') } else { None };
        text.split_at(at.unwrap_or(text.len()))
    }
}

impl fmt::Display for PeerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, address) = (self.address.kind(), self.address.to_string());
        let (address, query) = kind.query(&address);
        write!(f, "{address}{}{}{query}", kind.mark, self.instance)
    }
}

impl FromStr for PeerPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let places = several(text).len();
        if places > 1 {
            return Err(format!("a call takes one place, and these are {places}: several are for a --link"));
        }
        Self::parse(text).unwrap_or_else(|| {
            Err(if text.ends_with(".wasm") {
                format!("`{text}` is no served instance but a file: call it with `isorun run {text} --invoke CALL`")
            } else {
                let forms: Vec<_> = KINDS.iter().map(|kind| kind.form).collect();
                format!("`{text}` is no served instance: it is named as {}", forms.join(" or "))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, address: &str, instance: &str) {
        let place: PeerPlace = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((place.address.to_string(), &*place.instance), (address.to_owned(), instance), "{text}");
        assert_eq!(place.to_string(), text);
    }

    #[test]
    fn a_place_is_an_address_and_a_name_and_is_written_as_it_is_read() {
        check("tcp://127.0.0.1:7000/kv", "tcp://127.0.0.1:7000", "kv");
        check("tcp://[::1]:7000/kv", "tcp://[::1]:7000", "kv");
        check("tls://kv.example.org:7000/kv", "tls://kv.example.org:7000", "kv");
        check("tls://[::1]:7000/kv?name=kv-1", "tls://[::1]:7000?name=kv-1", "kv");
        check("quic://[::1]:7000/kv?name=kv-1", "quic://[::1]:7000?name=kv-1", "kv");
        check("nats://127.0.0.1:4222/kv", "nats://127.0.0.1:4222", "kv");
        let file = "nats+tls://a:1/kv?creds=/run/creds&ca=ca.pem";
        check(file, "nats+tls://a:1?creds=/run/creds&ca=ca.pem", "kv");
        #[cfg(unix)]
        check("unix:///run/a?b/kv.sock#kv", "unix:///run/a?b/kv.sock", "kv");
    }

    #[test]
    fn a_host_is_the_same_without_a_name() {
        for (text, expected) in [
            ("tcp://127.0.0.1:7000", Some("tcp://127.0.0.1:7000")),
            ("tcp://127.0.0.1:7000/", Some("tcp://127.0.0.1:7000")),
            ("tcp://127.0.0.1:7000/kv", None),
            #[cfg(unix)]
            ("unix:///run/kv.sock", Some("unix:///run/kv.sock")),
            #[cfg(unix)]
            ("unix:///run/kv.sock#", Some("unix:///run/kv.sock")),
            #[cfg(unix)]
            ("unix:///run/kv.sock#kv", None),
            ("tls://127.0.0.1:7000/?name=kv-1", Some("tls://127.0.0.1:7000?name=kv-1")),
            ("tls://127.0.0.1:7000?name=kv-1", Some("tls://127.0.0.1:7000?name=kv-1")),
            ("tls://127.0.0.1:7000/kv?name=kv-1", None),
            ("quic://127.0.0.1:7000/?name=kv-1", Some("quic://127.0.0.1:7000?name=kv-1")),
            ("kv.wasm", None),
        ] {
            let found = PeerPlace::of_host(text).map(|place| place.unwrap());
            assert!(found.iter().all(|place| place.instance == REFLECT_INSTANCE));
            assert_eq!(found.map(|place| place.address.to_string()).as_deref(), expected, "{text}");
        }
    }
}
