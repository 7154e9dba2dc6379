"""What became of messages: their records, and a person's word on those of which nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from chalicelib import ids
from chalicelib.callers.models import ALL_ACCOUNTS, Caller, Scope
from chalicelib.callers.permissions import has, require, require_sight, unknown_account, unknown_message, uses
from chalicelib.clock import DAY, SECOND, Clock
from chalicelib.errors import Conflict, InvalidInput, NotFound
from chalicelib.mail import records, shown
from chalicelib.mail.lane import Lane
from chalicelib.mail.models import CANCELLABLE, CLAIMABLE, KEPT, LaneRow, Message, State
from chalicelib.mail.ports import Cancellation, FindMailbox, MessageLists, Messages, Sought, Word
from chalicelib.mail.relaying import outcomes

MOST = 100
RESOLUTIONS = {"sent": State.SENT, "failed": State.FAILED, "resend": State.QUEUED}

TOO_LATE = {
    State.COMMITTING: "Look at its record in some minutes: its last bytes are on their way to the server.",
    State.SENT: "Write to its recipients: the server has taken it, and nobody can call it back.",
    State.FAILED: "Nothing needs to be done: it is not sent any more.",
    State.UNKNOWN: "Look into the mailbox, then have an administrator resolve it as sent or failed:"
    " then it is not sent again.",
}
"""State in which a message can no longer be cancelled → what to do instead."""


STATES: Mapping[str, frozenset[State]] = {
    **{state.value: frozenset({state}) for state in State},
    "held": CLAIMABLE,
}
"""State as callers see it → the states that are stored of such messages."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages are listed: `account` is an id or name, `state` one that callers see; None is any.

    They were accepted at `since` or later, and before `until`, in ms.
    """

    account: str | None = None
    state: records.ShownState | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """Messages, newest first, which accounts' lanes are closed, and the place to go on (None at the end)."""

    messages: tuple[Message, ...]
    closed: frozenset[str]
    place: str | None

    def record(self, cursor: str | None) -> records.MessagePage:
        """The page as callers see it; `cursor` is the place as they are given it."""
        seen = [shown.message_record(one, held=one.account in self.closed) for one in self.messages]
        return records.MessagePage(messages=seen, cursor=cursor)


