"""One request to the API: who asks, with what, and the services that answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

from chalicelib import reading
from chalicelib.callers.permissions import require, unknown_account
from chalicelib.errors import InvalidInput, NotFound, UnsupportedMediaType
from chalicelib.web.api import bodies, queries

if TYPE_CHECKING:
    from chalice.app import Request

    from chalicelib.accounts.models.account import Account
    from chalicelib.callers.models import Caller, Scope
    from chalicelib.wiring import Gateway

Body = TypeVar("Body", bound=bodies.Request)
Asked = TypeVar("Asked", bound=queries.Query)


@dataclass(frozen=True, slots=True)
class Call:
    """What a view of the API is given."""

    request: Request
    caller: Caller
    services: Gateway

    @property
    def raw_body(self) -> bytes:
        """The body as it came; empty where there is none.

        Raises UnsupportedMediaType for a compressed one, unread: a small body could become a huge one.
        """
        encoding = self.request.headers.get("content-encoding", "identity")
        if encoding.strip().lower() not in {"", "identity"}:
            raise UnsupportedMediaType(
                "The body is compressed.", fix="Send it as it is, without Content-Encoding."
            )
        raw = self.request.raw_body
        return raw if isinstance(raw, bytes) else raw.encode()

    def body(self, type_: type[Body], *, optional: bool = False) -> Body:
        """The body as that type; raises MalformedRequest or InvalidInput. An optional one may be missing."""
        raw = self.raw_body
        return type_() if optional and not raw else reading.read(raw, type_)

    def query(self, type_: type[Asked]) -> Asked:
        """The query as that type. Raises InvalidInput, also for a parameter that comes twice."""
        named = {name: self._parameter(name) for name in type_.__struct_fields__}
        given = {name: text for name, text in named.items() if text is not None}
        query = reading.convert(given, type_, strict=False)
        for name in given:
            if getattr(query, name) is None:  # msgspec reads the text null so; here it is left out instead
                raise InvalidInput(f"{name} is null.", fix="Leave it out.", field=name)
        return query

    def _parameter(self, name: str) -> str | None:
        parameters = self.request.query_params
        values = parameters.getlist(name) if parameters and name in parameters else []
        if len(values) > 1:
            raise InvalidInput(f"{name} is given more than once.", fix="Give it once.", field=name)
        for value in values:
            reading.require_utf8(value, f"The parameter {name}")
        return values[0] if values else None

    def account(self, named: str, scope: Scope) -> Account:
        """The account with that id or name, which the caller may use with the scope.

        Raises NotFound for an unknown and for a forbidden account alike, Forbidden when the scope is missing.
        """
        try:
            account = self.services.registry.account(named)
        except NotFound as error:
            raise unknown_account() from error
        require(self.caller, scope, account.id)
        return account


def decoded(text: str) -> str:
    """A path parameter as it was meant: API Gateway and Chalice hand it on percent-encoded.

    Raises MalformedRequest for one that is not UTF-8.
    """
    path = unquote(text, errors="replace")
    reading.require_utf8(path, "The path")
    return path
