//! Calls and their answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use isorun_core::{CallContext, CallFailed, FunctionIndex, InstanceUid, Reply, Trace};

use crate::codec::{Reader, Writer};
use crate::failure::{read_failure, write_failure};
use crate::frame::{Frame, FrameError};
use crate::id::{BindingId, RequestId};
use crate::limits::{DEADLINE_MS_MAX, NAME_BYTES_MAX};

/// What a call brings along beside its target and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companions {
    /// What the caller has left, in milliseconds, rounded down.
    pub deadline_ms: u64,
    /// What the caller has left, in units of fuel; `None` where it sets no bound.
    pub fuel: Option<u64>,
    /// The instances that wait for this call, the first caller first.
    pub chain: Arc<[InstanceUid]>,
    /// The trace; all zero where there is none.
    pub trace: Trace,
}

/// Calls a function through a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFrame {
    /// The request's number.
    pub id: RequestId,
    /// The binding.
    pub binding: BindingId,
    /// The function's place in the binding.
    pub function: FunctionIndex,
    /// Deadline, fuel, chain and trace.
    pub with: Companions,
    /// The arguments: one packed value, not looked at here.
    pub args: Bytes,
}

/// Calls a function that it names in full: for transports that keep no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfContainedCall {
    /// The instance's name where it runs.
    pub instance: String,
    /// `ns:pkg/iface@version`, or `None` for a function at the root.
    pub interface: Option<String>,
    /// The function's name.
    pub function: String,
    /// What the caller believes of its types.
    pub hash: [u8; 32],
    /// Deadline, fuel, chain and trace.
    pub with: Companions,
    /// The arguments: one packed value, not looked at here.
    pub args: Bytes,
}

/// A call came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyFrame {
    /// The call's number.
    pub id: RequestId,
    /// Results and fuel.
    pub reply: Reply,
}

/// A call did not come to its end; with number 0, the connection is about to close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureFrame {
    /// The call's number.
    pub id: RequestId,
    /// Why, and the fuel spent.
    pub failed: CallFailed,
}

impl Companions {
    /// What travels with a call made at `now`.
    #[must_use]
    pub fn of(cx: &CallContext, now: Instant) -> Self {
        Self { deadline_ms: ms_until(cx.deadline, now), fuel: cx.fuel, chain: Arc::clone(&cx.chain), trace: cx.trace }
    }

    /// The same for the callee, whose clock says `now`.
    #[must_use]
    pub fn context(self, now: Instant) -> CallContext {
        let Self { deadline_ms, fuel, chain, trace } = self;
        CallContext { deadline: deadline(deadline_ms, now), fuel, chain, trace }
    }

    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.u64(self.deadline_ms)?;
        out.optional_u64(self.fuel)?;
        out.chain(&self.chain)?;
        out.trace(self.trace)
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        Ok(Self {
            deadline_ms: input.u64()?,
            fuel: input.optional_u64()?,
            chain: input.chain()?,
            trace: input.trace()?,
        })
    }
}

/// Whole milliseconds from `now` until `deadline`, rounded down so that the callee never gets more than the caller has.
pub(crate) fn ms_until(deadline: Instant, now: Instant) -> u64 {
    let left = deadline.saturating_duration_since(now).as_millis();
    u64::try_from(left).unwrap_or(u64::MAX).min(DEADLINE_MS_MAX)
}

fn deadline(remaining_ms: u64, now: Instant) -> Instant {
    // A day ahead is within what any clock holds; should it not be, the call has no time at all.
    now.checked_add(Duration::from_millis(remaining_ms.min(DEADLINE_MS_MAX))).unwrap_or(now)
}

impl CallFrame {
    /// The frame's bytes.
    ///
    /// # Errors
    /// [`FrameError::TooMany`] for a chain over [`CHAIN_MAX`](isorun_core::CHAIN_MAX), [`FrameError::Pack`] for a frame
    /// over [`FRAME_BYTES_MAX`](crate::FRAME_BYTES_MAX).
    pub fn encode(&self) -> Result<Bytes, FrameError> {
        Frame::encode_call(self)
    }

