//! Which import goes where: resolved from the ledger, before anything is compiled.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use isorun_core::Failure;
use isorun_ledger::{Difference, Function, Interface, Ledger, Obstacle, names_match, nearest};

use crate::actor::NoLifecycle;
use crate::fuse::FusedLink;
use crate::stub::{CalleeLink, OnFailure, Room};
use crate::{LoadError, SystemComponent};

/// Which imports a link is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `ns:pkg/iface` or `ns:pkg/iface@version`: one interface.
    Interface(String),
    /// `ns:pkg`: whatever is imported of one package; of WASI's that may be nothing.
    Package(String),
    /// `name`: one function at the root of the world.
    Function(String),
    /// `*`: all that no other link takes, but `wasi:*`.
    Rest,
}

impl Selector {
    /// Reads a selector as an operator writes it.
    ///
    /// ```
    /// use isorun_runtime::Selector;
    /// assert_eq!(Selector::parse("*"), Selector::Rest);
    /// assert_eq!(Selector::parse("demo:kv/store"), Selector::Interface("demo:kv/store".into()));
    /// assert_eq!(Selector::parse("add"), Selector::Function("add".into()));
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "*" => Self::Rest,
            _ if text.contains('/') => Self::Interface(text.into()),
            _ if text.contains(':') => Self::Package(text.into()),
            _ => Self::Function(text.into()),
        }
    }

    /// How closely this selects a function of an import: the closest link takes it.
    pub(crate) fn closeness(&self, interface: Option<&str>, function: &str) -> Option<u8> {
        match (self, interface) {
            (Self::Function(name), None) => (name == function).then_some(3),
            (Self::Interface(wanted), Some(import)) => selects(wanted, import).then_some(3),
            (Self::Package(wanted), Some(import)) => (package(import) == wanted).then_some(2),
            (Self::Rest, Some(import)) => (!import.starts_with("wasi:")).then_some(1),
            (Self::Rest, None) => Some(1),
            (Self::Function(_), Some(_)) | (Self::Interface(_) | Self::Package(_), None) => None,
        }
    }

    /// Whether it is a mistake if nothing that is imported is selected.
    pub(crate) fn must_match(&self) -> bool {
        match self {
            Self::Interface(_) | Self::Function(_) => true,
            // A part of WASI is granted, whether the component uses it or not.
            Self::Package(name) => !name.starts_with("wasi:"),
            Self::Rest => false,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(text) | Self::Package(text) | Self::Function(text) => f.write_str(text),
            Self::Rest => f.write_str("*"),
        }
    }
}

/// A selector without a version takes any version of its interface.
fn selects(wanted: &str, import: &str) -> bool {
    names_match(wanted, import) || wanted == unversioned(import)
}

fn unversioned(interface: &str) -> &str {
    interface.split('@').next().unwrap_or(interface)
}

fn package(interface: &str) -> &str {
    interface.split('/').next().unwrap_or(interface)
}

/// What satisfies an import.
#[derive(Clone)]
pub enum LinkTarget {
    /// A host component.
    System(Arc<dyn SystemComponent>),
    /// Another instance, here or on a peer.
    Callee(CalleeLink),
    /// A component that becomes one with the component that is linked.
    Fused(FusedLink),
}

impl LinkTarget {
    pub(crate) fn place(&self) -> String {
        match self {
            Self::System(_) => "the host".into(),
            Self::Fused(link) => format!("fused component `{}`", link.name),
            Self::Callee(link) => format!("instance `{}` {}", link.instance, link.place),
        }
    }
}

/// One line of configuration: these imports go there.
#[derive(Clone)]
pub struct Link {
    /// Which imports.
    pub selector: Selector,
    /// Where they go.
    pub target: LinkTarget,
}

/// An import that nobody linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The interface; `None` for functions at the root.
    pub interface: Option<String>,
    /// Its functions.
    pub functions: Vec<String>,
    /// What an operator can do about it, where whoever linked knows.
    pub hint: Option<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{interface} ({})", self.functions.join(", "))?,
            None => f.write_str(&self.functions.join(", "))?,
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, ": {hint}"))
    }
}

