//! An isorun transport between two ends of one process
#![forbid(unsafe_code)]
