//! `isorun check`.

use isorun::{LinkError, Selector, Wasi};
use serde_json::json;

use crate::args::{BudgetArgs, CheckArgs, LinkArg};
use crate::compiling::Compiling;
use crate::exit::{self, Failed};
use crate::keys::Keys;
use crate::load;
use crate::place::{self, Place, Places};
use crate::terminal::{Terminal, while_slow};

/// Links without running, and says all that does not hold.
pub async fn check(args: CheckArgs, terminal: &Terminal, compiling: &Compiling) -> Result<u8, Failed> {
    let runtime = compiling.runtime()?;
    let component = load::component(&runtime, &args.component)?;
    let budget = BudgetArgs { timeout: args.timeout, ..BudgetArgs::default() };
    let places = Places::unstarted(&runtime, &budget, Keys::new(args.keys.clone()));
    let (links, wasi) = (&args.links, Wasi::inert());
    let builder = load::described_with(&runtime, &component, links, &args.grants, wasi, &budget, places).await?;

    let found = while_slow(&format!("checking {}", args.component.display()), builder.problems()).await;
    let mut problems: Vec<Failed> = found.iter().map(Failed::link).collect();
    for link in &links.all {
        problems.extend(of_local(&runtime, link).await?);
    }
    if let Some(failed) = Failed::all("links do not hold", problems) {
        return Err(failed);
    }

    // What a fused component imports is linked as if the component itself did.
    let mut imports: Vec<String> = component.ledger().imports.iter().flat_map(names).collect();
    let mut files = Vec::new();
    for link in &links.all {
        let Place::Fused(file) = &link.place else { continue };
        if !files.contains(&file) {
            files.push(file);
            imports.extend(load::component(&runtime, file)?.ledger().imports.iter().flat_map(names));
        }
    }
    let mut rows: Vec<(String, String)> = Vec::new();
    for import in imports {
        if !rows.iter().any(|(_, known)| *known == import) {
            rows.push((place_of(&import, &links.all), import));
        }
    }
    let fused: Vec<String> = builder.composed().await.map_err(|error| Failed::start(&error))?.fused().to_vec();
    let text = || {
        let width = rows.iter().map(|(_, import)| import.len()).max().unwrap_or(0);
        let line = |(place, import): &(String, String)| format!("{import:width$}  {place}\n");
        let one = match fused.as_slice() {
            [] => String::new(),
            others => {
                format!("one component, with one store, one budget and one fate, of this and {}\n", others.join(", "))
            }
        };
        format!("{}{one}all links hold", rows.iter().map(line).collect::<String>())
    };
    let json = || {
        let rows: Vec<_> = rows.iter().map(|(place, import)| json!({ "import": import, "place": place })).collect();
        if fused.is_empty() { json!({ "links": rows }) } else { json!({ "links": rows, "fused": fused }) }
    };
    terminal.result(text, json)?;
    Ok(exit::OK)
}

/// What is wrong with a component that a `local:` place would start.
async fn of_local(runtime: &isorun::Runtime, link: &LinkArg) -> Result<Vec<Failed>, Failed> {
    let Place::Local(file) = &link.place else { return Ok(Vec::new()) };
    let component = load::component(runtime, file)?;
    let found = while_slow(&format!("checking {}", file.display()), runtime.builder(&component).problems()).await;
    let told = |error: &LinkError| match error {
        LinkError::Missing { .. } => place::no_links(file, error),
        _ => Failed::link(error),
    };
    Ok(found.iter().map(|error| told(error).at(format!("--link {}", link.text))).collect())
}

/// An import's name, or those of its functions at the root.
fn names(import: &isorun::Interface) -> Vec<String> {
    match &import.name {
        _ if import.functions.is_empty() && import.resources.is_empty() => Vec::new(),
        Some(name) => vec![name.clone()],
        None => import.functions.iter().map(|function| function.name.clone()).collect(),
    }
}

/// Where an import goes, as the command line writes it: the closest link has it.
fn place_of(import: &str, links: &[LinkArg]) -> String {
    let unversioned = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let closeness = |link: &&LinkArg| match Selector::parse(&link.import) {
        Selector::Interface(name) if name == import || isorun::names_match(&name, import) => Some(3),
        Selector::Interface(name) if name == unversioned(import) => Some(3),
        Selector::Function(name) if name == import => Some(3),
        Selector::Package(name) if import.split('/').next() == Some(&name) => Some(2),
        Selector::Rest if !import.starts_with("wasi:") => Some(1),
        _ => None,
    };
    let closest = links.iter().filter_map(|link| Some((closeness(&link)?, link))).max_by_key(|(close, _)| *close);
    match closest {
        Some((_, link)) => link.text.split_once('=').map_or_else(String::new, |(_, place)| place.to_owned()),
        None => "this process, as far as it is granted".into(),
    }
}
