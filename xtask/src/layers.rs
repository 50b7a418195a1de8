//! Which crate may depend on which: the architecture as a table, compared with what cargo says.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Every crate, with the crates of this workspace it may depend on. Dependencies of tests alone are exempt.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    // layer 0
    ("neopack", &["neopack-derive"]),
    ("neopack-derive", &[]),
    ("isorun-core", &[]),
    // layer 1
    ("isorun-ledger", &["neopack"]),
    ("neorpc", &["isorun-core", "neopack"]),
    ("isorun-security", &["isorun-core"]),
    ("isorun-tls", &["isorun-core"]),
    ("isorun-net", &["isorun-core"]),
    // layer 2
    ("isorun-runtime", &["isorun-core", "isorun-security", "isorun-ledger", "neopack"]),
    ("isorun-messaging", &["isorun-core", "isorun-security"]),
    ("isorun-rpc", &["isorun-core", "neopack", "neorpc"]),
    ("isorun-transport-local", &["isorun-core"]),
    ("isorun-transport-tcp", &["isorun-core", "isorun-net", "isorun-tls"]),
    ("isorun-transport-quic", &["isorun-core", "isorun-net", "isorun-tls"]),
    ("isorun-transport-nats", &["isorun-core", "isorun-net"]),
    ("isorun-conformance", &["isorun-core"]),
    ("isorun-storage", &["isorun-core", "isorun-transport-nats"]),
    // the mailbox's sources again, with loom's locks
    ("isorun-messaging-loom", &["isorun-core"]),
    ("isorun-simulator", &["isorun-core", "neopack", "neorpc"]),
    // the same sources again, with faults in them
    ("neorpc-planted", &["isorun-core", "neopack"]),
    ("isorun-simulator-planted", &["isorun-core", "neopack", "neorpc-planted"]),
    // layer 3
    ("isorun-system", &["isorun-core", "isorun-security", "isorun-runtime"]),
    ("isorun-nodes", &["isorun-core", "isorun-ledger", "isorun-runtime", "neopack"]),
    // layer 4
    (
        "isorun",
        &[
            "neopack",
            "isorun-core",
            "isorun-ledger",
            "isorun-net",
            "neorpc",
            "isorun-security",
            "isorun-tls",
            "isorun-runtime",
            "isorun-messaging",
            "isorun-rpc",
            "isorun-storage",
            "isorun-transport-local",
            "isorun-transport-tcp",
            "isorun-transport-quic",
            "isorun-transport-nats",
            "isorun-conformance",
            "isorun-system",
            "isorun-nodes",
        ],
    ),
    // layer 5
    ("isorun-cli", &["isorun"]),
];

/// Packages that may depend on any crate above, and that none may depend on.
const OUTSIDE_THE_LAYERS: &[&str] = &["xtask", "benches", "examples", "fuzz"];

/// The packages that may name the engine.
const MAY_NAME_WASMTIME: &[&str] = &["isorun-runtime", "isorun-system", "benches"];

/// All that `isorun-core` may take from outside.
const CORE_MAY_USE: &[&str] = &["bytes", "thiserror"];

/// A package and the names it depends on, tests left out.
struct Node {
    name: String,
    inside: Vec<String>,
    outside: Vec<String>,
}

impl Node {
    fn of(package: &Package) -> Self {
        let used = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
        let (inside, outside): (Vec<_>, Vec<_>) = used.partition(|d| d.path.is_some());
        let names = |list: Vec<&cargo_metadata::Dependency>| list.iter().map(|d| d.name.to_string()).collect();
        // Every package in the folder of examples is one: `examples`.
        let folder = package.manifest_path.ancestors().nth(2).and_then(|folder| folder.file_name());
        let name = folder.filter(|name| *name == "examples").unwrap_or(package.name.as_str());
        Self { name: name.to_owned(), inside: names(inside), outside: names(outside) }
    }
}

/// Every edge that the tables do not allow, in words.
fn violations(nodes: &[Node]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for node in nodes {
        let name = node.name.as_str();
        let allowed = MAY_DEPEND_ON.iter().find(|(of, _)| *of == name).map(|(_, allowed)| *allowed);
        if allowed.is_none() && !OUTSIDE_THE_LAYERS.contains(&name) {
            found.insert(format!("{name} has no layer"));
        }
        for to in &node.inside {
            let in_a_layer = MAY_DEPEND_ON.iter().any(|(of, _)| of == to);
            if !allowed.map_or(in_a_layer, |allowed| allowed.contains(&to.as_str())) {
                found.insert(format!("{name} may not depend on {to}"));
            }
        }
        for to in &node.outside {
            if to.starts_with("wasmtime") && !MAY_NAME_WASMTIME.contains(&name) {
                found.insert(format!("{name} may not name {to}"));
            }
            if name == "isorun-core" && !CORE_MAY_USE.contains(&to.as_str()) {
                found.insert(format!("{name} may not use {to}"));
            }
        }
    }
    found
}

fn check(name: &str, inside: &[&str], outside: &[&str], expected: &[&str]) {
    let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect();
    let node = Node { name: name.to_owned(), inside: names(inside), outside: names(outside) };
    let expected: BTreeSet<String> = expected.iter().map(|e| (*e).to_owned()).collect();
    assert_eq!(violations(&[node]), expected);
}

#[test]
fn no_crate_depends_on_one_it_may_not() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let nodes: Vec<Node> = metadata.packages.iter().map(Node::of).collect();
    assert!(nodes.len() > 10, "cargo metadata shows only {} packages", nodes.len());
    assert_eq!(violations(&nodes), BTreeSet::new());
}

#[test]
fn an_edge_upwards_is_found() {
    check("isorun-core", &["isorun-rpc"], &[], &["isorun-core may not depend on isorun-rpc"]);
    check("isorun-runtime", &["neorpc"], &[], &["isorun-runtime may not depend on neorpc"]);
    check("isorun-cli", &["isorun", "isorun-rpc"], &[], &["isorun-cli may not depend on isorun-rpc"]);
}

#[test]
fn nothing_depends_on_what_is_outside_the_layers() {
    check("isorun", &["benches"], &[], &["isorun may not depend on benches"]);
    check("benches", &["isorun", "xtask"], &[], &["benches may not depend on xtask"]);
}

#[test]
fn the_engine_and_other_dependencies_are_named_only_where_allowed() {
    check("isorun-rpc", &[], &["wasmtime-wasi"], &["isorun-rpc may not name wasmtime-wasi"]);
    check("isorun-core", &[], &["bytes", "tokio"], &["isorun-core may not use tokio"]);
    check("isorun-runtime", &["isorun-core"], &["wasmtime"], &[]);
}

#[test]
fn a_new_crate_needs_a_place_in_the_table() {
    check("isorun-extras", &[], &[], &["isorun-extras has no layer"]);
}

#[test]
fn the_table_has_no_cycle() {
    let place = |name: &str| MAY_DEPEND_ON.iter().position(|(of, _)| *of == name);
    for (of, allowed) in MAY_DEPEND_ON {
        for to in *allowed {
            // A crate comes after those it depends on; a derive crate beside the one that offers it.
            let before = place(to) < place(of) || to.strip_suffix("-derive") == Some(of);
            assert!(place(to).is_some() && before, "{of} and {to} are out of order");
        }
    }
}
