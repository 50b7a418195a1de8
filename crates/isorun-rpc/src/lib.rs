//! Calls between isorun hosts: peers, multiplexing and the incoming router over any transport
#![forbid(unsafe_code)]
