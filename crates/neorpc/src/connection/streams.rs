//! Large payloads on their way out, a chunk of each by turns.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::credit::Credit;
use crate::chunk::{ChunkFrame, Payload};
use crate::id::RequestId;
use crate::limits::CHUNK_BYTES_MAX;

pub(super) type Key = (RequestId, Payload);

/// Keys of streams that are gone, before they are thrown out.
const SPARE: usize = 64;

struct Stream {
    rest: Bytes,
    credit: Credit,
    /// It stands in `ready`.
    ready: bool,
}

/// What one end sends in chunks.
#[derive(Default)]
pub(super) struct Streams {
    streams: HashMap<Key, Stream>,
    /// Those that have credit of their own, in their turn; some may be gone.
    ready: VecDeque<Key>,
    /// What the other end takes on the whole connection.
    credit: Credit,
    /// What a stream starts with.
    first: Credit,
    /// Largest chunk, in bytes.
    chunk_bytes: usize,
    bytes: usize,
    /// Those of `bytes` that are results.
    results_bytes: usize,
    /// Bytes of other frames that went out since the last chunk.
    passed_by: usize,
}

impl Streams {
    /// The other end takes chunks, with such a window and in such frames.
    pub(super) fn open(&mut self, window_bytes: usize, frame_bytes_max: usize) {
        self.chunk_bytes = frame_bytes_max.saturating_sub(ChunkFrame::HEADER_BYTES).min(CHUNK_BYTES_MAX);
        self.credit = Credit::connection(window_bytes);
        self.first = Credit::payload(window_bytes);
    }

    /// Bytes that have not been handed out.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Those of them that are results.
    pub(super) fn results_bytes(&self) -> usize {
        self.results_bytes
    }

    fn sent(&mut self, of: Payload, bytes: usize) {
        self.bytes -= bytes;
        if of == Payload::Results {
            self.results_bytes -= bytes;
        }
    }

    /// What the other end takes on the whole connection, in bytes.
    pub(super) fn credit_bytes(&self) -> usize {
        self.credit.bytes
    }

    pub(super) fn count(&self) -> usize {
        self.streams.len()
    }

    /// Begins to send `payload`, which is not empty; its header has been handed out.
    pub(super) fn begin(&mut self, key: Key, payload: Bytes) {
        self.bytes += payload.len();
        if key.1 == Payload::Results {
            self.results_bytes += payload.len();
        }
        self.ready.push_back(key);
        self.streams.insert(key, Stream { rest: payload, credit: self.first, ready: true });
    }

    /// Gives a payload up.
    pub(super) fn remove(&mut self, key: Key) {
        #[cfg(planted)]
        if crate::planted::has(crate::planted::Fault::ChunksGoOn) {
            return;
        }
        if let Some(stream) = self.streams.remove(&key) {
            self.sent(key.1, stream.rest.len());
            if self.ready.len() > 2 * self.streams.len() + SPARE {
                let streams = &self.streams;
                self.ready.retain(|key| streams.contains_key(key));
            }
        }
    }

    /// Notes bytes of another frame that went out.
    pub(super) fn passed_by(&mut self, bytes: usize) {
        if !self.streams.is_empty() {
            self.passed_by = self.passed_by.saturating_add(bytes);
        }
    }

    /// Whether others have had their turn.
    pub(super) fn is_due(&self) -> bool {
        self.passed_by >= CHUNK_BYTES_MAX
    }

    /// The next chunk, and whether its payload ends with it.
    pub(super) fn next(&mut self) -> Option<(ChunkFrame, bool)> {
        self.passed_by = 0;
        while let Some(&key) = self.ready.front() {
            let Some(stream) = self.streams.get_mut(&key).filter(|stream| stream.ready) else {
                self.ready.pop_front();
                continue;
            };
            let size = stream.rest.len().min(self.chunk_bytes);
            if !stream.credit.has(size) {
                stream.ready = false;
                self.ready.pop_front();
                continue;
            }
            if !self.credit.take(size) {
                return None;
            }
            stream.credit.take(size);
            self.ready.pop_front();
            let data = stream.rest.split_to(size);
            let last = stream.rest.is_empty();
            if last {
                self.streams.remove(&key);
            } else {
                self.ready.push_back(key);
            }
            let (id, of) = key;
            self.sent(of, size);
            return Some((ChunkFrame { id, of, data }, last));
        }
        None
    }

    /// Takes credit for the whole connection. `false` for more than the other end can give.
    pub(super) fn credit(&mut self, bytes: u64, frames: u32) -> bool {
        self.credit.give(bytes, frames)
    }

    /// Takes credit for one payload; that of one that is gone is nothing.
    pub(super) fn credit_one(&mut self, key: Key, bytes: u64, frames: u32) -> bool {
        let Some(stream) = self.streams.get_mut(&key) else { return true };
        if !stream.credit.give(bytes, frames) {
            return false;
        }
        if !stream.ready {
            stream.ready = true;
            self.ready.push_back(key);
        }
        true
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
