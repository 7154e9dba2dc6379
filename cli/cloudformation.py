"""One CloudFormation stack: what state it is in, and how what happens to it ends."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from botocore.exceptions import ClientError

from cli.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef

STACK_SECONDS: Final = 1800.0
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 8.0
_GROWTH: Final = 1.5
_CONSEQUENCES: Final = ("cancelled", "Rollback requested", "User Initiated")
"""Reasons of events that only follow from another one's failure."""


QUEUE_NAMES_FREE: Final = (
    "Wait for a minute: SQS gives the name of a deleted queue to nobody before. Then remove what was begun "
    "by ./mailgrant destroy --stage STAGE --with-data, which waits for the names itself, and deploy again."
)


class StackError(Trouble):
    """A stack could not be deployed or deleted; the message has CloudFormation's reasons."""

    def __init__(self, message: str, fix: str = "Mend what the reasons name, and deploy again.") -> None:
        if "QueueDeletedRecently" in message or "after deleting a queue" in message:
            fix = QUEUE_NAMES_FREE
        super().__init__("stack_failed", message, fix)


@dataclass(frozen=True)
class Event:
    """Something that happened to a resource of a stack, or to the stack itself."""

    id: str
    resource: str
    kind: str
    status: str
    reason: str

    @classmethod
    def of(cls, found: StackEventTypeDef) -> Self:
        """The event as CloudFormation describes it."""
        return cls(
            found["EventId"],
            found.get("LogicalResourceId", ""),
            found.get("ResourceType", ""),
            found.get("ResourceStatus", ""),
            found.get("ResourceStatusReason", ""),
        )

    @property
    def cause(self) -> bool:
        """Whether this is why something failed, and not a consequence of that."""
        failed = self.status.endswith("_FAILED") and self.kind != "AWS::CloudFormation::Stack"
        return failed and not any(word in self.reason for word in _CONSEQUENCES)


@dataclass(frozen=True)
class Stack:
    """A stack as it is now."""

    name: str
    id: str
    status: str
    reason: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]

    @classmethod
    def find(cls, client: CloudFormationClient, name: str) -> Self | None:
        """The stack with that name or id; None when there is none, or no longer."""
        try:
            found = client.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        if found["StackStatus"] == "DELETE_COMPLETE":
            return None
        return cls(
            found["StackName"],
            found["StackId"],
            found["StackStatus"],
            found.get("StackStatusReason", ""),
            {one["ParameterKey"]: one.get("ParameterValue", "") for one in found.get("Parameters", [])},
            {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])},
        )

    @property
    def empty(self) -> bool:
        """Whether only a change set was made for it, and never executed."""
        return self.status == "REVIEW_IN_PROGRESS"

    def require_quiet(self) -> None:
        """Raises Trouble while something is being done to the stack."""
        if self.status.endswith("_IN_PROGRESS") and not self.empty:
            raise Trouble(
                "stack_busy",
                f"{self.name} is {told(self.status)}: somebody else is deploying or deleting it.",
                "Wait until that has ended, and run the same command again; "
                f"aws cloudformation describe-stack-events --stack-name {self.name} shows how far it is.",
            )

    def require_updatable(self) -> None:
        """Raises Trouble unless the stack can be updated, saying what brings it back to a good state."""
        self.require_quiet()
        if self.status in ("UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED"):
            command = "continue-update-rollback" if "ROLLBACK" in self.status else "rollback-stack"
            raise Trouble(
                "stack_stuck",
                f"{self.name} is {told(self.status)}: {self.reason or 'an update and its undoing failed'}.",
                "Mend what its events name, then run: "
                f"aws cloudformation {command} --stack-name {self.name}. Deploy again when it has ended.",
            )


def pauses() -> Iterator[float]:
    """Seconds between two looks at what CloudFormation does: short at first, then longer and longer.

    It takes few requests a second from an account, and other deployments look as well.
    """
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


class Watch:
    """What happens to a stack from now on. A class because it remembers which events are old."""

    def __init__(self, client: CloudFormationClient, stack_id: str) -> None:
        self._client = client
        self._stack_id = stack_id
        self._seen: set[str] = set()
        self._causes: list[Event] = []
        self._new()

    def until(self, done: str, tell: Callable[[Event], None]) -> None:
        """Waits until the stack's status is `done`, and tells each event.

        Raises StackError with the reasons when it ends otherwise.
        """
        started, waits = time.monotonic(), pauses()
        while time.monotonic() - started < STACK_SECONDS:
            status = self._status()  # before the events, so that none is missed at the end
            for event in self._new():
                self._causes += [event] if event.cause else []
                tell(event)
            if status == done:
                return
            if not status.endswith("_IN_PROGRESS"):
                raise StackError(f"{self._name} is {told(status)}:\n{self._reasons()}")
            time.sleep(next(waits))
        raise StackError(f"{self._name} took too long.", "Wait until it has ended, and deploy again.")

    @property
    def _name(self) -> str:
        return self._stack_id.split("/")[1]

    def _status(self) -> str:
        try:
            return self._client.describe_stacks(StackName=self._stack_id)["Stacks"][0]["StackStatus"]
        except ClientError as error:
            if "does not exist" in str(error):
                return "DELETE_COMPLETE"
            raise

    def _new(self) -> list[Event]:
        """The events that were not seen yet, the oldest first."""
        found: list[Event] = []
        for page in self._client.get_paginator("describe_stack_events").paginate(StackName=self._stack_id):
            events = [Event.of(one) for one in page["StackEvents"]]
            fresh = [event for event in events if event.id not in self._seen]
            found += fresh
            if len(fresh) < len(events):
                break
        self._seen.update(event.id for event in found)
        return found[::-1]

    def _reasons(self) -> str:
        return "\n".join(f"{event.resource}: {event.reason}" for event in self._causes) or "no reason given"


def delete(client: CloudFormationClient, stack: Stack, tell: Callable[[Event], None]) -> None:
    """Deletes a stack and waits for its end. Raises StackError."""
    watch = Watch(client, stack.id)
    client.delete_stack(StackName=stack.id)
    watch.until("DELETE_COMPLETE", tell)


def told(status: str) -> str:
    """A status in words."""
    return status.lower().replace("_", " ")
