"""Changes of connectors and accounts, and the end of connectors; nothing here needs a secret."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.accounts.admin import checks, readers
from chalicelib.accounts.admin.scopes import own_facts
from chalicelib.accounts.models.account import Account, GrantState
from chalicelib.accounts.models.connector import Connector
from chalicelib.errors import Conflict, NotFound
from chalicelib.ids import is_id
from chalicelib.providers.facts import ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from chalicelib.accounts.ports import AccountStore, ConnectorStore
    from chalicelib.providers.catalogue import Catalogue

OF_SCOPES = frozenset({"scopes", "required_scopes", "scopes_in_words"})
"""Facts that follow from a choice of scopes."""
PAGE = 100
FIRST_OF_CONNECTOR = "first; GET /v1/connectors/{id} lists them."
NAMED = 10
"""How many accounts a refusal names."""


class Changing:
    """Changes connectors and accounts, and removes connectors that nobody uses.

    `checked` refuses a connector whose facts do not go together.
    """

    def __init__(
        self,
        connectors: ConnectorStore,
        accounts: AccountStore,
        catalogue: Catalogue,
        checked: Callable[[Connector], Connector],
        now: clock.Clock = clock.now,
    ) -> None:
        self._connectors = connectors
        self._accounts = accounts
        self._catalogue = catalogue
        self._checked = checked
        self._now = now

    def accounts_of(
        self,
        connector: Connector,
        limit: int,
        cursor: str | None = None,
        *,
        among: Collection[str] | None = None,
    ) -> tuple[list[Account], str | None]:
        """One page (at most 100) of a connector's accounts, and the cursor of the next. Raises InvalidInput.

        `among` are the ids of the only accounts to list, and to go on after; None lists all there are, of
        which one that was made a moment ago may be missing.
        """
        if cursor is not None and not is_id("acc", cursor):
            checks.refuse("cursor", "The cursor is not one.", "Use the cursor exactly as it was given.")
        if among is not None:
            return self._own_accounts_of(connector, limit, cursor, among)
        found, cursor = self._accounts.of_connector(connector.id, limit, cursor)
        return self._accounts.some(found), cursor  # deleted ones too

    def _own_accounts_of(
        self, connector: Connector, limit: int, cursor: str | None, among: Collection[str]
    ) -> tuple[list[Account], str | None]:
        """As accounts_of: nothing that is not among them is read."""
        left = sorted(account for account in among if cursor is None or account > cursor)
        found: list[Account] = []
        for start in range(0, len(left), PAGE):
            accounts = self._accounts.some(left[start : start + PAGE])
            found += [one for one in accounts if one.connector == connector.id]
            if len(found) > limit:
                return found[:limit], found[limit - 1].id
        return found, None

    def change_connector(  # noqa: PLR0913 - the fields of one request
        self,
        connector: Connector,
        *,
        name: str | None = None,
        client_id: str | None = None,
        tenant: str | None = None,
        facts: Mapping[str, Any] | None = None,
        scopes: Sequence[str] = (),
        secret_expires_at: str | None = None,
    ) -> Connector:
        """The connector with what is given in the place of what was. Raises InvalidInput.

        `facts` stand in the place of all of its own ones; `scopes` are asked for from the next consent on.
        `secret_expires_at` is the day (``2027-01-31``) on which its client secret ends, empty where nobody
        knows.
        Raises Conflict where somebody else has changed it since it was read; with code ``connector_in_use``
        for another client, or another provider behind it, while accounts are connected: their consents were
        given to the old one.
        """
        changed = replace(
            connector,
            name=connector.name if name is None else checks.name(name),
            client_id=connector.client_id if client_id is None else checks.client_id(client_id),
            tenant=connector.tenant if tenant is None else checks.tenant(connector.provider, tenant),
            facts=self._facts(connector, facts, scopes, secret_expires_at),
        )
        if changed.facts != connector.facts:
            self._checked(changed)
        if _client(changed) != _client(connector):
            self._require_nobody_connected(connector)
        if not self._connectors.describe(connector, changed):
            raise _changed_meanwhile()
        return changed

    def require_unused(self, connector: Connector) -> None:
        """Returns when no account belongs to the connector; raises Conflict (code ``connector_in_use``)."""
        remaining = (one for one in self._all_accounts(connector) if self._counts(one))
        fix = f"Delete them, which can be undone for 7 days, {FIRST_OF_CONNECTOR}"
        _require_none(remaining, "Accounts belong to this connector", fix, "connector_in_use")

    def remove_connector(self, connector: Connector) -> None:
        """Deletes the row, after the credential was deleted."""
        self._connectors.delete(connector.id)

    def change_account(self, account: Account, **given: Any) -> Account:
        """The account with what is given in the place of what was; its id and its mail stay with it.

        A user name at the mail server that was found out for another person is forgotten. Raises
        InvalidInput, and Conflict (code ``name_taken``).
        """
        changed = replace(account, **checks.description(**given))
        if changed.reads_with not in {"", account.reads_with}:
            readers.require_reader(account.id, given["reads_with"])
            readers.require_no_reader(self._accounts, account.id)
        if changed.signs_in_as != account.signs_in_as and "smtp_user" not in given:
            changed = replace(changed, smtp_user="")
        if not self._accounts.describe(account, changed, now=self._now()):
            raise self._not_described(changed)
        return changed

    def require_not_read_with(self, account: Account) -> None:
        """Returns when no account reads with that one; raises Conflict (code ``account_in_use``)."""
        found = readers.read_by(self._accounts, account.id)
        fix = "Change or empty their reads_with first."
        _require_none(found, "Accounts read with this one", fix, "account_in_use")

    def delete_account(self, account: Account, *, by: str) -> Account:
        """Deletes an account that is disconnected; it can be restored for UNDO. Raises Conflict.

        Until then its name stays taken. Mail that waits is given up by whoever looks at its lane next.
        """
        deleted = replace(account, deleted_at=self._now(), deleted_by=by)
        if not self._accounts.delete(account, by=by, at=deleted.deleted_at or 0):
            raise _changed_meanwhile()
        return deleted

    def restore_account(self, named: str) -> Account:
        """Takes a deletion back; the account is disconnected then. One that is not deleted stays as it is.

        Raises NotFound, and Conflict (code ``not_restorable``) when it is too late.
        """
        known = named if is_id("acc", named) else self._accounts.named(named[: checks.NAME_LIMIT])
        found = self._accounts.get(known) if known else None
        if found is None:
            raise NotFound("There is no such account.", fix="Check its id or name.", code="account_not_found")
        if found.deleted_at is not None and not self._accounts.restore(found, now=self._now()):
            raise Conflict(
                "The account was deleted too long ago.", fix="Create a new one.", code="not_restorable"
            )
        return replace(found, deleted_at=None, deleted_by=None)

    def _facts(
        self,
        connector: Connector,
        given: Mapping[str, Any] | None,
        scopes: Sequence[str],
        secret_expires_at: str | None,
    ) -> Mapping[str, Any]:
        if given is None and not scopes and secret_expires_at is None:
            return connector.facts
        kept = connector.facts if given is None else given
        if scopes:
            kept = {name: value for name, value in kept.items() if name not in OF_SCOPES}
        if secret_expires_at is not None:
            day = checks.end_of_secret(secret_expires_at, connector.credential)
            others = {name: value for name, value in kept.items() if name != checks.SECRET_END}
            kept = {**others, checks.SECRET_END: day} if day else others
        return own_facts(self._catalogue.of(replace(connector, facts={})), kept, scopes)

    def _counts(self, account: Account) -> bool:
        """Whether the account is there, or may come back."""
        return account.deleted_at is None or account.restorable_until > self._now()

    def _require_nobody_connected(self, connector: Connector) -> None:
        connected = (
            account for account in self._all_accounts(connector) if account.grant_state is not GrantState.NONE
        )
        fix = f"Make a new connector for the other client, or disconnect them {FIRST_OF_CONNECTOR}"
        _require_none(connected, "Accounts are connected with this connector", fix, "connector_in_use")

    def _all_accounts(self, connector: Connector) -> Iterator[Account]:
        found, cursor = self.accounts_of(connector, PAGE)
        yield from found
        while cursor is not None:
            found, cursor = self.accounts_of(connector, PAGE, cursor)
            yield from found

    def _not_described(self, changed: Account) -> Conflict:
        if self._accounts.named(changed.name) in {None, changed.id}:
            return _changed_meanwhile()
        return Conflict(
            f"Another account has the name {changed.name}.",
            fix="Choose another name.",
            field="name",
            code="name_taken",
        )


def _client(connector: Connector) -> tuple[str, str, dict[str, Any]]:
    """To whom consents are given."""
    addresses = {name: value for name, value in connector.facts.items() if name in ADDRESSES}
    return connector.client_id, connector.tenant, addresses


def _require_none(accounts: Iterable[Account], relation: str, fix: str, code: str) -> None:
    """Raises the Conflict that names some of the accounts, if there are any."""
    names = [_named(account) for account, _ in zip(accounts, range(NAMED + 1), strict=False)]
    if not names:
        return
    shown = ", ".join(names[:NAMED]) + (" and more" if len(names) > NAMED else "")
    raise Conflict(f"{relation}: {shown}.", fix=fix, code=code)


def _named(account: Account) -> str:
    return account.name if account.deleted_at is None else f"{account.name} (deleted)"


def _changed_meanwhile() -> Conflict:
    return Conflict(
        "It was changed by somebody else at the same moment.", fix="Look at it, then send the request again."
    )
