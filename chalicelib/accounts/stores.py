"""The stores of this package, as they are handed on together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.accounts.ports import (
        AccountStore,
        AuthorizationStore,
        ConnectorStore,
        GrantStore,
        MailboxStore,
    )


@dataclass(frozen=True, slots=True)
class Stores:
    """Where accounts, connectors, authorizations and grants are kept, and three of them read together."""

    accounts: AccountStore
    connectors: ConnectorStore
    authorizations: AuthorizationStore
    grants: GrantStore
    mailboxes: MailboxStore
