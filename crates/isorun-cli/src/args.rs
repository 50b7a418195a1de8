//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use isorun::{Access, Budget, Mount, TcpAddress, WasiFeature};

use crate::exit::exit_codes;
use crate::place::{FORMS, Place};
use crate::units;

/// Runs WebAssembly components and decides, outside the guest, where the code behind each import lives.
///
/// The same component runs with an import satisfied by this process's own code, by another component, or by a
/// component in another process: only `--link` changes. Nothing is linked, shown or served that was not named.
#[derive(Debug, Parser)]
#[command(name = "isorun", version, max_term_width = 110, after_help = AFTER_HELP, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a component: its command, or one call of a function it exports
    Run(RunArgs),
    /// Serves a component to other processes
    Serve(ServeArgs),
    /// Runs one component with its key-value store in three places, and compares them
    Demo,
}

/// Runs a component: `wasi:cli/run` with standard input and output, or with `--invoke` one exported function.
///
/// Results are printed to standard output as WAVE, one line, and all else to standard error.
#[derive(Debug, Args)]
#[command(after_help = AFTER_RUN)]
pub struct RunArgs {
    /// The component
    #[arg(value_name = "APP.wasm")]
    pub component: PathBuf,

    /// What to call, with its arguments as WAVE: `run(40)`, `get("a")`, `demo:kv/store#get("a")`
    #[arg(long, value_name = "CALL")]
    pub invoke: Option<String>,

    #[command(flatten)]
    pub links: Links,
    #[command(flatten)]
    pub grants: GrantArgs,
    #[command(flatten)]
    pub budget: BudgetArgs,

    /// The guest's own arguments, after `--`
    #[arg(last = true, value_name = "ARGS", help_heading = "Arguments")]
    pub args: Vec<String>,
}

/// Serves a component to other processes, which link to it with `--link IFACE=tcp://HOST:PORT/NAME`.
///
/// Prints `listening URL` to standard output once it accepts, and serves until SIGINT or SIGTERM. Then it takes nothing
/// new, finishes the calls that run, and ends with 0; with 1 if --drain was not enough for them. A second signal ends it
/// at once.
#[derive(Debug, Args)]
#[command(after_help = AFTER_SERVE)]
pub struct ServeArgs {
    /// The component
    #[arg(value_name = "PROVIDER.wasm")]
    pub component: PathBuf,

    /// Where to accept connections; port 0 takes a free one
    #[arg(long, value_name = "tcp://HOST:PORT")]
    pub listen: TcpAddress,

    /// The instance's name for those who link to it [default: the file's, without .wasm]
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,

    /// Whether callers share one instance and its state, or each call has a fresh one
    #[arg(long, value_enum, default_value_t = Policy::Singleton)]
    pub policy: Policy,

    /// Accept connections from other machines too, without encryption or authentication
    #[arg(long)]
    pub insecure: bool,

    /// How long calls that run may take to finish once a signal came, like 500ms or 1m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::milliseconds)]
    pub drain: u64,

    #[command(flatten)]
    pub links: Links,
    #[command(flatten)]
    pub grants: GrantArgs,
    #[command(flatten)]
    pub budget: BudgetArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// One instance that keeps its state, one call at a time
    Singleton,
    /// A fresh instance for each call
    PerCall,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Links")]
pub struct Links {
    /// Satisfies an import from a place; once for each import
    #[arg(long = "link", value_name = "IFACE=PLACE", id = "link", long_help = LINK_HELP)]
    pub all: Vec<LinkArg>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Grants")]
pub struct GrantArgs {
    /// Shows the guest a folder, `:ro` to read only
    #[arg(long = "dir", value_name = "HOST::GUEST[:ro]", value_parser = mount)]
    pub dirs: Vec<Mount>,

    /// Grants parts of WASI: clocks, random, stdio, arguments, environment
    ///
    /// Directories are granted with --dir, variables with --env, arguments after `--`. What is not granted is empty
    /// where that is harmless, and a link error where it is not.
    #[arg(long, value_name = "FEATURE,..", value_delimiter = ',')]
    pub wasi: Vec<WasiFeature>,

    /// Gives the guest a variable; those of this process stay hidden
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Budgets")]
pub struct BudgetArgs {
    /// Units of fuel, about one an instruction, for each call and all calls it makes [default: 10_000_000_000]
    ///
    /// The whole tree of calls below one is paid from N, so each `local:` component may use at most half of it in one
    /// call: an instance takes a call only from a caller that can still pay for all it may use. For the same reason a
    /// `tcp://` instance refuses callers with less fuel than its own `serve --fuel`. By default a tree has ten times
    /// what one call has.
    #[arg(long, value_name = "N", value_parser = units::fuel)]
    pub fuel: Option<u64>,

