//! wRPC's side of `side-by-side`: the calling guest's imports over one of its transports, the serving guest behind it.
//!
//! `bench-wrpc callee SYSTEM` serves and says where; `bench-wrpc caller SYSTEM CASE ADDRESS` calls. `side-by-side` builds
//! and starts both; nobody else needs to. The versions are pinned to the line that builds with isorun's Rust.
#![forbid(unsafe_code)]

mod callee;
mod caller;
#[path = "../../src/bin/side-by-side/child.rs"]
mod child;
mod host;
mod quic;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["callee", "wrpc-tcp"] => child::callee(callee::serve_tcp()),
        ["callee", "wrpc-quic"] => child::callee(callee::serve_quic()),
        ["caller", "wrpc-tcp", case, address] => caller::over_tcp(case, address),
        ["caller", "wrpc-quic", case, address] => caller::over_quic(case, address),
        _ => Err("`callee SYSTEM` and `caller SYSTEM CASE ADDRESS` are what `side-by-side` starts this with".into()),
    };
    if let Err(error) = outcome {
        eprintln!("bench-wrpc: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
