//! `isorun serve`.

use std::pin::pin;

use isorun::{Audience, Decision, Grants, InstanceBuilder, InstanceHandle, Ledger, Listener, Runtime, Wasi};
use serde_json::json;

use crate::address::PeerPlace;
use crate::args::{AllowArg, ServeArgs};
use crate::compiling::Compiling;
use crate::exit::{self, FAILED, Failed};
use crate::keys::Keys;
use crate::monitor::Monitor;
use crate::signals::Signals;
use crate::terminal::{self, Terminal};
use crate::{load, nats};

/// Serves a component until a signal, and then to the end of what runs.
pub async fn serve(
    args: ServeArgs,
    terminal: &Terminal,
    compiling: &Compiling,
    signals: &mut Signals,
) -> Result<u8, Failed> {
    let drain_ms = args.drain;
    let (runtime, listener, monitor) = signals.or(listening(args, terminal, compiling)).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut served = pin!(runtime.serve_until(listener, async { drop(stopped.await) }, drain_ms));
    tokio::select! {
        _ = &mut served => return Err(Failed::new(FAILED, "the listener ended by itself")),
        signal = signals.next() => tracing::info!(?signal, drain_ms, "ending"),
    }
    // Those who ask before they connect hear of it first.
    if let Some(monitor) = &monitor {
        monitor.drain();
    }
    drop(stop);
    let drained = async {
        match served.await {
            0 => Ok(exit::OK),
            cut => {
                let text = format!(
                    "cut off after {drain_ms} ms with calls under way: {cut} of the connections; \
                    `--drain TIME` gives them longer"
                );
                Err(Failed::new(FAILED, text))
            }
        }
    };
    signals.or(drained).await
}

/// Starts the instance, and then listens: who connects finds it.
async fn listening(
    args: ServeArgs,
    terminal: &Terminal,
    compiling: &Compiling,
) -> Result<(Runtime, Box<dyn Listener>, Option<Monitor>), Failed> {
    let mut grants = Grants::new();
    if args.insecure {
        grants = grants.insecure();
    }
    // Where peers prove who they are, anybody may try.
    if !args.listen.authenticates()
        && let Decision::Denied { reason } = grants.may_listen(args.listen.stays_here())
    {
        let address = &args.listen;
        return Err(Failed::usage(match address.over_tls() {
            Some(tls) => format!(
                "will not listen on {address}: what passes that NATS server is neither encrypted nor \
                 authenticated on the way; `{tls}` is, or `--insecure` allows it"
            ),
            None => format!("will not listen on {address}: {reason}"),
        }));
    }
    let keys = Keys::new(args.keys.clone());
    if args.listen.authenticates() {
        // Before anything is compiled: what is missing is told at once.
        keys.credentials(&args.listen)?;
    }
    allowed(&args)?;
    // Before anything is linked, so that everything is counted.
    let monitor = match args.metrics {
        Some(address) => Some(Monitor::start(address, &grants).await?),
        None => None,
    };

    let runtime = compiling.runtime_for(args.policy, &args.budget.of_app())?;
    let component = load::component(&runtime, &args.component)?;
    let name = args.name.clone().unwrap_or_else(|| load::name_of(&args.component));
    let (links, wasi) = (&args.links, Wasi::inert());
    let builder = load::described(&runtime, &component, links, &args.grants, wasi, &args.budget, &keys).await?;
    let builder = builder.serving(args.policy).register_as(&name);
    let allow =
        |builder: InstanceBuilder, allow: &AllowArg| builder.allow(allow.capability.clone(), allow.audience.clone());
    let builder = args.allow.iter().fold(builder, allow);
    for allow in &args.allow {
        exported(allow, component.ledger())?;
    }
    let what = format!("compiling {}", args.component.display());
    let instance = terminal::while_slow(&what, builder.instantiate()).await;
    let instance = instance.map_err(|error| load::or_up(component.ledger(), Failed::start(&error)))?;

    let announcement = nats::announcement(&component, &instance);
    let (listener, address) = args.listen.listen(&keys, &name, announcement).await?;
    tracing::info!(%address, instance = %name, policy = ?args.policy, "serving");
    let metrics = monitor.as_ref().map(Monitor::url);
    if let Some(monitor) = &monitor {
        monitor.ready(&runtime);
    }
    let text = || match &metrics {
        Some(metrics) => format!("listening {address}\nmetrics {metrics}"),
        None => format!("listening {address}"),
    };
    let listening = || match &metrics {
        Some(metrics) => json!({ "listening": address.to_string(), "instance": name, "metrics": metrics }),
        None => json!({ "listening": address.to_string(), "instance": name }),
    };
    terminal.result(text, listening)?;
    if terminal::is_watched() {
        remark(&instance, &PeerPlace { address, instance: name });
    }
    Ok((runtime, listener, monitor))
}

/// Refuses names that nobody can prove.
fn allowed(args: &ServeArgs) -> Result<(), Failed> {
    let named = |allow: &&AllowArg| matches!(allow.audience, Audience::Named(_));
    match args.allow.iter().find(named) {
        Some(allow) if !args.listen.authenticates() => {
            let (text, address) = (&allow.text, &args.listen);
            let why = "nobody can prove a name there";
            Err(Failed::usage(format!("--allow {text}: at {address} {why}; listen at a tls:// or quic:// address")))
        }
        _ => Ok(()),
    }
}

/// Refuses what is for nothing that the component has, which is a slip of the pen.
fn exported(allow: &AllowArg, ledger: &Ledger) -> Result<(), Failed> {
    let functions = || {
        ledger.exports.iter().flat_map(|export| {
            export.functions.iter().map(move |function| (export.name.as_deref(), function.name.as_str()))
        })
    };
    // Of whatever instance: it is narrowed to this one when it is registered.
    if functions().any(|(interface, function)| allow.capability.covers("", interface, function)) {
        return Ok(());
    }
    let name = |(interface, function): (Option<&str>, &str)| match interface {
        Some(interface) => format!("{interface}#{function}"),
        None => function.to_owned(),
    };
    let known: Vec<_> = functions().map(name).collect();
    let (text, known) = (&allow.text, known.join(", "));
    Err(Failed::usage(format!("--allow {text}: the component exports nothing like that; there are: {known}")))
}

/// How to link to what is served, for whoever sits in front of it.
fn remark(instance: &InstanceHandle, place: &PeerPlace) {
    for export in &instance.ledger().exports {
        let imports: Vec<_> = match &export.name {
            Some(name) => vec![name],
            None => export.functions.iter().map(|function| &function.name).collect(),
        };
        for import in imports {
            terminal::remark(&format!("link to it with --link {import}={place}"));
        }
    }
}
