"""The steps of ``mailgrant init``. Each looks at what exists first, so that it can be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from cli import guide
from cli.accounts import wait_for
from cli.api import Api, ApiError, part
from cli.asker import Asker
from cli.connectors import LABELS, checked
from cli.messages import settled, show_record
from cli.output import Out

NEEDS_OWNER: Final = frozenset({"disconnected", "needs_reconnect"})
"""Status in which the mailbox's owner has to sign in."""

PROVIDERS: Final = tuple(LABELS)
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
class Wizard:
    """Leads through the steps at one stage."""

    api: Api
    out: Out
    asker: Asker
    given: Given

    def connector(self) -> dict[str, Any]:
        """A connector whose client its provider takes: one that exists, or a new one."""
        known = [one for one in self.api.get("connectors")["connectors"] if self._fits(one)]
        waiting = {one["connector"] for one in self._accounts() if one["status"] in NEEDS_OWNER}
        known.sort(key=lambda one: one["id"] not in waiting)
        choices = [f"{one['name']} ({LABELS.get(one['provider'])}, {one['id']})" for one in known]
        another = [] if self.given.client_id else ["another app, beginning with its registration"]
        if not known or (chosen := self.asker.choose("Which app?", [*choices, *another])) == len(known):
            return self._new_connector()
        found: dict[str, Any] = known[chosen]
        if found["problem"] or self.given.client_secret is not None:
            self.out.problem(found["problem"])
            return self._taken(found, self.given.client_secret)
        return found

    def mailbox(self, connector: dict[str, Any]) -> dict[str, Any]:
        """The account of the mailbox that shall send: one that exists, or a new one."""
        own = [one for one in self._accounts() if one["connector"] == connector["id"]]
        own.sort(key=lambda one: one["status"] not in NEEDS_OWNER)

        def use(address: str) -> dict[str, Any]:
            same = [one for one in own if one["address"].casefold() == address.casefold()]
            return same[0] if same else self._new_account(connector, address)

        default = own[0]["address"] if own else ""
        return self.asker.use(
            lambda given: self.asker.ask(
                "Address of the mailbox that shall send", "--mailbox", given, default
            ),
            self.given.mailbox,
            use,
        )

    def connected(self, account: dict[str, Any]) -> dict[str, Any] | None:
        """The account after its owner has connected it; None when that did not happen in time."""
        path = f"accounts/{part(account['id'])}"
        while account["status"] in NEEDS_OWNER:
            link = self.api.post(f"{path}/connect-link", {})["connect_link"]
            self.out.tell(
                f"\nThe owner of {account['address']} opens this link, signs in and consents:\n\n{link}\n"
            )
            self.out.tell(f"Waiting for that, {self.given.timeout} s at most …")
            found = wait_for(self.api, path, account["connected_at"], self.given.timeout)
            if found is not None:
                self.out.tell(f"{found['address']} is connected.")
                return found
            self.out.tell("It was not connected in time. The link still works for seven days.")
            if not self.asker.agree("Wait again, with a new link?"):
                return None
        return account

    def message(self, account: dict[str, Any]) -> dict[str, Any]:
        """The record of a test message, sent or not."""
        while True:
            accepted = self.asker.use(
                lambda given: self.asker.ask("\nSend a test message to", "--to", given, account["address"]),
                self.given.to,
                lambda to: self._send(account, to),
            )
            found = settled(self.api, self.out, accepted["id"], self.given.timeout)
            if not self.out.as_json:
                show_record(self.out, found)
            if found["state"] == "sent":
                return found
            self.out.problem(self.api.get(f"accounts/{part(account['id'])}")["problem"])
            if not self.asker.agree("Send another one?"):
                return found

    def _fits(self, connector: dict[str, Any]) -> bool:
        given = self.given
        return given.provider in (None, connector["provider"]) and given.client_id in (
            None,
            connector["client_id"],
        )

    def _accounts(self) -> list[dict[str, Any]]:
        return list(self.api.pages("accounts", "accounts"))

    def _new_connector(self) -> dict[str, Any]:
        provider = self.given.provider
        if provider is None:
            provider = PROVIDERS[self.asker.choose("Which provider?", list(LABELS.values()))]
        if not self.asker.yes:
            self.out.tell(guide.BEFORE[provider])
        connector, secret = self._created(provider)
        self.out.tell(
            f"\nRegister this redirect URI, character by character:\n\n{connector['redirect_uri']}\n"
        )
        self.out.tell(f"There: {guide.AFTER[provider]}.")
        self.asker.pause("Press Enter when it is registered")
        if connector["check"]["ok"]:
            self.out.tell(checked(connector))
            return connector
        return self._taken(connector, secret)

    def _created(self, provider: str) -> tuple[dict[str, Any], str]:
        """A new connector and its secret. Only what the API refuses is asked for again."""
        known: dict[str, str | None] = {name: getattr(self.given, name) for name in CREDENTIALS}
        if provider != "microsoft":
            known["tenant"] = known["tenant"] or ""
        while True:
            body = {name: self._credential(provider, name, known[name]) for name in CREDENTIALS}
            try:
                made = self.api.post("connectors", {"provider": provider, "name": LABELS[provider], **body})
            except ApiError as error:
                self.asker.refused(error)
                wrong = error.error.get("field")
                known = {name: None if wrong in (name, None) else body[name] for name in CREDENTIALS}
            else:
                return made, body["client_secret"]

    def _credential(self, provider: str, name: str, given: str | None) -> str:
        option = f"--{name.replace('_', '-')}"
        if name == "tenant":
            return self.asker.ask(guide.TENANT, option, given, "common")
        if name == "client_id":
            return self.asker.ask(guide.CLIENT_ID[provider], option, given)
        return self.asker.ask(guide.SECRET[provider], option, given, hidden=True)

    def _taken(self, connector: dict[str, Any], secret: str | None) -> dict[str, Any]:
        """The connector after its provider has taken a secret, or after the person goes on without that."""
        path, provider = f"connectors/{part(connector['id'])}", connector["provider"]
        while True:
            secret = self._credential(provider, "client_secret", secret)
            try:
                found = self.api.put(f"{path}/secret", {"client_secret": secret})
            except ApiError as error:
                self.asker.refused(error)
            else:
                self.out.tell(checked(found))
                return found
            choices = ["try the same again", "another secret", "another client id", "go on all the same"]
            chosen = self.asker.choose("What now?", choices)
            if chosen == 1:
                secret = None
            elif chosen == 2:  # noqa: PLR2004 - the place in the list above
                self.asker.use(
                    lambda given: self._credential(provider, "client_id", given),
                    None,
                    lambda client_id: self.api.patch(path, {"client_id": client_id}),
                )
            elif chosen > 2:  # noqa: PLR2004
                return connector

    def _new_account(self, connector: dict[str, Any], address: str) -> dict[str, Any]:
        body = {"connector": connector["id"], "address": address}
        try:
            return self.api.post("accounts", {**body, "name": self.given.name or ""})
        except ApiError as error:
            if error.error.get("code") != "name_taken":
                raise
            self.asker.refused(error)
        return self.asker.use(
            lambda given: self.asker.ask("Name of the account", "--name", given),
            None,
            lambda name: self.api.post("accounts", {**body, "name": name}),
        )

    def _send(self, account: dict[str, Any], to: str) -> dict[str, Any]:
        letter = {
            "account": account["id"],
            "to": [to],
            "subject": "A test message of Mailgrant",
            "text": f"It works: this was sent from {account['address']} by Mailgrant.\n",
        }
        return self.api.post("messages", letter, idempotency_key=str(uuid4()))
