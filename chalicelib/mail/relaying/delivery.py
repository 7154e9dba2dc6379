"""One attempt at one message, from its claim to its recorded outcome."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from chalicelib import ids
from chalicelib.clock import MINUTE, SECOND, Clock
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import ConfigurationError, Diagnosed, Forbidden, InvalidInput, Unavailable
from chalicelib.logs import about, logger
from chalicelib.mail.allowed import require_allowed
from chalicelib.mail.models import ClosedReason, Envelope, Message, Phase, Reply, State
from chalicelib.mail.ports import Blobs, Messages, Outcome, Permitted
from chalicelib.mail.relaying import outcomes
from chalicelib.mail.relaying.connection import Connection
from chalicelib.mail.relaying.outcomes import Ending
from chalicelib.transports.refusals import Concern, Refused
from chalicelib.transports.smtp import replies
from chalicelib.transports.smtp.session import TIMEOUT, NoRecipients

CLAIM = 5 * MINUTE
"""How long a claim lasts without its worker being heard of."""

TO_COMMIT = 150 * SECOND
"""No final dot with less time left: its answer is waited for up to 120 s, and must be recorded then."""

TIMEOUT_REST = 300
"""Seconds that a lane rests whose server has kept a worker waiting: about what it cost."""

RECORD_PAUSES = (0.5, 2.0, 6.0)
"""Seconds after each failed try to record what a server has said: it cannot be asked again."""

log = logger("delivery")


class LaneStops(Exception):
    """The account's mail cannot go on. `reason` closes the lane; without one it rests.

    A doubtful one closes it when it comes again. `state` is what became of the message that showed it, where
    that is more than being put back.
    """

    def __init__(
        self, diagnosis: Diagnosis, reason: ClosedReason | None = None, *, doubtful: bool = False
    ) -> None:
        super().__init__(diagnosis.code)
        self.diagnosis = diagnosis
        self.reason = reason
        self.doubtful = doubtful
        self.state: State | None = None


@dataclass(frozen=True, slots=True)
class _Ended:
    """How an attempt ended: None when somebody else has the message now; `stop` is raised afterwards."""

    outcome: Outcome | None
    stop: Exception | None = None


class Delivery:
    """Relays claimed messages over the connection of a visit."""

    def __init__(self, messages: Messages, blobs: Blobs, permitted: Permitted, clock: Clock) -> None:
        self._messages = messages
        self._blobs = blobs
        self._permitted = permitted
        self._clock = clock

    def deliver(
        self, account: str, message_id: str, worker: str, connection: Connection, *, until: int
    ) -> State | None:
        """Makes one attempt and returns the state it ended in; None when there was nothing to claim.

        `until` is when the process ends (ms). Raises LaneStops, after the message was put back, when no other
        message of the account can go either, and Unavailable when the table of messages does not answer: the
        claim then ends by itself, and a message that the server may have becomes `unknown`.
        """
        now = self._clock()
        claimed = self._messages.claim(account, message_id, worker=worker, now=now, until=now + CLAIM)
        message = claimed.row
        if message is None or not claimed.done:
            return self._note_lost_worker(message, now)
        with about(message=message.id, request_id=message.request_id, attempt=message.attempts[-1].number):
            log.info("attempt began", extra={"facts": {"waited_ms": now - message.accepted_at}})
            ended = self._attempt(message, connection, until)
            state = self._record(message, ended.outcome) if ended.outcome is not None else None
        if ended.stop is not None:
            if isinstance(ended.stop, LaneStops) and ended.stop.diagnosis.code == TIMEOUT:
                ended.stop.state = state
            raise ended.stop
        return state

    def end(self, message: Message, diagnosis: Diagnosis) -> None:
        """Gives a message up that needs no server for that: its time is over, or its account is gone.

        One whose worker died in `committing` becomes `unknown` instead.
        """
        now, worker = self._clock(), ids.new_id("wrk")
        claimed = self._messages.claim(message.account, message.id, worker=worker, now=now, until=now + CLAIM)
        if claimed.row is not None and claimed.done:
            self._record(claimed.row, outcomes.given_up(claimed.row, _never_begun(now, diagnosis)))
        else:
            self._note_lost_worker(claimed.row, now)

    def _note_lost_worker(self, found: Message | None, now: int) -> State | None:
        """`committing` whose claim has ended: the final dot may have left, so the outcome is unknown."""
        if found is None or found.state is not State.COMMITTING or (found.next_attempt_at or 0) > now:
            return None
        return self._record(found, outcomes.unknown(found, now, outcomes.WORKER_LOST))

    def _attempt(self, message: Message, connection: Connection, until: int) -> _Ended:
        """The attempt itself; how it ended is written by others, so that no trouble in writing changes it."""
        phase = Phase.CLAIMED
        try:
            over, body = self._prepared(message)
            if over is not None:
                return _Ended(over)
            phase = Phase.TOKEN
            refused = connection.transfer(
                Envelope(message.envelope.mail_from, message.to_whom()),
                body,
                until=min(until - TO_COMMIT, message.next_attempt_at or until),
            )
            phase = Phase.DATA
            log.info("handed over but for its end", extra={"facts": {"refused": len(refused)}})
            if self._clock() + TO_COMMIT > until:
                connection.drop()
                return _Ended(outcomes.deferred(message, Ending(phase, self._clock(), outcomes.TOO_SLOW)))
            if not self._messages.commit(message, until=self._clock() + CLAIM):
                # Somebody else has the message: without the final dot the server throws ours away.
                connection.drop()
                log.warning("somebody else has the message")
                return _Ended(None)
            reply = connection.commit()
        except Refused as no:
            return self._refused(message, no, connection)
        except (Diagnosed, Unavailable, ConfigurationError) as error:
            connection.drop()
            return self._hindered(message, error, phase)
        return _Ended(outcomes.accepted(message, reply, self._clock(), _weighed(refused)))

    def _prepared(self, message: Message) -> tuple[Outcome | None, bytes]:
        """The outcome of a message that is not to be sent any more, or None and its bytes."""
        now = self._clock()
        if message.expires_at <= now:
            return outcomes.given_up(message, _never_begun(now, outcomes.EXPIRED)), b""
        caller = self._permitted(message.caller, message.account)
        if caller is None:
            return outcomes.given_up(message, _never_begun(now, outcomes.NOT_PERMITTED)), b""
        body = message.body if message.body is not None else self._blobs.get(message.blob or "")
        if body is None:
            return outcomes.given_up(message, _never_begun(now, outcomes.BODY_GONE)), b""
        try:
            require_allowed(caller, body, is_raw=True)
        except (Forbidden, InvalidInput) as no:
            return outcomes.given_up(message, _never_begun(now, outcomes.not_allowed(no))), b""
        return None, body

    def _refused(self, message: Message, refused: Refused, connection: Connection) -> _Ended:
        verdict, now = refused.verdict, self._clock()
        ending = Ending(refused.phase, now, verdict.diagnosis, refused.reply)
        # A server that keeps its client waiting would keep this worker, for each message anew.
        is_timeout = verdict.diagnosis.code == TIMEOUT
        stop = LaneStops(replace(verdict.diagnosis, retry_after=TIMEOUT_REST)) if is_timeout else None
        if refused.undecided:
            connection.drop()
            return _Ended(outcomes.unknown(message, now), stop)
        if verdict.concern in (Concern.LANE, Concern.TOKEN, Concern.ACCOUNT):
            connection.drop()
            closing = LaneStops(verdict.diagnosis, _closes(refused), doubtful=verdict.doubtful)
            return _Ended(outcomes.put_back(message, ending), closing)
        if refused.ends_connection:
            connection.drop()
        each = _weighed(refused.recipients) if isinstance(refused, NoRecipients) else outcomes.NONE_REFUSED
        end = outcomes.deferred if verdict.passes else outcomes.given_up
        return _Ended(end(message, ending, each), stop)

    def _hindered(
        self, message: Message, error: Diagnosed | Unavailable | ConfigurationError, phase: Phase
    ) -> _Ended:
        """Something other than the server keeps the message from going: put back, and no try is counted.

        A broken installation is raised as what it is, so that its operator hears of it.
        """
        diagnosis = error.diagnosis if isinstance(error, Diagnosed) else _ours(error)
        back = outcomes.put_back(message, Ending(phase, self._clock(), diagnosis))
        if isinstance(error, ConfigurationError):
            return _Ended(back, error)
        return _Ended(back, LaneStops(diagnosis, _CLOSING.get(diagnosis.class_)))

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
        log.info(
            "attempt ended",
            extra={
                "facts": {**_facts(message, outcome), "recorded": done},
                "personal": _personal(message, outcome),
                "figures": {_FIGURES[outcome.state]: 1} if done else {},
            },
        )
        return outcome.state if done else None


_CLOSING = {
    DiagnosisClass.RECONNECT: ClosedReason.NEEDS_RECONNECT,
    DiagnosisClass.ADMIN: ClosedReason.MISCONFIGURED,
}
"""What a token's diagnosis closes the lane for; every other class passes by itself."""

