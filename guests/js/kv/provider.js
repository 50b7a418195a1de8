// demo:kv/store in memory.
const entries = new Map();

export const store = {
  get(key) {
    if (key === 'denied') throw { tag: 'denied' };
    if (key === 'missing') throw { tag: 'not-found', val: key };
    return entries.get(key);
  },

  put(entry) {
    if (entry.key === '') throw { tag: 'io', val: 'empty key' };
    const version = (entries.get(entry.key)?.version ?? 0n) + 1n;
    entries.set(entry.key, { ...entry, version });
    return version;
  },

  scan(prefix) {
    const keys = [...entries.keys()].filter(key => key.startsWith(prefix));
    return keys.sort().map(key => entries.get(key));
  },

  clear() {
    entries.clear();
  },
};