/// Something that an import could have been linked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The interface or root function.
    pub name: String,
    /// Who offers it.
    pub place: String,
}

/// Why a component can't be linked; found before anything of it runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Imports that nobody linked.
    #[error("not linked:{}{}", lines(missing), offered(offers))]
    Missing {
        /// Each of them.
        missing: Vec<Missing>,
        /// What is on offer.
        offers: Vec<Offer>,
    },
    /// A link for something that the component does not import.
    #[error("the component does not import `{selector}`{}; it imports: {}", near(nearest), listed(imports))]
    NotImported {
        /// What the link was for.
        selector: String,
        /// The import of the nearest name.
        nearest: Option<String>,
        /// What it does import.
        imports: Vec<String>,
    },
    /// Two links for one import.
    #[error("`{import}` is linked twice: to {first}, and to {second}")]
    LinkedTwice {
        /// The import.
        import: String,
        /// Where the one link goes.
        first: String,
        /// Where the other goes.
        second: String,
    },
    /// A host component that does not offer what it was linked for.
    #[error("the host component linked to `{import}` does not offer it; it offers: {}", listed(offers))]
    NotOffered {
        /// The import.
        import: String,
        /// What the host component offers.
        offers: Vec<String>,
    },
    /// Functions whose values can't go through a link.
    #[error("`{import}` can't be linked to {place}: {}", lines(obstacles))]
    NotCarried {
        /// The import.
        import: String,
        /// Where the link goes.
        place: String,
        /// Each function that can't, and why.
        obstacles: Vec<Obstacle>,
    },
    /// The two sides disagree about types.
    #[error("`{import}` is not the same in {place}:\n{difference}")]
    Incompatible {
        /// The import.
        import: String,
        /// Where the link goes.
        place: String,
        /// Every mismatch, with its path.
        difference: Difference,
    },
    /// A failure policy that no function of the link has room for.
    #[error(
        "no function of `{import}` has room for `{policy}` in its error type, so each would trap; its results: {}",
        listed(results)
    )]
    NoRoom {
        /// The import.
        import: String,
        /// The policy.
        policy: OnFailure,
        /// Each function's result type, as WIT.
        results: Vec<String>,
    },
    /// The other side did not agree to the link.
    #[error("cannot link `{import}` to {place}: {failure}{}", on_offer(offers))]
    Bind {
        /// The import.
        import: String,
        /// Where the link goes.
        place: String,
        /// What it said.
        failure: Box<Failure>,
        /// What it does offer, as far as it said.
        offers: Vec<String>,
    },
    /// Fused components of which one would need itself.
    #[error(
        "components that import each other can't be fused: {}; link one of them as an instance of its own",
        path.join(" imports ")
    )]
    FusedCycle {
        /// The components' names; the last is the first again.
        path: Vec<String>,
    },
    /// Components that can't be composed, though the functions of their links are the same.
    #[error("cannot fuse the components: {cause}")]
    Fuse {
        /// What the composer says.
        cause: String,
    },
    /// A component that can't be compiled.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A component that is to live, and can't.
    #[error(transparent)]
    Lifecycle(#[from] NoLifecycle),
    /// A memory that starts with more than the component's budget lets it have.
    #[error("its memory starts with {bytes} bytes, and its budget is {bytes_max}")]
    Memory {
        /// What it starts with, in bytes.
        bytes: u64,
        /// What it may have, in bytes.
        bytes_max: u64,
    },
    /// The engine disagrees with what was read from the component.
    #[error("the engine refuses the links: {cause}")]
    Engine {
        /// What the engine says.
        cause: String,
    },
}

fn lines<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(|item| format!("\n  {item}")).collect()
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

fn offered(offers: &[Offer]) -> String {
    if offers.is_empty() {
        return "\non offer: nothing".into();
    }
    let offers = offers.iter().map(|offer| format!("\n  {} from {}", offer.name, offer.place));
    format!("\non offer:{}", offers.collect::<String>())
}

