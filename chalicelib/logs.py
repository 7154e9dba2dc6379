"""Structured logs: one JSON object a line, on the standard output that Lambda keeps.

A record may carry facts by ``extra={"facts": {...}}``: ids, states, codes, counts; never an address, a
subject, a token or a body.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

ROOT = "mailgrant"


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record; an exception is named with its traceback, whose messages hold no secret."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
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


def logger(name: str) -> logging.Logger:
    """The logger of a module, for example ``logger("relay")``."""
    return logging.getLogger(f"{ROOT}.{name}")
