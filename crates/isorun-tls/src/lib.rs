//! Mutual TLS between isorun hosts: credentials from files, rotation, and the identity that a peer has proven.
#![forbid(unsafe_code)]
