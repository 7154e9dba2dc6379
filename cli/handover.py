"""What a deployment hands over: addresses, ARNs, the first administrator key, what the account can bear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from chalicelib.aws.tables.callers import CallersTable
from chalicelib.aws.tables.connectors import ConnectorsTable
from chalicelib.callers.models import ALL_ACCOUNTS, Scope
from chalicelib.callers.registry import Callers
from chalicelib.clock import now
from cli.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    import boto3

    from chalicelib.accounts.models.connector import Connector
    from cli.cloudformation import Stack

_FEW: Final = 100
"""Executions at once below which a busy stage would wait for itself."""
_RELAYS: Final = "RelayMaximumConcurrency"
_ALWAYS_GIVEN: Final = ("Stage", "ArtifactBucket", "ArtifactKey")
"""Parameters that no settings are."""


def callback(url: str, connector: str) -> str:
    """The redirect URI of a connector, by its id, at a stage's public URL."""
    return f"{url}/oauth/callback/{connector}"


def connectors(session: boto3.Session, stage: str) -> list[Connector]:
    """The connectors of the stage. Raises MailgrantError."""
    return ConnectorsTable(session.client("dynamodb"), f"mailgrant-{stage}-connectors").all()


def public_url(session: boto3.Session, stage: str) -> str | None:
    """The URL under which the stage is reached now; None when there is none yet."""
    try:
        found = session.client("ssm").get_parameter(Name=f"/mailgrant/{stage}/public-url")
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return None
        raise
    return found["Parameter"]["Value"]


def is_own_url(app: Stack) -> bool:
    """Whether the stage is reached under the API's own URL, which no other API ever gets again."""
    return not (app.parameters.get("PublicUrl") or app.parameters.get("DomainName"))


def chosen(session: boto3.Session, app: Stack) -> dict[str, str]:
    """The settings of the stage that are not what its template gives by itself."""
    found = session.client("cloudformation").get_template_summary(StackName=app.name)["Parameters"]
    usual = {one["ParameterKey"]: one.get("DefaultValue") for one in found}
    chosen = {name: value for name, value in app.parameters.items() if usual.get(name) != value}
    return {name: value for name, value in chosen.items() if name not in _ALWAYS_GIVEN}


def given(session: boto3.Session, stage: str, app: Stack, *, new_key: bool) -> dict[str, Any]:
    """All that is handed over, under its names in JSON."""
    return {
        **_addresses(session, stage, app),
        "concurrency": concurrency(session, app.parameters),
        "administrator_key": _administrator_key(session, stage, another=new_key),
    }


def _addresses(session: boto3.Session, stage: str, app: Stack) -> dict[str, Any]:
    """Where the stage is reached, and where each connector's provider sends its users back to."""
    url = app.outputs["PublicUrl"]
    return {
        "url": url,
        "callback": callback(url, "con_…"),
        "callbacks": [
            {"connector": one.id, "name": one.name, "callback": callback(url, one.id)}
            for one in connectors(session, stage)
        ],
        "send": app.outputs["SendArn"],
        "alias": app.outputs.get("SendAliasArn"),
        "domain_target": app.outputs.get("DomainTarget"),
    }


def _administrator_key(session: boto3.Session, stage: str, *, another: bool) -> str | None:
    """The text of a new key that may do everything; None when an administrator is there, unless `another`."""
    callers = Callers(CallersTable(session.client("dynamodb"), f"mailgrant-{stage}-callers"))
    if not another and any(Scope.ADMIN in caller.scopes and caller.live(now()) for caller in callers.all()):
        return None
    _, key = callers.create_key("administrator", {Scope.ADMIN, Scope.READ, Scope.SEND}, {ALL_ACCOUNTS})
    return key.reveal()


def concurrency(session: boto3.Session, parameters: Mapping[str, str]) -> dict[str, Any]:
    """How many functions the account runs at once, how many of them relay, and what follows from that."""
    limit = session.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    relays = int(parameters.get(_RELAYS, "5"))
    meaning = (
        f"The account runs {limit} functions at once in this region, in all. Up to {relays} of them relay "
        "mail, one mailbox's each; the rest is for the API, tokens and whatever else runs there."
    )
    if relays * 2 > limit:
        meaning += (
            f" That is too few: relays wait for tokens. Deploy with --parameter {_RELAYS}={limit // 2}."
        )
    elif limit <= _FEW:
        meaning += (
            " For more at once, ask for a higher limit (Service Quotas, AWS Lambda, Concurrent executions), "
            f"then deploy with --parameter {_RELAYS}=N, at most half of it."
        )
    return {"limit": limit, "relays": relays, "meaning": meaning}


def require_bearable(session: boto3.Session, parameters: Mapping[str, str]) -> None:
    """Raise Trouble for a number of relays that the account's limit cannot bear."""
    if _RELAYS not in parameters:
        return
    found = concurrency(session, parameters)
    if found["relays"] * 2 > found["limit"]:
        raise Trouble("too_many_relays", found["meaning"], f"Use {found['limit'] // 2} or less.")
