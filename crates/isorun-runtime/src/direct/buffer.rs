//! Buffers for packed values, used again and again by the calls of a thread.

use std::cell::RefCell;
use std::ops::Deref;

use bytes::{Bytes, BytesMut};

/// Packed values that were lifted out of a guest.
///
/// Dropped, its buffer serves the thread's next call; frozen, it is as any other [`Bytes`], and many small ones share an
/// allocation.
#[derive(Debug)]
pub(crate) struct Packed(BytesMut);

impl Packed {
    /// An empty one.
    pub(super) fn new() -> Self {
        let mut buffer = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        if buffer.capacity() < BUFFER_BYTES_LEAST {
            buffer.reserve(BUFFER_BYTES);
        }
        Self(buffer)
    }

    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.0
    }

    /// The same bytes, to be sent anywhere.
    pub(crate) fn freeze(mut self) -> Bytes {
        self.0.split().freeze()
    }
}

impl Deref for Packed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        // A thread that ends has no list any more.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(buffer);
            }
        });
    }
}

/// A buffer's first size, in bytes.
const BUFFER_BYTES: usize = 16 << 10;
/// Bytes left in a buffer at which it gets more, so that small values need not grow it.
const BUFFER_BYTES_LEAST: usize = 256;
/// Buffers that a thread keeps: one for a call's arguments, one for its results, and as many for a call within it.
const SPARE_MAX: usize = 4;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_and_what_was_frozen_stays() {
        let mut first = Packed::new();
        first.buffer().extend_from_slice(b"one");
        let at = first.as_ptr();
        drop(first);
        let mut second = Packed::new();
        assert!(second.is_empty());
        second.buffer().extend_from_slice(b"two");
        assert_eq!(second.as_ptr(), at);
        let frozen = second.freeze();
        let mut third = Packed::new();
        third.buffer().extend_from_slice(b"three");
        assert_eq!((&frozen[..], &third[..]), (&b"two"[..], &b"three"[..]));
    }
}
