//! How the command ends: exit codes, and what is said on standard error.

use std::fmt;
use std::path::Path;

use isorun::nodes::ComponentExecutionError;
use isorun::{
    CallError, Failure, Fault, InstantiateError, LinkError, LoadError, Refusal, RegisterError, StartError,
    how_to_grant, names_match,
};

use crate::hint;
use crate::place::{FORMS, FORMS_ELSEWHERE, KV};

/// All went well.
pub const OK: u8 = 0;
/// An `err` result, or a failure that has no code of its own.
pub const FAILED: u8 = 1;
/// The command line asks for something that can't be.
pub const USAGE: u8 = 2;
/// An import is not linked, or a link does not hold.
pub const LINK: u8 = 3;
/// The caller's time, or the instance's own, ran out.
pub const DEADLINE: u8 = 124;
/// The guest trapped.
pub const TRAP: u8 = 134;
/// SIGINT.
pub const INTERRUPTED: u8 = 130;
/// SIGTERM, or SIGHUP.
pub const TERMINATED: u8 = 143;

/// The end of `--help`; a macro, so that it can be a part of other texts. With lines, those are the codes of the command.
macro_rules! exit_codes {
    () => {
        exit_codes!(
            "   0  it went well: ok, or a plain value"
            "   N  the guest ended itself with code N"
            "   1  an err result, or any failure that is not listed here"
            "      (its kind is in the text)"
            "   2  usage: the command line is wrong, or asks for a call that the component"
            "      does not offer"
            "   3  link error: an import that nobody linked, or a link that does not hold,"
            "      such as one to a file that is not there"
            " 124  deadline: the time of --timeout, or of the instance's own budget, ran out"
            " 130  interrupted by SIGINT (143 by SIGTERM or SIGHUP)"
            " 134  trap in the guest, or in a call that it could not do without"
        )
    };
    ($($line:literal)+) => {
        concat!(
            "Exit codes:\n", $(" ", $line, "\n",)+
            "
Environment:
  ISORUN_LOG  what is logged to standard error: warn (the default), info, debug,
              target=level,..
  NO_COLOR    no colours, if it is set to anything"
        )
    };
}
pub(crate) use exit_codes;

/// Why the command does not end well.
#[derive(Debug)]
pub struct Failed {
    pub code: u8,
    /// What `-o json` calls it; the list is in `--help`.
    pub kind: &'static str,
    pub text: String,
}

