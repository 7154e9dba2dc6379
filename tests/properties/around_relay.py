"""What stands around the relay in its simulation: the account's facts, tokens, the mail server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.accounts.models.account import Account, GrantState
from chalicelib.accounts.models.connector import Connector
from chalicelib.accounts.models.grant import AccessToken
from chalicelib.clock import HOUR
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed
from chalicelib.mail.models import FINAL, Envelope, Message, Phase, Reply
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Concern, Refused, Verdict
from tests.properties.steps import stop

if TYPE_CHECKING:
    from tests.properties.relay_world import World


def _verdict(concern: Concern, class_: DiagnosisClass, code: str) -> Verdict:
    return Verdict(concern, Diagnosis(class_, code, "It went wrong.", "Wait."))


GONE = Diagnosis(DiagnosisClass.RECONNECT, "invalid_grant", "The consent is gone.", "Connect again.")
LOST = _verdict(Concern.MESSAGE, DiagnosisClass.RETRY, "connection_lost")
BUSY = _verdict(Concern.MESSAGE, DiagnosisClass.RETRY, "smtp_451")
AWAY = _verdict(Concern.LANE, DiagnosisClass.RETRY, "smtp_unreachable")
BLOCKED = _verdict(Concern.ACCOUNT, DiagnosisClass.ADMIN, "smtp_blocked")


class Rows(dict[str, Message]):
    """The rows of messages: what is over stays as it is."""

    def __setitem__(self, message: str, row: Message) -> None:
        before = self.get(message)
        assert before is None or before.state not in FINAL, f"what was {before.state} is {row.state}"
        super().__setitem__(message, row)


class Services:
    """What is neither store nor server: mailbox, token, wake-ups, and the block that is shown to people."""

    def __init__(self, world: World) -> None:
        self.world = world

    def mailbox(self, account: str) -> tuple[Account, Connector]:
        return self.world.account, self.world.connector

    def fresh_token(self, account: str, *, failed_version: int | None = None, **_: Any) -> AccessToken:
        if not self.world.consented:
            self.world.change(grant_state=GrantState.NEEDS_RECONNECT)
            raise Diagnosed(GONE)
        return AccessToken(Secret("t"), 1, self.world.now + HOUR)

    def wake(self, account: str, message: str | None = None) -> None:
        """The wake-up is lost, late or comes twice: the events have visits instead."""

    def block(self, account: str, diagnosis: Diagnosis | None) -> None:
        self.world.change(transport_block=diagnosis)


class AccountsModel:
    """The account's facts, as far as pausing writes them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, account: str) -> Account:
        return self._world.account

    def pause(self, account: str, *, by: str, at: int, reason: str) -> bool:
        return self._written(self._world.account.paused_by is None, by)

    def resume(self, account: str) -> bool:
        return self._written(self._world.account.paused_by is not None, None)

    def _written(self, may: bool, by: str | None) -> bool:  # noqa: FBT001 - the condition
        if may:
            self._world.change(paused_by=by)
        return may


@dataclass
class ServerSession:
    """One connection to the modelled server; a message counts as delivered once its end was written."""

    world: World
    sent: int = 0
    message: str = ""

    def allow(self, seconds: float) -> None:
        """Time is for the events to move."""

    def connect(self) -> None:
        stop("connect")
        if self.world.server == "away":
            raise Refused(AWAY, Phase.CONNECT)

    def authenticate(self, token: Secret) -> None:
        stop("authenticate")
        if self.world.server == "blocked":
            raise Refused(BLOCKED, Phase.AUTH, Reply(535, "5.7.139", "Blocked"))

    def transfer(self, envelope: Envelope, body: bytes) -> dict[str, Reply]:
        stop("transfer")
        rows = self.world.messages.rows.values()
        self.message = next(one.id for one in rows if one.body == body)
        return {}

    def commit(self) -> Reply:
        stop("dot")
        answer = self.world.answers.pop(0) if self.world.answers else "taken"
        if answer in ("taken", "taken and lost"):
            self.world.copies[self.message] += 1
        stop("reply")
        if answer == "busy":
            raise Refused(BUSY, Phase.COMMIT, Reply(451, "4.3.0", "Not now"))
        if answer != "taken":
            raise Refused(LOST, Phase.COMMIT)
        self.sent += 1
        return Reply(250, "2.0.0", "OK")

    def quit(self) -> None:
        """Tells the server nothing that matters."""

    def drop(self) -> None:
        """As quit."""
