//! Places: what stands after the `=` of `--link`, and what it comes to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use isorun::{
    Balance, InMemoryKv, InstanceHandle, InstantiateError, LinkError, Linkable, LoadedComponent, LocalInstance,
    PLACES_MAX, RemoteGroup, Runtime, StartError, Transport,
};

use crate::address::PeerPlace;
use crate::args::{BudgetArgs, LinkArg};
use crate::exit::{Failed, LINK};
use crate::keys::Keys;
use crate::{load, terminal};

macro_rules! forms {
    ($($host:literal)?) => {
        concat!(
            "a place is one of",
            $($host,)?
            "
  local:FILE.wasm       another component in this process
  fused:FILE.wasm       another component, made one with this one
  tcp://HOST:PORT/NAME  an instance that `isorun serve` serves there
  tls://HOST:PORT/NAME  the same, where both ends show a certificate
  quic://HOST:PORT/NAME the same, over QUIC
  unix:///PATH#NAME     the same, on a Unix socket
  nats://HOST/NAME      one of those that serve NAME by way of a NATS server"
        )
    };
}

/// The forms of a place, for messages.
pub const FORMS: &str = forms!("\n  system:kv             a key-value store in this process's own code");

/// The forms of a place for an import that this process's own code does not serve.
pub const FORMS_ELSEWHERE: &str = forms!();

/// What `system:kv` serves.
pub const KV: &str = "demo:kv/store@0.1.0";

/// Where the code behind an import lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `demo:kv/store`, in the host's memory.
    Kv(KvRules),
    /// Another component, in this process.
    Local(PathBuf),
    /// Another component, made one with the command's own.
    Fused(PathBuf),
    /// An instance of another process.
    Peer(PeerPlace),
    /// An instance that several processes have.
    Peers(Vec<PeerPlace>),
}

impl Place {
    /// Why calls there can't be away; `None` where another process may be.
    pub fn never_away(&self) -> Option<&'static str> {
        match self {
            Self::Kv(_) => Some("its calls go to this process's own code, which is never away"),
            Self::Fused(_) => Some("its calls stay in the component, which ends with what is fused to it"),
            Self::Local(_) => Some("its calls stay in this process, where none gets lost"),
            Self::Peer(_) | Self::Peers(_) => None,
        }
    }
}

/// `?deny=KEY&absent-is-error=KEY` after `system:kv`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KvRules {
    deny: Vec<String>,
    absent_is_error: Vec<String>,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let places = several(text);
        let is_peer = PeerPlace::parse(text).is_some();
        // No name begins or ends with a comma, but paths may.
        if is_peer && places.iter().any(|place| place.is_empty() || place.ends_with(',')) {
            return Err(format!("`{text}` has a comma without a place beside it: places are written as PLACE,PLACE"));
        }
        if places.len() > 1 {
            if places.len() > PLACES_MAX {
                return Err(format!("{} places: a link has {PLACES_MAX} at most", places.len()));
            }
            let places = places.into_iter().map(|place| match PeerPlace::parse(place) {
                Some(place) => place,
                None => Err(format!("`{place}` is no place beside others: several places are all in other processes")),
            });
            return places.collect::<Result<_, _>>().map(Self::Peers);
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(|| format!("`{text}` is no place: {FORMS}"))?;
        match scheme {
            "system" => kv(rest).map(Self::Kv),
            "local" if rest.is_empty() => Err(format!("`{text}` names no file: local:FILE.wasm")),
            "local" => Ok(Self::Local(rest.into())),
            "fused" if rest.is_empty() => Err(format!("`{text}` names no file: fused:FILE.wasm")),
            "fused" => Ok(Self::Fused(rest.into())),
            _ => PeerPlace::parse(text)
                .unwrap_or_else(|| Err(format!("`{scheme}:` is no kind of place: {FORMS}")))
                .map(Self::Peer),
        }
    }
}

/// What stands between commas, where that begins like a place: a path may have commas too.
pub fn several(text: &str) -> Vec<&str> {
    let is_scheme = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'+');
    let (mut places, mut start) = (Vec::new(), 0);
    for (comma, _) in text.match_indices(',') {
        if text[comma + 1..].split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme)) {
            places.push(&text[start..comma]);
            start = comma + 1;
        }
    }
    places.push(&text[start..]);
    places
}

fn kv(text: &str) -> Result<KvRules, String> {
    let (name, rules) = text.split_once('?').unwrap_or((text, ""));
    if name != "kv" {
        return Err(format!("there is no host component `{name}`; there is `system:kv`, for demo:kv/store"));
    }
    let mut found = KvRules::default();
    for rule in rules.split('&').filter(|rule| !rule.is_empty()) {
        match rule.split_once('=') {
            Some(("deny", key)) => found.deny.push(key.into()),
            Some(("absent-is-error", key)) => found.absent_is_error.push(key.into()),
            _ => return Err(format!("`{rule}` is no rule of `system:kv`; there are deny=KEY and absent-is-error=KEY")),
        }
    }
    Ok(found)
}

