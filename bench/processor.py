"""How much of a processor the servers of the world take, which share this machine with what is measured."""

from __future__ import annotations

import os
from pathlib import Path

SERVERS = {"reencrypting.py": "emulator", "sandbox.provider": "provider"}
"""The file or module that a child of this process runs → what it is."""

TICKS = os.sysconf("SC_CLK_TCK")


def of_servers() -> dict[str, float]:
    """Processor time of each server so far (s). Raises RuntimeError unless all of them run."""
    taken: dict[str, float] = {}
    for pid in _descendants(os.getpid()):
        words = (Path(word).name for word in Path(f"/proc/{pid}/cmdline").read_text().split("\0"))
        named = next((SERVERS[word] for word in words if word in SERVERS), None)
        if named:
            taken[named] = taken.get(named, 0.0) + _seconds(pid)
    if missing := set(SERVERS.values()) - taken.keys():
        raise RuntimeError(f"not among the children of this process: {', '.join(sorted(missing))}")
    return taken


def _descendants(pid: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (thread / "children").read_text().split()):
            found += [child, *_descendants(child)]
    return found


def _seconds(pid: int) -> float:
    """User and system time (proc(5), stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
