//! What can go wrong with a call, grouped by what the caller may do about it.

use bytes::Bytes;

/// Why a call has no results.
///
/// The same six groups stand in Rust, on the wire, in the command's exit text
/// and in the guest's `rpc-error`. What a caller may do follows from the group:
/// retry what was [not sent](Failure::NotSent), mend what was
/// [refused](Failure::Refused), and treat what is [unknown](Failure::Unknown)
/// as possibly done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The call never left: retrying is safe.
    #[error("not sent: {cause}")]
    NotSent {
        /// What kept it from leaving.
        cause: String,
    },
    /// The call left and no answer came: it may have run.
    #[error("unknown: {cause}; the call may have run")]
    Unknown {
        /// What became of the answer.
        cause: String,
    },
    /// The callee, or something before it, declined: the function did not run.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The function ran and did not come to its end.
    #[error("failed there: {0}")]
    Failed(#[from] Fault),
    /// The caller's time ran out: the function may have run, or run still.
    #[error("deadline: {}", waited(*waited_ms))]
    Deadline {
        /// How long the caller waited, in milliseconds.
        waited_ms: u64,
    },
    /// The caller gave the call up.
    #[error("cancelled")]
    Cancelled,
}

impl Failure {
    /// The group's name: `not-sent`, `unknown`, `refused`, `failed`, `deadline` or `cancelled`.
    #[must_use]
    pub fn group(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => "not-sent",
            Self::Unknown { .. } => "unknown",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Deadline { .. } => "deadline",
            Self::Cancelled => "cancelled",
        }
    }

    /// The reason's name within its group, as on the wire (`busy`, `out-of-fuel`); the group's own where it has no reasons.
    ///
    /// One of a few words that this version knows, whatever a peer said: `other` stands for the rest.
    ///
    /// ```
    /// use isorun_core::{Failure, Fault, Refusal};
    ///
    /// assert_eq!(Failure::from(Fault::OutOfFuel { limit: 7 }).kind(), "out-of-fuel");
    /// assert_eq!(Failure::from(Refusal::Other { kind: "new".into(), text: "later".into() }).kind(), "other");
    /// assert_eq!(Failure::Cancelled.kind(), "cancelled");
    /// ```
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.kind(),
            Self::Failed(fault) => fault.kind(),
            Self::NotSent { .. } | Self::Unknown { .. } | Self::Deadline { .. } | Self::Cancelled => self.group(),
        }
    }
}

fn over(wanted: u64) -> String {
    if wanted == 0 { String::new() } else { format!(" {wanted} wanted,") }
}

fn waited(waited_ms: u64) -> String {
    match waited_ms {
        0 => "no time was left for the call".into(),
        _ => format!("no answer within {waited_ms} ms"),
    }
}

/// Why a call was declined before its function ran.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Too much is under way already: come back later.
    #[error("overloaded: {what} is limited to {limit}")]
    Overloaded {
        /// What there is too much of, with its unit.
        what: String,
        /// The limit that was met.
        limit: u64,
    },
    /// The instance served others for as long as this call might wait.
    #[error("busy: instance `{instance}` was not free within {waited_ms} ms")]
    Busy {
        /// The instance's name.
        instance: String,
        /// How long the call waited, in milliseconds; 0 if the queue was full, or too long for its time.
        waited_ms: u64,
    },
    /// The call came back to an instance that waits for it.
    #[error("reentrant: instance `{instance}` is waiting for this very call")]
    Reentrant {
        /// The instance's name.
        instance: String,
    },
    /// The caller may not.
    #[error("unauthorised: {reason}")]
    Unauthorised {
        /// What is missing, and who could grant it.
        reason: String,
    },
    /// The two sides disagree about a type.
    #[error("incompatible: {detail}")]
    Incompatible {
        /// The first mismatch, in words.
        detail: String,
        /// The callee's own ledger, packed; empty where it is not known.
        ledger: Bytes,
    },
    /// No instance has that name there.
    #[error("no such instance: `{instance}`")]
    NoSuchInstance {
        /// The name that was asked for.
        instance: String,
    },
    /// The instance has no such function, or does not offer it.
    #[error("no such function: `{function}` in instance `{instance}`")]
    NoSuchFunction {
        /// The instance's name.
        instance: String,
        /// `interface#function`, or the bare name of a root function.
        function: String,
    },
    /// The arguments are not what the function takes.
    #[error("bad arguments: {detail}")]
    BadArguments {
        /// Where and what, as far as it is known.
        detail: String,
    },
    /// The caller holds less fuel than a call there may need.
    #[error("short of fuel: the caller holds {held}, a call of instance `{instance}` may need {needed}")]
    ShortOfFuel {
        /// The instance's name.
        instance: String,
        /// What the caller has left.
        held: u64,
        /// What a call there may need.
        needed: u64,
    },
    /// The call has passed through too many instances.
    #[error("chain too long: a call may pass through {limit} instances")]
    ChainTooLong {
        /// The limit, [`CHAIN_MAX`](crate::CHAIN_MAX).
        limit: u64,
    },
    /// A peer's reason that this version has no name for.
    #[error("{text}")]
    Other {
        /// The reason's name on the wire.
        kind: String,
        /// What the peer says of it.
        text: String,
    },
}

