"""How a doctor's findings are shown: each check with its fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cli.exits import DONE, REFUSED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.output import Out

FAIL: Final = "fail"
COLUMNS: Final = [("result", ""), ("check", "CHECK"), ("message", "FOUND")]
PASSED: Final = "pass"


def doctor_of(out: Out, found: Mapping[str, Any]) -> int:
    """Shows the checks, and what mends those that did not pass; the exit code is 1 when one has failed."""
    checks = found["checks"]
    out.table(found, checks, COLUMNS)
    for one in checks:
        if one["result"] != PASSED and one.get("fix"):
            out.say(f"\n{one['check']}: {one['fix']}")
    return REFUSED if any(one["result"] == FAIL for one in checks) else DONE
