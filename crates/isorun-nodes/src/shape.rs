//! The shapes of a node, and which of them a component has.

use std::fmt;

use isorun_ledger::{Function, Interface, Ledger, TypeRegistry};

use crate::signature::{Signature, Want, has_stream, wit};
use crate::{ComponentExecutionError, ShapeLack, memory};

/// How a component takes its input and gives its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum NodeShape {
    /// `process` takes `list<u8>` and gives `list<u8>`: the standard way.
    Typed,
    /// The component has `write-input` and `read-output` beside `process`, which takes offsets.
    Helpers,
    /// The component has `allocate` and `deallocate` beside `process`, which takes pointers into its memory.
    Pointers,
}

impl fmt::Display for NodeShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Typed => "typed",
            Self::Helpers => "helpers",
            Self::Pointers => "pointers",
        })
    }
}

/// A shape that was picked for a component, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// The shape.
    pub shape: NodeShape,
    /// Why this one, in words.
    pub because: String,
    /// The functions it goes by, `process` first: `name` at the root, `ns:pkg/iface#name` in an interface.
    pub functions: Vec<String>,
    pub(crate) plan: Plan,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.shape, self.functions.join(", "), self.because)
    }
}

/// The functions of a shape, all of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The interface; `None` for the root.
    pub(crate) interface: Option<String>,
    /// In the order of the shape's [`Wanted`].
    pub(crate) functions: Vec<Planned>,
}

/// One function of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) name: String,
    /// As messages name it.
    pub(crate) path: String,
    pub(crate) hash: [u8; 32],
    pub(crate) signature: Signature,
}

/// One function that a shape wants.
struct Wanted {
    name: &'static str,
    params: &'static [Want],
    ok: Option<Want>,
    /// Its type, as `wit/processing-node.wit` has it.
    wit: &'static str,
}

/// The places of a shape's functions in its plan.
pub(crate) const PROCESS: usize = 0;
pub(crate) const WRITE_INPUT: usize = 1;
pub(crate) const READ_OUTPUT: usize = 2;
pub(crate) const ALLOCATE: usize = 1;
pub(crate) const DEALLOCATE: usize = 2;

/// The places of the accessors in theirs.
pub(crate) const ACCESS_AT: usize = 0;
pub(crate) const ACCESS_PUT: usize = 1;
pub(crate) const ACCESS_READ: usize = 2;
pub(crate) const ACCESS_SIZE: usize = 3;

const TYPED: &[Wanted] = &[Wanted {
    name: "process",
    params: &[Want::Bytes],
    ok: Some(Want::Bytes),
    wit: "func(input: list<u8>) -> result<list<u8>, string>",
}];

const PROCESS_AT: Wanted = Wanted {
    name: "process",
    params: &[Want::Int, Want::Int, Want::Int],
    ok: Some(Want::Int),
    wit: "func(input-ptr: u32, input-len: u64, output-len-ptr: u32) -> result<u32, string>",
};

const HELPERS: &[Wanted] = &[
    PROCESS_AT,
    Wanted {
        name: "write-input",
        params: &[Want::Int, Want::Bytes],
        ok: None,
        wit: "func(offset: u32, data: list<u8>)",
    },
    Wanted {
        name: "read-output",
        params: &[Want::Int, Want::Int],
        ok: Some(Want::Bytes),
        wit: "func(offset: u32, len: u64) -> result<list<u8>, string>",
    },
];

const POINTERS: &[Wanted] = &[
    PROCESS_AT,
    Wanted {
        name: "allocate",
        params: &[Want::Int],
        ok: Some(Want::Int),
        wit: "func(size: u64) -> result<u32, string>",
    },
    Wanted {
        name: "deallocate",
        params: &[Want::Int, Want::Int],
        ok: None,
        wit: "func(ptr: u32, size: u64) -> result<_, string>",
    },
];

