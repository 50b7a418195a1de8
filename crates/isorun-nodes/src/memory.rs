//! A way into the memory of a component that passes pointers: functions that are appended to it when it is loaded.
//!
//! A host can't reach a component's memory. So a small core module is appended that imports it, and the module's
//! functions are lifted and exported beside the component's own, under names that no ledger shows. The component's own
//! bytes stay as they are, the first of the result.

mod accessor;
mod append;
mod follow;
mod outline;

pub(crate) use self::accessor::{AT, PUT, READ, SIZE};
pub(crate) use self::append::append;

#[cfg(test)]
mod tests;