    /// Reads a frame that must be a call; the arguments share the frame's memory.
    ///
    /// # Errors
    /// [`FrameError`]; [`FrameError::NotA`] for a frame of another kind.
    pub fn decode(frame: &Bytes) -> Result<Self, FrameError> {
        match Frame::decode(frame)? {
            Frame::Call(call) => Ok(call),
            other => Err(FrameError::NotA { expected: "call", found: other.kind() }),
        }
    }

    /// Bytes that this call takes as a frame.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        encoded_len(&self.with, self.args.len())
    }

    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.begin()?;
        out.u64(self.id.0)?;
        out.u32(self.binding.0)?;
        out.u32(self.function.0)?;
        self.with.write(out)?;
        out.bytes(&self.args)?;
        out.end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        input.begin()?;
        let call = Self {
            id: RequestId(input.u64()?),
            binding: BindingId(input.u32()?),
            function: FunctionIndex(input.u32()?),
            with: Companions::read(input)?,
            args: input.bytes()?,
        };
        input.end()?;
        Ok(call)
    }
}

/// Bytes of a call frame, by the layout in the specification.
pub(crate) fn encoded_len(with: &Companions, args_bytes: usize) -> usize {
    let fuel = if with.fuel.is_some() { 1 + 9 } else { 1 };
    let trace = if with.trace == Trace::default() { 1 } else { 1 + 5 + 24 };
    // Variant and its index, Struct and its length, then the fields.
    5 + 5 + 9 + 5 + 5 + 9 + fuel + (5 + 16 * with.chain.len()) + trace + (5 + args_bytes)
}

impl SelfContainedCall {
    /// The frame's bytes.
    ///
    /// # Errors
    /// [`FrameError::TooMany`] for a long name or chain, [`FrameError::Pack`] for a frame over
    /// [`FRAME_BYTES_MAX`](crate::FRAME_BYTES_MAX).
    pub fn encode(&self) -> Result<Bytes, FrameError> {
        Frame::encode_self_contained(self)
    }

    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.begin()?;
        out.name("instance", &self.instance)?;
        out.optional_name("interface", self.interface.as_deref())?;
        out.name("function", &self.function)?;
        out.bytes(&self.hash)?;
        self.with.write(out)?;
        out.bytes(&self.args)?;
        out.end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        input.begin()?;
        let call = Self {
            instance: input.name("instance", NAME_BYTES_MAX)?,
            interface: input.optional_name("interface")?,
            function: input.name("function", NAME_BYTES_MAX)?,
            hash: input.array("hash")?,
            with: Companions::read(input)?,
            args: input.bytes()?,
        };
        input.end()?;
        Ok(call)
    }
}

impl ReplyFrame {
    /// The frame's bytes.
    ///
    /// # Errors
    /// [`FrameError::Pack`] for a frame over [`FRAME_BYTES_MAX`](crate::FRAME_BYTES_MAX).
    pub fn encode(&self) -> Result<Bytes, FrameError> {
        Frame::encode_reply(self)
    }

    /// Reads a frame that must be a reply; the results share the frame's memory.
    ///
    /// # Errors
    /// [`FrameError`]; [`FrameError::NotA`] for a frame of another kind.
    pub fn decode(frame: &Bytes) -> Result<Self, FrameError> {
        match Frame::decode(frame)? {
            Frame::Reply(reply) => Ok(reply),
            other => Err(FrameError::NotA { expected: "reply", found: other.kind() }),
        }
    }

    /// Bytes that this reply takes as a frame.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        5 + 5 + 9 + 9 + 5 + self.reply.results.len()
    }

    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.begin()?;
        out.u64(self.id.0)?;
        out.u64(self.reply.fuel_used)?;
        out.bytes(&self.reply.results)?;
        out.end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        input.begin()?;
        let id = RequestId(input.u64()?);
        let fuel_used = input.u64()?;
        let results = input.bytes()?;
        input.end()?;
        Ok(Self { id, reply: Reply { results, fuel_used } })
    }
}

impl FailureFrame {
    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.begin()?;
        out.u64(self.id.0)?;
        out.u64(self.failed.fuel_used)?;
        write_failure(&self.failed.failure, out)?;
        out.end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        input.begin()?;
        let id = RequestId(input.u64()?);
        let fuel_used = input.u64()?;
        let failure = read_failure(input)?;
        input.end()?;
        Ok(Self { id, failed: CallFailed { failure, fuel_used } })
    }
}
