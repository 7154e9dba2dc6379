"""An account with its connector, as the mail side asks for it; remembered for a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import clock

if TYPE_CHECKING:
    from chalicelib.accounts.admin.registry import Registry
    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.connector import Connector

REMEMBERED_MAILBOXES = 1_000
CONNECTOR_MEMORY = 5 * clock.MINUTE


class Mailboxes:
    """Finds accounts by id or unique name, with their connectors.

    What was found is remembered for `memory` milliseconds in each execution environment, so a change of an
    account takes effect everywhere within that time; 0 asks the table of accounts each time. Connectors
    are remembered for CONNECTOR_MEMORY: mail asks them for their provider only, and that never changes.
    """

    def __init__(self, registry: Registry, *, memory: int, now: clock.Clock = clock.now) -> None:
        self._registry = registry
        self._memory = memory
        self._now = now
        self._remembered: dict[str, tuple[Account, Connector, int]] = {}
        self._connectors: dict[str, tuple[Connector, int]] = {}

    def find(self, named: str) -> tuple[Account, Connector]:
        """The account and its connector. Raises NotFound."""
        account, connector, read_at = self._remembered.get(named, (None, None, 0))
        if account is None or connector is None or self._now() - read_at >= self._memory:
            account = self._registry.account(named)
            connector = self._connector(account.connector)
            self._remember(named, account, connector)
        return account, connector

    def _connector(self, named: str) -> Connector:
        connector, read_at = self._connectors.get(named, (None, 0))
        if connector is None or self._now() - read_at >= CONNECTOR_MEMORY:
            connector = self._registry.connector(named)
            self._connectors[named] = (connector, self._now())
        return connector

    def _remember(self, named: str, account: Account, connector: Connector) -> None:
        if not self._memory:
            return
        self._remembered.pop(named, None)
        if len(self._remembered) >= REMEMBERED_MAILBOXES:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[named] = (account, connector, self._now())
