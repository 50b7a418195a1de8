//! What an operator named, and what follows from it.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use isorun_core::{ComponentId, ComponentPattern, PeerIdentity};

use crate::by_pattern::ByPattern;
use crate::text::Shown;
use crate::{Audience, Capability, Decision, Mount, Request, WasiFeature};

/// What an operator granted; empty, it allows nothing but listening on this machine.
///
/// Grants only add up: none of them takes anything away. A clone shares those of messages, of which a node has most.
///
/// ```
/// use isorun_core::PeerIdentity;
/// use isorun_security::{Audience, Grants, WasiFeature};
///
/// let grants = Grants::new()
///     .link("demo:kv/store@0.1.0", "tcp://127.0.0.1:7000/kv")
///     .wasi(WasiFeature::Clocks)
///     .serve("app", Audience::SameProcess);
///
/// assert!(grants.may_link("demo:kv/store@0.1.3").is_allowed());
/// assert!(!grants.may_link("demo:kv/admin@0.1.0").is_allowed());
/// assert!(!grants.may_use_wasi(WasiFeature::Random).is_allowed());
/// assert!(grants.may_serve("app", &PeerIdentity::SameProcess).is_allowed());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    links: Vec<LinkGrant>,
    mounts: Vec<Mount>,
    wasi: BTreeSet<WasiFeature>,
    served: BTreeSet<(Capability, Audience)>,
    messages: Arc<MessageGrants>,
    insecure: bool,
}

/// Who may send what to whom: asked for each message, so that it is not looked through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct MessageGrants {
    /// By the senders, the targets.
    sent: ByPattern<ByPattern<()>>,
    to_anyone: ByPattern<()>,
    to_same_process: ByPattern<()>,
    /// By the names that peers have proved.
    to_named: HashMap<String, ByPattern<()>>,
}

/// Imports, and the place their code comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LinkGrant {
    capability: Capability,
    place: String,
}

impl Grants {
    /// No grants.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Grants that imports are satisfied, by what is at `place`.
    ///
    /// Which they are is a [`Capability`], or the text that [`Capability::of`]
    /// reads. The place is only told when a decision is explained. A second
    /// grant for the same replaces the first.
    #[must_use]
    pub fn link(mut self, imports: impl Into<Capability>, place: impl Into<String>) -> Self {
        let (capability, place) = (imports.into(), place.into());
        self.links.retain(|known| known.capability != capability);
        self.links.push(LinkGrant { capability, place });
        self
    }

    /// Grants a directory; read-write includes read-only.
    #[must_use]
    pub fn mount(mut self, mount: Mount) -> Self {
        if !self.mounts.contains(&mount) {
            self.mounts.push(mount);
        }
        self
    }

    /// Grants a part of WASI.
    #[must_use]
    pub fn wasi(mut self, feature: WasiFeature) -> Self {
        self.wasi.insert(feature);
        self
    }

    /// Grants that `audience` calls whatever the instance registered as `instance` has.
    #[must_use]
    pub fn serve(self, instance: impl Into<String>, audience: Audience) -> Self {
        self.serve_only(Capability::everything().instance(instance), audience)
    }

    /// Grants that `audience` calls what the capability names, and nothing more.
    ///
    /// ```
    /// use isorun_core::PeerIdentity;
    /// use isorun_security::{Audience, Capability, Grants};
    ///
    /// let readers = Capability::of("demo:kv/store").functions(["get"]).instance("kv");
    /// let grants = Grants::new().serve_only(readers, Audience::Anyone);
    /// let peer = PeerIdentity::SameProcess;
    /// assert!(grants.may_call("kv", Some("demo:kv/store@0.1.0"), "get", &peer).is_allowed());
    /// assert_eq!(
    ///     grants.may_call("kv", Some("demo:kv/store@0.1.0"), "put", &peer).to_string(),
    ///     "denied: `demo:kv/store@0.1.0#put` of instance `kv` is not served to this process; \
    ///      its operator grants it by serving that function"
    /// );
    /// ```
    #[must_use]
    pub fn serve_only(mut self, capability: Capability, audience: Audience) -> Self {
        self.served.insert((capability, audience));
        self
    }

