"""Microsoft Graph, as far as Mailgrant asks it: ``GET /v1.0/users/{id}``.

See https://learn.microsoft.com/graph/api/user-get, .../graph/errors and .../graph/throttling.
"""

# ruff: noqa: ARG002 - an interface's arguments are not needed by every implementation
from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sandbox.provider.dialect import ErrorAnswer, Json
from sandbox.provider.mail_api import Denied, MailApi, Trouble
from sandbox.provider.microsoft import tenant_id, user_tenant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.models import AccessToken, User
    from sandbox.provider.store import Store

UNAUTHORIZED = 401
CHALLENGE = (
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
    'client_id="00000003-0000-0000-c000-000000000000"'
)
_TROUBLES: Final[Mapping[Trouble, str]] = {
    "missing": "Access token is empty.",
    "unknown": "IDX14100: JWT is not well formed, there are no dots (.).",
    "expired": "Lifetime validation failed, the token is expired.",
    "revoked": (
        "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "
        "TokenIssuedBeforeRevocationTimestamp"
    ),
}
_WRONG_AUDIENCE = "Access token validation failure. Invalid audience."
# Code -> (status, message).
_ERRORS: Final[Mapping[str, tuple[int, str]]] = {
    "InvalidAuthenticationToken": (UNAUTHORIZED, _TROUBLES["unknown"]),
    "Authorization_RequestDenied": (403, "Insufficient privileges to complete the operation."),
    "ErrorAccessDenied": (403, "Access is denied. Check credentials and try again."),
    "Request_ResourceNotFound": (
        404,
        (
            "Resource '{mailbox}' does not exist or one of its queried reference-property objects are not "
            "present."
        ),
    ),
    "MailboxNotEnabledForRESTAPI": (
        404,
        "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
    ),
    "TooManyRequests": (429, "Please retry again later."),
    "UnknownError": (500, ""),
    "ServiceUnavailable": (503, "Service is temporarily unavailable. Please wait and try again."),
}


class Graph(MailApi):
    """Plays Graph for tokens of one ``resource``, which is its real address."""

    name = "graph"
    provider = "microsoft"

    def __init__(self, resource: str, store: Store) -> None:
        super().__init__(store)
        self._resource = resource

    def show(self, token: AccessToken, mailbox: str) -> Json:
        """Return the id of a user, whom ``mailbox`` names by id or sign-in name."""
        if token.audience != self._resource:
            raise Denied(_answer("InvalidAuthenticationToken", _WRONG_AUDIENCE))
        found = next((user for user in self._people(token) if _is(user, mailbox)), None)
        if not self._may_read(token, found):
            raise Denied(_answer("Authorization_RequestDenied"))
        if found is None:
            raise Denied(_answer("Request_ResourceNotFound", mailbox=mailbox))
        return {"@odata.context": f"{self._resource}/v1.0/$metadata#users(id)/$entity", "id": found.subject}

    def _people(self, token: AccessToken) -> list[User]:
        """Whom an application finds in its tenant; a person's own tenant does not matter, see below."""
        here = (one for one in self.store.users() if one.provider in (None, self.provider))
        return [one for one in here if token.user or user_tenant(one) == tenant_id(token.tenant)]

    def _may_read(self, token: AccessToken, found: User | None) -> bool:
        """An application may read all users or none, and a person no other one: who may is not played."""
        if not token.user:
            return "User.Read.All" in token.roles
        own = found is not None and found.address == token.user
        return own and f"{self._resource}/User.Read" in token.scopes

    def token_refused(self, trouble: Trouble) -> ErrorAnswer:
        """Each has its sentence."""
        return _answer("InvalidAuthenticationToken", _TROUBLES[trouble])

    def named_error(self, name: str, correlation_id: str) -> ErrorAnswer:
        """Take a code of Graph's."""
        return _answer(name)


def _is(user: User, mailbox: str) -> bool:
    return mailbox.lower() in (user.subject, user.address.lower())


def _answer(code: str, message: str = "", *, mailbox: str = "") -> ErrorAnswer:
    """The error of that code, with its usual message unless there is another one."""
    status, usual = _ERRORS.get(code, (400, "This error was ordered by a test."))
    text = message or usual.replace("{mailbox}", mailbox)
    request = str(uuid.uuid4())
    inner = {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
        "request-id": request,
        "client-request-id": request,
    }
    body: Json = {"error": {"code": code, "message": text, "innerError": inner}}
    return ErrorAnswer(status, code, text, body, CHALLENGE if status == UNAUTHORIZED else "")
