"""Rows U-F1, U-F3, U-F5 to U-F7, U-F9, U-F10, U-F12: what the templates ask of AWS, as its documents have it.

The application's template is translated as CloudFormation does it, by AWS's own library.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from packaging.requirements import Requirement
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from chalicelib import errors
from chalicelib.aws.clients import CONNECT_TIMEOUT, Clients
from chalicelib.settings import Settings
from chalicelib.web.routes import NOWHERE
from cli.package import ANY_METHOD, PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from cli.package import Package
    from sandbox.certs import Authority
    from tests.packaging.conftest import Deployed

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


def read_timeout() -> float:
    """Seconds for which the function that this process is waits for another one."""
    config: Any = Clients(Settings("test", "eu-west-1", "bucket")).lambda_.meta.config
    return float(config.read_timeout)


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


def test_uf9_who_waits_for_a_function_waits_no_longer_than_it_may(
    resources: dict[str, Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API answers by itself before Lambda ends it; the relay hears how `tokens` ended."""
    timeouts = {name: one["Properties"].get("Timeout") for name, one in resources.items()}

    monkeypatch.setenv("_HANDLER", "app.app")
    assert read_timeout() + CONNECT_TIMEOUT < timeouts["APIHandler"]
    monkeypatch.setenv("_HANDLER", "app.relay")
    assert timeouts["Tokens"] < read_timeout() < timeouts["Relay"]


def test_uf9_every_queue_has_a_bound_of_workers(resources: dict[str, Json]) -> None:
    sources = of_type(resources, "AWS::Lambda::EventSourceMapping")

    assert sources
    assert all("MaximumConcurrency" in one["ScalingConfig"] for one in sources.values())


def test_uf7_keys_can_get_a_replica_later() -> None:
    stack = yaml.load((PROJECT / ".chalice" / "data-stack.yaml").read_text(), Loader=yaml.BaseLoader)  # noqa: S506
    keys = [one["Properties"] for one in stack["Resources"].values() if one["Type"] == "AWS::KMS::Key"]

    assert len(keys) == 2
    assert all(key["MultiRegion"] == "true" for key in keys)


def test_uf12_what_needs_no_key_is_limited_by_each_method(template: Json) -> None:
    """HEAD is a method of its own, and ANY stands for those that are not named."""
    api = template["Resources"]["RestAPI"]["Properties"]
    limits = {
        (one["ResourcePath"], one["HttpMethod"]): one["ThrottlingRateLimit"] for one in api["MethodSettings"]
    }
    paths = {
        path: item
        for path, item in api["DefinitionBody"]["paths"].items()
        if not path.startswith(("/v1/", "/iam/v1/")) and path not in {"/healthz", "/openapi.json"}
    }
    methods = {
        (f"/{path.replace('/', '~1')}", "ANY" if method == ANY_METHOD else method.upper())
        for path, item in paths.items()
        for method in item
    }

    assert {("/~1connect~1{token}", "HEAD"), ("/~1{proxy+}", "ANY"), ("/~1", "GET")} <= methods
    assert {method: limits.get(method) for method in methods} == dict.fromkeys(methods, 50)
    assert limits.keys() == methods | {("/*", "*")}  # a limit of a path that is not there is a mistake


def test_uf12_a_path_at_which_nothing_is_comes_to_the_application(template: Json) -> None:
    """API Gateway would take the key of such a request for a signature, and answer 403."""
    paths = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]

    for path in NOWHERE:
        assert not [method for method, one in paths[path].items() if "security" in one]
        assert ANY_METHOD in paths[path]


def test_uf12_each_answer_of_api_gateway_itself_is_one_of_our_errors(template: Json) -> None:
    definition = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
    responses = definition["x-amazon-apigateway-gateway-responses"]
    statuses = {"malformed_request": 400, "too_many_requests": 429} | {
        kind.code: kind.status
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.MailgrantError) and hasattr(kind, "code")
    }

    for name, response in responses.items():
        error = json.loads(response["responseTemplates"]["application/json"])["error"]
        assert set(error) == {"code", "message", "fix", "docs"}, name
        assert error["docs"] == errors.docs_of(error["code"]), name
        if name not in {"DEFAULT_4XX", "INTEGRATION_TIMEOUT"}:  # many statuses; 504 says that it may be done
            assert int(response["statusCode"]) == statuses[error["code"]], name


