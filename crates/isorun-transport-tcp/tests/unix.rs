//! The transport over Unix sockets: what every transport must do, and what only this one does.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use isorun_conformance::drive::{accept, connect, frame, frames, recv, recv_all, send};
use isorun_conformance::{Endpoint, conformance_suite};
use isorun_core::{Listener, PeerIdentity, Transport, TransportError};
use isorun_transport_tcp::{
    CONNECT_MS_MAX, UNIX_PATH_BYTES_MAX, UnixAddress, UnixListenError, UnixTransport, UnixTransportListener,
};
use tempfile::TempDir;
use tokio::net::UnixStream;

/// A folder of its own, short enough for a socket.
fn folder() -> TempDir {
    tempfile::Builder::new().prefix("isorun").tempdir_in("/tmp").unwrap()
}

async fn listen() -> Endpoint {
    let folder = folder();
    let path = folder.path().join("s");
    let listener = UnixTransportListener::bind(&path).await.unwrap();
    Endpoint::new(UnixTransport::new(&path).unwrap(), listener).keeping(folder)
}

conformance_suite!(listen);

#[tokio::test]
async fn what_was_sent_arrives_though_its_sender_was_dropped() {
    let (mut near, mut far) = connect(&mut listen().await).await.unwrap();
    assert_eq!(send(near.as_mut(), &mut frames(3, |_| 10)).await, Ok(()));
    drop(near);
    assert_eq!(recv_all(far.as_mut()).await, (frames(3, |_| 10), None));
}

#[tokio::test]
async fn both_ends_are_told_by_user_and_process() {
    let folder = folder();
    let (near, far) = connect(&mut listen().await).await.unwrap();
    let uid = std::os::unix::fs::MetadataExt::uid(&fs::metadata(folder.path()).unwrap());
    let expected = PeerIdentity::Anonymous { address: format!("unix:uid={uid},pid={}", std::process::id()) };
    assert_eq!((near.peer(), far.peer()), (&expected, &expected));
}

