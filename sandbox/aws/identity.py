"""STS as it is: GetWebIdentityToken answers with a token that others can verify.

The emulator looks at the caller's permission and at the request, but signs with a key that everybody knows,
and does not know the conditions of STS in policies. In between, what its token says is signed anew, with
RS256 and in the name of this account's own issuer, and what the roles' policies allow is kept to.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from sandbox.aws.emulator import ACCOUNT_ID
from sandbox.aws.passing import Answer, PassingHandler, PassingServer
from sandbox.credentials import ENTRA_AUDIENCE, WebIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBJECT: Final = f"arn:aws:iam::{ACCOUNT_ID}:root"
"""Whom the emulator names, whoever asks."""
LONGEST: Final = 300
"""Seconds that a token may live, by the policies of the application's roles."""
_DENIED: Final = (
    b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"
    b"<Message>The conditions of the policy are not met</Message></Error></ErrorResponse>"
)
_TOKEN: Final = re.compile(rb'(?<=<WebIdentityToken>)[^<]+|(?<="WebIdentityToken": ")[^"]+')


class Identity(PassingServer):
    """Stands before STS of the emulator on `backend_port`; `issuer` signs."""

    def __init__(self, backend_port: int) -> None:
        """Bind a free port."""
        super().__init__(_Handler, backend_port)
        self.issuer = WebIdentity.create()

    @property
    def trusted(self) -> dict[str, str]:
        """What an application registers at Microsoft to take this account's tokens for its own."""
        return self.issuer.trusted(SUBJECT)

    def signed(self, token: str) -> str:
        """The same claims, signed by the issuer."""
        payload = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return self.issuer.token(claims["sub"], claims["aud"], iat=claims["iat"], exp=claims["exp"])


class _Handler(PassingHandler):
    server: Identity

    def answer(self, body: bytes) -> Answer:
        """Sign what the emulator answers, unless the policies' conditions forbid the request."""
        asked = dict(parse_qsl(body.decode("utf-8", "replace")))
        if asked.get("Action") == "GetWebIdentityToken" and not _is_allowed(asked):
            return Answer(HTTPStatus.FORBIDDEN, [("Content-Type", "text/xml")], _DENIED)
        status, headers, content = self.pass_on(body)
        signed = _TOKEN.sub(lambda found: self.server.signed(found[0].decode()).encode(), content)
        return Answer(status, headers, signed)


def _is_allowed(asked: Mapping[str, str]) -> bool:
    audiences = {value for name, value in asked.items() if name.startswith("Audience.")}
    return audiences == {ENTRA_AUDIENCE} and int(asked.get("DurationSeconds", LONGEST)) <= LONGEST
