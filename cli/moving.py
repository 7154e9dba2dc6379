"""``mailgrant accounts import``: the mailboxes of another system's export, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import click

from chalicelib.accounts.admin import checks
from chalicelib.accounts.models.account import AuthMode
from chalicelib.addresses import same
from chalicelib.errors import InvalidInput
from chalicelib.providers.catalogue import Catalogue
from cli import imports
from cli.accounts import NEEDS_OWNER
from cli.api import Api, ApiError, part
from cli.commands import asking, unseen
from cli.completion import connectors as complete_connectors
from cli.exits import DONE, FELL_SHORT
from cli.exported import Exported, UnreadableExport
from cli.local import connector_of
from cli.output import visible
from cli.routes import named
from cli.ways import MODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from io import TextIOWrapper

    from cli.output import Out

CONNECTED: Final = "connected"
FAILED: Final = "failed"
THERE: Final = "there already"
INVITED: Final = "waits for its owner"
NEW: Final = "would be made"
AGAIN: Final = "would be connected"
LINK: Final = "a connect link"
HOW: Final = {
    AuthMode.PASSWORD: "its password",
    AuthMode.CLIENT_CREDENTIALS: "the connector's application",
    AuthMode.SERVICE_ACCOUNT: "the connector's service account",
}
NO_CONNECTOR: Final = (
    "No connector is known for it. Add --connector, or a column connector with its id or name."
)
MORE: Final = "`mailgrant accounts doctor` says what has to be prepared elsewhere."
AFTER: Final = "The file holds secrets: delete it when all are connected."


@dataclass(frozen=True)
class Plan:
    """What is to become of one mailbox. `account` is the one that has its name already."""

    one: Exported
    connector: Mapping[str, Any]
    mode: AuthMode
    account: Mapping[str, Any] | None

    @property
    def how(self) -> str:
        """By what it is connected."""
        return "its refresh token" if self.one.refresh_token else HOW.get(self.mode, LINK)

    @property
    def is_done(self) -> bool:
        """Whether the account is connected, so that it is left alone."""
        return self.account is not None and self.account["status"] not in NEEDS_OWNER

    @property
    def objection(self) -> dict[str, str] | None:
        """Why an account that has this name is not the one that is meant."""
        found = self.account
        if found is None:
            return None
        if same(found["address"], self.one.address) and found["connector"] == self.connector["id"]:
            return None
        message = f"Another account has the name {found['name']}."
        return {
            "code": "name_taken",
            "message": message,
            "fix": "Rename it: see `mailgrant accounts rename`.",
        }

    @property
    def lacks_password(self) -> bool:
        """Whether it needs a password that the file does not have."""
        waits = not self.is_done and not self.objection
        return waits and self.mode is AuthMode.PASSWORD and not self.one.password


@click.command("import")
@click.option(
    "--connector",
    shell_complete=complete_connectors,
    help="The connector, by id or name, of mailboxes whose own cannot be told from the file.",
)
@click.option(
    "--auth-mode",
    type=click.Choice(MODES),
    help="How mailboxes prove themselves of which the file says nothing.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would become of each mailbox.")
@click.argument("file", type=click.File(encoding="utf-8"))
@asking
def import_accounts(
    api: Api, out: Out, *, connector: str | None, auth_mode: str | None, dry_run: bool, file: TextIOWrapper
) -> int:
    r"""Connect the mailboxes of an export: exit code 4 if one failed.

    It reads what email-oauth2-proxy, EmailEngine, Frappe and Group-Office keep, and CSV and JSON with the
    names of the API's fields. A refresh token, a password, or an application connects a mailbox at once; for
    any other a connect link is printed. A refresh token needs a connector with the client that it is of.

    Nothing is done while the file has a mistake. What is connected is left alone: it can be run again.

    \b
    Examples:
      mailgrant accounts import export.csv --dry-run
      mailgrant accounts import a.csv --connector con_q3vd0r8m2xkz5t7w1ybn
    """
    plans = _plans(_read(file), api, connector, auth_mode)
    if not dry_run:
        plans = [_with_password(plan) for plan in plans]
    rows = []
    for plan in plans:
        rows.append(_planned(plan) if dry_run else _moved(api, plan))
        _tell(out, rows[-1])
    failed = sum(row["result"] == FAILED for row in rows)
    holds = any(plan.one.refresh_token or plan.one.password for plan in plans)
    end = [f"{len(rows)} mailboxes, {failed} failed."]
    if not dry_run:
        end += ([MORE] if failed else []) + ([AFTER] if holds else [])
    out.answer({"accounts": rows, "failed": failed}, " ".join(end))
    return FELL_SHORT if failed else DONE


def _read(file: TextIOWrapper) -> list[Exported]:
    """The mailboxes. Raises UsageError."""
    try:
        return imports.read(file.read(), lambda address: unseen(f"Password of {address} at the proxy"))
    except UnicodeDecodeError as error:
        raise click.UsageError("The file is not text in UTF-8.") from error
    except UnreadableExport as error:
        raise click.UsageError(str(error)) from error


def _plans(found: Iterable[Exported], api: Api, connector: str | None, auth_mode: str | None) -> list[Plan]:
    """What is to be done with each. Raises UsageError that names all that cannot be done."""
    connectors = api.get("connectors")["connectors"]
    known = {one["name"].casefold(): one for one in api.pages("accounts", "accounts")}
    plans, bad = [], []
    for one in found:
        try:
            chosen = _connector(one, connectors, connector)
            mode = _mode(chosen, one.auth_mode or auth_mode)
            plans.append(Plan(one, chosen, mode, known.get(one.called.casefold())))
        except InvalidInput as error:
            bad.append(f"{one.place}: {error.message} {error.fix}")
        except UnreadableExport as error:
            bad.append(f"{one.place}: {error}")
    if bad:
        raise click.UsageError("\n".join(bad))
    return plans


def _connector(one: Exported, known: Iterable[Mapping[str, Any]], usual: str | None) -> Mapping[str, Any]:
    """The connector that the row names; else the only one with its client or server; else the usual one."""
    listed = list(known)
    meant = [each for each in listed if not one.connector and _is_meant(one, each)]
    named_one = one.connector or usual
    if len(meant) != 1 and not named_one:
        raise UnreadableExport(NO_CONNECTOR)
    found = meant if len(meant) == 1 else [each for each in listed if named_one in (each["id"], each["name"])]
    if len(found) != 1:
        raise UnreadableExport(f"{len(found)} connectors are called {named_one}: give the id of one.")
    if one.refresh_token and one.client_id not in ("", found[0]["client_id"]):
        raise UnreadableExport(f"Its token is of the client {one.client_id}, which no connector for it has.")
    return found[0]


def _is_meant(one: Exported, connector: Mapping[str, Any]) -> bool:
    if one.client_id:
        return bool(connector["client_id"] == one.client_id)
    return bool(one.server) and Catalogue().of(connector_of(connector)).smtp_host == one.server.lower()


def _mode(connector: Mapping[str, Any], named_mode: str | None) -> AuthMode:
    """The auth mode, by the API's own rules. Raises InvalidInput where the connector is not good for it."""
    model = connector_of(connector)
    facts = Catalogue().of(model)
    mode = AuthMode(named_mode) if named_mode else checks.usual_mode(model, facts)
    checks.auth_mode(model, facts, mode)
    return mode


