"""What the functions that are not reached by HTTP do with their events: parse, call one service, answer.

Errors that a caller can be told are answered in the one shape, with the HTTP status beside it. Errors that
trying again may mend are raised where Lambda itself tries again (queues, asynchronous invokes).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chalicelib.errors import Diagnosed, MailgrantError, MalformedRequest, RateLimited
from chalicelib.logs import about, logger

if TYPE_CHECKING:  # every function imports this module, and each needs only one of them
    from collections.abc import Callable, Mapping

    from chalicelib.accounts.admin.credentials import Credentials
    from chalicelib.accounts.admin.disconnecting import Disconnecting
    from chalicelib.accounts.connecting.connect import Connect
    from chalicelib.accounts.connecting.direct import Direct
    from chalicelib.accounts.doctor.doctor import Doctor
    from chalicelib.accounts.doctor.verifying import Verifying
    from chalicelib.accounts.tokens.care import Tokens
    from chalicelib.accounts.tokens.rescuing import Rescuing
    from chalicelib.callers.models import Caller
    from chalicelib.mail.relaying.relay import Relay
    from chalicelib.mail.relaying.wakeup import Wakeup
    from chalicelib.mail.send import Send

    Event = Mapping[str, Any]

CHUNK = 100
"""How many accounts one message of the refresh queue names."""

FIELD_LIMIT = 100
"""How much of a field's name is logged: an unknown one is the caller's own text."""

log = logger("operations")


class ConnectOperations:
    """The function `connect`: one operation a call, named by ``op``."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that it does
        self,
        connect: Connect,
        direct: Direct,
        credentials: Credentials,
        disconnecting: Disconnecting,
        verifying: Verifying,
        doctor: Doctor,
        discover: Callable[..., dict[str, Any]],
        rewrap: Callable[..., dict[str, Any]],
    ) -> None:
        self._operations: dict[str, Callable[..., Mapping[str, Any] | None]] = {
            "save_secret": credentials.save,
            "check_secret": credentials.check,
            "replace_secret": credentials.replace,
            "delete_secret": credentials.delete,
            "begin": connect.begin,
            "complete": connect.complete,
            "begin_visit": connect.begin_visit,
            "connect_directly": direct.connect,
            "roll_back": direct.roll_back,
            "disconnect": disconnecting.disconnect,
            "verify": verifying.verify,
            "doctor_connector": doctor.connector,
            "doctor_account": doctor.account,
            "discover": discover,
            "rewrap": rewrap,
        }

    def run(self, event: Event) -> dict[str, Any]:
        """Runs ``{"op", "request_id"?, **arguments}``; answers the operation's result, or an error's.

        That is ``{"error", "status", "retry_after"?}``. All lines of the log have the id of the request that
        asked for it.
        """
        arguments = dict(event)
        operation = self._operations.get(str(arguments.pop("op", "")))
        if operation is None:
            raise ValueError("connect is invoked by the API only, with a known operation")
        with about(request_id=arguments.pop("request_id", None)):
            try:
                return dict(operation(**arguments) or {})
            except MailgrantError as error:
                return _answer(error)


class TokenOperations:
    """The function `tokens`: makes one account's access token fresh."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def run(self, event: Event, *, until: int) -> dict[str, Any]:
        """Takes ``{"account", "failed_version"?, "resource"?}``; answers {}, ``{"diagnosis"}`` or an error.

        A ``request_id`` is that of the message for whose sake it is done.
        """
        asked = {name: event[name] for name in ("failed_version", "resource") if name in event}
        with about(request_id=event.get("request_id")):
            try:
                self._tokens.ensure(event["account"], until=until, **asked)
            except Diagnosed as refused:
                return {"diagnosis": refused.diagnosis.to_json()}
            except MailgrantError as error:
                return _answer(error)
            return {}


class RefreshSchedule:
    """The functions `refresh_tokens` and `refresh`. `ended` is called after a run of the schedule."""

    def __init__(
        self, tokens: Tokens, rescuing: Rescuing, enqueue: Callable[[str], None], ended: Callable[[], None]
    ) -> None:
        self._tokens = tokens
        self._rescuing = rescuing
        self._enqueue = enqueue
        self._ended = ended

    def run(self, *, until: int) -> None:
        """Saves what was rescued, refreshes what is due while time lasts, and hands the rest on in chunks."""
        self._rescuing.drain(until=until)
        left = self._tokens.refresh_due(until=until)
        for start in range(0, len(left), CHUNK):
            self._enqueue(json.dumps({"accounts": left[start : start + CHUNK]}))
        self._ended()

    def run_chunk(self, body: str, *, until: int) -> None:
        """Refreshes the accounts that one message of the queue names."""
        self._tokens.refresh(json.loads(body)["accounts"], until=until)


class SendOperations:
    """The function `send`, for callers inside the same AWS account."""

    def __init__(self, send: Send, caller: Callable[[str], Caller]) -> None:
        self._send = send
        self._caller = caller

    def run(self, event: Event, *, function_arn: str, request_id: str | None = None) -> dict[str, Any]:
        """Accepts the message that the event is; the caller is read from the ARN that was invoked.

        An error that trying again may mend is raised, so that Lambda repeats an asynchronous invoke, under
        the same request id; its text is the error's one shape.
        """
        try:
            caller = self._caller(caller_id(function_arn))
            return self._send.accept(caller, event, request_id=request_id, invocation=request_id).to_json()
        except MailgrantError as error:
            if error.retryable:
                raise RuntimeError(json.dumps(error.to_json())) from error
            return _answer(error)


class RelaySchedule:
    """The functions `relay` and `relay_due`. `ended` is called after a run of the schedule."""

    def __init__(
        self,
        relay: Relay,
        ring_for: Callable[[str, str], None],
        parse: Callable[[str], Wakeup],
        ended: Callable[[], None],
    ) -> None:
        self._relay = relay
        self._ring_for = ring_for
        self._parse = parse
        self._ended = ended

    def run_wakeup(self, body: str, *, until: int) -> None:
        """Relays the mail of the account that a wake-up names; what is none goes to the dead letters."""
        wakeup = self._parse(body)
        if wakeup.ring and wakeup.message is not None:
            self._ring_for(wakeup.account, wakeup.message)
        self._relay.run(wakeup.account, until=until, named=wakeup.message)

    def run_due(self, *, until: int) -> None:
        """Relays what is due and fits the time; wakes `relay` for the rest."""
        self._relay.run_due(until=until)
        self._ended()


def caller_id(function_arn: str) -> str:
    """The caller that an invoked ARN stands for: ``lambda:<alias>``, or ``lambda`` for the unqualified one.

    An ARN is ``arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]``.
    """
    parts = function_arn.split(":")
    if len(parts) not in (7, 8):
        raise MalformedRequest("The invoked ARN is not a function's.", fix="Invoke the function by its ARN.")
    qualifier = parts[7] if len(parts) == 8 else "$LATEST"  # noqa: PLR2004 - the ARN's own count of parts
    return "lambda" if qualifier == "$LATEST" else f"lambda:{qualifier}"


def _answer(error: MailgrantError) -> dict[str, Any]:
    field = error.field[:FIELD_LIMIT] if error.field else None
    log.info("refused", extra={"facts": {"code": error.error_code, "status": error.status, "field": field}})
    wait = {"retry_after": error.retry_after} if isinstance(error, RateLimited) else {}
    return {**error.to_json(), "status": error.status, **wait}
