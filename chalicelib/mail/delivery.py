"""One attempt at one message, from its claim to its recorded outcome."""

from __future__ import annotations

import time
from collections.abc import Mapping

from chalicelib.clock import MINUTE, Clock
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed, Unavailable
from chalicelib.logs import logger
from chalicelib.mail import outcomes
from chalicelib.mail.connection import Connection
from chalicelib.mail.models import ClosedReason, Envelope, Message, Phase, Reply, State
from chalicelib.mail.outcomes import Ending
from chalicelib.mail.ports import Blobs, Messages, Outcome, Permitted
from chalicelib.transports.refusals import Concern, Refused
from chalicelib.transports.smtp import replies
from chalicelib.transports.smtp.session import NoRecipients

CLAIM = 5 * MINUTE
"""How long a claim lasts without its worker being heard of."""

RECORD_PAUSES = (0.5, 2.0)
"""Seconds after each failed try to record what a server has said: it cannot be asked again."""

log = logger("delivery")


class LaneStops(Exception):
    """The account's mail cannot go on. `reason` closes the lane; without one it rests."""

    def __init__(self, diagnosis: Diagnosis, reason: ClosedReason | None = None) -> None:
        super().__init__(diagnosis.code)
        self.diagnosis = diagnosis
        self.reason = reason


class Delivery:
    """Relays claimed messages over the connection of a visit."""

    def __init__(self, messages: Messages, blobs: Blobs, permitted: Permitted, clock: Clock) -> None:
        self._messages = messages
        self._blobs = blobs
        self._permitted = permitted
        self._clock = clock

    def deliver(self, account: str, message_id: str, worker: str, connection: Connection) -> State | None:
        """Makes one attempt and returns the state it ended in; None when there was nothing to claim.

        Raises LaneStops, after the message was put back, when no other message of the account can go
        either, and Unavailable when our own stores do not answer: the claim then ends by itself.
        """
        now = self._clock()
        claimed = self._messages.claim(account, message_id, worker=worker, now=now, until=now + CLAIM)
        message = claimed.row
        if message is None or not claimed.done:
            return self._note_lost_worker(message, now)
        over = self._over(message, now)
        if over is not None:
            return self._record(message, over)
        body = message.body if message.body is not None else self._blobs.get(message.blob or "")
        try:
            return self._attempt(message, body, connection)
        except Refused as refused:
            return self._refused(message, refused, connection)
        except (Diagnosed, Unavailable) as error:
            return self._no_token(message, error)

    def expire(self, message: Message, worker: str) -> None:
        """Ends a held message whose time is over; without its lane's server, so without a connection."""
        now = self._clock()
        claimed = self._messages.claim(message.account, message.id, worker=worker, now=now, until=now + CLAIM)
        if claimed.row is not None and claimed.done:
            self._record(claimed.row, outcomes.given_up(claimed.row, _never_begun(now, outcomes.EXPIRED)))

    def _note_lost_worker(self, found: Message | None, now: int) -> State | None:
        """`committing` whose claim has ended: the final dot may have left, so the outcome is unknown."""
        if found is None or found.state is not State.COMMITTING or (found.next_attempt_at or 0) > now:
            return None
        return self._record(found, outcomes.unknown(found, now, outcomes.WORKER_LOST))

    def _attempt(self, message: Message, body: bytes, connection: Connection) -> State | None:
        envelope = Envelope(message.envelope.mail_from, message.to_whom())
        refused = connection.transfer(envelope, body)
        if not self._may_commit(message, connection):
            connection.drop()
            return None
        reply = connection.commit()
        return self._record(message, outcomes.accepted(message, reply, self._clock(), _weighed(refused)))

    def _may_commit(self, message: Message, connection: Connection) -> bool:
        """Writes `committing`. Without it no final dot: somebody else may have the message."""
        try:
            return self._messages.commit(message, until=self._clock() + CLAIM)
        except Unavailable as error:
            connection.drop()
            ending = Ending(Phase.DATA, self._clock(), _ours(error))
            self._record(message, outcomes.deferred(message, ending))
            raise LaneStops(_ours(error)) from error

    def _over(self, message: Message, now: int) -> Outcome | None:
        """The outcome of a message that is not to be sent any more."""
        if message.expires_at <= now:
            return outcomes.given_up(message, _never_begun(now, outcomes.EXPIRED))
        if not self._permitted(message.caller, message.account):
            return outcomes.given_up(message, _never_begun(now, outcomes.NOT_PERMITTED))
        return None

    def _refused(self, message: Message, refused: Refused, connection: Connection) -> State | None:
        verdict, now = refused.verdict, self._clock()
        ending = Ending(refused.phase, now, verdict.diagnosis, refused.reply)
        if refused.undecided:
            connection.drop()
            return self._record(message, outcomes.unknown(message, now))
        if verdict.concern in (Concern.LANE, Concern.TOKEN, Concern.ACCOUNT):
            connection.drop()
            self._record(message, outcomes.put_back(message, ending))
            raise LaneStops(verdict.diagnosis, _closes(refused))
        if refused.ends_connection:
            connection.drop()
        each = _weighed(refused.recipients) if isinstance(refused, NoRecipients) else outcomes.NONE_REFUSED
        end = outcomes.deferred if verdict.passes else outcomes.given_up
        return self._record(message, end(message, ending, each))

    def _no_token(self, message: Message, error: Diagnosed | Unavailable) -> State | None:
        diagnosis = error.diagnosis if isinstance(error, Diagnosed) else _ours(error)
        self._record(message, outcomes.put_back(message, Ending(Phase.TOKEN, self._clock(), diagnosis)))
        raise LaneStops(diagnosis, _CLOSING.get(diagnosis.class_)) from error

    def _record(self, message: Message, outcome: Outcome) -> State | None:
        """Writes the outcome, more than once if need be; None when a newer attempt has begun meanwhile."""
        for pause in RECORD_PAUSES:
            try:
                done = self._messages.finish(message, outcome)
            except Unavailable:
                log.warning("outcome not recorded yet", extra={"facts": _facts(message, outcome)})
                time.sleep(pause)
            else:
                break
        else:
            done = self._messages.finish(message, outcome)
        log.info("attempt ended", extra={"facts": {**_facts(message, outcome), "recorded": done}})
        return outcome.state if done else None


