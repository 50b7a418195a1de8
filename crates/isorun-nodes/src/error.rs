//! What can go wrong with a node, grouped by who can do something about it.

use std::fmt;

use isorun_core::{Failure, Fault};
use isorun_runtime::{LinkError, LoadError, StartError};

use crate::signature::PACKED_BESIDE_BYTES;
use crate::{ArtifactKind, NodeShape};

/// Why there is no node, or no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentExecutionError {
    /// The bytes are no component; nothing was looked at but how they begin.
    #[error("{origin} is {kind}, not a component{}", remedy(*kind))]
    NotAComponent {
        /// Where the bytes are from.
        origin: String,
        /// What they seem to be.
        kind: ArtifactKind,
    },
    /// A component that is damaged, too large, or that the compiler refuses.
    #[error("{origin}: {cause}")]
    Load {
        /// Where it is from.
        origin: String,
        /// What is wrong with it.
        #[source]
        cause: Box<LoadError>,
    },
    /// None of the shapes fits what the component exports.
    #[error("{origin} is no processing node{}{}", lacking(lacks), exporting(found))]
    NoKnownShape {
        /// Where it is from.
        origin: String,
        /// The functions it exports, each with its type.
        found: Vec<String>,
        /// What each shape lacks.
        lacks: Vec<ShapeLack>,
    },
    /// Several functions that a node may be made of, and none was chosen.
    #[error("{origin} could be several nodes: choose one of {}", functions.join(", "))]
    Ambiguous {
        /// Where it is from.
        origin: String,
        /// The functions, as [`WasmProcessorFactory::function`](crate::WasmProcessorFactory::function) takes them.
        functions: Vec<String>,
    },
    /// The function that was chosen is not there.
    #[error("{origin} exports no `{wanted}`; it exports {}", listed(functions))]
    NoSuchFunction {
        /// Where it is from.
        origin: String,
        /// What was chosen.
        wanted: String,
        /// What there is.
        functions: Vec<String>,
    },
    /// A node of streams.
    #[error(
        "{origin}: `{function}` takes or gives a stream ({signature}), and nodes do not carry streams yet: let it take and give `list<u8>`"
    )]
    Streams {
        /// Where it is from.
        origin: String,
        /// The function.
        function: String,
        /// Its type.
        signature: String,
    },
    /// A component of pointers whose memory can't be followed from its exports.
    #[error(
        "{origin} passes pointers, but its memory is out of reach: {why}; export `process: func(input: list<u8>) -> \
         result<list<u8>, string>` instead, where no pointer is seen"
    )]
    MemoryOutOfReach {
        /// Where it is from.
        origin: String,
        /// What is in the way.
        why: String,
    },
    /// A core module that can't be made a component.
    #[error("{origin} can't be made a component: {why}")]
    NotComponentized {
        /// Where it is from.
        origin: String,
        /// What is in the way.
        why: String,
    },
    /// The component's imports are not linked, or not to what they need.
    #[error("{origin}: {cause}")]
    NotLinked {
        /// Where it is from.
        origin: String,
        /// Each import, and what is on offer.
        #[source]
        cause: Box<LinkError>,
    },
    /// The component's own start failed.
    #[error("{origin} does not start: {}", in_words(fault))]
    Start {
        /// Where it is from.
        origin: String,
        /// What happened.
        fault: Fault,
    },
    /// More input than the node takes; the component was not called.
    #[error("an input of {bytes} bytes, and a node takes {} at most ({limit} bytes): split it", size(*limit))]
    InputTooLarge {
        /// The input, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The component said no: these are its own words. Printed, they are cut at 1 KiB and their control characters are
    /// escaped, since they may end up in a terminal.
    #[error("{}", plain(message))]
    Guest {
        /// The function that said it.
        function: String,
        /// What it said, as it said it.
        message: String,
    },
    /// The component pointed at memory that it does not have, or gave other bytes than it said. Its store lives on.
    #[error("memory access failed: {what} of {function}: {range}: {cause}")]
    MemoryAccessFailed {
        /// What was there to be read or written: `the input`, `the output`, `the output's length`.
        what: &'static str,
        /// The function that gave the pointer.
        function: String,
        /// Where the access would have been.
        range: MemoryRange,
        /// What is wrong there.
        cause: AccessFault,
    },
    /// The component does not take back what it allocated, so that its store was given up.
    #[error("`{function}` did not free {what} ({range}): {}", plain(message))]
    DeallocateFailed {
        /// What it was to free.
        what: &'static str,
        /// The function.
        function: String,
        /// What it was to free, in its memory.
        range: MemoryRange,
        /// What it said.
        message: String,
    },
    /// The component trapped; its store is gone, the next input gets a fresh one.
    #[error("`{function}` trapped: {message}")]
    Trap {
        /// The function that was called.
        function: String,
        /// What the engine says.
        message: String,
    },
    /// The component met a limit; its store is gone, the next input gets a fresh one.
    #[error("`{function}` {}", met(which, *limit, *wanted))]
    Limit {
        /// The function that was called.
        function: String,
        /// The limit's name, as in [`Budget`](isorun_core::Budget), or `output bytes`.
        which: String,
        /// Its value.
        limit: u64,
        /// What was asked for; 0 where it is not known.
        wanted: u64,
    },
    /// Any other end of a call: an exit, a host that is overloaded, a bug.
    #[error("`{function}`: {failure}")]
    Failed {
        /// The function that was called.
        function: String,
        /// What happened.
        failure: Box<Failure>,
    },
}