impl Failed {
    pub fn new(code: u8, text: impl Into<String>) -> Self {
        let kind = match code {
            USAGE => "usage",
            LINK => "link",
            DEADLINE => "deadline",
            TRAP => "trap",
            INTERRUPTED => "interrupted",
            TERMINATED => "terminated",
            _ => "failed",
        };
        Self { code, kind, text: text.into() }
    }

    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(USAGE, text)
    }

    /// The same failure, called by its own name.
    #[must_use]
    pub fn kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    /// The same failure, with what it happened to before it.
    #[must_use]
    pub fn at(self, what: impl fmt::Display) -> Self {
        Self { text: format!("{what}: {}", self.text), ..self }
    }

    /// The same failure, with what can be done about it after it.
    #[must_use]
    pub fn hint(self, hint: impl fmt::Display) -> Self {
        Self { text: format!("{}\n{hint}", self.text), ..self }
    }

    /// The same failure of what a link goes to: what can't be read or loaded there is a link that does not hold.
    #[must_use]
    pub fn behind_link(self, link: &str) -> Self {
        let failed = if self.kind == "load" { Self { code: LINK, kind: "link", ..self } } else { self };
        failed.at(format!("--link {link}"))
    }

    /// All problems as one, if there are any; only where no link is to blame it is another code's.
    pub fn all(what: &str, mut problems: Vec<Self>) -> Option<Self> {
        if problems.len() <= 1 {
            return problems.pop();
        }
        let code = if problems.iter().any(|problem| problem.code == LINK) { LINK } else { FAILED };
        let lines: String =
            problems.iter().map(|problem| format!("\n- {}", problem.text.replace('\n', "\n  "))).collect();
        Some(Self::new(code, format!("{} {what}:{lines}", problems.len())))
    }

    /// A component's file that can't be read.
    pub fn unread(text: impl Into<String>) -> Self {
        Self::new(FAILED, text).kind("load")
    }

    /// A component that can't be loaded.
    pub fn load(file: &Path, error: &LoadError) -> Self {
        Self::new(FAILED, format!("cannot load `{}`: {error}", file.display())).kind("load")
    }

    /// An instance that does not come to be.
    pub fn start(error: &InstantiateError) -> Self {
        match error {
            InstantiateError::Start(StartError::Link(link)) => Self::link(link),
            InstantiateError::Start(StartError::Start { fault, .. }) => Self::fault(fault, error),
            InstantiateError::Register(RegisterError::Reserved { .. } | RegisterError::Malformed { .. }) => {
                Self::usage(error.to_string()).hint("`--as NAME` gives it one")
            }
            _ => Self::new(FAILED, error.to_string()),
        }
    }

    /// A link that does not hold.
    pub fn link(error: &LinkError) -> Self {
        if let LinkError::Load(_) = error {
            return Self::new(FAILED, error.to_string()).kind("load");
        }
        let failed = Self::new(LINK, error.to_string());
        match how_to_link(error) {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }

    /// A call without results.
    pub fn call(error: &CallError) -> Self {
        if let Some(link) = &error.link {
            return Self::through(&link.failure, error);
        }
        Self::failure(&error.failure, error)
    }

    /// A peer that does not say what an instance offers.
    pub fn describe(place: &impl fmt::Display, failure: &Failure) -> Self {
        let failed = Self::failure(failure, &format!("cannot ask {place} what it offers: {failure}"));
        match hint::of_failure(failure, &place.to_string()) {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }

    fn failure(failure: &Failure, error: &impl fmt::Display) -> Self {
        let failed = |kind| Self::new(FAILED, error.to_string()).kind(kind);
        match failure {
            Failure::Failed(fault) => Self::fault(fault, error),
            Failure::Deadline { .. } => Self::late(error),
            Failure::NotSent { .. } => failed("not-sent"),
            Failure::Unknown { .. } => failed("unknown"),
            Failure::Refused(_) => failed("refused"),
            Failure::Cancelled => failed("cancelled"),
            _ => failed("failed"),
        }
    }

    /// A trap for want of a call through a link.
    fn through(failure: &Failure, error: &CallError) -> Self {
        let trap = Self::new(TRAP, error.to_string());
        match failure {
            Failure::Deadline { .. } | Failure::Failed(Fault::OutOfTime { .. }) => Self::late(error),
            Failure::Failed(Fault::OutOfFuel { .. }) => {
                trap.hint("`--fuel N` gives more; a `local:` component gets half of it")
            }
            Failure::Refused(Refusal::ShortOfFuel { .. }) => {
                trap.hint("`--fuel N` gives more here, `isorun serve --fuel N` asks for less there")
            }
            _ => trap,
        }
    }

    /// A node that can't be, or that did not give an output; `name` is the node, and the piece that it had.
    pub fn node(name: &str, error: &ComponentExecutionError) -> Self {
        use ComponentExecutionError as E;
        let failed = |code| Self::new(code, error.to_string());
        let failed = match error {
            E::NotAComponent { .. } | E::Load { .. } | E::MemoryOutOfReach { .. } | E::NotComponentized { .. } => {
                // The file is in the text.
                return failed(FAILED).kind("load");
            }
            E::NoKnownShape { .. } | E::Streams { .. } => return failed(USAGE),
            E::Ambiguous { .. } | E::NoSuchFunction { .. } => {
                return failed(USAGE).hint("`--function NAME` says which to call");
            }
            E::NotLinked { cause, .. } => {
                let mut cause = cause.clone();
                if let LinkError::Missing { missing, .. } = &mut *cause {
                    for missing in missing {
                        missing.hint = missing.interface.as_deref().and_then(how_to_grant);
                    }
                }
                Self::new(LINK, cause.to_string())
            }
            E::Start { fault, .. } => Self::fault(fault, error),
            E::Guest { function, message } => {
                Self::new(FAILED, format!("`{function}` says: {}", shortened(message))).kind("guest")
            }
            E::MemoryAccessFailed { .. } => failed(FAILED).kind("memory-access"),
            E::Trap { .. } => failed(TRAP),
            E::Limit { which, .. } => match which.as_str() {
                "fuel" => failed(FAILED).kind("out-of-fuel").hint("`--fuel N` gives more"),
                "max_memory_bytes" => failed(FAILED).kind("out-of-memory").hint("`--memory SIZE` gives more"),
                "wall_ms" => Self::late(error),
                "output bytes" => failed(FAILED).hint(
                    "smaller pieces give smaller outputs, where the format allows it: `--chunk SIZE` or `--lines`",
                ),
                _ => failed(FAILED),
            },
            E::Failed { failure, .. } => Self::failure(failure, error),
            _ => failed(FAILED),
        };
        failed.at(name)
    }

    /// Time that ran out.
    pub fn late(error: &impl fmt::Display) -> Self {
        Self::new(DEADLINE, error.to_string()).hint(LONGER)
    }

    fn fault(fault: &Fault, error: &impl fmt::Display) -> Self {
        let failed = |code| Self::new(code, error.to_string());
        match fault {
            Fault::Trapped { .. } => failed(TRAP),
            Fault::OutOfTime { .. } => Self::late(error),
            Fault::OutOfFuel { .. } => failed(FAILED).kind("out-of-fuel").hint("`--fuel N` gives more"),
            Fault::OutOfMemory { .. } => failed(FAILED).kind("out-of-memory").hint("`--memory SIZE` gives more"),
            _ => failed(FAILED),
        }
    }
}

/// What can be done on the command line about a link that does not hold.
fn how_to_link(error: &LinkError) -> Option<String> {
    match error {
        LinkError::Missing { missing, .. } => {
            let missing = missing.iter().find(|missing| missing.hint.is_none())?;
            let import = missing.interface.as_ref().or(missing.functions.first())?;
            Some(if names_match(import, KV) {
                format!(
                    "link it with `--link {import}=system:kv`, a store in this process, or with another place; {FORMS}"
                )
            } else {
                format!("link it with `--link {import}=PLACE`; {FORMS_ELSEWHERE}")
            })
        }
        LinkError::Bind { failure, place, .. } => hint::of_failure(failure, place),
        _ => None,
    }
}

/// A guest's own words, as long as anybody reads.
fn shortened(message: &str) -> String {
    let end = message.char_indices().nth(GUEST_WORDS_MAX).map_or(message.len(), |(at, _)| at);
    let (start, rest) = message.split_at(end);
    // Its lines are no lines of ours.
    let start = start.replace('\n', "\\n");
    if rest.is_empty() { start } else { format!("{start}.. (and {} bytes more)", rest.len()) }
}

/// Longest error of a guest that is shown, in characters.
const GUEST_WORDS_MAX: usize = 1_000;

const LONGER: &str = "`--timeout TIME` gives longer";

/// What a guest's own exit code is to a process: whatever has no room in it is a failure.
pub fn of_guest(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(FAILED)
}
