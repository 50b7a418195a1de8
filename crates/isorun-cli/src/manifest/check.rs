//! From what TOML has to what can be run: every value is read, and all that is wrong is found at once.

use std::collections::HashMap;
use std::path::Path;

use isorun::actors::{LogLimits, RESTARTS_MAX, Restart, Strategy, SupervisorOptions};
use isorun::{Audience, ComponentId, ComponentPattern, Mount, NodeName, PLACES_MAX, StorageQuota, WasiFeature};
use toml::Spanned;

use super::problem::Problems;
use super::problem::place;
use super::raw::{self, OneOrMore, Setting, StorageGrant, Text};
use super::warn;
use super::{Component, Manifest, Node, Route, STOP_MS, Storage, Supervisor};
use crate::address::Address;
use crate::args::{self, BudgetArgs, GrantArgs, LinkArg, Links};
use crate::place::Place;
use crate::units;

/// Most components of one manifest.
pub const COMPONENTS_MAX: usize = 100_000;
/// How deep supervisors may lie in each other.
const SUPERVISOR_DEPTH_MAX: usize = 16;

/// The namespace of what speaks for the host: `isorun/operator/0` is whoever sends by the command line.
const RESERVED: &str = "isorun";

struct Check<'a> {
    text: &'a str,
    file: &'a Path,
    folder: &'a Path,
    found: Problems,
}

/// What is read where something is wrong: nothing of it is run.
type Read<T> = Option<T>;

/// What of a manifest in `file` can be run; or what is wrong, after what was found before.
pub fn checked(text: &str, raw: &raw::Manifest, file: &Path, before: Problems) -> Result<Manifest, Problems> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut check = Check { text, file, folder, found: before };
    if raw.components.is_empty() && check.found.0.is_empty() {
        check.found.add(text, 0..0, "a node without components has nothing to run: write a `[[component]]`");
    }
    let manifest = check.manifest(raw);
    match manifest {
        Some(manifest) if check.found.0.is_empty() => {
            let warnings = warn::warnings(text, raw, &manifest, file);
            Ok(Manifest { warnings, ..manifest })
        }
        _ => Err(check.found),
    }
}

