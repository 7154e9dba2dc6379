"""Accepting a message: from here on it will be sent, or it will be said why not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from msgspec import UNSET

from chalicelib import ids
from chalicelib.accounts.models.account import Account, GrantState
from chalicelib.accounts.models.connector import Connector
from chalicelib.callers.models import Caller, Scope
from chalicelib.callers.permissions import unknown_account
from chalicelib.callers.rates import Rates
from chalicelib.clock import SECOND, Clock
from chalicelib.errors import Conflict, InvalidInput, NotFound, RateLimited, Unavailable
from chalicelib.logs import logger
from chalicelib.mail.allowed import require_allowed
from chalicelib.mail.composing import request as requests
from chalicelib.mail.composing.compose import compose
from chalicelib.mail.composing.frozen import Frozen
from chalicelib.mail.composing.request import SendRequest
from chalicelib.mail.lane import Lane
from chalicelib.mail.models import FINAL, KEPT, Message, OnUnknown, State
from chalicelib.mail.ports import Blobs, FindMailbox, Limits, Messages, Require
from chalicelib.mail.records import Accepted

INLINE = 8 * 1024
"""Bytes up to which a body stands in its row: every later write of the row is billed with it."""

log = logger("send")


class Send:
    """The one way for messages to come in; every door calls it."""

    def __init__(  # noqa: PLR0913 - each is one thing that it works with
        self,
        *,
        mailbox: FindMailbox,
        require: Require,
        rates: Rates,
        messages: Messages,
        blobs: Blobs,
        lane: Lane,
        limits: Callable[[Connector], Limits],
        clock: Clock,
    ) -> None:
        self._mailbox = mailbox
        self._require = require
        self._rates = rates
        self._messages = messages
        self._blobs = blobs
        self._lane = lane
        self._limits = limits
        self._clock = clock

    def accept(
        self,
        caller: Caller,
        request: bytes | Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        request_id: str | None = None,
        invocation: str | None = None,
    ) -> Accepted:
        """Takes a message over, and returns its id once it is stored, whatever happens to it afterwards.

        `request` is a SendRequest as JSON, as bytes or parsed; `idempotency_key` is the one of a header,
        if there was one; `request_id` leads through the log. `invocation` is the id under which the same
        request comes again where it is repeated for its caller (Lambda, asynchronous invokes), and counts
        where no key is given. The same caller, account, key and request again get the same id, so a caller
        that got no answer asks again. Raises InvalidInput and its like for the request, NotFound for an
        account that the caller may not use, Forbidden for addresses that it may not name, Conflict for an
        account that was never connected, RateLimited for one message too many this minute, Unavailable when
        nothing was stored, or nobody knows: the fix says which, and what may be sent again.
        """
        asked = requests.read(request)
        key = requests.key_of(asked, idempotency_key)
        account, connector = self._account(caller, asked.account)
        message_id = _message_id(account.id, caller.id, key, invocation)
        now = self._clock()
        composed = compose(asked, account, message_id, now=now, limits=self._limits(connector))
        require_allowed(caller, composed.body, is_raw=asked.raw is not None)
        message = replace(
            self._message(message_id, account, caller, asked, composed, now), request_id=request_id
        )
        try:
            stored = self._store_counted(caller, message, composed.body, comes_again=bool(key or invocation))
        except _MayBeStored as error:
            raise _uncertain(message, error.cause, keyed=key is not None) from error
        if stored is not None:
            self._check_same(stored, message)
        if stored is None or _may_be_due(stored):
            # One that came again is announced again, which mends a death between storing and ringing.
            self._announce(stored or message)
        self._log(message, replayed=stored is not None)
        return Accepted(
            id=message_id, state=(stored or message).state, replayed=True if stored is not None else UNSET
        )

    def _account(self, caller: Caller, named: str) -> tuple[Account, Connector]:
        """The account, if the caller may send as it. Unknown and forbidden are one answer."""
        try:
            account, connector = self._mailbox(named)
        except NotFound as error:
            raise unknown_account() from error
        self._require(caller, Scope.SEND, account.id)
        if account.grant_state is GrantState.NONE:
            raise Conflict(
                "The account is not connected.",
                fix="Its owner opens the connect link; whoever administers the account can make a new one:"
                " POST /v1/accounts/{id}/connect-link.",
                field="account",
                code="account_disconnected",
            )
        return account, connector

    def _message(
        self,
        message_id: str,
        account: Account,
        caller: Caller,
        asked: SendRequest,
        composed: Frozen,
        now: int,
    ) -> Message:
        small = len(composed.body) <= INLINE
        digest = hashlib.sha256(composed.body).hexdigest()
        return Message(
            id=message_id,
            account=account.id,
            caller=caller.id,
            state=State.QUEUED,
            envelope=composed.envelope,
            size=len(composed.body),
            message_id=composed.message_id,
            accepted_at=now,
            expires_at=now + asked.expires_in * SECOND,
            fingerprint=requests.fingerprint(asked, account.id),
            on_unknown=OnUnknown(asked.on_unknown),
            subject=composed.subject,
            body=composed.body if small else None,
            blob=None if small else f"messages/{account.id}/{message_id}/{digest}",
            next_attempt_at=now,
        )

    def _store_counted(
        self, caller: Caller, message: Message, body: bytes, *, comes_again: bool
    ) -> Message | None:
        """As _store, within the caller's rate: one that is there already was counted when it was stored."""
        try:
            minute = self._rates.count(caller)
        except RateLimited:
            stored = self._messages.get(message.account, message.id) if comes_again else None
            if stored is None:
                raise
            return stored
        stored = self._store(message, body, comes_again=comes_again)
        if stored is not None:
            with _going_on("a message was counted twice", message):
                self._rates.give_back(caller, minute)
        return stored

    def _store(self, message: Message, body: bytes, *, comes_again: bool) -> Message | None:
        """Writes the message; returns the one that has its id already, if any.

        A long body is written before its row, so that a row never lacks it; one that may come again is looked
        up first, since writing the same request again would leave an object that nobody refers to. Raises
        _MayBeStored when the answer to the write was lost and no row is found, now.
        """
        if message.blob is not None:
            stored = self._messages.get(message.account, message.id) if comes_again else None
            if stored is not None:
                return stored
            self._blobs.put(message.blob, body)
        try:
            return self._messages.add(message, ttl=(message.accepted_at + KEPT) // SECOND)
        except Unavailable as lost:
            return self._read_back(message, lost)

    def _read_back(self, message: Message, lost: Unavailable) -> Message | None:
        """What `_store` returns, where the answer to the write was lost: the row tells."""
        stored = None
        with _going_on("a lost answer could not be made good", message):
            stored = self._messages.get(message.account, message.id)
        if stored is None:
            raise _MayBeStored(lost) from lost
        is_own = (stored.accepted_at, stored.request_id) == (message.accepted_at, message.request_id)
        return None if is_own else stored

    def _announce(self, message: Message) -> None:
        """Announces a stored message; what cannot be announced now is left to the queue of the relay.

        Nothing is raised: the message is stored, and whoever was told otherwise would send it twice.
        """
        for announce in (self._lane.announce, self._lane.announce_later, self._lane.announce):
            with _going_on("a stored message was not announced", message):
                announce(message)
                return

    def _log(self, message: Message, *, replayed: bool) -> None:
        """Says what was accepted; `message` is as this request made it, its id that of the stored one."""
        facts = {
            "message": message.id,
            "account": message.account,
            "caller": message.caller,
            "request_id": message.request_id,
            "size": message.size,
            "recipients": len(message.envelope.recipients),
            "replayed": replayed,
        }
        personal = {
            "mail_from": message.envelope.mail_from,
            "rcpt_to": message.envelope.recipients,
            "subject": message.subject,
        }
        took = self._clock() - message.accepted_at
        figures = {"AcceptTime": took} if replayed else {"Accepted": 1, "AcceptTime": took}
        log.info("accepted", extra={"facts": facts, "personal": personal, "figures": figures})

    def _check_same(self, stored: Message, message: Message) -> None:
        if stored.fingerprint != message.fingerprint:
            raise InvalidInput(
                "This idempotency key was used for another message.",
                fix="Use a new key for a new message, and the same request for the same key.",
                field="idempotency_key",
                code="idempotency_key_reused",
            )


class _MayBeStored(Exception):
    """Nobody knows whether the message was stored; `cause` is what kept us from knowing."""

    def __init__(self, cause: Unavailable) -> None:
        super().__init__(cause.message)
        self.cause = cause


@contextmanager
def _going_on(event: str, message: Message) -> Iterator[None]:
    """Logs whatever is raised inside, and goes on: nothing after storing may look as if it was not stored."""
    try:
        yield
    except Exception:
        log.exception(event, extra={"facts": {"message": message.id, "account": message.account}})


def _uncertain(message: Message, cause: Unavailable, *, keyed: bool) -> Unavailable:
    if keyed:
        return cause
    return Unavailable(
        f"{cause.message} Nobody knows whether the message was stored.",
        fix=f"Look for it in a minute, before you hand it in as a new one: GET /v1/messages/{message.id}"
        " answers 404 if it was not. A message with an idempotency_key can be sent again at once.",
    )


def _message_id(account: str, caller: str, key: str | None, invocation: str | None) -> str:
    if key is not None:
        return ids.keyed_message_id(account, caller, key)
    if invocation is not None:
        return ids.invoked_message_id(account, caller, invocation)
    return ids.new_message_id(account)


def _may_be_due(message: Message) -> bool:
    return message.state not in FINAL and message.next_attempt_at is not None
