"""What mail APIs have in common: each request shows an access token (RFC 6750), and is answered in JSON."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, ClassVar, Literal

from sandbox.provider.answers import as_json, refused

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

    from sandbox.provider.dialect import ErrorAnswer, Json
    from sandbox.provider.models import AccessToken
    from sandbox.provider.store import Store

Trouble = Literal["missing", "unknown", "expired", "revoked"]
"""Why no access token counts."""


class Denied(Exception):
    """A request that is not answered with what it asks for."""

    def __init__(self, answer: ErrorAnswer) -> None:
        super().__init__(answer.error)
        self.answer = answer


class MailApi(abc.ABC):
    """One provider's API. ``name`` is the endpoint of its faults."""

    name: ClassVar[str]
    provider: ClassVar[str]

    def __init__(self, store: Store) -> None:
        self.store = store

    def answer(self, request: Request, mailbox: str) -> Response:
        """Answer what is asked of a mailbox."""
        try:
            return as_json(self.show(self._usable(request), mailbox))
        except Denied as denied:
            return refused(denied.answer)

    def token_of(self, request: Request) -> AccessToken | None:
        """Return the token that a request shows, whatever its state."""
        return self.store.access_token(_shown(request))

    def _usable(self, request: Request) -> AccessToken:
        token = self.token_of(request)
        if token is None:
            raise Denied(self.token_refused("unknown" if _shown(request) else "missing"))
        if why := self.store.why_inactive(token):
            raise Denied(self.token_refused(why))
        return token

    @abc.abstractmethod
    def show(self, token: AccessToken, mailbox: str) -> Json:
        """Return what the API tells of a mailbox to whom has this token; raise ``Denied``."""

    @abc.abstractmethod
    def token_refused(self, trouble: Trouble) -> ErrorAnswer:
        """Say why a token does not count."""

    @abc.abstractmethod
    def named_error(self, name: str, correlation_id: str) -> ErrorAnswer:
        """Return the error that the API gives under this name, also for a fault that a test injects."""


def _shown(request: Request) -> str:
    return (request.authorization.token or "") if request.authorization else ""
