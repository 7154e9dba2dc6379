"""A second emulator of AWS, of other makers: moto, in this process.

Where two emulators agree, a mistake of one of them is less likely to hide one of ours. moto is not safe for threads
that race, keeps no TTL of a stack, and reads no policy of a key that CloudFormation made; none of that is used here.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import boto3
import yaml
from chalice.package import YAMLTemplateSerializer
from moto import mock_aws

from chalicelib.aws.clients import Clients
from chalicelib.settings import Settings
from cli.stacks import DATA_STACK

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION: Final = "eu-west-1"
STAGE: Final = "second"
LEFT_OUT: Final = {"AWS::KMS::Key": ("KeyPolicy",)}
"""What moto does not take from a template: it stores the policy of a key as what it cannot read afterwards."""


def template() -> dict[str, Any]:
    """The data stack, without what moto does not take."""
    found: dict[str, Any] = YAMLTemplateSerializer().load_template(DATA_STACK.read_text())
    found = copy.deepcopy(found)
    for resource in found["Resources"].values():
        for name in LEFT_OUT.get(resource["Type"], ()):
            del resource["Properties"][name]
    return found


@dataclass(frozen=True)
class SecondAws:
    """The data stack at the second emulator, and the settings that fit it."""

    session: boto3.Session
    clients: Clients
    settings: Settings


def started() -> Iterator[SecondAws]:
    """The second emulator with the data stack, until it is gone on with."""
    with mock_aws():
        session = boto3.Session("test", "test", region_name=REGION)
        formation = session.client("cloudformation")
        formation.create_stack(
            StackName=f"mailgrant-{STAGE}-data",
            TemplateBody=yaml.safe_dump(json.loads(json.dumps(template()))),
            Parameters=[{"ParameterKey": "Stage", "ParameterValue": STAGE}],
        )
        (stack,) = formation.describe_stacks(StackName=f"mailgrant-{STAGE}-data")["Stacks"]
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        settings = Settings(
            stage=STAGE,
            region=REGION,
            bucket=outputs["BucketName"],
            relay_queue_url=outputs["RelayQueueUrl"],
            refresh_queue_url=outputs["RefreshQueueUrl"],
            rescue_queue_url=outputs["RescueQueueUrl"],
            grants_key_arn=outputs["GrantsKeyArn"],
            access_tokens_key_arn=outputs["AccessTokensKeyArn"],
        )
        clients = Clients(settings)
        clients.__dict__["_session"] = session
        yield SecondAws(session, clients, settings)
