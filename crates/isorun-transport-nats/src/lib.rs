//! Channels of whole frames by way of a NATS server, and the discovery that comes with it.
#![forbid(unsafe_code)]