impl Refusal {
    /// Says that an instance has no such function: of that interface, or at the root where there is none.
    ///
    /// ```
    /// use isorun_core::Refusal;
    ///
    /// let refusal = Refusal::no_such_function("kv", Some("demo:kv/store"), "get");
    /// assert_eq!(refusal.to_string(), "no such function: `demo:kv/store#get` in instance `kv`");
    /// ```
    #[must_use]
    pub fn no_such_function(instance: impl Into<String>, interface: Option<&str>, function: &str) -> Self {
        let function = interface.map_or_else(|| function.to_owned(), |interface| format!("{interface}#{function}"));
        Self::NoSuchFunction { instance: instance.into(), function }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Overloaded { .. } => "overloaded",
            Self::Busy { .. } => "busy",
            Self::Reentrant { .. } => "reentrant",
            Self::Unauthorised { .. } => "unauthorised",
            Self::Incompatible { .. } => "incompatible",
            Self::NoSuchInstance { .. } => "no-such-instance",
            Self::NoSuchFunction { .. } => "no-such-function",
            Self::BadArguments { .. } => "bad-arguments",
            Self::ShortOfFuel { .. } => "short-of-fuel",
            Self::ChainTooLong { .. } => "chain-too-long",
            Self::Other { .. } => "other",
        }
    }
}

/// Why a function that ran did not come to its end.
///
/// Whatever the fault, the store it ran in is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The guest trapped.
    #[error("trap: {message}")]
    Trapped {
        /// What the engine says of the trap.
        message: String,
    },
    /// The guest used up its fuel.
    #[error("out of fuel: limit {limit}")]
    OutOfFuel {
        /// The budget, in units of fuel.
        limit: u64,
    },
    /// The guest asked for more memory than its budget has.
    #[error("out of memory: {wanted} bytes wanted, limit {limit}")]
    OutOfMemory {
        /// What all memories of the instance would have come to, in bytes.
        wanted: u64,
        /// The budget, in bytes.
        limit: u64,
    },
    /// The guest met another limit of its budget.
    #[error("over budget: {what}:{} limit {limit}", over(*wanted))]
    OverBudget {
        /// The limit's name, as in [`Budget`](crate::Budget).
        what: String,
        /// What was asked for; 0 where the engine does not say.
        wanted: u64,
        /// The limit.
        limit: u64,
    },
    /// The callee's own wall-clock budget ran out, waits in the host included.
    #[error("out of time: limit {limit_ms} ms")]
    OutOfTime {
        /// The budget, in milliseconds.
        limit_ms: u64,
    },
    /// The guest ended itself through `wasi:cli/exit`.
    #[error("the guest exited with code {code}")]
    Exited {
        /// The code that it gave.
        code: i32,
    },
    /// A result could not be carried: too large, or not what its type says.
    #[error("bad results: {detail}")]
    BadResults {
        /// Where and what.
        detail: String,
    },
    /// An invariant of isorun itself broke; its store is discarded, the host lives.
    #[error("bug in isorun: {detail}")]
    Bug {
        /// What was found broken.
        detail: String,
    },
    /// A peer's fault that this version has no name for.
    #[error("{text}")]
    Other {
        /// The fault's name on the wire.
        kind: String,
        /// What the peer says of it.
        text: String,
    },
}

impl Fault {
    fn kind(&self) -> &'static str {
        match self {
            Self::Trapped { .. } => "trapped",
            Self::OutOfFuel { .. } => "out-of-fuel",
            Self::OutOfMemory { .. } => "out-of-memory",
            Self::OverBudget { .. } => "over-budget",
            Self::OutOfTime { .. } => "out-of-time",
            Self::Exited { .. } => "exited",
            Self::BadResults { .. } => "bad-results",
            Self::Bug { .. } => "bug",
            Self::Other { .. } => "other",
        }
    }
}
