"""A plain client of the HTTP API, for the demo and the tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from sandbox.errors import SandboxError

TIMEOUT_SECONDS = 40


class ApiError(SandboxError):
    """The API refused a request; `status` and `error` are its answer."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(f"{status} {error.get('code')}: {error.get('message')} {error.get('fix')}")
        self.status = status
        self.error = error


@dataclass
class Api:
    """Calls the API at `url` with an API key; `cafile` is the CA that its certificate is checked against."""

    url: str
    key: str = field(repr=False)
    cafile: Path
    session: requests.Session = field(default_factory=requests.Session, repr=False)

    def __post_init__(self) -> None:
        """Keeps REQUESTS_CA_BUNDLE of the environment from replacing the CA."""
        self.session.trust_env = False
        self.session.verify = str(self.cafile)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """The answer to a request, whatever its status is."""
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        return self.session.request(
            method, f"{self.url}{path}", headers=headers, timeout=TIMEOUT_SECONDS, **options
        )

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        """The JSON of a successful answer. Raises ApiError otherwise."""
        response = self.request(method, path, json=body, **options)
        answer: dict[str, Any] = response.json()
        if not response.ok:
            raise ApiError(response.status_code, answer.get("error", answer))
        return answer

    def get(self, path: str, **options: Any) -> dict[str, Any]:
        """Same as call, by GET."""
        return self.call("GET", path, **options)

    def post(self, path: str, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Same as call, by POST."""
        return self.call("POST", path, body, **options)
