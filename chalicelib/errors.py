"""Every error that Mailgrant raises on purpose, in one tree.

::

    MailgrantError
    ├── InvalidInput              422  a value is wrong; names the field
    │   └── MalformedRequest      400  the request cannot be read at all
    ├── Unauthenticated           401  no caller could be recognised
    ├── Forbidden                 403  the caller is known and may not do this
    ├── NotFound                  404  there is no such thing, or the caller may not know of it
    ├── MethodNotAllowed          405  the path exists, the method does not
    ├── Conflict                  409  the thing is in another state than the request needs
    ├── TooLarge                  413  more bytes or recipients than can be handled
    ├── UnsupportedMediaType      415  the content type is not one that is read here
    ├── RateLimited               429  so much was asked for as may be in a while; says when it may go on
    ├── Diagnosed                 502  a provider or a mail server refused; carries the Diagnosis
    └── Unavailable               503  something of ours did not answer; trying again helps

    ConfigurationError                 outside the tree on purpose: a broken installation must never
                                       be answered as if the caller had made a mistake
    └── Unreadable                     a stored value cannot be opened

Every error knows what is wrong, where, and how to fix it, and is shown in one shape everywhere:
``{"error": {"code", "message", "fix", "docs", "field"?}}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from chalicelib.diagnosis import Diagnosis

DOCS = "docs/errors.md"


def docs_of(code: str) -> str:
    """Where the documentation explains a code."""
    return f"{DOCS}#{code.replace('_', '-')}"


class MailgrantError(Exception):
    """The root of everything that a caller can be told.

    Arguments: `message` says in one sentence what is wrong, `fix` how to mend it, `field` where it is
    (a path such as ``attachments[2].content``), `code` replaces the class's own code.
    Neither text may hold a secret: both are shown and logged.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, fix: str, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.field = field
        self.error_code = code or self.code

    @property
    def chapter(self) -> str:
        """The code under which the documentation explains the error."""
        return self.error_code

    def to_json(self) -> dict[str, Any]:
        """The one shape of an error, ready for JSON."""
        error = {
            "code": self.error_code,
            "message": self.message,
            "fix": self.fix,
            "docs": docs_of(self.chapter),
        }
        if self.field is not None:
            error["field"] = self.field
        return {"error": error}


class InvalidInput(MailgrantError):
    """A value is wrong; `field` names it."""

    code = "invalid_input"
    status = 422


class MalformedRequest(InvalidInput):
    """The request cannot be read at all: not JSON, not the right shape of a callback."""

    code = "malformed_request"
    status = 400


class Unauthenticated(MailgrantError):
    """No caller could be recognised."""

    code = "unauthenticated"
    status = 401


class Forbidden(MailgrantError):
    """The caller is known and may not do this."""

    code = "forbidden"
    status = 403


class NotFound(MailgrantError):
    """There is no such thing, or the caller may not know of it: both answer alike."""

    code = "not_found"
    status = 404


class MethodNotAllowed(MailgrantError):
    """The path exists, the method does not."""

    code = "method_not_allowed"
    status = 405


class Conflict(MailgrantError):
    """The thing is in another state than the request needs."""

    code = "conflict"
    status = 409


class TooLarge(MailgrantError):
    """More bytes than can be handled."""

    code = "too_large"
    status = 413


class UnsupportedMediaType(MailgrantError):
    """The content type is not one that is read here."""

    code = "unsupported_media_type"
    status = 415


class RateLimited(MailgrantError):
    """So much was asked for as may be in a while; the same request can be sent again in `retry_after` s."""

    code = "rate_limited"
    status = 429
    retryable = True

    def __init__(self, message: str, *, fix: str, retry_after: int, code: str | None = None) -> None:
        super().__init__(message, fix=fix, code=code)
        self.retry_after = retry_after


class Diagnosed(MailgrantError):
    """A provider or a mail server refused; `diagnosis` says what it means and who can mend it."""

    code = "refused_by_provider"
    status = 502

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.message, fix=diagnosis.fix, code=diagnosis.code)
        self.diagnosis = diagnosis

    @property
    def chapter(self) -> str:
        """That of all refusals: their codes are the providers' own, without number."""
        return self.code


class Unavailable(MailgrantError):
    """Something of ours did not answer; the same request can be sent again."""

    code = "unavailable"
    status = 503
    retryable = True


class ConfigurationError(Exception):
    """The installation itself is broken: a missing variable, table, key or permission."""


class Unreadable(ConfigurationError):
    """A stored value cannot be opened: of an unknown format, damaged, or moved from another place.

    Never answered as if nothing were stored, and never taken for plaintext.
    """
