//! Memory that small frames share, so that most take no allocation of their own.

use bytes::{Bytes, BytesMut};

use crate::call::{CallFrame, ReplyFrame};
use crate::frame::{FrameError, Kind, pack_into};

/// Size of one block, in bytes: what a small frame that is kept may keep alive.
const BLOCK_BYTES: usize = 16 << 10;

/// Frames up to this size, in bytes, stand in a block; larger ones get memory of their own.
const SMALL_BYTES_MAX: usize = 2 << 10;

const _: () = assert!(4 * SMALL_BYTES_MAX <= BLOCK_BYTES);

/// Writes the frames that there are most of.
#[derive(Default)]
pub(super) struct Block {
    /// Where a frame is written first.
    scratch: Vec<u8>,
    block: BytesMut,
}

impl Block {
    pub(super) fn call(&mut self, call: &CallFrame) -> Result<Bytes, FrameError> {
        if call.encoded_len() > SMALL_BYTES_MAX {
            return call.encode();
        }
        self.scratch = pack_into(self.emptied(), Kind::Call, |out| call.write(out))?;
        Ok(self.kept())
    }

    pub(super) fn reply(&mut self, reply: &ReplyFrame) -> Result<Bytes, FrameError> {
        if reply.encoded_len() > SMALL_BYTES_MAX {
            return reply.encode();
        }
        self.scratch = pack_into(self.emptied(), Kind::Reply, |out| reply.write(out))?;
        Ok(self.kept())
    }

    fn emptied(&mut self) -> Vec<u8> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch
    }

    fn kept(&mut self) -> Bytes {
        let room = self.block.capacity() - self.block.len();
        if room < self.scratch.len() && !self.block.try_reclaim(BLOCK_BYTES) {
            // Frames of the full block are alive, and keep it.
            self.block = BytesMut::with_capacity(BLOCK_BYTES);
        }
        self.block.extend_from_slice(&self.scratch);
        self.block.split().freeze()
    }
}
