"""The commands deploy and destroy against the sandbox's AWS: what they show, make, refuse and keep."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from chalice.package import YAMLTemplateSerializer

import cli.deployment
from chalicelib.accounts.models.connector import Connector
from chalicelib.aws.tables.callers import CallersTable
from chalicelib.aws.tables.connectors import ConnectorsTable
from chalicelib.callers.registry import Callers
from chalicelib.secret import Secret
from cli import removal
from cli.cloudformation import Stack
from cli.package import PROJECT
from cli.trouble import Trouble
from sandbox.aws.emulator import REGION
from tests.packaging.moving import Time

if TYPE_CHECKING:
    from pathlib import Path

    from cli.package import Package
    from tests.packaging.conftest import Account

pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("packaging")]


@pytest.fixture
def package(built: Package, monkeypatch: pytest.MonkeyPatch) -> Changeable:
    """The package that the command deploys, which a test may change."""
    changeable = Changeable(built)
    monkeypatch.setattr(cli.deployment, "packaged", lambda: changeable.package)
    return changeable


@pytest.fixture(autouse=True)
def nobody_waits_for_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator gives the name of a deleted queue back at once."""
    monkeypatch.setattr(removal, "time", Time())


@dataclass
class Changeable:
    """A package whose templates are changed as a later commit would change them."""

    package: Package

    def without_table(self, directory: Path, resource: str) -> None:
        """Take a table out of the data stack."""
        lines, out, skipping = self.package.data_template.read_text().splitlines(), [], False
        for line in lines:
            if line.startswith("  ") and not line.startswith("   "):
                skipping = line == f"  {resource}:"
            out += [] if skipping else [line]
        path = directory / "data-stack.yaml"
        path.write_text("\n".join(out))
        self.package = dataclasses.replace(self.package, data_template=path)

    def with_data_resource(self, directory: Path, name: str, resource: dict[str, Any]) -> None:
        """Put a resource into the data stack."""
        text = self.package.data_template.read_text()
        path = directory / "data-stack.yaml"
        path.write_text(text.replace("\nResources:\n", f"\nResources:\n  {name}: {json.dumps(resource)}\n"))
        self.package = dataclasses.replace(self.package, data_template=path)

    def with_resource(self, directory: Path, name: str, resource: dict[str, Any]) -> None:
        """Put a resource into the application stack."""
        template = json.loads(self.package.template.read_text())
        template["Resources"][name] = resource
        path = directory / "template.json"
        path.write_text(json.dumps(template))
        self.package = dataclasses.replace(self.package, template=path)


