//! `isorun inspect`.

use std::sync::Arc;
use std::time::Duration;

use isorun::{CodecPlan, INSTANCES_MAX, Ledger, Provider, REFLECT_INTERFACE, REFLECT_PAGE_MAX, Val};
use serde_json::Value;

use crate::address::PeerPlace;
use crate::args::{InspectArgs, Target};
use crate::call::{Time, describe};
use crate::exit::{self, Failed};
use crate::keys::Keys;
use crate::nats::NatsPlace;
use crate::terminal::{self, Terminal};
use crate::{hint, json, load};

/// Shows the types of a file's or an instance's functions, or the instances of a host.
pub async fn inspect(args: InspectArgs, terminal: &Terminal) -> Result<u8, Failed> {
    let runtime = load::runtime()?;
    let (time, keys) = (Time::new(args.timeout), Keys::new(args.keys));
    let ledger: Arc<Ledger> = match &args.target {
        Target::File(file) => load::component(&runtime, file)?.ledger().clone(),
        Target::Peer(place) => {
            let instance = runtime.remote_instance(place.transport(&keys)?, &place.instance);
            describe(&instance, place, &time).await?
        }
        Target::Server(_) | Target::Host(_) if args.plan => {
            return Err(Failed::usage(
                "--plan: a host has no functions; name one of its instances, or a component's file",
            ));
        }
        Target::Server(place) => {
            let providers = providers(place, &time).await?;
            if providers.is_empty() {
                terminal::note("nobody serves anything there, or nothing that this command may see");
            }
            terminal.result(|| provided(&providers), || providers.iter().map(json::provider).collect::<Value>())?;
            return Ok(exit::OK);
        }
        Target::Host(place) => {
            let instances = instances(&runtime, place, &time, &keys).await?;
            if instances.is_empty() {
                terminal::note(&format!(
                    "nothing is served there, or nothing that this command may see; `isorun ps {}` shows the \
                    components of a node that `isorun up` runs",
                    place.address
                ));
            }
            terminal.result(|| table(&instances), || instances.iter().map(json::value).collect::<Value>())?;
            return Ok(exit::OK);
        }
    };
    if args.plan {
        terminal.result(|| plans(&ledger), || json::plans(&ledger))?;
        return Ok(exit::OK);
    }
    terminal.result(|| ledger.to_string().trim_end().to_owned(), || json::ledger(&ledger))?;
    Ok(exit::OK)
}

/// How the values of each function are translated, a line for each.
fn plans(ledger: &Ledger) -> String {
    let mut rows = Vec::new();
    for (side, interfaces) in [("import", &ledger.imports), ("export", &ledger.exports)] {
        for interface in interfaces {
            for function in &interface.functions {
                let name = &function.name;
                let label = interface.name.as_ref().map_or_else(|| name.clone(), |it| format!("{it}#{name}"));
                let how = match CodecPlan::of(&ledger.types, function) {
                    Ok(plan) => format!("direct  takes {}; gives {}", plan.params, plan.results),
                    Err(why) => format!("none    {why}"),
                };
                rows.push((format!("{side} {label}"), how));
            }
        }
    }
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(label, how)| format!("{label:<width$}  {how}")).collect::<Vec<_>>().join("\n")
}

/// The instances of a host that it lets this command call, asked for page by page.
async fn instances(runtime: &isorun::Runtime, place: &PeerPlace, time: &Time, keys: &Keys) -> Result<Vec<Val>, Failed> {
    let host = runtime.remote_instance(place.transport(keys)?, &place.instance);
    let offered = describe(&host, place, time).await?;
    let list = format!("{REFLECT_INTERFACE}#instances");
    let (mut all, mut bytes, mut after) = (Vec::new(), 0, None);
    loop {
        let args = [Val::Option(after.clone().map(Box::new)), Val::U32(REFLECT_PAGE_MAX)];
        let page = host.exec(&list, &args, time.options()).await.map_err(|error| Failed::call(&error))?;
        let (instances, more) = page_of(page).ok_or_else(|| strange("did not list its instances"))?;
        let last = instances.last().and_then(name).map(|name| Val::String(name.to_owned()));
        bytes += instances.iter().map(text_bytes).sum::<usize>();
        all.extend(instances);
        if !more {
            break;
        }
        // A host whose pages don't go on in the order of names would be asked for ever.
        let goes_on = match (&after, &last) {
            (Some(Val::String(before)), Some(Val::String(last))) => before < last,
            (_, last) => last.is_some(),
        };
        if !goes_on || all.len() > INSTANCES_MAX || bytes > LIST_BYTES_MAX {
            return Err(strange("lists its instances without end"));
        }
        after = last;
    }
    let links = format!("{REFLECT_INTERFACE}#links");
    // A host of the first release does not have it.
    if offered.exported(&links).is_some() {
        let found = host.exec(&links, &[], time.options()).await.map_err(|error| Failed::call(&error))?;
        add_links(&mut all, found);
    }
    Ok(all)
}

