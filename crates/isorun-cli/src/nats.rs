//! NATS servers as the command line names them: an address, and how to be let in there.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use isorun::{Announcement, InstanceHandle, LoadedComponent, NatsAddress, NatsOptions, NatsServer};

/// The variable that names a file of credentials where the address names none.
const CREDENTIALS_VARIABLE: &str = "ISORUN_NATS_CREDS";

/// `nats://HOST[:PORT][?creds=FILE]`, or `nats+tls://HOST[:PORT][?ca=FILE&creds=FILE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsPlace {
    server: NatsServer,
    /// What says who this is.
    credentials: Option<PathBuf>,
    /// Whose signature a server's certificate must have.
    authority: Option<PathBuf>,
}

impl NatsPlace {
    /// A server that a text names, with nothing of what is served there; `None` where it names something else.
    pub fn of_server(text: &str) -> Option<Result<Self, String>> {
        let (scheme, rest) = text.split_once("://")?;
        let host = rest.split_once('?').map_or(rest, |(host, _)| host);
        let names_one = host.strip_suffix('/').unwrap_or(host).contains('/');
        (matches!(scheme, "nats" | "nats+tls") && !names_one).then(|| text.parse())
    }

    pub fn server(&self) -> &NatsServer {
        &self.server
    }

    /// What is served there under a name.
    pub fn named(&self, name: &str) -> Result<NatsAddress, String> {
        self.server.named(name).map_err(|error| error.to_string())
    }

    pub fn is_tls(&self) -> bool {
        self.server.is_tls()
    }

    /// Whether nothing leaves this machine that others could read.
    pub fn stays_here(&self) -> bool {
        self.server.is_loopback() || self.server.is_tls()
    }

    /// How to be let in; files are read when that is tried.
    pub fn options(&self) -> NatsOptions {
        let mut options = NatsOptions::default();
        let variable = || std::env::var_os(CREDENTIALS_VARIABLE).filter(|file| !file.is_empty()).map(PathBuf::from);
        if let Some(file) = self.credentials.clone().or_else(variable) {
            options = options.credentials_file(file);
        }
        if let Some(file) = &self.authority {
            options = options.authority(file);
        }
        options
    }
}

impl FromStr for NatsPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (server, files) = text.split_once('?').map_or((text, ""), |(server, files)| (server, files));
        let server = server.parse::<NatsServer>().map_err(|error| error.to_string())?;
        let (mut credentials, mut authority) = (None, None);
        for file in files.split('&').filter(|file| !file.is_empty()) {
            let place = match file.split_once('=') {
                Some(("creds", file)) if !file.is_empty() => credentials.replace(file.into()),
                Some(("ca", file)) if !file.is_empty() && server.is_tls() => authority.replace(file.into()),
                Some(("ca", _)) if !server.is_tls() => {
                    return Err("`ca` is for NATS over TLS: nats+tls://HOST[:PORT]?ca=FILE".into());
                }
                _ => return Err(format!("`{server}` takes creds=FILE, and over TLS ca=FILE, after its `?`")),
            };
            if place.is_some() {
                return Err(format!("`{server}` is told the same twice after its `?`"));
            }
        }
        Ok(Self { server, credentials, authority })
    }
}

impl fmt::Display for NatsPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)?;
        let files = [("creds", &self.credentials), ("ca", &self.authority)];
        let files = files.into_iter().filter_map(|(key, file)| Some((key, file.as_ref()?)));
        for (at, (key, file)) in files.enumerate() {
            write!(f, "{}{key}={}", if at == 0 { '?' } else { '&' }, file.display())?;
        }
        Ok(())
    }
}

/// What all who list the services of a NATS server see of an instance.
pub fn announcement(component: &LoadedComponent, instance: &InstanceHandle) -> Announcement {
    let digest = component.digest().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let exports = instance.ledger().exports.iter().filter_map(|export| export.name.as_ref());
    exports
        .fold(Announcement::default().component(digest), |announcement, name| announcement.interface(name.to_string()))
}

/// What all who list the services of a NATS server see of a node.
pub fn of_node() -> Announcement {
    Announcement::default().description("an isorun node, where components live")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_written_with_its_files_as_it_is_read() {
        for text in ["nats://a:1", "nats://a:1?creds=/a b", "nats+tls://[::1]:1?creds=c&ca=d"] {
            assert_eq!(text.parse::<NatsPlace>().map(|place| place.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("nats://a/".parse::<NatsPlace>().unwrap().to_string(), "nats://a:4222");
    }

    #[test]
    fn a_server_is_told_from_what_is_served_there() {
        for (text, expected) in [
            ("nats://a", true),
            ("nats://a/", true),
            ("nats://a/?creds=/run/c", true),
            ("nats://a/kv", false),
            ("nats://a/kv?creds=/run/c", false),
            ("tcp://a:1", false),
            ("nats.wasm", false),
        ] {
            assert_eq!(NatsPlace::of_server(text).is_some(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_file_of_a_server_is_refused() {
        for (text, expected) in [
            ("nats://a?ca=b", "NATS over TLS"),
            ("nats://a?creds=", "takes creds=FILE"),
            ("nats://a?token=hunter2", "takes creds=FILE"),
            ("nats://a?creds=b&creds=c", "twice"),
            ("nats://me:hunter2@a", "no password"),
        ] {
            let error = text.parse::<NatsPlace>().unwrap_err();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn what_passes_a_server_elsewhere_in_the_clear_does_not_stay_here() {
        for (text, expected) in [("nats://127.0.0.1", true), ("nats://nats.example", false), ("nats+tls://a", true)] {
            assert_eq!(text.parse::<NatsPlace>().unwrap().stays_here(), expected, "{text}");
        }
    }
}
