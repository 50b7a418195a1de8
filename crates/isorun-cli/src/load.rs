//! Components from files, and instances of them as the command line describes them.

use std::path::Path;

use isorun::{
    Balance, InstanceBuilder, Ledger, LoadedComponent, OnFailure, Runtime, Wasi, WasiDir, WasiFeature, read_component,
};

use crate::args::{AttemptsArg, BalanceArg, BudgetArgs, GrantArgs, Links, OnFailureArg};
use crate::exit::{FAILED, Failed};
use crate::keys::Keys;
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

/// The failure of a command that is not for components that live and take messages, where this is one.
pub fn or_up(ledger: &Ledger, failed: Failed) -> Failed {
    let lives = |name: &str| name.starts_with("isorun:actor/component-lifecycle@");
    match ledger.exports.iter().any(|export| export.name.as_deref().is_some_and(lives)) {
        true => failed.hint(UP),
        false => failed,
    }
}

const UP: &str = "it lives and takes messages: `isorun up FILE.toml` runs it, as a [[component]] of that manifest";

/// What is described on the command line, but for its name.
pub async fn described(
    runtime: &Runtime,
    component: &LoadedComponent,
    links: &Links,
    grants: &GrantArgs,
    wasi: Wasi,
    budget: &BudgetArgs,
    keys: &Keys,
) -> Result<InstanceBuilder, Failed> {
    let places = Places::new(runtime, budget, keys.clone());
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
    for (link, options) in links.all.iter().zip(options(links)?) {
        let LinkOptions { policy, idempotent, attempts, balance } = options;
        builder = builder.link(&link.import, places.find(link, balance.unwrap_or_default()).await?);
        if idempotent {
            builder = builder.idempotent();
        }
        if let Some(attempts) = attempts {
            builder = builder.attempts(attempts);
        }
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
        tracing::warn!("the component does not import {FILESYSTEM}: folders give it nothing");
    }
    with_dirs(builder, grants)
}

/// What is granted on the command line of a component without links.
pub fn granted_alone(
    runtime: &Runtime,
    component: &LoadedComponent,
    grants: &GrantArgs,
) -> Result<InstanceBuilder, Failed> {
    with_dirs(runtime.builder(component).wasi(granted(Wasi::inert(), grants)?), grants)
}

fn with_dirs(mut builder: InstanceBuilder, grants: &GrantArgs) -> Result<InstanceBuilder, Failed> {
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

/// What is said of a link beside its place.
#[derive(Debug, Clone, Default)]
struct LinkOptions {
    policy: Option<OnFailure>,
    idempotent: bool,
    attempts: Option<u32>,
    balance: Option<Balance>,
}

/// The options of each link.
fn options(links: &Links) -> Result<Vec<LinkOptions>, Failed> {
    let mut options = vec![LinkOptions::default(); links.all.len()];
    for OnFailureArg { import, policy } in &links.on_failure {
        let option = format!("--on-failure {import}={policy}");
        let at = link_of(links, &option, import)?;
        match links.all[at].place.never_away() {
            // A call to another component fails in more ways than by getting lost.
            Some(why) if !matches!(links.all[at].place, Place::Local(_)) => {
                return Err(Failed::usage(format!("{option}: {why}")));
            }
            _ => options[at].policy = Some(policy.clone()),
        }
    }
    for import in &links.idempotent {
        let at = away(links, &format!("--idempotent {import}"), import)?;
        options[at].idempotent = true;
    }
    for AttemptsArg { import, attempts } in &links.attempts {
        let at = away(links, &format!("--attempts {import}={attempts}"), import)?;
        options[at].attempts = Some(*attempts);
    }
    for BalanceArg { import, balance } in &links.balance {
        let option = format!("--balance {import}");
        let at = link_of(links, &option, import)?;
        if !matches!(links.all[at].place, Place::Peers(_)) {
            return Err(Failed::usage(format!("{option}: its link has one place, where all calls go")));
        }
        options[at].balance = Some(*balance);
    }
    Ok(options)
}

/// The link that an option is for.
fn link_of(links: &Links, option: &str, import: &str) -> Result<usize, Failed> {
    let unversioned = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let same = |link: &str| link == import || unversioned(link) == *import || link == unversioned(import);
    links.all.iter().position(|link| same(&link.import)).ok_or_else(|| {
        let known: Vec<_> = links.all.iter().map(|link| link.import.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Failed::usage(format!("{option}: no --link is for `{import}`; there are: {known}"))
    })
}

/// The link that an option for calls to other processes is for.
fn away(links: &Links, option: &str, import: &str) -> Result<usize, Failed> {
    let at = link_of(links, option, import)?;
    match links.all[at].place.never_away() {
        Some(why) => Err(Failed::usage(format!("{option}: {why}"))),
        None => Ok(at),
    }
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
