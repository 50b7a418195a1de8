//! Nodes that reach each other with certificates, and by way of a NATS server that also keeps what their components store.
#![cfg(unix)]

mod common;
#[path = "../../isorun-transport-nats/tests/server/mod.rs"]
mod server;

use std::time::{Duration, Instant};

use common::{Done, Folder, Running, isorun, prebuilt};
use server::NatsServer;

/// A node of a manifest, in a folder where only it has its control socket, and where it listens.
struct Node {
    folder: Folder,
    name: &'static str,
    process: Running,
    address: Option<String>,
}

impl Node {
    fn up(name: &'static str, manifest: &str, more: &[String]) -> Self {
        let folder = Folder::new();
        folder.file("tally.wasm", std::fs::read(prebuilt("tally")).unwrap());
        let file = folder.file("node.toml", format!("[node]\nname = \"{name}\"\n{manifest}"));
        let args: Vec<String> = ["up".to_owned(), file].into_iter().chain(more.iter().cloned()).collect();
        let process = Running::start_with(&args, |command| {
            command.env("XDG_RUNTIME_DIR", folder.path());
        });
        let mut address = None;
        loop {
            let line = process.out_line();
            match line.strip_prefix("listening ") {
                Some(at) => address = Some(at.to_owned()),
                None => break assert!(line.starts_with(&format!("running {name} ")), "{line}"),
            }
        }
        Self { folder, name, process, address }
    }

    fn done(&self, component: &str, text: &str) -> Done {
        let args = ["ask", self.name, component, text, "--timeout", "1m"];
        Running::start_with(&args, |command| {
            command.env("XDG_RUNTIME_DIR", self.folder.path());
        })
        .end()
    }

    #[track_caller]
    fn ask(&self, component: &str, text: &str) -> String {
        let done = self.done(component, text);
        assert_eq!(done.code, Some(0), "{done:?}");
        done.out.trim_end().to_owned()
    }

    /// Has one component ask another, and waits for the outcome it was told.
    #[track_caller]
    fn outcome(&self, asker: &str, target: &str, text: &str) -> String {
        let id = self.ask(asker, &format!("ask {target} {text}"));
        let until = Instant::now() + Duration::from_secs(120);
        while Instant::now() < until {
            let last = self.ask(asker, "last");
            if let Some(outcome) = last.strip_prefix(&format!("{id} {target} ")) {
                return outcome.to_owned();
            }
        }
        panic!("nothing was heard of {id}");
    }
}

fn tally(id: &str, settings: &str) -> String {
    format!(
        "[[component]]\nid = \"{id}\"\nfile = \"tally.wasm\"\nstorage = true\nmay-send = \"*/*/*\"\nsettings = {{ {settings} }}\n"
    )
}

/// One that asks, and where it finds the others.
fn asker(at: &str) -> String {
    let asker = tally("demo/asker/0", "timeout-ms = 60000");
    format!("storage = \"memory\"\n{asker}[[route]]\nto = \"demo/tally/*\"\nat = \"{at}\"\n")
}

#[test]
fn nodes_with_certificates_take_messages_of_those_alone_that_they_accept() {
    let certs = Folder::new();
    let out = certs.path().join("certs").to_str().unwrap().to_owned();
    isorun(&["cert", "ca", "--out", &out]).check_starts(0, "certificate");
    for node in ["east", "west", "north"] {
        isorun(&["cert", "node", node, "--ca", &out, "--out", &out, "--ip", "127.0.0.1"])
            .check_starts(0, "certificate");
    }
    let shown = |node: &str| {
        let file = |end: &str| format!("{out}/{end}");
        let (cert, key) = (file(&format!("{node}.pem")), file(&format!("{node}.key")));
        ["--cert", &cert, "--key", &key, "--ca", &file("ca.pem")].map(str::to_owned).to_vec()
    };
    for scheme in ["tls", "quic"] {
        let accept = "[node.accept]\nwest = \"demo/tally/*\"\nnorth = \"demo/other/*\"\n";
        let listen = format!("listen = \"{scheme}://127.0.0.1:0\"\nstorage = \"memory\"\n{accept}");
        let east = Node::up("east", &format!("{listen}{}", tally("demo/tally/0", "")), &shown("east"));
        let at = format!("{}?name=east", east.address.clone().unwrap());
        let west = Node::up("west", &asker(&at), &shown("west"));
        assert_eq!(west.outcome("demo/asker/0", "demo/tally/0", "add 40"), "replied: 40");
        let north = Node::up("north", &asker(&at), &shown("north"));
        let refused = north.outcome("demo/asker/0", "demo/tally/0", "add 2");
        assert!(refused.starts_with("failed: ") && refused.contains("not accepted from north"), "{refused}");
        assert_eq!(east.ask("demo/tally/0", "get"), "40");
    }
}

#[test]
fn nodes_of_one_nats_server_share_what_is_stored_and_find_each_other_by_name() {
    if server::is_left_out() {
        return;
    }
    let nats = NatsServer::start_with_jetstream();
    let listen = format!(
        "listen = \"{}\"\nstorage = \"{}/kept\"\n[node.accept]\n\"*\" = \"demo/tally/*\"\n{}",
        nats.url(),
        nats.url(),
        tally("demo/tally/0", "durable = true")
    );
    let east = Node::up("east", &listen, &[]);
    let west = Node::up("west", &asker(&format!("{}/east", nats.url())), &[]);
    assert_eq!(west.outcome("demo/asker/0", "demo/tally/0", "add 40"), "replied: 40");
    assert_eq!(west.ask("demo/asker/0", "forward demo/tally/0 add 1"), "ok");
    let until = Instant::now() + Duration::from_secs(120);
    while east.ask("demo/tally/0", "get") != "41" {
        assert!(Instant::now() < until, "the message did not come");
    }
    // Another machine takes its place, with nothing but the bucket.
    east.process.signal("-KILL");
    drop(east.process.end());
    let east = Node::up("east", &listen, &[]);
    assert_eq!(east.ask("demo/tally/0", "get"), "41");
    // Whoever spoke to the one that was killed may be told once that this connection is no more, and is heard then.
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let outcome = west.outcome("demo/asker/0", "demo/tally/0", "get");
        if outcome == "replied: 41" {
            break;
        }
        assert!(outcome.contains("may have arrived") && Instant::now() < until, "{outcome}");
    }
}
