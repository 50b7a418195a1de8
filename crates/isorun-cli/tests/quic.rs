//! `quic://` places: the same component, called by another process over QUIC, both ends with certificates.

mod common;

use common::{Folder, Running, isorun, prebuilt};

/// The certificates of a network, made by the command itself.
struct Network(Folder);

impl Network {
    fn new() -> Self {
        let network = Self(Folder::new());
        isorun(&["cert", "ca", "--out", &network.certs()]).check_starts(0, "certificate");
        for name in ["kv-1", "app-1"] {
            isorun(&["cert", "node", name, "--ca", &network.certs(), "--out", &network.certs()])
                .check_starts(0, "certificate");
        }
        network
    }

    fn certs(&self) -> String {
        self.0.path().join("certs").display().to_string()
    }

    /// `args`, and the options that say who it is that runs them.
    fn by(&self, name: &str, args: &[&str]) -> Vec<String> {
        let certs = self.certs();
        let keys = ["--ca", &format!("{certs}/ca.pem"), "--cert", &format!("{certs}/{name}.pem"), "--key"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("{certs}/{name}.key")]);
        args.iter().map(|arg| (*arg).to_owned()).chain(keys).collect()
    }

    /// Serves the key-value store as `kv`; where.
    fn serve(&self, more: &[&str]) -> (Running, String) {
        let provider = prebuilt("kv-provider");
        let args = [&["serve", &provider, "--as", "kv", "--listen", "quic://127.0.0.1:0"], more].concat();
        let server = Running::start(&self.by("kv-1", &args));
        let address = server.address();
        assert!(address.starts_with("quic://127.0.0.1:"), "{address}");
        (server, address)
    }
}

#[test]
fn a_component_of_another_process_serves_the_import_over_quic() {
    let network = Network::new();
    let (_server, address) = network.serve(&[]);
    let link = format!("demo:kv/store={address}/kv?name=kv-1");
    for _ in 0..2 {
        let args = ["run", &prebuilt("kv-app"), "--link", &link, "--invoke", "run(40)"];
        isorun(&network.by("app-1", &args)).check(0, "ok(820)\n", &[]);
    }
    let place = format!("{address}/kv?name=kv-1");
    isorun(&network.by("app-1", &["call", &place, "demo:kv/store#get(\"missing\")"])).check(
        1,
        "err(not-found(\"missing\"))\n",
        &[],
    );
    isorun(&network.by("app-1", &["inspect", &place])).check_starts(0, "");
    isorun(&network.by("app-1", &["inspect", &format!("{address}?name=kv-1")])).check_starts(0, "");
}

#[test]
fn who_may_call_what_is_told_by_the_name_in_the_certificate() {
    let network = Network::new();
    let (_server, address) = network.serve(&["--allow", "app-1=demo:kv/store"]);
    let place = format!("{address}/kv?name=kv-1");
    let call = "demo:kv/store#get(\"missing\")";
    isorun(&network.by("app-1", &["call", &place, call])).check(1, "err(not-found(\"missing\"))\n", &[]);
    isorun(&network.by("kv-1", &["call", &place, call])).check(1, "", &["unauthorised"]);
}

#[test]
fn what_keeps_the_ends_apart_is_told() {
    let network = Network::new();
    let (_server, address) = network.serve(&[]);
    let (place, call) = (format!("{address}/kv?name=kv-1"), "demo:kv/store#get(\"a\")");
    isorun(&["call", &place, call]).check(2, "", &["--cert FILE", "isorun cert"]);
    // It has no certificate for the host of its address.
    let unnamed = format!("{address}/kv");
    isorun(&network.by("app-1", &["call", &unnamed, call])).check(1, "", &["not sent", "certificate"]);
    let other = Network::new();
    isorun(&other.by("app-1", &["call", &place, call])).check(1, "", &["not sent", "authority"]);

    isorun(&network.by("app-1", &["call", "quic://127.0.0.1:0/kv", call])).check(2, "", &["port 0"]);
    isorun(&network.by("app-1", &["call", "quic://127.0.0.1/kv", call])).check(2, "", &["no valid port"]);
    isorun(&network.by("app-1", &["call", "quic://127.0.0.1:1", call])).check(2, "", &["quic://HOST:PORT/NAME"]);
}
