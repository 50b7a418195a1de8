//! A transport of one's own keeps the rules of all.
#![cfg(unix)]

use std::time::Duration;

use custom_transport::ChildTransport;
use isorun_conformance::drive::recv;
use isorun_conformance::{Endpoint, Transport, conformance_suite};
use isorun_core::{FRAME_BYTES_MAX, PeerIdentity, TransportError};
use isorun_transport_tcp::UnixTransportListener;

/// The program of this example, built for its tests.
const PROGRAM: &str = env!("CARGO_BIN_EXE_custom-transport");

fn child(arguments: &[&str]) -> ChildTransport {
    ChildTransport([PROGRAM].iter().chain(arguments).map(|part| (*part).to_owned()).collect())
}

/// Each channel goes through a child process, which passes it on to a socket that this process listens on.
async fn listen() -> Endpoint {
    let folder = tempfile::Builder::new().prefix("isorun").tempdir_in("/tmp").unwrap();
    let path = folder.path().join("s");
    let listener = UnixTransportListener::bind(&path).await.unwrap();
    Endpoint::new(child(&["forward", path.to_str().unwrap()]), listener).keeping(folder)
}

conformance_suite!(listen);

#[tokio::test]
async fn a_child_answers_a_call() {
    let child = child(&["answer"]);
    assert_eq!(child.call("hello".into()).await, Ok("HELLO".into()));
    let channel = child.open().await.unwrap();
    assert_eq!(channel.peer(), &PeerIdentity::Anonymous { address: format!("exec:{PROGRAM} answer") });
}

/// Checks that no channel is opened to `command`, for a reason that has `words`.
async fn check_unreachable(command: &[&str], words: &str) {
    let transport = ChildTransport(command.iter().map(|part| (*part).to_owned()).collect());
    let opened = tokio::time::timeout(Duration::from_secs(60), transport.open()).await.expect("it hangs");
    let Some(TransportError::Unreachable { address, cause }) = opened.err() else { panic!("{command:?} is reached") };
    assert_eq!(address, transport.place());
    assert!(cause.contains(words), "{cause}");
}

#[tokio::test]
async fn what_is_no_program_fails_or_says_something_else_is_unreachable() {
    check_unreachable(&[], "not found").await;
    check_unreachable(&["/nowhere/at/all"], "No such file").await;
    check_unreachable(&["false"], "does not speak isorun").await;
    check_unreachable(&["sh", "-c", "echo Last login: yesterday; cat"], "does not speak isorun").await;
}

#[tokio::test]
async fn a_child_that_dies_is_a_loss_and_one_that_closes_is_an_end() {
    let greets = r"printf 'isorun1\n'";
    for (then, expected) in [
        ("", Err(TransportError::Lost { cause: "it ended without saying so".into() })),
        (r"printf '\3\0\0\0ab'", Err(TransportError::Lost { cause: "it ended without saying so".into() })),
        (r"printf '\3\0\0\0abc'", Ok(Some("abc".into()))),
        (r"printf '\0\0\0\0'; cat", Ok(None)),
        (r"printf '\377\377\377\377'; cat", Err(TransportError::FrameSize { size: 0xffff_ffff, max: FRAME_BYTES_MAX })),
    ] {
        let transport = ChildTransport(["sh", "-c", &format!("{greets}; {then}")].map(str::to_owned).into());
        let mut channel = transport.open().await.unwrap();
        assert_eq!(recv(channel.as_mut()).await, expected, "{then}");
    }
}
