//! Whether a consumer and a provider mean the same by an interface.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::ledger::{Function, Interface};
use crate::registry::TypeRegistry;
use crate::types::{Case, Field, TypeDef, TypeId, TypeName};
use crate::wit::signature;

/// Most lines of one [`Difference`]; a last one says that there are more.
///
/// Beyond some screens of them nobody reads on, and both sides are strangers.
pub const DIFFERENCE_LINES_MAX: usize = 200;

/// Most pairs of types that one comparison looks at.
///
/// Each pair is looked at once, and equal ones are told by their hashes. The
/// bound is for ledgers that are made to differ in every pair.
const PAIRS_MAX: usize = 100_000;

/// Longest text for a type in a [`Mismatch`], in bytes.
const TEXT_BYTES_MAX: usize = 120;

/// Longest path that is carried along, in bytes; of a longer one the middle goes.
const PATH_BYTES_MAX: usize = 1_000;

/// One side of a comparison: an interface and the registry its types are in.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The registry.
    pub types: &'a TypeRegistry,
    /// The interface.
    pub interface: &'a Interface,
}

/// One thing that the two sides see differently.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// Where: `store.get` for a function, `store.get.key` for a parameter,
    /// `store.get()` for its result, and, below a type that has a name,
    /// `store.entry.version`.
    pub path: String,
    /// What the consumer has there.
    pub here: String,
    /// What the provider has there.
    pub there: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} here, {} there", self.path, self.here, self.there)
    }
}

/// All that keeps a consumer from using a provider; one line each when printed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The mismatches, in the consumer's order, at most [`DIFFERENCE_LINES_MAX`];
    /// one in a type that many functions share stands here once.
    pub lines: Vec<Mismatch>,
    /// Whether there are, or may be, more than were listed.
    pub truncated: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.lines.iter().enumerate() {
            write!(f, "{}{line}", if at > 0 { "\n" } else { "" })?;
        }
        if self.truncated { f.write_str("\nand more") } else { Ok(()) }
    }
}

impl std::error::Error for Difference {}

/// Checks that every function the consumer knows is at the provider with the same types.
///
/// Names of types and versions may differ, and the provider may have more
/// functions; everything that goes into [`Function::hash`] must be the same.
///
/// # Errors
/// [`Difference`] with every mismatch and where it is.
///
/// ```
/// use std::sync::Arc;
/// use isorun_ledger::{Function, Interface, Param, RegistryBuilder, Side, TypeDef, compatible};
///
/// let mut builder = RegistryBuilder::new();
/// let (small, large) = (builder.intern(TypeDef::U32, None)?, builder.intern(TypeDef::U64, None)?);
/// let types = builder.finish();
/// let with = |ty| -> Result<Interface, isorun_ledger::LedgerError> {
///     let mut interface = Interface::new(Some("demo:kv/store@0.1.0".into()));
///     let params = vec![Param { name: "version".into(), ty }];
///     interface.functions.push(Function::new(&types, "set", params, None, false)?);
///     Ok(interface)
/// };
/// let (here, there) = (with(large)?, with(small)?);
/// let difference =
///     compatible(Side { types: &types, interface: &here }, Side { types: &types, interface: &there }).unwrap_err();
/// assert_eq!(difference.to_string(), "store.set.version: u64 here, u32 there");
/// # Ok::<(), isorun_ledger::LedgerError>(())
/// ```
pub fn compatible(consumer: Side<'_>, provider: Side<'_>) -> Result<(), Difference> {
    let offered: HashMap<&str, &Function> = provider.interface.functions.iter().map(|f| (f.name.as_str(), f)).collect();
    let mut comparison = Comparison::new(consumer.types, provider.types);
    let scope = consumer.interface.name.as_deref().map(|name| format!("{}.", short(name))).unwrap_or_default();
    for function in &consumer.interface.functions {
        let path = format!("{scope}{}", function.name);
        match offered.get(function.name.as_str()) {
            None => comparison.report(path, clip(signature(consumer.types, function)), MISSING),
            Some(there) if there.hash == function.hash => {}
            Some(there) => comparison.function(&path, function, there),
        }
        if comparison.truncated {
            break;
        }
    }
    comparison.finish()
}

/// How a report says that something is not there.
const MISSING: &str = "missing";
/// How a report says that there is something, where there is no more to say of it.
const PRESENT: &str = "present";
/// How a report says that a case or a result carries nothing.
const NOTHING: &str = "nothing";

/// A pair of types that has to be the same, and where it was met.
struct Pair {
    path: String,
    here: TypeId,
    there: TypeId,
}

/// A part with a name: a parameter, a field, a case or a flag.
struct Part<'a> {
    name: &'a str,
    ty: Option<TypeId>,
}

