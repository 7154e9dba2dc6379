"""The care of tokens: whoever needs one gets it, at most one asks the provider, and what is due is refreshed.

Single flight, for each grant::

    read (consistent) → a newer token is there? done
                      → take the lease: on condition that version is unchanged and nobody holds it
                        taken:     ask the provider once, save on condition of version and lease
                        not taken: wait a little, read again, use the winner's token
"""

from __future__ import annotations

import random
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from chalicelib import clock
from chalicelib.accounts.connecting import outcomes
from chalicelib.accounts.models.account import AuthMode, GrantState
from chalicelib.accounts.models.grant import MAIL, DueReason
from chalicelib.accounts.tokens import rules
from chalicelib.accounts.tokens.looking import Looking
from chalicelib.accounts.tokens.refreshing import LEASE, NEEDED, SAVE_TIME, Turn, mailbox_with
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import (
    ConfigurationError,
    Diagnosed,
    MailgrantError,
    Unavailable,
)
from chalicelib.ids import GRANT_SHARDS
from chalicelib.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.models.grant import Grant
    from chalicelib.accounts.stores import Stores
    from chalicelib.accounts.tokens.looking import Look
    from chalicelib.accounts.tokens.refreshing import Mailbox, Refresher
    from chalicelib.accounts.tokens.rescuing import Rescuing
    from chalicelib.accounts.tokens.telling import Telling
    from chalicelib.providers import Providers

DEFAULT_TIME = 55 * clock.SECOND
AT_ONCE = 8
"""Grants that are refreshed at the same time by one invocation; they wait for the provider, not for us."""
DUE_LIMIT = 1_000
"""Accounts of one shard that one look hands out; what is left is found by the next look."""

log = logger("tokens")


