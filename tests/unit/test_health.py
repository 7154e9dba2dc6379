"""What the schedules see when they have run, and how GET /v1/status tells it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.accounts.models.grant import DueReason, Grant, Identity
from chalicelib.callers.models import Scope
from chalicelib.clock import DAY, HOUR, MINUTE, SECOND
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Unavailable
from chalicelib.health import EVERY, Health, Run
from chalicelib.mail.models import ClosedReason, LaneRow
from tests.unit.log_lines import lines
from tests.unit.mail_world import post, running_post, world
from tests.unit.web_services import bearer, client, error_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.log_lines import Lines
    from tests.unit.mail_world import World

__all__ = ["lines", "post", "running_post", "world"]
pytestmark = pytest.mark.aws

PROBLEM = Diagnosis(DiagnosisClass.ADMIN, "invalid_client", "The secret has expired.", "Make a new one.")


def status(world: World, *scopes: Scope, accounts: tuple[str, ...] = ("*",)) -> Any:
    """The API's answer for a caller."""
    key = world.callers.create_key("monitor", scopes or (Scope.READ,), accounts)[1].reveal()
    with client(world) as http:  # type: ignore[arg-type]
        return http.http.get("/v1/status", headers=bearer(key))


def codes(world: World) -> set[str]:
    """The kinds of trouble that there are."""
    return {trouble["code"] for trouble in status(world).json_body["troubles"]}


@pytest.fixture
def well(world: World) -> Iterator[World]:
    """An installation in which nothing is wrong: this test's account, and schedules that have just run."""
    registry = world.registry
    world.__dict__["registry"] = SimpleNamespace(
        accounts=lambda limit, cursor, among: registry.accounts(limit, None, among=[world.account_id]),
        connectors=lambda: [registry.connector(world.account.connector)],
        account=registry.account,
        connector=registry.connector,
    )
    world.__dict__["public_url"] = SimpleNamespace(since=lambda: 0)
    world.change(refreshed_at=world.now())
    for schedule in EVERY:
        world.schedules_table.note(schedule, Run(world.now(), {"oldest_due": 0}))
    for queue in (world.rescue_queue, *world.dead_letters.values()):
        empty(queue)
    yield world
    for queue in (world.rescue_queue, *world.dead_letters.values()):
        empty(queue)


@dataclass(frozen=True)
class OwnLane:
    """The lanes of an installation whose only account is this test's."""

    world: World
    shards: tuple[str, ...] = ("0",)

    def due(self, shard: str, now: int, limit: int) -> list[str]:
        """The account."""
        return [self.world.account_id]

    def get(self, account: str) -> LaneRow | None:
        """Its lane as it is stored."""
        return self.world.lanes_table.get(account)


def oldest_due(world: World) -> int:
    """How long the account's mail has waited that could go, in seconds, as the schedule notes it."""
    lanes = OwnLane(world)
    Health(
        world.schedules_table, lanes, world.messages_table.next_due, lambda: 0, world.now
    ).after_relay_due()
    return world.schedules_table.last(EVERY)["relay_due"].seen["oldest_due"]


def empty(queue: Any) -> None:
    while taken := queue.take():
        for receipt, _ in taken:
            queue.done(receipt)


