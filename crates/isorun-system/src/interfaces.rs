//! WASI, package by package: which interfaces there are, and what puts them into a linker.

use isorun_runtime::{GuestExit, HostState};
use wasmtime::StoreContextMut;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::WasiCli;
use wasmtime_wasi::clocks::WasiClocks;
use wasmtime_wasi::filesystem::WasiFilesystem;
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi_io::bindings::wasi::io;

use crate::{sockets, state};

/// The version that wasmtime-wasi brings; the linker takes imports of all 0.2.x for it.
const VERSION: &str = "0.2.12";

/// A package of WASI that can be linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Package {
    Cli,
    Clocks,
    Filesystem,
    Io,
    Random,
    Sockets,
}

impl Package {
    /// Its name, as a selector takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cli => "wasi:cli",
            Self::Clocks => "wasi:clocks",
            Self::Filesystem => "wasi:filesystem",
            Self::Io => "wasi:io",
            Self::Random => "wasi:random",
            Self::Sockets => "wasi:sockets",
        }
    }

    fn short_names(self) -> &'static [&'static str] {
        match self {
            Self::Cli => &[
                "environment",
                "exit",
                "stdin",
                "stdout",
                "stderr",
                "terminal-input",
                "terminal-output",
                "terminal-stdin",
                "terminal-stdout",
                "terminal-stderr",
            ],
            Self::Clocks => &["wall-clock", "monotonic-clock"],
            Self::Filesystem => &["types", "preopens"],
            Self::Io => &["error", "poll", "streams"],
            Self::Random => &["random", "insecure", "insecure-seed"],
            Self::Sockets => sockets::INTERFACES,
        }
    }

    /// Its interfaces, as `wasi:pkg/iface@version`.
    pub(crate) fn interfaces(self) -> impl Iterator<Item = String> {
        self.short_names().iter().map(move |name| format!("{}/{name}@{VERSION}", self.name()))
    }

    /// Defines all its functions.
    pub(crate) fn install(self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        match self {
            Self::Cli => install_cli(linker),
            Self::Clocks => {
                clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, state::clocks)?;
                clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, state::clocks)
            }
            Self::Filesystem => {
                filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, state::filesystem)?;
                filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, state::filesystem)
            }
            Self::Io => {
                io::error::add_to_linker::<_, HasTable>(linker, state::table)?;
                io::poll::add_to_linker::<_, HasTable>(linker, state::table)?;
                io::streams::add_to_linker::<_, HasTable>(linker, state::table)
            }
            Self::Random => {
                random::random::add_to_linker::<_, WasiRandom>(linker, state::random)?;
                random::insecure::add_to_linker::<_, WasiRandom>(linker, state::random)?;
                random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, state::random)
            }
            Self::Sockets => sockets::install(linker, VERSION),
        }
    }
}

/// `wasi:io` works on the table of resources alone.
struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

fn install_cli(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    cli::environment::add_to_linker::<_, WasiCli>(linker, state::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, state::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, state::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, state::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, state::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, state::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, state::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, state::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, state::cli)?;

    // Not wasmtime-wasi's: its error is a type of its own, and the runtime knows `GuestExit`.
    type Cx<'a> = StoreContextMut<'a, HostState>;
    let mut exit = linker.instance(&format!("wasi:cli/exit@{VERSION}"))?;
    exit.func_wrap("exit", |_: Cx<'_>, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
        Err(GuestExit { code: i32::from(status.is_err()) }.into())
    })?;
    exit.func_wrap("exit-with-code", |_: Cx<'_>, (code,): (u8,)| -> wasmtime::Result<()> {
        Err(GuestExit { code: code.into() }.into())
    })
}
