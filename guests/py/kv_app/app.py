"""Uses every function of demo:kv/store and checks every answer."""

import wit_world
from componentize_py_types import Err
from wit_world.imports import store


class WitWorld(wit_world.WitWorld):
    def run(self, n: int) -> int:
        store.clear()
        total = sum(put_and_get(i) for i in range(n))
        if not isinstance(refusal("denied"), store.Error_Denied):
            raise Err("`denied` was not denied")
        missing = refusal("missing")
        if not isinstance(missing, store.Error_NotFound) or missing.value != "missing":
            raise Err("`missing` was not missing")
        if store.get("nope") is not None:
            raise Err("`nope` is there")
        found = store.scan("k/")
        if len(found) != n:
            raise Err(f"the scan has {len(found)} entries instead of {n}")
        return total + sum(len(entry.value) for entry in found)


def put_and_get(i: int) -> int:
    """Puts entry `i` (`i` bytes of value `i`), gets it back and compares; returns its version."""
    entry = store.Entry(f"k/{i:04}", bytes([i & 255]) * i, ["a", f"t{i:04}"], 0)
    entry.version = store.put(entry)
    found = store.get(entry.key)
    if found is None:
        raise Err("an entry was lost")
    found.value = bytes(found.value)
    if found != entry:
        raise Err("an entry differs")
    return entry.version


def refusal(key: str):
    """The store's error for a key, or None: an error of a result is raised."""
    try:
        store.get(key)
    except Err as e:
        return e.value
    return None
