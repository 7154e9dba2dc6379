"""Every write is known to map.toml, and taking a condition away leaves a request that DynamoDB takes."""

from __future__ import annotations

from pathlib import Path

from tests.conditions.dropping import without_condition
from tests.conditions.map import Map
from tests.conditions.written import TABLES, writing_methods

MODULE = """
class Table:
    def save(self): self._write()
    def _write(self): self._client.put_item()
    def get(self): return self._client.get_item()
    def note(self, values): values.update(a=1)
"""


def test_every_write_of_the_tables_is_in_the_map() -> None:
    assert Map.read().faults(writing_methods()) == []


def test_only_the_tables_write() -> None:
    package = TABLES.parents[1]
    calls = (".put_item(", ".update_item(", ".delete_item(", ".transact_write_items(", ".batch_write_item(")

    writers = {path for path in package.rglob("*.py") if any(call in path.read_text() for call in calls)}

    assert {path.parent for path in writers} == {TABLES}


def test_a_method_that_writes_by_another_is_found(tmp_path: Path) -> None:
    (tmp_path / "things.py").write_text(MODULE)

    assert writing_methods(tmp_path) == {"things.save"}


def test_a_write_that_is_not_in_the_map_is_a_fault_and_so_is_the_reverse() -> None:
    faults = Map({"things.save": "a test"}, {}).faults({"things.add"})

    assert [fault.partition(":")[0] for fault in faults] == ["things.add", "things.save"]


def test_names_and_values_of_the_condition_go_with_it() -> None:
    request = {
        "UpdateExpression": "SET #a = :a",
        "ConditionExpression": "#b = :b AND #a < :a",
        "ExpressionAttributeNames": {"#a": "a", "#b": "b"},
        "ExpressionAttributeValues": {":a": {"N": "1"}, ":b": {"N": "2"}},
    }

    assert without_condition(request) == {
        "UpdateExpression": "SET #a = :a",
        "ExpressionAttributeNames": {"#a": "a"},
        "ExpressionAttributeValues": {":a": {"N": "1"}},
    }
    assert without_condition({"Item": {}, "ConditionExpression": "#b = :b"}) == {"Item": {}}