impl ComponentExecutionError {
    /// What became of a call.
    pub(crate) fn of_call(function: &str, failure: Failure) -> Self {
        let function = function.to_owned();
        let limit = |function, which: &str, limit, wanted| Self::Limit { function, which: which.into(), limit, wanted };
        match failure {
            Failure::Failed(Fault::Trapped { message }) => Self::Trap { function, message },
            Failure::Failed(Fault::OutOfFuel { limit: most }) => limit(function, "fuel", most, 0),
            Failure::Failed(Fault::OutOfMemory { wanted, limit: most }) => {
                limit(function, "max_memory_bytes", most, wanted)
            }
            Failure::Failed(Fault::OverBudget { what, wanted, limit: most }) => limit(function, &what, most, wanted),
            Failure::Failed(Fault::OutOfTime { limit_ms }) => limit(function, "wall_ms", limit_ms, 0),
            failure => Self::Failed { function, failure: Box::new(failure) },
        }
    }

    pub(crate) fn of_link(origin: &str, cause: LinkError) -> Self {
        let origin = origin.to_owned();
        match cause {
            LinkError::Load(cause) => Self::Load { origin, cause: Box::new(cause) },
            cause => Self::NotLinked { origin, cause: Box::new(cause) },
        }
    }

    pub(crate) fn of_start(origin: &str, error: StartError) -> Self {
        match error {
            StartError::Link(cause) => Self::of_link(origin, cause),
            StartError::Start { fault, .. } => Self::Start { origin: origin.to_owned(), fault },
            other => {
                let fault = Fault::Bug { detail: other.to_string() };
                Self::Start { origin: origin.to_owned(), fault }
            }
        }
    }

    /// Whether the component is as good as before: nothing ended inside it.
    pub(crate) fn keeps_store(&self) -> bool {
        matches!(self, Self::Guest { .. } | Self::MemoryAccessFailed { .. } | Self::InputTooLarge { .. })
    }
}

/// What one shape lacks in a component.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShapeLack {
    /// The shape.
    pub shape: NodeShape,
    /// The interface that comes nearest to it; `None` for functions at the root.
    pub interface: Option<String>,
    /// For each function it wants and does not find so: what is missing, or what differs.
    pub functions: Vec<String>,
}

impl fmt::Display for ShapeLack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = self.interface.as_deref().map(|name| format!(" in {name}")).unwrap_or_default();
        write!(f, "{}{interface}: {}", self.shape, self.functions.join("; "))
    }
}

/// A range of a component's memory, as the component gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryRange {
    /// The first byte's address, or what the component calls its offset.
    pub address: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl fmt::Display for MemoryRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {:#x}", self.bytes, self.address)
    }
}

/// What is wrong with a range of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessFault {
    /// It ends behind the component's memory.
    #[error("its memory has {memory_bytes} bytes")]
    OutOfBounds {
        /// What its memory has, in bytes.
        memory_bytes: u64,
    },
    /// It has no place among the addresses that the component's functions take, which have 32 bits.
    #[error("addresses have 32 bits")]
    NoAddress,
    /// An address of 0 for something: what allocators give that have nothing left.
    #[error("a null pointer")]
    Null,
    /// The component read another number of bytes than it was asked for.
    #[error("{bytes} bytes were read")]
    OtherLength {
        /// How many it gave.
        bytes: u64,
    },
    /// More than one output may have.
    #[error("an output has {} at most", size(*limit))]
    TooLong {
        /// The limit, in bytes.
        limit: u64,
    },
}

fn remedy(kind: ArtifactKind) -> String {
    kind.remedy().map(|remedy| format!(": {remedy}")).unwrap_or_default()
}

fn lacking(lacks: &[ShapeLack]) -> String {
    lacks.iter().map(|lack| format!("\n  {lack}")).collect()
}

fn exporting(found: &[String]) -> String {
    match found {
        [] => "\nit exports no function".into(),
        found => format!("\nit exports:{}", found.iter().map(|function| format!("\n  {function}")).collect::<String>()),
    }
}

fn listed(functions: &[String]) -> String {
    if functions.is_empty() { "no function".into() } else { functions.join(", ") }
}

/// What a component did that met a limit, by the limit's name.
fn met(which: &str, limit: u64, wanted: u64) -> String {
    let wanted = |size: &dyn Fn(u64) -> String| if wanted == 0 { "more".into() } else { size(wanted) };
    let count = |of: &str| format!("wants {} {of}, and has {limit}", wanted(&|count| count.to_string()));
    match which {
        "fuel" => format!("has used up its fuel, {limit} units"),
        "wall_ms" => format!("has used up its time, {}", time(limit)),
        "max_memory_bytes" => format!("wants {} of memory, and has {}", wanted(&size), size(limit)),
        OUTPUT_BYTES => format!("gives more than an output may have, {}", size(limit)),
        "hostcall_fuel" => format!("passes more in one call than the host takes, {}", size(limit)),
        "max_table_elements" => count("elements of tables"),
        "max_tables" => count("tables"),
        "max_memories" => count("memories"),
        "max_instances" => count("instances"),
        "max_handles" => count("handles"),
        other => format!("is over its limit of {other}: {limit}"),
    }
}

