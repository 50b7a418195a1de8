//! The isorun wire protocol: frames and a sans-IO connection state machine.
//!
//! Bytes and an [`Instant`](std::time::Instant) go in; bytes and decisions come out. Nothing here reads a clock, opens a
//! socket or starts a task. The bytes are specified in `docs/spec/neorpc.md`.
//!
//! A [`Connection`] is one end; whoever has the socket moves frames between it and the other:
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use isorun_core::BindRequest;
//! use neorpc::{Connection, Event, PeerLimits};
//!
//! /// What a socket would do.
//! fn carry(now: Instant, from: &mut Connection, to: &mut Connection) {
//!     while let Some(frame) = from.poll_transmit(now) {
//!         from.taken(1);
//!         to.handle_frame(now, frame).unwrap();
//!     }
//! }
//!
//! let now = Instant::now();
//! let mut here = Connection::connect(now, PeerLimits::default());
//! let mut there = Connection::accept(now, PeerLimits::default());
//! carry(now, &mut here, &mut there);
//! carry(now, &mut there, &mut here);
//! assert!(matches!(here.poll_event(), Some(Event::Open(_))));
//! assert!(matches!(there.poll_event(), Some(Event::Open(_))));
//!
//! // A binding of one function, which calls then name by its place in it.
//! let want = BindRequest { interface: None, functions: vec![("get".to_owned(), [0; 32])] };
//! let id = here.bind(now, "kv", &want, now + Duration::from_secs(1)).unwrap();
//! carry(now, &mut here, &mut there);
//! assert!(matches!(there.poll_event(), Some(Event::IncomingBind { instance, .. }) if instance == "kv"));
//! there.answer_bind(id, Ok(())).unwrap();
//! carry(now, &mut there, &mut here);
//! assert!(matches!(here.poll_event(), Some(Event::Bound { result: Ok(_), .. })));
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod bind;
mod call;
mod chunk;
mod codec;
mod connection;
mod failure;
mod frame;
mod hello;
mod id;
mod limits;
pub mod places;
#[cfg(planted)]
pub mod planted;
pub mod retry;

pub use bind::{BindFrame, BoundFrame, DescribeFrame, DescribedFrame, Description, FunctionTable};
pub use call::{CallFrame, Companions, FailureFrame, ReplyFrame, SelfContainedCall};
pub use chunk::{CallInChunksFrame, ChunkFrame, CreditFrame, Payload, ReplyInChunksFrame};
pub use connection::{Connection, Event, Held, ProtocolError};
pub use frame::{Frame, FrameError, Kind};
pub use hello::{FEATURE_CHUNKS, FEATURE_GOING_AWAY, FEATURE_PING, Hello, PeerLimits};
pub use id::{BindingId, RequestId};
pub use limits::{
    ANSWER_BYTES_MAX, ANSWER_BYTES_SOFT, ARGS_BYTES_MAX, BINDINGS_MAX, CALLS_MAX, CHUNK_BYTES_MAX, DEADLINE_MS_MAX,
    FEATURES_MAX, FRAME_BYTES_MAX, FRAME_BYTES_MIN, FUNCTIONS_MAX, HELLO_MS_MAX, NAME_BYTES_MAX, PING_IDLE_MS, PONG_MS,
    QUEUE_BYTES_SOFT, QUEUE_FRAMES_MAX, RESULTS_BYTES_MAX, TEXT_BYTES_MAX, VERSION, WHOLE_BYTES_MAX, WINDOW_BYTES,
    WINDOW_BYTES_MAX, WINDOW_BYTES_MIN, WINDOW_FRAMES,
};
