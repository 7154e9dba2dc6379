"""Asks the sandbox's provider whether an access token may send as a mailbox."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.mailserver.sasl import Credentials
    from sandbox.mailserver.temperament import Temperament

_TIMEOUT_SECONDS = 10.0
_OK = 200


class ProviderUnavailable(Exception):
    """The provider could not be asked, or gave no answer that can be read."""


class TokenChecker:
    """Checks access tokens by ``POST {provider_url}/_control/introspect`` over verified TLS.

    Nothing is cached: a token that is revoked or expires is refused at the very next AUTH.
    """

    def __init__(self, provider_url: str, cafile: str | Path) -> None:
        """Ask the provider at this https base URL, verified by this CA; raises ValueError for plain http."""
        parts = urlsplit(provider_url)
        if parts.scheme != "https" or parts.hostname is None:
            message = f"the provider's URL must be https: {provider_url}"
            raise ValueError(message)
        self._host, self._port = parts.hostname, parts.port or 443
        self._path = parts.path.rstrip("/") + "/_control/introspect"
        self._context = ssl.create_default_context(cafile=cafile)

    def refusal(self, credentials: Credentials, temperament: Temperament) -> str | None:
        """Return why the listener refuses the credentials, or None if it accepts them.

        Raises ProviderUnavailable if the provider gives no usable answer.
        """
        answer = self._introspect(credentials.token)
        if not answer["active"]:
            return str(answer.get("reason") or "the token is not active")
        return (
            _wrong_user(answer, credentials.user) or _wrong_resource(answer, temperament) or _expired(answer)
        )

    def _introspect(self, token: str) -> dict[str, Any]:
        try:
            answer = json.loads(self._post(json.dumps({"token": token})))
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"the provider could not be asked: {type(error).__name__}"
            raise ProviderUnavailable(message) from error
        if not isinstance(answer, dict) or "active" not in answer:
            message = "the provider's answer does not say whether the token is active"
            raise ProviderUnavailable(message)
        return answer

    def _post(self, body: str) -> bytes:
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=_TIMEOUT_SECONDS, context=self._context
        )
        try:
            connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != _OK:
            message = f"the provider answered {response.status}"
            raise ProviderUnavailable(message)
        return content


def _wrong_user(answer: dict[str, Any], user: str) -> str | None:
    if str(answer.get("user", "")).casefold() == user.casefold():
        return None
    return "the token is for another mailbox"


def _wrong_resource(answer: dict[str, Any], temperament: Temperament) -> str | None:
    if temperament.audience is not None and answer.get("aud") != temperament.audience:
        return f"the token's audience is not {temperament.audience}"
    if temperament.scope not in str(answer.get("scope", "")).split():
        return f"the token lacks the scope {temperament.scope}"
    return None


def _expired(answer: dict[str, Any]) -> str | None:
    return None if float(answer.get("expires_at", 0)) > time.time() else "the token has expired"