/// What is appended to a component of pointers.
const ACCESSORS: &[Wanted] = &[
    Wanted { name: memory::AT, params: &[Want::Int], ok: None, wit: "" },
    Wanted { name: memory::PUT, params: &[Want::Bytes], ok: None, wit: "" },
    Wanted { name: memory::READ, params: &[Want::Int, Want::Int], ok: Some(Want::Bytes), wit: "" },
    Wanted { name: memory::SIZE, params: &[], ok: Some(Want::Int), wit: "" },
];

const SHAPES: [(NodeShape, &[Wanted]); 3] =
    [(NodeShape::Typed, TYPED), (NodeShape::Helpers, HELPERS), (NodeShape::Pointers, POINTERS)];

/// The accessors of a component that has them.
pub(crate) fn accessors(ledger: &Ledger) -> Option<Plan> {
    plan(&ledger.types, ledger.export(None)?, ACCESSORS, None).ok()
}

/// Picks the shape of a component: of the function that was chosen, or of what there is.
pub(crate) fn choose(origin: &str, ledger: &Ledger, function: Option<&str>) -> Result<Choice, ComponentExecutionError> {
    match function {
        Some(wanted) => chosen(origin, ledger, wanted),
        None => found(origin, ledger),
    }
}

fn found(origin: &str, ledger: &Ledger) -> Result<Choice, ComponentExecutionError> {
    let types = &*ledger.types;
    let mut fitting: Vec<(NodeShape, Plan)> = Vec::new();
    for (shape, wanted) in SHAPES {
        let plans = ledger.exports.iter().filter_map(|interface| plan(types, interface, wanted, None).ok());
        fitting.extend(plans.map(|plan| (shape, plan)));
    }
    // The typed way goes before the others, and having `process` with pointers in another interface is no contradiction.
    let Some((shape, _)) = fitting.first() else { return Err(none(origin, ledger)) };
    let shape = *shape;
    let mut of_shape: Vec<Plan> = Vec::new();
    let mut others: Vec<String> = Vec::new();
    for (other, plan) in fitting {
        if other == shape {
            of_shape.push(plan);
        } else {
            others.push(format!("{} ({other})", plan.functions[PROCESS].path));
        }
    }
    let Some(plan) = of_shape.pop() else { return Err(none(origin, ledger)) };
    if !of_shape.is_empty() {
        let all = of_shape.iter().chain([&plan]).map(|plan| plan.functions[PROCESS].path.clone());
        return Err(ComponentExecutionError::Ambiguous { origin: origin.into(), functions: all.collect() });
    }
    let mut because = reason(shape, &plan);
    if !others.is_empty() {
        because += &format!("; passed over for it: {}", others.join(", "));
    }
    Ok(choice(shape, plan, because))
}

fn chosen(origin: &str, ledger: &Ledger, wanted: &str) -> Result<Choice, ComponentExecutionError> {
    let types = &*ledger.types;
    let Some((interface, function)) = ledger.exported(wanted) else {
        let functions = functions(ledger).map(|(interface, function)| path(interface, &function.name)).collect();
        return Err(ComponentExecutionError::NoSuchFunction {
            origin: origin.into(),
            wanted: wanted.into(),
            functions: short(functions),
        });
    };
    for (shape, of_shape) in SHAPES {
        if let Ok(plan) = plan(types, interface, of_shape, Some(function)) {
            let because = format!("`{}` was chosen, and {}", path(interface, &function.name), reason(shape, &plan));
            return Ok(choice(shape, plan, because));
        }
    }
    if has_stream(types, function) {
        return Err(streams(origin, types, interface, function));
    }
    let lacks = SHAPES.map(|(shape, of_shape)| ShapeLack {
        shape,
        interface: interface.name.clone(),
        functions: plan(types, interface, of_shape, Some(function)).err().unwrap_or_default(),
    });
    Err(ComponentExecutionError::NoKnownShape {
        origin: origin.into(),
        found: vec![format!("{}: {}", path(interface, &function.name), wit(types, function))],
        lacks: lacks.into(),
    })
}

