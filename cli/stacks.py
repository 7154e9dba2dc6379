"""Deploys the two stacks: the data, then the application from a package.

Every function takes the boto3 session to use, so that a real account and the sandbox's are deployed alike.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, cast

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import boto3
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudformation.literals import CapabilityType
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.literals import BucketLocationConstraintType

    from cli.package import Package

DATA_TEMPLATE: Final = Path(__file__).resolve().parent.parent / ".chalice" / "data-stack.yaml"
STACK_SECONDS: Final = 1800.0
_POLL_SECONDS: Final = 0.25
_SLOW_POLL_SECONDS: Final = 5.0  # after the first seconds, which are all that the sandbox needs
_CAPABILITIES: Final[tuple[CapabilityType, ...]] = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")


class StackError(Exception):
    """A stack could not be deployed or deleted; the message has CloudFormation's reasons."""


class _Template(TypedDict, total=False):
    """A template as CloudFormation takes it, in one of the two ways."""

    TemplateBody: str
    TemplateURL: str


@dataclass(frozen=True)
class Artifact:
    """Where an uploaded package lies: its bucket, the key of its zip, and the URL of its template."""

    bucket: str
    key: str
    template_url: str


def data_stack_name(stage: str) -> str:
    """Return the name of the data stack of `stage`."""
    return f"mailgrant-{stage}-data"


def app_stack_name(stage: str) -> str:
    """Return the name of the application stack of `stage`."""
    return f"mailgrant-{stage}"


def deploy(
    session: boto3.Session,
    package: Package,
    stage: str,
    parameters: Mapping[str, str],
    progress: Callable[[str], None],
) -> dict[str, str]:
    """Deploy both stacks of `stage` and return the application stack's outputs.

    `parameters` are those of .chalice/app-stack.yaml but for Stage and the artifact's; `progress` is called
    with a line for each step. Raises StackError.
    """
    deploy_data_stack(session, stage, progress)
    artifact = upload(session, package)
    progress(f"package {package.sha256[:12]} is in s3://{artifact.bucket}")
    return deploy_app_stack(session, artifact, stage, parameters, progress)


def deploy_data_stack(session: boto3.Session, stage: str, progress: Callable[[str], None]) -> dict[str, str]:
    """Create or update the tables, keys, bucket and queues of `stage`; return the stack's outputs."""
    client = session.client("cloudformation")
    template: _Template = {"TemplateBody": DATA_TEMPLATE.read_text()}
    return _put_stack(client, data_stack_name(stage), template, {"Stage": stage}, progress)


def upload(session: boto3.Session, package: Package) -> Artifact:
    """Put `package` into the artifact bucket of the session's account and region, made if there is none.

    Keys contain the package's hash, so that an older stack can still be rolled back to its own.
    """
    s3 = session.client("s3")
    account = session.client("sts").get_caller_identity()["Account"]
    region = s3.meta.region_name
    bucket = f"mailgrant-artifacts-{account}-{region}"
    _make_bucket(s3, bucket, region)
    artifact_key, template_key = f"{package.sha256}.zip", f"{package.sha256}.json"
    s3.upload_file(str(package.artifact), bucket, artifact_key)
    s3.upload_file(str(package.template), bucket, template_key)
    return Artifact(bucket, artifact_key, f"{s3.meta.endpoint_url}/{bucket}/{template_key}")


def deploy_app_stack(
    session: boto3.Session,
    artifact: Artifact,
    stage: str,
    parameters: Mapping[str, str],
    progress: Callable[[str], None],
) -> dict[str, str]:
    """Create or update the functions, API, schedules and roles of `stage`; return the stack's outputs."""
    fixed = {"Stage": stage, "ArtifactBucket": artifact.bucket, "ArtifactKey": artifact.key}
    client = session.client("cloudformation")
    # By URL: a template in the request may have 51,200 bytes only.
    template: _Template = {"TemplateURL": artifact.template_url}
    return _put_stack(client, app_stack_name(stage), template, {**parameters, **fixed}, progress)


def delete_app_stack(session: boto3.Session, stage: str, progress: Callable[[str], None]) -> None:
    """Delete the application stack of `stage`. Its data stack, and so every mailbox and message, stays."""
    client = session.client("cloudformation")
    name = app_stack_name(stage)
    client.delete_stack(StackName=name)
    _wait(client, name, "DELETE_COMPLETE", progress)


def _make_bucket(s3: S3Client, bucket: str, region: str) -> None:
    try:
        if region == "us-east-1":  # where S3 refuses to hear the region's name
            s3.create_bucket(Bucket=bucket)
        else:
            location = cast("BucketLocationConstraintType", region)
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": location})
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
    )


def _put_stack(
    client: CloudFormationClient,
    name: str,
    template: _Template,
    parameters: Mapping[str, str],
    progress: Callable[[str], None],
) -> dict[str, str]:
    """Create the stack, or update it if it is there; return its outputs."""
    if _status(client, name) == "ROLLBACK_COMPLETE":  # its creation failed: it can only be deleted
        client.delete_stack(StackName=name)
        _wait(client, name, "DELETE_COMPLETE", progress)
    exists = _status(client, name) not in (None, "DELETE_COMPLETE")
    values: list[ParameterTypeDef] = [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()]
    put = _update if exists else _create
    try:
        put(client, name, template, values)
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise StackError(f"{name}: {error}") from error
        progress(f"{name}: nothing to change")
    else:
        _wait(client, name, "UPDATE_COMPLETE" if exists else "CREATE_COMPLETE", progress)
    outputs = client.describe_stacks(StackName=name)["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def _create(
    client: CloudFormationClient, name: str, template: _Template, values: list[ParameterTypeDef]
) -> None:
    client.create_stack(StackName=name, Parameters=values, Capabilities=_CAPABILITIES, **template)


def _update(
    client: CloudFormationClient, name: str, template: _Template, values: list[ParameterTypeDef]
) -> None:
    client.update_stack(StackName=name, Parameters=values, Capabilities=_CAPABILITIES, **template)


def _wait(client: CloudFormationClient, name: str, done: str, progress: Callable[[str], None]) -> None:
    """Wait until the stack's status is `done`; raise StackError when it ends otherwise."""
    seen: str | None = None
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < STACK_SECONDS:
        status = _status(client, name) or "DELETE_COMPLETE"
        if status != seen:
            progress(f"{name}: {status.lower().replace('_', ' ')}")
            seen = status
        if status == done:
            return
        if not status.endswith("_IN_PROGRESS"):
            break
        time.sleep(_POLL_SECONDS if elapsed < _SLOW_POLL_SECONDS else _SLOW_POLL_SECONDS)
    raise StackError(f"{name} is {seen}, not {done}:\n{_reasons(client, name)}")


def _status(client: CloudFormationClient, name: str) -> str | None:
    try:
        return client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def _reasons(client: CloudFormationClient, name: str) -> str:
    events = client.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if event.get("ResourceStatus", "").endswith("_FAILED")]
    return "\n".join(
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed
    )