    /// Grants that components send messages to others, wherever those are.
    ///
    /// One that sends to itself needs a grant for that as well.
    ///
    /// The answer to a request needs no grant of its own.
    ///
    /// ```
    /// use isorun_core::{ComponentId, ComponentPattern};
    /// use isorun_security::Grants;
    ///
    /// let counters = ComponentPattern::parse("demo/counter/*")?;
    /// let log = ComponentId::new("demo", "log", "0");
    /// let grants = Grants::new().send(counters, &log);
    /// assert!(grants.may_send(&ComponentId::new("demo", "counter", "1"), &log).is_allowed());
    /// assert_eq!(
    ///     grants.may_send(&log, &ComponentId::new("demo", "counter", "1")).to_string(),
    ///     "denied: `demo/log/0` may not send to `demo/counter/1`; \
    ///      `may-send = [\"demo/counter/1\"]` for `demo/log/0` grants it"
    /// );
    /// # Ok::<(), isorun_core::ComponentPatternError>(())
    /// ```
    #[must_use]
    pub fn send(mut self, from: impl Into<ComponentPattern>, to: impl Into<ComponentPattern>) -> Self {
        Arc::make_mut(&mut self.messages).sent.entry(from.into()).entry(to.into());
        self
    }

    /// Grants that messages for components here are taken from `audience`, another node.
    ///
    /// ```
    /// use isorun_core::{ComponentId, ComponentPattern, PeerIdentity};
    /// use isorun_security::{Audience, Grants};
    ///
    /// let counters = ComponentPattern::parse("demo/counter/*")?;
    /// let grants = Grants::new().deliver(Audience::Named("east".into()), counters);
    /// let east = PeerIdentity::Authenticated { name: "east".into() };
    /// assert!(grants.may_deliver(&east, &ComponentId::new("demo", "counter", "1")).is_allowed());
    /// assert_eq!(
    ///     grants.may_deliver(&east, &ComponentId::new("demo", "log", "0")).to_string(),
    ///     "denied: messages for `demo/log/0` are not accepted from east; \
    ///      its operator grants it by `\"east\" = \"demo/log/0\"` in `[node.accept]`"
    /// );
    /// # Ok::<(), isorun_core::ComponentPatternError>(())
    /// ```
    #[must_use]
    pub fn deliver(mut self, audience: Audience, to: impl Into<ComponentPattern>) -> Self {
        let messages = Arc::make_mut(&mut self.messages);
        let targets = match audience {
            Audience::Anyone => &mut messages.to_anyone,
            Audience::SameProcess => &mut messages.to_same_process,
            Audience::Named(name) => messages.to_named.entry(name).or_default(),
        };
        targets.entry(to.into());
        self
    }

    /// Grants listening where other machines can reach it, without encryption or authentication.
    #[must_use]
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Whether an import may be satisfied: a whole interface, or a function at the root.
    pub fn may_link(&self, import: &str) -> Decision {
        self.may_link_only(&Capability::of(import))
    }

    /// Whether these imports may be satisfied; several grants may cover them together.
    pub fn may_link_only(&self, wanted: &Capability) -> Decision {
        self.decide(&Request::Link { wanted })
    }

    /// Whether a guest may be shown a directory.
    pub fn may_mount(&self, mount: &Mount) -> Decision {
        self.decide(&Request::Mount(mount))
    }

    /// Whether a guest may use a part of WASI.
    pub fn may_use_wasi(&self, feature: WasiFeature) -> Decision {
        self.decide(&Request::UseWasi(feature))
    }

    /// Whether a peer may call anything of an instance.
    ///
    /// The reason of a denial is fit to be sent to the peer: it does not tell
    /// whether there is such an instance.
    pub fn may_serve(&self, instance: &str, peer: &PeerIdentity) -> Decision {
        self.decide(&Request::Serve { instance, peer })
    }

    /// Whether a peer may call a function; `interface` is `None` for one at the root.
    ///
    /// The reason of a denial is fit to be sent to the peer.
    pub fn may_call(&self, instance: &str, interface: Option<&str>, function: &str, peer: &PeerIdentity) -> Decision {
        self.decide(&Request::Call { instance, interface, function, peer })
    }

    /// Whether a component of this node may send a message to another.
    pub fn may_send(&self, from: &ComponentId, to: &ComponentId) -> Decision {
        self.decide(&Request::Send { from, to })
    }

    /// What [`may_send`](Self::may_send) decides, without its words: for whoever asks at each message.
    ///
    /// Allocates nothing; takes as long as there are grants with a `*` for it, however many there are for others.
    #[must_use]
    pub fn lets_send(&self, from: &ComponentId, to: &ComponentId) -> bool {
        self.send_grant(from, to).is_some()
    }

