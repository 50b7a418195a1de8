//! The isorun wire protocol: frames and a sans-IO connection state machine.
//!
//! Bytes and an [`Instant`](std::time::Instant) go in; bytes and decisions come out. Nothing here reads a clock, opens a
//! socket or starts a task. The bytes are specified in `docs/spec/neorpc.md`.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod bind;
mod call;
mod codec;
mod connection;
mod failure;
mod frame;
mod hello;
mod id;
mod limits;

pub use bind::{BindFrame, BoundFrame, DescribeFrame, DescribedFrame, FunctionTable};
pub use call::{CallFrame, Companions, FailureFrame, ReplyFrame, SelfContainedCall};
pub use connection::{Connection, Event, ProtocolError};
pub use frame::{Frame, FrameError, Kind};
pub use hello::{FEATURE_GOING_AWAY, FEATURE_PING, Hello, PeerLimits};
pub use id::{BindingId, RequestId};
pub use limits::{
    ARGS_BYTES_MAX, BINDINGS_MAX, CALLS_MAX, DEADLINE_MS_MAX, FEATURES_MAX, FRAME_BYTES_MAX, FRAME_BYTES_MIN,
    FUNCTIONS_MAX, HELLO_MS_MAX, NAME_BYTES_MAX, PING_IDLE_MS, PONG_MS, QUEUE_BYTES_MAX, QUEUE_BYTES_SOFT,
    QUEUE_FRAMES_MAX, TEXT_BYTES_MAX, VERSION,
};
