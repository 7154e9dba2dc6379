"""Telling that a mailbox needs its owner: one event for each time that a grant ends.

The write that ends a grant also makes it due with the reason ``tell_owner``, so that no crash between the
two can keep the news from being told: the schedule finds it until it was told. A lease keeps two schedules
from telling it at once. Only a crash between the event and its note makes a second event; both have the same
`incident` then.

The event's detail::

    stage, incident, account, provider      ids and plain words
    diagnosis                               class, code, message and fix, without the provider's own text
    connect_link, connect_link_expires_at   opens the page where the owner connects the mailbox again
    to_do                                   in their place, what an administrator does for an account that has
                                            no owner who consents
    name, address                           of the mailbox, only where the stage allows it
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chalicelib import clock
from chalicelib.accounts.connecting.links import LINK_LIFE, link_id
from chalicelib.accounts.models.account import AuthMode, GrantState
from chalicelib.accounts.models.authorization import ConnectLink
from chalicelib.accounts.models.grant import DueReason
from chalicelib.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.grant import Grant
    from chalicelib.accounts.ports import AuthorizationStore, Events, GrantStore
    from chalicelib.accounts.tokens.refreshing import Mailbox

NEEDS_OWNER = "Account needs its owner"
INVITED_BY = "Mailgrant"
LEASE = 60 * clock.SECOND
AGAIN = "then connect the account again (POST /v1/accounts/{account}/connect)."
TO_DO = {
    AuthMode.CLIENT_CREDENTIALS: f"Allow the application again in the tenant and for the mailbox, {AGAIN}",
    AuthMode.SERVICE_ACCOUNT: f"Allow the service account again in the Workspace's Admin console, {AGAIN}",
    AuthMode.PASSWORD: (
        "Make a new password for the mailbox, and connect the account with it "
        "(POST /v1/accounts/{account}/connect)."
    ),
}
"""What an administrator does for an account that has no owner who consents."""

log = logger("telling")


class Telling:
    """Tells owners. `with_address` says whether an event may name the mailbox."""

    def __init__(
        self,
        grants: GrantStore,
        authorizations: AuthorizationStore,
        events: Events,
        public_url: Callable[[], str],
        *,
        with_address: bool,
        now: clock.Clock = clock.now,
    ) -> None:
        self._grants = grants
        self._authorizations = authorizations
        self._events = events
        self._public_url = public_url
        self._with_address = with_address
        self._now = now

    def tell(self, grant: Grant, mailbox: Mailbox) -> None:
        """Publishes the event with a new connect link, unless another worker is doing it.

        Raises Unavailable when it could not be published: the grant stays due.
        """
        owner, now = secrets.token_hex(8), self._now()
        if not self._grants.lease(grant, owner=owner, now=now, until=now + LEASE):
            return
        if not self._still_to_tell(grant):
            self._grants.release(grant, owner=owner)
            return
        if mailbox.account.grant_state is GrantState.NEEDS_RECONNECT:
            self._publish(grant, mailbox, owner)
        self._grants.told(grant, owner=owner)
        log.warning("owner told", extra={"facts": {"account": grant.account}})

    def _still_to_tell(self, grant: Grant) -> bool:
        """Read again under the lease: another worker may have told between our first look and the lease."""
        current = self._grants.get(grant.account)
        return current is not None and current.due_reason is DueReason.TELL_OWNER

    def _publish(self, grant: Grant, mailbox: Mailbox, owner: str) -> None:
        try:
            self._events.put(NEEDS_OWNER, self._detail(grant, mailbox))
        except Exception:
            self._grants.release(grant, owner=owner)
            raise

    def _detail(self, grant: Grant, mailbox: Mailbox) -> dict[str, Any]:
        account = mailbox.account
        return {
            "incident": f"{account.id}:{grant.version}",
            "account": account.id,
            "provider": mailbox.connector.provider,
            "diagnosis": _diagnosis(account),
            **(self._link(account) if account.auth_mode.has_owner else _to_do(account)),
            **({"name": account.name, "address": account.address} if self._with_address else {}),
        }

    def _link(self, account: Account) -> dict[str, Any]:
        now = self._now()
        token, ends_at = secrets.token_urlsafe(24), now + LINK_LIFE
        link = ConnectLink(link_id(token), account.id, INVITED_BY, now, ends_at)
        self._authorizations.add_link(link)
        return {
            "connect_link": f"{self._public_url()}/connect/{token}",
            "connect_link_expires_at": datetime.fromtimestamp(ends_at // clock.SECOND, UTC).isoformat(),
        }


def _to_do(account: Account) -> dict[str, str]:
    return {"to_do": TO_DO[account.auth_mode].format(account=account.id)}


def _diagnosis(account: Account) -> dict[str, Any] | None:
    """Without the provider's own text, which may name people."""
    known = account.problem.to_json() if account.problem else None
    return {name: known[name] for name in ("class", "code", "message", "fix")} if known else None