fn choice(shape: NodeShape, plan: Plan, because: String) -> Choice {
    let functions = plan.functions.iter().map(|function| function.path.clone()).collect();
    Choice { shape, because, functions, plan }
}

fn reason(shape: NodeShape, plan: &Plan) -> String {
    let process = &plan.functions[PROCESS].path;
    match shape {
        NodeShape::Typed => format!("`{process}` takes and gives bytes"),
        NodeShape::Helpers => {
            format!("`{process}` takes offsets, and `write-input` and `read-output` beside it move the bytes")
        }
        NodeShape::Pointers => {
            format!("`{process}` takes pointers, and `allocate` and `deallocate` beside it manage what they point to")
        }
    }
}

/// The functions of one interface that make a shape, or for each that does not: what is the matter.
///
/// `process` is the function to take for the first, whatever its name.
fn plan(
    types: &TypeRegistry,
    interface: &Interface,
    wanted: &[Wanted],
    process: Option<&Function>,
) -> Result<Plan, Vec<String>> {
    let mut functions = Vec::with_capacity(wanted.len());
    let mut lacks = Vec::new();
    for (at, want) in wanted.iter().enumerate() {
        let function = match process {
            Some(process) if at == PROCESS => Some(process),
            _ => interface.function(want.name),
        };
        let Some(function) = function else {
            lacks.push(format!("`{}` is missing: {}", want.name, want.wit));
            continue;
        };
        match Signature::of(types, function, want.params, want.ok) {
            Some(signature) => functions.push(Planned {
                name: function.name.clone(),
                path: path(interface, &function.name),
                hash: function.hash,
                signature,
            }),
            None => lacks.push(format!("`{}` is {}, wanted {}", function.name, wit(types, function), want.wit)),
        }
    }
    if lacks.is_empty() { Ok(Plan { interface: interface.name.clone(), functions }) } else { Err(lacks) }
}

/// Says of each shape what it lacks, in the interface that comes nearest to it.
fn none(origin: &str, ledger: &Ledger) -> ComponentExecutionError {
    let types = &*ledger.types;
    let streaming = functions(ledger).find(|(_, function)| function.name == "process" && has_stream(types, function));
    if let Some((interface, function)) = streaming {
        return streams(origin, types, interface, function);
    }
    let root = Interface::new(None);
    let lacks = SHAPES.map(|(shape, wanted)| {
        let of = |interface: &Interface| {
            let has = wanted.iter().filter(|want| interface.function(want.name).is_some()).count();
            let functions = plan(types, interface, wanted, None).err().unwrap_or_default();
            (has, ShapeLack { shape, interface: interface.name.clone(), functions })
        };
        // The first of those that have most of the names: `max_by_key` would give the last.
        let mut nearest = of(&root);
        for (has, lack) in ledger.exports.iter().map(of) {
            if has > nearest.0 {
                nearest = (has, lack);
            }
        }
        nearest.1
    });
    let found = functions(ledger)
        .map(|(interface, function)| format!("{}: {}", path(interface, &function.name), wit(types, function)));
    ComponentExecutionError::NoKnownShape { origin: origin.into(), found: short(found.collect()), lacks: lacks.into() }
}

fn streams(origin: &str, types: &TypeRegistry, interface: &Interface, function: &Function) -> ComponentExecutionError {
    ComponentExecutionError::Streams {
        origin: origin.into(),
        function: path(interface, &function.name),
        signature: wit(types, function),
    }
}

fn functions(ledger: &Ledger) -> impl Iterator<Item = (&Interface, &Function)> {
    ledger.exports.iter().flat_map(|interface| interface.functions.iter().map(move |function| (interface, function)))
}

fn path(interface: &Interface, function: &str) -> String {
    interface.name.as_ref().map_or_else(|| function.to_owned(), |interface| format!("{interface}#{function}"))
}

/// As many as a reader takes in.
fn short(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(FOUND_MAX);
    lines.truncate(FOUND_MAX);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// Most functions that an error lists.
const FOUND_MAX: usize = 24;
