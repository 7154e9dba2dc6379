"""What a mail server's answers mean: one table, the first row that fits counts.

A row is matched by the reply code, the enhanced code (RFC 3463), the text and the phase of the session. The
texts are those of Exchange Online and Gmail; an answer that no row knows falls to its first digit: 4 passes,
5 does not (RFC 5321, section 4.2.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from chalicelib.diagnosis import TEXT_LIMIT, Diagnosis, DiagnosisClass
from chalicelib.mail.models import Phase, Reply
from chalicelib.transports.refusals import Concern, Verdict

MINUTES: Final = 60
HOURS: Final = 60 * MINUTES

BEFORE_MAIL = frozenset({Phase.CONNECT, Phase.STARTTLS, Phase.AUTH})
AT_AUTH = frozenset({Phase.AUTH})
AT_RCPT = frozenset({Phase.RCPT})

RETRY, PAUSE = DiagnosisClass.RETRY, DiagnosisClass.PAUSE
RECONNECT, ADMIN, CALLER = DiagnosisClass.RECONNECT, DiagnosisClass.ADMIN, DiagnosisClass.CALLER

ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")
_PASSWORD_REFUSED = "The server refused the mailbox's user name or password."  # noqa: S105 - a sentence
_PASSWORD_FIX = "Save the right password or app password for the mailbox, and check its user name."  # noqa: S105
NOTHING = "Nothing: it is tried again by itself."


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `code` and `enhanced` match as a whole, `text` anywhere; "" matches all."""

    code: str
    enhanced: str
    text: str
    phases: frozenset[Phase] | None
    concern: Concern
    class_: DiagnosisClass
    message: str
    fix: str
    retry_after: int | None = None
    doubtful: bool = False

    def fits(self, reply: Reply, phase: Phase) -> bool:
        """Whether the row is about this reply in this phase."""
        return (
            (self.phases is None or phase in self.phases)
            and (not self.code or re.fullmatch(self.code, str(reply.code)) is not None)
            and (not self.enhanced or re.fullmatch(self.enhanced, reply.enhanced) is not None)
            and (not self.text or re.search(self.text, reply.text, re.IGNORECASE) is not None)
        )


