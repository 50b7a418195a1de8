//! What a guest is given, and that it is given nothing else.

mod common;

use std::io::Write;
use std::process::Stdio;

use common::{Done, Folder, Running, isorun, prebuilt};

fn files(dirs: &[&str], call: &str) -> Done {
    let app = prebuilt("fs-app");
    let mut args = vec!["run", &app, "--invoke", call];
    args.extend(dirs.iter().flat_map(|dir| ["--dir", dir]));
    isorun(&args)
}

#[test]
fn a_folder_is_read_and_written_under_the_guests_name_for_it() {
    let folder = Folder::new();
    let dir = format!("{}::/data", folder.path().display());
    files(&[&dir], r#"run("write", "/data/a.txt", "abc")"#).check(0, "ok(\"3\")\n", &[]);
    assert_eq!(std::fs::read_to_string(folder.path().join("a.txt")).unwrap(), "abc");
    files(&[&dir], r#"run("read", "/data/a.txt", "")"#).check(0, "ok(\"abc\")\n", &[]);
}

#[test]
fn a_read_only_folder_is_not_written() {
    let folder = Folder::new();
    folder.file("a.txt", "abc");
    let dir = format!("{}::/data:ro", folder.path().display());
    files(&[&dir], r#"run("read", "/data/a.txt", "")"#).check(0, "ok(\"abc\")\n", &[]);
    let done = files(&[&dir], r#"run("write", "/data/a.txt", "xyz")"#);
    assert!(done.code == Some(1) && done.out.starts_with("err("), "{done:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("a.txt")).unwrap(), "abc");
}

#[test]
fn several_folders_stand_side_by_side_and_without_any_there_is_none() {
    let (one, two) = (Folder::new(), Folder::new());
    two.file("b.txt", "two");
    let dirs = [format!("{}::/one", one.path().display()), format!("{}::/two:ro", two.path().display())];
    files(&[&dirs[0], &dirs[1]], r#"run("read", "/two/b.txt", "")"#).check(0, "ok(\"two\")\n", &[]);
    files(&[], r#"run("list", ".", "")"#).check(1, "err(\"no preopened directory\")\n", &[]);
    files(&["no/such/folder::/d"], r#"run("list", ".", "")"#).check(1, "", &["--dir", "`no/such/folder`"]);
}

#[test]
fn clocks_are_there_once_granted() {
    let folder = Folder::new();
    let done = isorun(&["run", &folder.wat("wasi-clocks"), "--wasi", "clocks,random", "--invoke", "run"]);
    assert!(done.code == Some(0) && done.out.trim_end().parse::<u64>().is_ok(), "{done:?}");
}

#[test]
fn a_command_writes_to_standard_output_and_a_called_function_only_if_granted() {
    let folder = Folder::new();
    let hello = folder.wat("hello");
    isorun(&["run", &hello]).check(0, "hello\n", &[]);
    let call = "wasi:cli/run#run";
    isorun(&["run", &hello, "--invoke", call]).check(0, "ok\n", &[]);
    isorun(&["run", &hello, "--wasi", "stdio", "--invoke", call]).check(0, "hello\nok\n", &[]);
}

#[test]
fn a_guest_that_gives_up_unseen_is_told_how_to_be_seen() {
    let folder = Folder::new();
    let panics = folder.wat("panics");
    let hint = "`--wasi stdio` shows what the guest prints";
    let hidden = isorun(&["run", &panics, "--invoke", "run"]);
    hidden.check(134, "", &["unreachable", hint]);
    let seen = isorun(&["run", &panics, "--wasi", "stdio", "--invoke", "run"]);
    assert!(seen.code == Some(134) && seen.err.contains("oh no") && !seen.err.contains(hint), "{seen:?}");
    // One that can't print has nothing to show.
    let mute = isorun(&["run", &folder.wat("trap"), "--invoke", "run"]);
    assert!(mute.code == Some(134) && !mute.err.contains(hint), "{mute:?}");
}

#[test]
fn two_folders_at_one_path_of_the_guest_are_2() {
    let folder = Folder::new();
    let dir = |guest: &str| format!("{}::{guest}", folder.path().display());
    for (first, second) in [("/data", "/data"), ("/data", "/data/:ro"), ("/a/b", "/a/./b")] {
        let args = [
            "run",
            &prebuilt("fs-app"),
            "--dir",
            &dir(first),
            "--dir",
            &dir(second),
            "--invoke",
            "run(\"list\", \"/\", \"\")",
        ];
        isorun(&args).check(2, "", &["two folders can't both be `", "a path of its own"]);
    }
}

#[test]
fn standard_input_that_nobody_ends_does_not_keep_the_process() {
    let folder = Folder::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let running = Running::start_with(&["run", &folder.wat("cli-ok")], |command| {
        command.stdin(Stdio::from(reader));
    });
    running.end().check(0, "", &[]);
    let _ = writer.write_all(b"nobody reads this");
}

#[test]
fn arguments_and_variables_are_those_that_were_given() {
    let folder = Folder::new();
    let app = folder.wat("environment");
    let run = |args: &[&str]| {
        Running::start_with(&[&["run", &app], args].concat(), |command| {
            command.env("SECRET", "of the host");
        })
        .end()
    };
    run(&["--invoke", "arguments"]).check(0, "[]\n", &[]);
    run(&["--invoke", "arguments", "--", "-v", "a b"]).check(0, "[\"environment.wasm\", \"-v\", \"a b\"]\n", &[]);
    run(&["--invoke", "variables"]).check(0, "[]\n", &[]);
    run(&["--invoke", "variables", "--env", "A=1", "--env", "B=x=y"]).check(
        0,
        "[(\"A\", \"1\"), (\"B\", \"x=y\")]\n",
        &[],
    );
}

#[test]
fn a_folder_for_a_guest_without_files_is_told_of() {
    let folder = Folder::new();
    let dir = format!("{}::/data", folder.path().display());
    let done = isorun(&["run", &folder.wat("trap"), "--dir", &dir, "--invoke", "fine"]);
    done.check(0, "7\n", &["does not import wasi:filesystem"]);
}
