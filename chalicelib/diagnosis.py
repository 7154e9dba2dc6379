"""One type for what OAuth providers and mail servers answer when they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

TEXT_LIMIT = 200
"""How much of a provider's own text is kept: it is chosen by others and shown to people."""


class DiagnosisClass(StrEnum):
    """Who can do something about it."""

    RETRY = "retry"
    """Nobody needs to: it is tried again by itself."""
    PAUSE = "pause"
    """Nobody needs to: a limit was reached, sending goes on when its window has passed."""
    RECONNECT = "reconnect"
    """The mailbox owner signs in again."""
    ADMIN = "admin"
    """An administrator changes a setting of the connector, the tenant or the mailbox."""
    CALLER = "caller"
    """The caller changes the message."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A provider's or server's error turned into a class, a plain sentence and the exact fix.

    `code` is the most precise name there is (``AADSTS7000222``, ``invalid_grant``, ``smtp_535_5.7.139``);
    `text` is the provider's own text, cut to TEXT_LIMIT; `retry_after` is in seconds.
    """

    class_: DiagnosisClass
    code: str
    message: str
    fix: str
    text: str = ""
    retry_after: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The diagnosis as it stands in tables, answers and logs."""
        shown: dict[str, Any] = {
            "class": str(self.class_),
            "code": self.code,
            "message": self.message,
            "fix": self.fix,
            "text": self.text[:TEXT_LIMIT],
        }
        if self.retry_after is not None:
            shown["retry_after"] = self.retry_after
        return shown

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Diagnosis:
        """The reverse of to_json; numbers may come back from DynamoDB as Decimal."""
        retry_after = stored.get("retry_after")
        return cls(
            class_=DiagnosisClass(stored["class"]),
            code=stored["code"],
            message=stored["message"],
            fix=stored["fix"],
            text=stored.get("text", ""),
            retry_after=None if retry_after is None else int(retry_after),
        )
