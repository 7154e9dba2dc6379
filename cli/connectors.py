"""Commands for connectors."""

from __future__ import annotations

from typing import Any

import click

from cli.api import Api, part
from cli.commands import YES, Commands, agree, asking
from cli.completion import connector_argument
from cli.credentials import with_credential
from cli.doctor import doctor_of
from cli.facts import with_facts
from cli.output import Out
from cli.providers import CLOUDS, LABELS

FIELDS = [
    ("id", "id"),
    ("name", "name"),
    ("provider", "provider"),
    ("client_id", "client id"),
    ("tenant", "tenant"),
    ("cloud", "cloud"),
    ("credential", "credential"),
    ("certificate", "certificate"),
    ("service_account", "service account"),
    ("scopes", "scopes"),
    ("facts", "own facts"),
    ("created_at", "created"),
    ("secret_saved_at", "secret saved"),
    ("redirect_uri", "redirect URI"),
]
COLUMNS = [("name", "NAME"), ("provider", "PROVIDER"), ("state", "STATE")]
NONE_YET = (
    "No connector yet. `mailgrant init` leads from the registration of an app to the first message; "
    "`mailgrant connectors add --help` shows the single step."
)
MODES = {"none": " --password", "service_account": " --auth-mode service_account"}
"""Credential with which nobody signs in at the provider → the option by which accounts are made."""
ACCOUNT_COLUMNS = [("name", "NAME"), ("address", "ADDRESS"), ("status", "STATUS")]


@click.group(cls=Commands)
def connectors() -> None:
    r"""The OAuth clients that are registered at the mailboxes' providers.

    \b
    Examples:
      mailgrant connectors list
      mailgrant connectors add --provider google --name Ours --client-id ID
    """


@connectors.command("add")
@click.option("--provider", type=click.Choice(list(LABELS)), required=True, help="See `mailgrant providers`.")
@click.option("--name", required=True, help="What you call it.")
@click.option(
    "--client-id",
    default="",
    help="Microsoft's Application (client) ID, or Google's Client ID. A service account's key has its own.",
)
@click.option("--tenant", default="", help="Microsoft only: a directory id or domain; else common.")
@click.option("--cloud", type=click.Choice(CLOUDS), help="Microsoft only; global unless it is named.")
@click.option(
    "--scope", "scopes", multiple=True, help="What owners are asked for, else the usual; may be repeated."
)
@click.option(
    "--discover",
    "discovery",
    default="",
    help="Of the provider `other`: its issuer, or the URL of its discovery document.",
)
@with_credential
@with_facts
@asking
def add(api: Api, out: Out, credential: dict[str, Any], **body: Any) -> None:
    r"""Register an OAuth client. Its redirect URI is printed for copying, and its secret is tried.

    \b
    Examples:
      mailgrant connectors add --provider microsoft --name Ours --client-id ID
      mailgrant connectors add --provider google --name Robot \
        --service-account-key key.json
      mailgrant connectors add --provider other --name Host --no-secret \
        --smtp smtp.example.com:587
    """
    given = {name: value for name, value in body.items() if value}
    connector = api.post("connectors", {**given, **credential})
    out.record(connector, _fields(connector))
    if _comes_back(connector):
        out.say("\nRegister the redirect URI at the provider, character by character.")
    out.say(checked(connector))
    out.problem(connector["check"].get("diagnosis"))
    mode = "" if _comes_back(connector) else MODES[connector["credential"]]
    make = f"mailgrant accounts add --connector {connector['id']}{mode} ADDRESS"
    out.say(f"\nThen, for each mailbox:\n  {make}")


@connectors.command("list")
@asking
def list_connectors(api: Api, out: Out) -> None:
    r"""List the connectors.

    \b
    Example:
      mailgrant connectors list
    """
    answer = api.get("connectors")
    rows = [{**one, "state": "refused" if one["problem"] else "ok"} for one in answer["connectors"]]
    out.table(answer, rows, COLUMNS, below="id", none=NONE_YET)


@connectors.command("show")
@connector_argument
@asking
def show(api: Api, out: Out, connector: str) -> None:
    r"""Show one connector with its redirect URI and its accounts.

    \b
    Example:
      mailgrant connectors show con_q3vd0r8m2xkz5t7w1ybn
    """
    found = _with_accounts(api, connector)
    out.record(found, _fields(found))
    out.say("")
    _show_accounts(out, found, "Accounts:")
    if not found["accounts"]:
        out.say(f"No account yet: `mailgrant accounts add --connector {found['id']} ADDRESS` makes one.")


