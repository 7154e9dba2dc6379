"""What becomes of grants on the rescue queue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.accounts.models.account import GrantState
from chalicelib.accounts.models.grant import Grant
from chalicelib.accounts.tokens import keeping
from chalicelib.accounts.tokens.keeping import RESCUE_TIME
from chalicelib.clock import DAY, MINUTE, SECOND
from chalicelib.errors import ConfigurationError, Diagnosed, Unavailable
from chalicelib.secret import Secret
from sandbox.aws.emulator import ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY
from tests.helpers import SCHEDULED
from tests.unit.accounts_world import World, world

__all__ = ["world"]

ROOT = Path(__file__).resolve().parents[2]
REFUSED_FOR = 30 * SECOND
SLOW = 8 * SECOND
"""How long the provider took: with the refusals, nothing of the invocation is left."""

NEW_PROCESS = """
import json, sys
from types import SimpleNamespace
import app
context = SimpleNamespace(aws_request_id="new", get_remaining_time_in_millis=lambda: 60_000)
app.refresh_tokens(json.loads(sys.argv[1]), context)
"""


def received(world: World, grant: Grant, token: str, version: int) -> Grant:
    """The grant as if that refresh token had come with that version."""
    sealed = world.keeper.prepare(grant.account).refresh_token(Secret(token), version)
    return replace(grant, version=version, refresh_token=sealed)


def test_a_grant_that_was_never_saved_is_saved_and_due_at_once(world: World) -> None:
    account = world.account(world.connector("microsoft"))
    known = world.connected("microsoft")
    grant = world.grants_table.get(known.id)
    assert grant is not None
    first = received(world, replace(grant, account=account.id), "the first", 1)

    world.keeper.rescue(first, until=world.now())
    world.rescuing.drain(until=world.now() + MINUTE)

    saved = world.grants_table.get(account.id)
    assert saved is not None
    assert saved.version == 1
    assert (saved.refresh_due_at or 0) <= world.now()
    assert world.read(account).grant_state is GrantState.ACTIVE


def test_an_older_grant_never_replaces_a_newer_one(world: World) -> None:
    account = world.connected("microsoft")
    grant = world.grants_table.get(account.id)
    assert grant is not None
    world.access_tokens.fresh(account.id, failed_version=1)
    newest = world.grants_table.get(account.id)

    world.keeper.rescue(received(world, grant, "an older one", 2), until=world.now())
    world.rescuing.drain(until=world.now() + MINUTE)

    assert world.grants_table.get(account.id) == newest
    assert world.rescue_queue.take() == []


def test_a_rescued_token_is_tried_where_the_stored_one_is_refused(world: World) -> None:
    account = world.connected("microsoft")
    good = world.grants_table.get(account.id)
    assert good is not None
    token = world.keeper.reveal(good).reveal()
    broken = received(world, good, "a token that nobody knows", 2)
    assert world.grants_table.save_rescued(broken)
    with pytest.raises(Diagnosed):
        world.access_tokens.fresh(account.id, failed_version=1)

    world.keeper.rescue(received(world, good, token, 2), until=world.now())
    world.rescuing.drain(until=world.now() + MINUTE)

    assert world.access_tokens.fresh(account.id, failed_version=2).version == 4


def test_what_is_no_grant_stays_and_stops_nothing(world: World) -> None:
    account = world.account(world.connector("microsoft"))
    known = world.grants_table.get(world.connected("microsoft").id)
    assert known is not None
    world.rescue_queue.put("not a grant")
    world.keeper.rescue(received(world, replace(known, account=account.id), "one", 1), until=world.now())

    world.rescuing.drain(until=world.now() + MINUTE)

    assert world.grants_table.get(account.id) is not None
    world.aws.clients.sqs.purge_queue(QueueUrl=world.settings.rescue_queue_url)


def test_R3_a_mistake_of_ours_loses_no_token(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = world.connected("microsoft")

    def broken(*_: object, **__: object) -> bool:
        raise TypeError("a mistake of ours")

    with monkeypatch.context() as patched:
        patched.setattr(type(world.grants_table), "save_refreshed", broken)
        with pytest.raises(Unavailable):
            world.access_tokens.fresh(account.id, failed_version=1)
    world.rescuing.drain(until=world.now() + MINUTE)

    saved = world.grants_table.get(account.id)
    assert saved is not None
    assert saved.version == 2


def test_a_grant_that_changes_while_it_is_drained_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.account(world.connector("microsoft"))
    known = world.grants_table.get(world.connected("microsoft").id)
    assert known is not None
    world.keeper.rescue(received(world, replace(known, account=account.id), "one", 1), until=world.now())
    done: list[str] = []
    monkeypatch.setattr(world.rescue_queue, "done", done.append)

    with monkeypatch.context() as patched:
        patched.setattr(world.grants_table, "save_rescued", lambda *_: False)
        world.rescuing.drain(until=world.now() + MINUTE)

    assert done == []
    world.clients.sqs.purge_queue(QueueUrl=world.settings.rescue_queue_url)


def test_a_rescued_token_that_cannot_be_saved_yet_is_not_passed_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.connected("microsoft")
    grant, now = world.grants_table.get(account.id), world.now()
    assert grant is not None
    assert world.grants_table.lease(grant, owner="dead", now=now, until=now + MINUTE)
    world.keeper.rescue(received(world, grant, "newer", 2), until=now)
    world.later = MINUTE + SECOND

    with monkeypatch.context() as patched:
        patched.setattr(world.grants_table, "save_rescued", lambda *_: False)
        with pytest.raises(Unavailable):
            world.tokens.ensure(account.id, failed_version=1)

    assert world.refreshes(account) == 0
    world.clients.sqs.purge_queue(QueueUrl=world.settings.rescue_queue_url)


@pytest.mark.parametrize("error", [Unavailable("No.", fix="Do."), ConfigurationError("denied")], ids=repr)
def test_R12_a_broken_rescue_queue_keeps_nobody_from_being_refreshed(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    account = world.connected("microsoft")
    world.later = 60 * DAY

    def broken(**_: object) -> list[tuple[str, str]]:
        raise error

    monkeypatch.setattr(world.rescue_queue, "take", broken)
    world.refresh_schedule.run(until=world.now() + MINUTE)

    assert world.refreshes(account) == 1


def test_R3_a_token_whose_save_is_refused_for_30_s_is_saved_by_a_new_process(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its provider is strict: whoever asked with the token before would end the grant."""
    account = world.account(world.connector("microsoft", temperament="strict"))
    assert world.sign_in(account)["outcome"] == "connected"
    began = world.now()

    throttled(world, monkeypatch, until=began + SLOW + REFUSED_FOR + SECOND)
    with pytest.raises(Unavailable):
        world.tokens.ensure(account.id, failed_version=1, until=began + SLOW + REFUSED_FOR + RESCUE_TIME)
    refused_for = world.now() - began - SLOW
    unsaved = world.grants_table.get(account.id)
    monkeypatch.undo()
    in_a_new_process(world)
    drained = world.grants_table.get(account.id)
    assert drained is not None
    world.later = MINUTE + SECOND
    token = world.access_tokens.fresh(account.id, failed_version=drained.version)

    assert refused_for >= REFUSED_FOR - SECOND
    assert unsaved is not None
    assert unsaved.version == 1
    assert drained.version >= 2
    assert token.version > drained.version
    asked = [one for one in world.control.token_requests() if one.user == account.address]
    assert [one.outcome for one in asked] == ["ok"] * len(asked)
    assert [one.presented for one in asked[1:]] == [one.issued_refresh for one in asked[:-1]]
    assert len(asked) > 2


