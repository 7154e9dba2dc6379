"""What the services of this package are handed: stores, keys, secrets and queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.accounts.models.grant import MAIL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chalicelib.accounts.connecting.consent import Signed
    from chalicelib.accounts.models.account import Account, Disconnection, GrantState
    from chalicelib.accounts.models.authorization import Authorization, ConnectLink, Visit
    from chalicelib.accounts.models.connector import Connector, CredentialKind
    from chalicelib.accounts.models.grant import DueReason, Grant, SealedToken
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

    def describe(self, connector: Connector, changed: Connector) -> bool:
        """Gives it another name, client and facts; False when one of them changed since, or it is gone."""

    def delete(self, connector: str) -> bool:
        """Deletes the row; False when there is none."""

    def secret_saved(self, connector: str, at: int, kind: CredentialKind | None = None) -> bool:
        """Notes that a credential was saved, forgets the problem; False when there is no such connector.

        `kind` is that of the credential, where it is not the one from before.
        """

    def refused(self, connector: str, problem: Diagnosis, retry_at: int) -> None:
        """Notes that the provider refuses the client itself, and until when nobody asks again."""

    def doubt(self, connector: str, *, at: int, retry_at: int) -> None:
        """Notes that the provider has refused the client once, and until when nobody asks again."""

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

    def of_connector(self, connector: str, limit: int, after: str | None) -> tuple[list[str], str | None]:
        """At most `limit` ids of accounts of that connector, in their order, and where to go on; may lag."""

    def describe(self, account: Account, changed: Account, *, now: int) -> bool:
        """Writes what of its description was changed; False when the name is taken, or was changed since."""

    def found_user(self, account: Account, user: str) -> bool:
        """Notes by which name it is signed in to at SMTP; False when it changed since it was read."""

    def note_problem(self, account: str, diagnosis: Diagnosis) -> None:
        """Notes why an account that has no consent could not be connected."""

    def set_transport_block(self, account: str, diagnosis: Diagnosis | None) -> None:
        """Notes why the mail server does not take the account's mail, or that it does again."""

    def delete(self, account: Account, *, by: str, at: int) -> bool:
        """Notes that the account is deleted; False when it was renamed, connected or deleted meanwhile."""

    def restore(self, account: Account, *, now: int) -> bool:
        """Takes a deletion back; False when that is too late, or it is not deleted."""

    def pause(self, account: str, *, by: str, at: int, reason: str) -> bool:
        """Notes who paused the account; False when somebody has paused it already, or it does not exist."""

    def resume(self, account: str) -> bool:
        """Takes the pause away; False when there is none."""


class AuthorizationStore(Protocol):
    """Where connect links, states and visits are kept. All are forgotten after they have expired."""

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

    def count(self, what: str, *, ends_at: int, limit: int) -> bool:
        """Counts one more of `what` in the window that ends then; False when it has had `limit` of them."""

    def add_visit(self, visit: Visit) -> None:
        """Writes a new visit."""

    def visit(self, visit: str) -> Visit | None:
        """The visit with that id, read consistently."""


