//! What every isorun transport must do, as tests that any transport can run.
//!
//! The traits in `isorun-core` say what a [`Transport`], its [`Channel`]s and a
//! [`Listener`] promise; the calls above rely on it, above all on which frames
//! have left and which have not. This is that promise as a suite, and isorun's
//! own transports are held to it too. Give it what makes a fresh transport and
//! the listener that it reaches, in a file of your own `tests`, with this crate
//! among the `dev-dependencies`:
//!
//! ```
//! use isorun_conformance::{Endpoint, conformance_suite};
//! use isorun_transport_local::LocalChannelTransport;
//!
//! async fn listen() -> Endpoint {
//!     let (transport, listener) = LocalChannelTransport::pair();
//!     Endpoint::new(transport, listener)
//! }
//!
//! conformance_suite!(listen);
//! # fn main() {}
//! ```
//!
//! Every case becomes a test of its name, and one that fails says which [`Rule`]
//! is broken and how. [`broken_rules`] runs the same cases and gives the failures
//! as values:
//!
//! ```
//! use isorun_conformance::{Endpoint, broken_rules};
//! use isorun_transport_local::LocalChannelTransport;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let broken = broken_rules(async || {
//!     let (transport, listener) = LocalChannelTransport::pair();
//!     Endpoint::new(transport, listener)
//! });
//! assert_eq!(broken.await, []);
//! # }
//! ```
//!
//! Nothing here sleeps or needs a port, a case that hangs fails after
//! [`CASE_MS_MAX`], and no case asks for more than the traits promise: a
//! transport may buffer nothing at all, and may lose what was on its way when a
//! channel is dropped. Cases run on tokio, one thread each, with whatever of its
//! timers and I/O the build has. [`drive`] has the futures that tests of
//! one's own are written with.
#![forbid(unsafe_code)]

pub mod channels;
pub mod drive;
pub mod endpoints;
mod rule;
mod suite;
mod verdict;
mod woken;

pub use isorun_core::{Channel, Listener, Transport};
pub use rule::{Broken, Rule};
pub use suite::{CASE_MS_MAX, broken_rules, run};
pub use verdict::Verdict;

/// A transport and the listener that it reaches: what a case tries.
pub struct Endpoint {
    /// What opens channels.
    pub transport: Box<dyn Transport>,
    /// What accepts them.
    pub listener: Box<dyn Listener>,
    /// What has to stay for as long as they are tried.
    kept: Option<Box<dyn std::any::Any>>,
}

impl Endpoint {
    /// The `transport` under test, and the `listener` that accepts what it opens.
    pub fn new(transport: impl Transport + 'static, listener: impl Listener + 'static) -> Self {
        Self { transport: Box::new(transport), listener: Box::new(listener), kept: None }
    }

    /// Drops `guard`, the temporary folder of a socket say, only when the case has ended.
    #[must_use]
    pub fn keeping(mut self, guard: impl std::any::Any) -> Self {
        self.kept = Some(Box::new((self.kept.take(), guard)));
        self
    }
}
