//! An isorun transport over TCP
#![forbid(unsafe_code)]
