"""The Gmail API, as far as Mailgrant asks it: ``GET /gmail/v1/users/{userId}/profile``.

See https://developers.google.com/workspace/gmail/api/reference/rest/v1/users/getProfile and
https://developers.google.com/workspace/gmail/api/guides/handle-errors.
"""

# ruff: noqa: ARG002 - an interface's arguments are not needed by every implementation
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandbox.provider.dialect import ErrorAnswer, Json
from sandbox.provider.mail_api import Denied, MailApi, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.models import AccessToken

READS = frozenset(
    {
        "https://mail.google.com/",
        *(
            f"https://www.googleapis.com/auth/gmail.{name}"
            for name in ("modify", "compose", "readonly", "metadata")
        ),
    }
)
"""The scopes with each of which a profile may be read; that for sending only is none of them."""
REALM = 'Bearer realm="https://accounts.google.com/"'


@dataclass(frozen=True)
class _Row:
    """An error. ``short`` is the message beside its reason, where that is another one."""

    code: int
    status: str
    message: str
    short: str = ""
    domain: str = "global"
    challenge: str = ""


_CREDENTIAL = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. "
    "See https://developers.google.com/identity/sign-in/web/devconsole-project."
)
_ERRORS: Final[Mapping[str, _Row]] = {
    "required": _Row(
        401,
        "UNAUTHENTICATED",
        f"Request is missing required authentication credential. {_CREDENTIAL}",
        "Login Required.",
        challenge=REALM,
    ),
    "authError": _Row(
        401,
        "UNAUTHENTICATED",
        f"Request had invalid authentication credentials. {_CREDENTIAL}",
        "Invalid Credentials",
        challenge=f'{REALM}, error="invalid_token"',
    ),
    "insufficientPermissions": _Row(
        403,
        "PERMISSION_DENIED",
        "Request had insufficient authentication scopes.",
        "Insufficient Permission",
        challenge=f'{REALM}, error="insufficient_scope", scope="{" ".join(sorted(READS))}"',
    ),
    "forbidden": _Row(403, "PERMISSION_DENIED", "Delegation denied for {user}"),
    "accessNotConfigured": _Row(
        403,
        "PERMISSION_DENIED",
        "Gmail API has not been used in project 123456789012 before or it is disabled. Enable it by visiting "
        "https://console.developers.google.com/apis/api/gmail.googleapis.com/overview?project=123456789012 "
        "then retry. If you enabled this API recently, wait a few minutes for the action to propagate to our "
        "systems and retry.",
        domain="usageLimits",
    ),
    "userRateLimitExceeded": _Row(403, "PERMISSION_DENIED", "User Rate Limit Exceeded", domain="usageLimits"),
    "rateLimitExceeded": _Row(429, "RESOURCE_EXHAUSTED", "User-rate limit exceeded.", domain="usageLimits"),
    "failedPrecondition": _Row(400, "FAILED_PRECONDITION", "Precondition check failed."),
    "backendError": _Row(503, "UNAVAILABLE", "Backend Error"),
}


class Gmail(MailApi):
    """Plays the Gmail API for tokens that Google has issued."""

    name = "gmail"
    provider = "google"

    def show(self, token: AccessToken, mailbox: str) -> Json:
        """Return the profile of the token's own mailbox, by its address or as ``me``."""
        client = self.store.client(token.client_id)
        if client is None or client.provider != self.provider:
            raise Denied(self.token_refused("unknown"))
        if READS.isdisjoint(token.scopes):
            raise Denied(_answer("insufficientPermissions"))
        user = self.store.user(token.user)
        if user is None:  # a service account that acts for nobody has no mailbox
            raise Denied(_answer("failedPrecondition"))
        if mailbox != "me" and not user.answers_to(mailbox):
            raise Denied(_answer("forbidden", user=user.address))
        return {"emailAddress": user.address, "messagesTotal": 0, "threadsTotal": 0, "historyId": "1"}

    def token_refused(self, trouble: Trouble) -> ErrorAnswer:
        """Google does not say why."""
        return _answer("required" if trouble == "missing" else "authError")

    def named_error(self, name: str, correlation_id: str) -> ErrorAnswer:
        """Take a reason of the Gmail API's."""
        return _answer(name)


def _answer(reason: str, *, user: str = "") -> ErrorAnswer:
    row = _ERRORS.get(reason) or _Row(400, "INVALID_ARGUMENT", "This error was ordered by a test.")
    message = row.message.replace("{user}", user)
    entry = {"message": row.short or message, "domain": row.domain, "reason": reason}
    error = {"code": row.code, "message": message, "errors": [entry], "status": row.status}
    return ErrorAnswer(row.code, reason, message, {"error": error}, row.challenge)
