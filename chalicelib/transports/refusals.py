"""What a transport fails with: one error that knows how far it came and what the failure is about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed
from chalicelib.mail.models import Phase, Reply

SHUTTING_DOWN = 421

REFUSALS = range(400, 600)
"""Reply codes that say no, for now or for good (RFC 5321, section 4.2.1)."""


class Concern(StrEnum):
    """What a failure is about, which decides who waits for it."""

    MESSAGE = "message"
    """This message: it fails, or is tried again later."""
    RECIPIENT = "recipient"
    """This recipient; the others go on."""
    LANE = "lane"
    """The way to the server: all mail of the account waits a while, and no message is blamed."""
    TOKEN = "token"  # noqa: S105 - the name of what is concerned
    """The access token: a fresh one is tried once."""
    ACCOUNT = "account"
    """The mailbox itself: all its mail is held until somebody changes a setting."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A diagnosis and what it is about. A doubtful one is believed when it comes again."""

    concern: Concern
    diagnosis: Diagnosis
    doubtful: bool = False

    @property
    def passes(self) -> bool:
        """Whether it goes away by itself, so that trying again helps."""
        return self.diagnosis.class_ in (DiagnosisClass.RETRY, DiagnosisClass.PAUSE)


class Refused(Diagnosed):
    """The server said no, or was not there.

    `phase` is how far the attempt came, `reply` what the server said, or None where the connection failed.
    In the phase COMMIT without a reply nobody knows whether the server took the message (RFC 1047).
    """

    def __init__(self, verdict: Verdict, phase: Phase, reply: Reply | None = None) -> None:
        super().__init__(verdict.diagnosis)
        self.verdict = verdict
        self.phase = phase
        self.reply = reply

    @property
    def ends_connection(self) -> bool:
        """Whether the connection is of no more use: broken, or closed with the reply 421 (RFC 5321, 3.8)."""
        return self.reply is None or self.reply.code == SHUTTING_DOWN

    @property
    def undecided(self) -> bool:
        """Whether the server may have taken the message."""
        return self.phase is Phase.COMMIT and self.reply is None
