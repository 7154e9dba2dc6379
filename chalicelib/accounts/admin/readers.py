"""Which account may be the reader of another: by its consent that one is signed in to at IMAP and POP3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.accounts.admin import checks
from chalicelib.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.ports import AccountStore

FIELD = "reads_with"
PAGE = 100


def require_reader(account: str, reader: Account) -> None:
    """Returns where the account (an id) may read with that other one.

    Raises InvalidInput for itself, and for one that reads with a third one: whose consent counts would not be
    seen at a glance.
    """
    if reader.id == account:
        checks.refuse(
            FIELD, "An account cannot read with itself.", "Leave it empty: it reads by its own consent then."
        )
    if reader.reads_with:
        checks.refuse(
            FIELD,
            f"{reader.name} itself reads with another account, and these do not make a chain.",
            f"Name the account that {reader.name} reads with.",
        )


def require_no_reader(accounts: AccountStore, account: str) -> None:
    """Returns where no account reads with that one (an id), so that it may read with another. InvalidInput.

    It does not name them: the caller may not know of them.
    """
    if next(read_by(accounts, account), None) is not None:
        checks.refuse(
            FIELD,
            "Other accounts read with this one, and these do not make a chain.",
            "Let those read with the other account, or by their own consent, first.",
        )


def read_by(accounts: AccountStore, reader: str) -> Iterator[Account]:
    """The accounts that read with that one, without those that are deleted. Looks at every account."""
    after: str | None = None
    while True:
        found, after = accounts.page(PAGE, after)
        yield from (one for one in found if one.reads_with == reader)
        if after is None:
            return


def unknown_reader() -> NotFound:
    """The one answer for an account that does not exist, one that is deleted, and one that is forbidden."""
    return NotFound(
        "There is no account with this id or name to read with.",
        fix="Check the id or name. One that is deleted has to be restored first.",
        field=FIELD,
        code="account_not_found",
    )
