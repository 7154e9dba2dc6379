"""The Pythons of Lambda, and until when a stage that has one can be changed.

A package has the bytecode of the Python that builds it, so that is the runtime of its functions.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cli.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

Version = tuple[int, int]

LAST_UPDATE: Final[dict[Version, date]] = {
    (3, 11): date(2027, 8, 31),
    (3, 12): date(2029, 1, 10),
    (3, 13): date(2029, 8, 31),
    (3, 14): date(2029, 8, 31),
}
"""Runtime → the day from which AWS takes no change of a function that has it (AWS Lambda, "Runtimes"). What
is not here is newer than these."""

TOLD_BEFORE: Final = timedelta(days=365)
"""For so long before that day each deployment says so."""

_ANOTHER: Final = (
    "Build with a newer Python: rm -rf .venv && make install PYTHON=python3.13, and deploy again. "
    "Mailboxes and mail stay as they are."
)


def require_updatable(
    say: Callable[[str], None], version: Version = sys.version_info[:2], today: date | None = None
) -> None:
    """Raise Trouble when AWS takes no function of this Python any more; say so in the year before."""
    name, last = f"python{version[0]}.{version[1]}", LAST_UPDATE.get(version)
    if last is None:
        return
    today = today or datetime.now(UTC).date()
    if today >= last:
        raise Trouble("package_failed", f"AWS takes no function for {name} since {last}.", _ANOTHER)
    if today >= last - TOLD_BEFORE:
        say(f"from {last} on AWS takes no change of functions for {name}, which this builds for. {_ANOTHER}")
