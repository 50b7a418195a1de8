//! Manifests: every key of `docs/manifest.md` is read, and what is wrong is told with its place and what would be right.

mod common;

use common::{Done, Folder, isorun, prebuilt};

/// Every key that there is, and each at a value that is not its default.
const ALL: &str = r#"
[node]
name = "east"
listen = ["tcp://127.0.0.1:0", "tcp://0.0.0.0:0"]
insecure = true
storage = "memory"
stop-within = "1s"
[node.accept]
"*" = ["demo/tally/*", "demo/tally/1"]
[node.log]
lines-per-component = 10
bytes = "1MiB"
[[supervisor]]
name = "below"
parent = "above"
restart = "transient"
strategy = "rest-for-one"
max-restarts = 5
within = "10s"
backoff-min = "10ms"
backoff-max = "1s"
[[supervisor]]
name = "above"
strategy = "one-for-all"
[[component]]
id = "demo/tally/0"
file = "tally.wasm"
supervisor = "below"
restart = "temporary"
settings = { text = "a", whole = 1, float = 1.5, flag = true }
may-send = []
storage = { bytes = "1MiB", keys = 10 }
mailbox = { messages = 10, bytes = "1MiB" }
budget = { memory = "32MiB", fuel = 1_000_000, time = "1s" }
links = {}
wasi = []
dirs = []
env = {}
[[component]]
id = "demo/tally/1"
file = "tally.wasm"
may-send = "demo/tally/*"
storage = "1MiB"
[[route]]
to = "demo/far/*"
at = ["tcp://127.0.0.1:7200", "nats://127.0.0.1/west", "unix:///tmp/west.sock"]
"#;

fn check(text: &str) -> Done {
    let folder = Folder::new();
    folder.file("tally.wasm", std::fs::read(prebuilt("tally")).unwrap());
    let file = folder.file("node.toml", text);
    isorun(&["up", "--check", &file])
}

/// Checks that a manifest is refused at a line and column, in those words.
#[track_caller]
fn refused(text: &str, place: &str, words: &str) {
    let done = check(text);
    assert_eq!((done.code, done.out.as_str()), (Some(2), ""), "{text}\n{done:?}");
    let told = format!("node.toml:{place}: ");
    assert!(done.err.contains(&told) && done.err.contains(words), "{text}\n{}", done.err);
}

const NODE: &str = "[node]\nname = \"east\"\n";

#[test]
fn every_key_is_read_and_stands_in_the_documentation() {
    check(ALL).check(0, "east: all is well with 2 components\n", &[]);
    let docs = include_str!("../../../docs/manifest.md");
    let keys = ALL.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    for key in keys.filter(|key| !key.starts_with('"')) {
        assert!(docs.contains(&format!("| `{key}` |")), "`{key}` is not in docs/manifest.md");
        // And no other is.
        let slip = format!("{key}x = ");
        let wrong = ALL.replacen(&format!("\n{key} = "), &format!("\n{slip}"), 1);
        assert!(check(&wrong).err.contains(&format!("`{key}x` is no key of ")), "{slip}");
    }
    let documented = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(key, _)| key);
    for key in documented {
        assert!(ALL.contains(&format!("\n{key} = ")), "`{key}` is not in this test");
    }
}

