//! Reading and writing what several frames hold.

use std::sync::Arc;

use bytes::Bytes;
use isorun_core::{CHAIN_MAX, InstanceUid, Trace};
use neopack::{Decoder, Encoder, Limits};

use crate::frame::FrameError;
use crate::limits::{FRAME_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};

/// A frame is one value, and a smaller one than any value may be.
const FRAME: Limits = Limits::new().bytes_max(FRAME_BYTES_MAX as u32);

/// Writes one frame.
pub(crate) struct Writer(Encoder);

impl Writer {
    /// Appends to `out`.
    pub(crate) fn to(out: Vec<u8>) -> Self {
        Self(Encoder::from_vec_with_limits(out, FRAME))
    }

    pub(crate) fn finish(self) -> Result<Vec<u8>, FrameError> {
        Ok(self.0.finish()?)
    }

    pub(crate) fn kind(&mut self, number: u32) -> Result<(), FrameError> {
        Ok(self.0.variant(number)?)
    }

    pub(crate) fn u32(&mut self, value: u32) -> Result<(), FrameError> {
        Ok(self.0.u32(value)?)
    }

    pub(crate) fn u64(&mut self, value: u64) -> Result<(), FrameError> {
        Ok(self.0.u64(value)?)
    }

    pub(crate) fn bool(&mut self, value: bool) -> Result<(), FrameError> {
        Ok(self.0.bool(value)?)
    }

    pub(crate) fn s32(&mut self, value: i32) -> Result<(), FrameError> {
        Ok(self.0.s32(value)?)
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> Result<(), FrameError> {
        Ok(self.0.bytes(value)?)
    }

    pub(crate) fn begin(&mut self) -> Result<(), FrameError> {
        Ok(self.0.struct_begin()?)
    }

    pub(crate) fn end(&mut self) -> Result<(), FrameError> {
        Ok(self.0.struct_end()?)
    }

    pub(crate) fn map(&mut self, count: u32) -> Result<(), FrameError> {
        Ok(self.0.map_begin(count)?)
    }

    pub(crate) fn key(&mut self, key: &str) -> Result<(), FrameError> {
        Ok(self.0.str(key)?)
    }

    pub(crate) fn map_end(&mut self) -> Result<(), FrameError> {
        Ok(self.0.map_end()?)
    }

    pub(crate) fn list(&mut self, count: usize) -> Result<(), FrameError> {
        // Every list has a limit far below; should one not, its frame is refused for its size.
        Ok(self.0.list_begin(u32::try_from(count).unwrap_or(u32::MAX))?)
    }

    pub(crate) fn list_end(&mut self) -> Result<(), FrameError> {
        Ok(self.0.list_end()?)
    }

    pub(crate) fn ok(&mut self) -> Result<(), FrameError> {
        Ok(self.0.result_ok()?)
    }

    pub(crate) fn err(&mut self) -> Result<(), FrameError> {
        Ok(self.0.result_err()?)
    }

    pub(crate) fn name(&mut self, what: &'static str, name: &str) -> Result<(), FrameError> {
        if name.len() > NAME_BYTES_MAX {
            return Err(FrameError::TooMany { what, size: name.len(), max: NAME_BYTES_MAX });
        }
        Ok(self.0.str(name)?)
    }

    pub(crate) fn optional_name(&mut self, what: &'static str, name: Option<&str>) -> Result<(), FrameError> {
        match name {
            None => Ok(self.0.none()?),
            Some(name) => {
                self.0.some()?;
                self.name(what, name)
            }
        }
    }

    pub(crate) fn optional_u64(&mut self, value: Option<u64>) -> Result<(), FrameError> {
        match value {
            None => Ok(self.0.none()?),
            Some(value) => {
                self.0.some()?;
                self.u64(value)
            }
        }
    }

    /// Writes as much of `text` as a failure may carry.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), FrameError> {
        Ok(self.0.str(clip(text))?)
    }

    pub(crate) fn chain(&mut self, chain: &[InstanceUid]) -> Result<(), FrameError> {
        if chain.len() > CHAIN_MAX {
            return Err(FrameError::TooMany { what: "instances in the chain", size: chain.len(), max: CHAIN_MAX });
        }
        let mut packed = [[0; 16]; CHAIN_MAX];
        for (to, uid) in packed.iter_mut().zip(chain) {
            *to = uid.0;
        }
        self.bytes(packed.as_flattened().get(..16 * chain.len()).unwrap_or_default())
    }

    pub(crate) fn trace(&mut self, trace: Trace) -> Result<(), FrameError> {
        if trace == Trace::default() {
            return Ok(self.0.none()?);
        }
        self.0.some()?;
        let mut packed = [0; 24];
        for (to, from) in packed.iter_mut().zip(trace.id.into_iter().chain(trace.span)) {
            *to = from;
        }
        self.bytes(&packed)
    }
}

/// The longest beginning of `text` that a failure may carry.
pub(crate) fn clip(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default()
}