    /// Whether a message that a peer brings may be put into a mailbox.
    ///
    /// The reason of a denial is fit to be sent to the peer: it does not tell
    /// whether there is such a component.
    pub fn may_deliver(&self, peer: &PeerIdentity, to: &ComponentId) -> Decision {
        self.decide(&Request::Deliver { peer, to })
    }

    /// What [`may_deliver`](Self::may_deliver) decides, without its words: for whoever asks at each message.
    ///
    /// Allocates nothing; takes as long as that peer and anyone have grants with a `*`, however many others have.
    #[must_use]
    pub fn lets_deliver(&self, peer: &PeerIdentity, to: &ComponentId) -> bool {
        self.deliver_grant(peer, to).is_some()
    }

    /// Whether a peer may deliver to any component at all, be there one or not.
    #[must_use]
    pub fn lets_deliver_somewhere(&self, peer: &PeerIdentity) -> bool {
        let MessageGrants { to_anyone, to_same_process, to_named, .. } = &*self.messages;
        let it_alone = match peer {
            PeerIdentity::SameProcess => Some(to_same_process),
            PeerIdentity::Authenticated { name } => to_named.get(name),
            _ => None,
        };
        !to_anyone.is_empty() || it_alone.is_some_and(|granted| !granted.is_empty())
    }

    /// Whether connections may be accepted, without encryption, at an address.
    pub fn may_listen(&self, address_is_loopback: bool) -> Decision {
        self.decide(&Request::Listen { address_is_loopback })
    }

    /// Whether a request is covered by a grant.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let found = match *request {
            Request::Link { wanted } => self.link_grant(wanted),
            Request::Mount(mount) => self.mount_grant(mount),
            Request::UseWasi(feature) => self.wasi.contains(&feature).then(|| format!("`--wasi {feature}`")),
            Request::Serve { instance, peer } => self.serve_grant(peer, |served| served.reaches(instance)),
            Request::Call { instance, interface, function, peer } => {
                self.serve_grant(peer, |served| served.covers(instance, interface, function))
            }
            Request::Send { from, to } => {
                self.send_grant(from, to).map(|(from, to)| format!("`may-send = [\"{to}\"]` for `{from}`"))
            }
            Request::Deliver { peer, to } => self
                .deliver_grant(peer, to)
                .map(|(to, audience)| format!("messages for `{to}` are accepted from {}", Shown(audience))),
            Request::Listen { address_is_loopback: true } => {
                Some("only this machine reaches a loopback address".into())
            }
            Request::Listen { address_is_loopback: false } => self.insecure.then(|| "`--insecure`".into()),
        };
        match found {
            Some(by) => Decision::Allowed { by },
            None => Decision::Denied { reason: reason(request) },
        }
    }

    fn link_grant(&self, wanted: &Capability) -> Option<String> {
        if wanted.is_empty() {
            return Some("nothing is asked for".into());
        }
        let mut found: Vec<&LinkGrant> = Vec::new();
        for part in wanted.parts() {
            let covering = || self.links.iter().filter(|grant| part.is_within(&grant.capability));
            // The very name before a version beside it, and `*` only where nothing else is said.
            let exact = || covering().find(|grant| grant.capability == part);
            let named = || covering().find(|grant| !grant.capability.is_rest());
            let grant = exact().or_else(named).or_else(|| covering().next())?;
            if !found.contains(&grant) {
                found.push(grant);
            }
        }
        let links: Vec<_> = found.into_iter().take(SHOWN_GRANTS_MAX).map(LinkGrant::to_string).collect();
        Some(links.join(", "))
    }

    fn mount_grant(&self, wanted: &Mount) -> Option<String> {
        self.mounts.iter().find(|granted| granted.covers(wanted)).map(|granted| format!("`{}`", dir_option(granted)))
    }

    fn serve_grant(&self, peer: &PeerIdentity, is_enough: impl Fn(&Capability) -> bool) -> Option<String> {
        let (served, audience) =
            self.served.iter().find(|(served, audience)| audience.includes(peer) && is_enough(served))?;
        Some(format!("{served} is served to {}", Shown(&audience.to_string())))
    }

    fn send_grant(&self, from: &ComponentId, to: &ComponentId) -> Option<(&ComponentPattern, &ComponentPattern)> {
        let mut senders = self.messages.sent.matching(from);
        senders.find_map(|(senders, targets)| first(targets, to).map(|targets| (senders, targets)))
    }

    /// The grant for the first of the targets, and the audience in its words.
    fn deliver_grant(&self, peer: &PeerIdentity, to: &ComponentId) -> Option<(&ComponentPattern, &str)> {
        let MessageGrants { to_anyone, to_same_process, to_named, .. } = &*self.messages;
        let anyone = first(to_anyone, to).map(|targets| (targets, "anyone"));
        let it_alone = match peer {
            PeerIdentity::SameProcess => first(to_same_process, to).map(|targets| (targets, "this process")),
            PeerIdentity::Authenticated { name } => {
                let named = to_named.get_key_value(name);
                named.and_then(|(name, granted)| first(granted, to).map(|targets| (targets, name.as_str())))
            }
            // Kinds of peers that are yet to come included: whoever is not named brings nothing.
            _ => None,
        };
        // Of two for the same targets that for anyone, which is the first.
        anyone.into_iter().chain(it_alone).min_by_key(|(targets, _)| *targets)
    }
}

