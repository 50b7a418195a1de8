//! `isorun inspect`.

use std::sync::Arc;

use isorun::{Ledger, REFLECT_INTERFACE, Val};
use serde_json::Value;

use crate::args::{InspectArgs, Target};
use crate::call::{Time, describe};
use crate::exit::{self, Failed};
use crate::place::PeerPlace;
use crate::terminal::Terminal;
use crate::{json, load};

/// Shows the types of a file's or an instance's functions, or the instances of a host.
pub async fn inspect(args: InspectArgs, terminal: &Terminal) -> Result<u8, Failed> {
    let runtime = load::runtime()?;
    let time = Time::new(args.timeout);
    let ledger: Arc<Ledger> = match &args.target {
        Target::File(file) => load::component(&runtime, file)?.ledger().clone(),
        Target::Peer(place) => {
            let instance = runtime.remote_instance(place.transport(), &place.instance);
            describe(&instance, place, &time).await?
        }
        Target::Host(place) => {
            let instances = instances(&runtime, place, &time).await?;
            terminal.result(|| table(&instances), || instances.iter().map(json::value).collect::<Value>())?;
            return Ok(exit::OK);
        }
    };
    terminal.result(|| ledger.to_string().trim_end().to_owned(), || json::ledger(&ledger))?;
    Ok(exit::OK)
}

/// The instances of a host that it lets this command call.
async fn instances(runtime: &isorun::Runtime, place: &PeerPlace, time: &Time) -> Result<Vec<Val>, Failed> {
    let host = runtime.remote_instance(place.transport(), &place.instance);
    describe(&host, place, time).await?;
    let list = format!("{REFLECT_INTERFACE}#instances");
    match host.exec(&list, &[], time.options()).await.map_err(|error| Failed::call(&error))?.pop() {
        Some(Val::List(instances)) => Ok(instances),
        _ => Err(Failed::new(exit::FAILED, "the host did not list its instances")),
    }
}

/// One line for each instance, in columns as wide as they must be.
fn table(instances: &[Val]) -> String {
    const COLUMNS: [(&str, &str); 5] = [
        ("NAME", "name"),
        ("SERVES AS", "serving"),
        ("GENERATION", "generation"),
        ("IN FLIGHT", "in-flight"),
        ("EXPORTS", "exports"),
    ];
    let cell = |instance: &Val, field: &str| -> String {
        let Val::Record(fields) = instance else { return String::new() };
        let found = fields.iter().find(|(name, _)| name == field).map(|(_, value)| value);
        match found {
            Some(Val::String(text)) => text.clone(),
            Some(Val::U64(number)) => number.to_string(),
            Some(Val::List(items)) => {
                let texts =
                    items.iter().filter_map(|item| if let Val::String(it) = item { Some(it.as_str()) } else { None });
                texts.collect::<Vec<_>>().join(", ")
            }
            _ => String::new(),
        }
    };
    let mut rows = vec![COLUMNS.map(|(title, _)| title.to_owned())];
    rows.extend(instances.iter().map(|instance| COLUMNS.map(|(_, field)| cell(instance, field))));
    let widths: Vec<usize> =
        (0..COLUMNS.len()).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
