//! A server that ran out of file descriptors goes on once it has some again.
#![cfg(unix)]

use std::fs::File;
use std::future::poll_fn;
use std::process::Command;
use std::task::Poll;

use isorun_core::{Listener, TransportError};
use isorun_transport_tcp::TcpTransportListener;

const CHILD: &str = "ISORUN_TEST_EXHAUSTED_CHILD";
const NAME: &str = "a_listener_short_of_file_descriptors_reports_it_pauses_and_goes_on";

/// Runs itself again in a process that may open only few files.
#[test]
fn a_listener_short_of_file_descriptors_reports_it_pauses_and_goes_on() {
    if std::env::var_os(CHILD).is_some() {
        return tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(exhausted());
    }
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

async fn exhausted() {
    let mut listener = TcpTransportListener::bind("127.0.0.1:0").await.unwrap();
    let _client = std::net::TcpStream::connect(("127.0.0.1", listener.local_address().port())).unwrap();
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }

    let error = poll_fn(|cx| listener.poll_accept(cx)).await.err();
    assert!(matches!(&error, Some(TransportError::Lost { cause }) if cause.starts_with("not accepted")), "{error:?}");
    let pauses = poll_fn(|cx| Poll::Ready(listener.poll_accept(cx).is_pending())).await;
    assert!(pauses, "a server would spin on the error");

    drop(hoard);
    assert!(poll_fn(|cx| listener.poll_accept(cx)).await.is_ok());
}