/// A comparison under way.
struct Comparison<'a> {
    here: &'a TypeRegistry,
    there: &'a TypeRegistry,
    lines: Vec<Mismatch>,
    truncated: bool,
    seen: HashSet<(TypeId, TypeId)>,
}

impl<'a> Comparison<'a> {
    fn new(here: &'a TypeRegistry, there: &'a TypeRegistry) -> Self {
        Self { here, there, lines: Vec::new(), truncated: false, seen: HashSet::new() }
    }

    fn finish(self) -> Result<(), Difference> {
        match (self.lines.is_empty(), self.truncated) {
            (true, false) => Ok(()),
            _ => Err(Difference { lines: self.lines, truncated: self.truncated }),
        }
    }

    fn report(&mut self, path: String, here: impl Into<String>, there: impl Into<String>) {
        if self.lines.len() < DIFFERENCE_LINES_MAX {
            self.lines.push(Mismatch { path, here: here.into(), there: there.into() });
        } else {
            self.truncated = true;
        }
    }

    fn function(&mut self, path: &str, here: &Function, there: &Function) {
        if here.is_async != there.is_async {
            let word = |is_async| if is_async { "async func" } else { "func" };
            self.report(path.to_owned(), word(here.is_async), word(there.is_async));
        }
        let mut pairs = self.named(path, &params(here), &params(there));
        self.optional(format!("{path}()"), here.result, there.result, &mut pairs);
        self.compare(pairs);
    }

    /// Compares pairs of types and all that they are made of, in order.
    fn compare(&mut self, pairs: Vec<Pair>) {
        let mut todo: Vec<Pair> = pairs.into_iter().rev().collect();
        while let Some(pair) = todo.pop() {
            if self.here.hash(pair.here) == self.there.hash(pair.there) || !self.seen.insert((pair.here, pair.there)) {
                continue;
            }
            self.truncated |= self.seen.len() > PAIRS_MAX;
            if self.truncated {
                return;
            }
            todo.extend(self.pair(pair).into_iter().rev());
        }
    }

    /// Compares one pair; what is left to compare below it.
    fn pair(&mut self, Pair { path, here, there }: Pair) -> Vec<Pair> {
        // A mismatch inside a named type is reported under the type's name, whichever function led to it.
        let path = match self.here.name(here) {
            Some(TypeName { interface: Some(interface), name }) => format!("{}.{name}", short(interface)),
            Some(TypeName { interface: None, name }) => name.clone(),
            None => shorten(path),
        };
        let mut below = Vec::new();
        match (self.here.def(here), self.there.def(there)) {
            (TypeDef::Record(a), TypeDef::Record(b)) => below = self.named(&path, &fields(a), &fields(b)),
            (TypeDef::Variant(a), TypeDef::Variant(b)) => below = self.named(&path, &cases(a), &cases(b)),
            (TypeDef::Enum(a), TypeDef::Enum(b)) | (TypeDef::Flags(a), TypeDef::Flags(b)) => {
                below = self.named(&path, &names(a), &names(b));
            }
            (TypeDef::Tuple(a), TypeDef::Tuple(b)) => {
                for at in 0..a.len().max(b.len()) {
                    match (a.get(at).copied(), b.get(at).copied()) {
                        (Some(a), None) => self.report(format!("{path}.{at}"), text(self.here, a), MISSING),
                        (None, Some(b)) => self.report(format!("{path}.{at}"), MISSING, text(self.there, b)),
                        (a, b) => self.optional(format!("{path}.{at}"), a, b, &mut below),
                    }
                }
            }
            (TypeDef::Result { ok: a, err: c }, TypeDef::Result { ok: b, err: d }) => {
                self.optional(format!("{path}.ok"), *a, *b, &mut below);
                self.optional(format!("{path}.err"), *c, *d, &mut below);
            }
            (TypeDef::Stream(a), TypeDef::Stream(b)) | (TypeDef::Future(a), TypeDef::Future(b)) => {
                self.optional(format!("{path}[]"), *a, *b, &mut below);
            }
            (TypeDef::FixedList(_, a), TypeDef::FixedList(_, b)) if a != b => {
                self.report(path, text(self.here, here), text(self.there, there));
            }
            // Two of one kind whose parts stand at the same places: lists, maps, options.
            (a, b) if a.kind() == b.kind() && !a.children().is_empty() => {
                for ((step, here), there) in a.parts().into_iter().zip(b.children()) {
                    let mut path = path.clone();
                    step.push_to(&mut path);
                    below.push(Pair { path, here, there });
                }
            }
            _ => self.report(path, text(self.here, here), text(self.there, there)),
        }
        below
    }