/// Reads one frame.
pub(crate) struct Reader<'a> {
    frame: &'a Bytes,
    decoder: Decoder<'a>,
    /// A chain that was read before: most calls have the same again, and share it.
    last_chain: Option<&'a Arc<[InstanceUid]>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(frame: &'a Bytes, last_chain: Option<&'a Arc<[InstanceUid]>>) -> Self {
        Self { frame, decoder: Decoder::with_limits(frame, FRAME), last_chain }
    }

    pub(crate) fn finish(self) -> Result<(), FrameError> {
        Ok(self.decoder.finish()?)
    }

    pub(crate) fn kind(&mut self) -> Result<u32, FrameError> {
        Ok(self.decoder.variant()?)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FrameError> {
        Ok(self.decoder.u32()?)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FrameError> {
        Ok(self.decoder.u64()?)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, FrameError> {
        Ok(self.decoder.bool()?)
    }

    pub(crate) fn s32(&mut self) -> Result<i32, FrameError> {
        Ok(self.decoder.s32()?)
    }

    pub(crate) fn skip(&mut self) -> Result<(), FrameError> {
        Ok(self.decoder.skip()?)
    }

    pub(crate) fn begin(&mut self) -> Result<(), FrameError> {
        Ok(self.decoder.struct_begin()?)
    }

    pub(crate) fn end(&mut self) -> Result<(), FrameError> {
        Ok(self.decoder.struct_end()?)
    }

    pub(crate) fn map(&mut self) -> Result<u32, FrameError> {
        Ok(self.decoder.map_begin()?)
    }

    pub(crate) fn key(&mut self) -> Result<&'a str, FrameError> {
        Ok(self.decoder.str()?)
    }

    pub(crate) fn map_end(&mut self) -> Result<(), FrameError> {
        Ok(self.decoder.map_end()?)
    }

    pub(crate) fn list(&mut self, what: &'static str, max: usize) -> Result<u32, FrameError> {
        let count = self.decoder.list_begin()?;
        let size = usize::try_from(count).unwrap_or(usize::MAX);
        if size > max { Err(FrameError::TooMany { what, size, max }) } else { Ok(count) }
    }

    pub(crate) fn list_end(&mut self) -> Result<(), FrameError> {
        Ok(self.decoder.list_end()?)
    }

    /// Whether it is an ok.
    pub(crate) fn result(&mut self) -> Result<bool, FrameError> {
        Ok(self.decoder.result()?)
    }

    /// Bytes that share the frame's memory.
    pub(crate) fn bytes(&mut self) -> Result<Bytes, FrameError> {
        let part = self.decoder.bytes()?;
        // `slice_ref` keeps the whole frame; nothing to keep means nothing to share.
        Ok(if part.is_empty() { Bytes::new() } else { self.frame.slice_ref(part) })
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FrameError> {
        let part = self.decoder.bytes()?;
        part.try_into().map_err(|_| FrameError::WrongSize { what, size: part.len(), expected: N })
    }

    pub(crate) fn name(&mut self, what: &'static str, max: usize) -> Result<String, FrameError> {
        let name = self.decoder.str()?;
        if name.len() > max {
            return Err(FrameError::TooMany { what, size: name.len(), max });
        }
        Ok(name.to_owned())
    }

    pub(crate) fn optional_name(&mut self, what: &'static str) -> Result<Option<String>, FrameError> {
        if self.decoder.option()? { self.name(what, NAME_BYTES_MAX).map(Some) } else { Ok(None) }
    }

    pub(crate) fn optional_u64(&mut self) -> Result<Option<u64>, FrameError> {
        if self.decoder.option()? { self.u64().map(Some) } else { Ok(None) }
    }

    pub(crate) fn text(&mut self) -> Result<String, FrameError> {
        self.name("text", TEXT_BYTES_MAX)
    }

    pub(crate) fn chain(&mut self) -> Result<Arc<[InstanceUid]>, FrameError> {
        let (uids, rest) = self.decoder.bytes()?.as_chunks::<16>();
        if !rest.is_empty() {
            let size = uids.len() * 16 + rest.len();
            return Err(FrameError::WrongSize { what: "chain", size, expected: (uids.len() + 1) * 16 });
        }
        if uids.len() > CHAIN_MAX {
            return Err(FrameError::TooMany { what: "instances in the chain", size: uids.len(), max: CHAIN_MAX });
        }
        let is_same = |last: &Arc<[InstanceUid]>| last.iter().map(|uid| &uid.0).eq(uids);
        match self.last_chain {
            Some(last) if is_same(last) => Ok(Arc::clone(last)),
            Some(_) | None => Ok(uids.iter().copied().map(InstanceUid).collect()),
        }
    }

    pub(crate) fn trace(&mut self) -> Result<Trace, FrameError> {
        if !self.decoder.option()? {
            return Ok(Trace::default());
        }
        let packed: [u8; 24] = self.array("trace")?;
        let mut trace = Trace::default();
        for (to, from) in trace.id.iter_mut().chain(trace.span.iter_mut()).zip(packed) {
            *to = from;
        }
        // No trace has one form only: None.
        if trace == Trace::default() { Err(FrameError::EmptyTrace) } else { Ok(trace) }
    }
}

/// Keeps a map's value, once.
pub(crate) fn set<T>(slot: &mut Option<T>, key: &'static str, value: T) -> Result<(), FrameError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(FrameError::Twice { key }),
    }
}

/// A map's value that must be there.
pub(crate) fn required<T>(slot: Option<T>, key: &'static str) -> Result<T, FrameError> {
    slot.ok_or(FrameError::Missing { key })
}
