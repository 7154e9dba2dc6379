"""What a stage keeps for ever: properties that CloudFormation changes only by making a new resource."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from chalice.package import YAMLTemplateSerializer

from cli.stacks import DATA_STACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RECORD: Final = Path(__file__).with_name("kept.json")
TABLE: Final = "AWS::DynamoDB::Table"
REPLACED_AS_WELL: Final = {"AWS::KMS::Key": ("KeySpec", "KeyUsage", "MultiRegion", "Origin")}
"""Properties whose change KMS refuses or answers by another key; its schema does not say so."""

Facts = dict[str, dict[str, Any]]


def template() -> dict[str, Any]:
    """The data stack as it is."""
    found: dict[str, Any] = YAMLTemplateSerializer().load_template(DATA_STACK.read_text())
    return found


def record() -> Facts:
    """What stages have that are deployed: resource → its kind and what it keeps."""
    found: Facts = json.loads(RECORD.read_text())
    return found


def facts(found: Mapping[str, Any]) -> Facts:
    """The same of a template."""
    return {name: _facts(resource) for name, resource in found["Resources"].items()}


def _facts(resource: Mapping[str, Any]) -> dict[str, Any]:
    kind, properties = resource["Type"], resource["Properties"]
    kept = {name: properties[name] for name in sorted(_create_only(kind)) if name in properties}
    if kind != TABLE:
        return {"Type": kind, **kept}
    types = {one["AttributeName"]: one["AttributeType"] for one in properties["AttributeDefinitions"]}
    keys = {one["AttributeName"]: types[one["AttributeName"]] for one in properties["KeySchema"]}
    local = [_index(one, types) for one in properties.get("LocalSecondaryIndexes", [])]
    global_ = [_index(one, types) for one in properties.get("GlobalSecondaryIndexes", [])]
    return {"Type": kind, **kept, "Types": keys, "LocalIndexes": local, "GlobalIndexes": global_}


def _index(index: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    names = [one["AttributeName"] for one in index["KeySchema"]]
    return {**index, "Types": {name: types[name] for name in names}}


@cache
def _create_only(kind: str) -> frozenset[str]:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("eu-west-1", kind).schema
    paths = schema.get("createOnlyProperties", []) + schema.get("conditionalCreateOnlyProperties", [])
    named = {path.split("/")[2] for path in paths}
    return frozenset(named.union(REPLACED_AS_WELL.get(kind, ())))


def losses(before: Facts, now: Facts) -> Iterator[str]:
    """What an update from one to the other would lose, or what DynamoDB would refuse of it."""
    for name, kept in before.items():
        if name not in now:
            yield f"{name} is gone"
            continue
        for fact in sorted(kept.keys() | now[name].keys()):
            old, new = kept.get(fact), now[name].get(fact)
            if fact == "GlobalIndexes":
                yield from _index_changes(name, old or [], new or [])
            elif old != new:
                yield f"{name}: {fact} was {old} and is {new}"


def _index_changes(name: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[str]:
    """DynamoDB makes or deletes one global index an update, and changes none in its place."""
    before, now = ({one["IndexName"]: one for one in indexes} for indexes in (old, new))
    for index in sorted(before.keys() & now.keys()):
        if before[index] != now[index]:
            yield f"{name}: the index {index} is another one under the same name"
    if len(changed := sorted(before.keys() ^ now.keys())) > 1:
        yield f"{name}: more than one index in one update: {', '.join(changed)}"
