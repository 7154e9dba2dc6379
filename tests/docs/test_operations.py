"""docs/operations.md says what the code does: rights, parameters, alarms, tables, limits."""

from __future__ import annotations

import ast
import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from chalice.package import YAMLTemplateSerializer

from chalicelib import settings
from chalicelib.accounts.connecting.links import LINK_LIFE, STARTS
from chalicelib.accounts.models.account import UNDO
from chalicelib.aws.secrets import REMEMBERED
from chalicelib.clock import DAY
from chalicelib.diagnosis import DiagnosisClass
from chalicelib.mail.composing.request import MAX_EXPIRES_IN
from chalicelib.mail.models import KEPT, Phase
from chalicelib.providers.replies import diagnose
from chalicelib.web.api.status import NEEDS_SOMEBODY
from chalicelib.web.api.table import ROUTES
from cli import manual, removal, stacks
from cli.permissions import NEEDED
from tests.docs import pages

if TYPE_CHECKING:
    from collections.abc import Iterator


PAGE: Final = manual.PAGE.read_text()
CHALICE: Final = pages.ROOT / ".chalice"
STAGE: Final = "prod"


def templates() -> dict[str, dict[str, Any]]:
    """The templates by file name."""
    load = YAMLTemplateSerializer().load_template
    return {path.name: load(path.read_text()) for path in sorted(CHALICE.glob("*.yaml"))}


def section(heading: str) -> str:
    """The text below a heading, up to the next one of any level."""
    _, found, rest = PAGE.partition(f"# {heading}\n")
    assert found, heading
    return re.split(r"^#+ (?=[A-Z])", rest, maxsplit=1, flags=re.MULTILINE)[0]


def said(heading: str) -> str:
    """The section in one line, wherever its lines end."""
    return " ".join(section(heading).split())


def cells(text: str) -> list[list[list[str]]]:
    """The rows of the text's tables, without their headings: the code that each cell names."""
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    rules = [place for place, row in enumerate(rows) if not set("".join(row)) - set(" -")]
    headings = {place - 1 for place in rules}
    found = [row for place, row in enumerate(rows) if place not in headings.union(rules)]
    return [[re.findall("`([^`]+)`", cell) for cell in row] for row in found]


def documents(text: str) -> list[dict[str, Any]]:
    """The JSON of the text's blocks."""
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


def listed(value: Any) -> list[str]:
    """What IAM takes as one or as several."""
    return value if isinstance(value, list) else [value]


class TestWhatFollowsFromTheCode:
    def test_the_page_is_as_the_code_writes_it(self) -> None:
        assert manual.filled(PAGE) == PAGE, "docs/operations.md is stale: run make reference"

    def test_each_part_has_its_place_and_its_end(self) -> None:
        marks = re.findall(r"<!-- (?:from the code: (\w+)|end) -->", PAGE)

        assert sorted(filter(None, marks)) == sorted(manual.PARTS)
        assert not any(marks[1::2])

    def test_a_stale_part_is_written_anew_and_nothing_else(self) -> None:
        begins, ends = "<!-- from the code: providers -->", "<!-- end -->"
        stale = f"before\n{begins}\nstale\n{ends}\nbetween\n{begins}\n{ends}\nafter"

        new = manual.filled(stale)

        made = f"{begins}\n\n{manual.providers()}\n\n{ends}"
        assert new == f"before\n{made}\nbetween\n{made}\nafter"


class TestRights:
    def allowed(self) -> Iterator[tuple[str, str]]:
        """The pairs of patterns, of an action and of a resource, that the page's policy allows."""
        (policy,) = documents(section("Rights"))
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow"
            for action in listed(statement["Action"]):
                yield from ((action, resource) for resource in listed(statement["Resource"]))

    def test_the_policy_allows_all_that_is_checked_before_a_deployment(self) -> None:
        allowed = list(self.allowed())
        facts = {"partition": "aws", "region": "eu-west-1", "account": "123456789012", "stage": STAGE}

        missing = [
            (action, pattern)
            for pattern, actions in NEEDED.items()
            for action in actions
            if not any(
                fnmatchcase(action, one) and fnmatchcase(pattern.format(**facts), resource)
                for one, resource in allowed
            )
        ]

        assert missing == []

    def test_the_policy_names_the_service_of_every_resource(self) -> None:
        kinds = {
            one["Type"]
            for found in templates().values()
            for one in found["Resources"].values()
            if "Type" in one
        }
        named = {action.partition(":")[0] for action, _ in self.allowed()}

        assert {kind.split("::")[1].lower() for kind in kinds} - named == set()

    def test_nothing_is_allowed_on_everything_that_could_read_mail_or_tokens(self) -> None:
        everywhere = [action for action, resource in self.allowed() if resource == "*"]

        assert not [action for action in everywhere if "*" in action]
        assert {"kms:Decrypt", "secretsmanager:GetSecretValue"}.isdisjoint(everywhere)