class TestLooking:
    """The schedules' looks."""

    def test_mail_that_could_go_shows_how_long_it_waits(self, world: World, lines: Lines) -> None:
        world.accept()
        world.ahead += 20 * MINUTE

        world.health.after_relay_due()

        assert dict(lines.figures())["OldestDue"] >= 20 * 60
        run = world.schedules_table.last(EVERY)["relay_due"]
        assert run.seen["oldest_due"] >= 20 * 60
        assert abs(run.at - world.now()) < MINUTE
        world.serve()

    def test_a_lane_that_rings_again_does_not_look_young(self, world: World, lines: Lines) -> None:
        """Ringing makes the lane due now: it is the message that is asked how long it waits."""
        world.accept()
        world.ahead += 20 * MINUTE
        world.accept()
        world.ahead += 1

        world.health.after_relay_due()

        assert dict(lines.figures())["OldestDue"] >= 20 * 60
        world.serve()

    def test_mail_that_waits_for_its_next_try_is_not_overdue(self, world: World, lines: Lines) -> None:
        world.post.client.inject("RCPT", code=451, text="4.3.0 Busy")
        world.accept()
        world.serve()
        health = Health(world.schedules_table, OwnLane(world), world.messages_table.next_due, int, world.now)

        health.after_relay_due()

        assert dict(lines.figures())["OldestDue"] == 0

    @pytest.mark.parametrize("reason", ClosedReason)
    def test_ud3_held_mail_is_not_overdue(self, world: World, reason: ClosedReason) -> None:
        message = world.accept()
        world.lane.close(world.account_id, reason)
        world.ahead += 20 * MINUTE

        assert oldest_due(world) == 0
        world.outbox.cancel(world.caller, message)

    def test_ud3_mail_of_a_lane_that_waits_for_its_server_is_not_overdue(self, world: World) -> None:
        message = world.accept()
        slot = world.lane.take(world.account_id, "worker", slots=1)
        assert slot is not None
        world.lane.rest(slot, retry_after=HOUR // SECOND)
        world.ahead += 59 * MINUTE

        assert oldest_due(world) == 0
        world.outbox.cancel(world.caller, message)

    def test_ud3_mail_that_was_held_counts_from_when_it_could_go(self, world: World) -> None:
        message = world.accept()
        world.lane.close(world.account_id, ClosedReason.PAUSED)
        world.ahead += 10 * HOUR
        world.lane.open(world.account_id)
        world.ahead += 2 * MINUTE

        assert 2 * MINUTE // SECOND <= oldest_due(world) < HOUR // SECOND
        world.outbox.cancel(world.caller, message)

    def test_a_grant_counts_from_when_its_owner_was_told_until_it_is_replaced(self, world: World) -> None:
        before, grants = world.grants_table.needing_owner(), world.grants_table
        grant = ended(world)
        assert grants.needing_owner() == before

        told(world, grant)
        counted = grants.needing_owner()
        stored = grants.get(grant.account)
        grants.save_rescued(replace(grant, version=2, refresh_due_at=None))

        assert counted == before + 1
        assert stored is not None
        assert (stored.refresh_due_at, stored.due_reason) == (None, DueReason.KEEP_ALIVE)
        assert grants.needing_owner() == before

    def test_the_schedule_tells_how_many_wait_for_their_owners(self, world: World, lines: Lines) -> None:
        before = world.grants_table.needing_owner()
        told(world, ended(world))

        world.health.after_refresh_tokens()

        assert lines.figures() == [("AccountsNeedOwner", before + 1)]
        assert world.schedules_table.last(EVERY)["refresh_tokens"].seen == {"need_owner": before + 1}

    def test_a_look_that_fails_is_only_logged(self, world: World, lines: Lines) -> None:
        def unavailable() -> int:
            raise Unavailable("The table did not answer.", fix="Try again.")

        health = Health(world.schedules_table, world.lanes_table, int, unavailable, world.now)

        health.after_refresh_tokens()

        assert lines.all("not looked")[0]["schedule"] == "refresh_tokens"
        assert lines.figures() == []


class TestStatus:
    """What the API answers."""

    def test_a_well_installation_is_ok(self, well: World) -> None:
        well.__dict__["settings"] = replace(well.settings, package="0123456789abcdef")

        answer = status(well).json_body

        assert (answer["status"], answer["troubles"]) == ("ok", [])
        assert (answer["stage"], answer["version"]) == ("unit", "0123456789ab")
        assert answer["accounts"]["by_status"] == {"connected": 1}
        assert 89 * 86_400 < answer["accounts"]["nearest_expiry"] <= 90 * 86_400
        assert answer["dead_letters"] == {"relay": 0, "refresh": 0}
        assert answer["rescue_queue"] == 0
        assert set(answer["schedules"]) == set(EVERY)

    def test_who_may_use_some_accounts_sees_those_and_nothing_else(self, world: World) -> None:
        answer = status(world, accounts=(world.account_id,)).json_body

        assert answer["accounts"]["by_status"] == {"connected": 1}
        assert set(answer) == {"status", "stage", "version", "time", "accounts", "troubles"}

    def test_who_may_only_send_is_refused(self, world: World) -> None:
        assert error_of(status(world, Scope.SEND))["code"] == "scope_missing"

    def test_a_schedule_that_is_not_heard_of_is_trouble(self, well: World) -> None:
        well.ahead += 4 * MINUTE
        assert codes(well) == {"schedule_silent"}
        well.schedules_table.note("relay_due", Run(well.now(), {"oldest_due": 0}))
        assert codes(well) == set()
        well.ahead += 12 * MINUTE
        silent = [trouble["message"] for trouble in status(well).json_body["troubles"]]

        assert [message.split()[2] for message in silent] == ["relay_due", "refresh_tokens"]

    @pytest.mark.parametrize("row", [None, Run(0, {"oldest_due": 0})], ids=["never", "before"])
    def test_a_schedule_of_a_new_deployment_may_be_silent_at_first(
        self, row: Run | None, well: World
    ) -> None:
        deployed_at = well.now()
        well.__dict__["public_url"] = SimpleNamespace(since=lambda: deployed_at)
        runs = {"relay_due": row} if row else {}
        well.__dict__["schedules_table"] = SimpleNamespace(last=lambda _: runs)

        first = status(well).json_body
        well.ahead += 16 * MINUTE

        assert (first["status"], first["troubles"]) == ("starting", [])
        assert all(run["starting"] and not run["silent"] for run in first["schedules"].values())
        assert codes(well) == {"schedule_silent"}
        assert status(well).json_body["status"] == "trouble"

    def test_mail_that_waits_too_long_is_trouble(self, well: World) -> None:
        well.schedules_table.note("relay_due", Run(well.now(), {"oldest_due": 15 * 60}))
        assert codes(well) == set()
        well.schedules_table.note("relay_due", Run(well.now(), {"oldest_due": 15 * 60 + 1}))

        assert codes(well) == {"overdue"}

    def test_what_lies_in_the_rescue_queue_is_trouble(self, well: World) -> None:
        well.rescue_queue.put("{}")

        assert codes(well) == {"rescue_queue"}

    @pytest.mark.parametrize("name", ["relay", "refresh"])
    def test_dead_letters_are_trouble(self, name: str, well: World) -> None:
        well.dead_letters[name].put("{}")

        (trouble,) = status(well).json_body["troubles"]
        assert trouble["code"] == "dead_letters"
        assert trouble["message"].startswith(f"1 message of the queue {name} ")

    def test_a_mailbox_that_needs_its_owner_is_trouble(self, well: World) -> None:
        well.change(grant_state=GrantState.NEEDS_RECONNECT)

        assert codes(well) == {"accounts_needs_reconnect"}

    def test_a_mailbox_whose_server_refuses_it_is_trouble(self, well: World) -> None:
        well.change(transport_block=PROBLEM.to_json())

        assert codes(well) == {"accounts_blocked"}

    def test_a_refresh_that_failed_is_trouble(self, well: World) -> None:
        well.change(problem=PROBLEM.to_json())

        assert codes(well) == {"refresh_failing"}

    def test_a_grant_that_is_soon_forgotten_is_trouble(self, well: World) -> None:
        well.change(refreshed_at=well.now() - 77 * DAY)

        assert codes(well) == {"nearest_expiry"}

    @pytest.mark.parametrize(("left", "troubles"), [(4 * DAY, set()), (2 * DAY, {"nearest_end"})])
    def test_a_consent_that_soon_ends_for_good_is_trouble(
        self, left: int, troubles: set[str], well: World
    ) -> None:
        well.change(grant_ends_at=well.now() + left)

        answer = status(well).json_body

        assert answer["accounts"]["nearest_end"] == pytest.approx(left // 1000, abs=10)
        assert {trouble["code"] for trouble in answer["troubles"]} == troubles

    @pytest.mark.parametrize(
        ("left", "told"), [(61, None), (60, "60 days left"), (1, "1 day left"), (0, "ended on")]
    )
    def test_ug5_a_client_secret_that_soon_ends_is_trouble(
        self, left: int, told: str | None, well: World
    ) -> None:
        day = (datetime.fromtimestamp(well.now() / 1000, UTC).date() + timedelta(days=left)).isoformat()
        known = well.registry.connector(well.account.connector)
        with_end = replace(known, facts={**known.facts, "secret_expires_at": day})
        assert well.connectors_table.describe(known, with_end)

        troubles = {one["code"]: one for one in status(well).json_body["troubles"]}

        assert set(troubles) == (set() if told is None else {"secret_ends"})
        if told is not None:
            assert day in troubles["secret_ends"]["message"]
            assert told in troubles["secret_ends"]["message"]
            assert f"connectors secret {known.id} --expires" in troubles["secret_ends"]["fix"]

    def test_a_connector_that_is_refused_is_trouble_with_its_own_fix(self, well: World) -> None:
        well.connectors_table.refused(well.account.connector, PROBLEM, 0)

        troubles = {one["code"]: one for one in status(well).json_body["troubles"]}
        assert set(troubles) == {"connector", "accounts_misconfigured"}
        assert troubles["connector"]["fix"] == "Make a new one."

    def test_more_accounts_than_are_counted_are_said_to_be_more(self, well: World) -> None:
        page = well.registry.accounts
        well.registry.accounts = lambda *asked, among: (page(*asked, among=among)[0], well.account_id)  # type: ignore[method-assign]

        assert status(well).json_body["accounts"]["complete"] is False
        assert status(well).json_body["accounts"]["by_status"] == {"connected": 10}

    def test_it_names_no_mailbox(self, well: World) -> None:
        well.change(grant_state=GrantState.NEEDS_RECONNECT, problem=PROBLEM.to_json())

        assert well.account.address not in json.dumps(status(well).json_body)


def ended(world: World) -> Grant:
    """A grant of no use, of which the owner is still to be told."""
    grant = Grant(
        account=world.account_id,
        version=1,
        refresh_token=b"sealed",
        scopes=(),
        identity=Identity("issuer", "subject", ()),
        granted_at=world.now(),
        refreshed_at=world.now(),
        refresh_due_at=world.now(),
        due_reason=DueReason.TELL_OWNER,
    )
    assert world.grants_table.save_rescued(grant)
    return grant


def told(world: World, grant: Grant) -> None:
    """Its owner is told."""
    assert world.grants_table.lease(grant, owner="o", now=world.now(), until=world.now() + MINUTE)
    world.grants_table.told(grant, owner="o")