TABLE: tuple[Row, ...] = (
    # Exchange allows three connections a mailbox; the excess is refused, not queued.
    Row("432", "", "", None, Concern.LANE, PAUSE, "The mailbox has too many open connections.", NOTHING, 30),
    Row("4..", r"4\.3\.2", "concurrent|thread limit", None, Concern.LANE, PAUSE,
        "The mailbox has too many open connections.", NOTHING, 30),
    # 5.7.139 is a switch or a policy, never the token: refreshing would loop for ever.
    Row("5..", r"5\.7\.139", "SmtpClientAuthentication is disabled", None, Concern.ACCOUNT, ADMIN,
        "Authenticated SMTP is switched off for this mailbox or its tenant.",
        "An Exchange administrator runs: Set-CASMailbox <mailbox> -SmtpClientAuthenticationDisabled $false"),
    Row("5..", r"5\.7\.139", "security defaults", None, Concern.ACCOUNT, ADMIN,
        "The tenant's security defaults switch authenticated SMTP off.",
        "A tenant administrator uses Conditional Access instead, with SMTP allowed for this mailbox."),
    Row("5..", r"5\.7\.(139|30)", "basic authentication", None, Concern.ACCOUNT, ADMIN,
        "The server takes no sign-ins with a password.",
        "Connect the mailbox with OAuth instead of its password."),
    Row("5..", r"5\.7\.139", "credentials were incorrect", None, Concern.TOKEN, RECONNECT,
        "The server refused the access token.",
        "If it stays, check that the mailbox's name is the one that was connected, or connect it again."),
    Row("5..", r"5\.7\.139", "", None, Concern.ACCOUNT, ADMIN,
        "A policy of the tenant (Conditional Access) forbids this sign-in.",
        "A tenant administrator allows authenticated SMTP for this mailbox in Conditional Access."),
    # Other 454 at AUTH are the server's own trouble (RFC 4954, section 6), over in a moment.
    Row("4..", "", "too many|login attempts|rate limit", AT_AUTH, Concern.LANE, PAUSE,
        "The server takes no sign-ins from this mailbox at the moment.", NOTHING, 15 * MINUTES),
    Row("53[45]", "", "application-specific password", AT_AUTH, Concern.ACCOUNT, RECONNECT,
        "The provider does not take the mailbox's usual password.",
        "Make an app password for the mailbox and save it, or connect the mailbox with OAuth."),
    Row("535", "", "web browser", AT_AUTH, Concern.ACCOUNT, RECONNECT,
        "The provider wants the owner of the mailbox to sign in by hand.",
        "The owner signs in with a web browser once, then connects the mailbox again."),
    Row("534", "", "", AT_AUTH, Concern.ACCOUNT, RECONNECT,
        "The provider wants the owner of the mailbox to sign in by hand.",
        "The owner signs in with a web browser once, then connects the mailbox again."),
    # An application without rights to the mailbox gets as far as the mailbox, and no further.
    Row("430", "", "logon failure", None, Concern.ACCOUNT, ADMIN,
        "The application may not open this mailbox.",
        "An Exchange administrator gives it Full Access: see the account's doctor for the exact lines."),
    Row("530", r"5\.(5\.1|7\.0)", "", None, Concern.ACCOUNT, ADMIN,
        "The server expects another way of signing in, or TLS before it.",
        "Check the connector's SMTP server, port and TLS; if they are right, report it with the text below."),
    Row("50[134]", "", "", AT_AUTH, Concern.ACCOUNT, ADMIN,
        "The server does not take this way of signing in from this mailbox.",
        "Check that the account's provider and SMTP server are the right ones."),
    # Postfix says so for a bad token, and also while it cannot ask who issued it.
    Row("535", "", "reason unavailable|temporar", AT_AUTH, Concern.TOKEN, RECONNECT,
        "The server refused the sign-in, or could not check it.",
        "If it stays, check that the mailbox's name is the one that was connected, or connect it again.",
        doubtful=True),
    Row("5..", "", "", AT_AUTH, Concern.TOKEN, RECONNECT,
        "The server refused the access token.",
        "If it stays, check that the mailbox's name is the one that was connected, or connect it again."),
    Row("530", "", "", None, Concern.TOKEN, RECONNECT,
        "The server says that the session is not signed in.",
        "If it stays, connect the mailbox again."),
    Row("[45]..", "", "relay(ing)? (access )?denied|relay(ing)? not (allowed|permitted)|unable to relay",
        None, Concern.ACCOUNT, ADMIN, "The server does not relay for this mailbox.",
        "Check that the account's SMTP server and port are those for submission, and its user name."),
    Row("5..", "", r"sender address rejected|not owned by user", None, Concern.ACCOUNT, ADMIN,
        "The server does not let this user name send as the mailbox's address.",
        "Check the account's smtp_user, or have the server's operator allow the address for it."),
    Row("5..", "", r"SendAsDenied", None, Concern.MESSAGE, ADMIN,
        "The mailbox may not send as the address in From.",
        "Send as the mailbox's own address, or have an administrator give it Send As for the other."),
    Row("5..", r"5\.(7\.60|2\.252)", "", None, Concern.MESSAGE, ADMIN,
        "The mailbox may not send as the address in From.",
        "Send as the mailbox's own address, or have an administrator give it Send As for the other."),
    # Daily limits are sliding windows: room comes back bit by bit, and asking costs one connection.
    Row("5..", r"5\.4\.5", "limit", None, Concern.LANE, PAUSE,
        "The mailbox has reached its daily sending limit.",
        "Nothing: sending goes on when there is room again.", 4 * HOURS),
    Row("5..", "", "SubmissionQuotaExceeded|submission quota", None, Concern.LANE, PAUSE,
        "The mailbox has reached its daily sending limit.",
        "Nothing: sending goes on when there is room again.", 4 * HOURS),
    Row("5..", r"5\.2\.[12]", "", AT_RCPT, Concern.RECIPIENT, CALLER,
        "The recipient's mailbox is full or disabled.", "Ask the recipient, or send to another address."),
    Row("5..", r"5\.2\.2", "", None, Concern.ACCOUNT, ADMIN,
        "The sending mailbox is full.", "The owner empties the mailbox, Sent Items first."),
    Row("5..", r"5\.(1\.8|7\.50[123]|7\.511|7\.70[58]|7\.750|7\.23[23])", "", None, Concern.ACCOUNT, ADMIN,
        "The provider has blocked the mailbox or its tenant from sending.",
        "A tenant administrator looks at the restricted senders in the security portal and lifts the block."),
    Row("4..", r"4\.7\.(5\d\d|6\d\d|8[5-9]\d)", "", None, Concern.LANE, PAUSE,
        "The server does not take mail from here at the moment.", NOTHING, 15 * MINUTES),
    Row("421", r"4\.7\.0", "unsolicited", None, Concern.LANE, PAUSE,
        "The server sees too much mail that it takes for unwanted.",
        "Nothing at once: sending goes on slowly. Look at what is being sent from this mailbox.", 1 * HOURS),
    Row("5..", r"5\.7\.1", "gcdp", None, Concern.MESSAGE, ADMIN,
        "A rule of the Workspace domain refuses the message.",
        "The Workspace administrator looks at the compliance rules of Gmail, or the message is changed."),
    Row("55[24]", r"5\.7\.0", "", None, Concern.MESSAGE, CALLER,
        "The server refuses the message's content or an attachment.",
        "Send it without the attachment it names."),
    Row("5..", r"5\.(3\.4|2\.3)", "", None, Concern.MESSAGE, CALLER,
        "The message is too large for the server.", "Send fewer or smaller attachments."),
    Row("552", "", "", None, Concern.MESSAGE, CALLER,
        "The message is too large for the server.", "Send fewer or smaller attachments."),
    Row("5..", r"5\.6\.\d+", "", None, Concern.MESSAGE, CALLER,
        "The server cannot read the message's content.", "Look at the server's text and change the message."),
    Row("4..", "", "", AT_RCPT, Concern.RECIPIENT, RETRY,
        "The server does not take this recipient at the moment.", NOTHING),
    Row("5..", "", "", AT_RCPT, Concern.RECIPIENT, CALLER,
        "The server refuses this recipient.", "Check the address."),
    Row("4..", "", "", BEFORE_MAIL, Concern.LANE, RETRY, "The server is busy.", NOTHING),
    Row("5..", "", "", BEFORE_MAIL, Concern.LANE, RETRY,
        "The server refuses connections from here.", "If it stays, ask the server's operator why."),
    Row("4..", "", "", None, Concern.MESSAGE, RETRY,
        "The server does not take the message at the moment.", NOTHING),
    Row("5..", "", "", None, Concern.MESSAGE, CALLER,
        "The server refuses the message.", "Look at the server's text and change the message."),
)  # fmt: skip


