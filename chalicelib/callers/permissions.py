"""Who may do what. Every door asks here, when a message is accepted and again when it is relayed.

====================  =============================================================================
scope                 lets a caller, on the accounts that it may use
====================  =============================================================================
``send``              hand in messages, and see the records of those that it handed in, or cancel them
``read``              see accounts, connectors and the records of all their messages; never a body
``admin``             everything
``admin`` on ``*``    also what belongs to no account: connectors, new accounts, callers
====================  =============================================================================

Nothing else is allowed, and less where a caller has limits: which addresses its messages may name, and how
many it may hand in a minute (rates.py). An account that does not exist and one that the caller may not use
are answered alike, so that nobody finds out which accounts there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.callers.models import ALL_ACCOUNTS, Caller, Scope
from chalicelib.errors import Forbidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable


def require(caller: Caller, scope: Scope, account: str | None = None) -> None:
    """Returns when the caller may do what the scope covers, with the account (an id) where one is named.

    Raises NotFound for an account outside the caller's, whether it exists or not, and Forbidden when the
    scope is missing. The account is looked at first: a missing scope tells nothing of other accounts.
    """
    if account is not None and not uses(caller, account):
        raise unknown_account()
    if not has(caller, scope):
        raise Forbidden(
            f"This caller lacks the scope {scope}.",
            fix=f"Use a caller with the scope {scope}, or ask an administrator for one.",
            code="scope_missing",
        )


def require_everything(caller: Caller) -> None:
    """Returns when the caller may administer what belongs to no single account.

    Raises Forbidden otherwise: an administrator of some accounts could make itself one of all of them.
    """
    require(caller, Scope.ADMIN)
    if ALL_ACCOUNTS not in caller.accounts:
        raise Forbidden(
            "This caller administers single accounts, not the whole installation.",
            fix='Use a caller with the scope admin and the accounts "*".',
            code="all_accounts_needed",
        )


def require_mailbox_choice(caller: Caller, field: str) -> None:
    """Returns when the caller may say whose mailbox an account is that no owner consents for.

    The application or service account behind it can open many mailboxes, so who administers one account must
    not choose among them. Raises Forbidden (``all_accounts_needed``), with the field of the request.
    """
    require(caller, Scope.ADMIN)
    if ALL_ACCOUNTS not in caller.accounts:
        raise Forbidden(
            f"No owner consents to what this account sends, so {field} decides whose mailbox it is.",
            fix='Use a caller with the scope admin and the accounts "*", or ask who has one.',
            field=field,
            code="all_accounts_needed",
        )


def require_sight(caller: Caller, account: str, handed_in_by: str) -> None:
    """Returns when the caller may see the record of a message of that account.

    `handed_in_by` is the id of the caller that handed the message in. Raises NotFound for an account
    outside the caller's and for a message of another caller, unless the scope ``read`` is there.
    """
    if not uses(caller, account) or not (has(caller, Scope.READ) or _its_own(caller, handed_in_by)):
        raise unknown_message()


def require_senders(caller: Caller, addresses: Iterable[str], field: str, header: str) -> None:
    """Returns when the caller's messages may name all these addresses, in the form of SendLimits, as senders.

    `header` is the header field that names them. Raises Forbidden (``from_not_allowed``), with the field of
    the request.
    """
    allowed = caller.limits.from_addresses
    if allowed and not allowed.issuperset(addresses):
        raise Forbidden(
            f"This caller sends as {' or '.join(sorted(allowed))} only, and {header} names another address.",
            fix=f"Name one of these in {header}, or have the other one added to the caller.",
            field=field,
            code="from_not_allowed",
        )


def require_reply_to(caller: Caller, addresses: Iterable[str], field: str, header: str) -> None:
    """Returns when answers to the caller's messages may go to all these addresses, in the form of SendLimits.

    `header` is the header field that names them. Raises Forbidden (``reply_to_not_allowed``), with the field
    of the request.
    """
    allowed = caller.limits.reply_to_domains
    if allowed and not allowed.issuperset(one.rpartition("@")[2] for one in addresses):
        raise Forbidden(
            f"This caller's messages are answered to {' or '.join(sorted(allowed))} only, and {header} names"
            " another domain.",
            fix=f"Name addresses of these domains in {header}, or have the domain added to the caller.",
            field=field,
            code="reply_to_not_allowed",
        )


def has(caller: Caller, scope: Scope) -> bool:
    """Whether the caller has the scope; ``admin`` holds the others."""
    return scope in caller.scopes or Scope.ADMIN in caller.scopes


def uses(caller: Caller, account: str) -> bool:
    """Whether the account (an id) is among the caller's."""
    return ALL_ACCOUNTS in caller.accounts or account in caller.accounts


def unknown_account() -> NotFound:
    """The one answer for an account that does not exist and for one that the caller may not use."""
    return NotFound(
        "There is no account with this id or name that this caller may use.",
        fix="Check the id or name; GET /v1/whoami names the accounts that this caller may use.",
        code="account_not_found",
    )


def unknown_message() -> NotFound:
    """The one answer for a message that does not exist and for one that the caller may not see."""
    return NotFound(
        "There is no message with this id that this caller may see.",
        fix="Check the id; records are kept for 30 days after a message was accepted.",
        code="message_not_found",
    )


def _its_own(caller: Caller, handed_in_by: str) -> bool:
    return has(caller, Scope.SEND) and caller.id == handed_in_by
