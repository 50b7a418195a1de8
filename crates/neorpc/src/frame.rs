//! The frames, their kinds and their bytes.

use std::sync::Arc;

use bytes::Bytes;
use isorun_core::InstanceUid;
use neopack::{DecodeError, EncodeError};

use crate::bind::{BindFrame, BoundFrame, DescribeFrame, DescribedFrame};
use crate::call::{CallFrame, FailureFrame, ReplyFrame, SelfContainedCall, encoded_len};
use crate::chunk::{CallInChunksFrame, ChunkFrame, CreditFrame, ReplyInChunksFrame};
use crate::codec::{Reader, Writer};
use crate::hello::Hello;
use crate::id::{BindingId, RequestId};
use crate::limits::CHUNK_BYTES_MAX;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)+) => {
        /// What a frame is; the numbers stand in `docs/spec/neorpc.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)+
        }

        impl Kind {
            /// Every kind that has a number, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The kind with that number, if it has been given out.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The name in the specification.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

kinds! {
    /// Version, limits, features: the first frame each way.
    Hello = 0, "hello";
    /// Asks for a binding.
    Bind = 1, "bind";
    /// Answers a bind.
    Bound = 2, "bound";
    /// Gives a binding back.
    Unbind = 3, "unbind";
    /// Calls a function.
    Call = 4, "call";
    /// A call's results.
    Reply = 5, "reply";
    /// A call's failure.
    Failure = 6, "failure";
    /// Gives a request up.
    Cancel = 7, "cancel";
    /// Asks for a ledger.
    Describe = 8, "describe";
    /// Answers a describe.
    Described = 9, "described";
    /// Calls a function that it names in full.
    CallSelfContained = 10, "call-self-contained";
    /// Asks for a sign of life.
    Ping = 11, "ping";
    /// Answers a ping.
    Pong = 12, "pong";
    /// Announces the end of the connection.
    GoingAway = 13, "going-away";
    /// A part of a large payload.
    Chunk = 14, "chunk";
    /// Lets more parts come.
    Credit = 15, "credit";
    /// Reserved: gives handles back.
    Drop = 16, "drop";
    /// Calls a function, with arguments in chunks.
    CallInChunks = 17, "call-in-chunks";
    /// A call's results, in chunks.
    ReplyInChunks = 18, "reply-in-chunks";
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Version, limits, features.
    Hello(Hello),
    /// Asks for a binding.
    Bind(BindFrame),
    /// Answers a bind.
    Bound(BoundFrame),
    /// Gives a binding back.
    Unbind(BindingId),
    /// Calls a function.
    Call(CallFrame),
    /// A call's results.
    Reply(ReplyFrame),
    /// A call's failure.
    Failure(FailureFrame),
    /// Gives a request up.
    Cancel(RequestId),
    /// Asks for a ledger.
    Describe(DescribeFrame),
    /// Answers a describe.
    Described(DescribedFrame),
    /// Calls a function that it names in full.
    SelfContained(SelfContainedCall),
    /// Asks for a sign of life; the number is the sender's own, and grows.
    Ping(u64),
    /// Answers the ping of that number.
    Pong(u64),
    /// Announces the end of the connection: its sender takes no request above this one.
    GoingAway(RequestId),
    /// Calls a function, with arguments in chunks.
    CallInChunks(CallInChunksFrame),
    /// A call's results, in chunks.
    ReplyInChunks(ReplyInChunksFrame),
    /// A part of a large payload.
    Chunk(ChunkFrame),
    /// Lets more parts come.
    Credit(CreditFrame),
}

/// Why bytes are no frame, or a frame has no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The bytes are not the packed value that they should be.
    #[error("malformed frame: {0}")]
    Unpack(#[from] DecodeError),
    /// The frame does not fit what a packed value may be.
    #[error("frame cannot be written: {0}")]
    Pack(#[from] EncodeError),
    /// The kind has no number, or one that this version does not serve.
    #[error("frame kind {number} is not supported")]
    Unsupported {
        /// The kind's number.
        number: u32,
    },
    /// A frame of another kind was asked for.
    #[error("{expected} expected, {found} found")]
    NotA {
        /// What was asked for.
        expected: &'static str,
        /// What stands there.
        found: Kind,
    },
    /// A count or length over its limit.
    #[error("{what}: {size}, limit {max}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// Bytes of a fixed size have another.
    #[error("{what} of {size} bytes, {expected} expected")]
    WrongSize {
        /// What has the wrong size.
        what: &'static str,
        /// Its size, in bytes.
        size: usize,
        /// The size it should have.
        expected: usize,
    },
    /// A map lacks a key.
    #[error("key `{key}` is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A map has a key twice.
    #[error("key `{key}` stands twice")]
    Twice {
        /// The key.
        key: &'static str,
    },
    /// A hello announces less than any peer must take.
    #[error("a limit in the hello is below the least")]
    LimitTooLow,
    /// A chunk of a size that none has.
    #[error("chunk of {size} bytes, 1 to {CHUNK_BYTES_MAX} are sent")]
    ChunkSize {
        /// Its size, in bytes.
        size: usize,
    },
    /// Credit beyond what may be under way at all.
    #[error("credit for {bytes} bytes and {frames} chunks at once")]
    CreditTooLarge {
        /// The bytes.
        bytes: u64,
        /// The chunks.
        frames: u32,
    },
    /// Credit for the results of no request.
    #[error("credit for the results of no request")]
    CreditForNothing,
    /// A trace that is present and empty.
    #[error("a trace of zeros")]
    EmptyTrace,
}

impl Frame {
    /// Reads one frame; what it carries shares the frame's memory.
    ///
    /// ```
    /// use neorpc::{Frame, Kind, RequestId};
    ///
    /// let bytes = Frame::Cancel(RequestId(7)).encode()?;
    /// assert_eq!(Frame::decode(&bytes)?.kind(), Kind::Cancel);
    /// # Ok::<_, neorpc::FrameError>(())
    /// ```
    ///
    /// # Errors
    /// [`FrameError`]: the bytes are not one whole frame that this version serves.
    pub fn decode(bytes: &Bytes) -> Result<Self, FrameError> {
        Self::decode_after(bytes, None)
    }

    /// Reads one frame after another, whose call chain it shares if it has the same.
    pub(crate) fn decode_after(bytes: &Bytes, last_chain: Option<&Arc<[InstanceUid]>>) -> Result<Self, FrameError> {
        let mut input = Reader::new(bytes, last_chain);
        let number = input.kind()?;
        let kind = Kind::from_number(number).ok_or(FrameError::Unsupported { number })?;
        let frame = match kind {
            Kind::Hello => Self::Hello(Hello::read(&mut input)?),
            Kind::Bind => Self::Bind(BindFrame::read(&mut input)?),
            Kind::Bound => Self::Bound(BoundFrame::read(&mut input)?),
            Kind::Unbind => Self::Unbind(read_unbind(&mut input)?),
            Kind::Call => Self::Call(CallFrame::read(&mut input)?),
            Kind::Reply => Self::Reply(ReplyFrame::read(&mut input)?),
            Kind::Failure => Self::Failure(FailureFrame::read(&mut input)?),
            Kind::Cancel => Self::Cancel(RequestId(read_number(&mut input)?)),
            Kind::Describe => Self::Describe(DescribeFrame::read(&mut input)?),
            Kind::Described => Self::Described(DescribedFrame::read(&mut input)?),
            Kind::CallSelfContained => Self::SelfContained(SelfContainedCall::read(&mut input)?),
            Kind::Ping => Self::Ping(read_number(&mut input)?),
            Kind::Pong => Self::Pong(read_number(&mut input)?),
            Kind::GoingAway => Self::GoingAway(RequestId(read_number(&mut input)?)),
            Kind::CallInChunks => Self::CallInChunks(CallInChunksFrame::read(&mut input)?),
            Kind::ReplyInChunks => Self::ReplyInChunks(ReplyInChunksFrame::read(&mut input)?),
            Kind::Chunk => Self::Chunk(ChunkFrame::read(&mut input)?),
            Kind::Credit => Self::Credit(CreditFrame::read(&mut input)?),
            Kind::Drop => return Err(FrameError::Unsupported { number }),
        };
        input.finish()?;
        Ok(frame)
    }

    /// The frame's bytes.
    ///
    /// # Errors
    /// [`FrameError::TooMany`] for a long name, list or chain, [`FrameError::Pack`] for a frame over
    /// [`FRAME_BYTES_MAX`](crate::FRAME_BYTES_MAX).
    pub fn encode(&self) -> Result<Bytes, FrameError> {
        let kind = self.kind();
        match self {
            Self::Hello(hello) => pack(kind, 256, |out| hello.write(out)),
            Self::Bind(bind) => pack(kind, 256, |out| bind.write(out)),
            Self::Bound(bound) => pack(kind, 64, |out| bound.write(out)),
            Self::Unbind(binding) => pack(kind, 32, |out| write_unbind(*binding, out)),
            Self::Call(call) => Self::encode_call(call),
            Self::Reply(reply) => Self::encode_reply(reply),
            Self::Failure(failure) => pack(kind, 256, |out| failure.write(out)),
            Self::Cancel(RequestId(number))
            | Self::GoingAway(RequestId(number))
            | Self::Ping(number)
            | Self::Pong(number) => pack(kind, 32, |out| write_number(*number, out)),
            Self::Describe(describe) => pack(kind, 64, |out| describe.write(out)),
            Self::Described(described) => pack(kind, 64, |out| described.write(out)),
            Self::SelfContained(call) => Self::encode_self_contained(call),
            Self::CallInChunks(call) => pack(kind, encoded_len(&call.with, 16), |out| call.write(out)),
            Self::ReplyInChunks(reply) => pack(kind, 64, |out| reply.write(out)),
            Self::Chunk(chunk) => Self::encode_chunk(chunk),
            Self::Credit(credit) => pack(kind, 64, |out| credit.write(out)),
        }
    }

    /// What the frame is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::Bind(_) => Kind::Bind,
            Self::Bound(_) => Kind::Bound,
            Self::Unbind(_) => Kind::Unbind,
            Self::Call(_) => Kind::Call,
            Self::Reply(_) => Kind::Reply,
            Self::Failure(_) => Kind::Failure,
            Self::Cancel(_) => Kind::Cancel,
            Self::Describe(_) => Kind::Describe,
            Self::Described(_) => Kind::Described,
            Self::SelfContained(_) => Kind::CallSelfContained,
            Self::Ping(_) => Kind::Ping,
            Self::Pong(_) => Kind::Pong,
            Self::GoingAway(_) => Kind::GoingAway,
            Self::CallInChunks(_) => Kind::CallInChunks,
            Self::ReplyInChunks(_) => Kind::ReplyInChunks,
            Self::Chunk(_) => Kind::Chunk,
            Self::Credit(_) => Kind::Credit,
        }
    }

    pub(crate) fn encode_call(call: &CallFrame) -> Result<Bytes, FrameError> {
        pack(Kind::Call, call.encoded_len(), |out| call.write(out))
    }

    pub(crate) fn encode_reply(reply: &ReplyFrame) -> Result<Bytes, FrameError> {
        pack(Kind::Reply, reply.encoded_len(), |out| reply.write(out))
    }

    pub(crate) fn encode_chunk(chunk: &ChunkFrame) -> Result<Bytes, FrameError> {
        pack(Kind::Chunk, ChunkFrame::HEADER_BYTES + chunk.data.len(), |out| chunk.write(out))
    }

    pub(crate) fn encode_self_contained(call: &SelfContainedCall) -> Result<Bytes, FrameError> {
        let names = call.instance.len() + call.function.len() + call.interface.as_ref().map_or(0, String::len);
        pack(Kind::CallSelfContained, encoded_len(&call.with, call.args.len()) + names + 64, |out| call.write(out))
    }
}

