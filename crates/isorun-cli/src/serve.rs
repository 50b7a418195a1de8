//! `isorun serve`.

use std::pin::pin;

use isorun::{Decision, Grants, InstanceHandle, Listener, Runtime, Wasi};
use serde_json::json;

use crate::address::PeerPlace;
use crate::args::ServeArgs;
use crate::compiling::Compiling;
use crate::exit::{self, FAILED, Failed};
use crate::load;
use crate::signals::Signals;
use crate::terminal::{self, Terminal};

/// Serves a component until a signal, and then to the end of what runs.
pub async fn serve(
    args: ServeArgs,
    terminal: &Terminal,
    compiling: &Compiling,
    signals: &mut Signals,
) -> Result<u8, Failed> {
    let drain_ms = args.drain;
    let (runtime, listener) = signals.or(listening(args, terminal, compiling)).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut served = pin!(runtime.serve_until(listener, async { drop(stopped.await) }, drain_ms));
    tokio::select! {
        _ = &mut served => return Err(Failed::new(FAILED, "the listener ended by itself")),
        signal = signals.next() => tracing::info!(?signal, drain_ms, "ending"),
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
) -> Result<(Runtime, Box<dyn Listener>), Failed> {
    let mut grants = Grants::new();
    if args.insecure {
        grants = grants.insecure();
    }
    if let Decision::Denied { reason } = grants.may_listen(args.listen.stays_here()) {
        return Err(Failed::usage(format!("will not listen on {}: {reason}", args.listen)));
    }

    let runtime = compiling.runtime_for(args.policy, &args.budget.of_app())?;
    let component = load::component(&runtime, &args.component)?;
    let name = args.name.clone().unwrap_or_else(|| load::name_of(&args.component));
    let (links, wasi) = (&args.links, Wasi::inert());
    let builder = load::described(&runtime, &component, links, &args.grants, wasi, &args.budget).await?;
    let builder = builder.serving(args.policy).register_as(&name);
    let what = format!("compiling {}", args.component.display());
    let instance = terminal::while_slow(&what, builder.instantiate()).await.map_err(|error| Failed::start(&error))?;

    let (listener, address) = args.listen.listen().await?;
    tracing::info!(%address, instance = %name, policy = ?args.policy, "serving");
    terminal
        .result(|| format!("listening {address}"), || json!({ "listening": address.to_string(), "instance": name }))?;
    if terminal::is_watched() {
        remark(&instance, &PeerPlace { address, instance: name });
    }
    Ok((runtime, listener))
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
