"""Change sets: what a template would do to a stack, before it is done."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict

from botocore.exceptions import ClientError

from cli.cloudformation import StackError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudformation.literals import CapabilityType
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, ResourceChangeTypeDef

    from cli.cloudformation import Stack

_CAPABILITIES: Final[tuple[CapabilityType, ...]] = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 5.0
"""Seconds between two looks at a change set: each is twice as long as the one before."""
_NOTHING: Final = ("didn't contain changes", "No updates are to be performed")


class Template(TypedDict, total=False):
    """A template as CloudFormation takes it, in one of the two ways."""

    TemplateBody: str
    TemplateURL: str


@dataclass(frozen=True)
class Change:
    """What happens to one resource: `what` is add, change, replace, may replace, remove, let go or import."""

    what: str
    resource: str
    kind: str

    @classmethod
    def of(cls, found: ResourceChangeTypeDef) -> Change:
        """The change as CloudFormation describes it; what it does not know yet may be the worst."""
        action, replacement = found.get("Action", "Modify"), found.get("Replacement", "False")
        words = {"Add": "add", "Remove": "remove", "Import": "import", "Dynamic": "may replace"}
        what = words.get(action) or {"True": "replace", "Conditional": "may replace"}.get(
            replacement, "change"
        )
        if what == "remove" and found.get("PolicyAction") == "Retain":
            what = "let go"
        return cls(what, found.get("LogicalResourceId", ""), found.get("ResourceType", ""))

    @property
    def risky(self) -> bool:
        """Whether what the resource holds may be lost, or out of reach, after it."""
        return self.what not in ("add", "change", "import")


@dataclass(frozen=True)
class ChangeSet:
    """The changes of one stack that wait for being executed."""

    id: str
    stack: str
    stack_id: str
    creates: bool
    holds_data: bool
    changes: tuple[Change, ...]

    @property
    def risky(self) -> tuple[Change, ...]:
        """The changes by which data may be lost; none in a stack that holds no data."""
        return tuple(change for change in self.changes if change.risky) if self.holds_data else ()


def propose(
    client: CloudFormationClient,
    name: str,
    before: Stack | None,
    template: Template,
    parameters: list[ParameterTypeDef],
    *,
    holds_data: bool,
) -> ChangeSet | None:
    """Make a change set of the stack, which is new if `before` is None; None when nothing would change.

    Raises StackError with CloudFormation's reason when it cannot be made.
    """
    creates = before is None or before.empty
    try:
        made = client.create_change_set(
            StackName=name,
            ChangeSetName=f"mailgrant-{time.time_ns()}",
            ChangeSetType="CREATE" if creates else "UPDATE",
            Parameters=parameters,
            Capabilities=_CAPABILITIES,
            **template,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ValidationError", "InsufficientCapabilitiesException"):
            raise StackError(f"{name}: {error.response['Error']['Message']}") from error
        raise
    found = ChangeSet(made["Id"], name, made["StackId"], creates, holds_data, ())
    pause = _FIRST_PAUSE
    while (described := client.describe_change_set(ChangeSetName=found.id))["Status"].endswith(
        ("_PENDING", "_IN_PROGRESS")
    ):
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    if described["Status"] == "FAILED":
        withdraw(client, found)
        reason = described.get("StatusReason", "")
        if any(text in reason for text in _NOTHING):
            return None
        raise StackError(f"{name}: {reason}")
    return ChangeSet(found.id, name, found.stack_id, creates, holds_data, _changes(client, found.id))


def withdraw(client: CloudFormationClient, changes: ChangeSet) -> None:
    """Delete a change set that is not wanted, and the empty stack that was made for it."""
    client.delete_change_set(ChangeSetName=changes.id)
    if changes.creates:
        client.delete_stack(StackName=changes.stack_id)


def _changes(client: CloudFormationClient, change_set: str) -> tuple[Change, ...]:
    pages = client.get_paginator("describe_change_set").paginate(ChangeSetName=change_set)
    found = [one["ResourceChange"] for page in pages for one in page["Changes"] if "ResourceChange" in one]
    return tuple(sorted(map(Change.of, found), key=lambda change: (not change.risky, change.resource)))