class Outbox:
    """The records of messages, for whoever may see them."""

    def __init__(
        self, messages: Messages, lists: MessageLists, lane: Lane, mailbox: FindMailbox, clock: Clock
    ) -> None:
        self._messages = messages
        self._lists = lists
        self._lane = lane
        self._mailbox = mailbox
        self._clock = clock

    def get(self, caller: Caller, message_id: str) -> tuple[Message, bool]:
        """The message, and whether it is held; raises NotFound for one that the caller may not see."""
        message = self._seen(caller, message_id)
        lane = self._lane.state(message.account)
        return _as_due(message, lane), lane.closed is not None

    def list(
        self, caller: Caller, wanted: Filter = Filter(), limit: int = 25, after: str | None = None
    ) -> Listed:
        """Messages of the account, or of every account that the caller may use, newest first.

        `after` is the place of a page before. A caller without the scope ``read`` sees those that it handed
        in itself. A page may be short, or empty, and still have a next one. Raises NotFound for an account
        that it may not use, and InvalidInput for a bad place.
        """
        if not 1 <= limit <= MOST:
            raise InvalidInput(
                f"limit is not between 1 and {MOST}.", fix="Leave it out for 25.", field="limit"
            )
        page = self._lists.page(self._sought(caller, wanted), limit, after)
        lanes = self._lanes_of(page.messages)
        closed = frozenset(account for account, lane in lanes.items() if lane.closed is not None)
        messages = tuple(
            _as_due(one, lanes.get(one.account))
            for one in page.messages
            if wanted.state in {None, shown.shown_state(one, held=one.account in closed)}
        )
        return Listed(messages, closed, page.place)

    def _sought(self, caller: Caller, wanted: Filter) -> Sought:
        """What of the table the caller wants to see, and may."""
        if wanted.account is not None:
            accounts: frozenset[str] | None = frozenset({self._account(caller, wanted.account)})
        else:
            accounts = None if ALL_ACCOUNTS in caller.accounts else caller.accounts
        return Sought(
            accounts=accounts,
            states=frozenset(State) if wanted.state is None else STATES[wanted.state],
            caller=None if has(caller, Scope.READ) else caller.id,
            since=wanted.since,
            until=wanted.until,
        )

    def _lanes_of(self, messages: Iterable[Message]) -> dict[str, LaneRow]:
        """The lanes of those that wait, by account."""
        accounts = {message.account for message in messages if message.state in CLAIMABLE}
        return {account: self._lane.state(account) for account in accounts}

    def resolve(self, caller: Caller, message_id: str, as_: str) -> tuple[Message, bool]:
        """Takes a person's word on an `unknown` message: it was sent, it failed, or it is to be sent again.

        Raises NotFound or Forbidden for the caller, InvalidInput for another word, and Conflict when the
        message is not `unknown` now.
        """
        if as_ not in RESOLUTIONS:
            raise InvalidInput("as is not one of them.", fix="Use sent, failed or resend.", field="as")
        message = self._seen(caller, message_id)
        require(caller, Scope.ADMIN, message.account)
        now, again = self._clock(), as_ == "resend"
        expires_at = max(message.expires_at, now + DAY) if again else message.expires_at
        state = RESOLUTIONS[as_]
        resolved = False
        while message.state is State.UNKNOWN and not resolved:
            word = Word(
                state=state,
                recipients=outcomes.resolved(message, state),
                by=caller.id,
                expires_at=expires_at,
                ttl=max(message.accepted_at + KEPT, expires_at + DAY) // SECOND,
                due_at=now if again else None,
            )
            resolved = self._messages.resolve(message, word)
            # Not done where an attempt has begun or ended since: what it did must stay.
            message = message if resolved else self._seen(caller, message_id)
        is_repeat = message.state is state and message.resolved_by == caller.id
        if not resolved and not is_repeat:
            raise Conflict(
                f"The message is not unknown but {message.state}.",
                fix="Look at its record; only an unknown outcome can be resolved.",
                code="not_unknown",
            )
        if again:
            # Also when it is asked again, which mends a death between the word and the ring.
            self._lane.announce(replace(message, expires_at=expires_at))
        return self.get(caller, message_id)

    def cancel(self, caller: Caller, message_id: str) -> tuple[Message, bool]:
        """Stops a message of which no server can have the end; it is never sent after this has returned.

        One that is cancelled already is returned as it is. The caller needs the scope ``send`` for its own
        messages and ``admin`` for others. Raises NotFound or Forbidden for the caller, and Conflict for a
        message that is too far on its way, or over.
        """
        message = self._seen(caller, message_id)
        require(caller, Scope.SEND if message.caller == caller.id else Scope.ADMIN, message.account)
        while message.state in CANCELLABLE:
            self._messages.cancel(
                message, Cancellation(caller.id, self._clock(), outcomes.cancelled(message))
            )
            message = self._seen(caller, message_id)
        if message.state is not State.CANCELLED:
            raise Conflict(
                f"The message can no longer be cancelled: it is {message.state}.",
                fix=TOO_LATE[message.state],
                code="too_late_to_cancel",
            )
        return message, self._lane.state(message.account).closed is not None

    def _seen(self, caller: Caller, message_id: str) -> Message:
        account = ids.account_of(message_id)
        message = self._messages.get(account, message_id) if account is not None else None
        if message is None:
            raise unknown_message()
        require_sight(caller, message.account, message.caller)
        return message

    def _account(self, caller: Caller, named: str) -> str:
        try:
            account = self._mailbox(named)[0].id
        except NotFound as error:
            raise unknown_account() from error
        if not uses(caller, account):
            raise unknown_account()
        return account


def _as_due(message: Message, lane: LaneRow | None) -> Message:
    """The message with the time at which it is really tried again: not before its lane has rested."""
    rest_until = lane.rest_until if lane is not None and message.state in CLAIMABLE else None
    if rest_until is None or message.next_attempt_at is None:
        return message
    return replace(message, next_attempt_at=max(message.next_attempt_at, rest_until))
