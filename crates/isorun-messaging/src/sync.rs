//! The locks of what is shared between threads; `loom/` builds the mailbox with others.

pub(crate) use parking_lot::Mutex;