@pytest.mark.parametrize("response", ["DEFAULT_5XX", "INTEGRATION_FAILURE"])
def test_uf12_a_function_that_is_throttled_is_told_as_unavailable(template: Json, response: str) -> None:
    definition = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
    answer = definition["x-amazon-apigateway-gateway-responses"][response]

    assert answer["statusCode"] == "503"
    assert answer["responseParameters"] == {"gatewayresponse.header.Retry-After": "'2'"}
    assert json.loads(answer["responseTemplates"]["application/json"])["error"]["code"] == "unavailable"


@pytest.mark.aws
@pytest.mark.parametrize("path", ["/no/such/path", "/v1/nothing", "/iam/v1/nothing", "/"])
def test_uf12_a_key_at_a_wrong_path_is_answered_by_404(
    aws: Deployed, authority: Authority, path: str
) -> None:
    answer = requests.get(
        aws.url + path, headers={"Authorization": "Bearer mg_x"}, verify=str(authority.cafile), timeout=60
    )

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"  # it is the application that answers


def test_uf12_answers_of_api_gateway_itself_raise_an_alarm(template: Json) -> None:
    alarm = template["Resources"]["ApiFailuresAlarm"]["Properties"]

    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/ApiGateway", "5XXError")


def test_uf12_beside_a_domain_the_usual_address_can_be_switched_off(template: Json) -> None:
    switch = template["Resources"]["RestAPI"]["Properties"]["DisableExecuteApiEndpoint"]

    assert switch == {"Fn::If": ["HasDomainAlone", True, {"Ref": "AWS::NoValue"}]}
    assert template["Parameters"]["OnlyDomain"]["Default"] == "false"


TALKS = {"Connect", "Tokens", "RefreshTokens", "Refresh", "Relay", "RelayDue"}
"""The functions that connect to providers and mail servers."""


def test_uf6_who_talks_to_servers_may_be_put_into_a_vpc(template: Json) -> None:
    resources = template["Resources"]
    functions = {name for name, one in resources.items() if one["Type"] == "AWS::Serverless::Function"}
    inside = {name for name in functions if "VpcConfig" in resources[name]["Properties"]}

    assert inside == TALKS
    for name in TALKS:
        condition, vpc, nothing = resources[name]["Properties"]["VpcConfig"]["Fn::If"]
        assert (condition, nothing) == ("HasVpc", {"Ref": "AWS::NoValue"})
        assert vpc == {
            "SubnetIds": {"Fn::Split": [",", {"Ref": "SubnetIds"}]},
            "SecurityGroupIds": {"Fn::Split": [",", {"Ref": "SecurityGroupIds"}]},
        }
        condition, (policy,), nothing = resources[f"{name}Role"]["Properties"]["ManagedPolicyArns"]["Fn::If"]
        assert (condition, nothing) == ("HasVpc", {"Ref": "AWS::NoValue"})
        assert policy["Fn::Sub"].endswith(":policy/service-role/AWSLambdaVPCAccessExecutionRole")
    assert "HasVpc" in template["Conditions"]


# Versions


def test_uf10_the_runtime_is_that_of_the_bytecode(template: Json, unpacked: Path) -> None:
    runtimes = {
        one["Properties"]["Runtime"]
        for one in template["Resources"].values()
        if one["Type"] == "AWS::Serverless::Function"
    }

    assert runtimes == {f"python{sys.version_info.major}.{sys.version_info.minor}"}
    assert {path.read_bytes()[:4] for path in unpacked.rglob("*.pyc")} == {MAGIC_NUMBER}


def test_uf10_the_urllib3_of_the_package_is_one_that_botocore_takes(unpacked: Path) -> None:
    """It stands before the runtime's own, which botocore finds by the same name."""
    (packed,) = unpacked.glob("urllib3-*.dist-info")
    version = packed.name.removeprefix("urllib3-").removesuffix(".dist-info")
    wanted = [
        found.specifier
        for found in map(Requirement, metadata.requires("botocore") or ())
        if found.name == "urllib3" and (found.marker is None or found.marker.evaluate())
    ]

    assert wanted
    assert all(version in one for one in wanted)
