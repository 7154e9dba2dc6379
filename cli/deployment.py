"""What ``mailgrant deploy`` does, step by step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import click

from cli import handover, permissions, preflight, runtimes, stacks
from cli.cloudformation import Stack, told
from cli.packages import packaged
from cli.trouble import explained, untouched

if TYPE_CHECKING:
    from collections.abc import Mapping

    import boto3

    from cli.changes import ChangeSet
    from cli.cloudformation import Event
    from cli.output import Out


@dataclass(frozen=True)
class Target:
    """A stage of an AWS account, as a command is given it; `yes` is set when nobody is to be asked."""

    session: boto3.Session
    identity: preflight.Identity
    stage: str
    telling: stacks.Telling
    out: Out
    yes: bool

    def announce(self, doing: str) -> None:
        """Say what is done, where and as whom."""
        where = f"{self.identity.region} of account {self.identity.account}"
        self.telling.say(f"{doing} {self.stage} in {where}, as {self.identity.arn}")

    @classmethod
    def of(cls, stage: str, region: str | None, profile: str | None, out: Out, *, yes: bool) -> Self:
        """The stage as options name it. Raises Trouble for credentials that are not good."""
        with untouched(), explained():
            session = preflight.open_session(profile, region)
            identity = preflight.Identity.of(session)
        return cls(session, identity, stage, _telling(out, stage, yes=yes), out, yes)


@explained()
def deploy(target: Target, settings: Mapping[str, str], *, new_key: bool, unchecked: bool) -> None:
    """Deploy a stage with these parameters of the application, and hand it over. Raises Trouble."""
    target.announce("deploying")
    with untouched(), explained():
        app = _check(target, unchecked=unchecked)
        runtimes.require_updatable(target.telling.say)
        target.telling.say("packaging the application")
        package = packaged()
        preflight.require_parameters(json.loads(package.template.read_text())["Parameters"], settings)
        handover.require_bearable(target.session, settings)
    if app:
        _warn_of_new_url(target, settings, app)
    deployed = stacks.deploy(target.session, package, target.stage, settings, target.telling)
    facts = {"stage": target.stage, "region": target.identity.region, "account": target.identity.account}
    given = handover.given(target.session, target.stage, deployed, new_key=new_key)
    _show(target.out, {**facts, "package": package.sha256, **given})


def _check(target: Target, *, unchecked: bool) -> Stack | None:
    """Look at everything that could stop the deployment, and return the application stack that there is."""
    doubt = None if unchecked else permissions.check(target.session, target.identity, target.stage)
    if doubt:
        target.telling.say(f"not checked: {doubt}")
    data, app = stacks.require_deployable(target.session.client("cloudformation"), target.stage)
    preflight.require_no_orphans(target.session, target.stage, data)
    return app


def _telling(out: Out, stage: str, *, yes: bool) -> stacks.Telling:
    say = out.tell

    def event(found: Event) -> None:
        reason = f": {found.reason}" if found.status.endswith("_FAILED") and found.reason else ""
        say(f"  {told(found.status):22} {found.resource} ({found.kind}){reason}")

    def agree(found: ChangeSet) -> bool:
        say(f"\n{found.stack} {'will be created' if found.creates else 'will be changed'}:")
        for change in found.changes:
            say(f"  {change.what:12} {change.resource} ({change.kind})")
        if not found.risky:
            return yes or click.confirm(f"\nApply this to {found.stack}?")
        say("\nThis may lose data: " + ", ".join(change.resource for change in found.risky))
        return not yes and typed(stage, err=False)

    return stacks.Telling(say, event, agree)


def typed(stage: str, *, err: bool) -> bool:
    """Whether somebody types the stage's name, who so agrees that its data is lost."""
    return bool(click.prompt("Type the stage's name to go on", err=err).strip() == stage)


def _warn_of_new_url(target: Target, settings: Mapping[str, str], app: Stack) -> None:
    """Say which callbacks must be registered again, when the stage gets another URL."""
    old, new = handover.public_url(target.session, target.stage), _url_to_be(settings, app)
    if old is None or new is None or new == old:
        return
    say = target.telling.say
    say(f"\nThe URL changes from {old} to {new or 'that of the API itself'}.")
    say("Connect links that were sent stop working, and each provider must be told the new callback:")
    for one in handover.connectors(target.session, target.stage):
        say(f"  {one.name}: {handover.callback(new or 'https://…', one.id)}")


def _url_to_be(settings: Mapping[str, str], app: Stack) -> str | None:
    """The URL that the settings give the stage: "" for the API's own, None when they leave it as it is."""
    if not {"PublicUrl", "DomainName"} & set(settings):
        return None
    known = {**app.parameters, **settings}
    domain = known.get("DomainName")
    return known.get("PublicUrl") or (f"https://{domain}" if domain else "")


def _show(out: Out, answer: Mapping[str, Any]) -> None:
    if out.as_json:
        out.answer(answer, "")
        return
    alias = answer["alias"] or "none; --alias NAME makes one for a service that invokes the function"
    lines = [
        f"\n{answer['stage']} is deployed.\n",
        f"URL           {answer['url']}",
        f"Callback      {answer['callback']}",
        "              each connector has its own, to register at Microsoft Entra or in the Google console",
        *(f"              {one['name']}: {one['callback']}" for one in answer["callbacks"]),
        f"Function      {answer['send']}",
        f"Alias         {alias}",
        f"Concurrency   {answer['concurrency']['meaning']}",
    ]
    if answer["domain_target"]:
        lines.append(f"DNS           point your domain (CNAME or alias record) to {answer['domain_target']}")
    if answer["administrator_key"]:
        lines.append(f"\nAdministrator key, shown now and never again:\n\n{answer['administrator_key']}")
    lines.append(f"\nNext: ./mailgrant login --url {answer['url']}, then ./mailgrant connectors add --help")
    out.say("\n".join(lines))
