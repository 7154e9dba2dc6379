"""What is composed comes out of servers that others have written as it went in, besides the sandbox's own.

Dovecot's submission service, which hands mail on to Postfix, and Postfix itself. Both check logins at the
provider, and our own session speaks to them.
"""

from __future__ import annotations

import base64
import re
import secrets
import ssl
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.mail.composing import request
from chalicelib.mail.composing.compose import compose
from chalicelib.mail.ports import Limits
from chalicelib.secret import Secret
from chalicelib.transports.refusals import Refused
from chalicelib.transports.smtp.sasl import Login
from chalicelib.transports.smtp.session import Server, SmtpSession
from sandbox.submission import SubmissionServers
from tests.helpers import until
from tests.unit import header_reader
from tests.unit.header_reader import Mailbox
from tests.unit.mail_world import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.accounts.models.account import Account
    from chalicelib.mail.composing.frozen import Frozen
    from sandbox.certs import Authority
    from sandbox.mailserver.client import MailServerClient
    from sandbox.mailserver.server import MailServer
    from sandbox.provider import ControlClient, Provider
    from tests.unit.accounts_world import World

ADDED = frozenset({"received", "return-path", "delivered-to", "x-original-to"})
"""Fields that servers put on top (RFC 5321, section 4.4)."""

PASSWORD = secrets.token_hex(8)
LONG_NAME = (
    'Office of the Director, North (Sales): "Team" @ Contoso. [EMEA] and all of its many friends, etc.'
)
SUBJECTS = {
    "plain": "A letter about an order, its parts and whatever else there is to say about it",
    "german": "Grüße aus München, über Straßen und Brücken, für alle, die es genau wissen wollen, und mehr",
    "russian": "Ваш заказ принят и будет отправлен сегодня вечером, если вы успеете подтвердить его вовремя",  # noqa: RUF001
    "chinese": "您的订单已经收到，我们会在今天晚上发货，如有任何问题请随时与我们联系，谢谢您的支持与信任",  # noqa: RUF001
    "arabic": "تم استلام طلبك وسيتم شحنه مساء اليوم إذا أكدته في الوقت المناسب",
    "emoji": "A family \U0001f468\u200d\U0001f469\u200d\U0001f467, a flag \U0001f1e9\U0001f1ea, " * 3 + "end",
    "encoded": "=?utf-8?q?a=0D=0AReply-To:_eve=40evil.example?= is text",
}
ICS = b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"


def encoded(content: bytes) -> str:
    """As the request has bytes."""
    return base64.b64encode(content).decode()


