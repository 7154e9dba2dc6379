"""What is left of each use of a token: who used it, for which account and message, when, what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.log_lines import lines
from tests.unit.mail_world import post, running_post, world

if TYPE_CHECKING:
    from tests.unit.log_lines import Lines
    from tests.unit.mail_world import World

__all__ = ["lines", "post", "running_post", "world"]


def test_V10_each_use_of_a_token_is_told_without_addresses(world: World, lines: Lines) -> None:
    message = world.accept(to=["bob@example.net"], subject="Confidential")

    world.serve()

    (used,) = lines.all("signed in")
    (ended,) = lines.all("attempt ended", message=message)
    assert (used["account"], used["message"]) == (world.account.id, message)
    assert (ended["account"], ended["caller"]) == (world.account.id, world.caller.id)
    assert (ended["state"], ended["reply"]) == ("sent", 250)
    assert used["time"] <= ended["time"]
    assert len(world.record(message)["attempts"]) == 1
    named = ("bob@example.net", world.account.address, "Confidential")
    assert not [one for one in named if one in lines.text]
