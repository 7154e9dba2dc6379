"""The step of ``mailgrant init`` that ends with an app (a connector) which its provider takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from chalicelib.accounts.models.connector import CredentialKind
from chalicelib.errors import docs_of
from cli import guide, init_ways
from cli.accounts import NEEDS_OWNER
from cli.api import REFUSED, Api, ApiError, part
from cli.asker import Asker
from cli.connectors import checked
from cli.console import PLAYED, Console
from cli.init_app import CLIENT, HIDDEN, KINDS, OPTIONS, App, Given, kinds, server_of
from cli.init_ways import Way
from cli.output import Out
from cli.providers import LABELS


@dataclass(frozen=True)
class Registration:
    """Finds or makes the connector. `console` is the sandbox's, if the stage is one."""

    api: Api
    out: Out
    asker: Asker
    console: Console | None
    given: Given

    def connector(self) -> tuple[dict[str, Any], Way | None]:
        """A connector that its provider takes, and the way that it is for, if that is settled."""
        known = [one for one in self._connectors() if self._fits(one)]
        accounts = list(self.api.pages("accounts", "accounts"))
        waiting = {one["connector"] for one in accounts if one["status"] in NEEDS_OWNER}
        known.sort(key=lambda one: one["id"] not in waiting)
        chosen = self._chosen(known)
        if chosen is None:
            return self._new_app()
        self.out.tell(f"Going on with {_app(chosen)}.")
        proven = any(one["connected_at"] for one in accounts if one["connector"] == chosen["id"])
        if self._wants_changes(chosen, proven=proven):
            chosen = self.mended(chosen)
        way = self.given.way
        by_link = init_ways.OWNER in init_ways.of_connector(chosen) if way is None else way.by_link
        if by_link and not proven and not self.console:
            self._redirect(chosen)
        return chosen, way

    def mended(self, connector: dict[str, Any]) -> dict[str, Any]:
        """The connector as its provider takes it; what it is registered with is asked again."""
        return self._taken(self._app_of(connector), connector)

    def _app_of(self, connector: dict[str, Any]) -> App:
        ways = init_ways.of_connector(connector)
        way = self.given.way if self.given.way in ways else ways[0]
        return App(connector["provider"], CredentialKind(connector["credential"]), way, self.given)

    def _fits(self, connector: dict[str, Any]) -> bool:
        wanted = (("provider", self.given.provider), ("client_id", self.given.client_id))
        named = all(value in (None, connector[name]) for name, value in wanted)
        named &= self.given.connector in (None, connector["id"], connector["name"])
        return named and (self.given.way is None or self.given.way in init_ways.of_connector(connector))

    def _connectors(self) -> list[dict[str, Any]]:
        return list(self.api.get("connectors")["connectors"])

    def _chosen(self, known: list[dict[str, Any]]) -> dict[str, Any] | None:
        """One of the connectors that are known, or None for a new one."""
        if not known and self.given.connector:
            raise click.UsageError(f"There is no connector {self.given.connector} for what the options ask.")
        if not known or self.given.client_id:
            return known[0] if known else None
        listed = [_app(one) + (", refused by its provider" if one["problem"] else "") for one in known]
        new = [] if self.asker.silent or self.given.connector else ["a new one"]
        chosen = self.asker.choose("Which app?", [*listed, *new], "--connector or --client-id")
        return known[chosen] if chosen < len(known) else None

    def _wants_changes(self, connector: dict[str, Any], *, proven: bool) -> bool:
        """Whether client id and credential are entered again."""
        if connector["problem"] or self.given.client_secret is not None:
            self.out.problem(connector["problem"])
            return True
        if not self._app_of(connector).names(is_new=False):
            return False
        question = "Nobody has connected with it yet. Enter what it is registered with again?"
        return not proven and self.asker.agree(question, usual=False)

    def _new_app(self) -> tuple[dict[str, Any], Way]:
        offered = [one for one in self.api.get("providers")["providers"] if self._can_be_had(one)]
        names = [one["name"] for one in offered]
        if self.given.provider is None:
            where = [guide.WHERE.get(one["name"], one["label"]) for one in offered]
            provider = offered[self.asker.choose("Who has the mailboxes?", where, "--provider")]
        else:
            provider = offered[names.index(self.given.provider)]
        way = self._way(init_ways.of_provider(provider, here=self.console is None))
        app = App(provider["name"], self._kind(provider, way), way, self.given)
        self._tell_before(app)
        connector = self._taken(app, None)
        if way.by_link:
            self._redirect(connector)
        return connector, way

    def _can_be_had(self, provider: dict[str, Any]) -> bool:
        """Whether it is offered: the sandbox plays some of them only."""
        named = self.given.provider in (None, provider["name"])
        return named and (self.console is None or provider["name"] in PLAYED)

    def _way(self, ways: list[Way]) -> Way:
        """The way that the options name, or a person chooses. Raises UsageError for one that is not there."""
        if self.given.way is None:
            return ways[self.asker.choose("How is a mailbox connected?", [one.label for one in ways])]
        if self.given.way not in ways:
            raise click.UsageError(f"This provider has no mailboxes of the auth mode {self.given.way.mode}.")
        return self.given.way

    def _kind(self, provider: dict[str, Any], way: Way) -> CredentialKind:
        if self.given.kind is not None:
            return self.given.kind
        possible = kinds(provider, way)
        if len(possible) == 1:
            return possible[0]
        if self.given.client_secret is not None:
            return CredentialKind.SECRET
        option = "--certificate, --federated or --client-secret"
        return possible[
            self.asker.choose("What does it prove itself with?", [KINDS[one] for one in possible], option)
        ]

    def _tell_before(self, app: App) -> None:
        if self.console:
            self.out.tell(guide.SANDBOX)
        elif not self.asker.silent:
            usual = guide.BEFORE.get(app.provider, guide.BEFORE_OTHER)
            self.out.tell(guide.BEFORE_BY_MODE.get(app.way.mode, usual))

    def _taken(self, app: App, connector: dict[str, Any] | None) -> dict[str, Any]:
        """The connector, a new one for None, with a credential that its provider takes.

        Until it does everything is asked again, and what was typed is the default.
        """
        names = app.names(is_new=connector is None)
        typed = {name: self._usual(app, connector, name) for name in names}
        given = {name: getattr(self.given, name, None) for name in names}
        while True:
            typed = {name: self._answer(app, name, given.get(name), typed[name]) for name in names}
            given = {}
            try:
                connector = connector or self._with_client(app, typed.get("client_id"))
                self._register(app, typed, connector)
                connector = self._saved(app, typed, connector)
                _require_taken(connector)
            except (ApiError, click.UsageError) as error:
                self.asker.refused(error)
            else:
                self.out.tell(f"Saved. {checked(connector)}")
                return connector
            names = app.names(is_new=connector is None)

    def _usual(self, app: App, connector: dict[str, Any] | None, name: str) -> str:
        """The default: what the connector has, else what the sandbox or the app takes for usual."""
        if connector and name in CLIENT:
            return str(connector[name])
        if connector and name == "smtp":
            return server_of(connector["facts"])
        played = self.console.usual(app.provider, app.way.mode, name) if self.console else ""
        return played or app.usual(name)

    def _answer(self, app: App, name: str, given: str | None, usual: str) -> str:
        option = OPTIONS.get(name, f"--{name.replace('_', '-')}")
        hidden = name in HIDDEN
        enter = "; Enter makes one up" if self.console else "; Enter keeps it"
        question = app.question(name) + (f" (hidden{enter if usual else ''})" if hidden else "")
        return self.asker.ask(question, option, given, usual, hidden=hidden)

    def _with_client(self, app: App, client_id: str | None) -> dict[str, Any] | None:
        """The connector that has this client and kind already, so that no second one is made for it."""
        wanted = (app.provider, client_id, app.kind)
        known = self._connectors() if client_id else []
        return next(
            (one for one in known if (one["provider"], one["client_id"], one["credential"]) == wanted), None
        )

    def _register(self, app: App, typed: dict[str, str], connector: dict[str, Any] | None) -> None:
        if self.console:
            redirect_uris = [connector["redirect_uri"]] if connector else []
            self.console.register_app(app.provider, app.way.mode, typed, redirect_uris)

    def _saved(self, app: App, typed: dict[str, str], connector: dict[str, Any] | None) -> dict[str, Any]:
        """The connector with what was typed, and whether its provider takes it. Raises ApiError."""
        if connector is None:
            connector = self.api.post("connectors", app.body(typed))
            self._register(app, typed, connector)
            return connector
        path = f"connectors/{part(connector['id'])}"
        changes = app.changes(typed, connector)
        if any(connector[name] != value for name, value in changes.items()):
            connector = self.api.patch(path, changes)
        if app.kind is CredentialKind.NONE:
            return {**connector, "check": {"ok": None}}
        return self.api.put(f"{path}/secret", app.credential(typed))

    def _redirect(self, connector: dict[str, Any]) -> None:
        if self.console:
            self.out.tell(f"Its redirect URI, which is registered there too:\n{connector['redirect_uri']}")
            return
        self.out.tell("\nRegister this redirect URI, character by character:\n")
        self.out.tell(f"{connector['redirect_uri']}\n")
        self.out.tell(guide.AFTER.get(connector["provider"], guide.AFTER_OTHER))
        self.asker.pause("Press Enter when it is registered")


def _app(connector: dict[str, Any]) -> str:
    label = LABELS.get(connector["provider"], connector["provider"])
    known = connector["client_id"] or connector["facts"].get("smtp_host") or "passwords"
    return f"{connector['name']} ({label}, {known})"


def _require_taken(connector: dict[str, Any]) -> None:
    """Raises ApiError with the provider's own reason for a connector that it does not take."""
    check = connector["check"]
    if check["ok"] is not False:
        return
    code, said = "secret_refused", check["diagnosis"]
    message = f"{LABELS[connector['provider']]} does not take it ({said['code']}): {said['message']}"
    raise ApiError(REFUSED, {"code": code, "message": message, "fix": said["fix"], "docs": docs_of(code)})
