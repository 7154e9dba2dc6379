"""The mail side with real stores (the emulator's) and a real mail server, and a clock that tests move."""

from __future__ import annotations

import http.server
import json
import secrets
import ssl
import threading
import time
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib import clock, ids, network
from chalicelib.accounts.models.account import GrantState
from chalicelib.accounts.models.grant import AccessToken
from chalicelib.callers.models import Caller, CallerKind, Scope
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed
from chalicelib.mail.shown import message_record
from chalicelib.secret import Secret
from chalicelib.settings import Settings
from chalicelib.transports.smtp.sasl import Login
from chalicelib.transports.smtp.session import Server, SmtpSession
from chalicelib.wiring import Gateway
from sandbox.certs import Authority
from sandbox.mailserver.client import MailServerClient
from sandbox.mailserver.server import MailServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chalicelib.accounts.models.account import Account
    from tests.unit.aws_tables import Aws

SOME = 2
RECONNECT = Diagnosis(DiagnosisClass.RECONNECT, "invalid_grant", "The consent is gone.", "Connect again.")

LOOPBACK = Settings.from_env(
    {"STAGE": "x", "AWS_REGION": "x", "BUCKET": "x", "ALLOWED_PRIVATE_NETWORKS": "127.0.0.0/8"}
).allowed_private_networks


@dataclass
class TokenDesk:
    """Who gives access tokens and knows which are good, over https: the provider of the mail server."""

    users: dict[str, str] = field(default_factory=dict)

    def introspect(self, token: str) -> dict[str, Any]:
        """What the sandbox's provider answers about a token."""
        if token not in self.users:
            return {"active": False, "reason": "it is not known"}
        return {
            "active": True,
            "user": self.users[token],
            "aud": "https://outlook.office.com",
            "scope": "https://outlook.office.com/SMTP.Send https://mail.google.com/",
            "expires_at": time.time() + 3600,
        }

    def issue(self, user: str) -> str:
        """A new good token of the mailbox."""
        token = secrets.token_urlsafe(32)
        self.users[token] = user
        return token


@dataclass(frozen=True)
class Post:
    """A running mail server, its client, who gives its tokens, and how it is trusted."""

    client: MailServerClient
    desk: TokenDesk
    microsoft: Server
    google: Server
    tls: ssl.SSLContext
    ca: str

    def session(
        self, user: str, *, server: Server | None = None, tls: ssl.SSLContext | None = None
    ) -> SmtpSession:
        """A session that is not connected yet."""
        return SmtpSession(server or self.microsoft, Login(user), tls=tls or self.tls, resolve=resolve)


def resolve(host: str, port: int) -> list[str]:
    """The checked addresses of a host, loopback among them."""
    return network.resolve(host, port, LOOPBACK)


@pytest.fixture(scope="session")
def running_post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """One mail server for the whole run."""
    authority = Authority.create(tmp_path_factory.mktemp("post"))
    desk = TokenDesk()
    with _Introspection(desk, authority, authority.directory) as url:
        usual = authority.issue("mail")
        with MailServer(usual.certfile, usual.keyfile, url, authority.cafile) as server:
            yield Post(
                MailServerClient(server.url),
                desk,
                Server(*server.microsoft),
                Server(*server.google),
                network.tls_context(authority.pem),
                authority.pem,
            )


@pytest.fixture
def post(running_post: Post) -> Post:
    """The mail server, empty and without faults."""
    running_post.client.reset()
    return running_post


class _Introspection:
    def __init__(self, desk: TokenDesk, authority: Authority, directory: Path) -> None:
        certificate = authority.issue("desk")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certfile, certificate.keyfile)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps(desk.introspect(asked["token"])).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> str:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Tokens:
    """Gives the access tokens of one mailbox; counts what it was asked."""

    def __init__(self, desk: TokenDesk, user: str) -> None:
        self._desk = desk
        self._user = user
        self.asked: list[int | None] = []
        self.refusal: Diagnosis | None = None
        self.trouble: Exception | None = None
        self.version = 1
        self.value = desk.issue(user)

    def __call__(self, account: str, *, failed_version: int | None = None, **_: Any) -> AccessToken:
        """The token, a new one if this one has failed."""
        self.asked.append(failed_version)
        if self.trouble is not None:
            raise self.trouble
        if self.refusal is not None:
            raise Diagnosed(self.refusal)
        if failed_version == self.version:
            self.version += 1
            self.value = self._desk.issue(self._user)
        return AccessToken(Secret(self.value), self.version, clock.now() + clock.HOUR)


