//! Host components for isorun: a WASI directory, a key-value store
#![forbid(unsafe_code)]
