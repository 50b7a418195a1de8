//! The examples of each `--help` are run, each line as a shell runs it.
#![cfg(unix)]

mod common;

use std::process::Command;

use common::{Folder, Running, isorun, prebuilt};

const COMMANDS: [&str; 16] = [
    "",
    "run",
    "serve",
    "call",
    "pipe",
    "inspect",
    "check",
    "compile",
    "cert",
    "up",
    "ps",
    "logs",
    "send",
    "ask",
    "demo",
    "completion",
];

fn help(command: &str) -> String {
    let args = [command, "--help"];
    let done = isorun(&args[usize::from(command.is_empty())..]);
    assert!(done.code == Some(0) && done.err.is_empty(), "{done:?}");
    done.out
}

#[test]
fn every_command_is_here() {
    let help = help("");
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<_> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, [&COMMANDS[1..], &["help"]].concat());
}

#[test]
fn help_fits_into_80_columns_and_its_tables_stay_as_they_are() {
    let after = |text: &str| text[text.find("Examples:").unwrap()..].to_owned();
    for command in COMMANDS {
        let args = [command, "--help"];
        let narrow = Running::start_with(&args[usize::from(command.is_empty())..], |isorun| {
            isorun.env("COLUMNS", "80");
        });
        let narrow = narrow.end().out;
        // The usage is one line, however long it is.
        let long = narrow.lines().find(|line| line.chars().count() > 80 && !line.starts_with("Usage:"));
        assert_eq!(long, None, "{command}");
        assert_eq!(after(&narrow), after(&help(command)), "{command}");
    }
}

/// The node of the examples.
const NODE: &str = r#"
[node]
name = "east"
listen = "tcp://127.0.0.1:0"
storage = "memory"
[node.accept]
"*" = "*/*/*"
[[component]]
id = "demo/tally/0"
file = "tally.wasm"
storage = true
"#;

/// What the examples speak of.
struct World {
    folder: Folder,
    served: Running,
    /// A node, and where it listens.
    node: Running,
    node_address: String,
}

impl World {
    fn new() -> Self {
        let folder = Folder::new();
        let guests =
            [("app", "kv-app"), ("cache", "kv-app"), ("kv", "kv-provider"), ("files", "fs-app"), ("tally", "tally")];
        for (name, guest) in guests {
            folder.file(&format!("{name}.wasm"), std::fs::read(prebuilt(guest)).unwrap());
        }
        for name in ["rle", "unrle"] {
            folder.file(&format!("{name}.wasm"), std::fs::read(prebuilt(name)).unwrap());
        }
        for name in ["in", "large.bin"] {
            folder.file(name, "some bytes, and a line\n".repeat(1_000));
        }
        folder.wat("core");
        folder.file("command.wasm", std::fs::read(folder.wat("cli-ok")).unwrap());
        std::fs::create_dir(folder.path().join("photos")).unwrap();
        let kv = folder.path().join("kv.wasm");
        let socket = format!("unix://{}", folder.path().join("kv.sock").display());
        let served = Running::start(&["serve", kv.to_str().unwrap(), "--listen", &socket]);
        assert_eq!(served.address(), socket);
        let certs = folder.path().join("certs");
        let certs = certs.to_str().unwrap();
        isorun(&["cert", "ca", "--out", certs]).check_starts(0, "certificate");
        isorun(&["cert", "node", "kv", "--ca", certs, "--out", certs]).check_starts(0, "certificate");
        folder.file("node.toml", NODE.replace("east", "west"));
        let east = folder.file("east.toml", NODE);
        let node = Running::start_with(&["up", &east], |isorun| {
            isorun.env("XDG_RUNTIME_DIR", folder.path());
        });
        let node_address = node.address();
        assert_eq!(node.out_line(), "running east 1");
        Self { folder, served, node, node_address }
    }

    /// An example, with the places of this world for its own.
    fn mapped(&self, line: &str, port: &str) -> String {
        let socket = self.folder.path().join("kv.sock");
        let line = match line.contains("--listen") {
            true => line.replace("unix:///tmp/kv.sock", &format!("unix://{}.new", socket.display())),
            false => line.replace("unix:///tmp/kv.sock", &format!("unix://{}", socket.display())),
        };
        // The world has its certificates already, under those names.
        let line = if line.starts_with("isorun cert ") { line.replace("certs", "new-certs") } else { line };
        let line = line.replace("tls://127.0.0.1:7443", "tls://127.0.0.1:0");
        let line = line.replace("--listen tcp://127.0.0.1:7000", "--listen tcp://127.0.0.1:0");
        let line = line.replace("tcp://127.0.0.1:7100", &self.node_address);
        line.replace("127.0.0.1:7001", "127.0.0.1:0").replace("tcp://127.0.0.1:7000", port)
    }
}

#[test]
fn every_example_runs() {
    let world = World::new();
    let port = Running::start(&[
        "serve",
        world.folder.path().join("kv.wasm").to_str().unwrap(),
        "--listen",
        "tcp://127.0.0.1:0",
    ]);
    let address = port.address();
    let mut count = 0;
    for command in COMMANDS {
        let help = help(command);
        // One that ends in a backslash goes on in the next line, for a shell too.
        let help = help.replace("\\\n      ", "");
        let examples: Vec<_> =
            help.lines().skip_while(|line| *line != "Examples:").skip(1).take_while(|line| !line.is_empty()).collect();
        assert!(!examples.is_empty(), "{command} has no examples");
        for line in examples {
            let line = line.trim();
            assert!(line.starts_with("isorun ") && line.contains(command), "an example was wrapped: {line}");
            run(&world, line, &world.mapped(line, &address));
            count += 1;
        }
    }
    assert!(count >= 20, "{count} examples");
    world.node.signal("-TERM");
    world.node.end().check(0, "", &[]);
    world.served.signal("-TERM");
    world.served.end().check(0, "", &[]);
}

/// Runs it; what serves is ended once it listens.
fn run(world: &World, line: &str, mapped: &str) {
    let program = env!("CARGO_BIN_EXE_isorun");
    let script = format!("exec {program} {}", mapped.strip_prefix("isorun ").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(world.folder.path()).env("XDG_RUNTIME_DIR", world.folder.path());
    let shell = Running::of(&mut shell);
    if line == "isorun up node.toml" {
        shell.address();
        assert_eq!(shell.out_line(), "running west 1");
        shell.signal("-TERM");
    }
    if line.contains("isorun serve") {
        shell.address();
        shell.signal("-TERM");
    }
    let done = shell.end();
    // The app wants a store that denies a key and so tells `err` of most: that is an answer too.
    // That nothing was lost is said, and the list is empty.
    let quiet = done.err.is_empty() || line.contains("--explain") || line.contains("--dead-letters");
    assert!(matches!(done.code, Some(0 | 1)) && quiet, "{line}\n{mapped}\n{done:?}");
}
