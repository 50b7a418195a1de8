//! The isorun wire protocol: frames and a sans-IO connection state machine
#![forbid(unsafe_code)]
