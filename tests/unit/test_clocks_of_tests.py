"""Row U-E1: no test compares the real clock, so that none depends on the machine's speed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

CLOCKS = {"monotonic", "perf_counter", "process_time", "time", "monotonic_ns", "perf_counter_ns", "time_ns"}
"""Functions of the module `time` that tell the time."""

WAITING = {"helpers.py", "soak/refresh.py"}
"""Where there is a deadline that ends a wait that would be endless, and where progress is told."""


def compared_clocks(source: str) -> list[int]:
    """The lines that compare what a clock told, also by a name that it was given to in the same function."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return sorted({line for function in functions for line in _lines(function)})


def _lines(function: ast.AST) -> list[int]:
    names = {
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and _tells_time(node.value, set())
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    compared = [
        side
        for node in ast.walk(function)
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
    ]
    return [side.lineno for side in compared if _tells_time(side, names)]


def _tells_time(node: ast.AST, names: set[str]) -> bool:
    return any(
        (isinstance(one, ast.Call) and _is_clock(one.func)) or (isinstance(one, ast.Name) and one.id in names)
        for one in ast.walk(node)
    )


def _is_clock(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in CLOCKS
        and isinstance(function.value, ast.Name)
        and function.value.id == "time"
    )


def test_ue1_no_test_compares_the_real_clock() -> None:
    found = {
        str(path.relative_to(TESTS)): lines
        for path in sorted(TESTS.rglob("*.py"))
        if str(path.relative_to(TESTS)) not in WAITING
        if (lines := compared_clocks(path.read_text()))
    }

    assert found == {}


@pytest.mark.parametrize(
    "body",
    [
        "began = time.monotonic(); work(); assert time.monotonic() - began < 3",
        "took = time.perf_counter() - began; assert took <= 1",
        "assert answer == pytest.approx(time.time() + 3600)",
        "while time.time() < deadline: pass",
    ],
)
def test_a_comparison_is_found_however_it_is_written(body: str) -> None:
    assert compared_clocks("def test():\n    " + body.replace("; ", "\n    ")) != []


def test_a_time_that_is_only_handed_on_is_no_comparison() -> None:
    assert compared_clocks("def test():\n    sign(exp=int(time.time()) + 60)") == []
