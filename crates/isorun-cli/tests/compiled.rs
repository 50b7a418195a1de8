//! Compiled code that is kept between commands.
#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{Done, Folder, Running, isorun, prebuilt};

/// Runs the app with what it has to say of compiling.
fn run_app(args: &[&str]) -> Done {
    run_with(args).end()
}

fn run_with(args: &[&str]) -> Running {
    let kv = "*=system:kv?deny=denied&absent-is-error=missing";
    let app = prebuilt("kv-app");
    let all = [&["run", &app, "--link", kv, "--invoke", "run(40)", "--log-level", "debug"], args].concat();
    Running::start_with(&all, |command| {
        command.env("NO_COLOR", "1");
    })
}

fn compiled(done: &Done) -> bool {
    assert_eq!((done.code, done.out.as_str()), (Some(0), "ok(820)\n"), "{done:?}");
    let told = |words: &str| done.err.lines().any(|line| line.contains(words));
    assert_ne!(told(": compiled bytes="), told(": loaded compiled code"), "{done:?}");
    told(": compiled bytes=")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|extension| extension == "compiled")).collect()
}

#[test]
fn the_second_run_compiles_nothing_unless_it_is_asked_to() {
    let home = Folder::new();
    let cache = home.path().join("c").to_str().unwrap().to_owned();
    let dir = ["--cache-dir", &cache];
    assert!(compiled(&run_app(&dir)));
    assert!(!compiled(&run_app(&dir)));
    assert!(compiled(&run_app(&["--no-cache"])));
    run_app(&["--no-cache", "--cache-dir", "x"]).check(2, "", &["cannot be used with"]);
    assert_eq!(entries(Path::new(&cache)).len(), 1);

    // What is fused is compiled as one.
    let fused = format!("demo:kv/store=fused:{}", prebuilt("kv-provider"));
    let run = || isorun(&[&["run", &prebuilt("kv-app"), "--link", &fused, "--invoke", "run(40)"], &dir[..]].concat());
    run().check(0, "ok(820)\n", &[]);
    run().check(0, "ok(820)\n", &[]);
    assert_eq!(entries(Path::new(&cache)).len(), 2);
}

#[test]
fn by_default_compiled_code_is_in_the_users_cache() {
    let home = Folder::new();
    let run = |name: &str, value: &str| {
        let app = prebuilt("kv-provider");
        Running::start_with(&["run", &app, "--invoke", "demo:kv/store#clear()"], |command| {
            command.env_remove("XDG_CACHE_HOME").env(name, value);
        })
        .end()
        .check(0, "", &[]);
    };
    let path = home.path().to_str().unwrap();
    run("HOME", path);
    run("XDG_CACHE_HOME", path);
    for folder in [home.path().join(".cache/isorun/compiled"), home.path().join("isorun/compiled")] {
        assert_eq!(entries(&folder).len(), 1, "{folder:?}");
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn a_folder_that_others_could_write_is_told_of_once_and_not_used() {
    let home = Folder::new();
    let cache = home.path().join("c");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    let cache = cache.to_str().unwrap();
    let local = format!("demo:kv/store=local:{}", prebuilt("kv-provider"));
    let app = prebuilt("kv-app");
    let done = isorun(&["run", &app, "--link", &local, "--invoke", "run(40)", "--cache-dir", cache]);
    done.check(0, "ok(820)\n", &["can be written by others"]);
    assert_eq!(done.err.lines().count(), 1, "{done:?}");
    assert!(entries(Path::new(cache)).is_empty());
    isorun(&["compile", &app, "--cache-dir", cache]).check(1, "", &["can be written by others", "--cache-dir DIR"]);
}

#[test]
fn processes_that_start_at_once_share_a_folder() {
    let home = Folder::new();
    let cache = home.path().join("c").to_str().unwrap().to_owned();
    let all: Vec<Running> = (0..4).map(|_| run_with(&["--cache-dir", &cache])).collect();
    for process in all {
        compiled(&process.end());
    }
    assert!(!compiled(&run_app(&["--cache-dir", &cache])));
    // One key, one entry, and nothing half written.
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 2);
}

#[test]
fn damaged_code_is_compiled_again() {
    let home = Folder::new();
    let cache = home.path().join("c").to_str().unwrap().to_owned();
    assert!(compiled(&run_app(&["--cache-dir", &cache])));
    let entry = entries(Path::new(&cache)).pop().unwrap();
    let mut bytes = fs::read(&entry).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&entry, bytes).unwrap();
    let done = run_app(&["--cache-dir", &cache]);
    assert!(compiled(&done) && done.err.contains("compiled code is not as it was kept"), "{done:?}");
    assert!(!compiled(&run_app(&["--cache-dir", &cache])));
}

#[test]
fn components_are_compiled_beforehand() {
    let home = Folder::new();
    let (app, kv) = (prebuilt("kv-app"), prebuilt("kv-provider"));
    let cache = home.path().canonicalize().unwrap().join("c").to_str().unwrap().to_owned();
    let compile = |args: &[&str]| isorun(&[&["compile", "--cache-dir", &cache], args].concat());
    compile(&[&app]).check(0, &format!("{app}  compiled\nkept in {cache}\n"), &[]);
    let width = kv.len();
    let out = format!("{app:width$}  was compiled already\n{kv}  compiled\nkept in {cache}\n");
    compile(&[&app, &kv]).check(0, &out, &[]);
    assert!(!compiled(&run_app(&["--cache-dir", &cache])));

    let json = compile(&[&app, "-o", "json"]);
    assert!(
        json.code == Some(0) && json.out.starts_with(r#"{"ok":{"components":[{"compiled":false,"file":""#),
        "{json:?}"
    );
    assert!(json.out.contains(r#""sha256":""#) && json.out.contains(&format!(r#""folder":"{cache}""#)), "{json:?}");

    // What can be compiled is, whatever else was asked for.
    let fs_app = prebuilt("fs-app");
    let done = compile(&["no.wasm", &fs_app, "no-more.wasm"]);
    done.check(1, "", &["2 components are not compiled", "cannot read `no.wasm`", "cannot read `no-more.wasm`"]);
    compile(&[&fs_app]).check(0, &format!("{fs_app}  was compiled already\nkept in {cache}\n"), &[]);
    isorun(&["compile", &app, "--no-cache"]).check(2, "", &["no folder to keep compiled code in"]);
    compile(&[]).check(2, "", &["required"]);
}