#[test]
fn the_documentations_manifest_is_one() {
    let docs = include_str!("../../../docs/manifest.md");
    let shown = docs.split("```toml").nth(1).unwrap().split("```").next().unwrap();
    check(shown).check(0, "east: all is well with 1 component\n", &[]);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    refused("", "1:1", "there is no `[node]`");
    refused("[node]\n", "1:1", "[node] lacks `name`");
    refused(NODE, "1:1", "write a `[[component]]`");
    refused("[node]\nname = \"east\n", "2:13", "invalid");
    refused("[node]\nname = 7\n", "2:8", "`name` is a text in quotes, and here is a number");
    refused("[node]\nname = \"a b\"\n", "2:8", "1 to 64 letters");
    refused(&format!("{NODE}listen = \"ftp://a\"\n"), "3:10", "no kind of address");
    refused(&format!("{NODE}listen = \"tcp://0.0.0.0:1\"\n"), "3:10", "`insecure = true` allows it");
    refused(&format!("{NODE}stop-within = \"5\"\n"), "3:15", "write one like `5s`");
    refused(&format!("{NODE}storage = \"http://a\"\n"), "3:11", "nats://HOST/BUCKET");
    refused(&format!("{NODE}storage = \"nats://a\"\n"), "3:11", "bucket");
    refused(&format!("{NODE}[node.accept]\nkv = \"a/b\"\n"), "4:6", "no pattern of components");
    let who = format!("{NODE}listen = \"tcp://127.0.0.1:0\"\n[node.accept]\nkv = \"a/b/c\"\n");
    refused(&who, "5:1", "nobody can prove to be `kv`");
    refused(&format!("{NODE}[[route]]\nto = \"a/b/*\"\nat = []\n"), "5:6", "goes somewhere");
    refused(&format!("{NODE}[[route]]\nto = \"a/b/*\"\nat = \"tcp://a:1/kv\"\n"), "5:6", "by where it listens");
    let supervisor = |rest: &str| format!("{NODE}[[supervisor]]\nname = \"a\"\n{rest}\n");
    refused(&supervisor("strategy = \"all\""), "5:12", "one-for-all (all do)");
    refused(&supervisor("restart = \"always\""), "5:11", "permanent (always)");
    refused(&supervisor("parent = \"b\""), "5:10", "there are: a");
    refused(&supervisor("parent = \"a\""), "5:10", "below itself");
    refused(&supervisor("max-restarts = 1001"), "5:16", "0 to 1000");
    refused(&supervisor("backoff-min = \"2s\"\nbackoff-max = \"1s\""), "6:15", "shorter than the first");
    refused(&supervisor("[[supervisor]]\nname = \"a\""), "6:8", "a name of its own");
    let component = |rest: &str| format!("{NODE}[[component]]\nid = \"a/b/c\"\nfile = \"tally.wasm\"\n{rest}\n");
    refused(&component("").replace("a/b/c", "a/b"), "4:6", "namespace/name/instance");
    refused(&component("storage = 7"), "6:11", "a size like \"64MiB\"");
    refused(&component("storage = \"7 apples\""), "6:11", "is no size");
    refused(&component("storage = { byte = \"1\" }"), "6:13", "did you mean `bytes`?");
    refused(&component("may-send = \"*\""), "6:12", "no pattern of components");
    refused(&component("wasi = [\"sockets\"]"), "6:9", "clocks, random, stdio");
    refused(&component("dirs = [\"a\"]"), "6:9", "HOST::GUEST");
    refused(&component("links = { \"a:b/c\" = \"d\" }"), "6:21", "a place is one of");
    refused(&component("mailbox = { messages = 0 }"), "6:24", "1 to 1000000");
    refused(&component("settings = { a = [] }"), "6:18", "a text, a number, or true or false");
    refused(&component("[[component]]\nid = \"a/b/c\"\nfile = \"x\""), "7:6", "an id of its own");
    refused(&component("").replace("[[component]]", "[component]"), "3:1", "write `[[component]]`");
    refused(&component("").replace("[node]", "[[node]]"), "1:1", "written `[node]`");
    refused(&component("").replace("file", "fiel"), "5:1", "did you mean `file`?");
    refused(&component("").replace("[[component]]", "[[components]]"), "3:3", "did you mean `component`?");
    refused(&component("budget = \"1MiB\""), "6:10", "{ memory = SIZE, fuel = N, time = TIME }");
    refused(&component("budget = { fuel = -1 }"), "6:19", "a whole number from 0 on");
    refused(&component("settings = { a = nan }"), "6:18", "no finite number");
    refused(&component("settings = { a = -inf }"), "6:18", "no finite number");
    refused(&component("wasi = [\"environment\"]"), "6:9", "`env = { NAME = VALUE }`");
    refused(&component("dirs = [\"a::/b\", \"c::/b\"]"), "6:18", "can't both be `/b`");
    refused(&component("").replace("a/b/c", "isorun/operator/0"), "4:6", "the host's own");
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_in_order() {
    let done = check(
        "[node]\nname = \"a b\"\nstorage = \"\"\n[[route]]\nto = \"a\"\nat = \"b\"\nvia = 1\n[[component]]\nid = 7\nflie = \"a\"\n",
    );
    let at: Vec<_> = [
        "8 things are wrong:",
        ":2:8: ",
        ":3:11: ",
        ":5:6: ",
        ":6:6: ",
        ":7:1: `via` is no key of [[route]]; there are: to, at",
        ":8:1: [[component]] lacks `file`",
        ":9:6: `id` is a text in quotes, and here is a number",
        ":10:1: `flie` is no key of [[component]]; did you mean `file`?",
    ]
    .map(|words| done.err.find(words).unwrap_or_else(|| panic!("`{words}` is missing in {}", done.err)))
    .to_vec();
    assert!(at.is_sorted(), "{}", done.err);
    assert_eq!(done.code, Some(2));
}

#[test]
fn what_is_hardly_meant_is_told_in_a_line_each_and_runs_all_the_same() {
    let text = format!(
        "{NODE}[node.accept]\n\"*\" = \"a/b/d\"\n[[supervisor]]\nname = \"idle\"\n[[component]]\nid = \"a/b/c\"\n\
         file = \"tally.wasm\"\nstorage = true\n[[route]]\nto = \"a/b/c\"\nat = \"tcp://127.0.0.1:1\"\n\
         [[route]]\nto = \"a/b/c\"\nat = \"tcp://127.0.0.1:2\"\n"
    );
    let told = [
        ":4:1: nobody reaches this node",
        ":4:7: no component here is `a/b/d`",
        ":6:8: nothing is under the supervisor `idle`",
        ":12:6: `a/b/c` is here",
        ":15:6: another route is for `a/b/c`",
    ];
    let done = check(&text);
    done.check(0, "east: all is well with 1 component\n", &told);
    assert!(done.err.lines().all(|line| line.starts_with("warning: ")), "{}", done.err);
}

#[test]
fn what_is_no_text_is_told_in_plain_words() {
    let folder = Folder::new();
    let done = isorun(&["up", "--check", &folder.file("node.toml", b"[node]\nname = \"\xff\"\n")]);
    assert!(done.code == Some(1) && done.err.contains("no text in UTF-8") && done.err.contains("line 2"), "{done:?}");
    let done = isorun(&["up", "--check", folder.path().to_str().unwrap()]);
    assert!(done.code == Some(1) && done.err.contains("it is a folder"), "{done:?}");
}
