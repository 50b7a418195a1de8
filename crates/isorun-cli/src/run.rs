//! `isorun run`.

use std::path::Path;

use isorun::{
    CallOptions, DEADLINE_MS_DEFAULT, Failure, Fault, Function, InstanceHandle, Ledger, Val, Wasi, nearest, wave,
};

use crate::args::RunArgs;
use crate::exit::{self, FAILED, Failed};
use crate::{load, terminal};

/// The interface of commands, whose versions of the 0.2 line are all the same to us.
const COMMAND: &str = "wasi:cli/run@0.2.";

/// Runs a component; the guest's exit code.
pub async fn run(args: RunArgs) -> Result<u8, Failed> {
    let runtime = load::runtime()?;
    let component = load::component(&runtime, &args.component)?;
    let ledger = component.ledger();
    let call = match &args.invoke {
        Some(text) => Call::parse(ledger, text)?,
        None => Call::command(ledger, &args.component)?,
    };
    let name = load::name_of(&args.component);
    let wasi = wasi(&args);
    let builder = load::described(&runtime, &component, &args.links.all, &args.grants, wasi, &args.budget).await?;
    let instance = builder.name(name).instantiate().await.map_err(|error| Failed::start(&error))?;
    tracing::info!(instance = instance.name(), function = call.name, "calling");
    let deadline_ms = args.budget.timeout.unwrap_or(DEADLINE_MS_DEFAULT);
    call.exec(&instance, CallOptions { deadline_ms }).await
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

/// A call of an exported function.
struct Call {
    /// As the instance takes it.
    name: String,
    args: Vec<Val>,
    /// Whether its result is the command's, and nothing to print.
    is_command: bool,
}

impl Call {
    /// Reads `name(argument, ..)`; the parentheses may be left out where there are no arguments.
    fn parse(ledger: &Ledger, text: &str) -> Result<Self, Failed> {
        let text = if text.contains('(') { text.to_owned() } else { format!("{text}()") };
        let call = wave::parse_call(&text).map_err(|error| Failed::usage(format!("--invoke: {error}")))?;
        let (name, function) = find(ledger, call.function()).ok_or_else(|| not_exported(ledger, call.function()))?;
        let args = call.args(&ledger.types, function).map_err(|error| {
            let signature = shown(ledger, &name, function);
            Failed::usage(format!("--invoke `{text}`: {error}")).hint(format!("the function is {signature}"))
        })?;
        Ok(Self { name, args, is_command: false })
    }

    fn command(ledger: &Ledger, file: &Path) -> Result<Self, Failed> {
        let command = ledger.exports.iter().find_map(|export| {
            let interface = export.name.as_deref().filter(|name| name.starts_with(COMMAND))?;
            export.function("run").map(|_| format!("{interface}#run"))
        });
        match command {
            Some(name) => Ok(Self { name, args: Vec::new(), is_command: true }),
            None => Err(Failed::usage(format!(
                "`{}` is no command: it does not export wasi:cli/run{}",
                file.display(),
                listed(ledger)
            ))
            .hint("call one of them with `--invoke 'NAME(ARGUMENT, ..)'`")),
        }
    }

    async fn exec(&self, instance: &InstanceHandle, options: CallOptions) -> Result<u8, Failed> {
        let results = match instance.exec_with(&self.name, &self.args, options).await {
            Ok(results) => results,
            Err(error) => {
                return match &*error.failure {
                    Failure::Failed(Fault::Exited { code }) => Ok(exit::of_guest(*code)),
                    _ => Err(Failed::call(&error)),
                };
            }
        };
        let Some(result) = results.first() else { return Ok(exit::OK) };
        if !self.is_command {
            let text = wave::render(result)
                .map_err(|error| Failed::new(FAILED, format!("cannot print the result of `{}`: {error}", self.name)))?;
            terminal::print(&text)?;
        }
        Ok(if matches!(result, Val::Result(Err(_))) { FAILED } else { exit::OK })
    }
}

/// The export that `name` means, and its full name: `run` at the root, `ns:pkg/iface#run` with or without a version.
fn find<'a>(ledger: &'a Ledger, name: &str) -> Option<(String, &'a Function)> {
    let Some((wanted, name)) = name.split_once('#') else {
        return Some((name.to_owned(), ledger.export(None)?.function(name)?));
    };
    let unversioned =
        |export: &&isorun::Interface| export.name.as_deref().is_some_and(|name| name.split('@').next() == Some(wanted));
    let export = ledger.export(Some(wanted)).or_else(|| ledger.exports.iter().find(unversioned))?;
    Some((format!("{}#{name}", export.name.as_deref()?), export.function(name)?))
}

fn not_exported(ledger: &Ledger, name: &str) -> Failed {
    let names: Vec<_> = functions(ledger).map(|(name, _)| name).collect();
    let near = nearest(name, names.iter().map(String::as_str));
    let near = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
    Failed::usage(format!("the component exports no function `{name}`{near}{}", listed(ledger)))
}

fn functions(ledger: &Ledger) -> impl Iterator<Item = (String, &Function)> {
    ledger.exports.iter().flat_map(|export| {
        let prefix = export.name.as_ref().map(|name| format!("{name}#")).unwrap_or_default();
        export.functions.iter().map(move |function| (format!("{prefix}{}", function.name), function))
    })
}

/// The exported functions, for the end of a message.
fn listed(ledger: &Ledger) -> String {
    let lines: String =
        functions(ledger).map(|(name, function)| format!("\n  {}", shown(ledger, &name, function))).collect();
    if lines.is_empty() { "; it exports no function".into() } else { format!("; it exports:{lines}") }
}

/// A function with its types, as one writes a call of it.
fn shown(ledger: &Ledger, name: &str, function: &Function) -> String {
    let types = &ledger.types;
    let params: Vec<_> =
        function.params.iter().map(|param| format!("{}: {}", param.name, types.wit(param.ty))).collect();
    let result = function.result.map(|ty| format!(" -> {}", types.wit(ty))).unwrap_or_default();
    format!("{name}({}){result}", params.join(", "))
}
