"""One HTTPS request by requests: verified, bounded in time and size, never redirected, never repeated.

It goes through requests' adapter and not through its Session, which would read the whole body of a redirect
before we could bound it, and asks the environment for proxies and passwords.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from chalicelib.network import dial, left, tls_context

if TYPE_CHECKING:
    from requests import Response
    from requests.adapters import HTTPAdapter

    from chalicelib.network import Trust

CONNECT, READ = 3.05, 10.0
"""Seconds to connect to one address and to secure that, and to wait for each read."""
MOST_ADDRESSES = 3
"""How many addresses of a host are tried."""
LIMIT = 65_536
"""Bytes of an answer that are read."""
OK, MOVED, REFUSED, TOO_MANY, SERVER_ERROR = 200, 300, 400, 429, 500
DEFAULT_RETRY_AFTER = 60
LONGEST_RETRY_AFTER = 3600


Connected = Callable[[str], None]
"""Is told the version of TLS of a connection."""


class AnswerTooLarge(ValueError):
    """The answer has more than LIMIT bytes."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request. It may hold secrets, so its repr shows nothing but its method."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. It may hold tokens, so its repr shows nothing of it."""

    status: int
    text: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @property
    def succeeds(self) -> bool:
        """Whether the server did what was asked (2xx)."""
        return OK <= self.status < MOVED

    @property
    def redirects_to(self) -> str | None:
        """The address that the server names in the place of the one that was asked, or None."""
        return self.headers.get("Location", "") if MOVED <= self.status < REFUSED else None

    @property
    def is_limited(self) -> bool:
        """Whether the server has too many requests of ours."""
        return self.status == TOO_MANY

    @property
    def is_busy(self) -> bool:
        """Whether it says nothing of what was asked: the server limits us, or has a failure of its own."""
        return self.is_limited or self.status >= SERVER_ERROR

    @property
    def retry_after(self) -> int | None:
        """The seconds to wait; DEFAULT_RETRY_AFTER where a server that limits us names none."""
        wait = retry_after(self.headers.get("Retry-After"))
        return DEFAULT_RETRY_AFTER if self.is_limited and wait is None else wait


def ask(
    question: Question, trust: Trust, *, seconds: float, connected: Connected = lambda _version: None
) -> Answer:
    """The answer to one request, whatever its status; `connected` is called before it is sent.

    Ends after `seconds` at the latest. Raises OSError (TimeoutError and ssl.SSLError among them) where no
    answer came, AnswerTooLarge, and what `trust.resolve` raises. None of them tells what was sent.
    """
    from requests import Request, RequestException
    from urllib3.exceptions import HTTPError

    if urlsplit(question.url).scheme != "https":
        raise OSError("not HTTPS")
    until = time.monotonic() + seconds
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", **question.headers}
    try:
        asked = Request(question.method, question.url, headers, data=question.body).prepare()
        with (
            closing(_adapter(trust, until, connected)) as adapter,
            adapter.send(asked, stream=True, timeout=(CONNECT, READ)) as response,
        ):
            return Answer(response.status_code, _bounded(response), response.headers)
    except (RequestException, HTTPError) as error:
        raise _beneath(error) from None  # what requests raises carries the address, and headers at times


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


def _bounded(response: Response) -> str:
    body = b""
    for chunk in response.iter_content(8192):
        body += chunk
        if len(body) > LIMIT:
            raise AnswerTooLarge
    return body.decode("utf-8", "replace")


def _adapter(trust: Trust, until: float, connected: Connected) -> HTTPAdapter:
    """The way of requests to a server, but to addresses that were checked, and trusting only `trust`.

    The connection keeps the host's name: the certificate must bear it. What was sent once is not sent again.
    """
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPSConnectionPool
    from urllib3.connection import HTTPSConnection

    class Connection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            """The hook of urllib3, which its way through SOCKS uses too."""
            addresses = trust.resolve(self.host, self.port or 443) if trust.resolve else [self.host]
            return dial(addresses[:MOST_ADDRESSES], self.port or 443, lambda: min(left(until), CONNECT))

        def connect(self) -> None:
            super().connect()
            secured = cast("_BoundedSocket", self.sock)
            secured.until = until
            connected(secured.version() or "")

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, ssl_context=_context(trust.extra_ca), **options)
            self.poolmanager.pool_classes_by_scheme = {"https": Pool}

        def cert_verify(self, *_: Any) -> None:
            """The context does that. requests would read the usual authorities anew for each connection."""

    return Adapter()


class _BoundedSocket(ssl.SSLSocket):
    """Reads until then, and not for as long as something trickles in."""

    until: float = 0

    def recv_into(self, *args: Any, **options: Any) -> int:
        self.settimeout(min(left(self.until), READ))
        return super().recv_into(*args, **options)


@lru_cache(maxsize=8)
def _context(extra_ca: str) -> ssl.SSLContext:
    """Made once: reading the authorities takes longer than a request."""
    import certifi

    context = tls_context(extra_ca)
    context.load_verify_locations(certifi.where())
    context.sslsocket_class = _BoundedSocket
    return context


def _beneath(error: BaseException) -> OSError:
    """What the system said, before libraries made errors of their own of it; else the name of the last."""
    beneath: BaseException | None = error
    while beneath is not None:
        if isinstance(beneath, OSError) and not type(beneath).__module__.startswith("requests"):
            return beneath
        beneath = beneath.__cause__ or beneath.__context__
    return OSError(type(error).__name__)
