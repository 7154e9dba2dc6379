"""Asks the sandbox's provider whose an access token or a password is, and what the token is good for."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sandbox.mailserver.mailboxes import Holder

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.mailserver.sasl import Credentials
    from sandbox.mailserver.temperament import Temperament

_TIMEOUT_SECONDS = 10.0
_OK = 200


class ProviderUnavailable(Exception):
    """The provider could not be asked, or gave no answer that can be read."""


class Refused(Exception):
    """The credentials are good for nothing here; the text says why."""


class TokenChecker:
    """Checks access tokens by ``POST {provider_url}/_control/introspect`` over verified TLS; passwords alike.

    Nothing is cached: a token that is revoked or expires is refused at the very next AUTH.
    """

    def __init__(self, provider_url: str, cafile: str | Path) -> None:
        """Ask the provider at this https base URL, verified by this CA; raises ValueError for plain http."""
        parts = urlsplit(provider_url)
        if parts.scheme != "https" or parts.hostname is None:
            message = f"the provider's URL must be https: {provider_url}"
            raise ValueError(message)
        self._host, self._port = parts.hostname, parts.port or 443
        self._path = parts.path.rstrip("/") + "/_control/"
        self._context = ssl.create_default_context(cafile=cafile)

    def holder(self, credentials: Credentials, temperament: Temperament) -> Holder:
        """Return whose the token or the password is.

        Raises Refused if the listener does not take it, and ProviderUnavailable if the provider gives no
        usable answer.
        """
        call = "introspect-password" if credentials.by_password else "introspect"
        answer = self._introspect(call, credentials.token)
        if not answer["active"]:
            raise Refused(str(answer.get("reason") or "it is not active"))
        user = str(answer.get("user", ""))
        if credentials.by_password:
            return Holder(user)
        if wrong := _wrong_resource(answer, temperament) or _expired(answer):
            raise Refused(wrong)
        return Holder(user, "" if user else str(answer.get("client_id", "")))

    def _introspect(self, call: str, secret: str) -> dict[str, Any]:
        try:
            answer = json.loads(self._post(call, json.dumps({"token": secret})))
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"the provider could not be asked: {type(error).__name__}"
            raise ProviderUnavailable(message) from error
        if not isinstance(answer, dict) or "active" not in answer:
            message = "the provider's answer does not say whether the token is active"
            raise ProviderUnavailable(message)
        return answer

    def _post(self, call: str, body: str) -> bytes:
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=_TIMEOUT_SECONDS, context=self._context
        )
        try:
            connection.request("POST", self._path + call, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != _OK:
            message = f"the provider answered {response.status}"
            raise ProviderUnavailable(message)
        return content


def _wrong_resource(answer: dict[str, Any], temperament: Temperament) -> str | None:
    audience = str(answer.get("aud", ""))
    if temperament.audiences and audience not in temperament.audiences:
        return f"the token's audience is not {temperament.audiences[0]}"
    if not answer.get("user"):
        lacks = not temperament.role or temperament.role not in answer.get("roles", ())
        return f"the token lacks the role {temperament.role}" if lacks else None
    scope = temperament.scope_at(audience)
    return None if scope in str(answer.get("scope", "")).split() else f"the token lacks the scope {scope}"


def _expired(answer: dict[str, Any]) -> str | None:
    return None if float(answer.get("expires_at", 0)) > time.time() else "the token has expired"
