//! What an asker is told.

use std::fmt;

use isorun_core::Refusal;

/// Whether something may be done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a decision that nobody looks at protects nothing"]
pub enum Decision {
    /// It may.
    Allowed {
        /// The grant that allows it.
        by: String,
    },
    /// It may not.
    Denied {
        /// What is missing, and what would grant it.
        reason: String,
    },
}

impl Decision {
    /// Whether it may be done.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }

    /// The decision as a result, for `?`.
    ///
    /// # Errors
    /// [`Refusal::Unauthorised`], with the reason, where it is denied.
    pub fn into_result(self) -> Result<(), Refusal> {
        match self {
            Self::Allowed { .. } => Ok(()),
            Self::Denied { reason } => Err(Refusal::Unauthorised { reason }),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed { by } => write!(f, "allowed: {by}"),
            Self::Denied { reason } => write!(f, "denied: {reason}"),
        }
    }
}
