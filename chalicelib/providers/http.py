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

from chalicelib.errors import Diagnosed
from chalicelib.network import tls_context
from chalicelib.providers.replies import diagnose, transient

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext

    from requests import Response, Session

    from chalicelib.diagnosis import Diagnosis

TIMEOUTS = (3.05, 10.0)
"""Seconds to connect, and to wait for each read."""
TOTAL_TIMEOUT = 15.0
"""Seconds after which an answer that still trickles in is given up."""
LIMIT = 65_536
"""Bytes of an answer that are read."""
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

    def post(self, url: str, data: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """One POST of a form. Raises Diagnosed for anything but a 200 with a JSON object."""
        return self._call("POST", url, data=data, headers=headers)

    def get(self, url: str) -> Reply:
        """One GET. Raises Diagnosed for anything but a 200 with a JSON object."""
        return self._call("GET", url)

    def _call(self, method: str, url: str, **sent: Any) -> Reply:
        from requests import RequestException

        try:
            with _session(self._extra_ca) as session:
                options: dict[str, Any] = {"timeout": TIMEOUTS, "allow_redirects": False, "stream": True}
                with session.request(method, url, **options, **sent) as response:
                    return self._read(response)
        except RequestException as error:
            why = type(error).__name__
            raise Diagnosed(
                transient("provider_unreachable", "The provider did not answer.", text=why)
            ) from error

    def _read(self, response: Response) -> Reply:
        text = _bounded(response)
        if response.status_code == TOO_MANY or response.status_code >= SERVER_ERROR:
            self._busy(response)
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Diagnosed(_not_json(response)) from error
        if not isinstance(values, dict):
            raise Diagnosed(_not_json(response))
        if response.status_code != OK:
            raise Diagnosed(diagnose(self._provider, values))
        return Reply(values, text, dict(response.headers))

    def _busy(self, response: Response) -> NoReturn:
        limited = response.status_code == TOO_MANY
        message = "The provider limits our requests." if limited else "The provider has a failure of its own."
        wait = retry_after(response.headers.get("Retry-After"))
        if limited and wait is None:
            wait = DEFAULT_RETRY_AFTER
        raise Diagnosed(transient(f"http_{response.status_code}", message, retry_after=wait))


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


def _not_json(response: Response) -> Diagnosis:
    return transient(
        "not_json", f"The provider answered {response.status_code} with something that is not JSON."
    )


def _bounded(response: Response) -> str:
    until = time.monotonic() + TOTAL_TIMEOUT
    body = b""
    for chunk in response.iter_content(8192):
        body += chunk
        if len(body) > LIMIT:
            raise Diagnosed(transient("answer_too_large", "The provider's answer was too large to be one."))
        if time.monotonic() > until:
            raise Diagnosed(transient("provider_too_slow", "The provider's answer took too long."))
    return body.decode("utf-8", "replace")


def _session(extra_ca: str) -> Session:
    import requests
    from requests.adapters import HTTPAdapter

    context = _context(extra_ca)

    class VerifiedAdapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, ssl_context=context, **kwargs)

        def cert_verify(self, conn: Any, *_: Any) -> None:
            # Verification is the context's; requests would read the bundle again for every connection.
            conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None

    session = requests.Session()
    # Otherwise REQUESTS_CA_BUNDLE, proxies and .netrc of the environment would decide whom we trust.
    session.trust_env = False
    session.adapters.clear()  # no plain HTTP
    session.mount("https://", VerifiedAdapter())
    return session


@cache
def _context(extra_ca: str) -> SSLContext:
    """Made once: reading the authorities takes longer than a request."""
    import certifi

    context = tls_context(extra_ca)
    context.load_verify_locations(certifi.where())
    return context