class TestCallers:
    """The policies of the page, against what the templates and the code name."""

    FACTS: Final = {"REGION": "eu-west-1", "ACCOUNT": "123456789012", "API": "a1b2c3d4e5"}

    def statements(self) -> dict[str, dict[str, Any]]:
        found = [one for policy in documents(section("Rights of callers")) for one in policy["Statement"]]
        return {one["Sid"]: one for one in found}

    def filled(self, resource: str) -> str:
        for name, value in self.FACTS.items():
            resource = resource.replace(name, value)
        return resource

    def test_uf13_a_role_may_call_every_signed_path_and_nothing_else(self) -> None:
        statement = self.statements()["CallTheApi"]
        pattern = self.filled(statement["Resource"])
        stage = json.loads((CHALICE / "config.json").read_text())["api_gateway_stage"]
        api = f"arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/{stage}"

        assert statement["Action"] == "execute-api:Invoke"
        for method, path, _ in ROUTES:
            assert fnmatchcase(f"{api}/{method}/iam/v1{path}", pattern)
            assert not fnmatchcase(f"{api}/{method}/v1{path}", pattern)

    def test_uf13_who_hands_in_mail_may_post_messages_and_no_more(self) -> None:
        (narrow,) = re.findall(r"needs `(arn:aws:execute-api:[^`]+)`", said("Rights of callers"))
        stage = json.loads((CHALICE / "config.json").read_text())["api_gateway_stage"]

        method, _, path = self.filled(narrow).partition(f"/{stage}/")[2].partition("/")
        assert [one for one in ROUTES if (one[0], f"iam/v1{one[1]}") == (method, path)]

    def test_uf13_a_service_may_invoke_its_own_alias_of_send_alone(self) -> None:
        statement = self.statements()["SendAsShop"]
        app = templates()["app-stack.yaml"]["Resources"]
        function = app["Send"]["Properties"]["FunctionName"]["Fn::Sub"].replace("${Stage}", STAGE)
        send = f"arn:aws:lambda:eu-west-1:123456789012:function:{function}"
        pattern = self.filled(statement["Resource"])

        assert statement["Action"] == "lambda:InvokeFunction"
        assert app["SendAliasOfCaller"]["Properties"]["FunctionName"] == {"Ref": "Send"}
        assert fnmatchcase(f"{send}:shop", pattern)
        assert not fnmatchcase(send, pattern)
        assert not fnmatchcase(f"{send}:other", pattern)

    def test_uf13_what_iam_knows_no_resource_for_is_allowed_on_all(self) -> None:
        """SNS, "Actions, resources and condition keys": these three have no resource type."""
        without = {"sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"}
        topic = templates()["health.yaml"]["Resources"]["AlarmTopic"]["Properties"]["TopicName"]["Fn::Sub"]
        statements = self.statements()

        assert set(statements["ChangeSubscriptions"]["Action"]) == without
        assert statements["ChangeSubscriptions"]["Resource"] == "*"
        assert statements["HearOfAlarms"]["Resource"].endswith(topic.replace("${Stage}", STAGE))
        everywhere = {action for action, resource in TestRights().allowed() if resource == "*"}
        assert without <= everywhere


class TestPipeline:
    def test_its_stacks_and_parameters_are_those_of_the_templates(self) -> None:
        text, found = section("Deploy from a pipeline"), templates()
        deployed = re.findall(r"--stack-name (\S+) --template-file build/(\S+)", text)
        given = [set(re.findall(r"(\w+)=", line)) for line in re.findall(r"--parameter-overrides (.+)", text)]

        assert deployed == [
            (stacks.data_stack_name(STAGE), "data-stack.yaml"),
            (stacks.app_stack_name(STAGE), "template.json"),
        ]
        for name, parameters in zip(("data-stack.yaml", "app-stack.yaml"), given, strict=True):
            known = found[name]["Parameters"]
            assert parameters == {one for one, facts in known.items() if "Default" not in facts}

    def test_its_key_is_one_that_the_template_takes(self) -> None:
        pattern = templates()["app-stack.yaml"]["Parameters"]["ArtifactKey"]["AllowedPattern"]

        assert "KEY=$(sha256sum build/package-arm64.zip | cut -d ' ' -f 1).zip" in PAGE
        assert re.fullmatch(pattern, f"{'0' * 64}.zip")

    def test_its_bucket_is_the_one_of_the_command_line(self) -> None:
        assert f"BUCKET={stacks.artifact_bucket('ACCOUNT', 'REGION')}" in PAGE


