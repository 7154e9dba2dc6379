"""Lane and relay over interleavings: no accepted mail is lost, waits for ever or is doubled in silence.

Callers, workers, sweeps and persons act at once in a simulation (relay_world.py). Every way is tried in which
one may be overtaken by another at one of its steps, or by two others; beyond that hypothesis chooses who goes
on and how far, who dies, whose requests AWS throttles, does twice or leaves without an answer, and when the
clock moves. All wake-ups are lost: a visit may come at any time, late or twice, for whatever reason. In the
end everybody goes on or dies, and only the sweep still looks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import count, product
from types import SimpleNamespace
from typing import Any, get_args
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from chalicelib.clock import DAY, HOUR, MINUTE, SECOND
from chalicelib.logs import ROOT
from chalicelib.mail.relaying import delivery
from tests.properties.relay_rules import heal, judge, unknowns
from tests.properties.relay_world import World
from tests.properties.steps import Actor, Fault, stop

Event = tuple[Any, ...]


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """Waiting is one step, and nothing is logged."""
    waiting = SimpleNamespace(sleep=lambda _: stop("sleep"))
    logger = logging.getLogger(ROOT)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    with patch.object(delivery, "time", waiting):
        yield
    logger.setLevel(level)


# Every way in which one may overtake another.


def fresh(world: World) -> None:
    """A message waits for its first attempt."""
    world.does("accept").go()


def served(world: World) -> None:
    """A lane was served a minute ago."""
    fresh(world)
    world.does("visit").go()
    world.tick(MINUTE)


def abandoned(world: World) -> None:
    """A worker died before the final dot, and another one in front of another message's."""
    for step in ("commit", "dot"):
        fresh(world)
        worker = world.does("visit")
        worker.go(step)
        worker.die()
    world.tick(6 * MINUTE)


def kept(world: World) -> None:
    """Nobody knows of a message what became of it, and a person has to say so."""
    world.answer("taken and lost")
    world.does("accept", "keep").go()
    world.does("visit").go()


def withdrawn(world: World) -> None:
    """The owner has withdrawn the consent, which nobody has noticed yet."""
    fresh(world)
    world.withdraw()


def closed(world: World) -> None:
    """The lane was closed, and a held message has expired."""
    withdrawn(world)
    world.does("accept", "resend", 3_600).go()
    world.does("visit").go()
    world.tick(HOUR)


def paused(world: World) -> None:
    """Mail waits that somebody has stopped."""
    fresh(world)
    world.does("pause").go()
    world.does("visit").go()


def halted(world: World) -> None:
    """The account was paused, and no mail waits."""
    served(world)
    world.does("pause").go()


SETTINGS = [fresh, served, abandoned, kept, withdrawn, closed, paused, halted]
WORKS: list[Event] = [
    ("accept", "resend", 7_200),
    ("visit",),
    ("cancel", 0),
    ("resolve", 0, "resend"),
    ("reconnect",),
    ("pause",),
    ("resume",),
]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.__name__)
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work[0])
def test_whoever_is_overtaken_at_a_step_does_no_harm_by_going_on_or_dying(
    setting: Callable[[World], None], work: Event
) -> None:
    for other, (later, end) in product(WORKS, [(0, Actor.go), (6 * MINUTE, Actor.go), (0, Actor.die)]):
        for steps in count():
            world = World()
            setting(world)
            overtaken = world.does(*work)
            overtaken.go(steps)
            if overtaken.over:
                break
            world.tick(later)
            world.does(*other).go()
            end(overtaken)
            judge(world, hope=world.healthy())


@pytest.mark.parametrize("between", [[], ["visit"]], ids=["", "and again"])
@pytest.mark.parametrize("other", [("visit",), ("cancel", 0)], ids=lambda work: work[0])
def test_two_who_overtake_each_other_do_no_harm(other: Event, between: list[str]) -> None:
    for steps in count():
        for others in count():
            world = World()
            fresh(world)
            overtaken = world.does("visit")
            overtaken.go(steps)
            if overtaken.over:
                return
            world.tick(6 * MINUTE)
            for work in between:
                world.does(work).go()
                world.tick(2 * MINUTE)
            last = world.does(*other)
            last.go(others)
            if last.over:
                break
            overtaken.go()
            last.go()
            judge(world, hope=world.healthy())


