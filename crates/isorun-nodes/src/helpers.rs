//! The second shape: the component's own functions move the bytes.

use crate::live::Live;
use crate::shape::{PROCESS, READ_OUTPUT, WRITE_INPUT};
use crate::signature::Arg;
use crate::{AccessFault, ComponentExecutionError, MemoryRange, OUTPUT_BYTES_MAX};

/// Bytes of the output's length, as `process` writes it.
pub(crate) const LENGTH_BYTES: u64 = 8;

/// Runs one input: written at offset 0, its output's length right behind it.
pub(crate) async fn run(live: &Live, input: &[u8]) -> Result<Vec<u8>, ComponentExecutionError> {
    let bytes = input.len() as u64;
    let length_at = bytes.next_multiple_of(LENGTH_BYTES);
    live.call(WRITE_INPUT, &[Arg::Int(0), Arg::Bytes(input)]).await?.nothing()?;
    let process = live.call(PROCESS, &[Arg::Int(0), Arg::Int(bytes), Arg::Int(length_at)]).await?;
    let address = process.int()?;
    let length = read(live, "the output's length", MemoryRange { address: length_at, bytes: LENGTH_BYTES }).await?;
    let output = MemoryRange { address, bytes: length_of(&length) };
    short_enough(live, output)?;
    read(live, "the output", output).await
}

/// The output's length, as `process` wrote it.
pub(crate) fn length_of(length: &[u8]) -> u64 {
    // Read as 8 bytes: another number of them is no length that an output may have.
    length.try_into().map_or(u64::MAX, u64::from_le_bytes)
}

/// Refuses an output that is longer than one may be.
pub(crate) fn short_enough(live: &Live, output: MemoryRange) -> Result<(), ComponentExecutionError> {
    let limit = OUTPUT_BYTES_MAX as u64;
    if output.bytes <= limit {
        return Ok(());
    }
    Err(failed(live, PROCESS, "the output", output, AccessFault::TooLong { limit }))
}

pub(crate) fn failed(
    live: &Live,
    function: usize,
    what: &'static str,
    range: MemoryRange,
    cause: AccessFault,
) -> ComponentExecutionError {
    ComponentExecutionError::MemoryAccessFailed { what, function: live.path(function).to_owned(), range, cause }
}

async fn read(live: &Live, what: &'static str, range: MemoryRange) -> Result<Vec<u8>, ComponentExecutionError> {
    let MemoryRange { address, bytes } = range;
    if !live.takes(READ_OUTPUT, &[Arg::Int(address), Arg::Int(bytes)]) {
        return Err(failed(live, PROCESS, what, range, AccessFault::NoAddress));
    }
    let read = live.call(READ_OUTPUT, &[Arg::Int(address), Arg::Int(bytes)]).await?;
    let found = read.bytes()?;
    if found.len() as u64 == bytes {
        return Ok(found.to_vec());
    }
    let cause = AccessFault::OtherLength { bytes: found.len() as u64 };
    Err(failed(live, READ_OUTPUT, what, range, cause))
}
