"""A sign-in on this machine: its callback is ``http://localhost:PORT/…``, and needs no deployed one.

The authorization code flow with PKCE, by the same modules as the product's. What it ends with is handed to
the API; it is neither shown nor written anywhere.
"""

from __future__ import annotations

import functools
import json
import os
import queue
import secrets
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import click

from chalicelib import network
from chalicelib.accounts.connecting import callback, outcomes
from chalicelib.accounts.models.connector import Cloud, Connector, CredentialKind
from chalicelib.addresses import among
from chalicelib.errors import ConfigurationError, Diagnosed, MalformedRequest
from chalicelib.providers import Providers
from chalicelib.providers.catalogue import Catalogue
from chalicelib.providers.replies import diagnose
from cli.config import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from chalicelib.accounts.connecting.callback import Answer
    from chalicelib.accounts.models.grant import Identity
    from chalicelib.providers.base import Provider
    from chalicelib.secret import Secret

USUAL: Final = {"google": "http://localhost:8888/Callback"}
ELSE: Final = "http://localhost:9999/callback"
"""Redirect URIs that other systems have used on a desk, so that their clients have them registered."""

EVERYWHERE: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))
"""From a person's own machine, no address is forbidden."""

PATIENCE: Final = 5
"""Seconds for one request to the callback: browsers open connections on which they never ask."""

PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Mailgrant</title>
<p>{text}</p></html>"""
HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "Connection": "close",
}


class NotSignedIn(Exception):
    """Nobody came back in time."""


def redirect_uri_of(provider: str, given: str | None) -> str:
    """The redirect URI of a sign-in on this machine. Raises UsageError for one that leads elsewhere."""
    uri = given or USUAL.get(provider, ELSE)
    parts = urlsplit(uri)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "http" or not port or not is_loopback(parts.hostname or "") or parts.query:
        raise click.UsageError(f"{uri} is no address of this machine: write http://localhost:PORT/callback.")
    return uri


def connector_of(found: Mapping[str, Any]) -> Connector:
    """The connector that the API has shown."""
    return Connector(
        id=found["id"],
        provider=found["provider"],
        name=found["name"],
        client_id=found["client_id"],
        tenant=found["tenant"],
        created_at=0,
        cloud=Cloud(found["cloud"]),
        credential=CredentialKind(found["credential"]),
        facts=found["facts"],
    )


def provider_of(connector: Connector, ca: str | None, env: Mapping[str, str] = os.environ) -> Provider:
    """How the connector's provider is spoken to from here.

    PROVIDER_ENDPOINTS of the environment replaces facts as it does for a stage. Raises UsageError.
    """
    extra_ca = Path(ca).read_text(encoding="utf-8") if ca else ""
    try:
        catalogue = Catalogue(json.loads(env.get("PROVIDER_ENDPOINTS") or "{}"))
    except (ValueError, AttributeError, ConfigurationError) as error:
        raise click.UsageError(f"PROVIDER_ENDPOINTS cannot be used: {error}") from error
    resolve = functools.partial(network.resolve, allowed_private_networks=EVERYWHERE)
    providers = Providers(catalogue, web_identity=_nobody, trust=network.Trust(extra_ca), resolve=resolve)
    return providers.of(connector)


def refresh_token_of(  # noqa: PLR0913 - what one sign-in needs
    provider: Provider,
    connector: Connector,
    credential: Secret,
    *,
    redirect_uri: str,
    login_hint: str,
    timeout: float,
    invite: Callable[[str], None],
) -> Secret:
    """The refresh token that a person's sign-in gives; `invite` is handed the URL that they open.

    `timeout` is in seconds. Raises NotSignedIn, Diagnosed when the provider refuses or says that another
    mailbox than `login_hint` has signed in, and UsageError for a port that is taken.
    """
    state = secrets.token_urlsafe(32)
    begun = provider.begin(connector, redirect_uri=redirect_uri, state=state, login_hint=login_hint)
    with _listening(redirect_uri, state) as answers:
        invite(begun.url)
        try:
            answer = answers.get(timeout=timeout)
        except queue.Empty as error:
            raise NotSignedIn from error
    code = _code(provider, connector, answer)
    tokens = provider.redeem(connector, credential, begun.flow, code.reveal())
    if tokens.refresh_token is None:
        raise Diagnosed(outcomes.NO_REFRESH_TOKEN)
    _require_mailbox(tokens.identity, login_hint)
    return tokens.refresh_token


def _require_mailbox(identity: Identity | None, wanted: str) -> None:
    """A provider that does not say who has signed in says nothing here; the API finds it out."""
    addresses = identity.addresses if identity else ()
    if addresses and not among(wanted, addresses):
        message = f"{addresses[0]} signed in, and not {wanted}. Nothing was saved."
        fix = f"Run it again and sign in as {wanted}; if it is not offered, sign out at the provider first."
        raise Diagnosed(replace(outcomes.WRONG_MAILBOX, message=message, fix=fix))


def _code(provider: Provider, connector: Connector, answer: Answer) -> Secret:
    """Raises Diagnosed for an error, and for what another provider has sent back (RFC 9207)."""
    if answer.issuer is not None and not provider.is_issuer(connector, answer.issuer):
        raise Diagnosed(outcomes.WRONG_ISSUER)
    if answer.code is None:
        raise Diagnosed(diagnose(connector.provider, answer.error))
    return answer.code


@contextmanager
def _listening(redirect_uri: str, state: str) -> Iterator[queue.Queue[Answer]]:
    """Listens on this machine for the one callback with that state."""
    parts = urlsplit(redirect_uri)
    answers: queue.Queue[Answer] = queue.Queue(1)

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_GET(self) -> None:
            """Takes the callback; all else is not there."""
            found = urlsplit(self.path)
            if found.path != (parts.path or "/"):
                return self._say(404, "There is nothing here.")
            try:
                answer = callback.read(parse_qs(found.query))
            except MalformedRequest as error:
                return self._say(400, error.message)
            if not secrets.compare_digest(answer.state, state):
                return self._say(400, callback.unknown_state().message)
            try:
                answers.put_nowait(answer)
            except queue.Full:
                return self._say(400, "This sign-in has come back already.")
            return self._say(200, "You can close this page. The terminal says whether it worked.")

        def _say(self, status: int, text: str) -> None:
            body = PAGE.format(text=text).encode()
            self.send_response(status)
            for name, value in {**HEADERS, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing: the path holds a code."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", parts.port or 0), Handler)
    except OSError as error:
        message = f"Port {parts.port} of this machine cannot be used ({error})."
        raise click.UsageError(f"{message} End what uses it, or name another by --redirect-uri.") from error
    with server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield answers
        finally:
            server.shutdown()
            thread.join()


def _nobody() -> str:
    raise click.UsageError("A federated credential works inside AWS only: use a connect link.")
