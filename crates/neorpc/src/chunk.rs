//! Large payloads in parts, and the credit that lets them come.

use bytes::Bytes;
use isorun_core::FunctionIndex;

use crate::call::Companions;
use crate::codec::{Reader, Writer};
use crate::frame::FrameError;
use crate::id::{BindingId, RequestId};
use crate::limits::{CHUNK_BYTES_MAX, WINDOW_BYTES_MAX, WINDOW_FRAMES};

/// What of a request travels in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Payload {
    /// The arguments: from the caller.
    Arguments,
    /// The results: from the server.
    Results,
}

/// Calls a function whose arguments follow in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallInChunksFrame {
    /// The request's number.
    pub id: RequestId,
    /// The binding.
    pub binding: BindingId,
    /// The function's place in the binding.
    pub function: FunctionIndex,
    /// Deadline, fuel, chain and trace.
    pub with: Companions,
    /// What the chunks come to, in bytes.
    pub args_bytes: u64,
}

/// A call came to its end, and its results follow in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyInChunksFrame {
    /// The call's number.
    pub id: RequestId,
    /// What the call spent, in units of fuel.
    pub fuel_used: u64,
    /// What the chunks come to, in bytes.
    pub results_bytes: u64,
}

/// The next part of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkFrame {
    /// The request whose payload it is.
    pub id: RequestId,
    /// Which of its payloads.
    pub of: Payload,
    /// 1 to [`CHUNK_BYTES_MAX`] bytes.
    pub data: Bytes,
}

/// Lets more chunks come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditFrame {
    /// The payload that it is for; `None`: the whole connection.
    pub to: Option<(RequestId, Payload)>,
    /// Bytes that may come beyond those that might before.
    pub bytes: u64,
    /// Chunks that may come beyond those that might before.
    pub frames: u32,
}

impl Payload {
    fn write(self, out: &mut Writer) -> Result<(), FrameError> {
        out.bool(matches!(self, Self::Results))
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        Ok(if input.bool()? { Self::Results } else { Self::Arguments })
    }
}

impl CallInChunksFrame {
    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.begin()?;
        out.u64(self.id.0)?;
        out.u32(self.binding.0)?;
        out.u32(self.function.0)?;
        self.with.write(out)?;
        out.u64(self.args_bytes)?;
        out.end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        input.begin()?;
        let call = Self {
            id: RequestId(input.u64()?),
            binding: BindingId(input.u32()?),
            function: FunctionIndex(input.u32()?),
            with: Companions::read(input)?,
            args_bytes: input.u64()?,
        };
        input.end()?;
        Ok(call)
    }
}

impl ReplyInChunksFrame {
    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.begin()?;
        out.u64(self.id.0)?;
        out.u64(self.fuel_used)?;
        out.u64(self.results_bytes)?;
        out.end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        input.begin()?;
        let reply = Self { id: RequestId(input.u64()?), fuel_used: input.u64()?, results_bytes: input.u64()? };
        input.end()?;
        Ok(reply)
    }
}

impl ChunkFrame {
    /// Bytes of the frame beside its data.
    pub(crate) const HEADER_BYTES: usize = 5 + 5 + 9 + 2 + 5;

    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.begin()?;
        out.u64(self.id.0)?;
        self.of.write(out)?;
        out.bytes(&self.data)?;
        out.end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        input.begin()?;
        let chunk = Self { id: RequestId(input.u64()?), of: Payload::read(input)?, data: input.bytes()? };
        input.end()?;
        if chunk.data.is_empty() || chunk.data.len() > CHUNK_BYTES_MAX {
            return Err(FrameError::ChunkSize { size: chunk.data.len() });
        }
        Ok(chunk)
    }
}

impl CreditFrame {
    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.begin()?;
        let (id, of) = self.to.unwrap_or((RequestId::NONE, Payload::Arguments));
        out.u64(id.0)?;
        of.write(out)?;
        out.u64(self.bytes)?;
        out.u32(self.frames)?;
        out.end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        input.begin()?;
        let (id, of) = (RequestId(input.u64()?), Payload::read(input)?);
        let (bytes, frames) = (input.u64()?, input.u32()?);
        input.end()?;
        let to = match (id, of) {
            (RequestId::NONE, Payload::Arguments) => None,
            (RequestId::NONE, Payload::Results) => return Err(FrameError::CreditForNothing),
            (_, _) => Some((id, of)),
        };
        if bytes > WINDOW_BYTES_MAX as u64 || frames > WINDOW_FRAMES {
            return Err(FrameError::CreditTooLarge { bytes, frames });
        }
        Ok(Self { to, bytes, frames })
    }
}
