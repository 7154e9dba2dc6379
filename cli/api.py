"""Asks the API. What may be asked twice without harm is asked again when the network or the service fails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import requests

from cli.config import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cli.config import Config

TIMEOUTS = (5, 60)
"""Seconds to connect and to wait for an answer; API Gateway answers within 29."""

PAUSES = (0.5, 1.5, 4.0)
"""Seconds before each further try."""

LARGEST_PAGE = 100
RETRYABLE = frozenset({429, 502, 503, 504})
REFUSED = 400
TOO_LARGE = 413


class ApiError(Exception):
    """The API refused. `error` is the object under its key ``error``."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("message", f"HTTP {status}")))
        self.status = status
        self.error = error


class Unreachable(Exception):
    """No answer could be had from that URL; `why` says the reason."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"Cannot reach {url}: {why}.")


class Api:
    """The API of one stage, asked with one key. A class because it keeps the connection."""

    def __init__(
        self,
        config: Config,
        timeouts: tuple[float, float] = TIMEOUTS,
        pauses: Sequence[float] | None = None,
    ) -> None:
        self.config = config
        self._timeouts = timeouts
        self._pauses = PAUSES if pauses is None else pauses
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {config.key}"
        # A proxy of the environment cannot reach this machine's own loopback.
        self._session.trust_env = not is_loopback(urlsplit(config.url).hostname or "")

    def get(self, path: str, **query: str | int | None) -> dict[str, Any]:
        """The answer to GET /v1/<path>; parameters that are None are left out."""
        return self._ask("GET", f"/v1/{path}", query=query, again=True)

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        again: bool = False,
    ) -> dict[str, Any]:
        """The answer to POST /v1/<path>.

        After a failure it is sent again only with an idempotency key, or where `again` says that it may be.
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        again = again or bool(idempotency_key)
        return self._ask("POST", f"/v1/{path}", body=body, headers=headers, again=again)

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to PUT /v1/<path>."""
        return self._ask("PUT", f"/v1/{path}", body=body, again=True)

    def patch(self, path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        """The answer to PATCH /v1/<path>."""
        return self._ask("PATCH", f"/v1/{path}", query=query, body=body, again=True)

    def delete(self, path: str, **query: str) -> dict[str, Any]:
        """The answer to DELETE /v1/<path>."""
        return self._ask("DELETE", f"/v1/{path}", query=query, again=True)

    def pages(self, path: str, name: str, limit: int | None = None, **query: str) -> Iterator[dict[str, Any]]:
        """The entries of a paged list, at most `limit` of them."""
        cursor: str | None = None
        count = 0
        while True:
            wanted = None if limit is None else min(limit - count, LARGEST_PAGE)
            page = self.get(path, cursor=cursor, limit=wanted, **query)
            yield from page[name]
            count += len(page[name])
            cursor = page.get("cursor")
            if cursor is None or (limit is not None and count >= limit):
                return

    def _ask(
        self,
        method: str,
        path: str,
        *,
        again: bool,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        for pause in (*self._pauses, None) if again else (None,):
            try:
                response = self._session.request(
                    method,
                    self.config.url + path,
                    params=query,
                    json=body,
                    headers=headers,
                    timeout=self._timeouts,
                    allow_redirects=False,
                    # Here and not on the session, where REQUESTS_CA_BUNDLE would win over it.
                    verify=self.config.ca or True,
                )
            except requests.RequestException as error:
                if pause is None:
                    raise Unreachable(self.config.url, _said(error)) from error
            else:
                if pause is None or response.status_code not in RETRYABLE:
                    return self._answer(response)
            time.sleep(pause)
        raise AssertionError("the last try answers or raises")

    def _answer(self, response: requests.Response) -> dict[str, Any]:
        try:
            found = response.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            what = f"HTTP {response.status_code}, but what came is not Mailgrant's answer"
            raise Unreachable(self.config.url, what)
        if response.status_code >= REFUSED:
            error = found.get("error")
            told = error if isinstance(error, dict) else _of_aws(response, found)
            raise ApiError(response.status_code, told)
        return found


def _of_aws(response: requests.Response, found: Mapping[str, Any]) -> dict[str, Any]:
    """What AWS itself has answered, in the shape of our errors.

    It looks at the size of a request before it knows whose it is, and so has words of its own for that.
    """
    said = str(found.get("message") or found.get("Message") or f"HTTP {response.status_code}")
    if response.status_code == TOO_LARGE:
        return {
            "code": "too_large",
            "message": f"API Gateway does not take a request of this size: {said}",
            "fix": "Send less, or smaller attachments: 4.4 MB in all.",
            "docs": "docs/errors.md#too-large",
        }
    return {**found, "message": said}


def part(text: str) -> str:
    """The text as one part of a path."""
    return quote(text, safe="")


def _said(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted; --ca or MAILGRANT_CA names the file of a private CA"
    if isinstance(error, requests.Timeout):
        return "it did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection could be made"
    return type(error).__name__
