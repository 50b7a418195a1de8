// Uses every function of demo:kv/store and checks every answer.
import { clear, get, put, scan } from 'demo:kv/store@0.1.0';

export function run(n) {
  let sum = 0n;
  clear();
  for (let i = 0; i < n; i++) sum += putAndGet(i);
  if (refusal('denied').tag !== 'denied') throw '`denied` was not denied';
  const missing = refusal('missing');
  if (missing.tag !== 'not-found' || missing.val !== 'missing') throw '`missing` was not missing';
  if (get('nope') !== undefined) throw '`nope` is there';
  const all = scan('k/');
  if (all.length !== n) throw `the scan has ${all.length} entries instead of ${n}`;
  return all.reduce((total, entry) => total + BigInt(entry.value.length), sum);
}

// Puts entry `i` (`i` bytes of value `i`), gets it back and compares; returns its version.
function putAndGet(i) {
  const digits = String(i).padStart(4, '0');
  const entry = { key: `k/${digits}`, value: new Uint8Array(i).fill(i), tags: ['a', `t${digits}`], version: 0n };
  entry.version = put(entry);
  const found = get(entry.key);
  if (found === undefined) throw 'an entry was lost';
  const same = found.key === entry.key && String(found.value) === String(entry.value)
    && String(found.tags) === String(entry.tags) && found.version === entry.version;
  if (!same) throw 'an entry differs';
  return entry.version;
}

// The store's error for a key; an error of a result is thrown, as the payload of an exception.
function refusal(key) {
  try {
    get(key);
  } catch (e) {
    return e.payload ?? e;
  }
  return { tag: 'an answer' };
}
