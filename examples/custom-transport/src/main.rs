//! Sends frames to a child process and gets them back: `cargo run -p custom-transport`.
//!
//! `custom-transport forward SOCKET` is such a child too: it joins its stdin and stdout with a
//! Unix socket that isorun listens on, and so `ssh HOST custom-transport forward SOCKET` reaches
//! it from another machine.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "an example talks")]

#[cfg(unix)]
mod forward;

use std::error::Error;
use std::future::poll_fn;

use bytes::Bytes;
use custom_transport::{ChildTransport, stdio};
use isorun_core::{Channel, Transport, TransportError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ended: Result<(), Box<dyn Error>> = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["answer"] => answer(stdio().await?).await.map_err(Into::into),
        #[cfg(unix)]
        ["forward", socket] => forward::to_socket(socket).await,
        _ => return ask().await,
    };
    if let Err(error) = &ended {
        eprintln!("{error}");
    }
    // A thread of tokio's may still wait for stdin, and returning would wait for it.
    std::process::exit(ended.is_err().into());
}

/// Calls this very program as a child, twice.
async fn ask() -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    let child = ChildTransport(vec![program, "answer".into()]);
    for text in ["hello", "who is there?"] {
        let reply = child.call(Bytes::from(text)).await?;
        println!("{text} -> {}", String::from_utf8_lossy(&reply));
    }
    Ok(())
}

/// Answers one frame, in capitals.
async fn answer(mut channel: impl Channel) -> Result<(), TransportError> {
    let request = poll_fn(|cx| channel.poll_recv(cx)).await?.ok_or(TransportError::Closed)?;
    let mut queue = [request.to_ascii_uppercase().into()].into();
    poll_fn(|cx| channel.poll_send(cx, &mut queue)).await?;
    poll_fn(|cx| channel.poll_close(cx)).await
}
