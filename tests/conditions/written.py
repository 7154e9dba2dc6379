"""Which methods of the tables write, read from the source: a new one is missed by nobody."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TABLES = Path(__file__).resolve().parents[2] / "chalicelib" / "aws" / "tables"

HELPERS = {"codec", "grant_rows", "message_rows", "table"}
"""Modules that every table uses; whoever calls them has a name."""

_WRITES = {
    *("put_item", "update_item", "delete_item", "transact_write_items", "batch_write_item"),
    *("put", "update", "transact", "delete"),
}


def writing_methods(directory: Path = TABLES) -> set[str]:
    """The names, as in ``grants.lease``, of the public methods that write, themselves or by private ones."""
    found: set[str] = set()
    for path in sorted(directory.glob("*.py")):
        if path.stem in HELPERS:
            continue
        for kind in ast.walk(ast.parse(path.read_text())):
            if isinstance(kind, ast.ClassDef):
                found |= {f"{path.stem}.{name}" for name in _writers(kind) if not name.startswith("_")}
    return found


def _writers(kind: ast.ClassDef) -> set[str]:
    """The methods that write, and those that call one."""
    calls = {method.name: set(_calls(method)) for method in kind.body if isinstance(method, ast.FunctionDef)}
    writers: set[str] = set()
    while True:
        reached = {name for name, called in calls.items() if called & ({"write"} | writers)}
        if reached == writers:
            return writers
        writers = reached


def _calls(method: ast.FunctionDef) -> Iterator[str]:
    """The methods of its own that it calls, and "write" for a call of table or client that writes."""
    for node in ast.walk(method):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = ast.unparse(node.func.value)
        if owner == "self":
            yield node.func.attr
        elif node.func.attr in _WRITES and owner in {"self._table", "self._client", "self._table.client"}:
            yield "write"
