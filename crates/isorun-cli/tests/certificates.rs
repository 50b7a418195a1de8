//! `cert`, and places where both ends show a certificate.

mod common;

use std::path::Path;
use std::process::Command;

use common::{Done, Folder, Running, isorun, prebuilt};

const GET: &str = "demo:kv/store#get(\"k\")";

/// A folder with an authority, and certificates for these nodes.
fn certs(folder: &Folder, nodes: &[&str]) -> String {
    let out = folder.path().join("certs").to_str().unwrap().to_owned();
    isorun(&["cert", "ca", "--out", &out]).check_starts(0, "certificate");
    for node in nodes {
        issue(&out, node, &[]).check_starts(0, "certificate");
    }
    out
}

fn issue(certs: &str, node: &str, more: &[&str]) -> Done {
    isorun(&[&["cert", "node", node, "--ca", certs, "--out", certs, "--ip", "127.0.0.1"], more].concat())
}

/// The options that show a node's certificate.
fn shown(certs: &str, node: &str) -> Vec<String> {
    let file = |end: &str| format!("{certs}/{end}");
    let (cert, key) = (file(&format!("{node}.pem")), file(&format!("{node}.key")));
    ["--cert", &cert, "--key", &key, "--ca", &file("ca.pem")].map(str::to_owned).to_vec()
}

/// The key-value store at a tls:// address, and its place.
fn served(certs: &str, node: &str, more: &[&str]) -> (Running, String) {
    let file = prebuilt("kv-provider");
    let args = ["serve", &file, "--as", "kv", "--listen", "tls://127.0.0.1:0"].map(str::to_owned);
    let more = more.iter().map(|arg| (*arg).to_owned());
    let server = Running::start(&args.into_iter().chain(shown(certs, node)).chain(more).collect::<Vec<_>>());
    let place = format!("{}/kv", server.address());
    (server, place)
}

/// The command as a node.
fn by(certs: &str, node: &str, args: &[&str]) -> Done {
    let args = args.iter().map(|arg| (*arg).to_owned()).chain(shown(certs, node));
    isorun(&args.collect::<Vec<_>>())
}