def picture(number: int) -> dict[str, str]:
    """An image that the HTML shows."""
    content = encoded(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    return {"filename": f"bild-{number}-ä.png", "content": content, "content_id": f"p{number}"}


NAMES: dict[str, Any] = {
    "to": [{"address": "b@example.net", "name": LONG_NAME}, {"address": "c@example.net", "name": "Ö, Ä"}],
    "cc": [{"address": "d@example.net", "name": 'Plain "Quoted" Name'}],
    "reply_to": [{"address": "desk@example.net", "name": LONG_NAME}],
    "text": "Names.",
}
FILES: dict[str, Any] = {
    "subject": "Bilder",
    "text": "Siehe Bilder.\n",
    "html": "<p>ä<img src='cid:p1'><img src='cid:p2'>" + "x" * 3_000,
    "attachments": [
        picture(1),
        picture(2),
        {"filename": "Rechnung Nr. 1 (Größe, final).pdf", "content": encoded(bytes(range(256)) * 300)},
        {
            "filename": "invite.ics",
            "content": encoded(ICS),
            "content_type": "text/calendar; charset=utf-8; method=REQUEST",
        },
    ],
}
WRITTEN: dict[str, dict[str, Any]] = {
    "names": NAMES,
    "files": FILES,
    "text": {"text": "\n".join(SUBJECTS.values())},
    "html": {"html": "<p>Grüße"},
    "headers": {"text": "x", "headers": {"X-Order": "4711", "References": "<1@x.example> " * 30}},
    "dots": {"text": ".\n..\n.x\n\n.\nFrom me\n>From me\nend\n"},
    "nothing": {},
}
TOP = b"From: Ada <%s>\r\nTo: Team: b@example.net, =?utf-8?q?=C3=96?= <c@example.net>;\r\n"
RAW = {
    "raw lines": TOP
    + b"sUBJECT:  folded\r\n\tby somebody\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\n"
    + b".\r\n..\r\n.x\r\n \r\n\r\n",
    "raw LF": TOP.replace(b"\r\n", b"\n") + b"\n.\nFrom here on\n\xc3\xa4 eight bits \xff\n",
    "raw mbox": b"\xef\xbb\xbfFrom nobody Mon Jan  1 00:00:00 2026\n" + TOP + b"\r\nbody\rwith\rCR",
    "raw header": TOP,
    "raw long": TOP + b"X-Long: " + b"x" * 900 + b"\r\n " + b"y" * 990 + b"\r\n\r\n" + b"z" * 998 + b"\r\n",
}


@pytest.fixture(scope="module")
def servers(people: tuple[Provider, ControlClient, Authority]) -> Iterator[SubmissionServers]:
    """Dovecot's submission service and Postfix."""
    if missing := SubmissionServers.missing():
        pytest.skip(missing)
    provider, _, authority = people
    with SubmissionServers(authority.issue("submission"), provider.url, authority.cafile) as running:
        yield running


@pytest.fixture
def account(mailing: World) -> Account:
    """A connected account."""
    connected = mailing.connected("microsoft")
    return replace(connected, display_name="Ada Ä, Lovelace")


def composed(account: Account, fields: dict[str, Any]) -> Frozen:
    """The message as it is stored, with a Message-ID of its own."""
    asked = request.read({"account": account.id, "to": ["b@example.net"], **fields})
    message = f"msg_{secrets.token_hex(8)}"
    return compose(asked, account, message, now=1_700_000_000_000, limits=Limits())


def send(authority: Authority, server: Server, login: Login, secret: Secret, messages: list[Frozen]) -> None:
    """Hands all messages to the server over one connection."""
    tls = ssl.create_default_context(cafile=str(authority.cafile))
    session = SmtpSession(server, login, tls=tls, resolve=resolve)
    session.connect()
    session.authenticate(secret)
    for message in messages:
        assert session.transfer(message.envelope, message.body) == {}
        assert session.commit().code == 250
    session.quit()


def parted(message: bytes) -> tuple[list[bytes], bytes]:
    """The fields of a message as they stand, without those that servers add, and its body."""
    header, _, body = message.partition(b"\r\n\r\n")
    fields = re.findall(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*", header + b"\r\n")
    return [field for field in fields if field.partition(b":")[0].decode().lower() not in ADDED], body


def delivered(servers: SubmissionServers, frozen: Frozen) -> bytes | None:
    """The message in Postfix's Maildir, its lines ending with CRLF, or None."""
    for content in servers.postfix.messages():
        if f"\nMessage-ID: {frozen.message_id}\n".encode() in content:
            return content.replace(b"\n", b"\r\n")
    return None


@dataclass(frozen=True)
class Wire:
    """Sends messages of an account to one of the other servers, and to the sandbox's own."""

    servers: SubmissionServers
    world: World
    own: tuple[MailServer, MailServerClient]
    account: Account
    through: str

    @property
    def server(self) -> Server:
        """The other server."""
        is_dovecot = self.through == "dovecot"
        ports = self.servers.dovecot.ports
        return Server("127.0.0.1", ports["submission"] if is_dovecot else self.servers.postfix.submission)

    def carry(self, messages: dict[str, Frozen]) -> dict[str, bytes]:
        """The messages as they came out of the other server.

        At both servers the fields are the same, to the byte and in their order, and so is the body.
        """
        token = self.world.access_tokens.fresh(self.account.id).value
        server, client = self.own
        for place in (self.server, Server(*server.microsoft)):
            send(self.world.authority, place, Login(self.account.address), token, [*messages.values()])
        arrived = {name: until(partial(delivered, self.servers, frozen)) for name, frozen in messages.items()}
        for name, frozen in messages.items():
            ours = client.raw(client.wait_for(frozen.message_id)["number"])
            assert parted(arrived[name]) == parted(frozen.body), name
            assert parted(ours) == parted(frozen.body), name
        return arrived


@pytest.fixture(params=["dovecot", "postfix"])
def wire(
    request: pytest.FixtureRequest,
    servers: SubmissionServers,
    mailing: World,
    mail_server: MailServer,
    mail: MailServerClient,
    account: Account,
) -> Wire:
    """Each of the other servers."""
    return Wire(servers, mailing, (mail_server, mail), account, request.param)


def test_ua1_what_is_composed_leaves_other_servers_as_it_went_in(wire: Wire) -> None:
    wire.carry({name: composed(wire.account, fields) for name, fields in WRITTEN.items()})


def test_ua3_subjects_of_any_script_leave_other_servers_as_they_were_written(wire: Wire) -> None:
    messages = {name: composed(wire.account, {"subject": text}) for name, text in SUBJECTS.items()}

    arrived = wire.carry(messages)

    shown = {name: header_reader.field(message, "Subject") for name, message in arrived.items()}
    assert {name: header_reader.text(subject) for name, subject in shown.items()} == SUBJECTS


def test_ua2_names_leave_other_servers_as_they_were_written(wire: Wire) -> None:
    arrived = wire.carry({"names": composed(wire.account, NAMES)})["names"]

    people = {name: header_reader.mailboxes(header_reader.field(arrived, name)) for name in ("To", "Cc")}
    assert people == {
        "To": [Mailbox("b@example.net", LONG_NAME), Mailbox("c@example.net", "Ö, Ä")],
        "Cc": [Mailbox("d@example.net", 'Plain "Quoted" Name')],
    }
    assert header_reader.mailboxes(header_reader.field(arrived, "From")) == [
        Mailbox(wire.account.address, wire.account.display_name)
    ]


def test_ua7_files_leave_other_servers_as_they_were_given(wire: Wire) -> None:
    arrived = wire.carry({"files": composed(wire.account, FILES)})["files"]

    message = message_from_bytes(arrived, policy=policy.default)
    files = {part.get_filename(): part for part in message.walk() if part.get_filename()}
    assert {name: part.get_content_type() for name, part in files.items()} == {
        "bild-1-ä.png": "image/png",
        "bild-2-ä.png": "image/png",
        "Rechnung Nr. 1 (Größe, final).pdf": "application/pdf",
        "invite.ics": "text/calendar",
    }
    assert files["invite.ics"].get_param("method") == "REQUEST"
    for file in FILES["attachments"]:
        assert files[file["filename"]].get_payload(decode=True) == base64.b64decode(file["content"])


def test_ua8_raw_mail_leaves_other_servers_as_it_was_accepted(wire: Wire) -> None:
    own = wire.account.address.encode()

    wire.carry(
        {
            name: composed(wire.account, {"to": None, "raw": encoded(raw.replace(b"%s", own))})
            for name, raw in RAW.items()
        }
    )


def test_the_other_servers_check_who_signs_in(wire: Wire) -> None:
    """By token or by app password, each of the provider's, and no other."""
    world, account = wire.world, wire.account
    world.control.register_user(account.address, provider="microsoft", app_password=PASSWORD)
    message = composed(account, {"text": "x"})
    by_password = Login(account.address, by_password=True)

    send(world.authority, wire.server, by_password, Secret(PASSWORD), [message])

    assert until(partial(delivered, wire.servers, message))
    for login, secret in (
        (Login(account.address), "x" * 20),
        (by_password, "x" * 20),
        (Login("boss@mail.example"), world.access_tokens.fresh(account.id).value.reveal()),
    ):
        with pytest.raises(Refused) as refused:
            send(world.authority, wire.server, login, Secret(secret), [message])
        assert refused.value.reply is not None
        assert refused.value.reply.code == 535
