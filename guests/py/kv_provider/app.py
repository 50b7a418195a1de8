"""demo:kv/store in memory."""

import dataclasses

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import store

entries: dict[str, store.Entry] = {}


class Store(exports.Store):
    def get(self, key: str) -> store.Entry | None:
        if key == "denied":
            raise Err(store.Error_Denied())
        if key == "missing":
            raise Err(store.Error_NotFound(key))
        return entries.get(key)

    def put(self, e: store.Entry) -> int:
        if not e.key:
            raise Err(store.Error_Io("empty key"))
        version = (entries[e.key].version if e.key in entries else 0) + 1
        entries[e.key] = dataclasses.replace(e, version=version)
        return version

    def scan(self, prefix: str) -> list[store.Entry]:
        return [entries[key] for key in sorted(entries) if key.startswith(prefix)]

    def clear(self) -> None:
        entries.clear()
