"""No literal says the same thing twice: of two equal keys the first one is lost without a word.

Linters see it for constants. Here keys are compared as they are written, attributes of enums too.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if not any(part.startswith(".") or part == "build" for part in path.relative_to(ROOT).parts)
)


def keys_of(node: ast.AST) -> list[ast.expr]:
    """What must differ in a literal: keys, members of a set, values of an enum, cases of a match."""
    if isinstance(node, ast.Dict):
        return [key for key in node.keys if key is not None]
    if isinstance(node, ast.Set):
        return [one for one in node.elts if not isinstance(one, ast.Starred)]
    if isinstance(node, ast.Match):
        return [case.pattern.value for case in node.cases if is_plain(case)]  # type: ignore[attr-defined]
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"frozenset", "set"}
    ):
        return [one for inner in node.args if isinstance(inner, ast.List | ast.Tuple) for one in inner.elts]
    if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases):
        return [one.value for one in node.body if isinstance(one, ast.Assign)]
    return []


def is_plain(case: ast.match_case) -> bool:
    """Whether a case compares with one value, and nothing else decides."""
    return isinstance(case.pattern, ast.MatchValue) and case.guard is None


def told_twice(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each key that a literal of the source has more than once."""
    for node in ast.walk(ast.parse(source)):
        keys = keys_of(node)
        many = Counter(ast.dump(key) for key in keys if not has_call(key))
        for text in dict.fromkeys(ast.unparse(key) for key in keys if many[ast.dump(key)] > 1):
            yield node.lineno, text  # type: ignore[attr-defined]


def has_call(key: ast.expr) -> bool:
    """Whether a key calls something: the same words may then be different values."""
    return any(isinstance(node, ast.Call | ast.Await) for node in ast.walk(key))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_ud9_no_literal_has_a_key_twice(path: Path) -> None:
    assert list(told_twice(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("x = {State.A: 1, State.B: 2, State.A: 3}", "State.A"),
        ("x = {'a': 1, **y, 'a': 2}", "'a'"),
        ("x = {(A.a, 1): 1, (A.a, 1): 2}", "(A.a, 1)"),
        ("x = {A.a, A.b, A.a}", "A.a"),
        ("x = frozenset([A.a, A.a])", "A.a"),
        ("class A(StrEnum):\n    X = 'x'\n    Y = 'x'", "'x'"),
        ("match x:\n    case A.a:\n        pass\n    case A.a:\n        pass", "A.a"),
        ("x[{A.a: {A.b: 1, A.b: 2}}[A.a]] = 1", "A.b"),
    ],
)
def test_ud9_a_key_that_comes_twice_is_seen(source: str, key: str) -> None:
    assert [text for _, text in told_twice(source)] == [key]


@pytest.mark.parametrize(
    "source", ["{A.a: 1, B.a: 1}", "{f(): 1, f(): 2}", "{**a, **a}", "{'a': 1, b'a': 2}"]
)
def test_ud9_keys_that_differ_are_left_alone(source: str) -> None:
    assert list(told_twice(source)) == []
