//! What is concurrent in `isorun-messaging`, under every interleaving that loom finds.
#![forbid(unsafe_code)]
