"""What the web side answers: pages, the JSON of the oracle, and the control API.

=======  =======================  ==========================================================================
GET      /                        mailboxes and messages; ``?mailbox=ADDRESS`` shows one mailbox
GET      /messages/N              one message as a page
GET      /messages/N.eml          its bytes as received; ``?as=delivered`` as its recipients see them
GET      /api/messages            newest first; ``recipient``, ``message_id``, ``user`` filter, ``wait`` waits
GET      /api/log                 every accepted message, oldest first
GET      /api/sessions            every connection and its commands, oldest first
GET      /api/settings            the EHLO extensions of each listener
POST     /api/settings            changes some of them, for the listener named or for both
GET      /api/faults              every fault, with how often it was met
POST     /api/faults              adds one; answers with its id
DELETE   /api/faults              forgets all, and releases who waits
GET      /api/faults/N/hits       ``at_least`` and ``wait``: waits until the fault was met that often
POST     /api/mailboxes           sets the rights on a mailbox
POST     /api/release             ``{"id": N?, "drop": bool?}``: lets paused sessions go on, or drops them
POST     /api/reset               forgets messages, sessions, faults, settings and rights
=======  =======================  ==========================================================================
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.mailserver.faults import Fault, FaultError
from sandbox.mailserver.mailboxes import MailboxError
from sandbox.mailserver.pages import Pages
from sandbox.mailserver.settings import SettingsError
from sandbox.mailserver.store import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.mailserver.dialogue import Services

_LONGEST_WAIT_SECONDS = 60.0


class BadRequest(Exception):
    """The request cannot be carried out; its text says why."""


@dataclass(frozen=True)
class Request:
    """One HTTP request, its JSON body already read (empty where there is none)."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, object]

    def number(self, name: str, default: float) -> float:
        """Return a query parameter as a number; raises BadRequest if it is none."""
        try:
            return float(self.query.get(name, default))
        except ValueError as error:
            message = f"{name} must be a number"
            raise BadRequest(message) from error

    @property
    def wait(self) -> float:
        """How many seconds the caller is ready to wait, bounded."""
        return min(max(self.number("wait", 0), 0), _LONGEST_WAIT_SECONDS)


@dataclass(frozen=True)
class Response:
    """One HTTP response."""

    body: bytes
    content_type: str = "application/json"
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


class Routes:
    """Answers requests from what the services hold."""

    def __init__(self, services: Services) -> None:
        """Answer from these services."""
        self._services = services
        self._pages = Pages(services.store)
        self._table: list[tuple[str, re.Pattern[str], Callable[..., Response]]] = [
            ("GET", re.compile(r"/"), self._inbox),
            ("GET", re.compile(r"/messages/(\d{1,9})"), self._message),
            ("GET", re.compile(r"/messages/(\d{1,9})\.eml"), self._eml),
            ("GET", re.compile(r"/api/messages"), self._messages),
            ("GET", re.compile(r"/api/log"), self._log),
            ("GET", re.compile(r"/api/sessions"), self._sessions),
            ("GET", re.compile(r"/api/settings"), self._settings),
            ("POST", re.compile(r"/api/settings"), self._change_settings),
            ("GET", re.compile(r"/api/faults"), self._faults),
            ("POST", re.compile(r"/api/faults"), self._add_fault),
            ("DELETE", re.compile(r"/api/faults"), self._clear_faults),
            ("GET", re.compile(r"/api/faults/(\d{1,9})/hits"), self._hits),
            ("POST", re.compile(r"/api/mailboxes"), self._set_mailbox),
            ("POST", re.compile(r"/api/release"), self._release),
            ("POST", re.compile(r"/api/reset"), self._reset),
        ]

    def answer(self, request: Request) -> Response:
        """Return the response; a request that makes no sense is answered 400, an unknown address 404."""
        for method, pattern, handler in self._table:
            matched = pattern.fullmatch(request.path)
            if matched is not None and method == request.method:
                try:
                    return handler(request, *matched.groups())
                except (BadRequest, FaultError, MailboxError, SettingsError) as error:
                    return problem(HTTPStatus.BAD_REQUEST, str(error))
        return self._not_found(request)

    def _inbox(self, request: Request) -> Response:
        return _page(self._pages.inbox(request.query.get("mailbox")))

    def _message(self, request: Request, number: str) -> Response:
        message = self._services.store.message(int(number))
        return self._not_found(request) if message is None else _page(self._pages.message(message))

    def _eml(self, request: Request, number: str) -> Response:
        message = self._services.store.message(int(number))
        if message is None:
            return self._not_found(request)
        content = message.delivered if request.query.get("as") == "delivered" else message.raw
        disposition = {"Content-Disposition": f'attachment; filename="message-{number}.eml"'}
        return Response(content, "message/rfc822", headers=disposition)

    def _messages(self, request: Request) -> Response:
        wanted = Filter(
            request.query.get("recipient"), request.query.get("message_id"), request.query.get("user")
        )
        found = self._services.store.wait_for(wanted, request.wait)
        return _json([message.to_record() for message in reversed(found)])

    def _log(self, _request: Request) -> Response:
        return _json([message.to_log_record() for message in self._services.store.messages()])

    def _sessions(self, _request: Request) -> Response:
        return _json(self._services.store.sessions())

    def _settings(self, _request: Request) -> Response:
        return _json(self._services.settings.to_record())

    def _change_settings(self, request: Request) -> Response:
        self._services.settings.update(request.body)
        return self._settings(request)

    def _set_mailbox(self, request: Request) -> Response:
        return _json(msgspec.to_builtins(self._services.mailboxes.order(request.body)))

    def _faults(self, _request: Request) -> Response:
        return _json(self._services.faults.records())

    def _add_fault(self, request: Request) -> Response:
        return _json({"id": self._services.faults.add(Fault.from_json(request.body))}, HTTPStatus.CREATED)

    def _clear_faults(self, request: Request) -> Response:
        self._services.faults.clear()
        return self._faults(request)

    def _hits(self, request: Request, number: str) -> Response:
        at_least = int(request.number("at_least", 1))
        return _json({"reached": self._services.faults.wait_for_hits(int(number), at_least, request.wait)})

    def _release(self, request: Request) -> Response:
        fault_id, drops = request.body.get("id"), request.body.get("drop", False)
        if not (fault_id is None or type(fault_id) is int) or not isinstance(drops, bool):
            message = "id must be a number and drop a boolean"
            raise BadRequest(message)
        return _json({"released": self._services.faults.release(fault_id, drops=drops)})

    def _reset(self, _request: Request) -> Response:
        self._services.faults.clear(drops=True)
        self._services.settings.reset()
        self._services.mailboxes.reset()
        self._services.store.reset()
        return _json({})

    def _not_found(self, request: Request) -> Response:
        if request.path.startswith("/api/"):
            return problem(HTTPStatus.NOT_FOUND, f"there is no {request.method} {request.path}")
        return _page(self._pages.not_found(), HTTPStatus.NOT_FOUND)


def problem(status: HTTPStatus, message: str) -> Response:
    """Return an error in the one shape that every API of the project uses."""
    return _json({"error": {"code": status.name.lower(), "message": message}}, status)


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(json.dumps(value).encode(), status=status)


def _page(html: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    # Surrogates stand for bytes of a message that are no UTF-8.
    return Response(html.encode("utf-8", "replace"), "text/html; charset=utf-8", status)
