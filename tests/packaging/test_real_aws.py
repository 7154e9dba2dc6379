"""Rows U-F1, U-F3, U-F5, U-F7, U-F9, U-F12: what the templates ask of AWS, as its documents have it.

The application's template is translated as CloudFormation does it, by AWS's own library.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from cli.package import PROJECT

if TYPE_CHECKING:
    from cli.package import Package

pytestmark = pytest.mark.xdist_group("packaging")

Json = dict[str, Any]


@pytest.fixture(scope="module")
def template(built: Package) -> Json:
    """The template as it is packaged."""
    template: Json = json.loads(built.template.read_text())
    return template


@pytest.fixture(scope="module")
def resources(template: Json) -> dict[str, Json]:
    """The resources that CloudFormation makes of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        values = {name: one.get("Default") or "x" for name, one in template["Parameters"].items()}
        translated = Translator({}, Parser()).translate(json.loads(json.dumps(template)), values)
    found: dict[str, Json] = translated["Resources"]
    return found


def of_type(resources: dict[str, Json], kind: str) -> dict[str, Json]:
    """The properties of all resources of a type, by name."""
    return {name: one["Properties"] for name, one in resources.items() if one["Type"] == kind}


def test_uf1_the_api_has_one_stage_and_it_is_throttled(resources: dict[str, Json]) -> None:
    deployments = of_type(resources, "AWS::ApiGateway::Deployment")
    (stage,) = of_type(resources, "AWS::ApiGateway::Stage").values()

    assert deployments
    assert not [name for name, one in deployments.items() if "StageName" in one or "StageDescription" in one]
    assert stage["StageName"] == "api"
    whole = [
        one for one in stage["MethodSettings"] if (one["ResourcePath"], one["HttpMethod"]) == ("/*", "*")
    ]
    assert [one["ThrottlingRateLimit"] for one in whole] == [1000]


def test_uf3_the_alarms_of_the_rescue_queue_count_what_is_there(template: Json) -> None:
    """Visible or in somebody's hands, twice in twenty minutes: a token that is saved at once raises none."""
    alarms = [
        template["Resources"][name]["Properties"] for name in ("RescueQueueAlarm", "RescueQueueInHandAlarm")
    ]

    assert [alarm["MetricName"] for alarm in alarms] == [
        "ApproximateNumberOfMessagesVisible",
        "ApproximateNumberOfMessagesNotVisible",
    ]
    assert {
        (alarm["Threshold"], alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) for alarm in alarms
    } == {(0, 2, 4)}


def test_uf3_no_alarm_relies_on_the_age_of_the_oldest_message(template: Json) -> None:
    assert "ApproximateAgeOfOldestMessage" not in json.dumps(template)


def test_uf5_the_dashboard_asks_for_metrics_that_there_are(template: Json) -> None:
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
    text = body["Fn::Sub"] if isinstance(body, dict) else body
    widgets = json.loads(text)["widgets"]
    named = {
        cell
        for widget in widgets
        for metric in widget["properties"]["metrics"]
        for cell in metric
        if isinstance(cell, str) and cell.startswith("mailgrant-${Stage}-")
    }
    functions = {
        one["Properties"]["FunctionName"]["Fn::Sub"]
        for one in template["Resources"].values()
        if one["Type"] == "AWS::Serverless::Function"
    }

    assert functions <= named
    # A quoted term of a search is an exact match, so it names a whole dimension's value, never its beginning.
    searched = re.findall(r'FunctionName=\\*"', text)
    assert searched == []


@pytest.mark.parametrize(("function", "age"), [("RelayDue", 60), ("RefreshTokens", 300)])
def test_uf9_a_schedule_that_was_throttled_is_not_made_up_for(
    resources: dict[str, Json], function: str, age: int
) -> None:
    (config,) = [
        one
        for one in of_type(resources, "AWS::Lambda::EventInvokeConfig").values()
        if one["FunctionName"] == {"Ref": function}
    ]

    assert (config["MaximumEventAgeInSeconds"], config["MaximumRetryAttempts"]) == (age, 0)


def test_uf9_every_queue_has_a_bound_of_workers(resources: dict[str, Json]) -> None:
    sources = of_type(resources, "AWS::Lambda::EventSourceMapping")

    assert sources
    assert all("MaximumConcurrency" in one["ScalingConfig"] for one in sources.values())


def test_uf7_keys_can_get_a_replica_later() -> None:
    stack = yaml.load((PROJECT / ".chalice" / "data-stack.yaml").read_text(), Loader=yaml.BaseLoader)  # noqa: S506
    keys = [one["Properties"] for one in stack["Resources"].values() if one["Type"] == "AWS::KMS::Key"]

    assert len(keys) == 2
    assert all(key["MultiRegion"] == "true" for key in keys)


def test_uf12_pages_are_limited_by_each_method(template: Json) -> None:
    """HEAD comes by ANY."""
    limits = template["Resources"]["RestAPI"]["Properties"]["MethodSettings"]
    pages = {one["ResourcePath"] for one in limits} - {"/*"}

    assert pages
    for page in pages:
        methods = {one["HttpMethod"]: one for one in limits if one["ResourcePath"] == page}
        assert "ANY" in methods
        assert methods["ANY"]["ThrottlingRateLimit"] == 50


def test_uf12_answers_of_api_gateway_itself_raise_an_alarm(template: Json) -> None:
    alarm = template["Resources"]["ApiFailuresAlarm"]["Properties"]

    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/ApiGateway", "5XXError")


def test_uf12_beside_a_domain_the_usual_address_can_be_switched_off(template: Json) -> None:
    switch = template["Resources"]["RestAPI"]["Properties"]["DisableExecuteApiEndpoint"]

    assert switch == {"Fn::If": ["HasDomainAlone", True, {"Ref": "AWS::NoValue"}]}
    assert template["Parameters"]["OnlyDomain"]["Default"] == "false"