TAKEN = {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/taken", "Type": "String", "Value": "new"}}


@pytest.fixture
def taken(account: Account) -> None:
    """A parameter's name is taken, so that no stack can make it."""
    account.session.client("ssm").put_parameter(Name="/taken", Type="String", Value="old", Overwrite=True)


class TestDeploying:
    def test_shows_what_it_will_do_asks_and_hands_over(self, account: Account) -> None:
        said = account.done("deploy", "--stage", "first", stdin="y\ny\n")

        shown, asked = (
            said.index("add          GrantsTable"),
            said.index("Apply this to mailgrant-first-data?"),
        )
        done = said.index("create complete        GrantsTable")
        assert shown < asked < done < said.index("add          APIHandler")
        url = account.session.client("ssm").get_parameter(Name="/mailgrant/first/public-url")["Parameter"][
            "Value"
        ]
        assert f"{url}/oauth/callback/con_…" in said
        assert ":function:mailgrant-first-send" in said
        assert "functions at once" in said
        key = Secret(next(line for line in said.splitlines() if line.startswith("mg_")))
        table = CallersTable(account.session.client("dynamodb"), "mailgrant-first-callers")
        assert Callers(table).by_key(key).accounts == {"*"}

    def test_a_second_time_changes_nothing_and_makes_no_second_key(self, account: Account) -> None:
        first = account.deploy("again", "--alias", "shop", "--public-url", "https://mail.example.com")

        again = account.deploy("again")
        another = account.deploy("again", "--new-key")

        assert first["administrator_key"].startswith("mg_")
        assert again["administrator_key"] is None
        assert another["administrator_key"].startswith("mg_")
        assert again["url"] == "https://mail.example.com"
        assert again["alias"] == first["alias"] == f"{first['send']}:shop"
        assert again["package"] == first["package"]
        assert again["concurrency"]["relays"] == 5

    def test_leaves_nothing_behind_when_it_is_not_agreed_to(self, account: Account) -> None:
        result = account.run("deploy", "--stage", "never", stdin="n\n")

        assert result.exit_code == 1
        assert "left as it is" in result.stderr
        assert account.stack("mailgrant-never-data") is None
        assert account.run("deploy", "--stage", "never").exit_code == 1  # nobody answers
        assert account.stack("mailgrant-never-data") is None

    def test_gives_the_api_a_domain_and_says_where_its_record_points(self, account: Account) -> None:
        arn = f"arn:aws:acm:{REGION}:000000000000:certificate/1b6e"

        found = account.deploy("domain", "--domain", "mail.example.org", "--certificate-arn", arn)

        assert found["url"] == "https://mail.example.org"
        assert found["domain_target"]
        (mapping,) = account.session.client("apigateway").get_base_path_mappings(
            domainName="mail.example.org"
        )["items"]
        assert mapping["stage"] == "api"

    def test_another_url_is_warned_of_with_each_callback_to_register(self, account: Account) -> None:
        account.deploy("moves", "--public-url", "https://old.example.com")
        connector = Connector("con_1", "google", "Google Workspace", "client", "", 1)
        ConnectorsTable(account.session.client("dynamodb"), "mailgrant-moves-connectors").add(connector)

        said = account.done(
            "deploy", "--stage", "moves", "--public-url", "https://new.example.com", stdin="y\n"
        )

        warned = said.index("Google Workspace: https://new.example.com/oauth/callback/con_1")
        assert said.index("from https://old.example.com to https://new.example.com") < warned
        assert warned < said.index("Apply this to mailgrant-moves?")
        assert "changes from" not in account.run("deploy", "--stage", "moves", "--yes").stdout

    @pytest.mark.parametrize(
        ("options", "code", "said"),
        [
            (("--public-url", "http://mail.example.com"), "bad_parameter", "PublicUrl"),
            (("--parameter", "AddressInEvents=perhaps"), "bad_parameter", "AddressInEvents"),
            (("--parameter", "RelayMaximumConcurrency=1"), "bad_parameter", "RelayMaximumConcurrency"),
            (("--parameter", "Colour=blue"), "bad_parameter", "Colour"),
            (("--parameter", "RelayMaximumConcurrency=900"), "too_many_relays", "at once"),
        ],
    )
    def test_a_setting_that_cannot_be_is_refused_first(
        self, options: tuple[str, str], code: str, said: str, account: Account
    ) -> None:
        error = account.refused("deploy", "--stage", "unset", *options)

        assert error["code"] == code
        assert said in error["message"]
        assert account.stack("mailgrant-unset-data") is None

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--stage", "Prod"),
            ("--stage", ""),
            ("--stage", "prod", "--json"),
            ("--stage", "prod", "--domain", "mail.example.com"),
            ("--stage", "prod", "--parameter", "nonsense"),
        ],
    )
    def test_what_is_not_understood_is_not_begun(self, arguments: tuple[str, ...], account: Account) -> None:
        assert account.run("deploy", *arguments).exit_code == 2


