"""What the web needs of the wiring: the shape of the Gateway as it is seen from here.

Every member is made when it is first used, so a request pays only for what it touches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from chalicelib.accounts.registry import Registry
    from chalicelib.callers.registry import Callers
    from chalicelib.mail.lane import Lane
    from chalicelib.mail.outbox import Outbox
    from chalicelib.mail.send import Send
    from chalicelib.settings import Settings


class Functions(Protocol):
    """Our other Lambda functions."""

    def connect(self, op: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Asks the function `connect`; an error that it answers is raised here as what it was there."""


class Services(Protocol):
    """The Gateway, as far as the web uses it."""

    @property
    def settings(self) -> Settings:
        """What this deployment sets."""

    @property
    def callers(self) -> Callers:
        """Who may use what."""

    @property
    def registry(self) -> Registry:
        """Connectors, accounts and connect links."""

    @property
    def lane(self) -> Lane:
        """The lanes of the accounts."""

    @property
    def send(self) -> Send:
        """The way in for messages."""

    @property
    def outbox(self) -> Outbox:
        """The records of messages."""

    @property
    def functions(self) -> Functions:
        """Our other Lambda functions."""

    @property
    def public_url(self) -> Callable[[], str]:
        """Gives the address where people and providers reach this stage, without a slash at the end."""


GetServices = Callable[[], Services]
