//! Channels of whole frames over QUIC, both ends authenticated.
#![forbid(unsafe_code)]
