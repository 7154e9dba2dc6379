"""The steps of ``mailgrant init``. Each looks at what exists first, so that it can be repeated."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from chalicelib import addresses
from chalicelib.accounts.models.account import AuthMode
from chalicelib.errors import MailgrantError
from cli import guide, init_ways, messages
from cli.accounts import NEEDS_OWNER, wait_for
from cli.api import Api, ApiError, part
from cli.asker import Asker
from cli.console import Console
from cli.doctor import show_instructions
from cli.init_app import Given
from cli.init_ways import Way
from cli.output import Out, moment
from cli.registration import Registration
from cli.shown import show_steps
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

    def app(self) -> tuple[dict[str, Any], Way | None]:
        """The connector whose client its provider takes, and the way that is settled by it."""
        return self._registration().connector()

    def mailbox(self, connector: dict[str, Any], way: Way | None) -> tuple[dict[str, Any], Way]:
        """The account that shall send, one that exists or a new one, and how it is connected."""
        own = [one for one in self._accounts() if one["connector"] == connector["id"]]
        own.sort(key=lambda one: one["status"] not in NEEDS_OWNER)
        self._tell_accounts(own)

        chosen = way

        def use(address: str) -> tuple[dict[str, Any], Way]:
            same = [one for one in own if addresses.same(one["address"], address)]
            if same:
                return same[0], way or init_ways.of_account(same[0])
            nonlocal chosen  # an address that is refused is asked for again, and the way is not
            chosen = chosen or self._way(connector)
            return self._new_account(connector, address, chosen), chosen

        usual = own[0]["address"] if len(own) == 1 or (own and not self.asker.silent) else ""
        return self.asker.use(
            lambda given: self.asker.ask("Address of the mailbox that shall send", "--mailbox", given, usual),
            self.given.mailbox,
            use,
        )

    def connected(self, account: dict[str, Any], connector: dict[str, Any], way: Way) -> dict[str, Any]:
        """The account when it can send. Raises Unfinished when that does not happen."""
        path = f"accounts/{part(account['id'])}"
        if account["status"] in NEEDS_OWNER:
            self._prepare(path, account, connector, way)
            account = (
                self._consented(path, account, connector)
                if way.by_link
                else self._proven(path, account, connector, way)
            )
        return self._able(path, account)

    def _prepare(self, path: str, account: dict[str, Any], connector: dict[str, Any], way: Way) -> None:
        """What has to be done at the provider before it is tried; the sandbox does it at once."""
        if self.console:
            self.console.prepare(connector, account, way.mode)
            return
        if way.mode.has_owner:
            self.out.tell(guide.MAILBOX.get(connector["provider"], ""))
        found = self.api.get(f"{path}/doctor")["instructions"]
        show_instructions(self.out, found)
        if found:
            self.asker.pause("\nPress Enter when that is done, or was done before")

    def _consented(self, path: str, account: dict[str, Any], connector: dict[str, Any]) -> dict[str, Any]:
        """The account once somebody has opened the connect link and agreed."""
        while account["status"] in NEEDS_OWNER:
            self._invite(path, account)
            try:
                found = self._wait(path, account, connector)
            except ConnectorRefused:
                found = self.api.get(f"connectors/{part(connector['id'])}")
                connector = self._registration().mended(found)
                continue
            if found is None:
                self._late()
            else:
                account = found
        return account

    def _proven(
        self, path: str, account: dict[str, Any], connector: dict[str, Any], way: Way
    ) -> dict[str, Any]:
        """The account once it is connected without anybody's browser. Each try says what it met."""
        connected = False
        while True:
            try:
                # Of what is connected already, only the mail server is asked again.
                seen = (
                    self.api.post(f"{path}/verify", {})
                    if connected
                    else self.api.post(f"{path}/connect", self._proof(account, connector, way))["connection"]
                )
            except ApiError as error:
                self.asker.refused(error)
                said = {"code": "refused", "fix": "", **error.error, "message": str(error)}
            else:
                if seen["ok"]:
                    return self.api.get(path)
                connected, said = connected or seen["connected"], seen["diagnosis"]
                if not self.out.as_json:
                    show_steps(self.out, seen)
            if not self.asker.agree("\nTry again?"):
                message = f"{account['address']} cannot send. {said['message']}"
                raise Unfinished(said["code"], message, said["fix"])

    def _proof(self, account: dict[str, Any], connector: dict[str, Any], way: Way) -> dict[str, str]:
        """What the mailbox proves itself with, as the API's fields; a secret is typed unseen."""
        proof = {"auth_mode": str(way.mode)}
        if way.mode is AuthMode.PASSWORD:
            proof["password"] = self.asker.secret(f"Password of {account['address']}")
            if self.console:
                self.console.take_password(connector["provider"], account["address"], proof["password"])
        if way.here:
            proof["refresh_token"] = self._signed_in(account, connector)
        if way.token:
            proof["refresh_token"] = self.asker.secret(f"Refresh token of {account['address']}")
        return proof

    def _signed_in(self, account: dict[str, Any], connector: dict[str, Any]) -> str:
        """The refresh token that a sign-in on this machine gives. Raises ApiError."""
        from cli.desk import token_of  # it loads what speaks to providers, which nothing else needs
        from cli.local import redirect_uri_of

        uri = redirect_uri_of(connector["provider"], None)
        self.out.tell(f"\nRegister this redirect URI, too, character by character:\n\n{uri}\n")
        self.out.tell(guide.AFTER.get(connector["provider"], guide.AFTER_OTHER))
        self.asker.pause("Press Enter when it is registered")
        certificate = Path(self.given.certificate) if self.given.certificate else None
        try:
            return token_of(self.api, self.out, account, uri, certificate, self.given.timeout).reveal()
        except MailgrantError as error:
            raise ApiError(error.status, error.to_json()["error"]) from error

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

    def _way(self, connector: dict[str, Any]) -> Way:
        """How a new mailbox of a connector that exists is connected."""
        ways = init_ways.of_connector(connector, here=self.console is None)
        return ways[self.asker.choose("How is it connected?", [one.label for one in ways])]

    def _new_account(self, connector: dict[str, Any], address: str, way: Way) -> dict[str, Any]:
        """Made, and not connected yet: what it needs is told before it is tried."""
        asked = "Address of the person who signs in for it"
        person = self.asker.ask(asked, "--signs-in-as", self.given.signs_in_as) if way.shared else ""
        more = {"signs_in_as": person, "smtp_user": self.given.smtp_user or "", "auth_mode": str(way.mode)}
        body = {"connector": connector["id"], "address": address, "connect": False, **more}
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

    def _invite(self, path: str, account: dict[str, Any]) -> None:
        link = self.api.post(f"{path}/connect-link", {})
        who = account["signs_in_as"] or f"The owner of {account['address']}"
        self.out.tell(f"\n{who} opens this link, signs in and agrees:\n")
        self.out.tell(f"{link['connect_link']}\n")
        if self.console:
            self.out.tell(guide.SANDBOX_LINK)
        self.out.tell(f"It works until {moment(link['connect_link_expires_at'])}.")

    def _wait(self, path: str, account: dict[str, Any], connector: dict[str, Any]) -> dict[str, Any] | None:
        """The account once its owner has connected it. Raises ConnectorRefused."""
        hints = guide.NOT_YET.get(connector["provider"], guide.NOT_YET_OTHER)
        watch = Watch(self.out, account["problem"], hints.format(**connector))
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
