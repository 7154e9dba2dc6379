"""Every example of docs/api.md does what the page says: its commands are run, its answers are judged."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from chalicelib.web.api import accounts, callers, connectors, encryption, messages, providers, status
from chalicelib.web.api.table import ROUTES, STATUSES
from chalicelib.web.openapi import examples
from chalicelib.web.openapi.answers import ANSWERS
from chalicelib.web.openapi.document import noun_of
from cli.reference import curl
from sandbox.cast import TENANT
from sandbox.credentials import ClientCertificate, ServiceAccountKey
from tests.contract import answer_validator
from tests.helpers import in_state

if TYPE_CHECKING:
    from pathlib import Path

    from chalicelib.web.api.table import ApiView
    from chalicelib.wiring import Gateway
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

CURLRC = """\
cacert = "{cafile}"
silent
write-out = "\\n%{{http_code}}"
"""

SECRETS = ("new-secret-from-the-portal", "secret-from-the-portal", "secret-from-the-console")

EVERY = {(view, name) for _, _, view in ROUTES for name in examples.REQUESTS.get(view, {"": None})}


@dataclass
class Reader:
    """Somebody who copies the commands of the page. `known` says what to write instead of an example's id."""

    sandbox: Sandbox
    home: Path
    known: dict[str, str] = field(default_factory=dict)
    tried: set[tuple[ApiView, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Trusts the sandbox's CA, as its owner would by a configuration of curl."""
        (self.home / ".curlrc").write_text(CURLRC.format(cafile=self.sandbox.authority.cafile))
        self.known |= {"mg_…": self.sandbox.key, "contoso.com": "common"}  # the provider has other tenants
        for example in SECRETS:  # the page shows them, so they must be no real ones
            self.known[example] = secrets.token_urlsafe(24)
        self.known['"name": "sales'] = f'"name": "sales-{secrets.token_hex(4)}'

    def runs(self, view: ApiView, name: str = "") -> dict[str, Any]:
        """Runs an example's command, and returns its answer after it was held against the description."""
        method, path = next(route[:2] for route in ROUTES if route[2] is view)
        command = curl(method, path, view, examples.REQUESTS.get(view, {}).get(name))
        for example, real in self.known.items():
            command = command.replace(example, real)
        text, _, said = self._shell(command).rpartition("\n")
        assert said == str(STATUSES.get(view, 200)), (command, text)
        answer: dict[str, Any] = json.loads(text)
        judge = answer_validator(f"{noun_of(view)}.{view.__name__}", said)
        assert [str(error) for error in judge.iter_errors(answer)] == []
        self.tried.add((view, name))
        return answer

    def first(self, view: ApiView) -> dict[str, Any]:
        """Runs the first example, whose answer has the very fields that the page shows."""
        answer = self.runs(view, next(iter(examples.REQUESTS.get(view, {"": None}))))
        assert answer.keys() == ANSWERS[view].to_json().keys()
        return answer

    def _shell(self, command: str) -> str:
        environment = {**os.environ, "MAILGRANT_URL": self.sandbox.url, "CURL_HOME": str(self.home)}
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout


def escaped(text: str) -> str:
    """The text as it stands inside a string of JSON."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def pfx(certificate: ClientCertificate) -> str:
    """The certificate as a file of Windows, in base64."""
    key = load_pem_private_key(certificate.private.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    made = x509.load_pem_x509_certificate(certificate.certificate.encode())
    packed = serialize_key_and_certificates(
        b"mailgrant", key, made, None, BestAvailableEncryption(b"its-own")
    )
    return base64.b64encode(packed).decode()


@pytest.fixture
def reader(sandbox: Sandbox, tmp_path: Path) -> Reader:
    """A reader of the page."""
    return Reader(sandbox, tmp_path)


def test_every_example_works(sandbox: Sandbox, cast: Cast, gateway: Gateway, reader: Reader) -> None:
    """From the first connector to the last caller; nothing of the page is left out."""
    reader.first(providers.listed)
    follow_a_connector(sandbox, reader)
    follow_other_connectors(sandbox, reader)
    follow_an_account(cast, reader)
    follow_other_ways(cast, gateway, reader)
    follow_messages(sandbox, cast, reader)
    follow_the_end_of_an_account(reader)
    follow_callers(reader)
    reader.first(status.show)
    reader.first(encryption.rewrap)
    reader.runs(encryption.rewrap, "The next ones")

    assert reader.tried == EVERY


def follow_a_connector(sandbox: Sandbox, reader: Reader) -> None:
    """One is registered, gets another name and another secret, and is deleted."""
    reader.runs(connectors.create, "Google")
    made = reader.first(connectors.create)
    reader.known[examples.CONNECTOR] = made["id"]
    new = reader.known[SECRETS[0]]
    sandbox.provider.register_client(made["client_id"], new, [made["redirect_uri"]], "microsoft")

    shown = [reader.first(view) for view in (connectors.listed, connectors.show, connectors.change)]
    replaced = reader.first(connectors.replace_secret)
    made_here = ClientCertificate.create()
    sandbox.provider.register_client(
        made["client_id"], new, [made["redirect_uri"]], "microsoft", keys=[made_here.certificate]
    )
    reader.known["MIIKcQIBAzCCCjcGCSqGSIb3DQEH…"] = pfx(made_here)
    certified = reader.runs(connectors.replace_secret, "A certificate")
    reader.first(connectors.doctor)
    deleted = reader.first(connectors.delete)

    assert made["id"] in [one["id"] for one in shown[0]["connectors"]]
    assert replaced["check"] == certified["check"] == {"ok": True}
    assert deleted["id"] == made["id"]


def follow_other_connectors(sandbox: Sandbox, reader: Reader) -> None:
    """What else proves who asks: a certificate, a service account's key, nothing, a secret elsewhere."""
    real = {
        "-----BEGIN PRIVATE KEY-----…-----END CERTIFICATE-----": ClientCertificate.create().pem,
        '{"type": "service_account", "client_id": "4711", …}': ServiceAccountKey.create().text,
        "https://login.example.com": f"{sandbox.provider_url}/openid",
        "smtp.example.com": "localhost",
    }
    reader.known |= {escaped(example): escaped(value) for example, value in real.items()}
    reader.known["contoso.com"] = TENANT
    made = [
        reader.runs(connectors.create, name)
        for name in (
            "An application with a certificate",
            "A service account",
            "Mailboxes with passwords",
            "Any OpenID provider",
        )
    ]
    assert [one["credential"] for one in made] == ["certificate", "service_account", "none", "secret"]


def follow_an_account(cast: Cast, reader: Reader) -> None:
    """Its owner connects it, by the first link and again by another one."""
    reader.known[examples.CONNECTOR] = cast.connector("google")["id"]
    made = reader.first(accounts.create)
    reader.known[examples.ACCOUNT] = made["id"]
    cast.mailbox("google", examples.ADDRESS)
    for link in (made["connect_link"], reader.first(accounts.renew_link)["connect_link"]):
        cast.person().connect(link, mailbox=examples.ADDRESS).raise_for_status()

    shown, renamed = reader.first(accounts.show), reader.first(accounts.change)
    listed, verified = reader.first(accounts.listed), reader.first(accounts.verify)

    assert (shown["status"], renamed["display_name"]) == ("connected", "Sales in Europe")
    assert listed["accounts"]
    assert verified["ok"], verified


def follow_other_ways(cast: Cast, gateway: Gateway, reader: Reader) -> None:
    """Without a browser, and another way for the same account and back."""
    first, connector = reader.known[examples.ACCOUNT], reader.known[examples.CONNECTOR]
    grant = gateway.grants_table.get(first)
    assert grant is not None
    reader.known["token-of-another-system"] = gateway.keeper.reveal(grant).reveal()
    imported = reader.runs(accounts.connect, "By a refresh token")
    reader.known["app-password"] = cast.app_password("google", examples.ADDRESS)
    switched = reader.runs(accounts.connect, "By a password")
    back = reader.first(accounts.roll_back)
    further = reader.runs(accounts.change, "Further addresses")
    reader.first(accounts.doctor)
    assert [one["connection"]["ok"] for one in (imported, switched, back)] == [True, True, True]
    assert further["from_addresses"] == ["orders@example.com"]

    reader.known[f'"address": "{examples.ADDRESS}'] = f'"address": "{secrets.token_hex(4)}@example.com'
    assert reader.runs(accounts.create, "A shared mailbox")["connect_link"]
    mailbox = f"{secrets.token_hex(4)}@example.com"
    reader.known[f'"address": "{examples.ADDRESS}'] = f'"address": "{mailbox}'
    reader.known["app-password"] = cast.app_password("google", mailbox)
    assert reader.runs(accounts.create, "With a password")["connection"]["ok"] is True

    application = cast.application()
    own = cast.account(
        application,
        cast.applications_mailbox(application, f"{secrets.token_hex(4)}@example.com"),
        auth_mode="client_credentials",
    )
    reader.known[examples.ACCOUNT] = own["id"]
    assert reader.first(accounts.connect)["connection"]["ok"] is True
    reader.known |= {examples.ACCOUNT: first, examples.CONNECTOR: connector}


def follow_messages(sandbox: Sandbox, cast: Cast, reader: Reader) -> None:
    """One is unknown and settled, one is cancelled while the account is paused, one is sent."""
    sandbox.mail.inject("DOT", "drop", when="after_store", user=examples.ADDRESS)
    unknown = reader.first(messages.accept)["id"]
    in_state(cast, unknown, "unknown")
    reader.known[examples.MESSAGE] = unknown
    resolved = reader.first(messages.resolve)
    paused = reader.first(accounts.pause)
    waiting = reader.runs(messages.accept, "HTML with an attachment")["id"]
    reader.known[examples.MESSAGE] = waiting
    cancelled = reader.first(messages.cancel)
    whole = reader.runs(messages.accept, "A whole message")["id"]
    resumed = reader.first(accounts.resume)
    sent = in_state(cast, whole, "sent")

    assert resolved["state"] == "sent"
    assert (paused["status"], cancelled["state"], resumed["status"]) == ("paused", "cancelled", "connected")
    assert len(sandbox.mail.messages(message_id=sent["message_id"])) == 1
    assert reader.first(messages.show)["id"] == waiting
    assert {one["id"] for one in reader.first(messages.listed)["messages"]} == {unknown, waiting, whole}


def follow_the_end_of_an_account(reader: Reader) -> None:
    """It is disconnected, deleted and restored."""
    assert reader.first(accounts.disconnect)["status"] == "disconnected"
    assert reader.first(accounts.delete)["deleted"] is True
    assert reader.first(accounts.restore)["connect_link"]


def follow_callers(reader: Reader) -> None:
    """A key, a role and an alias are allowed, held to other limits, and revoked."""
    key = reader.first(callers.create)
    role = reader.runs(callers.create, "An IAM role")
    alias = reader.runs(callers.create, "An alias of send")
    listed = {one["id"] for one in reader.first(callers.listed)["callers"]}
    for made in (alias, key):
        reader.known[examples.CALLER] = made["id"]
        assert reader.first(callers.limit)["messages_per_minute"] == 30
        assert reader.runs(callers.limit, "No limit of messages")["messages_per_minute"] is None
        assert reader.first(callers.revoke)["revoked_at"]

    assert {key["id"], role["id"], alias["id"]} <= listed
    assert reader.first(callers.revoke_by_query)["id"] == role["id"]
    assert reader.first(callers.whoami)["kind"] == "key"
