"""What differs between the listeners, as data.

The wording follows what smtp.office365.com and smtp.gmail.com answer, so that a client's table of replies
is tried against the real texts. A template may use ``{host}``, ``{client}``, ``{now}`` (RFC 5322 date),
``{epoch}``, ``{mark}`` (Google's trailing mark), ``{message_id}``, ``{user}`` and ``{sender}``.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from email.utils import formatdate

from sandbox.mailserver.replies import Reply


@dataclass(frozen=True, kw_only=True)
class Temperament:
    """How one provider's submission server behaves.

    ``audiences`` are those of which a token must have one, empty where the provider's tokens name none;
    ``scope`` must be among the token's scopes, written with the audience of the token in the place of the
    usual one, and ``role`` among those of an application's own token. ``auth`` are the mechanisms.
    ``challenges_on_failure`` sends the SASL challenge of Google's XOAUTH2 before the 535. ``rewrites_from``
    puts the account into the From header instead of refusing another sender.
    """

    name: str
    host: str
    audiences: tuple[str, ...] = ()
    scope: str
    role: str = ""
    auth: tuple[str, ...]
    max_size: int
    max_recipients: int
    challenges_on_failure: bool
    rewrites_from: bool
    greeting: str
    hello: str
    authenticated: str
    authentication_refused: str
    authentication_required: str
    sender_ok: str
    recipient_ok: str
    too_many_recipients: str
    go_ahead: str
    accepted: str
    send_as_denied: str
    no_permission: str
    smtp_disabled: str
    goodbye: str

    def scope_at(self, audience: str) -> str:
        """The scope that a token for this audience must have."""
        usual = self.audiences[0] if self.audiences else ""
        return audience + self.scope.removeprefix(usual) if usual else self.scope

    def reply(self, template: str, **facts: str) -> Reply:
        """Fill one of this temperament's templates; a fact that the template names must be given."""
        mark = f"{secrets.token_hex(8)}-{secrets.token_hex(6)}.1 - gsmtp"
        now = time.time()
        written = template.format(host=self.host, mark=mark, now=formatdate(now), epoch=int(now), **facts)
        return Reply.parse(written)


MICROSOFT = Temperament(
    name="microsoft",
    host="outlook.sandbox.test",
    audiences=(
        "https://outlook.office.com",
        "https://outlook.office365.com",
        "https://outlook.office365.us",
        "https://outlook-dod.office365.us",
        "https://partner.outlook.cn",
    ),
    scope="https://outlook.office.com/SMTP.Send",
    role="SMTP.SendAsApp",
    auth=("LOGIN", "XOAUTH2"),
    max_size=157_286_400,
    max_recipients=500,
    challenges_on_failure=False,
    rewrites_from=False,
    greeting="220 {host} Microsoft ESMTP MAIL Service ready at {now}",
    hello="250 {host} Hello [{client}]",
    authenticated="235 2.7.0 Authentication successful",
    authentication_refused="535 5.7.3 Authentication unsuccessful [{host}]",
    authentication_required="530 5.7.57 Client not authenticated to send mail. [{host}]",
    sender_ok="250 2.1.0 Sender OK",
    recipient_ok="250 2.1.5 Recipient OK",
    too_many_recipients="452 4.5.3 Too many recipients",
    go_ahead="354 Start mail input; end with <CRLF>.<CRLF>",
    accepted="250 2.0.0 OK {message_id} [Hostname={host}]",
    send_as_denied="554 5.2.252 SendAsDenied; {user} not allowed to send as {sender} [Hostname={host}]",
    no_permission=(
        "550 5.7.60 SMTP; Client does not have permissions to send as this sender [Hostname={host}]"
    ),
    smtp_disabled=(
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. "
        "Visit https://aka.ms/smtp_auth_disabled for more information. [{host}]"
    ),
    goodbye="221 2.0.0 Service closing transmission channel",
)

GOOGLE = Temperament(
    name="google",
    host="gmail.sandbox.test",
    scope="https://mail.google.com/",
    auth=("LOGIN", "PLAIN", "XOAUTH2", "OAUTHBEARER"),
    max_size=35_882_577,
    max_recipients=100,
    challenges_on_failure=True,
    rewrites_from=True,
    greeting="220 {host} ESMTP {mark}",
    hello="250 {host} at your service, [{client}]",
    authenticated="235 2.7.0 Accepted",
    authentication_refused=(
        "535 5.7.8 Username and Password not accepted. For more information, go to\n"
        "5.7.8  https://support.google.com/mail/?p=BadCredentials {mark}"
    ),
    authentication_required="530 5.7.0 Authentication Required. For more information, go to\n"
    "5.7.0  https://support.google.com/accounts/troubleshooter/2402620 {mark}",
    sender_ok="250 2.1.0 OK {mark}",
    recipient_ok="250 2.1.5 OK {mark}",
    too_many_recipients="452 4.5.3 Your message has too many recipients. {mark}",
    go_ahead="354 Go ahead {mark}",
    accepted="250 2.0.0 OK  {epoch} {mark}",
    send_as_denied="550 5.7.1 {user} may not send as {sender} {mark}",
    no_permission="550 5.7.1 {user} may not send as {sender} {mark}",
    smtp_disabled="534 5.7.9 Application-specific password required. {mark}",
    goodbye="221 2.0.0 closing connection {mark}",
)

OTHER = Temperament(
    name="other",
    host="mail.sandbox.test",
    scope="mail:smtp",
    auth=("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"),
    max_size=26_214_400,
    max_recipients=100,
    challenges_on_failure=True,
    rewrites_from=False,
    greeting="220 {host} ESMTP Postfix",
    hello="250 {host}",
    authenticated="235 2.7.0 Authentication successful",
    authentication_refused="535 5.7.8 Error: authentication failed: (reason unavailable)",
    authentication_required="530 5.7.0 Authentication required",
    sender_ok="250 2.1.0 Ok",
    recipient_ok="250 2.1.5 Ok",
    too_many_recipients="452 4.5.3 Error: too many recipients",
    go_ahead="354 End data with <CR><LF>.<CR><LF>",
    accepted="250 2.0.0 Ok: queued as {epoch}",
    send_as_denied="553 5.7.1 <{sender}>: Sender address rejected: not owned by user {user}",
    no_permission="553 5.7.1 <{sender}>: Sender address rejected: not owned by user {user}",
    smtp_disabled="535 5.7.8 Error: authentication failed: (reason unavailable)",
    goodbye="221 2.0.0 Bye",
)

TEMPERAMENTS = (MICROSOFT, GOOGLE, OTHER)
