"""The API over the accounts side's real parts."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chalicelib.callers.models import Scope
from tests.unit.web_services import bearer, client

if TYPE_CHECKING:
    from chalice.test import Client

    from tests.unit.accounts_world import World


class Api:
    """Asks the API of a world, as an administrator of everything or as a caller of few accounts."""

    def __init__(self, world: World, *scopes: Scope, accounts: tuple[str, ...] = ("*",)) -> None:
        self._world = world
        self.caller, self._key = world.callers.create_key("tests", scopes or (Scope.ADMIN,), accounts)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and answer."""
        sent = b"" if body is None else json.dumps(body).encode()
        response = self._client.http.request(
            method, f"/v1{path}", headers=bearer(self._key.reveal()), body=sent
        )
        answer: dict[str, Any] = response.json_body
        return response.status_code, answer

    def done(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a request that succeeds."""
        status, answer = self.ask(method, path, body)
        assert status < 300, answer
        return answer

    def refused(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The error of a request that does not, with its status."""
        status, answer = self.ask(method, path, body)
        assert set(answer) == {"error"}, answer
        return {**answer["error"], "status": status}

    @cached_property
    def _client(self) -> Client:
        services: Any = self._world
        return client(services)