class Tokens:
    """Keeps access tokens fresh.

    `recently_used` tells when mail of an account was last relayed, in milliseconds, or None.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each is one thing
        self,
        stores: Stores,
        providers: Providers,
        refresher: Refresher,
        rescuing: Rescuing,
        telling: Telling,
        recently_used: Callable[[str], int | None],
        now: clock.Clock = clock.now,
    ) -> None:
        self._grants = stores.grants
        self._looking = Looking(stores)
        self._providers = providers
        self._refresher = refresher
        self._rescuing = rescuing
        self._telling = telling
        self._recently_used = recently_used
        self._now = now

    def ensure(
        self,
        account: str,
        *,
        failed_version: int | None = None,
        until: int | None = None,
        resource: str = MAIL,
    ) -> None:
        """Returns when a usable access token is stored, newer than `failed_version` where that is given.

        `until` is when the invocation ends, in milliseconds. Raises Diagnosed when there is none to be had,
        Unavailable when it could not be found out in time, NotFound for an unknown account.
        """
        until = until or self._now() + DEFAULT_TIME
        seen: int | None = None
        while True:
            look = self._looking.look(account)
            grant = _granted(look)
            # A token is never newer than its grant, with which it is saved.
            may_be_fresh = grant.version not in (seen, failed_version)
            if may_be_fresh and self._is_fresh(account, resource, failed_version, seen):
                return
            if seen is not None:
                self._wait(until)
            seen = grant.version if seen is None else seen
            refused = failed_version is not None and self._is_refused(look.account, resource)
            if self._refreshed_by_us(look, grant, _turn(until, refused=refused, resource=resource)):
                return

    def refresh_due(self, *, until: int) -> list[str]:
        """Refreshes what is due while time lasts; returns the accounts for which there was none."""
        shards = [self._grants.due(shard, self._now(), DUE_LIMIT) for shard in GRANT_SHARDS]
        rounds = zip_longest(*shards)  # the oldest of each shard first, so that no shard waits for another
        return self.refresh([one for each in rounds for one in each if one is not None], until=until)

    def refresh(self, accounts: Iterable[str], *, until: int) -> list[str]:
        """Refreshes those of the accounts that are still due; returns those for which there was no time.

        What fails for one account is logged and never keeps another one from being refreshed.
        """
        accounts = list(accounts)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            done = pool.map(lambda account: self._refresh_one(account, until), accounts)
            return [account for account, fitted in zip(accounts, done, strict=True) if not fitted]

    def _is_fresh(self, account: str, resource: str, failed_version: int | None, seen: int | None) -> bool:
        """Whether the stored token will do. One that was made while we waited does, however short-lived."""
        token = self._grants.access_token(account, resource)
        if token is None or (failed_version is not None and token.version <= failed_version):
            return False
        made_meanwhile = seen is not None and token.version > seen
        return made_meanwhile or token.usable(self._now())

    def _is_refused(self, account: Account, resource: str) -> bool:
        """Whether the server does not take what the account has: of a password there is no newer one."""
        if account.auth_mode is not AuthMode.PASSWORD:
            return False
        password = self._grants.access_token(account.id, resource)
        return password is not None and password.usable(self._now())

    def _refreshed_by_us(self, look: Look, grant: Grant, turn: Turn) -> bool:
        """Takes the lease and refreshes; False when another one has or had it. Raises what hinders it."""
        now, until = self._now(), turn.until
        if grant.lease_owner is not None and grant.lease_until >= now:
            return False
        mailbox = mailbox_with(look.account, look.connector, self._providers)
        _require_hope(mailbox, grant, turn.resource, now)
        if grant.lease_owner is not None and until - now < NEEDED + SAVE_TIME:
            raise Unavailable(
                "There is too little time left to look for rescued tokens.", fix="It is tried again."
            )
        if not self._grants.lease(grant, owner=turn.owner, now=now, until=now + LEASE):
            return False
        if grant.lease_owner is not None and self._was_rescued(grant, until):
            return False
        return self._refresher.refresh(grant, mailbox, replace(turn, until=min(now + LEASE, until)))

    def _was_rescued(self, grant: Grant, until: int) -> bool:
        """Whether the last owner of the lease, who did not give it back, had put a newer token on the queue.

        Raises Unavailable where that cannot be known, or it cannot be saved yet: it must not be passed over.
        The lease is not given back then, so that whoever takes it over looks again.
        """
        self._rescuing.require_none(grant.account, until=until)
        current = self._grants.get(grant.account)
        return current is None or current.version != grant.version

    def _refresh_one(self, account: str, until: int) -> bool:
        if self._now() + NEEDED > until:
            return False
        try:
            self._refresh_if_due(account, until)
        except (MailgrantError, ConfigurationError) as error:
            code = getattr(error, "error_code", type(error).__name__)
            log.warning("not refreshed", extra={"facts": {"account": account, "code": code}})
        except Exception:
            log.exception("not refreshed", extra={"facts": {"account": account}})
        return True

    def _refresh_if_due(self, account: str, until: int) -> None:
        look = self._looking.look(account)
        grant = look.grant
        if grant is None or grant.refresh_due_at is None or grant.refresh_due_at > self._now():
            return
        mailbox = mailbox_with(look.account, look.connector, self._providers)
        if grant.due_reason is DueReason.TELL_OWNER:
            self._telling.tell(grant, mailbox)
            return
        used_at = self._recently_used(account)
        in_use = used_at is not None and used_at > grant.refreshed_at
        chance = rules.chance()
        if grant.due_reason is DueReason.EXPIRY and not in_use:
            self._grants.reschedule(
                grant, rules.idle(grant, mailbox.provider.facts, chance), DueReason.KEEP_ALIVE
            )
        elif mailbox.connector.retry_at is not None and mailbox.connector.retry_at > self._now():
            later = mailbox.connector.retry_at + rules.jittered(rules.CONNECTOR_REST, chance)
            self._grants.reschedule(grant, later, grant.due_reason)
        else:
            self._refreshed_by_us(look, grant, _turn(until, in_use=in_use))

    def _wait(self, until: int) -> None:
        if self._now() + clock.SECOND > until:
            raise Unavailable("Another refresh of this mailbox takes too long.", fix="It is tried again.")
        time.sleep(random.uniform(0.1, 0.25))  # noqa: S311 - jitter


_NEVER_CONNECTED = Diagnosis(
    DiagnosisClass.RECONNECT, "never_connected", "The mailbox was never connected.", "Open its connect link."
)
_NOT_ASKED_FOR = Diagnosis(
    DiagnosisClass.ADMIN,
    "resource_not_asked_for",
    "The connector asks for no permission at this resource.",
    "Make a connector with the scopes that are needed, and connect the mailbox with it.",
)
_RESTING = Diagnosis(
    DiagnosisClass.RETRY,
    "resting",
    "The provider is left alone for a while.",
    "Nothing to do: it is tried again.",
)


def _granted(look: Look) -> Grant:
    if look.grant is None:
        raise Diagnosed(outcomes.DISCONNECTED if look.account.disconnection else _NEVER_CONNECTED)
    return look.grant


def _turn(until: int, *, in_use: bool = True, refused: bool = False, resource: str = MAIL) -> Turn:
    return Turn(secrets.token_hex(8), until, in_use, refused, resource)


def _require_hope(mailbox: Mailbox, grant: Grant, resource: str, now: int) -> None:
    """Raises Diagnosed while asking the provider is known to be of no use, or not allowed yet."""
    account, connector = mailbox.account, mailbox.connector
    if account.grant_state is GrantState.NEEDS_RECONNECT:
        raise Diagnosed(account.problem or _NEVER_CONNECTED)
    if account.auth_mode.has_owner and not mailbox.provider.facts.of_resource(resource):
        raise Diagnosed(_NOT_ASKED_FOR)
    if connector.retry_at is not None and connector.retry_at > now:
        raise Diagnosed(_later(connector.problem or _RESTING, connector.retry_at - now))
    if grant.retry_at is not None and grant.retry_at > now:
        raise Diagnosed(_later(account.problem or _RESTING, grant.retry_at - now))


def _later(diagnosis: Diagnosis, wait: int) -> Diagnosis:
    return replace(diagnosis, retry_after=max(1, wait // clock.SECOND))
