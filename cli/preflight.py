"""What is looked at before anything is created: credentials, region, rights, and what is there already."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Self

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from cli.trouble import NAME_A_REGION, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cli.cloudformation import Stack

_CONNECT_SECONDS: Final = 5
_SESSION: Final = re.compile(r"arn:[^:]+:sts::\d+:assumed-role/([^/]+)/.*")


@dataclass(frozen=True)
class Identity:
    """Who deploys, and where."""

    arn: str
    account: str
    region: str

    @classmethod
    def of(cls, session: boto3.Session) -> Self:
        """Whom AWS takes the session for. Raises what botocore raises for credentials that are not good."""
        try:
            found = session.client("sts").get_caller_identity()
        except EndpointConnectionError as error:
            _require_region(session, error)
            raise
        return cls(found["Arn"], found["Account"], session.region_name)

    @property
    def partition(self) -> str:
        """The part of AWS, such as aws or aws-cn."""
        return self.arn.split(":")[1]

    @property
    def root(self) -> bool:
        """Whether this is the account's root user, who may do everything and whom IAM cannot simulate."""
        return self.arn.endswith(":root")

    @property
    def role(self) -> str | None:
        """The name of the role whose session this is, if it is one."""
        found = _SESSION.fullmatch(self.arn)
        return found.group(1) if found else None


def open_session(profile: str | None, region: str | None) -> boto3.Session:
    """A session that gives up soon where AWS cannot be reached. Raises Trouble, and botocore's errors."""
    core = botocore.session.Session(profile=profile)
    core.set_default_client_config(
        Config(connect_timeout=_CONNECT_SECONDS, retries={"mode": "standard", "total_max_attempts": 4})
    )
    # boto3 knows only AWS_DEFAULT_REGION, AWS's own command line knows both.
    session = boto3.Session(botocore_session=core, region_name=region or os.environ.get("AWS_REGION"))
    _require_credentials(session)
    if not session.region_name:
        raise Trouble("aws_region_missing", "It is not known in which region to deploy.", NAME_A_REGION)
    return session


def _require_credentials(session: boto3.Session) -> None:
    credentials = session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    found = credentials.get_frozen_credentials()
    for what, text in (("access key id", found.access_key), ("secret key", found.secret_key)):
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise Trouble(
                "aws_credentials_invalid",
                f"The {what} is empty, or has characters in it that no such key has.",
                f"Copy it again, without blanks and line ends; it comes from {credentials.method}.",
            )


def _require_region(session: boto3.Session, unreachable: EndpointConnectionError) -> None:
    """Raise Trouble for a region that cannot be reached since it is none, as far as botocore knows."""
    known = [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("sts", partition)
    ]
    if session.region_name in known:
        return
    near = get_close_matches(session.region_name, known, 1)
    raise Trouble(
        "aws_region_missing",
        f"AWS has no region {session.region_name}, or it is newer than this program.",
        f"Did you mean {near[0]}? {NAME_A_REGION}" if near else NAME_A_REGION,
    ) from unreachable


def require_no_orphans(session: boto3.Session, stage: str, data: Stack | None) -> None:
    """Raise Trouble when the data is there but its stack is gone: its names are taken."""
    if data is not None and not data.empty:
        return
    table = f"mailgrant-{stage}-accounts"
    try:
        session.client("dynamodb").describe_table(TableName=table)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return
        raise
    raise Trouble(
        "data_without_stack",
        f"The table {table} is there, but the stack mailgrant-{stage}-data is not: somebody deleted the "
        "stack, and the data outlived it.",
        "Import the tables, keys, bucket and queues into a new stack of that name (CloudFormation, Import "
        "resources, with build/data-stack.yaml), or choose another stage. If the data is not wanted: "
        f"./mailgrant destroy --stage {stage} --with-data.",
    )


def require_parameters(known: Mapping[str, Mapping[str, Any]], given: Mapping[str, str]) -> None:
    """Raise Trouble for a parameter that the template does not have, or whose value it would not take."""
    for name, value in given.items():
        if name not in known:
            names = ", ".join(sorted(known))
            raise Trouble("bad_parameter", f"There is no parameter {name}.", f"Use one of {names}.")
        rule = known[name]
        allowed = [str(one) for one in rule.get("AllowedValues", [])]
        if rule.get("Type") == "Number":
            least, most = int(rule["MinValue"]), int(rule["MaxValue"])
            fits = value.isdecimal() and least <= int(value) <= most
            wanted = f"a number from {least} to {most}"
        elif allowed:
            fits, wanted = value in allowed, " or ".join(allowed)
        else:
            fits = bool(re.fullmatch(rule.get("AllowedPattern", r"[\s\S]*"), value))
            wanted = rule.get("ConstraintDescription", "")
        if not fits:
            raise Trouble("bad_parameter", f"{name} cannot be {value!r}.", f"Give it {wanted}.")
