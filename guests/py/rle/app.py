"""Run-length encoding: pairs of a count and a byte."""

import wit_world
from componentize_py_types import Err


class WitWorld(wit_world.WitWorld):
    def process(self, input: bytes) -> bytes:
        if input[:1] == b"\xff":
            raise Err("cannot encode 0xff")
        out, i = bytearray(), 0
        while i < len(input):
            count = 1
            while count < 255 and i + count < len(input) and input[i + count] == input[i]:
                count += 1
            out += bytes((count, input[i]))
            i += count
        return bytes(out)
