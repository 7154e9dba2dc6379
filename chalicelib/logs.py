"""Structured logs: one JSON object a line, on the standard output that Lambda keeps.

A record may carry, by ``extra``::

    facts      ids, states, codes, counts; never an address, a subject, a token or a body
    personal   addresses and subjects, and what others have said of them: kept only where the stage allows it
    figures    values for CloudWatch (chalicelib.metrics), in the same line

`about` puts facts into every line that is written inside it. So one id leads from a request to the server's
reply: `request_id` is API Gateway's (or Lambda's, for who invokes `send`), is stored with the message, and
stands in each line of a request, of what `connect` and `tokens` do for it, and of every later attempt, beside
the message's own id. (In a line ``message`` is that id, as everywhere; what a line tells is its ``event``.)
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from chalicelib import metrics

ROOT = "mailgrant"

_about: ContextVar[Mapping[str, Any]] = ContextVar("about", default=MappingProxyType({}))


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; `personal` says whether it may name people."""

    def __init__(self, stage: str = "none", *, personal: bool = False) -> None:
        super().__init__()
        self._stage = stage
        self._personal = personal

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record; an exception is named with its traceback, whose messages hold no secret."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
            "stage": self._stage,
            **_about.get(),
            **getattr(record, "facts", {}),
        }
        if self._personal:
            line.update(getattr(record, "personal", {}))
        if figures := getattr(record, "figures", None):
            line = {"provider": "none", **line, **metrics.embedded(figures, int(record.created * 1000))}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure() -> None:
    """Sends the loggers of this package to the standard output, once per execution environment."""
    logger = logging.getLogger(ROOT)
    if logger.handlers:
        return
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def identify(stage: str, *, personal: bool) -> None:
    """Tells the lines their stage, and whether they may name people, as soon as the settings are known."""
    for handler in logging.getLogger(ROOT).handlers:
        handler.setFormatter(JsonFormatter(stage, personal=personal))


def logger(name: str) -> logging.Logger:
    """The logger of a module, for example ``logger("relay")``."""
    return logging.getLogger(f"{ROOT}.{name}")


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """Puts the facts into every line that this thread writes inside the block; a None is left out."""
    known = {name: value for name, value in facts.items() if value is not None}
    token = _about.set({**_about.get(), **known})
    try:
        yield
    finally:
        _about.reset(token)


def known(fact: str) -> Any:
    """What `about` has put into the lines of this moment under that name; None if nothing."""
    return _about.get().get(fact)
