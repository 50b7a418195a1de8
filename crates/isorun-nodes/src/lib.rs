//! Processing nodes: components that turn bytes into bytes.
#![forbid(unsafe_code)]
