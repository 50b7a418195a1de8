// Run-length encoding: pairs of a count and a byte.
export function process(input) {
  if (input[0] === 0xff) throw 'cannot encode 0xff';
  const out = [];
  for (let i = 0; i < input.length;) {
    let count = 1;
    while (count < 255 && input[i + count] === input[i]) count++;
    out.push(count, input[i]);
    i += count;
  }
  return new Uint8Array(out);
}
