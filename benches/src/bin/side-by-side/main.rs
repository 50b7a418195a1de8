//! Calls between two processes, measured side by side: isorun, the floor beneath it, and its peers.
//!
//! The command is the conductor; for each measurement it starts a process that serves and one that calls, which are this
//! same program in another role (`child`), and for wRPC the one of `benches/wrpc`. README.md in `benches` has the method.
#![forbid(unsafe_code)]

mod answers;
mod args;
mod child;
mod floor;
mod isorun_side;
mod measure;
mod prepared;
mod process;
mod report;
mod system;
mod tarpc_side;
mod tonic_side;
mod wrpc;

use std::fs::File;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;

use benches::Function;
use clap::Parser;

use crate::args::{Args, Cli, Role};
use crate::child::{CALLERS, Error, callee, caller};
use crate::isorun_side::{Place, callers};
use crate::prepared::Prepared;
use crate::report::Row;
use crate::system::System;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.role {
        None => conduct(&cli.args),
        Some(Role::Callee { system, prepared }) => serve(system, Prepared::at(prepared)),
        Some(Role::Caller { system, case, address, prepared }) => call(system, case, &address, Prepared::at(prepared)),
    };
    if let Err(error) = outcome {
        eprintln!("side-by-side: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn conduct(args: &Args) -> Result<(), Error> {
    let systems = args.systems()?;
    // Made first: a file that can't be written shows before the long part.
    let file = args.json.as_ref().map(|path| {
        File::create(path).map_err(|error| format!("`{}` can't be written: {error}", path.display())) //
    });
    let file = file.transpose()?;
    if systems.iter().any(|system| system.is_wrpc()) {
        wrpc::build()?;
    }
    let folder = tempfile::tempdir()?;
    Prepared::make(folder.path())?;
    let mut rows = Vec::new();
    let mut failed = 0;
    for case in args.cases() {
        let (measured, failures) = rounds(args, &systems, case, folder.path());
        rows.extend(measured);
        failed += failures;
    }
    if let Some(mut file) = file {
        writeln!(file, "{:#}", report::json(&rows))?;
    }
    let mut stdout = stdout().lock();
    let Args { rounds, seconds, .. } = args;
    writeln!(stdout, "{rounds} rounds of {seconds} s, {CALLERS} callers; {}", machine()?)?;
    report::table(&mut stdout, &rows)?;
    if failed > 0 { Err(format!("{failed} measurements failed, see above").into()) } else { Ok(()) }
}

/// Measures every system once in each round, each round beginning with another, so that none is always the first or the
/// last; gives the rows, and how many measurements failed.
fn rounds(args: &Args, systems: &[System], case: Function, prepared: &Path) -> (Vec<Row>, usize) {
    let mut rows: Vec<_> = systems.iter().map(|&system| Row { case, system, samples: Vec::new() }).collect();
    let mut failed = 0;
    for round in 0..args.rounds {
        eprintln!("{}: round {} of {}", case.name(), round + 1, args.rounds);
        for place in 0..rows.len() {
            let place = (place + round as usize) % systems.len();
            match measure::sample(systems[place], case, args.seconds, prepared) {
                Ok(sample) => rows[place].samples.push(sample),
                Err(error) => {
                    eprintln!("{}, {}: {error}", case.name(), systems[place].name());
                    failed += 1;
                }
            }
        }
    }
    (rows, failed)
}

/// What else the figures depend on: the load that is left after a run shows whether the machine was its own.
fn machine() -> Result<String, Error> {
    let cores = std::thread::available_parallelism()?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown");
    Ok(format!("{cores} cores, load {load}"))
}

/// The process that serves a system.
fn serve(system: System, guests: Prepared) -> Result<(), Error> {
    match system {
        System::FloorTcp => callee(floor::serve()),
        System::IsorunTcp => callee(isorun_side::serve_tcp(guests)),
        System::IsorunUnix => callee(isorun_side::serve_unix(guests)),
        System::Tonic => callee(tonic_side::serve()),
        System::Tarpc => callee(tarpc_side::serve()),
        System::IsorunLocal | System::IsorunFused | System::HostFunc | System::WrpcTcp | System::WrpcQuic => {
            Err(format!("this program doesn't serve {}", system.name()).into())
        }
    }
}

/// The process that calls a system.
fn call(system: System, case: Function, address: &str, guests: Prepared) -> Result<(), Error> {
    match system {
        System::FloorTcp => caller(floor::connect(address)),
        System::IsorunTcp => caller(callers(isorun_side::tcp(address)?, case, guests)),
        System::IsorunUnix => caller(callers(isorun_side::unix(address)?, case, guests)),
        System::IsorunLocal => caller(callers(Place::Local, case, guests)),
        System::IsorunFused => caller(callers(Place::Fused, case, guests)),
        System::HostFunc => caller(callers(Place::Host, case, guests)),
        System::Tonic => caller(tonic_side::connect(address, case)),
        System::Tarpc => caller(tarpc_side::connect(address, case)),
        System::WrpcTcp | System::WrpcQuic => Err(format!("this program doesn't call {}", system.name()).into()),
    }
}
