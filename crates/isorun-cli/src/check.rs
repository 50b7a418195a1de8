//! `isorun check`.

use isorun::{LinkError, Selector, Wasi};
use serde_json::json;

use crate::args::{BudgetArgs, CheckArgs, LinkArg};
use crate::exit::{self, FAILED, Failed, LINK};
use crate::load;
use crate::place::{self, Place, Places};
use crate::terminal::{Terminal, while_slow};

/// Links without running, and says all that does not hold.
pub async fn check(args: CheckArgs, terminal: &Terminal) -> Result<u8, Failed> {
    let runtime = load::runtime()?;
    let component = load::component(&runtime, &args.component)?;
    let budget = BudgetArgs { timeout: args.timeout, ..BudgetArgs::default() };
    let places = Places::unstarted(&runtime, &budget);
    let (links, wasi) = (&args.links, Wasi::inert());
    let builder = load::described_with(&runtime, &component, links, &args.grants, wasi, &budget, places).await?;

    let found = while_slow(&format!("checking {}", args.component.display()), builder.problems()).await;
    let mut problems: Vec<Failed> = found.iter().map(Failed::link).collect();
    for link in &links.all {
        problems.extend(of_local(&runtime, link).await?);
    }
    if !problems.is_empty() {
        return Err(all(problems));
    }

    let rows: Vec<_> = component
        .ledger()
        .imports
        .iter()
        .flat_map(names)
        .map(|import| (place_of(&import, &links.all), import))
        .collect();
    let text = || {
        let width = rows.iter().map(|(_, import)| import.len()).max().unwrap_or(0);
        let line = |(place, import): &(String, String)| format!("{import:width$}  {place}\n");
        format!("{}all links hold", rows.iter().map(line).collect::<String>())
    };
    let json = || {
        let rows: Vec<_> = rows.iter().map(|(place, import)| json!({ "import": import, "place": place })).collect();
        json!({ "links": rows })
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

/// All problems as one; only where no link is to blame it is another code's.
fn all(mut problems: Vec<Failed>) -> Failed {
    if problems.len() == 1 {
        return problems.swap_remove(0);
    }
    let code = if problems.iter().any(|problem| problem.code == LINK) { LINK } else { FAILED };
    let lines: String = problems.iter().map(|problem| format!("\n- {}", problem.text.replace('\n', "\n  "))).collect();
    Failed::new(code, format!("{} links do not hold:{lines}", problems.len()))
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
