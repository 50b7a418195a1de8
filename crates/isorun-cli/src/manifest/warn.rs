//! What a manifest may say, and is hardly meant.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use isorun::{ComponentId, ComponentPattern};
use toml::Spanned;

use super::Manifest;
use super::problem::place;
use super::raw;

/// Most components that patterns are held against: the work grows with both.
const COMPARED_MAX: usize = 10_000;

/// Each with its place, in a line.
pub fn warnings(text: &str, raw: &raw::Manifest, manifest: &Manifest, file: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |at: usize, what: String| found.push((place(text, at), what));
    let ids: Vec<&ComponentId> = manifest.components.iter().map(|component| &component.id).take(COMPARED_MAX).collect();
    let here = |pattern: &ComponentPattern| ids.iter().find(|id| pattern.matches(id));

    let mut to: HashMap<String, &Spanned<String>> = HashMap::new();
    for (raw, route) in raw.routes.iter().zip(&manifest.routes) {
        let (at, pattern) = (raw.to.span().start, route.to.to_string());
        if to.insert(pattern.clone(), &raw.to).is_some() {
            add(
                at,
                format!(
                    "another route is for `{pattern}`, and one of them is never taken; `at` may have several places"
                ),
            );
        }
        if route.to.named_parts() == 3
            && let Some(id) = here(&route.to)
        {
            add(at, format!("`{id}` is here: no message takes this route"));
        }
    }

    let under = manifest.components.iter().filter_map(|component| component.supervisor);
    let used: HashSet<usize> = under.chain(manifest.supervisors.iter().filter_map(|it| it.parent)).collect();
    let idle = raw.supervisors.iter().enumerate().filter(|(at, _)| !used.contains(at));
    for supervisor in idle.map(|(_, supervisor)| supervisor) {
        let name = supervisor.name.get_ref();
        add(supervisor.name.span().start, format!("nothing is under the supervisor `{name}`"));
    }

    let accepted = raw.node.iter().flat_map(|node| &node.accept);
    for (who, patterns) in accepted {
        if manifest.node.listen.is_empty() {
            add(who.span().start, "nobody reaches this node: `listen` of [node] says where it is reached".into());
        }
        let nobody = |text: &&String| ComponentPattern::parse(text).is_ok_and(|pattern| here(&pattern).is_none());
        for pattern in patterns.get_ref().all().iter().filter(nobody).filter(|_| ids.len() < COMPARED_MAX) {
            add(patterns.span().start, format!("no component here is `{pattern}`"));
        }
    }
    found.sort();
    let file = file.display();
    found.into_iter().map(|((line, column), what)| format!("{file}:{line}:{column}: {what}")).collect()
}