fn on_offer(offers: &[String]) -> String {
    if offers.is_empty() { String::new() } else { format!("; it offers: {}", offers.join(", ")) }
}

fn near(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

/// The functions of one import that one link takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The interface; `None` for functions at the root.
    pub interface: Option<String>,
    /// Names of the functions, in the interface's order.
    pub functions: Vec<String>,
    /// The link's place in the list that was resolved.
    pub link: usize,
}

/// Decides which link takes each import of a component.
///
/// Looks at nothing but the ledger and the host components' own lists. Imports
/// that bring only types need no link.
///
/// # Errors
/// [`LinkError::Missing`] with every import that no link takes, a link that
/// takes nothing, two links for one import, a host component that lacks what
/// it is linked for, a function that a link can't carry.
pub fn resolve(ledger: &Ledger, links: &[Link], offers: &[Offer]) -> Result<Vec<Resolved>, LinkError> {
    let (resolved, problems) = resolve_all(ledger, links, offers);
    problems.into_iter().next().map_or(Ok(resolved), Err)
}

/// As [`resolve`], with all that is wrong, and what is resolved in spite of it.
pub(crate) fn resolve_all(ledger: &Ledger, links: &[Link], offers: &[Offer]) -> (Vec<Resolved>, Vec<LinkError>) {
    let mut resolved: Vec<Resolved> = Vec::new();
    let mut missing: Vec<Missing> = Vec::new();
    let mut problems: Vec<LinkError> = Vec::new();
    let mut used = vec![false; links.len()];
    for import in ledger.imports.iter().filter(|import| needs_link(import)) {
        let mut by_link: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let mut unlinked = Vec::new();
        let functions = import.functions.iter().map(|function| &function.name);
        // An interface of nothing but resources is linked as a whole.
        let whole = import.functions.is_empty().then(String::new);
        for name in functions.chain(&whole) {
            match closest(import, name, links, &mut used) {
                Ok(Some(_)) if name.is_empty() => {}
                Ok(Some(link)) => by_link.entry(link).or_default().push(name.clone()),
                Ok(None) if name.is_empty() => unlinked.extend(import.resources.iter().cloned()),
                Ok(None) => unlinked.push(name.clone()),
                // One function's is every function's.
                Err(problem) if problems.last() == Some(&problem) => {}
                Err(problem) => problems.push(problem),
            }
        }
        for (link, functions) in by_link {
            match admissible(ledger, import, &functions, &links[link].target) {
                Ok(()) => resolved.push(Resolved { interface: import.name.clone(), functions, link }),
                Err(problem) => problems.push(problem),
            }
        }
        if !unlinked.is_empty() {
            missing.push(Missing { interface: import.name.clone(), functions: unlinked, hint: None });
        }
    }
    let unused = (0..links.len()).filter(|&at| !used[at] && links[at].selector.must_match());
    problems.extend(unused.map(|at| not_imported(&ledger.imports, &links[at].selector)));
    if !missing.is_empty() {
        let mut offers = offers.to_vec();
        for link in links {
            if let LinkTarget::System(component) = &link.target {
                // What there is of WASI is told by each import's own hint.
                let own = component.interfaces().into_iter().filter(|name| !name.starts_with("wasi:"));
                offers.extend(own.map(|name| Offer { name, place: "the host".into() }));
            }
        }
        problems.push(LinkError::Missing { missing, offers });
    }
    (resolved, problems)
}

pub(crate) fn needs_link(import: &Interface) -> bool {
    !import.functions.is_empty() || !import.resources.is_empty()
}

/// The link that selects this function most closely.
pub(crate) fn closest(
    import: &Interface,
    function: &str,
    links: &[Link],
    used: &mut [bool],
) -> Result<Option<usize>, LinkError> {
    let mut best: Option<(u8, usize)> = None;
    for (at, link) in links.iter().enumerate() {
        let Some(closeness) = link.selector.closeness(import.name.as_deref(), function) else { continue };
        used[at] = true;
        match best {
            Some((found, first)) if found == closeness && !same_target(&links[first].target, &link.target) => {
                return Err(LinkError::LinkedTwice {
                    import: import.name.clone().unwrap_or_else(|| function.into()),
                    first: links[first].target.place(),
                    second: link.target.place(),
                });
            }
            Some((found, _)) if found >= closeness => {}
            _ => best = Some((closeness, at)),
        }
    }
    Ok(best.map(|(_, at)| at))
}

