//! Directories: what a guest reads and writes there, and that it gets no further.

mod common;

use std::fs;
use std::path::Path;

use common::{call, fault, prebuilt, start, system, try_start};
use isorun_core::{Budget, Fault};
use isorun_runtime::wasmtime::component::Val;
use isorun_runtime::{Instance, StartError};
use isorun_system::{Wasi, WasiDir, WasiDirError, wasi_links};
use proptest::prelude::*;
use tempfile::TempDir;

/// A folder with `inside` that a guest may have, and beside it what it may not.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        fs::create_dir(disk.inside()).unwrap();
        fs::write(disk.inside().join("here.txt"), "here").unwrap();
        fs::write(disk.secret(), "secret").unwrap();
        disk
    }

    fn inside(&self) -> std::path::PathBuf {
        self.0.path().join("inside")
    }

    fn secret(&self) -> std::path::PathBuf {
        self.0.path().join("secret.txt")
    }

    /// Names beside `inside`, and what the secret is.
    fn outside(&self) -> (Vec<String>, String) {
        let names = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        (names, fs::read_to_string(self.secret()).unwrap())
    }

    fn assert_untouched(&self) {
        assert_eq!(self.outside(), (vec!["inside".into(), "secret.txt".into()], "secret".into()));
    }
}

async fn app(dirs: impl IntoIterator<Item = WasiDir>) -> Instance {
    start(prebuilt("fs-app"), &wasi_links(Wasi::inert(), dirs)).await
}

