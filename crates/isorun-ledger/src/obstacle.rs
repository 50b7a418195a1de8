//! Why something can't be sent anywhere.

use std::fmt;

use crate::types::TypeDef;

/// Why a function can't be called, or a type's values can't be sent, through a link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obstacle {
    /// The function's name, where a function was asked about.
    pub function: Option<String>,
    /// Where in the function or type: `.key` for the parameter `key`, `()` for
    /// the result, then fields (`.name`), items (`[]`), `.some`, `.ok`, `.err`.
    /// Empty where it is the whole.
    pub path: String,
    /// What stands there.
    pub reason: Reason,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = self.function.as_deref().unwrap_or_default();
        let path = if function.is_empty() { self.path.trim_start_matches('.') } else { &self.path };
        match (function, path) {
            ("", "") => write!(f, "{}", self.reason),
            _ => write!(f, "{function}{path}: {}", self.reason),
        }
    }
}

impl std::error::Error for Obstacle {}

/// What keeps a value or a call from being sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A handle: it means something only in the instance that holds it.
    #[error("{kind}<{resource}> is a handle, and handles are not carried by links yet")]
    Handle {
        /// `own` or `borrow`.
        kind: &'static str,
        /// The resource's name.
        resource: String,
    },
    /// A `stream`.
    #[error("streams are not carried by links yet")]
    Stream,
    /// A `future`.
    #[error("futures are not carried by links yet")]
    Future,
    /// An `error-context`.
    #[error("an error-context is not carried by links")]
    ErrorContext,
    /// A value that nests deeper than neopack takes.
    #[error("nested {depth} deep, at most {max} is carried")]
    TooDeep {
        /// How deep the packed arguments or results nest.
        depth: usize,
        /// The limit, [`neopack::DEPTH_MAX`].
        max: usize,
    },
}

impl Reason {
    /// Why values of that very kind of type don't travel; `None` where the kind by itself does.
    pub(crate) fn of_kind(def: &TypeDef) -> Option<Self> {
        match def {
            TypeDef::Own(resource) | TypeDef::Borrow(resource) => {
                Some(Self::Handle { kind: def.kind(), resource: resource.clone() })
            }
            TypeDef::Stream(_) => Some(Self::Stream),
            TypeDef::Future(_) => Some(Self::Future),
            TypeDef::ErrorContext => Some(Self::ErrorContext),
            _ => None,
        }
    }
}