/// One host component named twice, or several that add up.
fn same_target(first: &LinkTarget, second: &LinkTarget) -> bool {
    match (first, second) {
        (LinkTarget::System(first), LinkTarget::System(second)) => {
            let alike = first.adds_up() && second.adds_up() && first.interfaces() == second.interfaces();
            Arc::ptr_eq(first, second) || alike
        }
        (LinkTarget::Fused(first), LinkTarget::Fused(second)) => first.component.is(&second.component),
        (LinkTarget::System(_) | LinkTarget::Callee(_) | LinkTarget::Fused(_), _) => false,
    }
}

fn admissible(ledger: &Ledger, import: &Interface, functions: &[String], target: &LinkTarget) -> Result<(), LinkError> {
    let label = || import.name.clone().unwrap_or_else(|| functions.join(", "));
    match target {
        // What becomes one with the component is looked at before.
        LinkTarget::Fused(_) => Ok(()),
        LinkTarget::System(component) => {
            let offers = component.interfaces();
            let has = |wanted: &str| offers.iter().any(|offer| names_match(wanted, offer));
            let missing = match &import.name {
                Some(name) => (!has(name)).then_some(name),
                None => functions.iter().find(|function| !offers.contains(function)),
            };
            match missing {
                Some(import) => Err(LinkError::NotOffered { import: import.clone(), offers }),
                None => Ok(()),
            }
        }
        LinkTarget::Callee(link) => {
            let mut obstacles = import.obstacles(&ledger.types);
            obstacles.retain(|obstacle| obstacle.function.as_ref().is_none_or(|name| functions.contains(name)));
            if !obstacles.is_empty() {
                return Err(LinkError::NotCarried { import: label(), place: target.place(), obstacles });
            }
            let linked = import.functions.iter().filter(|function| functions.contains(&function.name));
            room(ledger, linked, &link.on_failure).map_err(|results| {
                let policy = link.on_failure.clone();
                LinkError::NoRoom { import: label(), policy, results }
            })
        }
    }
}

/// A policy that was chosen must be good for something; the functions' results where it is not.
fn room<'f>(
    ledger: &Ledger,
    functions: impl Iterator<Item = &'f Function>,
    policy: &OnFailure,
) -> Result<(), Vec<String>> {
    if matches!(policy, OnFailure::RpcError | OnFailure::Trap) {
        return Ok(());
    }
    let mut results = Vec::new();
    for function in functions {
        if Room::of(&ledger.types, function.result, policy) != Room::None {
            return Ok(());
        }
        let result =
            function.result.map_or_else(|| "nothing".to_owned(), |result| ledger.types.wit(result).to_string());
        results.push(format!("{}: {result}", function.name));
    }
    Err(results)
}

pub(crate) fn not_imported<'i>(all: impl IntoIterator<Item = &'i Interface>, selector: &Selector) -> LinkError {
    let mut imports = Vec::new();
    for import in all.into_iter().filter(|import| needs_link(import)) {
        match &import.name {
            Some(name) => imports.push(name.clone()),
            None => imports.extend(import.functions.iter().map(|function| function.name.clone())),
        }
    }
    let selector = selector.to_string();
    // Whoever leaves the version out is not far off for that.
    let written =
        |import: &str| if selector.contains('@') { import.to_owned() } else { unversioned(import).to_owned() };
    let known: Vec<String> = imports.iter().map(|import| written(import)).collect();
    let near = nearest(&selector, known.iter().map(String::as_str));
    let nearest = near.and_then(|near| imports.iter().find(|import| written(import) == near)).cloned();
    LinkError::NotImported { selector, nearest, imports }
}
