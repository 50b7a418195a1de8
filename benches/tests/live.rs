//! `live` says what components that live hold and cost.
// Elsewhere there is no `/proc` to read memory from.
#![cfg(target_os = "linux")]

use std::process::Command;

#[test]
fn a_few_components_are_measured_with_and_without_an_engine() {
    let output = Command::new(env!("CARGO_BIN_EXE_live")).args(["20", "200"]).output().unwrap();
    let (text, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{errors}");
    for row in ["puppets", "guests", "a call by itself", "asked through its mailbox", "sent one way"] {
        assert!(text.lines().any(|line| line.starts_with(row)), "{row} is missing in\n{text}");
    }
}
