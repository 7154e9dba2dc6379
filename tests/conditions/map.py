"""map.toml: which test fails when the condition of a write is taken away."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

FILE = Path(__file__).with_name("map.toml")


@dataclass(frozen=True)
class Map:
    """`tests` by conditional write; `bare` are the writes that have no condition, and why."""

    tests: Mapping[str, str]
    bare: Mapping[str, str]

    @classmethod
    def read(cls, path: Path = FILE) -> Self:
        """Reads the file."""
        data = tomllib.loads(path.read_text())
        return cls(data["conditions"], data.get("bare", {}))

    def faults(self, methods: set[str]) -> list[str]:
        """What does not fit the methods that write, as sentences."""
        mapped = {write.partition("/")[0] for write in (*self.tests, *self.bare)}
        return [
            *(f"{method}: it writes, and map.toml does not know it" for method in sorted(methods - mapped)),
            *(
                f"{method}: map.toml knows it, and nothing of it writes"
                for method in sorted(mapped - methods)
            ),
        ]
