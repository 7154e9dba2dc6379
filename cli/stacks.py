"""Deploys the two stacks: the data, then the application from a package.

Every function takes the boto3 session to use, so that a real account and the sandbox's are deployed alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from botocore.exceptions import ClientError

from cli import changes
from cli.architectures import USUAL, X86_64
from cli.changes import Template
from cli.cloudformation import Stack, Watch, delete, told
from cli.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import boto3
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.literals import BucketLocationConstraintType

    from cli.changes import ChangeSet
    from cli.cloudformation import Event
    from cli.package import Package

DATA_STACK: Final = Path(__file__).resolve().parent.parent / ".chalice" / "data-stack.yaml"
_STUCK: Final = ("ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")


@dataclass(frozen=True)
class Telling:
    """Whom a deployment tells what it does, and who agrees to it.

    `say` gets a line for each step, `event` what happens to each resource; `agree` may refuse a change set.
    Nobody who does not look may agree to a change by which data could be lost.
    """

    say: Callable[[str], None]
    event: Callable[[Event], None] = lambda _: None
    agree: Callable[[ChangeSet], bool] = lambda found: not found.risky


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
    session: boto3.Session, package: Package, stage: str, parameters: Mapping[str, str], telling: Telling
) -> Stack:
    """Deploy both stacks of `stage` and return the application's.

    `parameters` are those of .chalice/app-stack.yaml but for Stage and the artifact's; one that is left out
    stays as it is. Raises Trouble, before anything is changed when a stack cannot be updated.
    """
    client = session.client("cloudformation")
    data, app = require_deployable(client, stage)
    body: Template = {"TemplateBody": package.data_template.read_text()}
    _put(client, data_stack_name(stage), data, body, [_value("Stage", stage)], telling)
    known = json.loads(package.template.read_text())["Parameters"]
    processor = {"Architecture": _architecture(parameters, app)} if "Architecture" in known else {}
    package = package.of(processor.get("Architecture", X86_64))
    artifact = upload(session, package)
    telling.say(f"package {package.sha256[:12]} for {package.architecture} is in s3://{artifact.bucket}")
    if app and app.status == "ROLLBACK_COMPLETE":
        telling.say(f"{app.name}: its creation had failed; it is deleted first")
        delete(client, app, telling.event)
        app = None
    given = {
        **parameters,
        "Stage": stage,
        "ArtifactBucket": artifact.bucket,
        "ArtifactKey": artifact.key,
        **processor,
    }
    # By URL: a template in the request may have 51,200 bytes only.
    by_url: Template = {"TemplateURL": artifact.template_url}
    values = _values(given, app, known)
    return _put(client, app_stack_name(stage), app, by_url, values, telling)


def _architecture(parameters: Mapping[str, str], app: Stack | None) -> str:
    """What is asked for, or what the stage has; one from before there was a choice has x86-64."""
    if asked := parameters.get("Architecture"):
        return asked
    return USUAL if app is None or app.empty else app.parameters.get("Architecture", X86_64)


def deploy_data_stack(session: boto3.Session, stage: str, progress: Callable[[str], None]) -> dict[str, str]:
    """Create or update the tables, keys, bucket and queues of `stage` alone; return the stack's outputs."""
    client, name = session.client("cloudformation"), data_stack_name(stage)
    body: Template = {"TemplateBody": DATA_STACK.read_text()}
    before = Stack.find(client, name)
    return dict(_put(client, name, before, body, [_value("Stage", stage)], Telling(progress)).outputs)


def require_deployable(client: CloudFormationClient, stage: str) -> tuple[Stack | None, Stack | None]:
    """The data stack and the application stack as they are now. Raises Trouble if one cannot be updated."""
    data, app = Stack.find(client, data_stack_name(stage)), Stack.find(client, app_stack_name(stage))
    for stack in (data, app):
        if stack:
            stack.require_updatable()
    if data and data.status in ("ROLLBACK_COMPLETE", *_STUCK):
        raise Trouble(
            "stack_stuck",
            f"{data.name} is {told(data.status)}: it was never created whole. What it had made is kept.",
            f"./mailgrant destroy --stage {stage} --with-data removes that; then deploy again.",
        )
    if app and app.status in _STUCK:
        raise Trouble(
            "stack_stuck",
            f"{app.name} is {told(app.status)}: {app.reason or 'CloudFormation gave up'}. It holds no data.",
            f"./mailgrant destroy --stage {stage} deletes it and keeps the data; then deploy again.",
        )
    return data, app


