"""What the services of this package are handed: stores, keys, secrets and queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.accounts.models import (
        Account,
        Authorization,
        ConnectLink,
        Connector,
        DueReason,
        Grant,
        GrantState,
        SealedToken,
    )
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.secret import Secret


class ConnectorStore(Protocol):
    """Where connectors are kept."""

    def add(self, connector: Connector) -> None:
        """Writes a new row."""

    def get(self, connector: str) -> Connector | None:
        """The connector with that id."""

    def all(self) -> list[Connector]:
        """Every connector, the oldest first. There are few."""

    def secret_saved(self, connector: str, at: int) -> bool:
        """Notes that a credential was saved, forgets the problem; False when there is no such connector."""

    def refused(self, connector: str, problem: Diagnosis, retry_at: int) -> None:
        """Notes that the provider refuses the client itself, and until when nobody asks again."""

    def rest(self, connector: str, retry_at: int) -> None:
        """Notes until when nobody asks the provider."""

    def works(self, connector: str) -> None:
        """Forgets problem and rest: a token was given."""


class AccountStore(Protocol):
    """Where accounts are kept."""

    def add(self, account: Account) -> bool:
        """Writes a new row with its name; False when another account has that name."""

    def get(self, account: str) -> Account | None:
        """The account with that id, read consistently."""

    def named(self, name: str) -> str | None:
        """The id of the account with that name, in any case of letters."""

    def some(self, accounts: Sequence[str]) -> list[Account]:
        """Those of at most 100 accounts that exist, read consistently, in the order that was asked for."""

    def page(self, limit: int, after: str | None) -> tuple[list[Account], str | None]:
        """At most `limit` accounts after that id in the table's order, and where to go on."""


class AuthorizationStore(Protocol):
    """Where connect links and states are kept. Both are forgotten some time after they have expired."""

    def add_link(self, link: ConnectLink) -> None:
        """Writes a new link."""

    def link(self, link: str) -> ConnectLink | None:
        """The link with that id, read consistently."""

    def start(self, link: str, *, now: int, limit: int) -> bool:
        """Counts a start; False when the link is used, expired or was started `limit` times."""

    def add(self, authorization: Authorization) -> None:
        """Writes a new state."""

    def get(self, authorization: str) -> Authorization | None:
        """The state with that id, read consistently."""

    def consume(self, authorization: str, *, now: int) -> Authorization | None:
        """Marks the state as used, removes its flow, returns it as it was; None if it was used or expired."""

    def conclude(self, authorization: str, outcome: Mapping[str, Any]) -> None:
        """Notes what became of it."""


class GrantStore(Protocol):
    """Where grants are kept, with the access tokens and the facts that change in one step with them.

    Every save is conditional on the version of the grant that was read, and answers whether it was done.
    """

    def get(self, account: str) -> Grant | None:
        """The grant of that account, read consistently."""

    def access_token(self, account: str) -> SealedToken | None:
        """The access token for mail, read consistently."""

    def lease(self, grant: Grant, *, owner: str, now: int, until: int) -> bool:
        """Takes the right to ask the provider; False when the grant changed or another one has it."""

    def release(self, grant: Grant, *, owner: str) -> None:
        """Gives the right back, if it is still the owner's."""

    def save_refreshed(self, grant: Grant, token: SealedToken, *, owner: str) -> bool:
        """Replaces version `grant.version - 1`, held by `owner`; with it token and account's facts."""

    def save_held(self, grant: Grant, problem: Diagnosis, *, owner: str) -> bool:
        """Replaces version `grant.version - 1`, held by `owner`, and notes that its owner must reconnect."""

    def save_connected(
        self, grant: Grant, token: SealedToken, *, authorization: str, link: str, outcome: Mapping[str, Any]
    ) -> bool:
        """Replaces version `grant.version - 1` or none (1): grant, token, facts, link and outcome at once."""

    def save_rescued(self, grant: Grant) -> bool:
        """Replaces version `grant.version - 1` or none by a rescued grant, and makes the account active."""

    def save_refused(self, grant: Grant, problem: Diagnosis, state: GrantState, *, owner: str) -> bool:
        """Writes what a refusal changed, if version and lease are unchanged; ends the lease."""

    def reschedule(self, grant: Grant, due_at: int, reason: DueReason) -> None:
        """Moves the next refresh, unless the grant has changed."""

    def told(self, grant: Grant, *, owner: str) -> None:
        """Notes that the mailbox owner was told, and ends the lease, if version and lease are unchanged."""

    def due(self, shard: str, now: int, limit: int) -> list[str]:
        """Up to `limit` due accounts of a shard (ids.SHARDS), the longest due first. May lag behind."""


class Sealer(Protocol):
    """A data key at hand: seals without asking anybody."""

    def seal(self, field: str, version: int, plaintext: bytes) -> bytes:
        """The ciphertext, bound to account, table, field and version."""


class Vault(Protocol):
    """Envelope encryption under one key."""

    def sealer(self, account: str) -> Sealer:
        """Fetches a new data key for the account."""

    def open(self, account: str, field: str, version: int, sealed: bytes) -> bytes:
        """The plaintext of a ciphertext made for exactly these; raises for anything else."""


class Secrets(Protocol):
    """The credentials of connectors."""

    def get(self, connector: str) -> Secret:
        """The current credential."""

    def save(self, connector: str, secret: Secret) -> None:
        """Makes it the current one; the one before stays readable for a roll-back."""

    def forget(self, connector: str) -> None:
        """Drops what is remembered, so that the next get sees a rotation."""


class Events(Protocol):
    """Where the rest of the AWS account hears of us."""

    def put(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Publishes one event of that kind. Raises Unavailable."""


class RescueQueue(Protocol):
    """Keeps grants that could not be saved in their table. Ciphertext only."""

    def put(self, body: str) -> None:
        """Hands in one rescued grant."""

    def take(self) -> Sequence[tuple[str, str]]:
        """Up to ten (receipt, body), hidden from others for a while; empty when there are none."""

    def done(self, receipt: str) -> None:
        """Removes one that was taken."""
