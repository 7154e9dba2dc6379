"""How much of a processor the servers of the world take, which share this machine with what is measured."""

from __future__ import annotations

import os
from pathlib import Path

SERVERS = {"ministack": "emulator", "sandbox.provider": "provider"}
"""The module that a child of this process runs → what it is."""

TICKS = os.sysconf("SC_CLK_TCK")


def of_servers() -> dict[str, float]:
    """Processor time of each server so far (s)."""
    taken = dict.fromkeys(SERVERS.values(), 0.0)
    for pid in _descendants(os.getpid()):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        named = SERVERS.get(words[words.index("-m") + 1]) if "-m" in words else None
        if named:
            taken[named] += _seconds(pid)
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
