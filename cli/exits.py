"""The exit codes of every command, for scripts."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
REFUSED: Final = 1
MISUSED: Final = 2
UNREACHABLE: Final = 3
FELL_SHORT: Final = 4
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141

MEANINGS: Final = {
    DONE: "done",
    REFUSED: "refused, or not agreed to; of status and doctor: something is wrong",
    MISUSED: "the command was not understood, or nothing is configured",
    UNREACHABLE: "the API, or AWS, cannot be reached",
    FELL_SHORT: "not sent, connected, verified or wrapped anew: the answer says why",
    INTERRUPTED: "ended by Ctrl-C",
    PIPE_CLOSED: "whoever read the output went away",
}
"""Exit code → what it means."""