/// Gives each instance its links to several places, if it has any.
fn add_links(instances: &mut [Val], mut found: Vec<Val>) {
    let Some(Val::List(links)) = found.pop() else { return };
    for instance in instances {
        let of = |link: &&Val| name(link).is_some() && name(link) == name(instance);
        let links: Vec<Val> = links.iter().filter(of).cloned().collect();
        if let (Val::Record(fields), false) = (instance, links.is_empty()) {
            fields.push(("links".into(), Val::List(links)));
        }
    }
}

/// A link to several places in a word or two.
fn link(link: &Val) -> Option<String> {
    let Val::Record(fields) = link else { return None };
    match fields.as_slice() {
        [_, (_, Val::String(imports)), (_, Val::U32(places)), (_, Val::U32(up)), (_, Val::U64(moves))] => {
            let moved = if *moves == 0 { String::new() } else { format!(", moved {moves} x") };
            Some(format!("{imports} ({up} of {places} up{moved})"))
        }
        _ => None,
    }
}

/// Who serves what at a NATS server.
async fn providers(place: &NatsPlace, time: &Time) -> Result<Vec<Provider>, Failed> {
    let left = time.options().deadline_ms.min(GATHER_MS_MAX);
    let found = isorun::discover(place.server(), &place.options(), Duration::from_millis(left)).await;
    found.map_err(|error| {
        let failed = Failed::new(exit::FAILED, error.to_string());
        match hint::of_cause(&error.to_string(), &place.to_string()) {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    })
}

/// How long providers are waited for, in milliseconds; mostly all have answered long before.
const GATHER_MS_MAX: u64 = 5_000;

/// One line for each provider.
fn provided(providers: &[Provider]) -> String {
    let mut rows = vec![["NAME", "ID", "VERSION", "REQUESTS", "ERRORS", "CHANNELS", "INTERFACES"].map(str::to_owned)];
    rows.extend(providers.iter().map(|provider| {
        let shown = |text: &str| text.chars().filter(|c| !isorun::moves_cursor(*c)).collect::<String>();
        [
            shown(&provider.name),
            shown(&provider.id),
            shown(&provider.version),
            provider.requests.to_string(),
            provider.errors.to_string(),
            provider.channels.to_string(),
            shown(&provider.interfaces.join(", ")),
        ]
    }));
    terminal::columns(&rows)
}

/// Most bytes of names that a list is kept with; the peer says how many there are.
const LIST_BYTES_MAX: usize = 64 << 20;

/// Bytes of the texts in what a host says of an instance.
fn text_bytes(instance: &Val) -> usize {
    let of = |value: &Val| match value {
        Val::String(text) => text.len(),
        Val::List(items) => items.iter().map(|item| if let Val::String(text) = item { text.len() } else { 0 }).sum(),
        _ => 0,
    };
    let Val::Record(fields) = instance else { return 0 };
    fields.iter().map(|(_, value)| of(value)).sum()
}

fn strange(what: &str) -> Failed {
    Failed::new(exit::FAILED, format!("the host {what}"))
}

/// The instances of an answer, and whether there are more.
fn page_of(mut results: Vec<Val>) -> Option<(Vec<Val>, bool)> {
    let Some(Val::Record(mut fields)) = results.pop() else { return None };
    match (fields.pop()?, fields.pop()?) {
        ((_, Val::Bool(more)), (_, Val::List(instances))) => Some((instances, more)),
        _ => None,
    }
}

fn name(instance: &Val) -> Option<&str> {
    let Val::Record(fields) = instance else { return None };
    match fields.first()? {
        (_, Val::String(name)) => Some(name),
        _ => None,
    }
}

/// One line for each instance, in columns as wide as they must be.
fn table(instances: &[Val]) -> String {
    const COLUMNS: [(&str, &str); 7] = [
        ("NAME", "name"),
        ("SERVES AS", "serving"),
        ("GENERATION", "generation"),
        ("IN FLIGHT", "in-flight"),
        ("FUSED WITH", "fused"),
        ("LINKS TO SEVERAL PLACES", "links"),
        ("EXPORTS", "exports"),
    ];
    let cell = |instance: &Val, field: &str| -> String {
        let Val::Record(fields) = instance else { return String::new() };
        let found = fields.iter().find(|(name, _)| name == field).map(|(_, value)| value);
        match found {
            Some(Val::String(text)) => text.clone(),
            Some(Val::U64(number)) => number.to_string(),
            Some(Val::List(items)) => {
                let texts = items.iter().filter_map(|item| match item {
                    Val::String(text) => Some(text.clone()),
                    other => link(other),
                });
                texts.collect::<Vec<_>>().join(", ")
            }
            _ => String::new(),
        }
    };
    let is_any = |field: &str| instances.iter().any(|instance| !cell(instance, field).is_empty());
    // Mostly nothing is fused, and nothing at several places.
    let shown = |field: &str| !matches!(field, "fused" | "links") || is_any(field);
    let columns: Vec<_> = COLUMNS.into_iter().filter(|(_, field)| shown(field)).collect();
    let mut rows: Vec<Vec<String>> = vec![columns.iter().map(|(title, _)| (*title).to_owned()).collect()];
    rows.extend(instances.iter().map(|instance| columns.iter().map(|(_, field)| cell(instance, field)).collect()));
    terminal::columns(&rows)
}