impl Check<'_> {
    fn wrong<T>(&mut self, at: &Spanned<T>, what: impl std::fmt::Display) {
        self.found.add(self.text, at.span(), what);
    }

    /// What `parse` makes of a text.
    fn read<T>(&mut self, at: &Text, parse: impl FnOnce(&str) -> Result<T, String>) -> Read<T> {
        parse(at.get_ref()).map_err(|what| self.wrong(at, what)).ok()
    }

    /// What `parse` makes of each of several texts.
    fn read_all<T>(&mut self, at: &OneOrMore, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let texts = at.get_ref().all().iter();
        texts.filter_map(|text| parse(text).map_err(|what| self.wrong(at, what)).ok()).collect()
    }

    /// The same where there may be none.
    fn maybe<T>(&mut self, at: Option<&Text>, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        at.and_then(|at| self.read(at, parse))
    }

    fn number(&mut self, at: Option<&Spanned<u64>>, min: u64, max: u64) -> Option<u64> {
        let at = at?;
        let number = *at.get_ref();
        if !(min..=max).contains(&number) {
            self.wrong(at, format!("{number} is out of bounds: {min} to {max}"));
            return None;
        }
        Some(number)
    }

    fn patterns(&mut self, of: &OneOrMore) -> Vec<ComponentPattern> {
        self.read_all(of, pattern)
    }

    fn manifest(&mut self, raw: &raw::Manifest) -> Read<Manifest> {
        let node = raw.node.as_ref().and_then(|node| self.node(node));
        let mut names = HashMap::new();
        for (at, supervisor) in raw.supervisors.iter().enumerate() {
            let name = supervisor.name.get_ref();
            if let Err(what) = plain_name(name) {
                self.wrong(&supervisor.name, what);
            } else if names.insert(name.as_str(), at).is_some() {
                self.wrong(
                    &supervisor.name,
                    format!("another supervisor is called `{name}`: each has a name of its own"),
                );
            }
        }
        let supervisors: Vec<_> = raw.supervisors.iter().map(|it| self.supervisor(it, &names)).collect();
        self.depths(raw, &supervisors);
        let mut ids = HashMap::new();
        for (at, component) in raw.components.iter().enumerate() {
            if at == COMPONENTS_MAX {
                self.wrong(&component.id, format!("a node runs {COMPONENTS_MAX} components at most"));
                break;
            }
            if ids.insert(component.id.get_ref().as_str(), at).is_some() {
                let id = component.id.get_ref();
                self.wrong(&component.id, format!("another component is `{id}`: each has an id of its own"));
            }
        }
        let components: Vec<_> = raw.components.iter().map(|it| self.component(it, &names)).collect();
        let routes: Vec<_> = raw.routes.iter().map(|it| self.route(it)).collect();
        Some(Manifest {
            node: node?,
            supervisors: supervisors.into_iter().collect::<Option<_>>()?,
            components: components.into_iter().collect::<Option<_>>()?,
            routes: routes.into_iter().collect::<Option<_>>()?,
            warnings: Vec::new(),
        })
    }

    fn node(&mut self, raw: &raw::Node) -> Read<Node> {
        let name = self.read(&raw.name, |text| plain_name(text).map(|()| text.to_owned()));
        let listen: Vec<Address> = raw.listen.as_ref().map(|at| self.read_all(at, str::parse)).unwrap_or_default();
        for (text, address) in raw.listen.iter().flat_map(|text| listen.iter().map(move |it| (text, it))) {
            if !raw.insecure && !address.authenticates() && !address.stays_here() {
                self.wrong(
                    text,
                    format!(
                        "whoever reaches {address} from another machine proves nothing there, and can read all; \
                         tls:// and quic:// are for that, or `insecure = true` allows it"
                    ),
                );
            }
        }
        let proves = listen.iter().any(Address::authenticates);
        let mut accept = Vec::new();
        for (who, to) in &raw.accept {
            let audience = self.read(who, audience);
            if let (Some(Audience::Named(name)), false, false) = (&audience, proves, listen.is_empty()) {
                let what = format!(
                    "nobody can prove to be `{name}` where this node listens: listen at a tls:// or quic:// address"
                );
                self.wrong(who, what);
            }
            let patterns = self.patterns(to);
            if let Some(who) = audience {
                accept.extend(patterns.into_iter().map(|to| (who.clone(), to)));
            }
        }
        let folder = self.folder;
        let storage = match &raw.storage {
            Some(text) => self.read(text, |text| storage(text, folder)),
            None => name.as_ref().map(|name| Storage::File(folder.join(format!("{name}.redb")))),
        };
        let stop_ms = self.maybe(raw.stop_within.as_ref(), units::milliseconds);
        let limits = LogLimits::default();
        let lines = self.number(raw.log.lines_per_component.as_ref(), 1, 1_000_000);
        let bytes = self.maybe(raw.log.bytes.as_ref(), units::bytes);
        let log = LogLimits {
            lines_per_component: lines.map_or(limits.lines_per_component, clamped),
            bytes: bytes.map_or(limits.bytes, clamped),
        };
        let stop_ms = stop_ms.unwrap_or(STOP_MS);
        Some(Node { name: name?, listen, storage: storage?, accept, stop_ms, log })
    }

    fn supervisor(&mut self, raw: &raw::Supervisor, names: &HashMap<&str, usize>) -> Read<Supervisor> {
        let parent = self.supervisor_named(raw.parent.as_ref(), names);
        let restart = self.restart(raw.restart.as_ref());
        let default = SupervisorOptions::default();
        let strategy = self.maybe(raw.strategy.as_ref(), strategy).unwrap_or_default();
        let restarts_max = self.number(raw.max_restarts.as_ref(), 0, RESTARTS_MAX.into());
        let restarts_max = restarts_max.and_then(|max| u32::try_from(max).ok()).unwrap_or(default.restarts_max);
        let window_ms = self.maybe(raw.within.as_ref(), units::milliseconds).unwrap_or(default.window_ms);
        let backoff_ms = self.maybe(raw.backoff_min.as_ref(), units::milliseconds).unwrap_or(default.backoff_ms);
        let backoff_ms_max = self.maybe(raw.backoff_max.as_ref(), units::milliseconds);
        if let Some(max) = raw.backoff_max.as_ref().filter(|_| backoff_ms_max.is_some_and(|max| max < backoff_ms)) {
            self.wrong(max, format!("the longest pause is shorter than the first, of {backoff_ms} ms"));
        }
        let backoff_ms_max = backoff_ms_max.unwrap_or(default.backoff_ms_max.max(backoff_ms));
        let options = SupervisorOptions { strategy, restarts_max, window_ms, backoff_ms, backoff_ms_max, ..default };
        Some(Supervisor { name: raw.name.get_ref().clone(), parent, restart, options })
    }

    /// Refuses supervisors that lie in themselves, or too deep.
    fn depths(&mut self, raw: &raw::Manifest, supervisors: &[Option<Supervisor>]) {
        for (raw, supervisor) in raw.supervisors.iter().zip(supervisors) {
            let mut parent = supervisor.as_ref().and_then(|it| it.parent);
            let mut depth = 1;
            while let Some(at) = parent {
                depth += 1;
                if depth > SUPERVISOR_DEPTH_MAX {
                    let place = raw.parent.as_ref().unwrap_or(&raw.name);
                    self.wrong(
                        place,
                        format!(
                            "a supervisor that is below itself, or more than {SUPERVISOR_DEPTH_MAX} below the node"
                        ),
                    );
                    break;
                }
                parent = supervisors.get(at).and_then(|it| it.as_ref()?.parent);
            }
        }
    }

    fn supervisor_named(&mut self, name: Option<&Text>, names: &HashMap<&str, usize>) -> Option<usize> {
        let name = name?;
        let found = names.get(name.get_ref().as_str()).copied();
        if found.is_none() {
            let mut known: Vec<_> = names.keys().copied().collect();
            known.sort_unstable();
            let known =
                if known.is_empty() { "there is none".into() } else { format!("there are: {}", known.join(", ")) };
            self.wrong(name, format!("no [[supervisor]] is called `{}`; {known}", name.get_ref().escape_debug()));
        }
        found
    }

    fn restart(&mut self, text: Option<&Text>) -> Restart {
        self.maybe(text, restart).unwrap_or_default()
    }

    fn component(&mut self, raw: &raw::Component, names: &HashMap<&str, usize>) -> Read<Component> {
        let id = self.read(&raw.id, component_id);
        if raw.file.get_ref().is_empty() {
            self.wrong(&raw.file, "it names no file");
        }
        let file = self.folder.join(raw.file.get_ref());
        let (line, column) = place(self.text, raw.file.span().start);
        let supervisor = self.supervisor_named(raw.supervisor.as_ref(), names);
        let restart = self.restart(raw.restart.as_ref());
        let settings = raw.settings.iter().map(|(name, value): (&String, &Setting)| (name.clone(), value.text()));
        let settings = settings.collect();
        let may_send = raw.may_send.as_ref().map(|patterns| self.patterns(patterns)).unwrap_or_default();
        let storage = raw.storage.as_ref().and_then(|grant| self.storage(grant));
        let mailbox_messages = self.number(raw.mailbox.messages.as_ref(), 1, 1_000_000);
        let mailbox_bytes = self.maybe(raw.mailbox.bytes.as_ref(), units::bytes);
        let budget = BudgetArgs {
            fuel: self.number(raw.budget.fuel.as_ref(), 1, u64::MAX),
            memory: self.maybe(raw.budget.memory.as_ref(), units::bytes),
            timeout: self.maybe(raw.budget.time.as_ref(), units::milliseconds),
        };
        let links = raw.links.iter().filter_map(|(import, place)| self.link(import, place)).collect();
        let links = Links { all: links, ..Links::default() };
        let folder = self.folder;
        let wasi: Vec<_> = raw.wasi.iter().filter_map(|text| self.read(text, wasi)).collect();
        let dirs = raw.dirs.iter().filter_map(|text| {
            self.read(text, |it| {
                let mut mount = args::mount(it)?;
                mount.host = folder.join(&mount.host);
                Ok(mount)
            })
        });
        let dirs: Vec<Mount> = dirs.collect();
        for (at, dir) in dirs.iter().enumerate() {
            if let Some(text) = raw.dirs.get(at).filter(|_| dirs[..at].iter().any(|other| other.guest == dir.guest)) {
                let guest = dir.guest.display();
                self.wrong(text, format!("two folders can't both be `{guest}` to the component"));
            }
        }
        let env = raw.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let grants = GrantArgs { dirs, wasi, env };
        Some(Component {
            id: id?,
            file,
            place: format!("{}:{line}:{column}", self.file.display()),
            supervisor,
            restart,
            settings,
            may_send,
            storage,
            mailbox_messages,
            mailbox_bytes,
            budget,
            links,
            grants,
        })
    }

    fn storage(&mut self, grant: &Spanned<StorageGrant>) -> Option<StorageQuota> {
        let default = StorageQuota::default();
        let size = |text: Option<&String>| text.map_or(Ok(default.bytes), |text| units::bytes(text));
        let quota = match grant.get_ref() {
            StorageGrant::Flag(granted) => return granted.then_some(default),
            StorageGrant::Bytes(text) => size(Some(text)).map(|bytes| StorageQuota { bytes, ..default }),
            StorageGrant::Quota(quota) => {
                size(quota.bytes.as_ref()).map(|bytes| StorageQuota { bytes, keys: quota.keys.unwrap_or(default.keys) })
            }
        };
        quota.map_err(|what| self.wrong(grant, what)).ok()
    }

    fn link(&mut self, import: &Text, place: &Text) -> Option<LinkArg> {
        if import.get_ref().is_empty() {
            self.wrong(import, "a link is for an import: \"demo:kv/store\" = \"PLACE\"");
        }
        let folder = self.folder;
        let found = self.read(place, |text| {
            Ok(match text.parse()? {
                Place::Local(file) => Place::Local(folder.join(file)),
                Place::Fused(file) => Place::Fused(folder.join(file)),
                place => place,
            })
        })?;
        let text = format!("{}={}", import.get_ref(), place.get_ref());
        Some(LinkArg { import: import.get_ref().clone(), place: found, text })
    }

    fn route(&mut self, raw: &raw::Route) -> Read<Route> {
        let to = self.read(&raw.to, pattern);
        let places = raw.at.get_ref().all();
        if places.len() > PLACES_MAX {
            self.wrong(&raw.at, format!("{} places: a route has {PLACES_MAX} at most", places.len()));
        }
        if places.is_empty() {
            self.wrong(&raw.at, "a route goes somewhere: `at` names a place, like \"tcp://HOST:PORT\"");
        }
        let at = self.read_all(&raw.at, str::parse);
        Some(Route { to: to?, at })
    }
}

