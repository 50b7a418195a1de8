//! What can be done about a place that can't be reached.

use isorun::Failure;

/// What helps against a failure of what is at `place`, if anything that this command knows does.
///
/// A failure says what its caller may do and has no case for this, so its cause tells, as `isorun-core`, `isorun-rpc`,
/// `isorun-tls` and the transports word it.
pub fn of_failure(failure: &Failure, place: &str) -> Option<String> {
    match failure {
        Failure::NotSent { cause } => of_cause(cause, place),
        _ => None,
    }
}

/// The same, of the words alone.
pub fn of_cause(cause: &str, place: &str) -> Option<String> {
    let (scheme, server) = reached_by(cause).or_else(|| reached_by(place))?;
    let says = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    if says(&["its certificate is for "]) {
        return Some(OTHER_NAME.into());
    }
    if scheme == "tcp" && says(&["in the middle of a frame"]) {
        return Some("whoever listens there may want TLS: a `tls://` address is connected to as tls://".into());
    }
    // Where an end refuses the other, or a file is missing here, somebody did answer or was never asked.
    let refused = says(&["certificate", "TLS", "handshake", "credentials", "cannot read", "uthorization", "refused: "]);
    let unreached = cause.starts_with("cannot reach ") || cause.starts_with("no connection within ");
    if refused || !unreached {
        return None;
    }
    Some(match scheme {
        "nats" | "nats+tls" if says(&["nobody serves that name"]) => {
            format!("`isorun inspect {scheme}://{server}` lists who serves what there")
        }
        "nats" | "nats+tls" if says(&["the NATS server says", "whoever "]) => return None,
        "nats" | "nats+tls" => format!("does a NATS server run at {server}?"),
        "unix" => served("unix:///PATH"),
        scheme => served(&format!("{scheme}://HOST:PORT")),
    })
}

const OTHER_NAME: &str = "\
    `?name=NODE` behind the address expects that node, whatever its host is called; a certificate that is made with \
    `isorun cert node NAME --ip IP --dns HOST` is for a host too";

fn served(address: &str) -> String {
    format!("is anything served there? `isorun serve PROVIDER.wasm --listen {address} --as NAME` does")
}

/// The scheme of the first address in a text, and its host and port.
fn reached_by(text: &str) -> Option<(&str, &str)> {
    let (before, rest) = text.split_once("://")?;
    let start = before.rfind(|c: char| !c.is_ascii_lowercase() && c != '+').map_or(0, |at| at + 1);
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    Some((&before[start..], rest[..end].trim_end_matches(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cause: &str, expected: Option<&str>) {
        let hint = of_cause(cause, "somewhere");
        match expected {
            Some(words) => assert!(hint.as_ref().is_some_and(|hint| hint.contains(words)), "{cause}: {hint:?}"),
            None => assert_eq!(hint, None, "{cause}"),
        }
    }

    #[test]
    fn each_kind_of_place_has_a_hint_of_its_own() {
        check("cannot reach tcp://a:1: connection refused", Some("--listen tcp://HOST:PORT"));
        check("cannot reach quic://a:1?name=b: connection refused", Some("--listen quic://HOST:PORT"));
        check("cannot reach unix:///run/a: no such file", Some("--listen unix:///PATH"));
        check("cannot reach nats://a:1/kv: connection refused", Some("does a NATS server run at a:1?"));
        check("cannot reach nats+tls://[::1]:1: connection refused", Some("does a NATS server run at [::1]:1?"));
        let nobody = "cannot reach nats+tls://a:1/kv: nobody serves that name";
        check(nobody, Some("`isorun inspect nats+tls://a:1`"));
        check("cannot reach nats://a:1/kv: cannot read `creds`: no such file", None);
        check("cannot reach nats://a:1/kv: authorization violation", None);
        check("cannot reach nats://a:1/kv: no answer; the NATS server says: no", None);
    }

    #[test]
    fn what_one_end_has_against_the_other_is_told_apart() {
        check("cannot reach tls://a:1: its certificate is for kv, not for a", Some("?name=NODE"));
        check("cannot reach tls://a:1: its certificate has expired, 3 days ago", None);
        check("the hello of tcp://a:1: it ended in the middle of a frame", Some("tls://"));
        check("no connection within 10 ms", None);
    }
}