fn first<'a>(targets: &'a ByPattern<()>, to: &ComponentId) -> Option<&'a ComponentPattern> {
    targets.matching(to).next().map(|(targets, ())| targets)
}

/// Grants that one decision names.
const SHOWN_GRANTS_MAX: usize = 8;

impl fmt::Display for LinkGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`--link {}={}`", self.capability.import(), Shown(&self.place))
    }
}

/// Why nothing allows a request, and what would.
fn reason(request: &Request<'_>) -> String {
    match *request {
        Request::Link { wanted } => {
            format!("import {wanted} is not linked; `--link {}=PLACE` grants it", wanted.import())
        }
        Request::Mount(mount) => {
            let (host, guest) = (mount.host.to_string_lossy(), mount.guest.to_string_lossy());
            let (host, guest, access, option) = (Shown(&host), Shown(&guest), mount.access, dir_option(mount));
            format!("`{host}` is not granted to the guest as `{guest}`, {access}; `{option}` grants it")
        }
        Request::UseWasi(feature) => {
            format!("the guest is not granted WASI's {feature}; `--wasi {feature}` grants it")
        }
        Request::Serve { instance, peer } => {
            let (instance, name) = (Shown(instance), peer.to_string());
            let grant = match peer {
                PeerIdentity::Authenticated { name } => format!("by `--allow {}`", Shown(name)),
                _ => "by serving it under that name".into(),
            };
            format!("instance `{instance}` is not served to {}; its operator grants it {grant}", Shown(&name))
        }
        Request::Call { instance, interface, function, peer } => {
            let (instance, function, name) = (Shown(instance), Shown(function), peer.to_string());
            let (interface, hash) = interface.map_or((Shown(""), ""), |interface| (Shown(interface), "#"));
            let what = format!("{interface}{hash}{function}");
            let grant = match peer {
                PeerIdentity::Authenticated { name } => format!("by `--allow {}={what}`", Shown(name)),
                _ => "by serving that function".into(),
            };
            format!(
                "`{what}` of instance `{instance}` is not served to {}; its operator grants it {grant}",
                Shown(&name)
            )
        }
        Request::Send { from, to } => {
            let (from, to) = (Shown(from.as_str()), Shown(to.as_str()));
            format!("`{from}` may not send to `{to}`; `may-send = [\"{to}\"]` for `{from}` grants it")
        }
        Request::Deliver { peer, to } => {
            let (to, name) = (Shown(to.as_str()), peer.to_string());
            let who = match peer {
                PeerIdentity::Authenticated { name } => name.as_str(),
                _ => "*",
            };
            format!(
                "messages for `{to}` are not accepted from {}; its operator grants it by `\"{}\" = \"{to}\"` in `[node.accept]`",
                Shown(&name),
                Shown(who)
            )
        }
        Request::Listen { .. } => "other machines could reach this address and nothing would be encrypted or \
             authenticated; listen on 127.0.0.1 or at a tls:// address, or `--insecure` grants it"
            .into(),
    }
}

/// The mount as the command line writes it.
fn dir_option(mount: &Mount) -> String {
    let (host, guest) = (mount.host.to_string_lossy(), mount.guest.to_string_lossy());
    let suffix = match mount.access {
        crate::Access::ReadOnly => ":ro",
        crate::Access::ReadWrite => "",
    };
    format!("--dir {}::{}{suffix}", Shown(&host), Shown(&guest))
}
