"""The model of the stores behaves as the tables do: the same checks for both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib import clock, ids
from chalicelib.accounts.models.account import Account, GrantState
from chalicelib.accounts.models.connector import Connector
from chalicelib.accounts.models.grant import DueReason, Grant, Identity, SealedToken
from chalicelib.aws.queues import Queue
from chalicelib.clock import MINUTE
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.wiring import Gateway
from tests.properties import services
from tests.properties import stores as model
from tests.unit.aws_tables import aws

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.accounts.ports import MailboxStore
    from tests.unit.aws_tables import Aws

__all__ = ["aws"]
pytestmark = pytest.mark.aws

PROBLEM = Diagnosis(DiagnosisClass.RECONNECT, "invalid_grant", "It ended.", "Connect again.")


class Kept:
    """A store of grants with one connected account, and what is known of the account."""

    def __init__(
        self, grants: Any, account: Callable[[str], Account | None], mailboxes: MailboxStore, grant: Grant
    ) -> None:
        self.grants = grants
        self.mailboxes = mailboxes
        self.first = grant
        self._account = account

    def now(self) -> Grant:
        found: Grant | None = self.grants.get(self.first.account)
        assert found is not None
        return found

    def account(self) -> Account:
        found = self._account(self.first.account)
        assert found is not None
        return found


def newer(grant: Grant, *, version: int = 2) -> Grant:
    return replace(grant, version=version, refresh_token=f"sealed {version}".encode())


def token(grant: Grant, version: int) -> SealedToken:
    return SealedToken(grant.account, b"token", version, grant.granted_at + MINUTE, grant.granted_at)


@pytest.fixture(params=["model", "tables"])
def kept(request: pytest.FixtureRequest, aws: Aws) -> Kept:
    """Both in turn, each with a grant of version 1 that nobody holds."""
    now, name = clock.now(), ids.new_id("acc")
    account = Account(name, name, f"{name}@mail.example", "con", now)
    grant = Grant(name, 1, b"sealed 1", ("send",), Identity("issuer", "subject", ("a@b.c",)), now, now)
    if request.param == "model":
        grants = model.Grants(clock.now)
        grants.accounts[name] = account
        connectors: Any = model.Connectors(Connector("con", "microsoft", "c", "c", "", now), lambda _: None)
        mailboxes = model.Mailboxes(grants, connectors, lambda _: None)
        kept = Kept(grants, grants.accounts.get, mailboxes, grant)
    else:
        gateway = Gateway(aws.settings)
        gateway.__dict__["clients"] = aws.clients
        gateway.accounts_table.add(account)
        kept = Kept(gateway.grants_table, gateway.accounts_table.get, gateway.mailbox_tables, grant)
    assert kept.grants.save_rescued(grant)
    return kept


def leased(kept: Kept, owner: str = "me") -> Grant:
    now = clock.now()
    assert kept.grants.lease(kept.first, owner=owner, now=now, until=now + MINUTE)
    return kept.now()


def test_a_lease_is_taken_once_and_ends(kept: Kept) -> None:
    now = clock.now()
    leased(kept)

    assert not kept.grants.lease(kept.first, owner="other", now=now, until=now + MINUTE)
    assert kept.grants.lease(kept.first, owner="other", now=now + 2 * MINUTE, until=now + 3 * MINUTE)
    assert kept.now().lease_owner == "other"


def test_a_lease_is_given_back_by_its_owner(kept: Kept) -> None:
    leased(kept)
    kept.grants.release(kept.first, owner="other")
    still = kept.now().lease_owner
    kept.grants.release(kept.first, owner="me")

    assert (still, kept.now().lease_owner) == ("me", None)


def test_a_refreshed_grant_replaces_the_version_before_it(kept: Kept) -> None:
    leased(kept)
    second = newer(kept.first)

    assert not kept.grants.save_refreshed(newer(kept.first, version=3), token(second, 3), owner="me")
    assert not kept.grants.save_refreshed(second, token(second, 2), owner="other")
    assert kept.grants.save_refreshed(second, token(second, 2), owner="me")
    assert not kept.grants.save_refreshed(second, token(second, 2), owner="me")
    assert (kept.now().version, kept.now().lease_owner) == (2, None)
    assert kept.grants.access_token(kept.first.account).version == 2
    assert kept.account().refreshed_at == kept.now().refreshed_at


def test_grant_and_account_are_read_together(kept: Kept) -> None:
    name = kept.first.account

    assert kept.mailboxes.read(name, None) == (kept.now(), kept.account(), None)
    assert kept.mailboxes.read(ids.new_id("acc"), None) == (None, None, None)


def test_an_access_token_is_never_replaced_by_an_older_one(kept: Kept) -> None:
    leased(kept)
    assert kept.grants.save_refreshed(newer(kept.first), token(kept.first, 3), owner="me")
    now = clock.now()
    assert kept.grants.lease(kept.now(), owner="me", now=now, until=now + MINUTE)

    assert not kept.grants.save_refreshed(newer(kept.first, version=3), token(kept.first, 3), owner="me")
    assert (kept.now().version, kept.grants.access_token(kept.first.account).version) == (2, 3)


def test_a_lease_is_for_the_version_that_was_read(kept: Kept) -> None:
    now = clock.now()

    assert not kept.grants.lease(newer(kept.first), owner="me", now=now, until=now + MINUTE)
    assert kept.now().lease_owner is None
    assert kept.grants.version(kept.first.account) == 1
    assert kept.grants.version(ids.new_id("acc")) == 0


@pytest.mark.parametrize("kind", ["model", "sqs"])
def test_a_rescued_grant_is_handed_to_one_worker_until_it_is_done(kind: str, aws: Aws) -> None:
    queue = rescue_queue(kind, aws)
    queue.put("a grant")

    [(receipt, body)] = queue.take()
    hidden = queue.take()
    queue.done(receipt)

    assert (body, hidden, queue.take()) == ("a grant", [], [])


def rescue_queue(kind: str, aws: Aws) -> Any:
    if kind == "model":
        return services.Rescue(clock.now, lambda _: None)
    name = ids.new_id("rescue")
    return Queue(aws.clients.sqs, aws.clients.sqs.create_queue(QueueName=name)["QueueUrl"])


def test_a_held_grant_needs_its_owner_and_keeps_its_access_token(kept: Kept) -> None:
    leased(kept)

    assert kept.grants.save_held(newer(kept.first), PROBLEM, owner="me")
    assert kept.account().grant_state is GrantState.NEEDS_RECONNECT
    assert kept.account().problem == PROBLEM
    assert kept.grants.access_token(kept.first.account) is None


def test_a_refusal_changes_what_it_names_and_ends_the_lease(kept: Kept) -> None:
    leased(kept)
    refused = replace(newer(kept.first, version=1), failures=3, first_refused_at=7, refresh_due_at=9)

    assert not kept.grants.save_refused(refused, PROBLEM, GrantState.ACTIVE, owner="other")
    assert kept.grants.save_refused(refused, PROBLEM, GrantState.ACTIVE, owner="me")
    found = kept.now()
    assert (found.failures, found.first_refused_at, found.refresh_due_at) == (3, 7, 9)
    assert (found.lease_owner, found.refresh_token) == (None, b"sealed 1")


def test_a_rescued_grant_replaces_the_version_before_it_and_makes_the_account_active(kept: Kept) -> None:
    leased(kept)
    kept.grants.save_refused(kept.first, PROBLEM, GrantState.NEEDS_RECONNECT, owner="me")

    assert not kept.grants.save_rescued(newer(kept.first, version=3))
    assert kept.grants.save_rescued(newer(kept.first))
    assert (kept.account().grant_state, kept.account().problem) == (GrantState.ACTIVE, None)


def test_what_changed_is_not_put_off(kept: Kept) -> None:
    kept.grants.reschedule(kept.first, 5, DueReason.AGAIN)
    put_off = kept.now()
    kept.grants.reschedule(newer(kept.first), 6, DueReason.EXPIRY)

    assert (put_off.refresh_due_at, put_off.due_reason) == (5, DueReason.AGAIN)
    assert kept.now() == put_off


def test_told_is_noted_by_the_owner_of_the_lease(kept: Kept) -> None:
    kept.grants.reschedule(kept.first, 5, DueReason.TELL_OWNER)
    leased(kept)
    kept.grants.told(kept.first, owner="other")
    untouched = kept.now().refresh_due_at
    kept.grants.told(kept.first, owner="me")

    found = kept.now()
    assert untouched == 5
    assert (found.refresh_due_at, found.due_reason, found.lease_owner) == (None, DueReason.KEEP_ALIVE, None)