class TestWhatGoesWrong:
    def test_a_table_is_not_removed_unless_the_stage_is_typed(
        self, account: Account, package: Changeable, tmp_path: Path
    ) -> None:
        account.deploy("risky")
        package.without_table(tmp_path, "LanesTable")

        error = account.refused("deploy", "--stage", "risky")
        mistyped = account.run("deploy", "--stage", "risky", stdin="risk\n")

        assert error["code"] == "data_at_risk"
        assert "LanesTable" in error["message"]
        assert mistyped.exit_code == 1
        resources = account.session.client("cloudformation").list_stack_resources
        names = {
            one["LogicalResourceId"]
            for one in resources(StackName="mailgrant-risky-data")["StackResourceSummaries"]
        }
        assert "LanesTable" in names

        account.done("deploy", "--stage", "risky", stdin="risky\ny\n")
        tables = account.session.client("dynamodb").list_tables()["TableNames"]
        assert "mailgrant-risky-lanes" in tables  # retained, though no stack has it

    @pytest.mark.usefixtures("taken")
    def test_a_failed_update_rolls_back_and_says_why(
        self, account: Account, built: Package, package: Changeable, tmp_path: Path
    ) -> None:
        before = account.deploy("update")
        package.with_resource(tmp_path, "Taken", TAKEN)

        error = account.refused("deploy", "--stage", "update")

        stack = account.stack("mailgrant-update")
        assert error["code"] == "stack_failed"
        assert "Taken: " in error["message"]
        assert "already exists" in error["message"]
        assert stack is not None
        assert (stack.status, stack.outputs["SendArn"]) == ("UPDATE_ROLLBACK_COMPLETE", before["send"])
        package.package = built
        assert account.deploy("update")["url"] == before["url"]

    @pytest.mark.usefixtures("taken")
    def test_a_failed_creation_is_deleted_by_the_next_deployment(
        self, account: Account, built: Package, package: Changeable, tmp_path: Path
    ) -> None:
        package.with_resource(tmp_path, "Taken", TAKEN)
        error = account.refused("deploy", "--stage", "create")
        package.package = built

        deployed = account.deploy("create")

        assert "Taken: " in error["message"]
        assert deployed["administrator_key"]

    @pytest.mark.usefixtures("taken")
    def test_data_that_was_never_created_whole_is_removed_by_its_own_command(
        self, account: Account, built: Package, package: Changeable, tmp_path: Path
    ) -> None:
        package.with_data_resource(tmp_path, "Taken", TAKEN)

        failed, stuck = (account.refused("deploy", "--stage", "half") for _ in range(2))

        package.package = built
        assert "Taken: " in failed["message"]
        assert stuck["code"] == "stack_stuck"
        assert "destroy --stage half --with-data" in stuck["fix"]
        account.done("destroy", "--stage", "half", "--with-data", stdin="half\n")
        assert account.deploy("half")["administrator_key"]

    def test_data_whose_stack_somebody_deleted_is_not_built_over(self, account: Account) -> None:
        account.deploy("orphan")
        account.done("destroy", "--stage", "orphan", "--yes")
        account.session.client("cloudformation").delete_stack(StackName="mailgrant-orphan-data")

        assert account.refused("deploy", "--stage", "orphan")["code"] == "data_without_stack"

    @pytest.mark.parametrize(
        ("status", "code", "fix"),
        [
            ("UPDATE_IN_PROGRESS", "stack_busy", "describe-stack-events --stack-name mailgrant-prod"),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "stack_busy", "describe-stack-events"),
            ("UPDATE_ROLLBACK_FAILED", "stack_stuck", "continue-update-rollback --stack-name mailgrant-prod"),
            ("UPDATE_FAILED", "stack_stuck", "rollback-stack --stack-name mailgrant-prod"),
        ],
    )
    def test_a_stack_that_cannot_be_updated_is_explained(self, status: str, code: str, fix: str) -> None:
        stack = Stack("mailgrant-prod", "id", status, "", {}, {})

        with pytest.raises(Trouble) as caught:
            stack.require_updatable()

        assert caught.value.code == code
        assert fix in caught.value.fix

    @pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
    def test_a_stack_that_can_be_updated_is(self, status: str) -> None:
        Stack("mailgrant-prod", "id", status, "", {}, {}).require_updatable()