/// A number of what is in memory.
fn clamped(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn component_id(text: &str) -> Result<ComponentId, String> {
    let id = ComponentId::parse(text).map_err(|error| error.to_string())?;
    if id.namespace() == RESERVED {
        return Err(format!("the namespace `{RESERVED}` is the host's own: give `{id}` another"));
    }
    Ok(id)
}

fn pattern(text: &str) -> Result<ComponentPattern, String> {
    ComponentPattern::parse(text).map_err(|error| error.to_string())
}

/// A name that a file or a socket can have.
fn plain_name(text: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=64).contains(&text.len()) && text.chars().all(plain) && text.chars().any(|c| c != '.') {
        return Ok(());
    }
    Err(format!("`{}` is no name: 1 to 64 letters, digits, `-`, `_` and `.`", text.escape_debug()))
}

fn audience(text: &str) -> Result<Audience, String> {
    match text {
        "*" => Ok(Audience::Anyone),
        name => {
            let name: NodeName = name.parse().map_err(|error| {
                format!("{error}; who may send is the name in a node's certificate, or \"*\" for whoever connects")
            })?;
            Ok(Audience::Named(name.to_string()))
        }
    }
}

fn storage(text: &str, folder: &Path) -> Result<Storage, String> {
    match text {
        "memory" => Ok(Storage::Memory),
        "" => Err("it names no file: write \"memory\", a file, or nats://HOST/BUCKET".into()),
        _ if text.starts_with("nats://") || text.starts_with("nats+tls://") => nats_storage(text),
        _ if text.contains("://") => {
            Err(format!("`{text}` is no storage: write \"memory\", a file, or nats://HOST/BUCKET"))
        }
        file => Ok(Storage::File(folder.join(file))),
    }
}

