"""What differs between the Microsoft and the Google listener, as data.

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

    ``audience`` is the ``aud`` that a token must have, or None where the provider's tokens name none;
    ``scope`` must be among the token's scopes. ``challenges_on_failure`` sends the SASL challenge of
    Google's XOAUTH2 before the 535. ``rewrites_from`` puts the account into the From header instead of
    refusing another sender.
    """

    name: str
    host: str
    audience: str | None
    scope: str
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
    goodbye: str

    def reply(self, template: str, **facts: str) -> Reply:
        """Fill one of this temperament's templates; a fact that the template names must be given."""
        mark = f"{secrets.token_hex(8)}-{secrets.token_hex(6)}.1 - gsmtp"
        now = time.time()
        written = template.format(host=self.host, mark=mark, now=formatdate(now), epoch=int(now), **facts)
        return Reply.parse(written)


MICROSOFT = Temperament(
    name="microsoft",
    host="outlook.sandbox.test",
    audience="https://outlook.office.com",
    scope="https://outlook.office.com/SMTP.Send",
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
    goodbye="221 2.0.0 Service closing transmission channel",
)

GOOGLE = Temperament(
    name="google",
    host="gmail.sandbox.test",
    audience=None,
    scope="https://mail.google.com/",
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
    goodbye="221 2.0.0 closing connection {mark}",
)