class TestDestroying:
    def test_keeps_the_data_and_says_what_that_costs(self, account: Account) -> None:
        account.deploy("gone")
        callers = account.session.client("dynamodb").scan(TableName="mailgrant-gone-callers")["Count"]

        refused = account.run("destroy", "--stage", "gone", stdin="n\n")
        said = account.done("destroy", "--stage", "gone", stdin="y\n")

        assert refused.exit_code == 1
        assert account.stack("mailgrant-gone") is None
        assert account.stack("mailgrant-gone-data") is not None
        assert (
            account.session.client("dynamodb").scan(TableName="mailgrant-gone-callers")["Count"]
            == callers
            == 1
        )
        assert "two KMS keys: $1 each per month" in said
        assert account.deploy("gone")["administrator_key"] is None

    def test_names_the_url_that_is_lost_and_how_to_have_the_stage_back(self, account: Account) -> None:
        url = account.deploy("lost", "--alias", "shop", "--parameter", "LogAddresses=true")["url"]
        connector = Connector("con_1", "google", "Google Workspace", "client", "", 1)
        ConnectorsTable(account.session.client("dynamodb"), "mailgrant-lost-connectors").add(connector)

        said = account.done("destroy", "--stage", "lost", stdin="y\n")

        warned = said.index(f"The URL {url} is the API's own and is lost")
        assert warned < said.index("Google Workspace (con_1)") < said.index("Delete mailgrant-lost?")
        again = said.partition(f"./mailgrant deploy --stage lost --region {REGION} ")[2].split()
        assert sorted(again) == ["--parameter", "--parameter", "LogAddresses=true", "SendAlias=shop"]

    def test_where_there_is_no_application_nothing_is_asked(self, account: Account) -> None:
        answer = json.loads(account.done("destroy", "--stage", "never", "--yes", "--json"))

        assert answer == {"stage": "never", "deleted": "nothing", "kept": [], "again": None}
        assert "There is no application of never here" in account.done("destroy", "--stage", "never")

    def test_a_url_of_ones_own_is_not_lost(self, account: Account) -> None:
        account.deploy("stays", "--public-url", "https://mail.example.com")

        said = account.done("destroy", "--stage", "stays", "--yes")

        assert "https://mail.example.com stays the stage's URL" in said
        assert "is lost" not in said
        assert "--parameter PublicUrl=https://mail.example.com" in said

    def test_with_data_removes_all_of_this_stage_only_once_its_name_is_typed(self, account: Account) -> None:
        account.deploy("end")
        session, bucket = account.session, f"mailgrant-end-000000000000-{REGION}"
        session.client("s3").put_object(Bucket=bucket, Key="messages/1", Body=b"bytes")
        secrets = session.client("secretsmanager")
        secrets.create_secret(Name="mailgrant-end/connector/con_1", SecretString="precious")
        secrets.create_secret(Name="mailgrant-ender/connector/con_1", SecretString="precious")
        key = session.client("kms").describe_key(KeyId="alias/mailgrant-end-grants")["KeyMetadata"]["KeyId"]

        mistyped = account.run("destroy", "--stage", "end", "--with-data", "--yes", stdin="y\n")
        kept = account.stack("mailgrant-end")
        account.done("destroy", "--stage", "end", "--with-data", stdin="end\n")

        assert mistyped.exit_code == 1
        assert kept is not None
        assert not [
            name for name in session.client("dynamodb").list_tables()["TableNames"] if "-end-" in name
        ]
        assert not [url for url in session.client("sqs").list_queues().get("QueueUrls", []) if "-end-" in url]
        assert not session.client("logs").describe_log_groups(
            logGroupNamePrefix="/aws/lambda/mailgrant-end-"
        )["logGroups"]
        assert bucket not in [one["Name"] for one in session.client("s3").list_buckets()["Buckets"]]
        assert session.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
        assert "DeletedDate" in secrets.describe_secret(SecretId="mailgrant-end/connector/con_1")
        assert "DeletedDate" not in secrets.describe_secret(SecretId="mailgrant-ender/connector/con_1")
        account.done("destroy", "--stage", "end", "--with-data", stdin="end\n")  # again: nothing is left

    def test_knows_every_name_that_the_data_stack_gives(self) -> None:
        data = YAMLTemplateSerializer().load_template((PROJECT / ".chalice" / "data-stack.yaml").read_text())

        given: dict[str, list[str]] = {}
        for resource in data["Resources"].values():
            names = [value for name, value in resource["Properties"].items() if name in NAMES]
            given.setdefault(resource["Type"], []).extend(name["Fn::Sub"] for name in names)

        assert sorted(given["AWS::DynamoDB::Table"]) == sorted(
            f"mailgrant-${{Stage}}-{one}" for one in removal.TABLES
        )
        assert sorted(given["AWS::SQS::Queue"]) == sorted(
            f"mailgrant-${{Stage}}-{one}" for one in removal.QUEUES
        )
        assert sorted(given["AWS::KMS::Alias"]) == sorted(
            f"alias/mailgrant-${{Stage}}-{one}" for one in removal.KEYS
        )
        assert set(given) == {
            "AWS::DynamoDB::Table",
            "AWS::SQS::Queue",
            "AWS::KMS::Alias",
            "AWS::KMS::Key",
            "AWS::S3::Bucket",
            "AWS::Logs::LogGroup",
        }
        assert sorted(given["AWS::Logs::LogGroup"]) == sorted(
            f"/aws/lambda/mailgrant-${{Stage}}-{one}" for one in removal.LOGS
        )


NAMES = ("TableName", "QueueName", "AliasName", "BucketName", "LogGroupName")


def test_every_check_that_checkov_skips_has_a_reason() -> None:
    text = (PROJECT / "tests" / "packaging" / "checkov.yaml").read_text()

    lines = [line for line in text.splitlines() if line.startswith("  - ")]

    assert all(len(line.partition(" # ")[2]) > 20 for line in lines)
    assert len(lines) == len(set(yaml.safe_load(text)["skip-check"]))
