"""Times on the command line, as people write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

MOMENTS = "`today`, `yesterday`, `90m`, `12h`, `7d` (ago), a date, or RFC 3339"

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
LONGEST = 10_000
"""The most of any unit; no record is as old as that."""

_AGO = re.compile(r"([0-9]{1,5})([mhd])")


def _now() -> datetime:
    return datetime.now().astimezone()


class Moment(click.ParamType[str]):
    """A time; its value is RFC 3339. Days and times without an offset are those of where the command runs."""

    name = "time"

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self._now = now

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See click.ParamType."""
        at = self._read(str(value))
        if at is None:
            self.fail(f"{value!r} is no time. Use {MOMENTS}.", param, ctx)
        return at.isoformat(timespec="milliseconds")

    def _read(self, text: str) -> datetime | None:
        now = self._now()
        if text in {"today", "yesterday"}:
            day = now.date() - timedelta(days=text == "yesterday")
            return datetime(day.year, day.month, day.day).astimezone()
        if (ago := _AGO.fullmatch(text)) and int(ago[1]) <= LONGEST:
            return now - int(ago[1]) * UNITS[ago[2]]
        try:
            at = datetime.fromisoformat(text)
            return at if at.tzinfo else at.astimezone()
        except (ValueError, OverflowError, OSError):
            return None
