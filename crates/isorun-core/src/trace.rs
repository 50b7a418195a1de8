//! How the spans of a process become parts of traces that pass through others.

use std::any::Any;
use std::sync::OnceLock;

/// The trace a call belongs to, as W3C trace context has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trace {
    /// The trace id; all zero where there is none.
    pub id: [u8; 16],
    /// The calling span; all zero where nobody records this trace, which then is nobody's further on either.
    pub span: [u8; 8],
}

impl Trace {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.id == [0; 16]
    }
}

/// What ties spans to traces; whoever collects spans [registers](set_tracer) one.
///
/// The crates that make spans know neither who collects them nor how: they hand each over once, before it is entered, with
/// the [`Trace`] that came with the call it is about.
pub trait Tracer: Send + Sync {
    /// Puts `span` below `parent`, or where its own surroundings put it if there is none, and gives the trace that calls
    /// made within it belong to.
    ///
    /// `span` is a `tracing::Span`, which nobody has entered; whatever else it is, `parent` comes back.
    fn continue_trace(&self, span: &dyn Any, parent: Trace) -> Trace;
}

static TRACER: OnceLock<&'static dyn Tracer> = OnceLock::new();

/// Registers what ties spans to traces, for all of this process; whether it is the first, as only that one counts.
///
/// ```
/// use std::any::Any;
///
/// use isorun_core::{Trace, Tracer, set_tracer, tracer};
///
/// /// Says of all spans that they are the seventh.
/// struct Seventh;
///
/// impl Tracer for Seventh {
///     fn continue_trace(&self, _: &dyn Any, parent: Trace) -> Trace {
///         Trace { span: [7; 8], ..parent }
///     }
/// }
///
/// assert!(set_tracer(&Seventh));
/// let parent = Trace { id: [1; 16], span: [2; 8] };
/// assert_eq!(tracer().unwrap().continue_trace(&(), parent), Trace { id: [1; 16], span: [7; 8] });
/// assert!(!set_tracer(&Seventh));
/// ```
pub fn set_tracer(tracer: &'static dyn Tracer) -> bool {
    TRACER.set(tracer).is_ok()
}

/// What ties spans to traces, if anybody registered it; without it a call's trace is handed on as it came.
#[must_use]
pub fn tracer() -> Option<&'static dyn Tracer> {
    TRACER.get().copied()
}
