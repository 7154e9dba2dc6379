"""HTTPS to providers: verified, bounded in time and size, never redirected, never repeated by itself.

Everything that is not a 200 with a JSON object becomes a Diagnosed here, before msal or google-auth see it:
both would otherwise retry or cache by themselves, and both raise their errors in several shapes.
"""

from __future__ import annotations

import json
import ssl
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode

from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed, InvalidInput, Unavailable
from chalicelib.network import Trust, tls_context
from chalicelib.providers.replies import diagnose, transient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3 import BaseHTTPResponse, HTTPSConnectionPool
    from urllib3.util import Url

TIMEOUTS = (3.05, 10.0)
"""Seconds to connect, and to wait for each read."""
TOTAL_TIMEOUT = 15.0
"""Seconds after which an answer that still trickles in is given up."""
MOST_ADDRESSES = 3
"""How many addresses of a host are tried."""
LIMIT = 65_536
"""Bytes of an answer that are read."""
FORM = "application/x-www-form-urlencoded"
OK = 200
TOO_MANY = 429
SERVER_ERROR = 500
DEFAULT_RETRY_AFTER = 60
LONGEST_RETRY_AFTER = 3600
ONCE: dict[str, Any] = {"retries": False, "redirect": False, "preload_content": False}
USUAL = Trust()
"""The usual authorities, and hosts that no user has named."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A 200 with a JSON object. It may hold tokens, so its repr shows nothing of it."""

    values: dict[str, Any] = field(repr=False)
    text: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class ProviderHttp:
    """One provider's HTTPS. Make one for each call: nothing is kept from one call to the next."""

    def __init__(self, provider: str, trust: Trust = USUAL) -> None:
        self._provider = provider
        self._trust = trust

    def post(
        self, url: str, data: Mapping[str, str] | bytes, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One POST of a form. Raises Diagnosed for anything but a 200 with a JSON object."""
        body = data if isinstance(data, bytes) else urlencode(data)
        return self._call("POST", url, body, {"Content-Type": FORM, **(headers or {})})

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        """One GET. Raises Diagnosed for anything but a 200 with a JSON object."""
        return self._call("GET", url, None, headers or {})

    def _call(self, method: str, url: str, body: bytes | str | None, headers: Mapping[str, str]) -> Reply:
        from urllib3.exceptions import HTTPError, ReadTimeoutError
        from urllib3.util import parse_url

        try:
            where = parse_url(url)
            headers = {"Host": where.netloc or "", "Accept": "application/json", **headers}
            return self._first(_pools(where, self._trust), (method, where.request_uri, body, headers))
        except ReadTimeoutError as error:
            raise Diagnosed(transient("provider_too_slow", "The provider's answer took too long.")) from error
        except HTTPError as error:
            why = type(error).__name__
            raise Diagnosed(
                transient("provider_unreachable", "The provider did not answer.", text=why)
            ) from error
        except Unavailable as error:
            raise Diagnosed(transient("dns_failed", error.message)) from error
        except InvalidInput as error:
            code, message = error.error_code, error.message
            raise Diagnosed(Diagnosis(DiagnosisClass.ADMIN, code, message, error.fix)) from error

    def _first(self, pools: list[HTTPSConnectionPool], request: tuple[Any, ...]) -> Reply:
        """The answer of the first that can be connected to. What was sent once is not sent again."""
        from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

        for pool in pools:
            try:
                with pool, pool.urlopen(*request, **ONCE) as response:
                    return self._read(response)
            except (ConnectTimeoutError, NewConnectionError):
                if pool is pools[-1]:
                    raise
        raise ValueError("there is nobody to ask")

    def _read(self, response: BaseHTTPResponse) -> Reply:
        text = _bounded(response)
        if response.status == TOO_MANY or response.status >= SERVER_ERROR:
            self._busy(response)
        try:
            values = json.loads(text) if text else {}  # as of RFC 7009, where only the status counts
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
    body = b""
    for chunk in response.stream(8192, decode_content=True):
        body += chunk
        if len(body) > LIMIT:
            raise Diagnosed(transient("answer_too_large", "The provider's answer was too large to be one."))
    return body.decode("utf-8", "replace")


def _pools(where: Url, trust: Trust) -> list[HTTPSConnectionPool]:
    """One for each address of the host, for one connection each; the certificate must bear the host's name.

    Nothing of the environment (proxies, authorities) decides whom we trust.
    """
    from urllib3 import HTTPSConnectionPool, Timeout
    from urllib3.exceptions import LocationValueError

    if where.scheme != "https" or not where.host:
        raise LocationValueError("not HTTPS")
    host, port = where.host.strip("[]"), where.port or 443
    addresses = trust.resolve(host, port)[:MOST_ADDRESSES] if trust.resolve else [host]
    options: dict[str, Any] = {
        "timeout": Timeout(connect=TIMEOUTS[0], read=TIMEOUTS[1]),
        "ssl_context": _context(trust.extra_ca),
        "server_hostname": host,
    }
    return [HTTPSConnectionPool(address, port, **options) for address in addresses]


class _BoundedSocket(ssl.SSLSocket):
    """Reads for TOTAL_TIMEOUT, and not for as long as something trickles in."""

    until: float | None = None

    def recv_into(self, *args: Any, **options: Any) -> int:
        now = time.monotonic()
        self.until = self.until or now + TOTAL_TIMEOUT
        if now >= self.until:
            raise TimeoutError("the answer took too long")
        self.settimeout(min(self.until - now, TIMEOUTS[1]))
        return super().recv_into(*args, **options)


@lru_cache(maxsize=8)
def _context(extra_ca: str) -> ssl.SSLContext:
    """Made once: reading the authorities takes longer than a request."""
    import certifi

    context = tls_context(extra_ca)
    context.load_verify_locations(certifi.where())
    context.sslsocket_class = _BoundedSocket
    return context
