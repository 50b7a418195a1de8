//! The transport over QUIC: what every transport must do, and what only this one does.

mod common;

use isorun_conformance::conformance_suite;

use crate::common::listen;

conformance_suite!(listen);
