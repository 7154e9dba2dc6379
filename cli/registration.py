"""The step of ``mailgrant init`` that ends with an app (a connector) which its provider takes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

from chalicelib.errors import docs_of
from cli import guide
from cli.accounts import NEEDS_OWNER
from cli.api import REFUSED, Api, ApiError, part
from cli.asker import Asker
from cli.connectors import checked
from cli.console import Console
from cli.output import Out
from cli.providers import LABELS

PROVIDERS: Final = tuple(guide.WHERE)
CREDENTIALS: Final = ("client_id", "tenant", "client_secret")


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the options say; None is asked for."""

    provider: str | None
    client_id: str | None
    client_secret: str | None
    tenant: str | None
    mailbox: str | None
    name: str | None
    to: str | None
    timeout: int


@dataclass(frozen=True)
class Registration:
    """Finds or makes the connector. `console` is the sandbox's, if the stage is one."""

    api: Api
    out: Out
    asker: Asker
    console: Console | None
    given: Given

    def connector(self) -> dict[str, Any]:
        """A connector whose client its provider takes: one that exists, or a new one."""
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
            chosen = self.taken(chosen["provider"], chosen)
        if not proven and not self.console:
            self._redirect(chosen)
        return chosen

    def _fits(self, connector: dict[str, Any]) -> bool:
        wanted = (("provider", self.given.provider), ("client_id", self.given.client_id))
        return all(value in (None, connector[name]) for name, value in wanted)

    def _connectors(self) -> list[dict[str, Any]]:
        return list(self.api.get("connectors")["connectors"])

    def _chosen(self, known: list[dict[str, Any]]) -> dict[str, Any] | None:
        """One of the connectors that are known, or None for a new one."""
        if not known or self.given.client_id:
            return known[0] if known else None
        listed = [_app(one) + (", refused by its provider" if one["problem"] else "") for one in known]
        new = [] if self.asker.silent else ["a new one"]
        chosen = self.asker.choose("Which app?", [*listed, *new], "--client-id")
        return known[chosen] if chosen < len(known) else None

    def _wants_changes(self, connector: dict[str, Any], *, proven: bool) -> bool:
        """Whether client id and secret are entered again."""
        if connector["problem"] or self.given.client_secret is not None:
            self.out.problem(connector["problem"])
            return True
        question = "Nobody has connected with it yet. Enter its client id and secret again?"
        return not proven and self.asker.agree(question, usual=False)

    def _new_app(self) -> dict[str, Any]:
        provider = self.given.provider
        if provider is None:
            where = [guide.WHERE[one] for one in PROVIDERS]
            provider = PROVIDERS[self.asker.choose("Who has the mailboxes?", where, "--provider")]
        if self.console:
            self.out.tell(guide.SANDBOX.format(label=LABELS[provider]))
        elif not self.asker.silent:
            self.out.tell(guide.BEFORE[provider])
        connector = self.taken(provider, None)
        self._redirect(connector)
        return connector

    def taken(self, provider: str, connector: dict[str, Any] | None) -> dict[str, Any]:
        """The connector, a new one for None, with credentials that its provider takes.

        Until it does everything is asked again, and what was typed is the default.
        """
        given = {name: getattr(self.given, name) for name in CREDENTIALS}
        typed = self._usual(provider, connector)
        while True:
            typed = {name: self._credential(provider, name, given.get(name), typed[name]) for name in typed}
            given = {}
            connector = connector or self._with_client(provider, typed["client_id"])
            self._register(provider, typed, connector)
            try:
                connector = self._saved(provider, typed, connector)
                _require_taken(connector)
            except ApiError as error:
                self.asker.refused(error)
            else:
                self.out.tell(f"Saved. {checked(connector)}")
                return connector

    def _usual(self, provider: str, connector: dict[str, Any] | None) -> dict[str, str]:
        """The defaults: what the connector has, else what is usual."""
        usual = {"client_id": "", "tenant": "common", "client_secret": ""}
        if self.console:
            usual |= {"client_id": f"init-{provider}", "client_secret": secrets.token_urlsafe(24)}
        if connector:
            usual |= {"client_id": connector["client_id"], "tenant": connector["tenant"]}
        if provider != "microsoft":
            del usual["tenant"]
        return usual

    def _credential(self, provider: str, name: str, given: str | None, usual: str) -> str:
        option = f"--{name.replace('_', '-')}"
        if name == "client_secret":
            enter = "; Enter makes one up" if self.console else "; Enter keeps it"
            question = f"{guide.SECRET[provider]} (hidden{enter if usual else ''})"
            return self.asker.ask(question, option, given, usual, hidden=True)
        question = guide.TENANT if name == "tenant" else guide.CLIENT_ID[provider]
        return self.asker.ask(question, option, given, usual)

    def _with_client(self, provider: str, client_id: str) -> dict[str, Any] | None:
        """The connector that has this client already, so that no second one is made for it."""
        wanted = (provider, client_id)
        return next(
            (one for one in self._connectors() if (one["provider"], one["client_id"]) == wanted), None
        )

    def _register(self, provider: str, typed: dict[str, str], connector: dict[str, Any] | None) -> None:
        if self.console:
            redirect_uris = [connector["redirect_uri"]] if connector else []
            self.console.register_app(provider, typed["client_id"], typed["client_secret"], redirect_uris)

    def _saved(
        self, provider: str, typed: dict[str, str], connector: dict[str, Any] | None
    ) -> dict[str, Any]:
        """The connector with what was typed, and whether its provider takes it. Raises ApiError."""
        if connector is None:
            body = {"provider": provider, "name": LABELS[provider], **typed}
            connector = self.api.post("connectors", body)
            self._register(provider, typed, connector)
            return connector
        path = f"connectors/{part(connector['id'])}"
        client = {name: typed[name] for name in typed if name != "client_secret"}
        if any(connector[name] != value for name, value in client.items()):
            self.api.patch(path, client)
        return self.api.put(f"{path}/secret", {"client_secret": typed["client_secret"]})

    def _redirect(self, connector: dict[str, Any]) -> None:
        if self.console:
            self.out.tell(f"Its redirect URI, which is registered there too:\n{connector['redirect_uri']}")
            return
        self.out.tell("\nRegister this redirect URI, character by character:\n")
        self.out.tell(f"{connector['redirect_uri']}\n")
        self.out.tell(guide.AFTER[connector["provider"]])
        self.asker.pause("Press Enter when it is registered")


def _app(connector: dict[str, Any]) -> str:
    label = LABELS.get(connector["provider"], connector["provider"])
    return f"{connector['name']} ({label}, {connector['client_id']})"


def _require_taken(connector: dict[str, Any]) -> None:
    """Raises ApiError with the provider's own reason for a connector that it does not take."""
    check = connector["check"]
    if check["ok"] is not False:
        return
    code, said = "secret_refused", check["diagnosis"]
    message = f"{LABELS[connector['provider']]} does not take it ({said['code']}): {said['message']}"
    raise ApiError(REFUSED, {"code": code, "message": message, "fix": said["fix"], "docs": docs_of(code)})
