"""How a doctor's findings are shown: each check with its fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cli.exits import DONE, REFUSED
from cli.routes import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cli.output import Out

FAIL: Final = "fail"
COLUMNS: Final = [("result", ""), ("check", "CHECK"), ("message", "FOUND")]
PASSED: Final = "pass"


def doctor_of(out: Out, found: Mapping[str, Any]) -> int:
    """Shows checks, fixes, and what is to be typed elsewhere; the exit code is 1 when a check has failed."""
    checks = found["checks"]
    out.table(found, checks, COLUMNS)
    for one in checks:
        if one["result"] != PASSED and one.get("fix"):
            out.say(f"\n{one['check']}: {named(one['fix'])}")
    show_instructions(out, found.get("instructions", ()))
    return REFUSED if any(one["result"] == FAIL for one in checks) else DONE


def show_instructions(out: Out, instructions: Iterable[Mapping[str, Any]]) -> None:
    """Shows what is to be typed elsewhere."""
    for one in instructions:
        out.say(f"\n{one['title']}\n{one['where']}")
        out.copy("\n".join(one["lines"]))
