"""Compiled files without their symbols, which only debuggers read."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from cli.architectures import compiled_for

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM_HEADERS_AT: Final = 0x20
SECTION_HEADERS_AT: Final = 0x28
PROGRAM_HEADERS: Final = 0x36
"""Where the size of one is, and how many there are."""
SECTION_HEADERS: Final = 0x3A
"""Likewise, and which of them has their names."""


def strip(tree: Path) -> None:
    """Take the symbols out of every compiled file of the tree."""
    for path in tree.rglob("*"):
        if compiled_for(path):
            path.write_bytes(loaded_part(path.read_bytes()))


def loaded_part(content: bytes) -> bytes:
    """What a loader reads of a file for 64 bits: all up to the end of its last segment.

    Sections are for linkers and debuggers (System V ABI, chapters 4 and 5); what is behind the segments is
    symbols, their names and the sections' headers. The names that a loader looks up are inside a segment.
    """
    (at,) = struct.unpack_from("<Q", content, PROGRAM_HEADERS_AT)
    size, count = struct.unpack_from("<HH", content, PROGRAM_HEADERS)
    ends = [at + size * count]
    for header in range(at, at + size * count, size):
        offset, _address, _physical, length = struct.unpack_from("<QQQQ", content, header + 8)
        ends.append(offset + length)
    loaded = bytearray(content[: max(ends)])
    struct.pack_into("<Q", loaded, SECTION_HEADERS_AT, 0)
    struct.pack_into("<HHH", loaded, SECTION_HEADERS, 0, 0, 0)
    return bytes(loaded)
