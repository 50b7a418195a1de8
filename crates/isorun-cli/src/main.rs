//! The `isorun` command: one component, three places.
//!
//! - `isorun run APP.wasm` runs a component's command, or with `--invoke` one function. Each `--link IFACE=PLACE` says
//!   where the code behind an import lives: `system:kv`, `local:FILE.wasm`, `tcp://HOST:PORT/NAME`,
//!   `tls://HOST:PORT/NAME`, `quic://HOST:PORT/NAME`.
//! - `isorun serve PROVIDER.wasm --listen tcp://127.0.0.1:7000` serves a component to other processes.
//! - `isorun call PLACE CALL` calls what is served, without any component: the peer describes itself.
//! - `isorun inspect FILE|PLACE` shows types as WIT; `isorun check APP.wasm` links and runs nothing.
//! - `isorun compile FILE..` compiles components beforehand.
//! - `isorun cert` makes certificates for `tls://` and `quic://` places.
//! - `isorun up FILE.toml` runs components that live and exchange messages; `isorun ps`, `logs`, `send` and `ask` look at
//!   them and talk to them.
//! - `isorun demo` runs one component in all three places and compares them.
//!
//! Results go to standard output as WAVE or JSON, and nothing else does, but where `serve` listens.
//! Errors and logs (`ISORUN_LOG`) go to standard error. What nobody named on the command line is not linked, not
//! shown and not served. Exit codes are in `--help`.
//!
//! This crate is the command line alone: it parses it (`args`, `address`, `place`, `units`, `invoke`), describes it to the facade
//! (`load`), and says what came of it (`terminal`, `json`) and how it ended (`exit`), with what helps (`hint`) and without
//! passwords (`secret`). It depends on `isorun` and on no
//! other of its crates.
#![forbid(unsafe_code)]

mod address;
mod args;
mod call;
mod cert;
mod check;
mod compiling;
mod completion;
#[cfg(unix)]
mod control;
mod dead;
mod demo;
mod exit;
mod help;
mod hint;
mod inspect;
mod invoke;
mod json;
mod keys;
mod load;
mod look;
mod manifest;
mod monitor;
mod nats;
mod node;
mod pipe;
mod place;
mod run;
mod secret;
mod serve;
mod signals;
mod tell;
mod terminal;
mod units;
mod up;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::args::{Cli, Command, Output};
use crate::compiling::Compiling;
use crate::exit::{FAILED, Failed};
use crate::signals::Signals;
use crate::terminal::Terminal;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misread(&error),
    };
    let terminal = Terminal { output: cli.global.output };
    let keys = cli.command.keys().cloned().unwrap_or_default();
    let outcome = enter(cli.global.dir.as_deref()).and_then(|()| start(cli, &terminal));
    ExitCode::from(outcome.unwrap_or_else(|failed| {
        let failed = keys.explain(failed);
        terminal.complain(&failed);
        failed.code
    }))
}

/// Says what is wrong with a command line, or the help that it asks for.
fn misread(error: &clap::Error) -> ExitCode {
    // What could not be read can't say how it is to be answered, but for words that leave no doubt.
    let args: Vec<_> = std::env::args_os().skip(1).take_while(|arg| arg != "--").collect();
    let pair = args.windows(2).any(|pair| (pair[0] == "-o" || pair[0] == "--output") && pair[1] == "json");
    let json = pair || args.iter().any(|arg| arg == "-ojson" || arg == "-o=json" || arg == "--output=json");
    if json && error.use_stderr() {
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        Terminal { output: Output::Json }.complain(&Failed::usage(text));
        return ExitCode::from(exit::USAGE);
    }
    terminal::print_misread(error);
    ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK })
}

/// Goes to the folder of `-C`.
fn enter(dir: Option<&Path>) -> Result<(), Failed> {
    let Some(dir) = dir else { return Ok(()) };
    std::env::set_current_dir(dir)
        .map_err(|error| Failed::usage(format!("-C: cannot go to `{}`: {error}", dir.display())))
}

