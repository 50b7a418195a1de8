//! Nodes as an operator runs them: real processes, looked at, talked to, killed and started again.
#![cfg(unix)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Done, Folder, Running, prebuilt};

/// A folder with manifests, and the sockets of the nodes that are started from it.
struct World(Folder);

impl World {
    fn new() -> Self {
        let folder = Folder::new();
        folder.file("tally.wasm", std::fs::read(prebuilt("tally")).unwrap());
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A manifest of that name, without its `[node]` and name.
    fn manifest(&self, name: &str, rest: &str) -> String {
        self.0.file(&format!("{name}.toml"), format!("[node]\nname = \"{name}\"\n{rest}"))
    }

    fn change(&self, command: &mut Command) {
        command.env("XDG_RUNTIME_DIR", self.path()).current_dir(self.path());
    }

    /// A node, once it runs.
    fn up(&self, name: &str, rest: &str) -> (Running, Vec<String>) {
        let manifest = self.manifest(name, rest);
        let node = Running::start_with(&["up", &manifest], |command| self.change(command));
        let mut addresses = Vec::new();
        loop {
            let line = node.out_line();
            match line.strip_prefix("listening ") {
                Some(address) => addresses.push(address.to_owned()),
                None => {
                    assert!(line.starts_with(&format!("running {name} ")), "{line}");
                    return (node, addresses);
                }
            }
        }
    }

    fn start(&self, args: &[&str]) -> Running {
        Running::start_with(args, |command| self.change(command))
    }

    fn run(&self, args: &[&str]) -> Done {
        self.start(args).end()
    }

    /// What a component answers.
    #[track_caller]
    fn ask(&self, node: &str, component: &str, text: &str) -> String {
        let done = self.run(&["ask", node, component, text, "--timeout", "1m"]);
        assert!(done.code == Some(0) && done.err.is_empty(), "{done:?}");
        done.out.trim_end().to_owned()
    }

    /// Asks until the answer is another than `not`.
    fn ask_until(&self, node: &str, component: &str, text: &str, not: &str) -> String {
        let until = Instant::now() + Duration::from_secs(120);
        while Instant::now() < until {
            let answer = self.ask(node, component, text);
            if answer != not {
                return answer;
            }
        }
        panic!("`{text}` is still `{not}`");
    }
}

/// A counter that stores what it counts.
fn tally(id: &str) -> String {
    format!(
        "[[component]]\nid = \"{id}\"\nfile = \"tally.wasm\"\nstorage = true\nmay-send = \"demo/*/*\"\nsettings = {{ durable = true }}\n"
    )
}

#[test]
fn a_node_runs_is_looked_at_talked_to_and_stops() {
    let world = World::new();
    let rest = format!("{}{}", tally("demo/tally/0"), tally("demo/tally/1"));
    let (node, addresses) = world.up("east", &rest);
    assert_eq!(addresses, [""; 0]);
    assert_eq!(world.ask("east", "demo/tally/0", "add 40"), "40");
    let trapped = world.run(&["ask", "east", "demo/tally/0", "trap"]);
    let how = "`demo/tally/0` on node east failed while it handled this: `handle-message`: trap: ";
    assert!(trapped.code == Some(134) && trapped.err.starts_with(&format!("error: {how}")), "{trapped:?}");
    assert_eq!(world.ask("east", "demo/tally/0", "add 2"), "42");

    let ps = world.run(&["ps"]);
    let lines: Vec<Vec<&str>> = ps.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["COMPONENT", "STATE", "RESTARTS", "QUEUED", "MEMORY", "LAST", "EXIT"]);
    assert_eq!(lines[1][..4], ["demo/tally/0", "running", "1", "0"]);
    assert_eq!(lines[2][..4], ["demo/tally/1", "running", "0", "0"]);
    // Nobody sees a pipe's columns: nothing is cut.
    assert!(ps.out.contains("`handle-message`: trap: wasm `unreachable` instruction executed\n"), "{}", ps.out);
    let health = world.run(&["ps", "east", "--health", "-o", "json"]);
    assert!(health.out.contains(r#""health":{"reason":null,"status":"healthy"}"#), "{health:?}");

    world.run(&["send", "east", "demo/tally/1", "log an \u{1b}[31mescape"]).check(0, "", &[]);
    let logs = world.ask_until_logged("an \\u{1b}[31mescape");
    assert!(logs.contains(" info  demo/tally/1: ") && logs.contains(" sender=isorun/operator/0"), "{logs}");
    // How it ended is where its log is.
    let ends = world.run(&["logs", "east", "demo/tally/0"]).out;
    assert!(ends.contains(" error demo/tally/0: failed: ") && ends.contains("unreachable"), "{ends}");
    assert!(ends.contains(" warn  demo/tally/0: started again, restart 1"), "{ends}");
    let unknown = world.run(&["logs", "east", "demo/nobody/0"]);
    assert!(unknown.code == Some(1) && unknown.out.is_empty(), "{unknown:?}");
    assert!(unknown.err.contains("there is no component `demo/nobody/0`"), "{unknown:?}");
    // The request in which it trapped; its requester was told.
    assert!(ps.err.contains("1 message was not delivered, or not handled to the end"), "{ps:?}");
    let dead = world.run(&["ps", "east", "--dead-letters"]);
    let rows: Vec<&str> = dead.out.lines().collect();
    assert!(rows.len() == 2 && rows[1].ends_with("crashed  maybe"), "{dead:?}");
    assert!(dead.err.starts_with("1 crashed, the last one: "), "{dead:?}");

    let follow = world.start(&["logs", "-f", "-n", "1"]);
    assert!(follow.out_line().contains("escape"));
    world.run(&["send", "east", "demo/tally/1", "log once more"]).check(0, "", &[]);
    assert!(follow.out_line().contains("once more"));
    follow.signal("-TERM");
    assert_eq!(follow.end().code, Some(143));

    let nobody = world.run(&["ask", "east", "demo/nobody/0", "x"]);
    assert!(
        nobody.code == Some(1) && nobody.err.ends_with(" there is no component `demo/nobody/0` on node east\n"),
        "{nobody:?}"
    );
    let refused = world.run(&["ask", "east", "demo/tally/0", "nonsense"]);
    assert!(refused.code == Some(1) && refused.err.contains("refused: "), "{refused:?}");
    let elsewhere = Folder::new();
    let manifest = format!("[node]\nname = \"east\"\n{}", tally("demo/tally/0"));
    let second = world.run(&["up", &elsewhere.file("second.toml", manifest)]);
    assert!(!elsewhere.path().join("east.redb").exists());
    assert!(second.code == Some(1) && second.err.contains("a node called `east` runs already"), "{second:?}");

    node.signal("-TERM");
    let done = node.end();
    assert_eq!((done.code, done.out.as_str()), (Some(0), ""), "{done:?}");
    let gone = world.run(&["ps"]);
    assert!(gone.code == Some(2) && gone.err.contains("no node runs on this machine"), "{gone:?}");
}

#[test]
fn a_component_sends_to_those_alone_that_its_manifest_names() {
    let world = World::new();
    let silent = tally("demo/silent/0").replace("may-send = \"demo/*/*\"\n", "");
    let one = tally("demo/tally/0").replace("demo/*/*", "demo/tally/1");
    let (_node, _) = world.up("east", &format!("{silent}{one}{}", tally("demo/tally/1")));
    let told = world.ask("east", "demo/silent/0", "forward demo/tally/1 add 1");
    assert!(told.contains("`may-send = [\"demo/tally/1\"]` for `demo/silent/0` grants it"), "{told}");
    assert_eq!(world.ask("east", "demo/tally/0", "forward demo/tally/1 add 1"), "ok");
    let told = world.ask("east", "demo/tally/0", "forward demo/silent/0 add 1");
    assert!(told.contains("may not send to `demo/silent/0`"), "{told}");
    // What is answered needs no grant.
    assert_eq!(world.ask("east", "demo/silent/0", "get"), "0");

    let turned = world.run(&["ask", "demo/tally/0", "get", "x"]);
    assert!(turned.code == Some(2) && turned.err.contains("its node goes first"), "{turned:?}");
}

impl World {
    /// The log, once it has those words.
    fn ask_until_logged(&self, words: &str) -> String {
        let until = Instant::now() + Duration::from_secs(120);
        while Instant::now() < until {
            let logs = self.run(&["logs"]);
            if logs.out.contains(words) {
                return logs.out;
            }
        }
        panic!("`{words}` is not logged");
    }
}

#[test]
fn a_node_that_is_killed_is_a_typed_failure_to_others_and_comes_back_with_what_it_stored() {
    let world = World::new();
    let socket = format!("unix://{}/west.listen", world.path().display());
    let west = format!("listen = \"{socket}\"\n[node.accept]\n\"*\" = \"demo/tally/*\"\n{}", tally("demo/tally/0"));
    let (there, addresses) = world.up("west", &west);
    assert_eq!(addresses, std::slice::from_ref(&socket));
    let east = format!(
        "{}\n[[route]]\nto = \"demo/tally/*\"\nat = \"{socket}\"\n",
        tally("demo/asker/0").replace("durable", "timeout-ms = 60000, durable")
    );
    let (_here, _) = world.up("east", &east);
    assert_eq!(world.ask("east", "demo/asker/0", "forward demo/tally/0 add 40"), "ok");
    assert_eq!(world.ask_until("west", "demo/tally/0", "get", "0"), "40");

    there.signal("-KILL");
    there.end();
    world.ask("east", "demo/asker/0", "ask demo/tally/0 add 1");
    let last = world.ask_until("east", "demo/asker/0", "last", "none");
    assert!(last.contains("demo/tally/0 failed: delivery-failed"), "{last}");

    let (there, _) = world.up("west", &west);
    assert_eq!(world.ask("west", "demo/tally/0", "get"), "40");
    // A route that was lost is looked for again.
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        world.ask("east", "demo/asker/0", "forward demo/tally/0 add 2");
        if world.ask("west", "demo/tally/0", "get") != "40" {
            break;
        }
        assert!(Instant::now() < until, "the route does not come back");
    }
    there.signal("-TERM");
    assert_eq!(there.end().code, Some(0));
}

#[test]
fn what_is_not_accepted_is_refused_and_not_seen() {
    let world = World::new();
    let rest = format!(
        "listen = \"tcp://127.0.0.1:0\"\n[node.accept]\n\"*\" = \"demo/open/*\"\n{}{}",
        tally("demo/open/0"),
        tally("demo/shut/0")
    );
    let (_node, addresses) = world.up("east", &rest);
    let place = addresses[0].as_str();
    assert_eq!(world.ask(place, "demo/open/0", "add 1"), "1");
    let denied = world.run(&["ask", place, "demo/shut/0", "add 1"]);
    assert!(denied.code == Some(1) && denied.err.contains("not accepted"), "{denied:?}");
    let seen = world.run(&["ps", place]).out;
    assert!(seen.contains("demo/open/0") && !seen.contains("demo/shut/0"), "{seen}");
    // Who started it may do all.
    assert_eq!(world.ask("east", "demo/shut/0", "get"), "0");
}

#[test]
fn a_supervisor_that_gives_up_ends_the_node() {
    let world = World::new();
    let failing = tally("demo/tally/0").replace("durable = true", "at-start = \"fail\"");
    let failing = failing.replace("storage = true", "supervisor = \"top\"\nstorage = true");
    let top = "[[supervisor]]\nname = \"top\"\nmax-restarts = 0\n";
    let manifest = world.manifest("east", &format!("storage = \"memory\"\n{top}{failing}"));
    let done = world.run(&["up", &manifest]);
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{done:?}");
    assert!(done.err.contains("the node's supervisor ended") && done.err.contains("told to fail"), "{done:?}");
}

#[test]
fn a_component_without_a_supervisor_that_fails_too_often_stays_stopped_and_the_node_goes_on() {
    let world = World::new();
    let at_start = tally("demo/tally/1").replace("durable = true", "at-start = \"fail\"");
    let rest = format!("storage = \"memory\"\n{}{at_start}{}", tally("demo/tally/0"), tally("demo/tally/2"));
    let (node, _) = world.up("east", &rest);
    for _ in 0..4 {
        let trapped = world.run(&["ask", "east", "demo/tally/0", "trap", "--timeout", "1m"]);
        assert!(trapped.code == Some(134) && trapped.err.contains("trap"), "{trapped:?}");
    }
    let until = Instant::now() + Duration::from_secs(120);
    let lines = loop {
        let ps = world.run(&["ps", "east"]).out;
        let lines: Vec<String> = ps.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        if lines[1].starts_with("demo/tally/0 stopped 3 ") {
            break lines;
        }
        assert!(Instant::now() < until, "{ps}");
    };
    assert!(lines[1].contains("trap"), "its last exit: {lines:?}");
    assert!(lines[2].starts_with("demo/tally/1 stopped 3 ") && lines[2].contains("gave up"), "{lines:?}");
    let nobody = world.run(&["ask", "east", "demo/tally/0", "get", "--timeout", "1m"]);
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert_eq!(world.ask("east", "demo/tally/2", "add 7"), "7");
    node.signal("-TERM");
    let done = node.end();
    assert_eq!(done.code, Some(0), "{done:?}");
    let said = |id: &str| done.err.lines().any(|line| line.contains("gave up") && line.contains(id));
    assert!(said("demo/tally/0") && said("demo/tally/1"), "{done:?}");
}

#[test]
fn what_can_not_run_is_told_before_anything_does() {
    let world = World::new();
    let refused = |code: i32, rest: &str, words: &str| {
        let manifest = world.manifest("east", rest);
        for args in [&["up", &manifest, "--check"][..], &["up", &manifest]] {
            let done = world.run(args);
            assert!(done.code == Some(code) && done.out.is_empty() && done.err.contains(words), "{args:?} {done:?}");
        }
    };
    refused(3, &tally("demo/tally/0").replace("storage = true", ""), "isorun:actor/storage");
    refused(
        1,
        &tally("demo/tally/0").replace("tally.wasm", "no.wasm"),
        "east.toml:5:8: component demo/tally/0: cannot read",
    );
    let other = tally("demo/tally/0").replace("tally.wasm", &prebuilt("rle"));
    refused(3, &other, "does not export `isorun:actor/component-lifecycle");
    refused(3, &other, "the world `isorun:actor/component`");
    // The world goes first.
    let both = other.replace(&prebuilt("rle"), &prebuilt("kv-app"));
    refused(3, &both, "5:8: component demo/tally/0: it does not export");
    let linked = format!("{both}links = {{ \"demo:kv/store\" = \"system:kv\" }}\n");
    refused(3, &linked, "does not export `isorun:actor/component-lifecycle");
    let small = format!("{}budget = {{ memory = \"64KiB\" }}\n", tally("demo/tally/0"));
    refused(3, &small, "its memory starts with");
    let several =
        format!("{}{}", other.replace("tally/0", "other/0"), tally("demo/tally/0").replace("tally.wasm", "no.wasm"));
    refused(3, &several, "2 things are wrong:");
    refused(2, &format!("listen = \"tls://127.0.0.1:0\"\n{}", tally("demo/tally/0")), "--cert FILE");
}

#[test]
fn messages_that_are_lost_on_their_way_to_another_node_are_seen_where_an_operator_looks() {
    let world = World::new();
    let socket = format!("unix://{}/west.listen", world.path().display());
    let east = format!("{}\n[[route]]\nto = \"demo/far/*\"\nat = \"{socket}\"\n", tally("demo/asker/0"));
    let (here, _) = world.up("east", &east);
    let ps = world.run(&["ps", "east"]);
    assert!(ps.code == Some(0) && ps.err.is_empty(), "{ps:?}");
    for _ in 0..2 {
        assert_eq!(world.ask("east", "demo/asker/0", "forward demo/far/0 add 1"), "ok");
    }
    let until = Instant::now() + Duration::from_secs(120);
    let ps = loop {
        let ps = world.run(&["ps", "east"]);
        if ps.err.contains("2 messages were not delivered") {
            break ps;
        }
        assert!(Instant::now() < until, "{ps:?}");
    };
    assert!(ps.err.contains("`isorun ps NODE --dead-letters`"), "{ps:?}");
    let dead = world.run(&["ps", "east", "--dead-letters"]);
    let rows: Vec<Vec<&str>> = dead.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["WHEN", "(UTC)", "FROM", "TO", "BYTES", "REASON", "ARRIVED"]);
    assert_eq!((rows.len(), &rows[1][2..]), (3, &["demo/asker/0", "demo/far/0", "5", "not-sent", "no"][..]));
    assert!(dead.err.starts_with("2 not-sent, the last one: "), "{dead:?}");
    let json = world.run(&["ps", "east", "--dead-letters", "-o", "json"]).out;
    assert!(json.contains(r#"{"ok":{"counts":{"not-sent":2},"letters":[{"bytes":5,"is_request":false,"#), "{json}");
    assert!(json.contains(r#""may_have_arrived":false,"reason":"not-sent","recipient":"demo/far/0""#), "{json}");

    here.signal("-TERM");
    let done = here.end();
    assert!(done.err.contains("messages over a route were lost: ") && done.err.contains("demo/far/*"), "{done:?}");
}

#[test]
fn the_numbers_of_a_node_are_told_over_http() {
    let world = World::new();
    let manifest = world.manifest("east", &tally("demo/tally/0"));
    let node = world.start(&["up", &manifest, "--metrics", "127.0.0.1:0"]);
    let line = node.out_line();
    let address = line.strip_prefix("metrics http://").and_then(|url| url.strip_suffix("/metrics"));
    let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
    assert!(node.out_line().starts_with("running east 1"));
    assert_eq!(world.ask("east", "demo/tally/0", "add 40"), "40");
    world.run(&["ask", "east", "demo/tally/0", "trap"]);
    assert_eq!(world.ask("east", "demo/tally/0", "get"), "40");

    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    for number in [
        "isorun_messages_accepted_total 3",
        "isorun_messages_handled_total 2",
        "isorun_dead_letters_total{reason=\"crashed\"} 1",
        "isorun_dead_letters_total{reason=\"not-sent\"} 0",
        "isorun_late_replies_total 0",
        "isorun_component_restarts_total 1",
        "isorun_components{state=\"running\"} 1",
        "isorun_components{state=\"stopped\"} 0",
    ] {
        assert!(answer.lines().any(|line| line == number), "{number}: {answer}");
    }
    let away = world.run(&["up", &manifest, "--metrics", "0.0.0.0:0"]);
    assert!(away.code == Some(2) && away.err.contains("--metrics: will not listen"), "{away:?}");
}

#[test]
fn a_manifest_that_has_no_end_is_refused_without_waiting_for_it() {
    let world = World::new();
    let pipe = world.path().join("pipe.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for file in [pipe.to_str().unwrap(), "/dev/zero"] {
        let done = world.run(&["up", file, "--check"]);
        assert!(done.code == Some(1) && done.err.contains("no regular file"), "{done:?}");
    }
    let large = |bytes: usize| world.0.file("large.toml", format!("#{}", "x".repeat(bytes - 1)));
    let done = world.run(&["up", &large((4 << 20) + 1), "--check"]);
    assert!(done.code == Some(1) && done.err.contains("more than 4194304 bytes"), "{done:?}");
    let done = world.run(&["up", &large(4 << 20), "--check"]);
    assert!(!done.err.contains("more than"), "{done:?}");
}

#[test]
fn a_folder_of_control_sockets_that_others_may_enter_is_trusted_by_nobody() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let folder = world.path().join("isorun");
    std::fs::create_dir(&folder).unwrap();
    let allow = |mode| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
    let manifest = world.manifest("east", &tally("demo/tally/0"));
    for mode in [0o755, 0o701, 0o770] {
        allow(mode);
        for args in [&["up", &manifest][..], &["ps"], &["ps", "east"]] {
            let done = world.run(args);
            assert!(done.code == Some(1) && done.err.contains("chmod 700"), "{mode:o} {args:?} {done:?}");
        }
    }
    allow(0o700);
    let (_node, _) = world.up("east", &tally("demo/tally/0"));
    assert!(world.run(&["ps", "east"]).out.contains("demo/tally/0"));
}

#[test]
fn a_signal_while_components_start_stops_what_runs() {
    let world = World::new();
    let slow = tally("demo/tally/1").replace("durable = true", "at-start = \"spin\"");
    let slow = format!("{slow}budget = {{ fuel = 1_000_000_000_000_000, time = \"10m\" }}\n");
    let rest = format!("storage = \"memory\"\nstop-within = \"100ms\"\n{}{slow}", tally("demo/tally/0"));
    let node = world.start(&["up", &world.manifest("east", &rest)]);
    let until = Instant::now() + Duration::from_secs(120);
    while !world.run(&["ps", "east"]).out.contains("starting") {
        assert!(Instant::now() < until, "nothing starts");
    }
    node.signal("-TERM");
    let done = node.end();
    assert_eq!((done.code, done.out.as_str()), (Some(0), ""), "{done:?}");
}

#[test]
fn the_readmes_node_runs_from_a_fresh_clone() {
    let world = World::new();
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let readme = std::fs::read_to_string(format!("{here}/README.md")).unwrap();
    assert!(readme.contains("    isorun up examples/actors/node.toml\n"));
    // What it stores goes with the test.
    let manifest = std::fs::read_to_string(format!("{here}/examples/actors/node.toml")).unwrap();
    let manifest = manifest.replace("../../guests/prebuilt/tally.wasm", "tally.wasm");
    let node = world.start(&["up", &world.0.file("node.toml", manifest)]);
    assert_eq!(node.out_line(), "running east 2");
    let asks: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("    isorun ask east ")).collect();
    let told: Vec<String> = asks
        .iter()
        .map(|ask| {
            let (component, rest) = ask.split_once(" '").unwrap();
            world.ask("east", component, rest.split('\'').next().unwrap())
        })
        .collect();
    assert_eq!(told, ["40", "ok"], "{asks:?}");
    assert_eq!(world.ask_until("east", "demo/tally/1", "get", "0"), "2");
    node.signal("-TERM");
    assert_eq!(node.end().code, Some(0));
}
