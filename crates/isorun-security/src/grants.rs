//! What an operator named, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use isorun_core::PeerIdentity;

use crate::link;
use crate::text::Shown;
use crate::{Audience, Decision, Mount, Request, WasiFeature};

/// What an operator granted; empty, it allows nothing but listening on this machine.
///
/// Grants only add up: none of them takes anything away.
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
    /// By name of the import, the place its code comes from.
    links: BTreeMap<String, String>,
    mounts: Vec<Mount>,
    wasi: BTreeSet<WasiFeature>,
    served: BTreeMap<String, BTreeSet<Audience>>,
    insecure: bool,
}

impl Grants {
    /// No grants.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Grants that `import` is satisfied, by what is at `place`.
    ///
    /// An import is `ns:pkg/iface@version`, which covers the versions of its
    /// track; the name of a root function; or `*`, for all but WASI's. The place
    /// is only told when a decision is explained. A second grant for an import
    /// replaces the first.
    #[must_use]
    pub fn link(mut self, import: impl Into<String>, place: impl Into<String>) -> Self {
        self.links.insert(import.into(), place.into());
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

    /// Grants that `audience` calls the instance registered as `instance`.
    #[must_use]
    pub fn serve(mut self, instance: impl Into<String>, audience: Audience) -> Self {
        self.served.entry(instance.into()).or_default().insert(audience);
        self
    }

    /// Grants listening where other machines can reach it, without encryption or authentication.
    #[must_use]
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Whether an import may be satisfied.
    pub fn may_link(&self, import: &str) -> Decision {
        self.decide(&Request::Link { import })
    }

    /// Whether a guest may be shown a directory.
    pub fn may_mount(&self, mount: &Mount) -> Decision {
        self.decide(&Request::Mount(mount))
    }

    /// Whether a guest may use a part of WASI.
    pub fn may_use_wasi(&self, feature: WasiFeature) -> Decision {
        self.decide(&Request::UseWasi(feature))
    }

    /// Whether a peer may call an instance.
    ///
    /// The reason of a denial is fit to be sent to the peer: it does not tell
    /// whether there is such an instance.
    pub fn may_serve(&self, instance: &str, peer: &PeerIdentity) -> Decision {
        self.decide(&Request::Serve { instance, peer })
    }

    /// Whether connections may be accepted, without encryption, at an address.
    pub fn may_listen(&self, address_is_loopback: bool) -> Decision {
        self.decide(&Request::Listen { address_is_loopback })
    }

    /// Whether a request is covered by a grant.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let found = match *request {
            Request::Link { import } => self.link_grant(import),
            Request::Mount(mount) => self.mount_grant(mount),
            Request::UseWasi(feature) => self.wasi.contains(&feature).then(|| format!("`--wasi {feature}`")),
            Request::Serve { instance, peer } => self.serve_grant(instance, peer),
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

    fn link_grant(&self, import: &str) -> Option<String> {
        // The name itself before a version beside it, and `*` only where nothing else is said.
        let named = || self.links.iter().find(|(granted, _)| *granted != link::ALL && link::covers(granted, import));
        let all = || self.links.get_key_value(link::ALL).filter(|(all, _)| link::covers(all, import));
        let (granted, place) = self.links.get_key_value(import).or_else(named).or_else(all)?;
        Some(format!("`--link {}={}`", Shown(granted), Shown(place)))
    }

    fn mount_grant(&self, wanted: &Mount) -> Option<String> {
        self.mounts.iter().find(|granted| granted.covers(wanted)).map(|granted| format!("`{}`", dir_option(granted)))
    }

    fn serve_grant(&self, instance: &str, peer: &PeerIdentity) -> Option<String> {
        let audience = self.served.get(instance)?.iter().find(|audience| audience.includes(peer))?;
        Some(format!("`{}` is served to {}", Shown(instance), Shown(&audience.to_string())))
    }
}

/// Why nothing allows a request, and what would.
fn reason(request: &Request<'_>) -> String {
    match *request {
        Request::Link { import } => {
            let import = Shown(import);
            format!("import `{import}` is not linked; `--link {import}=PLACE` grants it")
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
            let (instance, peer) = (Shown(instance), peer.to_string());
            let peer = Shown(&peer);
            format!(
                "instance `{instance}` is not served to {peer}; its operator grants it by serving it under that name"
            )
        }
        Request::Listen { .. } => "other machines could reach this address and nothing would be encrypted or \
             authenticated; listen on 127.0.0.1, or `--insecure` grants it"
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