#[test]
fn an_allowed_peer_is_served_and_another_is_told_who_it_is_and_what_would_allow_it() {
    let folder = Folder::new();
    let certs = certs(&folder, &["kv", "app", "bob"]);
    let (_server, place) = served(&certs, "kv", &["--allow", "app"]);
    by(&certs, "app", &["call", &place, GET]).check(0, "ok(none)\n", &[]);
    let words = ["refused: unauthorised", "instance `kv` is not served to bob", "`--allow bob`"];
    by(&certs, "bob", &["call", &place, GET]).check(1, "", &words);
    by(&certs, "bob", &["call", &place, GET, "-o", "json"]).check(1, "", &[r#""kind":"refused""#]);

    // What a peer may not call it does not see.
    let host = place.strip_suffix("kv").unwrap();
    let (app, bob) = (by(&certs, "app", &["inspect", host]), by(&certs, "bob", &["inspect", host]));
    assert!(app.out.contains("kv ") && !bob.out.contains("kv "), "{app:?}\n{bob:?}");
    assert!(app.err.is_empty() && bob.err.contains("nothing that this command may see"), "{app:?}\n{bob:?}");

    let app = prebuilt("kv-app");
    let link = format!("*={place}");
    let run = ["run", &app, "--link", &link, "--invoke", "run(4)"];
    assert_eq!(by(&certs, "app", &run).code, Some(0));
    by(&certs, "bob", &run).check(3, "", &["not served to bob"]);
}

#[test]
fn functions_are_allowed_one_by_one_and_to_anyone() {
    let folder = Folder::new();
    let certs = certs(&folder, &["kv", "app", "bob"]);
    let allow = ["--allow", "app=demo:kv/store", "--allow", "*=demo:kv/store#get"];
    let (_server, place) = served(&certs, "kv", &allow);
    by(&certs, "bob", &["call", &place, GET]).check(0, "ok(none)\n", &[]);
    let clear = "demo:kv/store#clear()";
    let words = ["`demo:kv/store@0.1.0#clear` of instance `kv` is not served to bob"];
    by(&certs, "bob", &["call", &place, clear]).check(1, "", &words);
    let allow = ["`--allow bob=demo:kv/store@0.1.0#clear`"];
    by(&certs, "bob", &["call", &place, clear]).check(1, "", &allow);
    assert_eq!(by(&certs, "app", &["call", &place, clear]).code, Some(0));
}

#[test]
fn what_is_missing_is_told_with_how_to_make_it() {
    let make = "isorun cert node NAME --ca certs";
    let place = "tls://127.0.0.1:7000/kv";
    isorun(&["call", place, GET]).check(2, "", &["--cert FILE (ISORUN_CERT)", "--key FILE", "--ca FILE", make]);
    isorun(&["inspect", place, "--cert", "a.pem"]).check(2, "", &["there is no --key FILE", make]);
    let (app, kv) = (prebuilt("kv-app"), prebuilt("kv-provider"));
    isorun(&["check", &app, "--link", &format!("*={place}")]).check(2, "", &["--key FILE", make]);
    isorun(&["serve", &kv, "--listen", "tls://127.0.0.1:0"]).check(2, "", &["--ca FILE (ISORUN_CA)", make]);
    isorun(&["call", place, GET, "--cert", "a", "--key", "b", "--ca", "c"]).check(2, "", &["cannot read `a`"]);
}

#[test]
fn variables_are_options_too() {
    let folder = Folder::new();
    let certs = certs(&folder, &["kv", "app"]);
    let (_server, place) = served(&certs, "kv", &[]);
    let done = Running::start_with(&["call", &place, GET], |isorun| {
        let file = |end: &str| format!("{certs}/{end}");
        isorun.env("ISORUN_CERT", file("app.pem")).env("ISORUN_KEY", file("app.key")).env("ISORUN_CA", file("ca.pem"));
    });
    done.end().check(0, "ok(none)\n", &[]);
}

#[test]
fn strangers_are_refused_by_both_ends_with_the_reason() {
    let (folder, other) = (Folder::new(), Folder::new());
    let (certs, others) = (certs(&folder, &["kv"]), certs(&other, &["app"]));
    let (server, place) = served(&certs, "kv", &[]);
    let ca = format!("--ca `{others}/ca.pem`");
    let words = ["cannot reach tls://", "its certificate was not issued by the authority", &ca];
    let done = by(&others, "app", &["call", &place, GET]);
    done.check(1, "", &words);
    assert!(!done.err.contains("is anything served there?"), "{done:?}");
    let line = server.err_line("was refused before it was authenticated");
    assert!(line.contains("127.0.0.1:") && line.contains("authority"), "{line}");

    let plain = place.replace("tls://", "tcp://");
    isorun(&["call", &plain, GET]).check(1, "", &["may want TLS", "tls://"]);
    let elsewhere = format!("{place}?name=elsewhere");
    issue(&certs, "app", &[]).check_starts(0, "certificate");
    by(&certs, "app", &["call", &elsewhere, GET]).check(
        1,
        "",
        &["its certificate is for kv, 127.0.0.1, not for elsewhere", "`?name=NODE`", "--ip IP --dns HOST"],
    );
    by(&certs, "app", &["call", &format!("{place}?name=kv"), GET]).check(0, "ok(none)\n", &[]);
}

#[test]
fn an_address_that_others_reach_needs_no_insecure_with_certificates() {
    let folder = Folder::new();
    let certs = certs(&folder, &["kv"]);
    let args = ["serve", &prebuilt("kv-provider"), "--listen", "tls://0.0.0.0:0"].map(str::to_owned);
    let server = Running::start(&args.into_iter().chain(shown(&certs, "kv")).collect::<Vec<_>>());
    let address = server.address();
    let port = address.rsplit(':').next().unwrap();
    by(&certs, "kv", &["call", &format!("tls://127.0.0.1:{port}/kv-provider"), GET]).check(0, "ok(none)\n", &[]);
    let plain = isorun(&["serve", &prebuilt("kv-provider"), "--listen", "tcp://0.0.0.0:0"]);
    plain.check(2, "", &["a tls:// address"]);
}

#[test]
fn an_allow_that_can_mean_nothing_is_refused() {
    let kv = prebuilt("kv-provider");
    let serve = |listen: &str, allow: &str| isorun(&["serve", &kv, "--listen", listen, "--allow", allow]);
    serve("tcp://127.0.0.1:0", "app").check(2, "", &["nobody can prove a name there", "tls://"]);
    for allow in ["", "App", "a b=x", "app=", "app=#get", "app=demo:kv/store#"] {
        serve("tcp://127.0.0.1:0", allow).check(2, "", &["NAME=IFACE#FUNCTION"]);
    }
    let known = "there are: demo:kv/store@0.1.0#get";
    for what in ["demo:kv/stor", "demo:kv/store#got", "get", "demo:kv/store@0.2.0"] {
        serve("tcp://127.0.0.1:0", &format!("*={what}")).check(2, "", &["exports nothing like that", known]);
    }
}

#[test]
fn certificates_are_made_once_unless_told_otherwise() {
    let folder = Folder::new();
    let certs = certs(&folder, &["kv"]);
    let key = std::fs::read(Path::new(&certs).join("kv.key")).unwrap();
    issue(&certs, "kv", &[]).check(2, "", &["kv.pem` is there already", "`--force`"]);
    isorun(&["cert", "ca", "--out", &certs]).check(2, "", &["ca.pem` is there already", "`--force`"]);
    assert_eq!(std::fs::read(Path::new(&certs).join("kv.key")).unwrap(), key);
    let again = issue(&certs, "kv", &["--force", "-o", "json"]);
    let expected = format!(
        "{{\"ok\":{{\"ca\":\"{certs}/ca.pem\",\"certificate\":\"{certs}/kv.pem\",\"key\":\"{certs}/kv.key\"}}}}\n"
    );
    again.check(0, &expected, &[]);
    assert_ne!(std::fs::read(Path::new(&certs).join("kv.key")).unwrap(), key);

    issue(&certs, "KV", &[]).check(2, "", &["no name of a node"]);
    issue(&certs, "a", &["--dns", "*.example.org"]).check(2, "", &["`*.example.org` is no DNS name"]);
    issue(&certs, "a", &["--days", "3651"]).check(2, "", &["3651"]);
    let nowhere = folder.path().join("nowhere");
    issue(nowhere.to_str().unwrap(), "a", &[]).check(1, "", &["cannot read", "isorun cert ca --out"]);
}

/// Whatever `--force` says, what an authority consists of stays as it is.
#[test]
fn no_node_takes_the_place_of_an_authoritys_files() {
    let (folder, other) = (Folder::new(), Folder::new());
    let (certs, others) = (certs(&folder, &["kv"]), certs(&other, &[]));
    let all = |folder: &str| ["ca.pem", "ca.key"].map(|file| std::fs::read(Path::new(folder).join(file)).unwrap());
    let (before, before_others) = (all(&certs), all(&others));
    for force in [&[][..], &["--force"]] {
        issue(&certs, "ca", force).check(2, "", &["no node can be named `ca`", "the authority"]);
        let args = ["cert", "node", "kv", "--ca", &certs, "--out", &others];
        let words = [&format!("`{others}/ca.pem`"), &format!("the authority in `{certs}`"), "`--out`"];
        isorun(&[&args, force].concat()).check(2, "", &words);
        assert!(!Path::new(&others).join("kv.key").exists(), "nothing is written beside it");
    }
    assert!(all(&certs) == before && all(&others) == before_others);

    // One authority takes over from another: both are in the file, which stays.
    let both = [&before_others[0][..], &before[0]].concat();
    std::fs::write(Path::new(&others).join("ca.pem"), &both).unwrap();
    isorun(&["cert", "node", "kv", "--ca", &certs, "--out", &others]).check_starts(0, "certificate");
    assert_eq!(all(&others), [both, before_others[1].clone()]);
}

/// The certificate changes while it serves: who is connected goes on, and who comes is shown the new one.
#[test]
fn a_server_goes_on_with_another_certificate() {
    let folder = Folder::new();
    let certs = certs(&folder, &["kv", "app"]);
    let (_server, place) = served(&certs, "kv", &[]);
    let meant = format!("{place}?name=kv-2");
    by(&certs, "app", &["call", &meant, GET]).check(1, "", &["kv-2"]);
    issue(&certs, "kv-2", &[]).check_starts(0, "certificate");
    for end in ["key", "pem"] {
        std::fs::copy(format!("{certs}/kv-2.{end}"), format!("{certs}/kv.{end}")).unwrap();
    }
    // The files are looked at once in a second at most, by whoever comes.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while by(&certs, "app", &["call", &meant, GET]).code != Some(0) {
        assert!(std::time::Instant::now() < until, "the new certificate is never shown");
    }
}

/// Whoever reads the folder is not given the keys; a certificate is no secret, and others may have to read it.
#[cfg(unix)]
#[test]
fn keys_are_their_owners_alone_and_certificates_are_everybodys_to_read_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    for (command, file) in [("ca", "ca.pem"), ("node kv --ca certs", "kv.pem")] {
        let script = format!("umask 000 && exec {} cert {command} --out certs", env!("CARGO_BIN_EXE_isorun"));
        let done = Running::of(Command::new("sh").args(["-c", &script]).current_dir(folder.path())).end();
        done.check_starts(0, &format!("certificate  certs/{file}"));
    }
    let mode = |file: &str| std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("certs"), mode("certs/ca.key"), mode("certs/kv.key")), (0o700, 0o600, 0o600));
    assert_eq!((mode("certs/ca.pem"), mode("certs/kv.pem")), (0o644, 0o644));
}
