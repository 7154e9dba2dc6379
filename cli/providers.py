"""``mailgrant providers``: what each provider can do, and the scopes to copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from chalicelib.accounts.models.connector import Cloud
from chalicelib.providers.catalogue import Catalogue
from cli.commands import asking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.api import Api
    from cli.output import Out

LABELS: Final[Mapping[str, str]] = {
    name: {"microsoft": "Microsoft", "google": "Google"}.get(name, facts.label)
    for name, facts in ((name, Catalogue()[name]) for name in Catalogue())
}
"""Provider → what it is called in a sentence."""
CLOUDS: Final = [str(cloud) for cloud in Cloud]
COLUMNS: Final = [("name", "NAME"), ("cloud", "CLOUD"), ("label", "MAILBOXES"), ("auth_modes", "AUTH MODES")]


@click.command()
@asking
def providers(api: Api, out: Out) -> None:
    r"""List the providers: how their mailboxes can be connected, and every scope to copy and prune.

    A lasting access (offline_access) need not be named: it is added by itself.

    \b
    Example:
      mailgrant providers
    """
    answer = api.get("providers")
    rows = [{**one, **cloud} for one in answer["providers"] for cloud in one["clouds"]]
    out.table(answer, rows, COLUMNS, below="scopes")