fn start(cli: Cli, terminal: &Terminal) -> Result<u8, Failed> {
    let compiling = Compiling::of(&cli.global);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::new(FAILED, format!("cannot start threads: {error}")))?;
    let log = {
        let _inside = runtime.enter();
        Log::start(&cli)?
    };
    let outcome = runtime.block_on(async {
        let mut signals = Signals::catch()?;
        match cli.command {
            Command::Run(args) => signals.or(run::run(args, terminal, &compiling)).await,
            Command::Serve(args) => serve::serve(args, terminal, &compiling, &mut signals).await,
            Command::Call(args) => signals.or(call::call(args, terminal)).await,
            Command::Pipe(args) => signals.or(pipe::pipe(args, terminal, &compiling)).await,
            Command::Inspect(args) => signals.or(inspect::inspect(args, terminal)).await,
            Command::Check(args) => signals.or(check::check(args, terminal, &compiling)).await,
            Command::Compile(args) => signals.or(compiling::compile(args, terminal, &compiling)).await,
            Command::Cert(args) => cert::cert(args, terminal),
            Command::Up(args) => up::up(args, terminal, &compiling, &mut signals).await,
            Command::Ps(args) => signals.or(look::ps(args, terminal)).await,
            Command::Logs(args) => signals.or(look::logs(args, terminal)).await,
            Command::Send(args) => signals.or(tell::send(args, terminal)).await,
            Command::Ask(args) => signals.or(tell::ask(args, terminal)).await,
            Command::Demo => signals.or(demo::demo(terminal, &compiling)).await,
            Command::Completion(args) => completion::completion(&args),
        }
    });
    log.end();
    // A guest that runs on, or a thread that reads standard input, must not keep the process.
    runtime.shutdown_background();
    outcome
}

/// What the process says of itself while it runs.
struct Log {
    #[cfg(feature = "otlp")]
    otlp: Option<isorun::Otlp>,
}

impl Log {
    /// Logs to standard error what `--log-level` or `ISORUN_LOG` asks for; with feature `otlp`, sends traces as the
    /// `OTEL_*` variables say.
    ///
    /// Needs a tokio runtime.
    fn start(cli: &Cli) -> Result<Self, Failed> {
        let wanted = std::env::var("ISORUN_LOG").ok().filter(|wanted| !wanted.is_empty());
        let filter = cli.global.log_level.as_deref().or(wanted.as_deref()).unwrap_or(match cli.command {
            // That an instance lost its state is news to who serves it; here it ends anyway, and the error says why.
            Command::Run(_) | Command::Pipe(_) => "warn,isorun_runtime::instance=error",
            _ => "warn",
        });
        // What isorun says of a NATS server is enough, unless the client library's own lines are asked for.
        let filter = if filter == "info" { "info,async_nats=warn" } else { filter };
        let filter = EnvFilter::try_new(filter)
            .map_err(|error| Failed::usage(format!("ISORUN_LOG: {error}; write a level (debug) or target=level,..")))?;
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(terminal::coloured());
        // Calls' spans are for collectors: lines of logs stay short, and calls cheap.
        let no_calls = filter_fn(|what| !(what.is_span() && what.target().starts_with("isorun::")));
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter.and(no_calls)));
        #[cfg(feature = "otlp")]
        {
            let otlp = isorun::Otlp::from_env().map_err(|error| Failed::usage(error.to_string()))?;
            subscriber.with(otlp.as_ref().map(isorun::Otlp::layer)).init();
            Ok(Self { otlp })
        }
        #[cfg(not(feature = "otlp"))]
        {
            subscriber.init();
            Ok(Self {})
        }
    }

    /// Sends what is left of the traces.
    fn end(self) {
        #[cfg(feature = "otlp")]
        if let Some(Err(error)) = self.otlp.map(isorun::Otlp::shutdown) {
            tracing::warn!(%error, "traces are missing at their collector");
        }
    }
}
