//! WASI without a directory: empty unless granted.

use std::collections::BTreeSet;
use std::sync::Arc;

use isorun_runtime::{HostState, Link, LinkTarget, Selector, SystemComponent};
use isorun_security::{Request, WasiFeature};
use wasmtime::component::Linker;

use crate::interfaces::Package;
use crate::{WasiDir, state};

/// What a guest finds of WASI beside directories; nothing, until it is granted.
///
/// `wasi:cli`, `wasi:io`, `wasi:filesystem` and `wasi:sockets` are always there,
/// because a component that names them doesn't start without: with no arguments,
/// no variables, a closed standard input, an output that goes nowhere, no
/// directory, and no socket or name that isn't refused with `access-denied`. `wasi:cli/exit` ends the call. Clocks and random numbers are not
/// there at all unless granted, so that to import them is a link error;
/// [`how_to_grant`] has the words for it. Nothing grants a socket.
///
/// ```
/// use isorun_system::Wasi;
///
/// let wasi = Wasi::inert().clocks().environment([("LANG", "C.UTF-8")]);
/// assert_eq!(wasi.granted().map(|feature| feature.name()).collect::<Vec<_>>(), ["clocks", "environment"]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wasi {
    granted: BTreeSet<WasiFeature>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Wasi {
    /// Everything there, and nothing in it.
    #[must_use]
    pub fn inert() -> Self {
        Self::default()
    }

    /// Grants a feature by name; arguments and variables are still to be given.
    #[must_use]
    pub fn grant(mut self, feature: WasiFeature) -> Self {
        self.granted.insert(feature);
        self
    }

    /// Grants the wall clock and the monotonic clock.
    #[must_use]
    pub fn clocks(self) -> Self {
        self.grant(WasiFeature::Clocks)
    }

    /// Grants random numbers, up to [`RANDOM_BYTES_MAX`](crate::RANDOM_BYTES_MAX) bytes at once.
    #[must_use]
    pub fn random(self) -> Self {
        self.grant(WasiFeature::Random)
    }

    /// Grants this process's standard input, output and error.
    ///
    /// What the guest writes is not bounded.
    #[must_use]
    pub fn stdio(self) -> Self {
        self.grant(WasiFeature::Stdio)
    }

    /// Grants these variables; those of this process stay hidden.
    #[must_use]
    pub fn environment<K: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.variables.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        self.grant(WasiFeature::Environment)
    }

    /// Grants these arguments; the first is by custom the program's name.
    #[must_use]
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self.grant(WasiFeature::Arguments)
    }

    /// What is granted, in the order of the names.
    pub fn granted(&self) -> impl Iterator<Item = WasiFeature> {
        self.granted.iter().copied()
    }

    fn has(&self, feature: WasiFeature) -> bool {
        self.granted.contains(&feature)
    }

    fn packages(&self) -> Vec<Package> {
        let mut packages = vec![Package::Cli, Package::Filesystem, Package::Io, Package::Sockets];
        packages.extend(self.has(WasiFeature::Clocks).then_some(Package::Clocks));
        packages.extend(self.has(WasiFeature::Random).then_some(Package::Random));
        packages
    }
}

impl SystemComponent for Wasi {
    fn interfaces(&self) -> Vec<String> {
        self.packages().into_iter().flat_map(Package::interfaces).collect()
    }

    fn needs(&self) -> Vec<Request<'_>> {
        self.granted().map(Request::UseWasi).collect()
    }

    fn install(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        let granted: Vec<_> = self.granted().map(WasiFeature::name).collect();
        let granted = if granted.is_empty() { "nothing".to_owned() } else { granted.join(", ") };
        tracing::info!(%granted, "WASI is linked; what is not granted of it is empty");
        self.packages().into_iter().try_for_each(|package| package.install(linker))
    }

    fn configure(&self, state: &mut HostState) -> wasmtime::Result<()> {
        state::configure(state, |builder| {
            builder.args(&self.arguments).envs(&self.variables);
            if self.has(WasiFeature::Stdio) {
                builder.inherit_stdio();
            }
            Ok(())
        })
    }
}

/// The links that give a component all it may have of WASI: these directories, and `wasi`.
///
/// Each is for a whole package, so that it takes whatever the component imports
/// of it, which may be nothing.
///
/// ```
/// use isorun_system::{Wasi, wasi_links};
///
/// let links = wasi_links(Wasi::inert().clocks(), []);
/// let packages: Vec<_> = links.iter().map(|link| link.selector.to_string()).collect();
/// assert_eq!(packages, ["wasi:cli", "wasi:filesystem", "wasi:io", "wasi:sockets", "wasi:clocks"]);
/// ```
#[must_use]
pub fn wasi_links(wasi: Wasi, dirs: impl IntoIterator<Item = WasiDir>) -> Vec<Link> {
    let link = |package: Package, component: Arc<dyn SystemComponent>| Link {
        selector: Selector::Package(package.name().into()),
        target: LinkTarget::System(component),
    };
    let dirs: Vec<_> = dirs.into_iter().map(|dir| link(Package::Filesystem, Arc::new(dir))).collect();
    let wasi = Arc::new(wasi);
    let packages = wasi.packages().into_iter().filter(|package| *package != Package::Filesystem || dirs.is_empty());
    packages.map(|package| link(package, wasi.clone())).chain(dirs.iter().cloned()).collect()
}

/// How an operator grants an import of WASI's, where that can be done; `None` for what is not WASI's.
///
/// ```
/// use isorun_system::how_to_grant;
///
/// let how = how_to_grant("wasi:clocks/monotonic-clock@0.2.6");
/// assert_eq!(how.as_deref(), Some("grant it with `--wasi clocks`"));
/// assert_eq!(how_to_grant("demo:kv/store@0.1.0"), None);
/// ```
#[must_use]
pub fn how_to_grant(import: &str) -> Option<String> {
    let package = import.split(['/', '@']).next().unwrap_or(import);
    let feature = |feature: WasiFeature| format!("grant it with `--wasi {feature}`");
    Some(match package {
        "wasi:clocks" => feature(WasiFeature::Clocks),
        "wasi:random" => feature(WasiFeature::Random),
        "wasi:filesystem" => "grant a folder with `--dir HOST::GUEST`".into(),
        "wasi:sockets" => "sockets are not offered to guests".into(),
        _ if package.starts_with("wasi:") => format!("`{package}` is not offered to guests"),
        _ => return None,
    })
}