class TestTrouble:
    def rows(self) -> list[list[list[str]]]:
        return cells(section("What to do when"))

    def test_every_alarm_is_explained(self) -> None:
        found = [one for name, one in templates().items() if name.startswith("health")]
        alarms = [
            one["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("mailgrant-${Stage}-")
            for template in found
            for one in template["Resources"].values()
            if one["Type"] == "AWS::CloudWatch::Alarm"
        ]

        assert {name for row in self.rows() for name in row[0]} == set(alarms)

    def test_every_code_of_status_is_explained(self) -> None:
        source = (pages.ROOT / "chalicelib" / "web" / "api" / "status.py").read_text()
        called = [
            node.args[0]
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_trouble"
        ]
        codes = {str(code.value) for code in called if isinstance(code, ast.Constant)}

        assert codes
        explained = {name for row in self.rows() for name in row[2]}
        assert explained == codes | {f"accounts_{state}" for state in NEEDS_SOMEBODY}


class TestRestore:
    def test_every_table_is_named(self) -> None:
        named = [name for row in cells(section("What a restore means")) for name in row[0]]

        assert sorted(named) == sorted(removal.TABLES)

    def test_expiry_is_given_back_to_the_tables_that_have_it(self) -> None:
        tables = {
            one["Properties"]["TableName"]["Fn::Sub"].removeprefix("mailgrant-${Stage}-"): one["Properties"]
            for one in templates()["data-stack.yaml"]["Resources"].values()
            if one["Type"] == "AWS::DynamoDB::Table"
        }
        (sentence,) = re.findall(r"expiry only to ([^:]+):", said("Restore tables"))

        expiring = {name for name, facts in tables.items() if "TimeToLiveSpecification" in facts}
        assert set(re.findall("`([^`]+)`", sentence)) == expiring

    def test_the_keys_of_a_message_are_those_of_its_table(self) -> None:
        table = templates()["data-stack.yaml"]["Resources"]["MessagesTable"]["Properties"]
        named = json.loads(re.findall(r"--expression-attribute-names '(.+?)'", PAGE)[0])

        assert sorted(named.values()) == sorted(key["AttributeName"] for key in table["KeySchema"])

    def test_every_function_is_stopped_and_let_go_again(self) -> None:
        functions = {row[0][0] for row in cells(section("What runs")) if row[0]}

        for line in re.findall(r"for name in (.+); do", PAGE):
            assert set(line.split()) == functions


def test_every_variable_of_the_functions_is_named() -> None:
    variables = templates()["app-stack.yaml"]["Resources"]["APIHandler"]["Properties"]["Environment"][
        "Variables"
    ]

    named = set(re.findall("`([A-Z_]+)`", section("Settings")))
    assert set(variables) | {"AWS_REGION"} == named
    assert set(settings.REQUIRED) | set(settings.SHAPES) <= named


def test_limits_are_those_of_the_code() -> None:
    limits, rotate = said("Limits"), said("Rotate a client secret")

    assert f"works for {LINK_LIFE // DAY} days and {STARTS} starts" in limits
    assert f"Records are kept for {KEPT // DAY} days" in limits
    assert f"restored for {UNDO // DAY} days" in limits
    assert (MAX_EXPIRES_IN // 86_400, "five days at most" in limits) == (5, True)
    assert (REMEMBERED / 60, "Wait for five minutes" in rotate) == (5, True)
    assert f"before `{Phase.COMMIT}` the server cannot have" in said("Read a diagnosis")


def test_the_diagnosis_is_as_the_product_makes_it() -> None:
    (shown,) = documents(section("Read a diagnosis"))

    made = diagnose("microsoft", {"error": "invalid_client", "error_description": shown["text"]}).to_json()

    assert made == shown
    classes = [row[0][0] for row in cells(section("Read a diagnosis"))]
    assert classes == [str(one) for one in DiagnosisClass]