@connectors.command("update")
@connector_argument
@click.option("--name", help="What you call it.")
@click.option("--client-id", help="Another client; refused while accounts are connected with the old one.")
@click.option("--tenant", help='Microsoft only: a directory id or domain; "" for common.')
@click.option(
    "--secret-expires",
    "secret_expires_at",
    metavar="DAY",
    help='When its secret ends: 2027-01-31; "" where unknown.',
)
@asking
def update(api: Api, out: Out, connector: str, **changes: str | None) -> None:
    r"""Change a connector. What is left out stays as it is; for the secret see `connectors secret`.

    Before another client is taken, the accounts that it concerns are listed.

    \b
    Example:
      mailgrant connectors update con_q3vd0r8m2xkz5t7w1ybn --name "Our tenant"
    """
    body = {name: value for name, value in changes.items() if value is not None}
    if not body:
        raise click.UsageError("Name what changes: --name, --client-id, --tenant or --secret-expires.")
    if body.keys() & {"client_id", "tenant"}:
        _tell_whom_it_concerns(api, out, connector)
    out.record(api.patch(f"connectors/{part(connector)}", body), FIELDS)


@connectors.command("secret")
@connector_argument
@with_credential
@click.option("--unchecked", is_flag=True, help="Save it without asking the provider whether it takes it.")
@click.option("--expires", metavar="DAY", default="", help="When the provider ends it: 2027-01-31.")
@asking
def replace_secret(
    api: Api, out: Out, connector: str, *, credential: dict[str, Any], unchecked: bool, expires: str
) -> None:
    r"""Replace a connector's client secret or certificate, after the provider has taken the new one.

    The accounts that live by it are listed before. One that the provider refuses changes nothing. The former
    one stays in Secrets Manager as AWSPREVIOUS.

    \b
    Example:
      mailgrant connectors secret con_q3vd0r8m2xkz5t7w1ybn --expires 2027-01-31
    """
    _tell_whom_it_concerns(api, out, connector)
    ends = {"secret_expires_at": expires} if expires else {}
    answer = api.put(f"connectors/{part(connector)}/secret", {**credential, "check": not unchecked, **ends})
    kept = " The former one is kept as AWSPREVIOUS." if answer.get("previous_kept") else ""
    out.answer(answer, f"The secret is replaced.{kept} {checked(answer)}")


@connectors.command("doctor")
@connector_argument
@asking
def doctor(api: Api, out: Out, connector: str) -> int:
    r"""Look for what is wrong with a connector: exit code 1 if something is.

    \b
    Example:
      mailgrant connectors doctor con_q3vd0r8m2xkz5t7w1ybn
    """
    return doctor_of(out, api.get(f"connectors/{part(connector)}/doctor"))


@connectors.command("delete")
@connector_argument
@YES
@asking
def delete(api: Api, out: Out, connector: str, *, yes: bool) -> None:
    r"""Delete a connector that no account belongs to. Accounts that do are listed.

    AWS keeps its secret for 30 days, in which it can be restored there.

    \b
    Example:
      mailgrant connectors delete con_q3vd0r8m2xkz5t7w1ybn
    """
    found = _with_accounts(api, connector)
    if found["accounts"]:
        _show_accounts(out, found, "These accounts belong to it:")
        out.say("")
    else:
        agree(out, f"Delete the connector {found['name']}?", yes=yes)
    # With accounts, the API says why it is not done.
    deleted = api.delete(f"connectors/{part(connector)}")
    until = deleted["secret_recoverable_until"][:10]
    out.answer(deleted, f"{found['name']} is deleted. AWS can restore its secret until {until}.")


def _comes_back(connector: dict[str, Any]) -> bool:
    """Whether people come back from the provider to the redirect URI; a public client has no secret."""
    return connector["credential"] not in MODES or bool(
        connector["credential"] == "none" and connector["client_id"]
    )


def _fields(connector: dict[str, Any]) -> list[tuple[str, str]]:
    return [one for one in FIELDS if one[0] != "redirect_uri" or _comes_back(connector)]


def checked(connector: dict[str, Any]) -> str:
    """In a sentence, whether the provider takes the secret that was just saved."""
    label = LABELS.get(connector["provider"], connector["provider"])
    if connector.get("credential") == "none":
        return "It has no secret that could be tried."
    return {
        True: f"{label} takes it.",
        False: f"{label} does not take this client with this secret yet.",
        None: f"{label} was not asked whether it takes it.",
    }[connector["check"]["ok"]]


def _with_accounts(api: Api, connector: str) -> dict[str, Any]:
    """The connector with all its accounts."""
    path = f"connectors/{part(connector)}"
    found = api.get(path)
    cursor = found.pop("cursor", None)
    while cursor is not None:
        page = api.get(path, cursor=cursor)
        found["accounts"] += page["accounts"]
        cursor = page["cursor"]
    return found


def _tell_whom_it_concerns(api: Api, out: Out, connector: str) -> None:
    """Lists the accounts for a person; a program has asked for them before, if it wants to know."""
    if not out.as_json:
        found = _with_accounts(api, connector)
        _show_accounts(out, found, "This concerns:")
        out.say("" if found["accounts"] else "No account is concerned.")


def _show_accounts(out: Out, found: dict[str, Any], heading: str) -> None:
    if found["accounts"] and not out.as_json:
        out.say(heading)
        out.table({}, found["accounts"], ACCOUNT_COLUMNS, below="id")
