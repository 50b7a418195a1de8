//! The example is what its README says.

use std::process::Command;

/// Runs it, as the README's command does, and reads all that it prints.
#[test]
fn nothing_is_lost_when_a_component_is_killed_while_messages_flow() {
    let done = Command::new(env!("CARGO_BIN_EXE_actors")).output().unwrap();
    let out = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{out}{}", String::from_utf8_lossy(&done.stderr));
    let readme = include_str!("../README.md");
    let shown = readme.split("```text").nth(1).unwrap().split("```").next().unwrap();
    let plain = |text: &str| -> Vec<String> {
        // The port is another each time.
        text.lines().map(|line| line.split(", at tcp://").next().unwrap().trim().to_owned()).collect()
    };
    assert_eq!(plain(out.trim()), plain(shown.trim()));
}

#[test]
fn the_feed_is_its_text() {
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/feed.wat");
    assert!(wat::parse_file(text).unwrap() == include_bytes!("../feed.wasm"), "feed.wasm is not what feed.wat says");
}