/// What the places of one command come to: whatever is named twice is there once.
pub struct Places<'a> {
    runtime: &'a Runtime,
    budget: &'a BudgetArgs,
    keys: Keys,
    starts: bool,
    stores: Vec<(KvRules, InMemoryKv)>,
    instances: HashMap<PathBuf, InstanceHandle>,
    fused: HashMap<PathBuf, LoadedComponent>,
    transports: HashMap<String, Arc<dyn Transport>>,
    groups: Vec<(Vec<PeerPlace>, Balance, RemoteGroup)>,
}

impl<'a> Places<'a> {
    pub fn new(runtime: &'a Runtime, budget: &'a BudgetArgs, keys: Keys) -> Self {
        let (stores, instances, fused, transports) = (Vec::new(), HashMap::new(), HashMap::new(), HashMap::new());
        let groups = Vec::new();
        Self { runtime, budget, keys, starts: true, stores, instances, fused, transports, groups }
    }

    /// The same, where nothing may run: the component of a `local:` place is checked, and not started.
    pub fn unstarted(runtime: &'a Runtime, budget: &'a BudgetArgs, keys: Keys) -> Self {
        Self { starts: false, ..Self::new(runtime, budget, keys) }
    }

    /// What a link goes to; starts the component of a `local:` place.
    pub async fn find(&mut self, link: &LinkArg, balance: Balance) -> Result<Linkable, Failed> {
        Ok(match &link.place {
            Place::Kv(rules) => Linkable::system(self.store(rules)),
            Place::Local(file) if !self.starts => {
                let component = load::component(self.runtime, file);
                let component = component.map_err(|failed| failed.behind_link(&link.text))?;
                Linkable::LocalInstance(LocalInstance::Unstarted { name: load::name_of(file), component })
            }
            Place::Local(file) => {
                let found = self.instance(file).await.map_err(|failed| failed.behind_link(&link.text))?;
                Linkable::LocalInstance(found.into())
            }
            Place::Fused(file) => {
                let component = self.fused(file).map_err(|failed| failed.behind_link(&link.text))?;
                Linkable::fused(load::name_of(file), &component)
            }
            Place::Peer(place) => Linkable::remote(self.transport(place)?, &place.instance),
            Place::Peers(places) => Linkable::remote_group(&self.group(places, balance)?),
        })
    }

    fn transport(&mut self, place: &PeerPlace) -> Result<Arc<dyn Transport>, Failed> {
        Ok(match self.transports.entry(place.connection()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => new.insert(place.transport(&self.keys)?).clone(),
        })
    }

    /// One group for all links to the same places, so that they go to the same of them.
    fn group(&mut self, places: &[PeerPlace], balance: Balance) -> Result<RemoteGroup, Failed> {
        let known = self.groups.iter().find(|(of, how, _)| of == places && *how == balance);
        if let Some((.., group)) = known {
            return Ok(group.clone());
        }
        let ends = places.iter().map(|place| Ok((self.transport(place)?, place.instance.clone())));
        let ends: Vec<_> = ends.collect::<Result<_, Failed>>()?;
        let group = self.runtime.remote_group(ends, balance);
        self.groups.push((places.to_vec(), balance, group.clone()));
        Ok(group)
    }

    fn store(&mut self, rules: &KvRules) -> InMemoryKv {
        if let Some((_, store)) = self.stores.iter().find(|(of, _)| of == rules) {
            return store.clone();
        }
        let store = rules.deny.iter().fold(InMemoryKv::new(), |store, key| store.deny(key));
        let store = rules.absent_is_error.iter().fold(store, |store, key| store.absent_is_error(key));
        self.stores.push((rules.clone(), store.clone()));
        store
    }

    fn fused(&mut self, file: &Path) -> Result<LoadedComponent, Failed> {
        let key = same(file);
        if let Some(component) = self.fused.get(&key) {
            return Ok(component.clone());
        }
        let component = load::component(self.runtime, file)?;
        self.fused.insert(key, component.clone());
        Ok(component)
    }

    async fn instance(&mut self, file: &Path) -> Result<InstanceHandle, Failed> {
        let key = same(file);
        if let Some(instance) = self.instances.get(&key) {
            return Ok(instance.clone());
        }
        let component = load::component(self.runtime, file)?;
        let builder = self.runtime.builder(&component).name(load::name_of(file)).budget(self.budget.of_local());
        let instance = terminal::while_slow(&format!("compiling {}", file.display()), builder.instantiate()).await;
        let instance = instance.map_err(|error| match error {
            InstantiateError::Start(StartError::Link(error @ LinkError::Missing { .. })) => no_links(file, &error),
            _ => Failed::start(&error),
        })?;
        tracing::info!(file = %file.display(), instance = instance.name(), "local instance started");
        self.instances.insert(key, instance.clone());
        Ok(instance)
    }
}

