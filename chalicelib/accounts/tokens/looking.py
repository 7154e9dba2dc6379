"""One look at a mailbox: its grant, its account and its connector, in one request where that can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.accounts.models.grant import DueReason
from chalicelib.errors import NotFound

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector
    from chalicelib.accounts.models.grant import Grant
    from chalicelib.accounts.stores import Stores

REFUSED = (DueReason.AGAIN, DueReason.TELL_OWNER)
"""What is due of a grant that was refused, until its owner was told; then nothing is."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen, each read consistently; the account is not older than the grant."""

    grant: Grant | None
    account: Account
    connector: Connector | None


class Looking:
    """Looks at mailboxes, one after the other or from several threads.

    Which connector an account has is known only when it was read. Most installations have one or a few, so
    the one that was met last is asked for.
    """

    def __init__(self, stores: Stores) -> None:
        self._mailboxes = stores.mailboxes
        self._accounts = stores.accounts
        self._connectors = stores.connectors
        self._met: str | None = None

    def look(self, account: str) -> Look:
        """What there is now. Raises NotFound for an unknown account."""
        grant, found, connector = self._mailboxes.read(account, self._met)
        if found is not None and not _is_of(found, grant):
            found = self._accounts.get(account)
        if found is None:
            raise NotFound("There is no such account.", fix="Check the account's id.")
        if connector is None or connector.id != found.connector:
            connector = self._connectors.get(found.connector)
            self._met = found.connector
        return Look(grant, found, connector)


def _is_of(account: Account, grant: Grant | None) -> bool:
    """Whether what was read of the account is surely not older than what was read of the grant.

    Whoever saves a grant writes the same time into both rows in one step. With an older account the password
    of a newer grant could go where a refresh token belongs, or a grant that has ended could be asked with.
    """
    if grant is None:
        return account.refreshed_at is None
    refused = grant.refresh_due_at is None or grant.due_reason in REFUSED  # which the account tells of, too
    return account.refreshed_at == grant.refreshed_at and not refused
