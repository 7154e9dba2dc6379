"""What the web needs of the wiring: the shape of the Gateway as it is seen from here.

Every member is made when it is first used, so a request pays only for what it touches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from chalicelib.accounts.models import Account, Connector
    from chalicelib.callers.models import Caller
    from chalicelib.callers.registry import Callers
    from chalicelib.settings import Settings


class ConnectLink(Protocol):
    """What the page of a connect link says."""

    @property
    def address(self) -> str:
        """The mailbox that is to be connected."""

    @property
    def provider(self) -> str:
        """Where its owner signs in, as the catalogue names it."""

    @property
    def asked_by(self) -> str:
        """The name of the caller who made the link."""

    @property
    def scopes_in_words(self) -> tuple[str, ...]:
        """What the provider will ask the owner to allow."""

    @property
    def expires_at(self) -> int:
        """When the link ends, in milliseconds."""


class Registry(Protocol):
    """Connectors, accounts and connect links, without their secrets."""

    def new_connector(self, provider: str, name: str, client_id: str, tenant: str) -> Connector:
        """A checked connector with a new id, not written yet. Raises InvalidInput."""

    def add_connector(self, connector: Connector) -> Connector:
        """Writes a new connector's row."""

    def connector(self, connector: str) -> Connector:
        """The connector with that id. Raises NotFound."""

    def connectors(self) -> list[Connector]:
        """Every connector, the oldest first."""

    def create_account(self, connector: str, address: str, name: str, display_name: str) -> Account:
        """Makes an account. Raises InvalidInput, NotFound (connector), Conflict (name)."""

    def account(self, named: str) -> Account:
        """The account with that id or name. Raises NotFound."""

    def accounts(self, limit: int, cursor: str | None) -> tuple[list[Account], str | None]:
        """One page of accounts and the cursor of the next page, None on the last."""

    def invite(self, account: Account, caller: Caller) -> tuple[str, int]:
        """A new connect link's token, and when it ends in milliseconds."""

    def page(self, link_token: str) -> ConnectLink:
        """What a connect link's page says. Raises NotFound when the link is unknown or has ended."""

    def outcome(self, authorization: str, cookie: str | None) -> Mapping[str, Any]:
        """How an authorization ended; names mailboxes only to the browser that holds its cookie."""


class Lanes(Protocol):
    """The lanes, as an account's record shows them."""

    def shown(self, account: str) -> Mapping[str, Any]:
        """`due_at`, `closed` (a reason, or None) and `closed_at` of the account's lane, ready for JSON."""


class Send(Protocol):
    """Takes messages in."""

    def accept(self, caller: Caller, request: bytes, *, idempotency_key: str | None) -> Any:
        """Accepts one message; the answer has `id`, `state` and `replayed`."""


class Outbox(Protocol):
    """The records of accepted messages."""

    def get(self, caller: Caller, message: str) -> Mapping[str, Any]:
        """The message's record, ready for JSON. Raises NotFound."""

    def list(self, caller: Caller, account: str, limit: int, cursor: str | None) -> Mapping[str, Any]:
        """One page of an account's records, the newest first: `messages` and `next`."""

    def resolve(self, caller: Caller, message: str, as_: str) -> Mapping[str, Any]:
        """Settles a message whose outcome is unknown; returns its record. Raises NotFound, Conflict."""


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
    def lanes(self) -> Lanes:
        """The lanes."""

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