fn pack(
    kind: Kind,
    capacity: usize,
    write: impl FnOnce(&mut Writer) -> Result<(), FrameError>,
) -> Result<Bytes, FrameError> {
    Ok(pack_into(Vec::with_capacity(capacity), kind, write)?.into())
}

/// Appends a frame to `out`, which is lost with a frame that can't be written.
pub(crate) fn pack_into(
    out: Vec<u8>,
    kind: Kind,
    write: impl FnOnce(&mut Writer) -> Result<(), FrameError>,
) -> Result<Vec<u8>, FrameError> {
    let mut out = Writer::to(out);
    out.kind(kind.number())?;
    write(&mut out)?;
    out.finish()
}

fn write_unbind(binding: BindingId, out: &mut Writer) -> Result<(), FrameError> {
    out.begin()?;
    out.u32(binding.0)?;
    out.end()
}

fn read_unbind(input: &mut Reader<'_>) -> Result<BindingId, FrameError> {
    input.begin()?;
    let binding = BindingId(input.u32()?);
    input.end()?;
    Ok(binding)
}

fn write_number(number: u64, out: &mut Writer) -> Result<(), FrameError> {
    out.begin()?;
    out.u64(number)?;
    out.end()
}

fn read_number(input: &mut Reader<'_>) -> Result<u64, FrameError> {
    input.begin()?;
    let number = input.u64()?;
    input.end()?;
    Ok(number)
}
