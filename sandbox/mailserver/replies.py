"""An SMTP reply (RFC 5321 section 4.2) as a value, and the replies that both temperaments share."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENHANCED_CODE = re.compile(r"^[245]\.\d{1,3}\.\d{1,3} ?")
_CLOSING_CODES = frozenset({221, 421})
_SUCCESSES = range(200, 300)


@dataclass(frozen=True)
class Reply:
    """A reply code and its text, whose lines are separated by line feeds."""

    code: int
    text: str

    @classmethod
    def parse(cls, written: str) -> Reply:
        """Read a reply written as ``250 2.0.0 OK``; the code stands once, in front of the first line."""
        return cls(int(written[:3]), written[4:])

    @property
    def closes(self) -> bool:
        """Whether the server closes the connection after this reply (RFC 5321 section 4.2.2)."""
        return self.code in _CLOSING_CODES

    @property
    def succeeds(self) -> bool:
        """Whether the command was done (RFC 5321 section 4.2.1)."""
        return self.code in _SUCCESSES

    def encode(self, *, enhanced_codes: bool = True) -> bytes:
        """Return the reply's bytes; without ``enhanced_codes`` the codes of RFC 3463 are left out."""
        lines = self.text.replace("\r", "").split("\n")
        if not enhanced_codes:
            lines = [_ENHANCED_CODE.sub("", line) for line in lines]
        written = [f"{self.code}-{line}\r\n" for line in lines[:-1]] + [f"{self.code} {lines[-1]}\r\n"]
        return "".join(written).encode("utf-8", "backslashreplace")


RESET = Reply(250, "2.0.0 OK")
NOOP = Reply(250, "2.0.0 OK")
READY_FOR_TLS = Reply(220, "2.0.0 Ready to start TLS")
TEMPORARY_AUTH_FAILURE = Reply(
    454, "4.7.0 Cannot authenticate due to temporary system problem, try again later"
)
LINE_TOO_LONG = Reply(500, "5.5.6 Line too long")
UNKNOWN_COMMAND = Reply(500, "5.5.2 Command unrecognized")
BAD_LINE_END = Reply(500, "5.5.2 Lines must end with CRLF")
BAD_SYNTAX = Reply(501, "5.5.4 Syntax error in parameters")
CANNOT_DECODE = Reply(501, "5.5.2 Cannot decode the response")
AUTH_CANCELLED = Reply(501, "5.7.0 Authentication cancelled")
BAD_SEQUENCE = Reply(503, "5.5.1 Bad sequence of commands")
UNKNOWN_MECHANISM = Reply(504, "5.7.4 Unrecognized authentication type")
STARTTLS_FIRST = Reply(530, "5.7.0 Must issue a STARTTLS command first")
TOO_LARGE = Reply(552, "5.3.4 Message size exceeds the fixed maximum message size")
BAD_ADDRESS = Reply(553, "5.1.3 The address is not a valid RFC 5321 address")
NEEDS_SMTPUTF8 = Reply(553, "5.6.7 The address needs SMTPUTF8")
UNKNOWN_PARAMETER = Reply(555, "5.5.4 Unsupported option")
