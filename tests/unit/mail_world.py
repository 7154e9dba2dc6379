"""The mail side with real stores (the emulator's) and a real mail server, and a clock that tests move."""

from __future__ import annotations

import http.server
import json
import secrets
import ssl
import threading
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib import clock, ids, network
from chalicelib.accounts.models import AccessToken, Account, Connector, GrantState
from chalicelib.aws.blobs import Bucket
from chalicelib.aws.tables.lanes import LanesTable
from chalicelib.aws.tables.messages import MessagesTable
from chalicelib.aws.wakeups import WakeupQueue
from chalicelib.callers.models import Caller, CallerKind, Scope
from chalicelib.callers.permissions import require, unknown_account
from chalicelib.errors import Diagnosed
from chalicelib.mail.delivery import Delivery
from chalicelib.mail.lane import Lane
from chalicelib.mail.outbox import Outbox
from chalicelib.mail.ports import Limits
from chalicelib.mail.relay import Relay
from chalicelib.mail.send import Send
from chalicelib.secret import Secret
from chalicelib.settings import Settings
from chalicelib.transports.smtp.session import Server, SmtpSession
from sandbox.certs import Authority
from sandbox.mailserver.client import MailServerClient
from sandbox.mailserver.server import MailServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chalicelib.diagnosis import Diagnosis
    from tests.unit.aws_tables import Aws

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

    def session(
        self, user: str, *, server: Server | None = None, tls: ssl.SSLContext | None = None
    ) -> SmtpSession:
        """A session that is not connected yet."""
        return SmtpSession(server or self.microsoft, user, tls=tls or self.tls, resolve=resolve)


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
        self.version = 1
        self.value = desk.issue(user)

    def __call__(self, account: str, *, failed_version: int | None = None) -> AccessToken:
        """The token, a new one if this one has failed."""
        self.asked.append(failed_version)
        if self.refusal is not None:
            raise Diagnosed(self.refusal)
        if failed_version == self.version:
            self.version += 1
            self.value = self._desk.issue(self._user)
        return AccessToken(Secret(self.value), self.version, clock.now() + clock.HOUR)


class World:
    """One connected account and everything that sends and relays its mail."""

    def __init__(self, aws: Aws, post: Post) -> None:
        self.post = post
        self.ahead = 0
        self.permitted = True
        self.slots = 3
        table, clients = aws.settings.table, aws.clients
        self.messages = MessagesTable(clients.dynamodb, table("messages"))
        self.lanes = LanesTable(clients.dynamodb, table("lanes"))
        self.blobs = Bucket(clients.s3, aws.settings.bucket)
        self.sqs, self.queue = clients.sqs, aws.settings.relay_queue_url
        self.wakeups = WakeupQueue(clients.sqs, aws.settings.relay_queue_url)
        self.connector = Connector(ids.new_id("con"), "microsoft", "c", "client", "common", clock.now())
        address = f"ada-{secrets.token_hex(4)}@contoso.test"
        self.account = Account(
            id=ids.new_id("acc"),
            name=address,
            address=address,
            connector=self.connector.id,
            created_at=clock.now(),
            grant_state=GrantState.ACTIVE,
            connected_at=clock.now(),
            display_name="Ada",
        )
        self.tokens = Tokens(post.desk, address)
        self.caller = _caller(Scope.SEND, Scope.READ, Scope.ADMIN)
        self.lane = Lane(self.lanes, self.messages, self.wakeups, self.now)
        self.outbox = Outbox(self.messages, self.lane, self.mailbox, self.wakeups, self.now)

    @cached_property
    def send(self) -> Send:
        """Accepts messages."""
        return Send(
            mailbox=self.mailbox,
            require=require,
            messages=self.messages,
            blobs=self.blobs,
            lane=self.lane,
            wakeups=self.wakeups,
            limits=lambda _: Limits(recipients=10, size=100_000),
            clock=self.now,
        )

    @cached_property
    def relay(self) -> Relay:
        """Relays them."""
        return Relay(
            messages=self.messages,
            lane=self.lane,
            delivery=Delivery(self.messages, self.blobs, lambda *_: self.permitted, self.now),
            mailbox=self.mailbox,
            fresh_token=self.tokens,
            open_session=lambda account, _: self.post.session(account.user),
            set_transport_block=self.set_transport_block,
            slots=lambda _: self.slots,
            wakeups=self.wakeups,
            clock=self.now,
        )

    def now(self) -> int:
        """The time, put forward by `ahead`."""
        return clock.now() + self.ahead

    def mailbox(self, named: str) -> tuple[Account, Connector]:
        """The account, by id or name."""
        if named not in (self.account.id, self.account.name):
            raise unknown_account()
        return self.account, self.connector

    def set_transport_block(self, account: str, diagnosis: Diagnosis | None) -> None:
        """Writes the account's fact."""
        assert account == self.account.id
        self.account = replace(self.account, transport_block=diagnosis)

    def accept(self, **changes: Any) -> str:
        """A small message's id."""
        asked = {
            "account": self.account.id,
            "to": ["bob@example.net"],
            "subject": "s",
            "text": "hello",
            **changes,
        }
        return self.send.accept(self.caller, asked).id

    def serve(self, *, minutes: int = 15) -> dict[str, int]:
        """One visit of a worker; what its attempts ended in."""
        return self.relay.run(self.account.id, until=self.now() + minutes * clock.MINUTE).outcomes

    def record(self, message: str) -> dict[str, Any]:
        """The record as callers see it."""
        from chalicelib.mail.shown import message_record

        found, held = self.outbox.get(self.caller, message)
        return message_record(found, held=held)

    def wakeups_sent(self) -> int:
        """How many wake-ups of this account lie in the queue; takes them out."""
        own = 0
        while found := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for one in found:
                own += self.account.id in one["Body"]
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"])
        return own


def _caller(*scopes: Scope) -> Caller:
    return Caller(
        ids.new_id("key"), CallerKind.KEY, "tests", frozenset(scopes), frozenset({"*"}), clock.now()
    )


@pytest.fixture
def world(aws: Aws, post: Post) -> World:
    """An account of its own, with stores and a mail server."""
    return World(aws, post)