    /// Compares two types of which either may be absent.
    fn optional(&mut self, path: String, here: Option<TypeId>, there: Option<TypeId>, below: &mut Vec<Pair>) {
        match (here, there) {
            (Some(here), Some(there)) => below.push(Pair { path, here, there }),
            (Some(here), None) => self.report(path, text(self.here, here), NOTHING),
            (None, Some(there)) => self.report(path, NOTHING, text(self.there, there)),
            (None, None) => {}
        }
    }

    /// Compares parts by name and reports what is missing, added, renamed or moved; the types of the rest are to be compared.
    fn named(&mut self, path: &str, here: &[Part<'_>], there: &[Part<'_>]) -> Vec<Pair> {
        let (at_here, at_there) = (places(here), places(there));
        let mut below = Vec::new();
        let mut renamed = HashSet::new();
        for (at, part) in here.iter().enumerate() {
            let path = format!("{path}.{}", part.name);
            if let Some(&place) = at_there.get(part.name) {
                self.optional(path, part.ty, there[place].ty, &mut below);
                continue;
            }
            match there.get(at) {
                Some(other) if !at_here.contains_key(other.name) && self.same(part.ty, other.ty) => {
                    renamed.insert(other.name);
                    self.report(path, format!("named {}", part.name), format!("named {}", other.name));
                }
                _ => self.report(path, part.ty.map_or(PRESENT.to_owned(), |ty| text(self.here, ty)), MISSING),
            }
        }
        for part in there.iter().filter(|part| !at_here.contains_key(part.name) && !renamed.contains(part.name)) {
            let there = part.ty.map_or(PRESENT.to_owned(), |ty| text(self.there, ty));
            self.report(format!("{path}.{}", part.name), MISSING, there);
        }
        // Those that both have must stand in the same order.
        let of = |parts: &[Part<'_>], others: &HashMap<&str, usize>| -> Vec<String> {
            parts.iter().filter(|part| others.contains_key(part.name)).map(|part| part.name.to_owned()).collect()
        };
        let (order_here, order_there) = (of(here, &at_there), of(there, &at_here));
        if order_here != order_there {
            let order = |names: Vec<String>| clip(format!("order {}", names.join(", ")));
            self.report(path.to_owned(), order(order_here), order(order_there));
        }
        below
    }

    fn same(&self, here: Option<TypeId>, there: Option<TypeId>) -> bool {
        here.map(|ty| self.here.hash(ty)) == there.map(|ty| self.there.hash(ty))
    }
}

fn params(function: &Function) -> Vec<Part<'_>> {
    function.params.iter().map(|param| Part { name: &param.name, ty: Some(param.ty) }).collect()
}

fn fields(fields: &[Field]) -> Vec<Part<'_>> {
    fields.iter().map(|field| Part { name: &field.name, ty: Some(field.ty) }).collect()
}

fn cases(cases: &[Case]) -> Vec<Part<'_>> {
    cases.iter().map(|case| Part { name: &case.name, ty: case.ty }).collect()
}

fn names(names: &[String]) -> Vec<Part<'_>> {
    names.iter().map(|name| Part { name, ty: None }).collect()
}

fn places<'a>(parts: &[Part<'a>]) -> HashMap<&'a str, usize> {
    parts.iter().enumerate().map(|(at, part)| (part.name, at)).collect()
}

/// A type as a report shows it: `record entry` for one with a name, else spelled out.
fn text(types: &TypeRegistry, ty: TypeId) -> String {
    match (types.def(ty), types.name(ty)) {
        (TypeDef::Own(_) | TypeDef::Borrow(_), _) | (_, None) => clip(types.wit(ty).to_string()),
        (def, Some(name)) => match def.parts().is_empty() && !matches!(def, TypeDef::Enum(_) | TypeDef::Flags(_)) {
            true => def.kind().to_owned(),
            false => clip(format!("{} {}", def.kind(), name.name)),
        },
    }
}

/// The last part of an interface's name: `store` of `demo:kv/store@0.1.0`.
fn short(interface: &str) -> &str {
    let path = interface.split_once('@').map_or(interface, |(path, _)| path);
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Cuts the middle out of a path that is longer than [`PATH_BYTES_MAX`].
fn shorten(path: String) -> String {
    if path.len() <= PATH_BYTES_MAX {
        return path;
    }
    let is_boundary = |at: &usize| path.is_char_boundary(*at);
    let head = (0..=PATH_BYTES_MAX / 2).rev().find(is_boundary).unwrap_or(0);
    let tail = (path.len() - PATH_BYTES_MAX / 2..=path.len()).find(is_boundary).unwrap_or(path.len());
    format!("{}…{}", &path[..head], &path[tail..])
}

/// Cuts a text to [`TEXT_BYTES_MAX`].
fn clip(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
