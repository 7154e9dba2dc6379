"""No change of the templates makes a deployed stage lose a table, a key, a queue or a log."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from cli import removal
from tests.packaging import kept

if TYPE_CHECKING:
    from collections.abc import Callable

Change = dict[str, Any]


def properties(resources: Change, name: str) -> Change:
    found: Change = resources[name]["Properties"]
    return found


def another_key(resources: Change) -> None:
    properties(resources, "LanesTable")["KeySchema"][0]["AttributeName"] = "due_shard"


def another_type(resources: Change) -> None:
    properties(resources, "RatesTable")["AttributeDefinitions"][1]["AttributeType"] = "S"


def another_name(resources: Change) -> None:
    properties(resources, "GrantsTable")["TableName"]["Fn::Sub"] = "mailgrant-${Stage}-consents"


def a_local_index_more(resources: Change) -> None:
    table = properties(resources, "MessagesTable")
    table["LocalSecondaryIndexes"].append({**table["LocalSecondaryIndexes"][0], "IndexName": "by_age"})


def another_local_index(resources: Change) -> None:
    index = properties(resources, "MessagesTable")["LocalSecondaryIndexes"][0]
    index["Projection"] = {"ProjectionType": "ALL"}


def another_global_index(resources: Change) -> None:
    index = properties(resources, "LanesTable")["GlobalSecondaryIndexes"][0]
    index["Projection"] = {"ProjectionType": "ALL"}


def two_global_indexes(resources: Change) -> None:
    table = properties(resources, "LanesTable")
    first = table["GlobalSecondaryIndexes"][0]
    table["GlobalSecondaryIndexes"] += [{**first, "IndexName": "one"}, {**first, "IndexName": "two"}]


def a_key_of_one_region(resources: Change) -> None:
    del properties(resources, "GrantsKey")["MultiRegion"]


def a_fifo_queue(resources: Change) -> None:
    properties(resources, "RescueQueue")["FifoQueue"] = True


def another_bucket(resources: Change) -> None:
    properties(resources, "Bucket")["BucketName"] = {"Fn::Sub": "mailgrant-${Stage}"}


def another_log(resources: Change) -> None:
    properties(resources, "ConnectLog")["LogGroupName"] = {"Fn::Sub": "/mailgrant/${Stage}/connect"}


def no_table(resources: Change) -> None:
    del resources["CallersTable"]


def one_global_index(resources: Change) -> None:
    table = properties(resources, "LanesTable")
    table["GlobalSecondaryIndexes"].append({**table["GlobalSecondaryIndexes"][0], "IndexName": "one"})


def another_retention(resources: Change) -> None:
    properties(resources, "ConnectLog")["RetentionInDays"] = 30


def a_queue_more(resources: Change) -> None:
    resources["Further"] = copy.deepcopy(resources["RescueQueue"])


def after(change: Callable[[Change], None]) -> kept.Facts:
    template = copy.deepcopy(kept.template())
    change(template["Resources"])
    return kept.facts(template)


def test_uf7_an_update_of_a_deployed_stage_loses_nothing() -> None:
    assert list(kept.losses(kept.record(), kept.facts(kept.template()))) == []


def test_uf7_everything_that_is_kept_is_on_record() -> None:
    """Else the next change of it would not be seen."""
    assert kept.record().keys() == kept.template()["Resources"].keys()


@pytest.mark.parametrize(
    "change",
    [
        another_key,
        another_type,
        another_name,
        a_local_index_more,
        another_local_index,
        another_global_index,
        two_global_indexes,
        a_key_of_one_region,
        a_fifo_queue,
        another_bucket,
        another_log,
        no_table,
    ],
    ids=lambda change: change.__name__,
)
def test_uf7_a_change_by_which_something_would_be_replaced_is_seen(change: Callable[[Change], None]) -> None:
    assert list(kept.losses(kept.record(), after(change)))


@pytest.mark.parametrize(
    "change", [one_global_index, another_retention, a_queue_more], ids=lambda change: change.__name__
)
def test_uf7_a_change_in_place_is_none_of_that(change: Callable[[Change], None]) -> None:
    assert list(kept.losses(kept.record(), after(change))) == []


def test_uf7_both_keys_can_be_replicated_into_another_region() -> None:
    keys = [one for one in kept.template()["Resources"].values() if one["Type"] == "AWS::KMS::Key"]

    assert [key["Properties"]["MultiRegion"] for key in keys] == [True, True]


def test_uf7_tables_with_indexes_are_created_one_after_another() -> None:
    tables = {
        name: one
        for name, one in kept.template()["Resources"].items()
        if one["Type"] == kept.TABLE
        and {"LocalSecondaryIndexes", "GlobalSecondaryIndexes"} & one["Properties"].keys()
    }

    waits_for = {name: one.get("DependsOn") for name, one in tables.items()}

    (first,) = (name for name, other in waits_for.items() if other is None)
    order = [first]
    while (following := [name for name, other in waits_for.items() if other == order[-1]]) != []:
        order += following
    assert sorted(order) == sorted(tables)
    assert len(set(waits_for.values())) == len(tables)


def test_uf7_each_function_has_a_log_with_an_end_that_outlives_a_restore_of_the_tables() -> None:
    logs = [one["Properties"] for one in kept.template()["Resources"].values() if "Logs" in one["Type"]]

    assert sorted(one["LogGroupName"]["Fn::Sub"] for one in logs) == sorted(
        f"/aws/lambda/mailgrant-${{Stage}}-{name}" for name in removal.LOGS
    )
    assert {one["RetentionInDays"] for one in logs} == {90}
    assert min(one["RetentionInDays"] for one in logs) > 35  # days of DynamoDB's point-in-time recovery
