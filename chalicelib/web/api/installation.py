"""How an installation is, as its API answers: types only; status.py fills them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from chalicelib.records import AccountId, ConnectorId, Diagnosis, Record, Time, says


class Health(Record, frozen=True):
    """The function runs, and its settings can be read."""

    status: Literal["ok"]
    stage: str


class AccountFigures(Record, frozen=True):
    """The accounts that the caller may use, counted."""

    by_status: Annotated[dict[str, int], says("How many accounts are in each status.")]
    refresh_failing: Annotated[int, says("How many tokens could not be refreshed the last time.")]
    nearest_expiry: Annotated[
        int | None, says("Seconds after which a provider first forgets a grant that is not refreshed.")
    ]
    nearest_end: Annotated[
        int | None, says("Seconds after which a consent first ends for good, where a provider says so.")
    ]
    complete: Annotated[bool, says("Whether all accounts were counted.")]


class Trouble(Record, frozen=True):
    """Something that is wrong, and what to do about it."""

    code: str
    message: str
    fix: str


class ConnectorTrouble(Record, frozen=True):
    """A connector that its provider refuses."""

    id: ConnectorId
    name: str
    problem: Diagnosis


class ScheduleRun(Record, frozen=True):
    """When a schedule last came to its end, and what it saw then."""

    # What another version of the code has noted, and this one does not know, is left out.

    ended_at: Time | None
    silent: Annotated[bool, says("It has missed several of its runs.")]
    starting: Annotated[bool, says("The application is new, and its first run is still to come.")]
    oldest_due: Annotated[int | UnsetType, says("Seconds that the oldest mail waits that could go.")] = UNSET
    lanes_due: Annotated[int | UnsetType, says("Accounts whose mail is due.")] = UNSET
    need_owner: Annotated[int | UnsetType, says("Accounts that wait for their owners.")] = UNSET


class Rewrapped(Record, frozen=True):
    """The data keys of some mailboxes, wrapped anew."""

    rewrapped: Annotated[int, says("How many grants and access tokens were written.")]
    busy: Annotated[
        list[AccountId], says("Accounts that changed each time that they were about to be written.")
    ]
    unreadable: Annotated[list[AccountId], says("Accounts of which a stored value does not open.")]
    cursor: Annotated[str | None, says("Where to go on; null after the last mailbox.")]


class Installation(Record, forbid_unknown_fields=True, frozen=True):
    """How the installation is, as far as the caller may know.

    What belongs to no single account is left out for a caller of single accounts.
    """

    status: Annotated[
        Literal["ok", "starting", "trouble"],
        says("`starting` until each schedule of a new deployment has ended a run."),
    ]
    stage: str
    version: Annotated[str | None, says("The digest of the package that runs.")]
    time: Time
    accounts: AccountFigures
    troubles: Annotated[list[Trouble], says("All that is wrong, each with its fix.")]
    schedules: dict[str, ScheduleRun] | UnsetType = UNSET
    rescue_queue: Annotated[int | UnsetType, says("Refresh tokens that could not be saved yet.")] = UNSET
    dead_letters: Annotated[
        dict[str, int] | UnsetType, says("For each queue, what could not be worked off.")
    ] = UNSET
    connectors_in_trouble: list[ConnectorTrouble] | UnsetType = UNSET
