//! The `isorun` command: one component, three places.
//!
//! - `isorun run APP.wasm` runs a component's command, or with `--invoke` one function. Each `--link IFACE=PLACE` says
//!   where the code behind an import lives: `system:kv`, `local:FILE.wasm`, `tcp://HOST:PORT/NAME`.
//! - `isorun serve PROVIDER.wasm --listen tcp://127.0.0.1:7000` serves a component to other processes.
//! - `isorun demo` runs one component in all three places and compares them.
//!
//! Results go to standard output as WAVE, and nothing else does, but the one line `listening URL` of `serve`.
//! Errors and logs (`ISORUN_LOG`) go to standard error. What nobody named on the command line is not linked, not
//! shown and not served. Exit codes are in `--help`.
//!
//! This crate is the command line alone: it parses it (`args`, `place`, `units`), describes it to the facade (`load`),
//! and says how it ended (`exit`). It depends on `isorun` and on no other of its crates.
#![forbid(unsafe_code)]

mod args;
mod demo;
mod exit;
mod load;
mod place;
mod run;
mod serve;
mod signals;
mod terminal;
mod units;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};
use crate::exit::{FAILED, Failed};
use crate::signals::Signals;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = log(&cli.command).and_then(|()| start(cli.command));
    ExitCode::from(outcome.unwrap_or_else(|failed| {
        terminal::complain(&failed.text);
        failed.code
    }))
}

fn start(command: Command) -> Result<u8, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::new(FAILED, format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::catch()?;
        match command {
            Command::Run(args) => signals.or(run::run(args)).await,
            Command::Serve(args) => serve::serve(args, &mut signals).await,
            Command::Demo => signals.or(demo::demo()).await,
        }
    });
    // A guest that runs on, or a thread that reads standard input, must not keep the process.
    runtime.shutdown_background();
    outcome
}

/// Logs to standard error what `ISORUN_LOG` asks for.
fn log(command: &Command) -> Result<(), Failed> {
    let wanted = std::env::var("ISORUN_LOG").ok().filter(|wanted| !wanted.is_empty());
    let filter = wanted.as_deref().unwrap_or(match command {
        // That an instance lost its state is news to who serves it; here it ends anyway, and the error says why.
        Command::Run(_) => "warn,isorun_runtime::instance=error",
        Command::Serve(_) | Command::Demo => "warn",
    });
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failed::usage(format!("ISORUN_LOG: {error}; write a level (debug) or target=level,..")))?;
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(terminal::coloured());
    subscriber.with_env_filter(filter).init();
    Ok(())
}