@pytest.mark.parametrize("fault", get_args(Fault))
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.__name__)
def test_a_request_to_aws_that_fails_or_is_done_again_does_no_harm(
    setting: Callable[[World], None], fault: Fault
) -> None:
    for work in (("visit",), ("accept",)):
        for steps in count():
            world = World()
            setting(world)
            unlucky = world.does(*work)
            unlucky.go(steps)
            if unlucky.over:
                break
            unlucky.faults = [fault]
            unlucky.go()
            judge(world, hope=world.healthy())


def test_a_cancellation_and_a_worker_that_take_turns_do_no_harm() -> None:
    began, goes_on = ("claim", "transfer", "commit"), ("commit", "dot", "reply", "finish", "next_due")
    for step, later, steps in product(began, goes_on, range(4)):
        world = World()
        fresh(world)
        worker = world.does("visit")
        worker.go(step)
        cancellation = world.does("cancel", 0)
        cancellation.go(steps)
        worker.go(later)
        if not cancellation.over:
            cancellation.go()
        if not worker.over:
            worker.go()
        judge(world, hope=world.healthy())


# What hypothesis chooses.


def events_of(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    return st.tuples(st.just(name), *arguments)


WHICH = st.sampled_from([0, 0, 1, 1, 2, 3])
LETTER = st.integers(0, 2)
STEPS = st.sampled_from([1, 2, 3, 5, 8, 13])
OFTEN = st.sampled_from(
    ["take", "due", "claim", "transfer", "commit", "dot", "reply", "finish", "next_due", "give_back"]
)
SOMETIMES = st.sampled_from(["close", "leave", "rest", "open", "add", "ring", "hold", "cancel", "put_off"])
FAR_ON = st.one_of(OFTEN, SOMETIMES, STEPS, st.just("the end"))
TICKS = st.sampled_from([SECOND, 20 * SECOND, MINUTE + 1, 6 * MINUTE, 6 * MINUTE, HOUR, DAY])
FAULTS = st.lists(st.sampled_from(get_args(Fault)), min_size=1, max_size=5)
ACCEPT = events_of("accept", st.sampled_from(["resend", "keep"]), st.sampled_from([3_600, 86_400]))
BEGIN = st.one_of(
    ACCEPT,
    events_of("accept_again", LETTER),
    *[st.one_of(events_of("visit"), events_of("sweep"))] * 3,
    events_of("cancel", LETTER),
    events_of("resolve", LETTER, st.sampled_from(["sent", "failed", "resend"])),
    events_of("reconnect"),
    events_of("pause"),
    events_of("resume"),
)
TICK = events_of("tick", TICKS)
SINGLE = st.one_of(
    BEGIN,
    *[events_of("go", WHICH, FAR_ON)] * 3,
    events_of("crash", WHICH),
    events_of("fail", WHICH, FAULTS),
    TICK,
    events_of("answer", st.sampled_from(["taken", "busy", "lost", "taken and lost"])),
    events_of("serve", st.sampled_from(["well", "well", "away", "blocked"])),
    events_of("withdraw"),
).map(lambda one: (one,))


def going(which: int) -> st.SearchStrategy[Event]:
    return events_of("go", st.just(which), FAR_ON)


OVERTAKING = st.tuples(
    BEGIN, going(0), TICK, BEGIN, going(0), TICK, st.one_of(going(1), events_of("crash", st.just(1)))
)
"""Somebody comes so far, and then somebody else goes on."""
EVENTS = st.lists(st.one_of(SINGLE, SINGLE, OVERTAKING), min_size=5, max_size=25)
ENDS = {name: st.booleans() for name in ("index lags", "survivors", "owner comes")}


@settings(max_examples=800, deadline=None, suppress_health_check=list(HealthCheck))
@given(episodes=EVENTS, ends=st.fixed_dictionaries(ENDS))
def test_mail_is_neither_lost_nor_doubled_in_silence_nor_due_for_ever(
    episodes: list[tuple[Event, ...]], ends: dict[str, bool]
) -> None:
    world = World()
    world.lanes.lags = ends["index lags"]
    world.accept()

    for name, *arguments in (one for episode in episodes for one in episode):
        getattr(world, name)(*arguments)
    if ends["owner comes"]:
        heal(world)

    judge(world, hope=ends["owner comes"], survivors=ends["survivors"])
    for message in world.messages.rows.values():
        event(f"{message.state}, {world.copies[message.id]} copies, {unknowns(message)} unknown")
