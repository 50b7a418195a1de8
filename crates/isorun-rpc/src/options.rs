//! What an embedder may choose.

use std::fmt;
use std::sync::Arc;

use isorun_core::{DEADLINE_MS_DEFAULT, Directory};
use neorpc::{HELLO_MS_MAX, PeerLimits};

/// How long opening a channel may take, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 5_000;

/// How long a bind or a describe may take, in milliseconds.
pub const BIND_MS_MAX: u64 = 10_000;

/// How long the last frames of a connection may take to leave, in milliseconds.
pub const CLOSE_MS_MAX: u64 = 1_000;

/// How long a server that ends waits for what it has under way, in milliseconds.
///
/// What a guest's call may take by default fits it.
pub const DRAIN_MS: u64 = 10_000;

/// Connections that one server holds at once.
pub const CONNECTIONS_MAX: usize = 1024;

// A call at the default deadline survives a new connection and a bind.
const _: () = assert!(CONNECT_MS_MAX + HELLO_MS_MAX + BIND_MS_MAX < DEADLINE_MS_DEFAULT);

/// How one end of a connection behaves.
#[derive(Clone)]
pub struct PeerOptions {
    /// What the other end may call here; `None`: nothing.
    pub directory: Option<Arc<dyn Directory>>,
    /// What the other end may ask of this one.
    pub limits: PeerLimits,
    /// How long opening a channel may take, in milliseconds. Default [`CONNECT_MS_MAX`]; the hello has its own limit.
    pub connect_ms: u64,
    /// How long a bind or a describe may take, in milliseconds. Default [`BIND_MS_MAX`].
    pub bind_ms: u64,
    /// Whether a [`Link`](crate::Link) whose first connection led to one authenticated peer may go on with another, or with
    /// one that proves nothing. Default: no; it is logged either way.
    pub may_be_another: bool,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self {
            directory: None,
            limits: PeerLimits::default(),
            connect_ms: CONNECT_MS_MAX,
            bind_ms: BIND_MS_MAX,
            may_be_another: false,
        }
    }
}

impl PeerOptions {
    /// The defaults, with something to serve.
    #[must_use]
    pub fn serving(directory: Arc<dyn Directory>) -> Self {
        Self { directory: Some(directory), ..Self::default() }
    }
}

impl fmt::Debug for PeerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerOptions")
            .field("serves", &self.directory.is_some())
            .field("limits", &self.limits)
            .field("connect_ms", &self.connect_ms)
            .field("bind_ms", &self.bind_ms)
            .field("may_be_another", &self.may_be_another)
            .finish()
    }
}

/// How a server behaves.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// How each of its connections behaves; the server's directory replaces the one in here.
    pub peer: PeerOptions,
    /// Connections held at once; one more is closed as it comes. Default [`CONNECTIONS_MAX`].
    pub connections_max: usize,
    /// How long a server that ends waits for what it has under way, in milliseconds. Default [`DRAIN_MS`].
    pub drain_ms: u64,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { peer: PeerOptions::default(), connections_max: CONNECTIONS_MAX, drain_ms: DRAIN_MS }
    }
}
