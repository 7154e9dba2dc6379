"""``mailgrant accounts import``: the mailboxes of another system's export, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from cli import imports
from cli.api import Api, ApiError, part
from cli.commands import asking, unseen
from cli.completion import connectors as complete_connectors
from cli.exits import DONE, FELL_SHORT
from cli.output import visible
from cli.routes import named

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import TextIOWrapper

    from cli.imports import Exported
    from cli.output import Out

CONNECTED: Final = "connected"
FAILED: Final = "failed"
THERE: Final = "there already"
NEW: Final = "would be made"
AGAIN: Final = "would be connected"
AFTER: Final = "The file holds tokens: delete it when all are connected."


@click.command("import")
@click.option("--connector", required=True, shell_complete=complete_connectors, help="A connector's id.")
@click.option("--dry-run", is_flag=True, help="Only tell what is in it, and what would be done.")
@click.argument("file", type=click.File(encoding="utf-8"))
@asking
def import_accounts(api: Api, out: Out, *, connector: str, dry_run: bool, file: TextIOWrapper) -> int:
    r"""Connect the mailboxes of an export by their refresh tokens: exit code 4 if one failed.

    It reads what email-oauth2-proxy, EmailEngine, Frappe and Group-Office keep, and CSV with address and
    refresh_token. The connector has to have the client that the tokens are of. What is connected already is
    left alone, so that it can be run again.

    \b
    Example:
      mailgrant accounts import a.csv --connector con_q3vd0r8m2xkz5t7w1ybn
    """
    found = _read(file)
    known = {one["name"].casefold(): one for one in api.pages("accounts", "accounts")}
    rows = []
    for one in found:
        account = known.get((one.name or one.address).casefold())
        row = _planned(one, account, connector) if dry_run else _moved(api, one, account, connector)
        rows.append(row)
        _tell(out, row)
    failed = [row for row in rows if row["result"] == FAILED]
    end = f"{len(rows)} mailboxes, {len(failed)} failed." + ("" if dry_run else f" {AFTER}")
    out.answer({"accounts": rows, "failed": len(failed)}, end)
    return FELL_SHORT if failed else DONE


def _read(file: TextIOWrapper) -> list[Exported]:
    """The mailboxes. Raises UsageError."""
    try:
        return imports.read(file.read(), lambda address: unseen(f"Password of {address} at the proxy"))
    except UnicodeDecodeError as error:
        raise click.UsageError("The file is not text in UTF-8.") from error
    except imports.UnreadableExport as error:
        raise click.UsageError(str(error)) from error


def _planned(one: Exported, account: Mapping[str, Any] | None, connector: str) -> dict[str, Any]:
    """What would be done."""
    if account is None:
        return _row(one, NEW)
    objection = _objection(one, account, connector)
    return _row(one, FAILED, error=objection) if objection else _row(one, _state(account) or AGAIN)


def _moved(api: Api, one: Exported, account: Mapping[str, Any] | None, connector: str) -> dict[str, Any]:
    """What became of one mailbox. A refusal is a result, so that the others are tried too."""
    objection = _objection(one, account, connector) if account else None
    if objection:
        return _row(one, FAILED, error=objection)
    if account and _state(account):
        return _row(one, THERE, id=account["id"])
    proof = {"auth_mode": "authorization_code", "refresh_token": one.refresh_token}
    new = {"connector": connector, "address": one.address, "name": one.name, "signs_in_as": one.signs_in_as}
    try:
        if account:
            answer = api.post(f"accounts/{part(account['id'])}/connect", proof)
        else:
            answer = api.post("accounts", {name: text for name, text in {**new, **proof}.items() if text})
    except ApiError as refused:
        return _row(one, FAILED, error=dict(refused.error))
    seen = answer["connection"]
    more = {"id": answer["id"]} | ({"error": seen["diagnosis"]} if seen.get("diagnosis") else {})
    return _row(one, CONNECTED if seen["ok"] else FAILED, **more)


def _objection(one: Exported, account: Mapping[str, Any], connector: str) -> dict[str, str] | None:
    """Why an account with this name is not the one that is meant."""
    if account["address"].casefold() == one.address.casefold() and account["connector"] == connector:
        return None
    message = f"Another account has the name {account['name']}."
    return {"code": "name_taken", "message": message, "fix": "Rename it: see `mailgrant accounts rename`."}


def _state(account: Mapping[str, Any]) -> str:
    return THERE if account["status"] not in {"disconnected", "needs_reconnect"} else ""


def _row(one: Exported, result: str, **more: Any) -> dict[str, Any]:
    return {"address": one.address, "name": one.name or one.address, "result": result, **more}


def _tell(out: Out, row: Mapping[str, Any]) -> None:
    out.say(f"{row['address']}  {row['result']}")
    if error := row.get("error"):
        out.say(f"    {visible(str(error['message']))}\n    Fix: {named(str(error.get('fix', '')))}")