def upload(session: boto3.Session, package: Package) -> Artifact:
    """Put `package` into the artifact bucket of the session's account and region, made if there is none.

    Keys contain the package's hash, so that an older stack can still be rolled back to its own. A bucket of
    that name in somebody else's account is refused.
    """
    s3 = session.client("s3")
    account = session.client("sts").get_caller_identity()["Account"]
    bucket = artifact_bucket(account, s3.meta.region_name)
    _make_bucket(s3, bucket, s3.meta.region_name)
    artifact_key, template_key = f"{package.sha256}.zip", f"{package.sha256}.json"
    owner = {"ExpectedBucketOwner": account}
    s3.upload_file(str(package.artifact), bucket, artifact_key, ExtraArgs=owner)
    s3.upload_file(str(package.template), bucket, template_key, ExtraArgs=owner)
    return Artifact(bucket, artifact_key, f"{s3.meta.endpoint_url}/{bucket}/{template_key}")


def artifact_bucket(account: str, region: str) -> str:
    """The name of the bucket that keeps the packages of every stage of an account and region."""
    return f"mailgrant-artifacts-{account}-{region}"


def delete_app_stack(session: boto3.Session, stage: str, telling: Telling) -> None:
    """Delete the application stack of `stage`. Its data stack, and so every mailbox and message, stays."""
    client = session.client("cloudformation")
    if stack := Stack.find(client, app_stack_name(stage)):
        stack.require_quiet()
        telling.say(f"{stack.name}: deleting")
        delete(client, stack, telling.event)


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


def _put(
    client: CloudFormationClient,
    name: str,
    before: Stack | None,
    template: Template,
    values: list[ParameterTypeDef],
    telling: Telling,
) -> Stack:
    """Create or update the stack as far as that is agreed to, and return it as it is then."""
    holds_data = name.endswith("-data")
    found = changes.propose(client, name, before, template, values, holds_data=holds_data)
    if found is None:
        telling.say(f"{name}: nothing to change")
    else:
        _agree(client, found, telling)
        telling.say(f"{name}: {'creating' if found.creates else 'updating'}")
        watch = Watch(client, found.stack_id)
        client.execute_change_set(ChangeSetName=found.id)
        watch.until("CREATE_COMPLETE" if found.creates else "UPDATE_COMPLETE", telling.event)
    now = Stack.find(client, name)
    if now is None:
        raise Trouble("stack_busy", f"{name} was deleted meanwhile.", "Find out by whom, and deploy again.")
    return now


def _agree(client: CloudFormationClient, found: ChangeSet, telling: Telling) -> None:
    """Go on only with what is agreed to. Raises Trouble, after the change set was taken back."""
    agreed = False
    try:
        agreed = telling.agree(found)
    finally:
        if not agreed:
            changes.withdraw(client, found)
    if agreed:
        return
    if found.risky:
        names = ", ".join(f"{change.what} {change.resource}" for change in found.risky)
        raise Trouble(
            "data_at_risk",
            f"{found.stack} was left as it is, since data would be lost: {names}.",
            "Go back to templates that keep these; or deploy without --yes and type the stage's name.",
        )
    raise Trouble("not_agreed", f"{found.stack} was left as it is.", "Deploy again when it may be changed.")


def _values(
    given: Mapping[str, str], before: Stack | None, known: Mapping[str, object]
) -> list[ParameterTypeDef]:
    """The parameters of a change set: what is given, and the rest as it is in the stack that there is."""
    kept = set(before.parameters if before and not before.empty else ()) & set(known) - set(given)
    previous: list[ParameterTypeDef] = [
        {"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept)
    ]
    return [*(_value(name, value) for name, value in given.items()), *previous]


def _value(name: str, value: str) -> ParameterTypeDef:
    return {"ParameterKey": name, "ParameterValue": value}
