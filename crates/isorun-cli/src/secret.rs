//! Passwords that somebody wrote into an address: no address takes one, and none is printed again.

use std::borrow::Cow;
use std::ffi::OsString;

/// What stands where a secret stood.
const MASK: &str = "***";

/// The values of a query that say nothing secret.
const KEYS: &[&str] = &["name", "creds", "ca", "deny", "absent-is-error"];

/// A text about the command line of this process, without the secrets in that.
pub fn masked(text: &str) -> Cow<'_, str> {
    masked_of(text, std::env::args_os().skip(1))
}

fn masked_of(text: &str, args: impl Iterator<Item = OsString>) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    for arg in args {
        for (secret, shown) in secrets(&arg.to_string_lossy()) {
            // A message may quote a part of it, but none that ends before what ends the secret.
            if masked.contains(&secret) {
                masked = Cow::Owned(masked.replace(&secret, &shown));
            }
        }
    }
    masked
}

/// What must not be shown of an argument, each with what is shown instead.
fn secrets(arg: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for address in addresses(arg) {
        // The path of a socket begins at once, and takes no one in.
        if address.starts_with('/') {
            continue;
        }
        if let Some((user, _)) = address.rsplit_once('@').filter(|_| !is_host_port(address)) {
            found.push((format!("{user}@"), format!("{MASK}@")));
            if let Some((_, password)) = user.split_once(':').filter(|(_, password)| !password.is_empty()) {
                found.push((format!("{password}@"), format!("{MASK}@")));
            }
        }
        let query = address.split_once('?').map_or("", |(_, query)| query);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some((key, _)) if KEYS.contains(&key) => {}
                Some((key, value)) if !value.is_empty() => found.push((pair.to_owned(), format!("{key}={MASK}"))),
                Some(_) => {}
                None => found.push((format!("?{pair}"), format!("?{MASK}"))),
            }
            if !pair.contains('=') {
                found.push((format!("&{pair}"), format!("&{MASK}")));
            }
        }
    }
    found
}

/// What stands behind each `://` of an argument, up to the next place.
fn addresses(arg: &str) -> impl Iterator<Item = &str> {
    let mut pieces = arg.split("://").skip(1).peekable();
    std::iter::from_fn(move || {
        let piece = pieces.next()?;
        // Before a further `://` stands the scheme of another place, after a comma.
        let more = pieces.peek().is_some();
        Some(piece.rsplit_once(',').filter(|_| more).map_or(piece, |(address, _)| address))
    })
}

/// Whether an address begins with a host and a port, so that a `@` further on stands in a name.
fn is_host_port(address: &str) -> bool {
    let end = address.find(['/', '?', '#', '@']).unwrap_or(address.len());
    let ends_before_at = !address[end..].starts_with('@');
    let port = address[..end].rsplit_once(':').map(|(_, port)| port);
    ends_before_at && port.is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arg: &str, text: &str, expected: &str) {
        assert_eq!(masked_of(text, std::iter::once(arg.into())), expected, "{arg}");
    }

    #[test]
    fn what_lets_somebody_in_is_not_shown() {
        for (arg, expected) in [
            ("nats://user:hunter2@h:4333/kv", "nats://***@h:4333/kv"),
            ("*=nats://hunter2@h/kv", "*=nats://***@h/kv"),
            ("*=tcp://u:hun/ter@2@h:7000/kv", "*=tcp://***@h:7000/kv"),
            ("http://u:hunter2@h/kv", "http://***@h/kv"),
            ("nats://h/kv?token=hunter2", "nats://h/kv?token=***"),
            ("nats://h/kv?creds=a&token=hunter2", "nats://h/kv?creds=a&token=***"),
            ("nats://h/kv?hunter2", "nats://h/kv?***"),
            ("tcp://u:hunter2@a:1/kv,nats://h/kv?t=x", "tcp://***@a:1/kv,nats://h/kv?t=***"),
            ("nats://h/kv?t=hunter2,tcp://a:1/kv", "nats://h/kv?t=***,tcp://a:1/kv"),
        ] {
            check(arg, arg, expected);
        }
        // A part of the argument, as a parser may quote it.
        check("*=tcp://u:hunter2@h:7000/kv", "`hunter2@h` is no host", "`***@h` is no host");
        check("*=nats://h/kv?t=hunter2,tcp://a:1/kv", "`nats://h/kv?t=hunter2`", "`nats://h/kv?t=***`");
    }

    #[test]
    fn what_is_no_secret_stays() {
        for arg in [
            "demo:kv/store@0.1.0=tcp://127.0.0.1:7000/kv",
            "tcp://127.0.0.1:7000/kv@1",
            "tls://h:7000/kv?name=kv-1",
            "nats+tls://h/kv?creds=/run/creds&ca=ca.pem",
            "unix:///run/me@home/kv.sock#kv",
            "system:kv?deny=k",
        ] {
            check(arg, arg, arg);
        }
    }
}
