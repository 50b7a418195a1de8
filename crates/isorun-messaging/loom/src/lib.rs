//! What is concurrent in `isorun-messaging`, under every interleaving that loom finds.
//!
//! The same sources, with loom's locks in place of the real ones: there is nothing here but tests.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "../../src/mailbox.rs"]
#[allow(dead_code, reason = "the mailbox has more callers in its own crate")]
mod mailbox;
#[cfg(test)]
mod sync;
#[cfg(test)]
mod tests;
