"""What IMAP and POP3 servers mean when they let nobody in: one table, the first row that fits counts.

Response codes are those of RFC 5530 (IMAP) and RFC 3206 (POP3); the texts are Exchange Online's and Gmail's.
"""

from __future__ import annotations

import re

from chalicelib.diagnosis import TEXT_LIMIT, Diagnosis, DiagnosisClass
from chalicelib.transports.refusals import Concern, Verdict

RETRY, PAUSE = DiagnosisClass.RETRY, DiagnosisClass.PAUSE
RECONNECT, ADMIN = DiagnosisClass.RECONNECT, DiagnosisClass.ADMIN
NOTHING = "Nothing: try again later."

TABLE: tuple[tuple[str, Concern, DiagnosisClass, str, str], ...] = (
    (r"\[(UNAVAILABLE|INUSE|IN-USE|LOGIN-DELAY|LIMIT|SYS/TEMP)\]|too many simultaneous|try again later",
     Concern.LANE, PAUSE, "The server takes no sign-ins to this mailbox at the moment.", NOTHING),
    (r"authenticated but not connected",
     Concern.ACCOUNT, ADMIN, "The person or application may not open this mailbox, or its protocol is off.",
     "An Exchange administrator runs Set-CASMailbox for the protocol, and gives Full Access."),
    (r"disabled for your (domain|account)|not enabled for|(imap|pop)\S* access is (disabled|not)|is disabled",
     Concern.ACCOUNT, ADMIN, "The protocol is switched off for this mailbox.",
     "Switch IMAP or POP on in the mailbox's settings, or have its administrator do so."),
    (r"\[(WEBALERT|ALERT)[^]]*\].*(web|browser)|application-specific password",
     Concern.ACCOUNT, RECONNECT, "The provider wants the owner of the mailbox to sign in by hand.",
     "The owner signs in with a web browser once, or makes an app password; then connect the mailbox again."),
    (r"\[SYS/PERM\]|\[PRIVACYREQUIRED\]|unsupported|unknown (mechanism|auth)|not supported",
     Concern.ACCOUNT, ADMIN, "The server does not take this way of signing in.",
     "Check that the connector's server is the right one and lets the mailbox in by OAuth or password."),
    (r"",
     Concern.TOKEN, RECONNECT, "The server refused what the mailbox signed in with.",
     "If it stays, check that the scope of this protocol was granted, or connect the mailbox again."),
)  # fmt: skip


def verdict(protocol: str, text: str) -> Verdict:
    """What a refusal with that text means; `protocol` is ``imap`` or ``pop``."""
    concern, class_, message, fix = next(
        row[1:] for row in TABLE if re.search(row[0], text, re.IGNORECASE) is not None
    )
    return Verdict(concern, Diagnosis(class_, f"{protocol}_refused", message, fix, text=text[:TEXT_LIMIT]))