/// How [`Limit`](ComponentExecutionError::Limit) calls the output's bytes, which are in no budget.
pub(crate) const OUTPUT_BYTES: &str = "output bytes";

/// A fault, with its limits in the same words.
fn in_words(fault: &Fault) -> String {
    let met = |which, limit, wanted| format!("it {}", met(which, limit, wanted));
    match fault {
        Fault::OutOfFuel { limit } => met("fuel", *limit, 0),
        Fault::OutOfMemory { wanted, limit } => met("max_memory_bytes", *limit, *wanted),
        Fault::OverBudget { what, wanted, limit } => met(what, *limit, *wanted),
        Fault::OutOfTime { limit_ms } => met("wall_ms", *limit_ms, 0),
        other => other.to_string(),
    }
}

/// Bytes for the eye: `256 MiB`, `20 MiB less 64 bytes`, `625.25 MiB`, `100 bytes`.
fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    let beside = PACKED_BESIDE_BYTES as u64;
    match bytes {
        0..KIB => format!("{bytes} bytes"),
        _ if bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        _ if bytes.saturating_add(beside).is_multiple_of(MIB) => {
            format!("{} MiB less {beside} bytes", bytes.saturating_add(beside) / MIB)
        }
        KIB..MIB => format!("{} KiB", hundredths(bytes, KIB)),
        _ => format!("{} MiB", hundredths(bytes, MIB)),
    }
}

/// A time for the eye: `250 ms`, `1.5 s`.
fn time(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{} s", hundredths(ms, 1_000)) }
}

/// How many of the unit, to two digits that are not zero at the end.
fn hundredths(count: u64, unit: u64) -> String {
    let all = u128::from(count) * 100 / u128::from(unit);
    let text = format!("{}.{:02}", all / 100, all % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A stranger's text, fit for a line of a log or a terminal.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if plain.len() >= SAID_BYTES_MAX {
            plain.push('…');
            break;
        }
        if isorun_core::moves_cursor(c) { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}

/// Longest text of a stranger that is printed, in bytes.
const SAID_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_guests_are_cut_and_escaped_where_they_are_printed() {
        let said = |message: String| ComponentExecutionError::Guest { function: "process".into(), message }.to_string();
        assert_eq!(said("no\u{1b}[2J\n".into()), "no\\u{1b}[2J\\n");
        assert_eq!(said("x".repeat(SAID_BYTES_MAX)).len(), SAID_BYTES_MAX);
        assert_eq!(said("x".repeat(SAID_BYTES_MAX + 1)), "x".repeat(SAID_BYTES_MAX) + "…");
    }

    #[test]
    fn sizes_and_times_are_for_people() {
        let sizes = [
            (0, "0 bytes"),
            (1_023, "1023 bytes"),
            (64 << 10, "64 KiB"),
            (1_500, "1.46 KiB"),
            (256 << 20, "256 MiB"),
            ((256 << 20) + (64 << 10), "256.06 MiB"),
            (655_622_144, "625.25 MiB"),
            (crate::INPUT_BYTES_MAX as u64, "20 MiB less 64 bytes"),
            (u64::MAX, "17592186044415.99 MiB"),
        ];
        sizes.into_iter().for_each(|(bytes, text)| assert_eq!(size(bytes), text));
        let times = [(1, "1 ms"), (999, "999 ms"), (1_000, "1 s"), (1_500, "1.5 s"), (60_000, "60 s")];
        times.into_iter().for_each(|(ms, text)| assert_eq!(time(ms), text));
    }

    #[test]
    fn limits_are_named_as_what_they_are() {
        let check = |failure: Fault, words: &str| {
            let error = ComponentExecutionError::of_call("process", failure.clone().into());
            assert_eq!(error.to_string(), format!("`process` {words}"));
            let start = ComponentExecutionError::Start { origin: "a.wasm".into(), fault: failure };
            assert_eq!(start.to_string(), format!("a.wasm does not start: it {words}"));
        };
        check(Fault::OutOfFuel { limit: 1_000 }, "has used up its fuel, 1000 units");
        check(Fault::OutOfTime { limit_ms: 2_000 }, "has used up its time, 2 s");
        let memory = Fault::OutOfMemory { wanted: 655_622_144, limit: 256 << 20 };
        check(memory, "wants 625.25 MiB of memory, and has 256 MiB");
        let over = |what: &str, wanted| Fault::OverBudget { what: what.into(), wanted, limit: 10 };
        check(over("max_table_elements", 11), "wants 11 elements of tables, and has 10");
        check(over("max_handles", 0), "wants more handles, and has 10");
        check(over("hostcall_fuel", 0), "passes more in one call than the host takes, 10 bytes");
    }
}