/// `nats://HOST/BUCKET`, with what a NATS server is told behind a `?`.
fn nats_storage(text: &str) -> Result<Storage, String> {
    let (path, files) = text.split_at(text.find('?').unwrap_or(text.len()));
    let unnamed = || format!("`{text}` names no bucket: nats://HOST[:PORT]/BUCKET");
    let (scheme, host) = path.split_once("://").ok_or_else(unnamed)?;
    let (host, bucket) = host.split_once('/').filter(|(_, bucket)| !bucket.is_empty()).ok_or_else(unnamed)?;
    let server = format!("{scheme}://{host}{files}").parse()?;
    Ok(Storage::Nats(server, bucket.to_owned()))
}

fn restart(text: &str) -> Result<Restart, String> {
    text.parse().map_err(|_| {
        let text = text.escape_debug();
        format!("`{text}` is no way to restart: permanent (always), transient (after a failure), or temporary (never)")
    })
}

fn strategy(text: &str) -> Result<Strategy, String> {
    text.parse().map_err(|_| {
        format!(
            "`{}` is no strategy: one-for-one (what failed starts again), one-for-all (all do), or rest-for-one (it \
             and those after it)",
            text.escape_debug()
        )
    })
}

fn wasi(text: &str) -> Result<WasiFeature, String> {
    match text.parse() {
        Ok(feature @ (WasiFeature::Clocks | WasiFeature::Random | WasiFeature::Stdio)) => Ok(feature),
        Ok(WasiFeature::Environment) => Err("`env = { NAME = VALUE }` gives a component its variables".into()),
        Ok(_) | Err(_) => Err(format!("`{}` is no part of WASI here: clocks, random, stdio", text.escape_debug())),
    }
}