_CLOSING = {
    DiagnosisClass.RECONNECT: ClosedReason.NEEDS_RECONNECT,
    DiagnosisClass.ADMIN: ClosedReason.MISCONFIGURED,
}
"""What a token's diagnosis closes the lane for; every other class passes by itself."""


def _closes(refused: Refused) -> ClosedReason | None:
    """A mailbox that its server refuses is blocked; so is one whose fresh token was refused as well."""
    at_sign_in = refused.verdict.concern is Concern.TOKEN and refused.phase is Phase.AUTH
    return ClosedReason.BLOCKED if at_sign_in or refused.verdict.concern is Concern.ACCOUNT else None


def _weighed(refused: Mapping[str, Reply]) -> dict[str, tuple[Reply, bool]]:
    return {address: (reply, replies.verdict(reply, Phase.RCPT).passes) for address, reply in refused.items()}


def _never_begun(now: int, diagnosis: Diagnosis) -> Ending:
    return Ending(Phase.CLAIMED, now, diagnosis)


def _ours(error: Unavailable) -> Diagnosis:
    """Something of ours that did not answer, as a diagnosis."""
    return Diagnosis(DiagnosisClass.RETRY, error.error_code, error.message, error.fix)


def _facts(message: Message, outcome: Outcome) -> dict[str, object]:
    """What the log may know: no address, no subject."""
    attempt = outcome.attempt
    return {
        "account": message.account,
        "message": message.id,
        "caller": message.caller,
        "attempt": attempt.number,
        "phase": str(attempt.phase),
        "state": str(outcome.state),
        "reply": attempt.reply.code if attempt.reply else None,
        "diagnosis": attempt.diagnosis.code if attempt.diagnosis else None,
    }
