//! Many isorun hosts on a seeded network, with faults and a clock of its own.
//!
//! A run has three to eight hosts, connected by [`neorpc::Connection`]s, each of which calls the others and serves them.
//! Frames take their time, connections overtake one another, stall, break in the middle, or carry nothing any more without
//! telling; readers are slow, hosts restart, drain, and are cut off from one another. All of it follows from the seed, and
//! nothing from a real clock, a socket or a thread, so that a seed that fails fails again.
//!
//! # What is checked
//!
//! After every step, of every call and on every connection:
//!
//! - a call has exactly one outcome, and none after it was cancelled;
//! - it runs at most once, unless it is idempotent, and then once for each time it was made;
//! - where the outcome is *not sent* or *refused*, it did not run, and never will;
//! - no outcome comes after the deadline, and *deadline* not before it;
//! - results are those that were given for this call, arguments those of its caller, and chain, trace and fuel with them;
//! - the time that a frame carries is no more than its caller has left, and a callee gets no more than that;
//! - *unknown* and a connection given up come only of a fault;
//! - no end finds the other breaking the protocol;
//! - what a [`neorpc::Connection`] holds is what its shell knows of.
//!
//! When the network has been sound for half a minute, nothing is left: no call, no request in flight or in service, no
//! frame, no byte, no timer, and no binding once all are given back; and every connection drains.
//!
//! # Applications
//!
//! [`simulate_workload`] runs an application that makes every kind of call. [`simulate`] runs any [`Application`]:
//!
//! ```
//! use isorun_core::{CallFailed, FunctionIndex, Reply};
//! use isorun_simulator::{Application, CallId, Host, HostId, Incoming, Options, Outgoing, simulate};
//!
//! /// Counts, and asks its neighbour to.
//! #[derive(Default)]
//! struct Counter(u8);
//!
//! impl Application for Counter {
//!     fn start(&mut self, host: &mut Host<'_>) {
//!         host.wake_after(10_000, 0);
//!     }
//!
//!     fn woken(&mut self, host: &mut Host<'_>, _: u64) {
//!         let call = Outgoing {
//!             to: HostId((host.id().0 + 1) % 3),
//!             instance: "counter".to_owned(),
//!             function: FunctionIndex(0),
//!             time_us: 500_000,
//!             args: "more".into(),
//!             idempotent: false,
//!             within: None,
//!         };
//!         if host.call(call).is_some() {
//!             host.wake_after(50_000, 0);
//!         }
//!     }
//!
//!     fn serve(&mut self, host: &mut Host<'_>, call: Incoming) {
//!         self.0 = self.0.wrapping_add(1);
//!         host.answer(call.id, Ok(Reply { results: vec![self.0].into(), fuel_used: 0 }));
//!     }
//!
//!     fn returned(&mut self, _: &mut Host<'_>, _: CallId, _: Result<Reply, CallFailed>) {}
//! }
//!
//! let options = Options { hosts: Some(3), ..Options::default() };
//! let counts = simulate(1, &options, &|_| Box::new(Counter::default())).unwrap_or_else(|broken| panic!("{broken}"));
//! assert!(counts.calls > 0);
//! ```
#![forbid(unsafe_code)]

mod application;
mod calls;
mod channel;
mod faults;
mod host;
mod plan;
mod promises;
mod run;
mod serve;
mod shell;
mod trace;
mod workload;
mod world;

pub use application::{Application, CallId, FUNCTIONS, HostId, Incoming, Outgoing, ServeId, Setup};
pub use host::Host;
pub use run::{Broken, Counts, Options, TRACE_LINES, search, simulate, simulate_workload};
