"""A second emulator of AWS, of other makers: moto, in this process.

Where two emulators agree, a mistake of one of them is less likely to hide one of ours. moto is not safe for
threads that race and keeps no TTL of a stack; neither is used here.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from chalice.package import YAMLTemplateSerializer
from moto import mock_aws

from chalicelib.aws.clients import Clients
from chalicelib.settings import Settings
from cli.stacks import DATA_STACK
from tests.unit.aws_tables import settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION: Final = "eu-west-1"
STAGE: Final = "second"


def template() -> dict[str, Any]:
    """The data stack, with the policies of keys as text: moto cannot read back those that are objects."""
    found: dict[str, Any] = YAMLTemplateSerializer().load_template(DATA_STACK.read_text())
    for resource in found["Resources"].values():
        if resource["Type"] == "AWS::KMS::Key":
            policy = copy.deepcopy(resource["Properties"]["KeyPolicy"])
            for statement in policy["Statement"]:
                statement["Principal"]["AWS"] = statement["Principal"]["AWS"]["Fn::Sub"]
            resource["Properties"]["KeyPolicy"] = {"Fn::Sub": json.dumps(policy)}
    return found


@dataclass(frozen=True)
class SecondAws:
    """The data stack at the second emulator, and the settings that fit it."""

    session: boto3.Session
    clients: Clients
    settings: Settings


def started() -> Iterator[SecondAws]:
    """The second emulator with the data stack, until it is gone on with.

    Other tests of this process may have named the first one's endpoint, which would be asked in its place.
    """
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
        session = boto3.Session("test", "test", region_name=REGION)
        formation = session.client("cloudformation")
        formation.create_stack(
            StackName=f"mailgrant-{STAGE}-data",
            TemplateBody=json.dumps(template()),
            Parameters=[{"ParameterKey": "Stage", "ParameterValue": STAGE}],
        )
        (stack,) = formation.describe_stacks(StackName=f"mailgrant-{STAGE}-data")["Stacks"]
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        settings = settings_of(STAGE, outputs)
        clients = Clients(settings)
        clients.__dict__["_session"] = session
        yield SecondAws(session, clients, settings)