#[tokio::test]
async fn an_address_as_text_reaches_the_listener_that_says_it() {
    let folder = folder();
    let mut listener = UnixTransportListener::bind(folder.path().join("kv.sock")).await.unwrap();
    assert_eq!(listener.address(), format!("unix://{}/kv.sock", folder.path().display()));
    let transport = UnixTransport::from(listener.address().parse::<UnixAddress>().unwrap());
    assert_eq!(transport.place(), listener.address());
    let (near, far) = tokio::join!(transport.open(), accept(&mut listener));
    assert!(near.is_ok() && far.is_ok());
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

const CHILD: &str = "ISORUN_TEST_UMASK_CHILD";

/// Runs itself again in a process with a umask of its own.
#[test]
fn the_file_is_its_owners_alone_whatever_the_umask() {
    const NAME: &str = "the_file_is_its_owners_alone_whatever_the_umask";
    if let Some(path) = std::env::var_os(CHILD) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _listener = runtime.block_on(UnixTransportListener::bind(&path)).unwrap();
        assert_eq!(mode(Path::new(&path)), 0o600);
        return;
    }
    for umask in ["000", "022", "077", "177"] {
        let folder = folder();
        let output = Command::new("sh")
            .args(["-c", &format!("umask {umask} && exec \"$@\""), "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(CHILD, folder.path().join("s"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned();
        assert!(output.status.success() && said.contains("1 passed"), "{umask}: {said}");
    }
}

#[tokio::test]
async fn the_file_goes_with_the_listener_and_channels_outlive_it() {
    let folder = folder();
    let path = folder.path().join("s");
    let mut endpoint =
        Endpoint::new(UnixTransport::new(&path).unwrap(), UnixTransportListener::bind(&path).await.unwrap());
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    let (mut near, mut far) = connect(&mut endpoint).await.unwrap();
    drop(endpoint);
    assert!(!path.exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
    assert_eq!(send(near.as_mut(), &mut [frame(1, 10)].into()).await, Ok(()));
    assert_eq!(recv(far.as_mut()).await, Ok(Some(frame(1, 10))));
}

/// A socket file that nobody listens on, as a killed process leaves it behind.
fn stale(path: &Path) {
    drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    assert!(path.exists());
}

#[tokio::test]
async fn a_file_that_nobody_listens_on_is_replaced() {
    let folder = folder();
    let path = folder.path().join("s");
    stale(&path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let listener = UnixTransportListener::bind(&path).await.unwrap();
    assert_eq!(mode(&path), 0o600);
    assert!(connect(&mut Endpoint::new(UnixTransport::new(&path).unwrap(), listener)).await.is_ok());
}

/// That `path` is taken, and that whoever has it keeps it.
async fn check_taken(path: &Path) {
    let error = UnixTransportListener::bind(path).await.unwrap_err();
    assert!(matches!(error, UnixListenError::Taken { .. }), "{error:?}");
    let expected = format!("cannot listen on unix://{}: another process listens there", path.display());
    assert_eq!(error.to_string(), expected);
    assert!(path.exists());
}

#[tokio::test]
async fn a_file_that_somebody_listens_on_is_an_error_that_names_it_and_stays() {
    let folder = folder();
    let path = folder.path().join("s");
    let mut listener = UnixTransportListener::bind(&path).await.unwrap();
    check_taken(&path).await;
    drop(accept(&mut listener).await);
    let mut endpoint = Endpoint::new(UnixTransport::new(&path).unwrap(), listener);
    assert!(connect(&mut endpoint).await.is_ok());
}

/// A listener with a full backlog, and what fills it.
#[cfg(target_os = "linux")]
async fn full(path: &Path) -> (tokio::net::UnixListener, Vec<UnixStream>) {
    let socket = tokio::net::UnixSocket::new_stream().unwrap();
    socket.bind(path).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut backlog = Vec::new();
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => backlog.push(stream),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                return (listener, backlog);
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_listener_without_room_is_not_taken_for_one_that_is_gone() {
    let folder = folder();
    let path = folder.path().join("s");
    let _full = full(&path).await;
    check_taken(&path).await;
}

/// The clock is paused and jumps ahead as soon as all there is to do is wait.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn opening_waits_for_room_for_a_bounded_time() {
    let folder = folder();
    let path = folder.path().join("s");
    let (listener, _backlog) = full(&path).await;
    let transport = UnixTransport::new(&path).unwrap();
    let error = transport.open().await.err();
    let cause = format!("no answer within {CONNECT_MS_MAX} ms");
    assert_eq!(error, Some(TransportError::Unreachable { address: format!("unix://{}", path.display()), cause }));
    let (opened, accepted) = tokio::join!(transport.open(), listener.accept());
    assert!(opened.is_ok() && accepted.is_ok());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("s");
    let link = folder.path().join("link");
    fs::write(&path, "precious").unwrap();
    stale(&folder.path().join("stale"));
    std::os::unix::fs::symlink(folder.path().join("stale"), &link).unwrap();
    for path in [path.clone(), link, folder.path().to_owned()] {
        let error = UnixTransportListener::bind(&path).await.unwrap_err();
        assert!(matches!(error, UnixListenError::NotASocket { .. }), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    assert!(folder.path().join("stale").exists());
}

#[tokio::test]
async fn a_file_that_somebody_else_made_in_its_place_stays() {
    let folder = folder();
    let path = folder.path().join("s");
    let first = UnixTransportListener::bind(&path).await.unwrap();
    fs::rename(&path, folder.path().join("moved")).unwrap();
    let second = UnixTransportListener::bind(&path).await.unwrap();
    drop(first);
    assert!(connect(&mut Endpoint::new(UnixTransport::new(&path).unwrap(), second)).await.is_ok());
}

#[test]
fn of_many_that_find_a_stale_file_at_once_exactly_one_listens() {
    for _ in 0..100 {
        let folder = folder();
        let path = folder.path().join("s");
        stale(&path);
        let at_once = std::sync::Barrier::new(8);
        let bound: Vec<_> = std::thread::scope(|scope| {
            let bind = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                at_once.wait();
                let bound = runtime.block_on(UnixTransportListener::bind(&path));
                // With its runtime: the listener is kept until all have tried.
                (bound, runtime)
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(bind)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let errors: Vec<_> = bound.iter().filter_map(|(bound, _)| bound.as_ref().err()).collect();
        assert_eq!(errors.len(), 7, "{errors:?}");
        assert!(errors.iter().all(|error| matches!(error, UnixListenError::Taken { .. })), "{errors:?}");
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_stays_locked_is_an_error_after_a_bounded_time() {
    let folder = folder();
    let held = fs::File::open(folder.path()).unwrap();
    held.lock().unwrap();
    let error = UnixTransportListener::bind(folder.path().join("s")).await.unwrap_err();
    assert!(error.to_string().ends_with("its folder has been locked by another process for 1000 ms"), "{error}");
    drop(held);
    assert!(UnixTransportListener::bind(folder.path().join("s")).await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_listened_on_or_reached_is_an_error_that_names_it() {
    let folder = folder();
    let missing = folder.path().join("missing/s");
    let error = UnixTransportListener::bind(&missing).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot listen on unix://{}: ", missing.display())), "{error}");
    let Err(TransportError::Unreachable { address, .. }) = UnixTransport::new(&missing).unwrap().open().await else {
        panic!("reached {}", missing.display());
    };
    assert_eq!(address, format!("unix://{}", missing.display()));
    let path = folder.path().join("s");
    stale(&path);
    let Err(TransportError::Unreachable { cause, .. }) = UnixTransport::new(&path).unwrap().open().await else {
        panic!("reached {}", path.display());
    };
    assert!(cause.contains("refused"), "{cause}");
}

/// A path of `size` bytes in `folder`.
fn path_of(folder: &Path, size: usize) -> PathBuf {
    let name = "s".repeat(size - folder.as_os_str().len() - 1);
    folder.join(name)
}

#[tokio::test]
async fn the_longest_path_is_listened_on_and_reached_and_one_byte_more_is_refused() {
    let folder = folder();
    let path = path_of(folder.path(), UNIX_PATH_BYTES_MAX);
    let listener = UnixTransportListener::bind(&path).await.unwrap();
    assert!(connect(&mut Endpoint::new(UnixTransport::new(&path).unwrap(), listener)).await.is_ok());
    let path = path_of(folder.path(), UNIX_PATH_BYTES_MAX + 1);
    let error = UnixTransportListener::bind(&path).await.unwrap_err();
    assert!(matches!(error, UnixListenError::Address(_)));
    assert!(error.to_string().contains(&format!("{UNIX_PATH_BYTES_MAX} bytes at most")), "{error}");
    assert!(UnixTransport::new(&path).is_err());
}
