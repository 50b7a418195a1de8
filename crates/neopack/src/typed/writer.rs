//! Where forms are written to.

use alloc::vec::Vec;

use crate::decoder::HEAD_BYTES;
use crate::error::EncodeError;
use crate::limits::Limits;
use crate::typed::row::Shaped;

/// What can be written, none, one or several items of it.
pub trait Part: Shaped {
    /// Bytes that are written at once, before anything else.
    const FRONT: usize;
    /// Whether there is nothing behind the front.
    const FIXED: bool = false;
    /// Whether it is Unit, or may be.
    const UNIT: bool = false;

    /// Writes the front; `chunk` is as long as that.
    fn front(&self, chunk: &mut [u8]);

    /// Writes the rest behind the front that stands at `at`, with `depth` levels of containers to go.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`], [`EncodeError::TooDeep`].
    #[inline(always)]
    fn tail(&self, _writer: &mut Writer<'_>, _at: usize, _depth: u8) -> Result<(), EncodeError> {
        Ok(())
    }

    /// Writes the part as the row or the fields of one that it is; `chunk` is as long as that.
    #[inline(always)]
    fn row(&self, _chunk: &mut [u8]) {}
}

/// A buffer that grows up to a limit.
///
/// Only growth looks at the limit, and [`finish`](Self::finish) once more: what is written into room that was there
/// already costs no memory.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
    base: usize,
    limits: Limits,
}

impl<'o> Writer<'o> {
    #[inline(always)]
    pub(super) fn new(out: &'o mut Vec<u8>, base: usize, limits: Limits) -> Self {
        Self { out, base, limits }
    }

    /// Whether what was written is within the limits.
    #[inline(always)]
    pub(super) fn finish(self) -> Result<(), EncodeError> {
        let written = self.out.len() - self.base;
        if written > self.limits.bytes() as usize { Err(too_large(self.limits, written)) } else { Ok(()) }
    }

    /// Writes a part, front and tail.
    #[inline(always)]
    pub(super) fn write<P: Part>(&mut self, part: &P, depth: u8) -> Result<(), EncodeError> {
        let at = self.out.len();
        part.front(self.grow(P::FRONT)?);
        part.tail(self, at, depth)
    }

    /// So many bytes more, to be written to.
    // In both branches the length of what is returned is the one asked for, which lets the compiler forget the bounds
    // checks of all that is written there.
    #[inline(always)]
    pub(super) fn grow(&mut self, bytes: usize) -> Result<&mut [u8], EncodeError> {
        let at = self.out.len();
        if self.out.capacity() - at < bytes {
            return grow_by_moving(self.out, self.base, self.limits, bytes);
        }
        match ZEROS.get(..bytes) {
            Some(zeros) => self.out.extend_from_slice(zeros),
            None => self.out.resize(at + bytes, 0),
        }
        Ok(self.out.get_mut(at..).and_then(|chunk| chunk.get_mut(..bytes)).unwrap_or_default())
    }

    #[inline(always)]
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        if self.out.capacity() - self.out.len() < bytes.len() {
            return append_by_moving(self.out, self.base, self.limits, bytes);
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes back what of a front of `front` bytes at `at` is past its first `USED`.
    #[inline(always)]
    pub(super) fn cut<const USED: usize>(&mut self, at: usize, front: usize) {
        self.cut_to(at + USED, front > USED);
    }

    #[inline(always)]
    pub(super) fn cut_to(&mut self, end: usize, is_longer: bool) {
        if is_longer {
            self.out.truncate(end);
        }
    }

    /// One level of containers less.
    #[inline(always)]
    pub(super) fn deeper(&self, depth: u8) -> Result<u8, EncodeError> {
        depth.checked_sub(1).ok_or_else(|| self.too_deep())
    }

    /// Writes how many bytes follow the tag and the length that stand at `at`.
    #[inline(always)]
    pub(super) fn patch_length(&mut self, at: usize) {
        let len = (self.out.len() - at - HEAD_BYTES) as u32;
        if let Some(field) = self.out.get_mut(at + 1..at + HEAD_BYTES).and_then(<[u8]>::first_chunk_mut) {
            *field = len.to_le_bytes();
        }
    }

    #[inline(always)]
    pub(super) fn too_deep(&self) -> EncodeError {
        EncodeError::TooDeep { limit: self.limits.depth() }
    }
}

// What follows takes the writer apart, so that in the code around it the writer's fields stay in registers.

#[cold]
#[inline(never)]
fn grow_by_moving(out: &mut Vec<u8>, base: usize, limits: Limits, bytes: usize) -> Result<&mut [u8], EncodeError> {
    make_room(out, base, limits, bytes)?;
    let at = out.len();
    out.resize(at + bytes, 0);
    Ok(out.get_mut(at..).unwrap_or_default())
}

#[cold]
#[inline(never)]
fn append_by_moving(out: &mut Vec<u8>, base: usize, limits: Limits, bytes: &[u8]) -> Result<(), EncodeError> {
    make_room(out, base, limits, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// Makes room for so many bytes if they are within the limit.
fn make_room(out: &mut Vec<u8>, base: usize, limits: Limits, bytes: usize) -> Result<(), EncodeError> {
    let written = (out.len() - base).saturating_add(bytes);
    if written > limits.bytes() as usize {
        return Err(too_large(limits, written));
    }
    out.reserve(bytes);
    Ok(())
}

#[cold]
fn too_large(limits: Limits, written: usize) -> EncodeError {
    EncodeError::TooLarge { limit: limits.bytes(), found: written as u64 }
}

/// What is grown by; nearly every front is shorter.
const ZEROS: &[u8] = &[0; 256];