class GrantStore(Protocol):
    """Where grants are kept, with the access tokens and the facts that change in one step with them.

    Every save is conditional on the version of the grant that was read, and answers whether it was done.
    """

    def get(self, account: str) -> Grant | None:
        """The grant of that account, read consistently; None where there is none, or it was ended."""

    def version(self, account: str) -> int:
        """The version of the account's grant, ended or not, read consistently; 0 where there was none."""

    def of_one_person(self, grant: Grant) -> list[str]:
        """The accounts with a grant of the same subject, this one among them. May lag behind."""

    def end(self, account: str, version: int, ended: Disconnection) -> bool:
        """Deletes version `version` (0 for none) and all access tokens; the account notes it at once."""

    def access_token(self, account: str, resource: str = MAIL) -> SealedToken | None:
        """The access token for that resource, read consistently."""

    def lease(self, grant: Grant, *, owner: str, now: int, until: int) -> bool:
        """Takes the right to ask the provider; False when the grant changed or another one has it."""

    def release(self, grant: Grant, *, owner: str) -> None:
        """Gives the right back, if it is still the owner's."""

    def save_refreshed(self, grant: Grant, token: SealedToken, *, owner: str) -> bool:
        """Replaces version `grant.version - 1`, held by `owner`; with it token and account's facts."""

    def save_held(self, grant: Grant, problem: Diagnosis, *, owner: str) -> bool:
        """Replaces version `grant.version - 1`, held by `owner`, and notes that its owner must reconnect."""

    def save_connected(
        self, grant: Grant, token: SealedToken, facts: Mapping[str, Any], signed: Signed | None = None
    ) -> bool:
        """Replaces version `grant.version - 1` or none (1): grant, token, facts, link and outcome at once.

        `facts` are further facts of the account. What is kept for a roll-back must be as it is stored.
        """

    def save_rescued(self, grant: Grant, facts: Mapping[str, Any] | None = None) -> bool:
        """Replaces version `grant.version - 1` or none by a rescued grant, and makes the account active.

        With `facts` it is a consent: they are written too, and what access tokens there are is deleted.
        """

    def save_refused(self, grant: Grant, problem: Diagnosis, state: GrantState, *, owner: str) -> bool:
        """Writes what a refusal changed, if version and lease are unchanged; ends the lease."""

    def reschedule(self, grant: Grant, due_at: int, reason: DueReason) -> None:
        """Moves the next refresh, unless the grant has changed."""

    def told(self, grant: Grant, *, owner: str) -> None:
        """Notes that the mailbox owner was told, and ends the lease, if version and lease are unchanged."""

    def due(self, shard: str, now: int, limit: int) -> list[str]:
        """Up to `limit` due accounts of a shard (ids.GRANT_SHARDS), the longest due first. May lag behind."""


class MailboxStore(Protocol):
    """Where all that a refresh is about is read at once."""

    def read(
        self, account: str, connector: str | None
    ) -> tuple[Grant | None, Account | None, Connector | None]:
        """The grant, the account, and that connector where it is given.

        Each is read consistently, but one before another: the account may be older than the grant.
        """


class SealedGrants(Protocol):
    """The sealed values of all grants, for whoever wraps their data keys anew."""

    def accounts(self, limit: int, after: str | None) -> tuple[list[str], str | None]:
        """At most `limit` accounts after that one in the table's order, and where to go on, or None.

        All that have a grant are found, and some whose grant was ended.
        """

    def get(self, account: str) -> Grant | None:
        """As GrantStore.get."""

    def save_rewrapped(self, read: Grant, rewrapped: Grant) -> bool:
        """Writes the sealed values of `rewrapped` over those that were read; False when these have changed.

        Version and lease stay as they are.
        """


class SealedTokens(Protocol):
    """The sealed values of access tokens, for whoever wraps their data keys anew."""

    def get(self, account: str, resource: str) -> SealedToken | None:
        """As GrantStore.access_token."""

    def save_rewrapped(self, read: SealedToken, rewrapped: SealedToken) -> bool:
        """Writes the sealed value of `rewrapped` over the one that was read; False when that has changed."""


class Sealer(Protocol):
    """A data key at hand: seals without asking anybody."""

    def seal(self, field: str, version: int, plaintext: bytes) -> bytes:
        """The ciphertext, bound to account, table, field and version."""


class Vault(Protocol):
    """Envelope encryption under one key."""

    def sealer(self, account: str) -> Sealer:
        """Fetches a new data key for the account."""

    def open(self, account: str, field: str, version: int, sealed: bytes) -> bytes:
        """The plaintext of a ciphertext made for exactly these; raises Unreadable for anything else."""


class Rewraps(Protocol):
    """Wraps data keys anew."""

    def rewrapped(self, account: str, sealed: bytes) -> bytes:
        """The same ciphertext with its data key wrapped anew. Raises Unreadable, and Unavailable."""


class Secrets(Protocol):
    """The credentials of connectors."""

    def get(self, connector: str) -> Secret:
        """The current credential."""

    def save(self, connector: str, secret: Secret) -> bool:
        """Makes it the current one; whether there is one before it, which stays readable for a roll-back."""

    def delete(self, connector: str) -> int:
        """Has it deleted; until when (ms) that can be undone in Secrets Manager, or now if there is none."""

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

    def take(self, *, wait: int = 0) -> Sequence[tuple[str, str]]:
        """Up to ten (receipt, body), hidden from others for a while; empty when there are none.

        Waits up to `wait` seconds; an empty answer after 0 may be wrong.
        """

    def depth(self) -> int:
        """About how many it holds, those that somebody has taken among them."""

    def put_back(self, receipt: str) -> None:
        """Lets others see at once what was taken."""

    def done(self, receipt: str) -> None:
        """Removes one that was taken."""
