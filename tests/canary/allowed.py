"""allowed.toml: which secret may be where."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from tests.canary.canaries import Leak

FILE = Path(__file__).with_name("allowed.toml")


class Allowed:
    """The list. A place may be a pattern: ``page *`` is every page."""

    def __init__(self, path: Path = FILE) -> None:
        entries = tomllib.loads(path.read_text())["allowed"]
        self._pairs = {(entry["kind"], entry["place"]) for entry in entries if entry["why"]}

    def leaks(self, found: Iterable[Leak]) -> list[Leak]:
        """What is not on the list, each once."""
        return sorted({leak for leak in found if not self._permits(leak)})

    def _permits(self, leak: Leak) -> bool:
        return any(leak.kind == kind and fnmatchcase(leak.place, place) for kind, place in self._pairs)
