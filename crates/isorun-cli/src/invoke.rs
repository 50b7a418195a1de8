//! Calls as they stand on a command line, read by what a component or peer says of its functions.

use isorun::{Function, Ledger, Val, nearest, wave};

use crate::exit::{self, FAILED, Failed};
use crate::json;
use crate::terminal::Terminal;

/// A call of an exported function.
pub struct Call {
    /// As the instance takes it.
    pub name: String,
    pub args: Vec<Val>,
}

impl Call {
    /// Reads `name(argument, ..)`; the parentheses may be left out where there are no arguments.
    ///
    /// `what` is what the text is called in messages.
    pub fn parse(ledger: &Ledger, what: &str, text: &str) -> Result<Self, Failed> {
        let text = if text.contains('(') { text.to_owned() } else { format!("{text}()") };
        let call = wave::parse_call(&text).map_err(|error| Failed::usage(format!("{what}: {error}")))?;
        let (name, function) = find(ledger, call.function()).ok_or_else(|| not_exported(ledger, call.function()))?;
        let args = call.args(&ledger.types, function).map_err(|error| {
            let signature = shown(ledger, &name, function);
            Failed::usage(format!("{what} `{text}`: {error}")).hint(format!("the function is {signature}"))
        })?;
        Ok(Self { name, args })
    }

    /// Prints what came back; the command's exit code.
    pub fn print(&self, terminal: &Terminal, results: &[Val]) -> Result<u8, Failed> {
        let unprintable = |error| Failed::new(FAILED, format!("cannot print the result of `{}`: {error}", self.name));
        match results.first() {
            // The text says whether it can be written at all, so it comes first.
            Some(result) => {
                let text = wave::render(result).map_err(unprintable)?;
                terminal.result(|| text.clone(), || json::result(&text, result))?;
            }
            None => terminal.result(String::new, || serde_json::Value::Null)?,
        }
        Ok(if matches!(results.first(), Some(Val::Result(Err(_)))) { FAILED } else { exit::OK })
    }
}

/// The export that `name` means, and its full name.
fn find<'a>(ledger: &'a Ledger, name: &str) -> Option<(String, &'a Function)> {
    let (export, function) = ledger.exported(name)?;
    let interface = export.name.as_ref().map(|name| format!("{name}#")).unwrap_or_default();
    Some((format!("{interface}{}", function.name), function))
}

fn not_exported(ledger: &Ledger, name: &str) -> Failed {
    let names: Vec<_> = functions(ledger).map(|(name, _)| name).collect();
    let unversioned = |name: &str| match (name.split_once('@'), name.split_once('#')) {
        (Some((interface, _)), Some((_, function))) => format!("{interface}#{function}"),
        _ => name.to_owned(),
    };
    // Whoever leaves the version out is not far off for that.
    let written = |known: &String| if name.contains('@') { known.clone() } else { unversioned(known) };
    let written: Vec<_> = names.iter().map(written).collect();
    let near = near(name, &written);
    let near = if near.is_empty() { near } else { format!(" (did you mean {near}?)") };
    Failed::usage(format!("there is no exported function `{name}`{near}{}", listed(ledger)))
}

/// The full names that may have been meant.
fn near(name: &str, full: &[String]) -> String {
    let bare = |full: &String| full.rsplit('#').next().unwrap_or(full) == name;
    let same: Vec<_> = full.iter().filter(|full| bare(full)).take(NEAR_MAX).map(|full| format!("`{full}`")).collect();
    match nearest(name, full.iter().map(String::as_str)) {
        _ if !same.is_empty() => same.join(" or "),
        Some(near) => format!("`{near}`"),
        None => String::new(),
    }
}

/// Most interfaces that a message names for one function.
const NEAR_MAX: usize = 3;

fn functions(ledger: &Ledger) -> impl Iterator<Item = (String, &Function)> {
    ledger.exports.iter().flat_map(|export| {
        let prefix = export.name.as_ref().map(|name| format!("{name}#")).unwrap_or_default();
        export.functions.iter().map(move |function| (format!("{prefix}{}", function.name), function))
    })
}

/// The exported functions, for the end of a message.
pub fn listed(ledger: &Ledger) -> String {
    let lines: String =
        functions(ledger).map(|(name, function)| format!("\n  {}", shown(ledger, &name, function))).collect();
    if lines.is_empty() { "; no function is exported".into() } else { format!("; there are:{lines}") }
}

/// A function with its types, as one writes a call of it.
fn shown(ledger: &Ledger, name: &str, function: &Function) -> String {
    let types = &ledger.types;
    let params: Vec<_> =
        function.params.iter().map(|param| format!("{}: {}", param.name, types.wit(param.ty))).collect();
    let result = function.result.map(|ty| format!(" -> {}", types.wit(ty))).unwrap_or_default();
    format!("{name}({}){result}", params.join(", "))
}
