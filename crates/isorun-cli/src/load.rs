//! Components from files, and instances of them as the command line describes them.

use std::path::Path;

use isorun::{InstanceBuilder, LoadedComponent, OnFailure, Runtime, Wasi, WasiDir, WasiFeature, read_component};

use crate::args::{BudgetArgs, GrantArgs, Links};
use crate::exit::{FAILED, Failed};
use crate::place::{Place, Places};

/// A runtime for what compiles nothing.
pub fn runtime() -> Result<Runtime, Failed> {
    Runtime::new().map_err(|error| Failed::new(FAILED, error.to_string()))
}

/// Reads and checks the component in `file`.
pub fn component(runtime: &Runtime, file: &Path) -> Result<LoadedComponent, Failed> {
    let unread = |error| Failed::unread(format!("cannot read `{}`: {error}", file.display()));
    let bytes = read_component(file).map_err(unread)?;
    runtime.load(bytes).map_err(|error| Failed::load(file, &error))
}

/// What is described on the command line, but for its name.
pub async fn described(
    runtime: &Runtime,
    component: &LoadedComponent,
    links: &Links,
    grants: &GrantArgs,
    wasi: Wasi,
    budget: &BudgetArgs,
) -> Result<InstanceBuilder, Failed> {
    let places = Places::new(runtime, budget);
    described_with(runtime, component, links, grants, wasi, budget, places).await
}

/// As [`described`], with places of one's own.
pub async fn described_with(
    runtime: &Runtime,
    component: &LoadedComponent,
    links: &Links,
    grants: &GrantArgs,
    wasi: Wasi,
    budget: &BudgetArgs,
    mut places: Places<'_>,
) -> Result<InstanceBuilder, Failed> {
    let mut builder = runtime.builder(component).budget(budget.of_app()).wasi(granted(wasi, grants)?);
    let policies = policies(links)?;
    for (link, policy) in links.all.iter().zip(policies) {
        builder = builder.link(&link.import, places.find(link).await?);
        if let Some(timeout_ms) = budget.timeout {
            builder = builder.deadline_ms(timeout_ms);
        }
        if let Some(policy) = policy {
            builder = builder.on_failure(policy);
        }
    }
    let imports = &component.ledger().imports;
    let imported = |import: &isorun::Interface| import.name.as_ref().is_some_and(|name| name.starts_with(FILESYSTEM));
    // What is fused to it may import it in its stead.
    let alone = !links.all.iter().any(|link| matches!(link.place, Place::Fused(_)));
    if alone && !grants.dirs.is_empty() && !imports.iter().any(imported) {
        tracing::warn!("the component does not import {FILESYSTEM}: --dir gives it nothing");
    }
    for (at, dir) in grants.dirs.iter().enumerate() {
        if let Some(other) = grants.dirs[..at].iter().find(|other| other.guest == dir.guest) {
            let (first, second, guest) = (other.host.display(), dir.host.display(), dir.guest.display());
            return Err(Failed::usage(format!(
                "--dir: two folders can't both be `{guest}` to the guest: `{first}` and `{second}`; give each a path of its own"
            )));
        }
        let dir = WasiDir::new(dir).map_err(|error| Failed::new(FAILED, format!("--dir: {error}")))?;
        builder = builder.link_system(FILESYSTEM, dir);
    }
    Ok(builder)
}

/// The failure policy of each link, where it has one.
fn policies(links: &Links) -> Result<Vec<Option<OnFailure>>, Failed> {
    let mut policies = vec![None; links.all.len()];
    let unversioned = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    for wanted in &links.on_failure {
        let (import, policy) = (&wanted.import, &wanted.policy);
        let same = |link: &str| link == import || unversioned(link) == *import || link == unversioned(import);
        let Some(at) = links.all.iter().position(|link| same(&link.import)) else {
            let known: Vec<_> = links.all.iter().map(|link| link.import.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Failed::usage(format!(
                "--on-failure {import}={policy}: no --link is for `{import}`; there are: {known}"
            )));
        };
        let never = match &links.all[at].place {
            Place::Kv(_) => "its calls go to this process's own code, which is never away",
            Place::Fused(_) => "its calls stay in the component, which ends with what is fused to it",
            Place::Local(_) | Place::Peer(_) => "",
        };
        if !never.is_empty() {
            return Err(Failed::usage(format!("--on-failure {import}={policy}: {never}")));
        }
        policies[at] = Some(policy.clone());
    }
    Ok(policies)
}

const FILESYSTEM: &str = "wasi:filesystem";

fn granted(mut wasi: Wasi, grants: &GrantArgs) -> Result<Wasi, Failed> {
    for feature in &grants.wasi {
        if *feature == WasiFeature::Environment && grants.env.is_empty() {
            return Err(Failed::usage(
                "`--wasi environment` alone grants nothing: name each variable with `--env NAME=VALUE`",
            ));
        }
        wasi = wasi.grant(*feature);
    }
    Ok(if grants.env.is_empty() { wasi } else { wasi.environment(grants.env.iter().cloned()) })
}

/// A file's stem, made a name that an instance can have.
pub fn name_of(file: &Path) -> String {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = stem.chars().take(NAME_BYTES_MAX).map(plain).collect();
    if name.is_empty() { "main".into() } else { name }
}

/// Longest name that the registry takes, in bytes.
const NAME_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_file_has_a_name_that_an_instance_can_have() {
        for (file, name) in [("a/kv-provider.wasm", "kv-provider"), ("my kv (2).wasm", "my-kv--2-"), ("é.wasm", "-")] {
            assert_eq!(name_of(Path::new(file)), name);
        }
        assert_eq!(name_of(Path::new("/")), "main");
        assert_eq!(name_of(Path::new(&"x".repeat(129))).len(), 128);
    }
}
