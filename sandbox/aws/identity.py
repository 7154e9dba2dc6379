"""STS as it is: GetWebIdentityToken answers with a token that others can verify.

The emulator looks at the caller's permission and at the request, but signs with a key that everybody knows.
In between, what its token says is signed anew, with RS256 and in the name of this account's own issuer.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from typing import Final

from sandbox.aws.emulator import ACCOUNT_ID
from sandbox.aws.passing import Answer, PassingHandler, PassingServer
from sandbox.credentials import WebIdentity

SUBJECT: Final = f"arn:aws:iam::{ACCOUNT_ID}:root"
"""Whom the emulator names, whoever asks."""
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
        """Sign what the emulator answers."""
        status, headers, content = self.pass_on(body)
        signed = _TOKEN.sub(lambda found: self.server.signed(found[0].decode()).encode(), content)
        return Answer(status, headers, signed)
