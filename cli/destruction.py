"""What ``mailgrant destroy`` does, step by step."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from cli import handover, removal, stacks
from cli.cloudformation import Stack
from cli.deployment import typed
from cli.trouble import Trouble, explained

if TYPE_CHECKING:
    from cli.deployment import Target


@explained()
def destroy(target: Target, *, with_data: bool) -> None:
    """Delete a stage, and say what is left of it. Raises Trouble."""
    app = _application(target)
    target.announce("deleting")
    if not (app or with_data):
        text = f"There is no application of {target.stage} here. Its data, if there is any, stays."
        _answer(target, "nothing", [], None, text)
        return
    if app and not with_data:
        _warn_of_lost_url(target, app)
    again = _deploying_again(target, app)
    kept = removal.kept(target.identity, target.stage, with_data=with_data)
    for line in kept:
        target.telling.say(f"  kept: {line}")
    _agree(target, with_data=with_data)
    stacks.delete_app_stack(target.session, target.stage, target.telling)
    if with_data:
        removal.remove_data(target.session, target.identity, target.stage, target.telling)
        _answer(target, "all", kept, again, f"\n{target.stage} is deleted.")
    else:
        text = f"\n{target.stage} is deleted. With the settings that it had, this brings it back:\n\n{again}"
        _answer(target, "application", kept, again, text)


def _application(target: Target) -> Stack | None:
    """The application's stack. Raises Trouble while something is being done to it or to the data's."""
    client = target.session.client("cloudformation")
    names = stacks.app_stack_name(target.stage), stacks.data_stack_name(target.stage)
    app, data = (Stack.find(client, name) for name in names)
    for stack in filter(None, (app, data)):
        stack.require_quiet()
    return app


def _agree(target: Target, *, with_data: bool) -> None:
    if with_data:
        target.telling.say("Every mailbox, token and message of this stage is deleted.")
        if not typed(target.stage, err=target.out.as_json):
            raise Trouble("not_agreed", "Nothing was deleted.", f"Type {target.stage} to delete its data.")
    elif not target.yes and not click.confirm(f"Delete {stacks.app_stack_name(target.stage)}?"):
        raise Trouble("not_agreed", "Nothing was deleted.", "Answer y, or add --yes.")


def _warn_of_lost_url(target: Target, app: Stack) -> None:
    """Say what becomes of the URL, and which callbacks must be registered again when it is another one."""
    say, url = target.telling.say, app.outputs.get("PublicUrl", "")
    if not url:
        return
    if not handover.is_own_url(app):
        say(f"{url} stays the stage's URL when it is deployed again; point it to the new API then.")
        return
    say(f"The URL {url} is the API's own and is lost: deployed again, the stage gets another one.")
    if connectors := handover.connectors(target.session, target.stage):
        say("Connect links that were sent stop working, and each provider must be told the new callback of:")
    for one in connectors:
        say(f"  {one.name} ({one.id})")
    say("Only a domain of yours (deploy --domain, or --public-url) would stay.")


def _deploying_again(target: Target, app: Stack | None) -> str:
    """The command that deploys the stage with the settings that it has now."""
    chosen = handover.chosen(target.session, app) if app else {}
    options = [part for name, value in chosen.items() for part in ("--parameter", f"{name}={value}")]
    where = ("--stage", target.stage, "--region", target.identity.region)
    return shlex.join(["./mailgrant", "deploy", *where, *options])


def _answer(target: Target, deleted: str, kept: list[str], again: str | None, text: str) -> None:
    answer = {"stage": target.stage, "deleted": deleted, "kept": kept, "again": again}
    target.out.answer(answer, text)
