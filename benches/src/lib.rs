//! What the benches share: the five functions, the places where they run, and the floor beneath; components without an
//! engine.
#![forbid(unsafe_code)]

mod floor;
mod functions;
mod places;
mod puppets;
mod relay;

pub use floor::Floor;
pub use functions::{BYTES, Function, KEY, POINTS, Point, STRING, Signature, VALUE, guest, points};
pub use places::{AT_ONCE, BATCH_MS_MAX, CALLEE, CALLER, Host, Places, batch, run, serve};
pub use puppets::{Puppet, Puppets};
pub use relay::Relay;

/// What a bench can fail with: it prints it and stops.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
