//! The isorun command.
#![forbid(unsafe_code)]

fn main() {}
