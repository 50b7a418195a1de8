// Run-length encoding: pairs of a count and a byte.
//
// No bindings: the canonical ABI by hand. The host puts the input where
// `cabi_realloc` says; `process` returns the address of a case (0 is ok), a
// pointer and a length, and `cabi_post_process` frees all of it at once, because
// nothing is kept between calls. That is what the runtime `stub` is for.

@global export function cabi_realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  const there = heap.alloc(size);
  if (old) memory.copy(there, old, oldSize);
  return there;
}

// A result<list<u8>, string> as the canonical ABI has it.
const result = memory.data(12, 4);

function returned(failed: bool, address: usize, length: usize): usize {
  store<u8>(result, failed);
  store<usize>(result, address, 4);
  store<usize>(result, length, 8);
  return result;
}

export function process(input: usize, length: usize): usize {
  if (length && load<u8>(input) == 0xff) {
    const error = String.UTF8.encode('cannot encode 0xff');
    return returned(true, changetype<usize>(error), error.byteLength);
  }
  const out = heap.alloc(length * 2);
  let end = out;
  for (let at: usize = 0; at < length;) {
    const byte = load<u8>(input + at);
    let count: usize = 1;
    while (count < 255 && at + count < length && load<u8>(input + at + count) == byte) count++;
    store<u8>(end, <u8>count);
    store<u8>(end, byte, 1);
    end += 2;
    at += count;
  }
  return returned(false, out, end - out);
}

export function cabi_post_process(result: usize): void {
  heap.reset();
}