/// One path for a file that has several, so that it is there once; one that isn't there is told of by `load`.
fn same(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

/// A component of a `local:` place whose imports would have to go somewhere.
///
/// What is granted to the command's own component is not granted to this one, so each import's own hint gives way to one
/// for all of them.
pub fn no_links(file: &Path, error: &LinkError) -> Failed {
    let LinkError::Missing { missing, offers } = error else { return Failed::link(error) };
    let (mut missing, mut options) = (missing.clone(), Vec::new());
    for import in &mut missing {
        let package = import.interface.as_deref().and_then(|name| name.split('/').next());
        let option = match package {
            Some("wasi:clocks") => "--wasi clocks".to_owned(),
            Some("wasi:random") => "--wasi random".to_owned(),
            Some("wasi:filesystem") => "--dir HOST::GUEST".to_owned(),
            // Its hint says that nothing grants it.
            Some(package) if package.starts_with("wasi:") => continue,
            _ => match import.interface.as_ref().or(import.functions.first()) {
                Some(name) => format!("--link {name}=PLACE"),
                None => continue,
            },
        };
        import.hint = None;
        if !options.contains(&option) {
            options.push(option);
        }
    }
    let failed = Failed::new(LINK, LinkError::Missing { missing, offers: offers.clone() }.to_string());
    let why = "the component of a `local:` place gets no links and no grants";
    if options.is_empty() {
        return failed.hint(why);
    }
    failed.hint(format!(
        "{why}; give it a process of its own, `isorun serve {} --listen ADDRESS {}`, and link to it there",
        file.display(),
        options.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    fn refused(text: &str, expected: &str) {
        match text.parse::<Place>() {
            Err(error) => assert!(error.contains(expected), "{text}: {error}"),
            Ok(place) => panic!("{text} is {place:?}"),
        }
    }

    #[test]
    fn each_form_is_read() {
        assert_eq!("system:kv".parse(), Ok(Place::Kv(KvRules::default())));
        let rules = KvRules { deny: vec!["a".into(), "b".into()], absent_is_error: vec!["c=d".into()] };
        assert_eq!("system:kv?deny=a&deny=b&absent-is-error=c=d".parse(), Ok(Place::Kv(rules)));
        assert_eq!("local:a:b/c.wasm".parse(), Ok(Place::Local("a:b/c.wasm".into())));
        assert_eq!("fused:a.wasm".parse(), Ok(Place::Fused("a.wasm".into())));
        let address = Address::Tcp("tcp://[::1]:7000".parse().unwrap());
        assert_eq!("tcp://[::1]:7000/kv".parse(), Ok(Place::Peer(PeerPlace { address, instance: "kv".into() })));
    }

    #[cfg(unix)]
    #[test]
    fn a_unix_socket_is_a_place_with_a_name_after_its_path() {
        let address = Address::Unix("unix:///run/kv.sock".parse().unwrap());
        let place = PeerPlace { address, instance: "kv".into() };
        assert_eq!(place.to_string(), "unix:///run/kv.sock#kv");
        assert_eq!("unix:///run/kv.sock#kv".parse(), Ok(Place::Peer(place)));
        refused("unix:///run/kv.sock", "names no instance");
        refused("unix:///run/kv.sock#", "names no instance");
        refused("unix:run/kv.sock#kv", "unix://");
        refused("unix://run/kv.sock#kv", "three slashes");
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_form_it_should_have() {
        refused("", "local:FILE.wasm");
        refused("kv.wasm", "local:FILE.wasm");
        refused("http://a/b", "tcp://HOST:PORT/NAME");
        refused("local:", "names no file");
        refused("fused:", "names no file");
        refused("system:", "system:kv");
        refused("system:log", "no host component `log`");
        refused("system:kv?refuse=a", "deny=KEY");
        refused("tcp:127.0.0.1:7000/kv", "tcp://HOST:PORT/NAME");
        refused("tcp://127.0.0.1:7000", "names no instance");
        refused("tcp://127.0.0.1:7000/", "names no instance");
        refused("tcp://127.0.0.1:0/kv", "port 0");
        for text in ["tcp://a:1/kv,", "tcp://a:1/kv,,tcp://b:1/kv", "unix:///a#kv,", "nats://a/kv,,unix:///a#kv"] {
            refused(text, "comma without a place");
        }
        refused("tcp://127.0.0.1/kv", "no valid port");
    }
}