    /// Linear memory of each instance of this command, like 64MiB or 512KiB [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    pub memory: Option<u64>,

    /// Time for each call, waiting included, like 500ms or 5s [default: 10s]
    ///
    /// Sets the deadline of the call, the deadline of each call through a link, and the wall-clock budget of each
    /// instance of this command. Without it callers wait for 30s, and instances run for 10s.
    #[arg(long, value_name = "TIME", value_parser = units::milliseconds)]
    pub timeout: Option<u64>,
}

impl BudgetArgs {
    /// The budget of the component that the command is about.
    pub fn of_app(&self) -> Budget {
        let default = Budget::default();
        Budget {
            fuel: self.fuel.unwrap_or(default.fuel),
            fuel_tree: self.fuel.unwrap_or(default.fuel_tree),
            ..self.of_any(default)
        }
    }

    /// The budget of a component in a `local:` place: less than what its caller can pay.
    pub fn of_local(&self) -> Budget {
        let default = Budget::default();
        let fuel = self.fuel.map_or(default.fuel, |fuel| default.fuel.min(fuel / 2));
        Budget { fuel, ..self.of_any(default) }
    }

    fn of_any(&self, default: Budget) -> Budget {
        Budget {
            max_memory_bytes: self.memory.unwrap_or(default.max_memory_bytes),
            wall_ms: self.timeout.unwrap_or(default.wall_ms),
            ..default
        }
    }
}

/// One `--link`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkArg {
    /// The imports that it is for.
    pub import: String,
    pub place: Place,
    /// As it was written.
    pub text: String,
}

impl FromStr for LinkArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "a link is IFACE=PLACE, like demo:kv/store=local:kv.wasm";
        let Some((import, place)) = text.split_once('=') else {
            return Err(format!("`{text}` has no `=`: {form}; {FORMS}"));
        };
        if import.is_empty() {
            return Err(format!("`{text}` names no import: {form}"));
        }
        Ok(Self { import: import.into(), place: place.parse()?, text: text.into() })
    }
}

fn mount(text: &str) -> Result<Mount, String> {
    let form = || format!("`{text}` is no folder to show: write HOST::GUEST or HOST::GUEST:ro, like data::/data:ro");
    let (host, guest) = text.split_once("::").ok_or_else(form)?;
    let (guest, access) = match guest.strip_suffix(":ro") {
        Some(guest) => (guest, Access::ReadOnly),
        None => (guest, Access::ReadWrite),
    };
    if host.is_empty() || guest.is_empty() { Err(form()) } else { Ok(Mount::new(host, guest, access)) }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err(format!("`{text}` is no variable: write NAME=VALUE")),
    }
}

const LINK_HELP: &str = "\
Satisfies an import from a place; once for each import

IFACE is one of
  demo:kv/store         an interface, with or without its version
  demo:kv               a package: whatever is imported of it
  add                   a function at the root
  *                     all that is left over, but wasi:*

PLACE is one of
  system:kv             a key-value store in this process's own code, for demo:kv/store;
                        with rules: system:kv?deny=KEY&absent-is-error=KEY
  local:FILE.wasm       another component in this process: one instance of each file,
                        which gets no links and no grants itself
  tcp://HOST:PORT/NAME  an instance that `isorun serve` serves there";

const AFTER_HELP: &str = concat!(
    "\
Examples:
  isorun demo
  isorun run app.wasm --link demo:kv/store=system:kv --invoke 'run(40)'
  isorun run app.wasm --link demo:kv/store=local:kv.wasm --invoke 'run(40)'
  isorun serve kv.wasm --listen tcp://127.0.0.1:7000
  isorun run app.wasm --link demo:kv/store=tcp://127.0.0.1:7000/kv --invoke 'run(40)'

",
    exit_codes!()
);

const AFTER_RUN: &str = concat!(
    "\
Examples:
  isorun run command.wasm --wasi clocks,random --env LANG=C -- --verbose input.txt
  isorun run app.wasm --link demo:kv/store=local:kv.wasm --invoke 'run(40)'
  isorun run app.wasm --link '*=tcp://127.0.0.1:7000/kv' --timeout 500ms --invoke 'run(40)'
  isorun run files.wasm --dir photos::/photos:ro --invoke 'run(\"list\", \"/photos\", \"\")'

",
    exit_codes!()
);

const AFTER_SERVE: &str = concat!(
    "\
Examples:
  isorun serve kv.wasm --listen tcp://127.0.0.1:7000
  isorun serve kv.wasm --listen tcp://127.0.0.1:0 --as store --policy per-call --timeout 1s
  isorun serve cache.wasm --listen tcp://127.0.0.1:7001 --link demo:kv/store=tcp://127.0.0.1:7000/kv

",
    exit_codes!()
);
