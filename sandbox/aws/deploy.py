"""Deploys the application into the emulator, and makes up for what the emulator does wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from cli import stacks
from cli.cloudformation import StackError
from cli.package import ANY_METHOD
from sandbox.aws.emulator import REGION, ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cli.package import Package
    from sandbox.aws.emulator import EmulatorSession

FRONT_DOMAIN: Final = "127.0.0.1"
_SIGN: Final = "sts:GetWebIdentityToken"
_API_STAGE: Final = "api"
_TABLES_WITH_TTL: Final = ("authorizations", "messages", "rates")


def deploy(
    session: EmulatorSession,
    package: Package,
    stage: str,
    parameters: Mapping[str, str],
    progress: Callable[[str], None],
) -> dict[str, str]:
    """Deploy both stacks of `stage`, reachable through the front; return the application stack's outputs.

    `parameters` must have PublicUrl, the front's URL. May be repeated: it updates what is there.
    """
    app = stacks.deploy(session, package, stage, parameters, stacks.Telling(progress))
    repair(session, package, stage, app.outputs)
    return dict(app.outputs)


def repair(session: EmulatorSession, package: Package, stage: str, outputs: Mapping[str, str]) -> None:
    """Do what the emulator leaves undone when a stack of these outputs is deployed, by whomever."""
    _enable_ttl(session, stage)
    _repair_concurrency(session)
    _repair_api(session, outputs["RestAPIId"], package)
    _map_front(session, outputs["RestAPIId"])
    _repair_policies(session, stage)


def stop_schedules(session: EmulatorSession) -> None:
    """Stop every schedule, for who decides when a function runs; a deployment may start it again."""
    events = session.client("events")
    for rule in events.list_rules()["Rules"]:
        events.disable_rule(Name=rule["Name"])


def _enable_ttl(session: EmulatorSession, stage: str) -> None:
    """Enable the tables' TTL: the emulator does nothing with a template's TimeToLiveSpecification."""
    dynamodb = session.client("dynamodb")
    # What was deployed may be an earlier version, which had fewer tables.
    there = dynamodb.list_tables()["TableNames"]
    for table in {f"mailgrant-{stage}-{name}" for name in _TABLES_WITH_TTL}.intersection(there):
        described = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if described["TimeToLiveStatus"] == "DISABLED":
            dynamodb.update_time_to_live(
                TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
            )


def _repair_concurrency(session: EmulatorSession) -> None:
    """Set the triggers' maximum concurrency as numbers: as a parameter of a stack it arrives as text.

    The emulator would then fail each time it polls any queue.
    """
    client = session.client("lambda")
    for mapping in client.list_event_source_mappings()["EventSourceMappings"]:
        if maximum := mapping.get("ScalingConfig", {}).get("MaximumConcurrency"):
            client.update_event_source_mapping(
                UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": int(maximum)}
            )


def _repair_policies(session: EmulatorSession, stage: str) -> None:
    """Take STS's own conditions from the roles' policies: the emulator does not know what they compare.

    `sandbox.aws.identity` sees to them instead.
    """
    iam = session.client("iam")
    names = [
        role["RoleName"] for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]
    ]
    for role in (name for name in names if name.startswith(f"mailgrant-{stage}-")):
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            ours = [one for one in document["Statement"] if one["Action"] == _SIGN and "Condition" in one]
            for statement in ours:
                del statement["Condition"]
            if ours:
                iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))


def _repair_api(session: EmulatorSession, api_id: str, package: Package) -> None:
    """Give the API what is in its definition and not imported: gateway responses, binary media types, ANY.

    Without the latter, the bytes of a raw message are decoded as UTF-8 and so destroyed.
    """
    template = json.loads(package.template.read_text())
    definition = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
    gateway = session.client("apigateway")
    for response_type, response in definition["x-amazon-apigateway-gateway-responses"].items():
        gateway.put_gateway_response(restApiId=api_id, responseType=response_type, **response)
    _add_any_methods(gateway, api_id, definition["paths"])
    types = definition["x-amazon-apigateway-binary-media-types"]
    _patch_api(session, api_id, {"op": "replace", "path": "/binaryMediaTypes", "value": types})
    gateway.create_deployment(restApiId=api_id, stageName=_API_STAGE)


def _add_any_methods(gateway: Any, api_id: str, paths: dict[str, Any]) -> None:
    """Give each path that answers every method a method ANY, with the integration of the others."""
    pages = gateway.get_paginator("get_resources").paginate(restApiId=api_id)
    for resource in (one for page in pages for one in page["items"]):
        if ANY_METHOD in paths.get(resource["path"], {}):
            place = {"restApiId": api_id, "resourceId": resource["id"]}
            known = gateway.get_method(**place, httpMethod=next(iter(resource["resourceMethods"])))
            integration = known["methodIntegration"]
            gateway.put_method(**place, httpMethod="ANY", authorizationType=known["authorizationType"])
            gateway.put_integration(
                **place,
                httpMethod="ANY",
                type=integration["type"],
                integrationHttpMethod=integration["httpMethod"],
                uri=integration["uri"],
            )


def _patch_api(session: EmulatorSession, api_id: str, operation: dict[str, Any]) -> None:
    """Send one patch operation by hand: the emulator wants a list as its value, boto3 sends only text."""
    body = json.dumps({"patchOperations": [operation]})
    request = AWSRequest("PATCH", f"{session.endpoint}/restapis/{api_id}", data=body)
    credentials = Credentials(ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY)
    SigV4Auth(credentials, "apigateway", REGION).add_auth(request)
    answer = URLLib3Session().send(request.prepare())
    if answer.status_code != 200:  # noqa: PLR2004
        raise StackError(f"the emulator refused {operation['path']}: {answer.text}")


def _map_front(session: EmulatorSession, api_id: str) -> None:
    """Give the API the front's host as its custom domain, as a real deployment gets one of its own.

    So the path and the Host that a caller signed with SigV4 reach API Gateway unchanged.
    """
    gateway = session.client("apigateway")
    _ignore_existing(
        gateway.create_domain_name, domainName=FRONT_DOMAIN, endpointConfiguration={"types": ["REGIONAL"]}
    )
    for mapping in gateway.get_base_path_mappings(domainName=FRONT_DOMAIN).get("items", []):
        gateway.delete_base_path_mapping(domainName=FRONT_DOMAIN, basePath=mapping["basePath"])
    gateway.create_base_path_mapping(domainName=FRONT_DOMAIN, restApiId=api_id, stage=_API_STAGE)


def _ignore_existing(create: Callable[..., Any], **arguments: Any) -> None:
    try:
        create(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ConflictException", "BadRequestException"):
            raise