_BROKEN = Diagnosis(
    DiagnosisClass.ADMIN,
    "configuration_error",
    "The installation of Mailgrant is broken.",
    "Its operator looks into the log of the function `relay`.",
)


def _closes(refused: Refused) -> ClosedReason | None:
    """A mailbox that its server refuses is blocked; so is one whose fresh token was refused as well."""
    at_sign_in = refused.verdict.concern is Concern.TOKEN and refused.phase is Phase.AUTH
    return ClosedReason.BLOCKED if at_sign_in or refused.verdict.concern is Concern.ACCOUNT else None


def _weighed(refused: Mapping[str, Reply]) -> dict[str, tuple[Reply, bool]]:
    return {address: (reply, replies.verdict(reply, Phase.RCPT).passes) for address, reply in refused.items()}


def _never_begun(now: int, diagnosis: Diagnosis) -> Ending:
    return Ending(Phase.CLAIMED, now, diagnosis)


def _ours(error: Unavailable | ConfigurationError) -> Diagnosis:
    """Trouble of our own, as a diagnosis."""
    if isinstance(error, ConfigurationError):
        return _BROKEN
    return Diagnosis(DiagnosisClass.RETRY, error.error_code, error.message, error.fix)


_FIGURES = {
    State.SENT: "Sent",
    State.DEFERRED: "Deferred",
    State.FAILED: "Failed",
    State.UNKNOWN: "Unknown",
}


def _facts(message: Message, outcome: Outcome) -> dict[str, object]:
    """What the log may know: no address, no subject."""
    attempt = outcome.attempt
    return {
        "account": message.account,
        "message": message.id,
        "request_id": message.request_id,
        "caller": message.caller,
        "attempt": attempt.number,
        "phase": str(attempt.phase),
        "state": str(outcome.state),
        "reply": attempt.reply.code if attempt.reply else None,
        "enhanced": attempt.reply.enhanced if attempt.reply else None,
        "diagnosis": attempt.diagnosis.code if attempt.diagnosis else None,
    }


def _personal(message: Message, outcome: Outcome) -> dict[str, object]:
    """What the log may know where the stage allows it to name people."""
    reply = outcome.attempt.reply
    return {"rcpt_to": message.to_whom(), "subject": message.subject, "said": reply.text if reply else None}
