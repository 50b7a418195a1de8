//! Grants and decisions with reasons: who may link, mount and call what
#![forbid(unsafe_code)]
