"""Each part of ``make bench`` runs, and gives what results.json promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench import accept, init, refresh, relay, units
from bench.run import HERE, Measured
from bench.table import rows
from bench.world import started
from sandbox.processes import ChildError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.world import World

CONFIG = Path(__file__).resolve().parents[2] / ".chalice" / "config.json"
FUNCTIONS = ["api", "connect", "tokens", "refresh_tokens", "refresh", "send", "relay", "relay_due"]
RIE_LOG = """\
21 Nov 2026 15:00:01 [INFO] (rapid) INIT REPORT(durationMs: 208.125000)
21 Nov 2026 15:00:01 [INFO] (rapid) INVOKE RTDONE(status: success, produced bytes: 0, duration: 61.500000ms)
"""
ROOM = 2
"""How many times the memory that a function was seen to take it has at least."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The world of the bench."""
    with started(tmp_path_factory.mktemp("bench")) as world:
        yield world


@pytest.fixture(scope="module")
def measured(world: World) -> Measured:
    """As little of everything as will do, and cold starts that nobody has measured."""
    start = init.Start(200.0, 1.0, 50.0)
    return Measured(
        accept.measure(world, n=2),
        relay.measure(world, n=2, rounds=1, few=2),
        refresh.measure(world, at_once={1: 1}, accounts=(2, 3), due=2),
        {name: init.Function(start, 1.1) for name in FUNCTIONS},
        start,
        dict.fromkeys(FUNCTIONS, 60.0),
        6.5,
        (0.1, 0.2),
        units.row_bytes(world),
    )


def shape(values: dict[str, Any]) -> dict[str, Any]:
    """The keys, and those below them but for the ones that are numbers."""
    return {
        key: shape(value) if isinstance(value, dict) else type(value)
        for key, value in values.items()
        if not key.isdigit()
    }


def test_results_have_the_names_that_others_read(measured: Measured) -> None:
    results = measured.to_json()

    assert list(results) == ["accept", "relay", "refresh", "init_emulated", "zip_mib", "machine"]
    assert list(results["accept"]) == ["aws_calls_idle", "aws_calls_busy", "p50_ms", "p99_ms"]
    assert list(results["relay"]) == [
        "aws_calls_per_message",
        "round_trips_per_message",
        "messages_per_s",
        "smtplib_messages_per_s",
    ]
    assert list(results["relay"]["round_trips_per_message"]) == ["lockstep"]
    assert list(results["refresh"]) == ["aws_calls", "per_minute", "reads_per_tick"]
    assert list(results["init_emulated"]) == FUNCTIONS


def test_calls_to_aws_are_within_their_aims(measured: Measured) -> None:
    accepted, relayed = measured.accept, measured.relay

    assert (accepted.busy, accepted.idle, accepted.idle_large) == (2, 3, 4)
    assert (relayed.per_message, relayed.per_large_message, relayed.per_session) == (3, 4, 4)
    assert measured.refresh.aws_calls == 6
    assert len(set(measured.refresh.reads.values())) == 1


def test_refreshes_tell_whose_processor_they_took(measured: Measured) -> None:
    rate = measured.refresh.rates[1]

    assert rate.per_minute > 0
    assert rate.processor_ms["product"] > 0
    assert set(rate.processor_ms) == {"product", "emulator", "provider"}


def test_the_table_shows_every_figure_beside_its_aim(measured: Measured) -> None:
    aims = {what: met for what, _, _, met in rows(measured)}

    assert aims["relay, init"] is True
    assert aims["refreshes, most at once by one"] is False
    assert aims["accept, p50 and p99"] is None


def test_the_figures_in_the_repository_have_the_form_of_this_run(measured: Measured) -> None:
    results, kept = measured.to_json(), units.to_json(measured)

    assert shape(json.loads((HERE / "results.json").read_text())) == shape(results)
    assert json.loads((HERE / "units.json").read_text()).keys() == kept.keys()


def test_durations_are_those_that_the_emulator_of_lambda_logs() -> None:
    assert init.durations(RIE_LOG) == (208.125, 61.5)
    with pytest.raises(ChildError):
        init.durations("")


def test_every_function_has_room_above_the_memory_that_it_takes() -> None:
    config = json.loads(CONFIG.read_text())
    taken = json.loads((HERE / "results.json").read_text())["machine"]["memory_mib"]
    functions = config["stages"]["package"]["lambda_functions"]

    sizes = {
        name.removesuffix("_handler"): facts.get("lambda_memory_size", config["lambda_memory_size"])
        for name, facts in functions.items()
    }

    assert {name for name, size in sizes.items() if size < ROOM * taken[name]} == set()


@pytest.mark.skipif(not init.PYTHON.exists(), reason="Lambda's emulator comes with make install-bench")
def test_a_cold_start_is_measured(world: World, tmp_path: Path) -> None:
    tree = tmp_path / "baseline"
    tree.mkdir()
    (tree / "nothing.py").write_text("def handler(event, context):\n    return {}\n")

    found = init.start(world, tree, "nothing.handler", {})

    assert found.init > 0
    assert found.memory > 1


@pytest.mark.skipif(not init.PYTHON.exists(), reason="Lambda's emulator comes with make install-bench")
def test_a_function_that_fails_is_not_measured(world: World, tmp_path: Path) -> None:
    tree = tmp_path / "failing"
    tree.mkdir()
    (tree / "failing.py").write_text("def handler(event, context):\n    raise ValueError\n")

    with pytest.raises(ChildError, match="ValueError"):
        init.start(world, tree, "failing.handler", {})
