//! `isorun run`.

use std::path::Path;
use std::time::Instant;

use isorun::{
    CallOptions, DEADLINE_MS_DEFAULT, Failure, Fault, InstanceHandle, InstantiateError, Ledger, StartError, Val, Wasi,
    WasiFeature,
};

use crate::args::RunArgs;
use crate::compiling::Compiling;
use crate::exit::{self, FAILED, Failed};
use crate::invoke::{Call, listed};
use crate::keys::Keys;
use crate::load;
use crate::terminal::{Terminal, while_slow};

/// The interface of commands, whose versions of the 0.2 line are all the same to us.
const COMMAND: &str = "wasi:cli/run@0.2.";

/// Runs a component; the guest's exit code.
pub async fn run(args: RunArgs, terminal: &Terminal, compiling: &Compiling) -> Result<u8, Failed> {
    let runtime = compiling.runtime()?;
    let component = load::component(&runtime, &args.component)?;
    let ledger = component.ledger();
    let call = match &args.invoke {
        Some(text) => Call::parse(ledger, "--invoke", text)?,
        None => command(ledger, &args.component).map_err(|failed| load::or_up(ledger, failed))?,
    };
    let name = load::name_of(&args.component);
    let wasi = wasi(&args);
    let (links, grants, budget, keys) = (&args.links, &args.grants, &args.budget, Keys::new(args.keys.clone()));
    let builder = load::described(&runtime, &component, links, grants, wasi, budget, &keys).await?;
    let starting = builder.name(name).instantiate();
    let instance = while_slow(&format!("compiling {}", args.component.display()), starting).await;
    let unseen = prints_unseen(ledger, &args);
    let instance = instance.map_err(|error| match &error {
        InstantiateError::Start(StartError::Start { fault, .. }) if unseen && gave_up(fault) => {
            Failed::start(&error).hint(UNSEEN)
        }
        _ => load::or_up(ledger, Failed::start(&error)),
    })?;
    tracing::info!(instance = instance.name(), function = call.name, "calling");
    let deadline_ms = args.budget.timeout.unwrap_or(DEADLINE_MS_DEFAULT);
    let results = match exec(&call, &instance, CallOptions { deadline_ms }, unseen).await? {
        Ended::Returned(results) => results,
        Ended::Exited(code) => return Ok(code),
    };
    match results.first() {
        // What a command has to say it has written itself.
        Some(result) if args.invoke.is_none() => {
            Ok(if matches!(result, Val::Result(Err(_))) { FAILED } else { exit::OK })
        }
        _ => call.print(terminal, &results),
    }
}

/// What a command has without asking: the terminal it was started at, and the arguments it was given.
fn wasi(args: &RunArgs) -> Wasi {
    let mut wasi = Wasi::inert();
    if args.invoke.is_none() {
        wasi = wasi.stdio();
    }
    if args.invoke.is_none() || !args.args.is_empty() {
        let program = args.component.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        wasi = wasi.arguments([program]).arguments(args.args.iter().cloned());
    }
    wasi
}

/// Whether the guest may have written, and nobody saw it.
fn prints_unseen(ledger: &Ledger, args: &RunArgs) -> bool {
    let is_out = |name: &str| ["wasi:cli/stdout@", "wasi:cli/stderr@"].iter().any(|out| name.starts_with(out));
    let granted = args.invoke.is_none() || args.grants.wasi.contains(&WasiFeature::Stdio);
    !granted && ledger.imports.iter().any(|import| import.name.as_deref().is_some_and(is_out))
}

/// Whether it is the trap in which a guest's own panic ends, after it has written what went wrong.
fn gave_up(fault: &Fault) -> bool {
    matches!(fault, Fault::Trapped { message } if message.contains("`unreachable`"))
}

const UNSEEN: &str = "`--wasi stdio` shows what the guest prints, such as the message of a panic";

fn command(ledger: &Ledger, file: &Path) -> Result<Call, Failed> {
    let command = ledger.exports.iter().find_map(|export| {
        let interface = export.name.as_deref().filter(|name| name.starts_with(COMMAND))?;
        export.function("run").map(|_| format!("{interface}#run"))
    });
    match command {
        Some(name) => Ok(Call { name, args: Vec::new() }),
        None => Err(Failed::usage(format!(
            "`{}` is no command: it does not export wasi:cli/run{}",
            file.display(),
            listed(ledger)
        ))
        .hint("call one of them with `--invoke 'NAME(ARGUMENT, ..)'`")),
    }
}

/// How a call ended that did not fail.
enum Ended {
    Returned(Vec<Val>),
    /// The guest ended itself; its code as a process has it.
    Exited(u8),
}

async fn exec(call: &Call, instance: &InstanceHandle, options: CallOptions, unseen: bool) -> Result<Ended, Failed> {
    let started = Instant::now();
    let error = match instance.exec_with(&call.name, &call.args, options).await {
        Ok(results) => return Ok(Ended::Returned(results)),
        Err(error) => error,
    };
    let late = started.elapsed().as_millis() >= u128::from(options.deadline_ms.min(instance.budget().wall_ms));
    match &*error.failure {
        Failure::Failed(Fault::Exited { code }) => Ok(Ended::Exited(exit::of_guest(*code))),
        // Time ran out further down a moment before it did here, and the guest had no room for that failure.
        Failure::Failed(Fault::Trapped { .. }) if late => Err(Failed::late(&error)),
        Failure::Failed(fault) if unseen && error.link.is_none() && gave_up(fault) => {
            Err(Failed::call(&error).hint(UNSEEN))
        }
        _ => Err(Failed::call(&error)),
    }
}
