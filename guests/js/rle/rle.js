// Run-length encoding: pairs of a count and a byte.
export function process(input) {
  if (input[0] === 0xff) throw 'cannot encode 0xff';
  // An array of numbers would take eight times as much.
  const out = new Uint8Array(input.length * 2);
  let end = 0;
  for (let i = 0; i < input.length;) {
    let count = 1;
    while (count < 255 && input[i + count] === input[i]) count++;
    out[end++] = count;
    out[end++] = input[i];
    i += count;
  }
  return out.subarray(0, end);
}
