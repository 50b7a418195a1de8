//! The numbers that frames are told apart by.

use std::fmt;

/// A request on its connection: a bind, a describe or a call.
///
/// Each end numbers its own from 1, upwards, and never uses a number again. 0 stands for the connection itself, and for
/// the one request of a connection that never said hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

impl RequestId {
    /// No request of a connection: its own failure, or the answer to a self-contained call.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A binding on its connection, numbered by the end that serves it; never used again once released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingId(pub u32);

impl fmt::Display for BindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
