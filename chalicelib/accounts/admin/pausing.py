"""Pausing an account: mail is accepted and waits until somebody lets it go on.

That it is paused is a fact of the account, and its tokens are cared for all the time. The lane follows the
fact: a worker that has not heard of it looks at the account every few seconds, and closes the lane. Whoever
looks at a lane that was held looks at the account again: a pause that was overtaken by a resume between its
two steps leaves a lane that is opened by the next look, within a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import clock
from chalicelib.accounts.admin import checks
from chalicelib.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.models.account import Account
    from chalicelib.accounts.ports import AccountStore


class Pausing:
    """Pauses accounts. `hold_lane` closes an account's lane, `release_lane` opens it if that closed it."""

    def __init__(
        self,
        accounts: AccountStore,
        hold_lane: Callable[[str], object],
        release_lane: Callable[[str], object],
        now: clock.Clock = clock.now,
    ) -> None:
        self._accounts = accounts
        self._hold_lane = hold_lane
        self._release_lane = release_lane
        self._now = now

    def pause(self, account: Account, *, by: str, reason: str = "") -> Account:
        """Pauses the account and returns it; a pause that there is stays as it is. Raises InvalidInput."""
        why = checks.printable("reason", reason) if reason else ""
        self._accounts.pause(account.id, by=by, at=self._now(), reason=why)
        self._hold_lane(account.id)
        return self._read(account.id)

    def resume(self, account: Account) -> Account:
        """Lets the account's mail go on, whoever paused it, and returns it."""
        self._accounts.resume(account.id)
        self._release_lane(account.id)
        return self._read(account.id)

    def _read(self, account: str) -> Account:
        found = self._accounts.get(account)
        if found is None:
            raise NotFound(
                "There is no such account.", fix="Check the account's id.", code="account_not_found"
            )
        return found