def throttled(world: World, monkeypatch: pytest.MonkeyPatch, *, until: int) -> None:
    """The provider is slow, then nothing is saved until that time; waiting moves the world's clock."""
    save, provider = type(world.grants_table).save_refreshed, world.providers.usual("microsoft")
    ask = provider.refresh

    def refuse(*arguments: Any, **named: Any) -> bool:
        if world.now() < until:
            raise Unavailable("The table of grants is throttled.", fix="Try again.")
        return save(*arguments, **named)

    def slowly(*arguments: Any) -> Any:
        world.later += SLOW
        return ask(*arguments)

    def wait(seconds: float) -> None:
        world.later += int(seconds * SECOND)

    monkeypatch.setattr(type(world.grants_table), "save_refreshed", refuse)
    monkeypatch.setattr(provider, "refresh", slowly)
    monkeypatch.setattr(keeping, "time", SimpleNamespace(sleep=wait))


def in_a_new_process(world: World) -> None:
    """The schedule's function, by an interpreter that has nothing but the environment of a deployment."""
    settings = world.settings
    environment = {
        "PATH": os.defpath,
        "STAGE": settings.stage,
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": ROOT_SECRET_ACCESS_KEY,
        "AWS_ENDPOINT_URL": world.aws.emulator.endpoint,
        "BUCKET": settings.bucket,
        "REFRESH_QUEUE_URL": settings.refresh_queue_url,
        "RESCUE_QUEUE_URL": settings.rescue_queue_url,
        "GRANTS_KEY_ARN": settings.grants_key_arn,
        "ACCESS_TOKENS_KEY_ARN": settings.access_tokens_key_arn,
        "PROVIDER_ENDPOINTS": json.dumps(settings.provider_endpoints),
        "EXTRA_CA": settings.extra_ca,
    }
    done = subprocess.run(
        [sys.executable, "-c", NEW_PROCESS, json.dumps(SCHEDULED)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
