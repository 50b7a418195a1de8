//! Nodes as their operator talks to them: what is said, how it is answered, and what is told where nobody answers.
#![cfg(unix)]

mod common;

use std::process::Command;

use common::{Done, Folder, Running, prebuilt};

/// A folder with a node's component, and its socket.
struct World(Folder);

impl World {
    fn new() -> Self {
        let folder = Folder::new();
        folder.file("tally.wasm", std::fs::read(prebuilt("tally")).unwrap());
        Self(folder)
    }

    fn start(&self, args: &[&str]) -> Running {
        Running::start_with(args, |command| {
            command.env("XDG_RUNTIME_DIR", self.0.path()).current_dir(self.0.path());
        })
    }

    fn run(&self, args: &[&str]) -> Done {
        self.start(args).end()
    }

    /// A node with one counter, once it runs.
    fn up(&self, name: &str) -> Running {
        let component = "[[component]]\nid = \"demo/tally/0\"\nfile = \"tally.wasm\"\nstorage = true\n";
        let text = format!("[node]\nname = \"{name}\"\nstorage = \"memory\"\n{component}");
        let manifest = self.0.file(&format!("{name}.toml"), text);
        let node = self.start(&["up", &manifest]);
        assert_eq!(node.out_line(), format!("running {name} 1"));
        node
    }

    /// A line as a shell runs it; `isorun` is the command.
    fn shell(&self, line: &str) -> Done {
        let line = line.replace("isorun", env!("CARGO_BIN_EXE_isorun"));
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(self.0.path()).env("XDG_RUNTIME_DIR", self.0.path());
        Running::of(&mut command).end()
    }
}

#[test]
fn the_one_node_needs_no_name_and_what_is_said_may_come_from_a_pipe() {
    let world = World::new();
    let _east = world.up("east");
    world.run(&["ask", "demo/tally/0", "add 40", "--timeout", "1m"]).check(0, "40\n", &[]);
    world.shell("printf 'add 2' | isorun ask east demo/tally/0 - --timeout 1m").check(0, "42\n", &[]);
    world.shell("printf get | isorun ask demo/tally/0 - --raw --timeout 1m").check(0, "42", &[]);
    let large = world.shell("head -c 1048577 /dev/zero | isorun send demo/tally/0 -");
    large.check(2, "", &["more than the 1048576 bytes of a message"]);
    world.run(&["ask", "east", "get"]).check(2, "", &["`east` is no component", "goes last: COMPONENT TEXT"]);

    let _west = world.up("west");
    world.run(&["ask", "demo/tally/0", "get"]).check(
        2,
        "",
        &["several nodes run on this machine: name one of east, west"],
    );
}

#[test]
fn a_node_that_is_gone_or_silent_is_told_as_that() {
    let world = World::new();
    let east = world.up("east");
    world.run(&["send", "demo/tally/0", "log hello"]).check(0, "", &[]);
    let follow = world.start(&["logs", "east", "--follow"]);
    assert!(follow.out_line().contains("hello"));
    // It takes connections, and says nothing.
    east.signal("-STOP");
    let silent = world.run(&["ask", "east", "demo/tally/0", "get", "--timeout", "300ms"]);
    assert!(silent.code == Some(124) && !silent.err.contains("WARN"), "{silent:?}");
    let silent = world.run(&["ask", "east", "demo/tally/0", "get", "--timeout", "1m"]);
    assert!(silent.code == Some(124) && !silent.err.contains("WARN"), "{silent:?}");
    let silent = world.run(&["ps", "east", "--timeout", "300ms"]);
    assert!(silent.code == Some(124) && silent.err.contains("node east does not answer"), "{silent:?}");
    east.signal("-KILL");
    east.end();
    follow.end().check(1, "", &["node east ended"]);
    for args in [&["ps", "east"][..], &["ask", "east", "demo/tally/0", "get"]] {
        world.run(args).check(2, "", &["node `east` does not run\n`isorun up FILE` starts it"]);
    }
    // Of its own, a port of nobody: it was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.run(&["ps", &format!("tcp://{port}")]).check(
        1,
        "",
        &["no node listens there", "`isorun up FILE` starts one"],
    );
}

#[test]
fn what_lives_is_for_up() {
    let world = World::new();
    for args in [&["run", "tally.wasm"][..], &["serve", "tally.wasm", "--listen", "tcp://127.0.0.1:0"]] {
        let done = world.run(args);
        assert!(done.out.is_empty() && done.err.contains("`isorun up FILE.toml` runs it"), "{args:?} {done:?}");
    }
}
