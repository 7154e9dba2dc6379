"""HTTPS to providers: verified, bounded in time and size, never redirected, never repeated by itself.

Everything that is not a 200 with a JSON object becomes a Diagnosed here, before msal or google-auth see it:
both would otherwise retry or cache by themselves, and both raise their errors in several shapes.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode

from chalicelib.errors import Diagnosed
from chalicelib.network import tls_context
from chalicelib.providers.replies import diagnose, transient

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext

    from urllib3 import BaseHTTPResponse, HTTPSConnectionPool
    from urllib3.util import Url

    from chalicelib.diagnosis import Diagnosis

TIMEOUTS = (3.05, 10.0)
"""Seconds to connect, and to wait for each read."""
TOTAL_TIMEOUT = 15.0
"""Seconds after which an answer that still trickles in is given up."""
LIMIT = 65_536
"""Bytes of an answer that are read."""
FORM = "application/x-www-form-urlencoded"
OK = 200
TOO_MANY = 429
SERVER_ERROR = 500
DEFAULT_RETRY_AFTER = 60
LONGEST_RETRY_AFTER = 3600


@dataclass(frozen=True, slots=True)
class Reply:
    """A 200 with a JSON object. It may hold tokens, so its repr shows nothing of it."""

    values: dict[str, Any] = field(repr=False)
    text: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class ProviderHttp:
    """One provider's HTTPS. Make one for each call: nothing is kept from one call to the next."""

    def __init__(self, provider: str, extra_ca: str = "") -> None:
        self._provider = provider
        self._extra_ca = extra_ca

    def post(
        self, url: str, data: Mapping[str, str] | bytes, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One POST of a form. Raises Diagnosed for anything but a 200 with a JSON object."""
        body = data if isinstance(data, bytes) else urlencode(data)
        return self._call("POST", url, body, {"Content-Type": FORM, **(headers or {})})

    def get(self, url: str) -> Reply:
        """One GET. Raises Diagnosed for anything but a 200 with a JSON object."""
        return self._call("GET", url, None, {})

    def _call(self, method: str, url: str, body: bytes | str | None, headers: Mapping[str, str]) -> Reply:
        from urllib3.exceptions import HTTPError
        from urllib3.util import parse_url

        once = {"retries": False, "redirect": False, "preload_content": False}
        headers = {"Accept": "application/json", **headers}
        try:
            where = parse_url(url)
            with (
                _pool(where, self._extra_ca) as pool,
                pool.urlopen(method, where.request_uri, body, headers, **once) as response,
            ):
                return self._read(response)
        except HTTPError as error:
            why = type(error).__name__
            raise Diagnosed(
                transient("provider_unreachable", "The provider did not answer.", text=why)
            ) from error

    def _read(self, response: BaseHTTPResponse) -> Reply:
        text = _bounded(response)
        if response.status == TOO_MANY or response.status >= SERVER_ERROR:
            self._busy(response)
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Diagnosed(_not_json(response)) from error
        if not isinstance(values, dict):
            raise Diagnosed(_not_json(response))
        if response.status != OK:
            raise Diagnosed(diagnose(self._provider, values))
        return Reply(values, text, dict(response.headers))

    def _busy(self, response: BaseHTTPResponse) -> NoReturn:
        limited = response.status == TOO_MANY
        message = "The provider limits our requests." if limited else "The provider has a failure of its own."
        wait = retry_after(response.headers.get("Retry-After"))
        if limited and wait is None:
            wait = DEFAULT_RETRY_AFTER
        raise Diagnosed(transient(f"http_{response.status}", message, retry_after=wait))


def retry_after(header: str | None) -> int | None:
    """The seconds of a Retry-After header (RFC 9110, section 10.2.3), between 1 and an hour."""
    if not header:
        return None
    try:
        seconds = int(header) if header.strip().isdigit() else int(_from_now(header))
    except ValueError:
        return None
    return min(max(seconds, 1), LONGEST_RETRY_AFTER)


def _from_now(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()


def _not_json(response: BaseHTTPResponse) -> Diagnosis:
    return transient("not_json", f"The provider answered {response.status} with something that is not JSON.")


def _bounded(response: BaseHTTPResponse) -> str:
    until = time.monotonic() + TOTAL_TIMEOUT
    body = b""
    for chunk in response.stream(8192, decode_content=True):
        body += chunk
        if len(body) > LIMIT:
            raise Diagnosed(transient("answer_too_large", "The provider's answer was too large to be one."))
        if time.monotonic() > until:
            raise Diagnosed(transient("provider_too_slow", "The provider's answer took too long."))
    return body.decode("utf-8", "replace")


def _pool(where: Url, extra_ca: str) -> HTTPSConnectionPool:
    """For one connection. Nothing of the environment (proxies, authorities) decides whom we trust."""
    from urllib3 import HTTPSConnectionPool, Timeout
    from urllib3.exceptions import LocationValueError

    if where.scheme != "https" or not where.host:
        raise LocationValueError("not HTTPS")
    timeout = Timeout(connect=TIMEOUTS[0], read=TIMEOUTS[1])
    return HTTPSConnectionPool(where.host, where.port, timeout=timeout, ssl_context=_context(extra_ca))


@cache
def _context(extra_ca: str) -> SSLContext:
    """Made once: reading the authorities takes longer than a request."""
    import certifi

    context = tls_context(extra_ca)
    context.load_verify_locations(certifi.where())
    return context