def _with_password(plan: Plan) -> Plan:
    """With its password, which is asked for where the file does not have it. Raises UsageError."""
    if not plan.lacks_password:
        return plan
    return replace(plan, one=replace(plan.one, password=unseen(f"Password of {plan.one.address}")))


def _planned(plan: Plan) -> dict[str, Any]:
    """What would be done."""
    if plan.objection:
        return _row(plan, FAILED, error=plan.objection)
    if plan.is_done:
        return _row(plan, THERE)
    return _row(plan, AGAIN if plan.account else NEW, how=plan.how)


def _moved(api: Api, plan: Plan) -> dict[str, Any]:
    """What became of one mailbox. A refusal is a result, so that the others are tried too."""
    if plan.objection:
        return _row(plan, FAILED, error=plan.objection)
    if plan.account and plan.is_done:
        return _row(plan, THERE, id=plan.account["id"])
    try:
        answer = _again(api, plan, plan.account) if plan.account else _made(api, plan)
    except ApiError as refused:
        return _row(plan, FAILED, error=dict(refused.error))
    more = {"id": answer["id"]}
    if answer.get("connect_link"):
        return _row(plan, INVITED, **more, connect_link=answer["connect_link"])
    seen = answer["connection"]
    if seen.get("diagnosis"):
        more["error"] = seen["diagnosis"]
    return _row(plan, CONNECTED if seen["ok"] else FAILED, **more)


def _made(api: Api, plan: Plan) -> dict[str, Any]:
    new = {"connector": plan.connector["id"], "address": plan.one.address, **plan.one.described}
    return api.post("accounts", {**new, **_proof(plan)})


def _again(api: Api, plan: Plan, account: Mapping[str, Any]) -> dict[str, Any]:
    """Connects an account that is there, after mending what the file says otherwise."""
    path = f"accounts/{part(account['id'])}"
    if changes := {name: said for name, said in plan.one.described.items() if account[name] != said}:
        api.patch(path, changes)
    if plan.how == LINK:
        return {"id": account["id"], **api.post(f"{path}/connect-link", {})}
    return api.post(f"{path}/connect", _proof(plan))


def _proof(plan: Plan) -> dict[str, str]:
    return {**plan.one.proof, "auth_mode": str(plan.mode)}


def _row(plan: Plan, result: str, **more: Any) -> dict[str, Any]:
    one = plan.one
    return {
        "address": one.address,
        "name": one.called,
        "connector": plan.connector["id"],
        "auth_mode": str(plan.mode),
        "result": result,
        **more,
    }


def _tell(out: Out, row: Mapping[str, Any]) -> None:
    how = f", by {row['how']}, at {row['connector']}" if "how" in row else ""
    out.say(f"{row['address']}  {row['result']}{how}")
    if link := row.get("connect_link"):
        out.copy(f"    {link}")
    if error := row.get("error"):
        out.say(f"    {visible(str(error['message']))}\n    Fix: {named(str(error.get('fix', '')))}")
