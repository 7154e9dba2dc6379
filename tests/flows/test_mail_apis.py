"""Microsoft Graph and the Gmail API, end to end through the deployed functions."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from chalicelib.providers.catalogue import GOOGLE, MICROSOFT
from sandbox.cast import ROLES, TENANT
from tests.helpers import copies, in_state, letter

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

SMTP, MAIL_SEND = (MICROSOFT.protocol_scopes[name] for name in ("smtp", "graph"))


def new_address(domain: str = "example.com") -> str:
    """A new address."""
    return f"api-{secrets.token_hex(4)}@{domain}"


def verified(cast: Cast, account: dict[str, Any], protocol: str) -> dict[str, Any]:
    """What verifying an account by a protocol answers."""
    return cast.api.post(f"/v1/accounts/{account['id']}/verify?protocol={protocol}", {})


def end_tokens(sandbox: Sandbox, account: dict[str, Any]) -> None:
    """Puts the ends of the account's access tokens into the past, as if the time had gone by."""
    for resource in ("mail", "graph"):
        sandbox.emulator.session().client("dynamodb").update_item(
            TableName="mailgrant-sandbox-access-tokens",
            Key={"account": {"S": account["id"]}, "resource": {"S": resource}},
            UpdateExpression="SET expires_at = :past",
            ConditionExpression="attribute_exists(expires_at)",
            ExpressionAttributeValues={":past": {"N": "1"}},
        )


def test_one_consent_serves_mail_and_graph_which_are_refreshed_apart(sandbox: Sandbox, cast: Cast) -> None:
    connector = cast.connector("microsoft", asked={"scopes": [SMTP, MAIL_SEND]})
    account = cast.connected("microsoft", new_address(), connector=connector)
    first = verified(cast, account, "graph")
    end_tokens(sandbox, account)
    asked = len(sandbox.provider.token_requests())

    again = verified(cast, account, "graph")
    accepted = cast.api.post("/v1/messages", letter(account["id"]))
    (arrived,) = copies(sandbox, in_state(cast, accepted["id"], "sent")["message_id"])

    assert (first["ok"], again["ok"], arrived["user"]) == (True, True, account["address"])
    assert [step["said"] for step in again["steps"]][2:] == ["403: the token is taken", "Mail.Send"]
    refreshed = [one.scope.split() for one in sandbox.provider.token_requests()[asked:]]
    assert [{SMTP, MAIL_SEND} & set(scopes) for scopes in refreshed] == [{MAIL_SEND}, {SMTP}]


def test_a_google_mailbox_verifies_at_the_gmail_api_whatever_it_may_do_there(cast: Cast) -> None:
    sends = cast.connector("google", asked={"scopes": [GOOGLE.protocol_scopes["gmail"]]})
    accounts = [cast.connected("google", new_address(), connector=made) for made in (None, sends)]

    full, narrow = (verified(cast, account, "gmail") for account in accounts)

    assert (full["ok"], narrow["ok"]) == (True, True)
    assert full["steps"][-1]["said"] == f"the mailbox is {accounts[0]['address']}"
    assert narrow["steps"][-1]["said"] == "403 insufficientPermissions: the token is taken, and may not read"


def test_an_application_without_the_permission_to_send_is_told_and_one_with_it_is_not(cast: Cast) -> None:
    connectors = [cast.application(roles=roles) for roles in (ROLES, [*ROLES, "Mail.Send"])]
    accounts = [
        cast.account(
            made, cast.applications_mailbox(made, new_address(TENANT)), auth_mode="client_credentials"
        )
        for made in connectors
    ]

    without, allowed = (verified(cast, account, "graph") for account in accounts)

    assert (without["ok"], without["diagnosis"]["code"]) == (False, "graph_no_mail_send")
    assert allowed["ok"] is True


def test_a_token_for_the_graph_of_another_cloud_is_told(sandbox: Sandbox, cast: Cast) -> None:
    asked = {"scopes": [SMTP, MAIL_SEND], "facts": {"graph": f"{sandbox.provider_url}/cn"}}
    account = cast.connected("microsoft", new_address(), connector=cast.connector("microsoft", asked=asked))

    answer = verified(cast, account, "graph")

    assert (answer["ok"], answer["diagnosis"]["code"]) == (False, "graph_wrong_audience")
    assert answer["steps"][-1]["said"].endswith("Access token validation failure. Invalid audience.")