class World(Gateway):
    """The production assembly with one connected account, tokens of the desk, and a clock that is moved."""

    def __init__(self, aws: Aws, post: Post) -> None:
        super().__init__(_settings(aws, post), clock=self.now)
        self.__dict__["clients"] = aws.clients
        self.post = post
        self.ahead = 0
        self.sqs, self.queue = aws.clients.sqs, aws.settings.relay_queue_url
        address = f"ada-{secrets.token_hex(4)}@contoso.com"
        connector = self.registry.new_connector("microsoft", "", "client", "common")
        self.registry.add_connector(connector)
        self._account = self.registry.create_account(connector.id, address, display_name="Ada")
        self.change(grant_state=GrantState.ACTIVE, connected_at=clock.now())
        self.desk = Tokens(post.desk, address)
        self.__dict__["access_tokens"] = SimpleNamespace(fresh=self.desk)
        self.caller = _caller(Scope.SEND, Scope.READ, Scope.ADMIN)
        self.callers_table.add(self.caller)

    def now(self) -> int:
        """The time, put forward by `ahead`."""
        return clock.now() + self.ahead

    @property
    def account_id(self) -> str:
        """The account's id, also when the account is gone."""
        return self._account.id

    @property
    def account(self) -> Account:
        """The account as it is now."""
        return self.registry.account(self._account.id)

    def change(self, **facts: Any) -> None:
        """Writes facts of the account."""
        part: Any = self.accounts_table.facts_part(self._account.id, **facts)
        self.clients.dynamodb.transact_write_items(TransactItems=[part])

    def lose_consent(self) -> None:
        """There is no token until the owner connects the mailbox again, and the account says so."""
        self.desk.refusal = RECONNECT
        self.change(grant_state=GrantState.NEEDS_RECONNECT)

    def forget_account(self) -> None:
        """Takes the account's row away, as nothing in the product does."""
        key: Any = {"account": {"S": self._account.id}}
        self.clients.dynamodb.delete_item(TableName=self.settings.table("accounts"), Key=key)

    def accept(self, **changes: Any) -> str:
        """A small message's id."""
        asked = {
            "account": self._account.id,
            "to": ["bob@example.net"],
            "subject": "s",
            "text": "hello",
            **changes,
        }
        return self.send.accept(self.caller, asked).id

    def serve(self, *, minutes: int = 15) -> dict[str, int]:
        """One visit of a worker; what its attempts ended in."""
        return self.relay.run(self._account.id, until=self.now() + minutes * clock.MINUTE).outcomes

    def serve_two_then(self, **fault: Any) -> None:
        """A visit whose server takes two messages and then answers MAIL with the fault."""
        finish, begun = self.messages_table.finish, []

        def counting(*arguments: Any) -> bool:
            begun.append(arguments)
            if len(begun) == SOME:
                self.post.client.inject("MAIL", **fault)
                self.messages_table.finish = finish  # type: ignore[method-assign]
            return finish(*arguments)

        self.messages_table.finish = counting  # type: ignore[method-assign, assignment]
        self.serve()

    def record(self, message: str) -> dict[str, Any]:
        """The record as callers see it."""
        found, held = self.outbox.get(self.caller, message)
        return message_record(found, held=held).to_json()

    def wakeups_sent(self) -> int:
        """How many wake-ups of this account lie in the queue; takes them out."""
        own = 0
        while found := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for one in found:
                own += self._account.id in one["Body"]
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"])
        return own


def _settings(aws: Aws, post: Post) -> Settings:
    facts = {
        "smtp_host": post.microsoft.host,
        "smtp_port": post.microsoft.port,
        "max_recipients": 10,
        "max_size": 100_000,
    }
    return replace(
        aws.settings,
        provider_endpoints={"microsoft": facts},
        extra_ca=post.ca,
        allowed_private_networks=LOOPBACK,
    )


def _caller(*scopes: Scope) -> Caller:
    return Caller(
        ids.new_id("key"), CallerKind.KEY, "tests", frozenset(scopes), frozenset({"*"}), clock.now()
    )


@pytest.fixture
def world(aws: Aws, post: Post) -> World:
    """An account of its own, with stores and a mail server."""
    return World(aws, post)
