"""The steps of ``mailgrant init``. Each looks at what exists first, so that it can be repeated."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from cli import guide, messages
from cli.accounts import NEEDS_OWNER, wait_for
from cli.api import Api, ApiError, part
from cli.asker import Asker
from cli.console import Console
from cli.output import Out, moment
from cli.registration import Given, Registration
from cli.waiting import ConnectorRefused, Watch, settled

SHOWN_ACCOUNTS: Final = 5


class Unfinished(Exception):
    """The mailbox cannot send yet: `code` for programs, the text says why, `fix` how to go on."""

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.code = code
        self.fix = fix


@dataclass(frozen=True)
class Wizard:
    """Leads through the steps at one stage. `console` is the sandbox's, if the stage is one."""

    api: Api
    out: Out
    asker: Asker
    console: Console | None
    given: Given

    def app(self) -> dict[str, Any]:
        """The connector whose client its provider takes."""
        return self._registration().connector()

    def mailbox(self, connector: dict[str, Any]) -> dict[str, Any]:
        """The account of the mailbox that shall send: one that exists, or a new one."""
        own = [one for one in self._accounts() if one["connector"] == connector["id"]]
        own.sort(key=lambda one: one["status"] not in NEEDS_OWNER)
        self._tell_accounts(own)

        def use(address: str) -> dict[str, Any]:
            same = [one for one in own if one["address"].casefold() == address.casefold()]
            return same[0] if same else self._new_account(connector, address)

        usual = own[0]["address"] if len(own) == 1 or (own and not self.asker.silent) else ""
        found = self.asker.use(
            lambda given: self.asker.ask("Address of the mailbox that shall send", "--mailbox", given, usual),
            self.given.mailbox,
            use,
        )
        if self.console and found["status"] in NEEDS_OWNER:
            self.console.register_mailbox(connector["provider"], found["address"])
        return found

    def connected(self, account: dict[str, Any], connector: dict[str, Any]) -> dict[str, Any]:
        """The account when it can send. Raises Unfinished when that does not happen."""
        path = f"accounts/{part(account['id'])}"
        if account["status"] in NEEDS_OWNER and not self.console:
            self.out.tell(guide.MAILBOX[connector["provider"]])
        while account["status"] in NEEDS_OWNER:
            self._invite(path, account["address"])
            try:
                found = self._wait(path, account, connector)
            except ConnectorRefused:
                found = self.api.get(f"connectors/{part(connector['id'])}")
                connector = self._registration().taken(connector["provider"], found)
                continue
            if found is None:
                self._late()
            else:
                account = found
        return self._able(path, account)

    def message(self, account: dict[str, Any]) -> dict[str, Any]:
        """The record of a test message, sent or not."""
        while True:
            accepted = self.asker.use(
                lambda given: self.asker.ask("Send a test message to", "--to", given, account["address"]),
                self.given.to,
                lambda to: self._send(account, to),
            )
            self.out.say(f"Accepted as {accepted['id']}.")
            found = settled(self.api, self.out, accepted["id"], self.given.timeout)
            if found["state"] == "sent":
                self._tell_sent(found)
                return found
            if not self.out.as_json:
                messages.show_record(self.out, found)
            if not self.asker.agree("Send another one?"):
                return found

    def _registration(self) -> Registration:
        return Registration(self.api, self.out, self.asker, self.console, self.given)

    def _accounts(self) -> list[dict[str, Any]]:
        return list(self.api.pages("accounts", "accounts"))

    def _tell_accounts(self, own: list[dict[str, Any]]) -> None:
        if own:
            self.out.tell("Its accounts:")
        for one in own[:SHOWN_ACCOUNTS]:
            self.out.tell(f"  {one['address']}  {one['status']}")
        if len(own) > SHOWN_ACCOUNTS:
            self.out.tell(f"  and {len(own) - SHOWN_ACCOUNTS} more")

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

    def _invite(self, path: str, address: str) -> None:
        link = self.api.post(f"{path}/connect-link", {})
        self.out.tell(f"\nThe owner of {address} opens this link, signs in and agrees:\n")
        self.out.tell(f"{link['connect_link']}\n")
        if self.console:
            self.out.tell(guide.SANDBOX_LINK)
        self.out.tell(f"It works until {moment(link['connect_link_expires_at'])}.")

    def _wait(self, path: str, account: dict[str, Any], connector: dict[str, Any]) -> dict[str, Any] | None:
        """The account once its owner has connected it. Raises ConnectorRefused."""
        watch = Watch(self.out, account["problem"], guide.NOT_YET[connector["provider"]].format(**connector))
        try:
            return wait_for(self.api, path, account["connected_at"], self.given.timeout, watch.look)
        finally:
            watch.end()

    def _late(self) -> None:
        """Returns when the person waits on; raises Unfinished otherwise."""
        message = f"It was not connected within {self.given.timeout} s."
        if self.asker.silent:
            raise Unfinished("not_in_time", message, "The link still works; then run this again.")
        self.out.tell(message)
        if not self.asker.agree("Wait again, with a new link?"):
            raise Unfinished("not_in_time", "Its owner has not connected it yet.", "The links still work.")

    def _able(self, path: str, account: dict[str, Any]) -> dict[str, Any]:
        """The account if it can send. One that is paused is resumed where the person agrees."""
        if account["status"] == "paused" and self.asker.agree(f"{account['address']} is paused. Resume it?"):
            account = self.api.post(f"{path}/resume", {})
        if account["status"] == "connected":
            self.out.tell(f"{account['address']} is connected.")
            return account
        problem = account["problem"] or {
            "code": account["status"],
            "message": "Somebody has paused it.",
            "fix": f"Run `mailgrant accounts resume {shlex.quote(account['name'])}`.",
        }
        message = f"{account['address']} cannot send. {problem['message']}"
        raise Unfinished(problem["code"], message, problem["fix"])

    def _tell_sent(self, record: dict[str, Any]) -> None:
        reply = record["attempts"][-1]["reply"]
        self.out.say(f"Sent. The mail server took it: {reply['code']} {' '.join(reply['text'].split())}")
        if self.console:
            self.out.say(f"It can be read at {self.console.mailboxes}.")

    def _send(self, account: dict[str, Any], to: str) -> dict[str, Any]:
        letter = {
            "account": account["id"],
            "to": [to],
            "subject": "A test message of Mailgrant",
            "text": f"It works: this was sent from {account['address']} by Mailgrant.\n",
        }
        return self.api.post("messages", letter, idempotency_key=str(uuid4()))