def reply(code: int, text: bytes) -> Reply:
    """A reply as it is stored: the enhanced code of its first line, the text cut and without controls."""
    shown = "".join(
        letter if letter.isprintable() else " "
        for letter in text[: 4 * TEXT_LIMIT].decode("utf-8", "replace")
    )
    enhanced = ENHANCED.match(shown)
    return Reply(code, enhanced.group(1) if enhanced else "", shown[:TEXT_LIMIT].strip())


def verdict(reply: Reply, phase: Phase, *, by_password: bool = False) -> Verdict:
    """What a reply of class 4 or 5 means in that phase; `by_password` says with what was signed in.

    Raises ValueError for other replies.
    """
    row = next((row for row in TABLE if row.fits(reply, phase)), None)
    if row is None:
        raise ValueError(f"{reply.code} is not a refusal")
    diagnosis = _diagnosis(row, reply)
    if by_password and row.concern is Concern.TOKEN:
        diagnosis = replace(diagnosis, message=_PASSWORD_REFUSED, fix=_PASSWORD_FIX)
    return Verdict(row.concern, diagnosis, doubtful=row.doubtful)


def _diagnosis(row: Row, reply: Reply) -> Diagnosis:
    return Diagnosis(
        class_=row.class_,
        code="_".join(part for part in ("smtp", str(reply.code), reply.enhanced) if part),
        message=row.message,
        fix=row.fix,
        text=reply.text,
        retry_after=row.retry_after,
    )
