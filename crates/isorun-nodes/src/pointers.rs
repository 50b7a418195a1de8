//! The third shape: the host allocates, writes, calls, reads and frees in the component's own memory.

use crate::helpers::{LENGTH_BYTES, failed, length_of, short_enough};
use crate::live::Live;
use crate::shape::{ALLOCATE, DEALLOCATE, PROCESS};
use crate::signature::Arg;
use crate::{AccessFault, ComponentExecutionError, MemoryRange};

/// Something that the component allocated, and that it is to free.
#[derive(Debug, Clone, Copy)]
struct Allocated {
    what: &'static str,
    range: MemoryRange,
}

/// One input's way through the component.
struct Run<'a> {
    live: &'a Live,
    /// The memory's size when it was last asked for, in bytes; it never shrinks.
    memory_bytes: u64,
    allocated: Vec<Allocated>,
}

/// Runs one input, and frees whatever was allocated for it, also where it failed; whether the store is as good as before.
pub(crate) async fn run(live: &Live, input: &[u8]) -> (Result<Vec<u8>, ComponentExecutionError>, bool) {
    let mut run = Run { live, memory_bytes: 0, allocated: Vec::with_capacity(3) };
    let output = run.process(input).await;
    if output.as_ref().is_err_and(|error| !error.keeps_store()) {
        // Nothing is left to free: the store is gone.
        return (output, false);
    }
    match (run.free().await, output) {
        (Ok(()), output) => (output, true),
        (Err(freeing), Ok(_)) => (Err(freeing), false),
        (Err(freeing), Err(error)) => {
            tracing::warn!(%freeing, "what was allocated for an input that failed is not freed either");
            (Err(error), false)
        }
    }
}

impl Run<'_> {
    async fn process(&mut self, input: &[u8]) -> Result<Vec<u8>, ComponentExecutionError> {
        let bytes = input.len() as u64;
        // At least a byte: what an allocator gives for none may be no address.
        let at = self.allocate("the input", bytes.max(1)).await?;
        self.write(at, input).await?;
        let length_at = self.allocate(OUTPUT_LENGTH, LENGTH_BYTES).await?;
        let args = [Arg::Int(at.address), Arg::Int(bytes), Arg::Int(length_at.address)];
        let address = self.live.call(PROCESS, &args).await?.int()?;
        let length = self.read(length_at).await?;
        let output = MemoryRange { address, bytes: length_of(&length) };
        self.within(PROCESS, "the output", output).await?;
        // What was written over the input is freed with it, and nothing at 0 is nothing.
        let is_its_own = address != at.address && (address != 0 || output.bytes > 0);
        if is_its_own {
            self.allocated.push(Allocated { what: "the output", range: output });
        }
        // Only now, so that what can't be taken is freed all the same.
        short_enough(self.live, output)?;
        self.read(output).await
    }

    /// Has the component allocate, and checks what it gives before anything is done with it.
    async fn allocate(&mut self, what: &'static str, bytes: u64) -> Result<MemoryRange, ComponentExecutionError> {
        let address = self.live.call(ALLOCATE, &[Arg::Int(bytes)]).await?.int()?;
        let range = MemoryRange { address, bytes };
        if address == 0 {
            return Err(failed(self.live, ALLOCATE, what, range, AccessFault::Null));
        }
        self.within(ALLOCATE, what, range).await?;
        self.allocated.push(Allocated { what, range });
        Ok(range)
    }

    /// Checks that a range lies within the memory, as it is now.
    async fn within(
        &mut self,
        function: usize,
        what: &'static str,
        range: MemoryRange,
    ) -> Result<(), ComponentExecutionError> {
        let end = range.address.saturating_add(range.bytes);
        if end > self.memory_bytes {
            // It may have grown meanwhile.
            self.memory_bytes = self.live.memory_bytes().await?;
        }
        if end <= self.memory_bytes {
            return Ok(());
        }
        let cause = AccessFault::OutOfBounds { memory_bytes: self.memory_bytes };
        Err(failed(self.live, function, what, range, cause))
    }

    /// Writes to a range that was found to be within the memory.
    async fn write(&self, to: MemoryRange, bytes: &[u8]) -> Result<(), ComponentExecutionError> {
        if bytes.is_empty() { Ok(()) } else { self.live.write(to.address, bytes).await }
    }

    /// Reads a range that was found to be within the memory.
    async fn read(&self, range: MemoryRange) -> Result<Vec<u8>, ComponentExecutionError> {
        let MemoryRange { address, bytes } = range;
        let end = address.saturating_add(bytes);
        if bytes == 0 {
            return Ok(Vec::new());
        }
        // The accessor borrows 8 bytes that it does not read: the first, or those behind what begins in the first.
        if address >= BORROWED_BYTES || end.next_multiple_of(BORROWED_BYTES) + BORROWED_BYTES <= self.memory_bytes {
            return self.live.read(address, bytes).await;
        }
        let mut head = self.live.read(address, BORROWED_BYTES - address).await?;
        head.extend(self.live.read(BORROWED_BYTES, end - BORROWED_BYTES).await?);
        Ok(head)
    }

    /// Frees all that was allocated, the last first; goes on where one is refused, and tells the first.
    async fn free(&mut self) -> Result<(), ComponentExecutionError> {
        let mut told = Ok(());
        while let Some(Allocated { what, range }) = self.allocated.pop() {
            let freed = match self.live.call(DEALLOCATE, &[Arg::Int(range.address), Arg::Int(range.bytes)]).await {
                Ok(results) => results.nothing(),
                Err(error) => Err(error),
            };
            match freed {
                Ok(()) => {}
                Err(ComponentExecutionError::Guest { function, message }) => {
                    let failed = ComponentExecutionError::DeallocateFailed { what, function, range, message };
                    told = told.and(Err(failed));
                }
                Err(error) => return told.and(Err(error)),
            }
        }
        told
    }
}

const OUTPUT_LENGTH: &str = "the output's length";
/// What the accessor that reads borrows of the memory.
const BORROWED_BYTES: u64 = 8;