async fn run(app: &Instance, op: &str, path: &str, data: &str) -> Result<String, String> {
    let text = |text: &str| Val::String(text.into());
    match &call(app, "run", &[text(op), text(path), text(data)]).await[..] {
        [Val::Result(Ok(Some(value)))] => match &**value {
            Val::String(value) => Ok(value.clone()),
            other => panic!("{other:?}"),
        },
        [Val::Result(Err(Some(value)))] => match &**value {
            Val::String(value) => Err(value.clone()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_guest_reads_and_writes_in_its_directory() {
    let disk = Disk::new();
    let app = app([WasiDir::read_write(disk.inside(), "/data").unwrap()]).await;
    assert_eq!(run(&app, "preopens", "", "").await, Ok("/data".into()));
    assert_eq!(run(&app, "read", "/data/here.txt", "").await, Ok("here".into()));
    assert_eq!(run(&app, "write", "/data/new.txt", "written").await, Ok("7".into()));
    assert_eq!(fs::read_to_string(disk.inside().join("new.txt")).unwrap(), "written");
    assert_eq!(run(&app, "mkdir", "/data/sub", "").await, Ok(String::new()));
    assert_eq!(run(&app, "rename", "/data/new.txt", "sub/moved.txt").await, Ok(String::new()));
    assert_eq!(run(&app, "list", "/data/sub", "").await, Ok("moved.txt".into()));
    assert_eq!(run(&app, "remove", "/data/sub/moved.txt", "").await, Ok(String::new()));
    assert_eq!(run(&app, "read", "/data/sub/moved.txt", "").await, Err("no-entry".into()));
}

#[tokio::test]
async fn a_directory_alone_is_enough_for_a_guest_of_files() {
    let disk = Disk::new();
    let dir = WasiDir::read_only(disk.inside(), "/data").unwrap();
    let app = start(prebuilt("fs-app"), &[system("wasi:filesystem", dir)]).await;
    assert_eq!(run(&app, "read", "/data/here.txt", "").await, Ok("here".into()));
}

#[tokio::test]
async fn a_read_only_directory_refuses_every_change() {
    let disk = Disk::new();
    let app = app([WasiDir::read_only(disk.inside(), "/data").unwrap()]).await;
    assert_eq!(run(&app, "list", "/data", "").await, Ok("here.txt".into()));
    for (op, path, data) in [
        ("write", "/data/here.txt", "changed"),
        ("write", "/data/new.txt", "new"),
        ("mkdir", "/data/sub", ""),
        ("remove", "/data/here.txt", ""),
        ("rename", "/data/here.txt", "there.txt"),
        ("symlink", "/data/link", "here.txt"),
    ] {
        assert_eq!(run(&app, op, path, data).await, Err("not-permitted".into()), "{op}");
    }
    let names: Vec<_> = fs::read_dir(disk.inside()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["here.txt"]);
    assert_eq!(fs::read_to_string(disk.inside().join("here.txt")).unwrap(), "here");
}

#[tokio::test]
async fn a_path_out_of_the_directory_is_refused() {
    let disk = Disk::new();
    let app = app([WasiDir::read_write(disk.inside(), "/data").unwrap()]).await;
    let absolute = disk.secret().to_str().unwrap().to_owned();
    let crooked = "here/../../secret.txt";
    for path in ["../secret.txt", "/data/../secret.txt", "./../secret.txt", crooked, &absolute, "/etc/passwd", "/"] {
        for op in ["read", "write", "list", "remove", "mkdir"] {
            let refused = run(&app, op, path, "overwritten").await.unwrap_err();
            assert!(["not-permitted", "no-entry"].contains(&refused.as_str()), "{op} {path}: {refused}");
        }
    }
    assert!(run(&app, "rename", "/data/here.txt", "../stolen.txt").await.is_err());
    assert!(run(&app, "rename", "../secret.txt", "mine.txt").await.is_err());
    disk.assert_untouched();
}

#[cfg(unix)]
#[tokio::test]
async fn a_symbolic_link_leads_no_further_than_the_directory() {
    let disk = Disk::new();
    let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, disk.inside().join(name)).unwrap();
    link(&disk.secret(), "absolute");
    link(Path::new("../secret.txt"), "relative");
    link(Path::new(".."), "up");
    link(Path::new("chain"), "chained");
    link(Path::new("up/secret.txt"), "chain");
    link(Path::new("loop"), "loop");
    link(Path::new("here.txt"), "fine");
    let app = app([WasiDir::read_write(disk.inside(), "/data").unwrap()]).await;
    assert_eq!(run(&app, "read", "fine", "").await, Ok("here".into()));
    for path in ["absolute", "relative", "up/secret.txt", "chained", "loop"] {
        assert!(run(&app, "read", path, "").await.is_err(), "{path}");
        assert!(run(&app, "write", path, "overwritten").await.is_err(), "{path}");
    }
    assert!(run(&app, "list", "up", "").await.is_err());
    assert!(run(&app, "symlink", "made", "/etc").await.is_err(), "no link to an absolute path is made");
    if run(&app, "symlink", "made", "..").await.is_ok() {
        assert!(run(&app, "read", "made/secret.txt", "").await.is_err());
    }
    disk.assert_untouched();
}

#[tokio::test]
async fn each_directory_has_its_own_path_and_access() {
    let (first, second) = (Disk::new(), Disk::new());
    fs::write(second.inside().join("second.txt"), "").unwrap();
    let dirs = [
        WasiDir::read_only(first.inside(), "/first").unwrap(),
        WasiDir::read_write(second.inside(), "/second").unwrap(),
    ];
    let app = app(dirs).await;
    assert_eq!(run(&app, "preopens", "", "").await, Ok("/first\n/second".into()));
    assert_eq!(run(&app, "list", "/first", "").await, Ok("here.txt".into()));
    assert_eq!(run(&app, "write", "/first/x", "x").await, Err("not-permitted".into()));
    assert_eq!(run(&app, "write", "/second/x", "x").await, Ok("1".into()));
    assert!(run(&app, "read", "/second/../../first/here.txt", "").await.is_err());
}

#[tokio::test]
async fn two_directories_of_one_path_are_refused() {
    for guest in ["/data", "/data/"] {
        let (first, second) = (Disk::new(), Disk::new());
        let dirs = [(&first, "/data"), (&second, guest)];
        let dirs = dirs.map(|(disk, guest)| WasiDir::read_only(disk.inside(), guest).unwrap());
        let started = try_start(prebuilt("fs-app"), &wasi_links(Wasi::inert(), dirs), Budget::default()).await;
        let Err(StartError::Start { fault: Fault::Trapped { message }, .. }) = started else { panic!("{started:?}") };
        assert!(message.contains(&format!("two folders are mounted as `{guest}`")), "{message}");
    }
}

#[tokio::test]
async fn without_a_directory_there_is_none() {
    let app = app([]).await;
    assert_eq!(run(&app, "preopens", "", "").await, Ok(String::new()));
    assert_eq!(run(&app, "read", "/etc/passwd", "").await, Err("no preopened directory".into()));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let disk = Disk::new();
    let missing = disk.inside().join("missing");
    let error = WasiDir::read_write(&missing, "/data").unwrap_err();
    assert_eq!(error, WasiDirError::Open { host: missing.clone(), kind: std::io::ErrorKind::NotFound });
    assert_eq!(error.to_string(), format!("cannot open folder `{}`: entity not found", missing.display()));

    let file = disk.inside().join("here.txt");
    assert_eq!(WasiDir::read_only(&file, "/data"), Err(WasiDirError::NotAFolder { host: file }));
    assert!(matches!(WasiDir::read_only(disk.inside(), ""), Err(WasiDirError::GuestPath { .. })));
    assert!(matches!(WasiDir::read_only(disk.inside(), "a\0b"), Err(WasiDirError::GuestPath { .. })));
}

#[tokio::test]
async fn a_folder_that_has_gone_is_named_when_a_guest_starts() {
    let disk = Disk::new();
    let links = wasi_links(Wasi::inert(), [WasiDir::read_only(disk.inside(), "/data").unwrap()]);
    fs::remove_dir_all(disk.inside()).unwrap();
    let error = try_start(prebuilt("fs-app"), &links, Budget::default()).await.unwrap_err().to_string();
    assert!(error.contains("cannot mount folder") && error.contains("inside"), "{error}");
}

/// Asks for all preopened directories again and again, and keeps every handle.
const HOARDER: &str = r#"(component
    (import "wasi:filesystem/types@0.2.0" (instance $types (export "descriptor" (type (sub resource)))))
    (alias export $types "descriptor" (type $descriptor))
    (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
        (alias outer 1 $descriptor (type $outer))
        (export "descriptor" (type $d (eq $outer)))
        (export "get-directories" (func (result (list (tuple (own $d) string)))))))
    (core module $Memory (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
    (core instance $memory (instantiate $Memory))
    (core func $get (canon lower (func $preopens "get-directories")
        (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
    (core module $M (import "preopens" "get" (func $get (param i32)))
        (func (export "hoard") (param $n i32)
            (loop $again
                (call $get (i32.const 16))
                (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
    (core instance $m (instantiate $M (with "preopens" (instance (export "get" (func $get))))))
    (func (export "hoard") (param "n" u32) (canon lift (core func $m "hoard"))))"#;

#[tokio::test]
async fn a_guest_holds_as_many_handles_as_its_budget_says() {
    let disk = Disk::new();
    let links = wasi_links(Wasi::inert(), [WasiDir::read_only(disk.inside(), "/data").unwrap()]);
    let budget = Budget { max_handles: 100, ..Budget::default() };
    let app = try_start(HOARDER, &links, budget).await.unwrap();
    call(&app, "hoard", &[Val::U32(100)]).await;
    let Fault::OverBudget { what, limit: 100, .. } = fault(&app, "hoard", &[Val::U32(1)]).await else {
        panic!("one handle too many was taken")
    };
    assert_eq!(what, "max_handles");
    call(&app, "hoard", &[Val::U32(100)]).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_path_whatever_changes_what_lies_outside(
        paths in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![
                4 => Just(".."), 2 => Just("sub"), 1 => Just("."), 1 => Just(""), 1 => Just("up"),
                2 => Just("secret.txt"), 1 => Just("inside"), 1 => Just("new"),
            ], 1..6),
            1..12,
        ),
    ) {
        let disk = Disk::new();
        fs::create_dir(disk.inside().join("sub")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("..", disk.inside().join("up")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let app = app([WasiDir::read_write(disk.inside(), "/data").unwrap()]).await;
            for path in paths {
                let path = path.join("/");
                for op in ["write", "mkdir", "symlink", "remove"] {
                    let _ = run(&app, op, &path, "..").await;
                }
                prop_assert!(run(&app, "read", &path, "").await != Ok("secret".into()), "{}", path);
            }
            disk.assert_untouched();
            Ok(())
        })?;
    }
}
