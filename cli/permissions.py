"""What the credentials of a deployment must be allowed to do, and whether they are, as far as IAM tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from cli.trouble import Trouble

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_iam.client import IAMClient

    from cli.preflight import Identity

NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "arn:{partition}:cloudformation:{region}:{account}:stack/mailgrant-{stage}/*": (
        "cloudformation:CreateChangeSet",
        "cloudformation:DeleteChangeSet",
        "cloudformation:DeleteStack",
        "cloudformation:DescribeChangeSet",
        "cloudformation:DescribeStackEvents",
        "cloudformation:DescribeStacks",
        "cloudformation:ExecuteChangeSet",
        "cloudformation:GetTemplateSummary",
    ),
    "arn:{partition}:s3:::mailgrant-{stage}-{account}-{region}": (
        "s3:CreateBucket",
        "s3:PutBucketOwnershipControls",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
    ),
    "arn:{partition}:s3:::mailgrant-artifacts-{account}-{region}/package": ("s3:GetObject", "s3:PutObject"),
    "arn:{partition}:dynamodb:{region}:{account}:table/mailgrant-{stage}-callers": (
        "dynamodb:CreateTable",
        "dynamodb:DescribeTable",
        "dynamodb:PutItem",
        "dynamodb:Scan",
        "dynamodb:UpdateContinuousBackups",
        "dynamodb:UpdateTimeToLive",
    ),
    "arn:{partition}:sqs:{region}:{account}:mailgrant-{stage}-relay": (
        "sqs:CreateQueue",
        "sqs:GetQueueAttributes",
        "sqs:SetQueueAttributes",
    ),
    "*": ("kms:CreateKey", "lambda:GetAccountSettings"),
    "arn:{partition}:kms:{region}:{account}:alias/mailgrant-{stage}-grants": ("kms:CreateAlias",),
    "arn:{partition}:iam::{account}:role/mailgrant-{stage}-role": (
        "iam:CreateRole",
        "iam:DeleteRole",
        "iam:GetRole",
        "iam:PassRole",
        "iam:PutRolePolicy",
    ),
    "arn:{partition}:lambda:{region}:{account}:function:mailgrant-{stage}-api": (
        "lambda:AddPermission",
        "lambda:CreateFunction",
        "lambda:GetFunction",
        "lambda:PutFunctionRecursionConfig",
        "lambda:UpdateFunctionCode",
        "lambda:UpdateFunctionConfiguration",
    ),
    "arn:{partition}:apigateway:{region}::/restapis": ("apigateway:POST",),
    "arn:{partition}:events:{region}:{account}:rule/mailgrant-{stage}-rule": (
        "events:PutRule",
        "events:PutTargets",
    ),
    "arn:{partition}:cloudwatch:{region}:{account}:alarm:mailgrant-{stage}-unknown": (
        "cloudwatch:PutMetricAlarm",
    ),
    "arn:{partition}:logs:{region}:{account}:log-group:/aws/lambda/mailgrant-{stage}-api": (
        "logs:CreateLogGroup",
        "logs:PutRetentionPolicy",
    ),
    "arn:{partition}:sns:{region}:{account}:mailgrant-{stage}-alarms": ("sns:CreateTopic", "sns:Subscribe"),
    "arn:{partition}:ssm:{region}:{account}:parameter/mailgrant/{stage}/public-url": (
        "ssm:GetParameter",
        "ssm:PutParameter",
    ),
}
"""A resource as it will be named → what is done with it. Not every resource, but one of each kind."""


def check(session: boto3.Session, identity: Identity, stage: str) -> str | None:
    """Raise Trouble when the credentials lack a right; return what could not be found out, or None.

    IAM's simulator is asked, as an administrator would. It knows no session policies, and not every
    condition: what it cannot decide is told and not refused.
    """
    if identity.root:
        return None
    client = session.client("iam")
    try:
        principal = _principal(client, identity)
        denied, unsure = _denied(client, principal, identity, stage)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return f"whether these credentials may do all of it, since IAM does not tell them ({code})"
    if denied:
        raise Trouble(
            "aws_denied",
            f"{identity.arn} may not: {', '.join(denied)}.",
            "Allow it these actions (docs/operations.md#rights lists all that a deployment needs), or name a "
            "profile by --profile that may. Where the simulator of IAM is wrong, --unchecked goes on.",
        )
    return f"whether conditions of its policies allow {', '.join(unsure)}" if unsure else None


def _principal(client: IAMClient, identity: Identity) -> str:
    """The ARN that policies are attached to: for a session the role's, whose path its own lacks."""
    if identity.role:
        return client.get_role(RoleName=identity.role)["Role"]["Arn"]
    return identity.arn


def _denied(client: IAMClient, principal: str, identity: Identity, stage: str) -> tuple[list[str], list[str]]:
    """The actions that are denied, and those where that hangs on facts which the simulator was not told."""
    denied: list[str] = []
    unsure: list[str] = []
    for pattern, actions in NEEDED.items():
        resource = pattern.format(
            partition=identity.partition, region=identity.region, account=identity.account, stage=stage
        )
        results = client.simulate_principal_policy(
            PolicySourceArn=principal,
            ActionNames=list(actions),
            ResourceArns=[resource],
            ContextEntries=[
                {
                    "ContextKeyName": "aws:RequestedRegion",
                    "ContextKeyValues": [identity.region],
                    "ContextKeyType": "string",
                }
            ],
        )["EvaluationResults"]
        for result in results:
            if result["EvalDecision"] != "allowed":
                found = unsure if result.get("MissingContextValues") else denied
                found.append(result["EvalActionName"])
    return denied, unsure
