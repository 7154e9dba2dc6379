"""Credentials by their kind: what is kept of them, and what the provider says of them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509 import load_pem_x509_certificate

from chalicelib.accounts.admin import held
from chalicelib.accounts.models.connector import CredentialKind
from chalicelib.errors import InvalidInput, MalformedRequest, Unavailable
from chalicelib.ids import new_id
from chalicelib.secret import Secret
from sandbox.credentials import ClientCertificate, ServiceAccountKey
from tests.unit.accounts_world import world
from tests.unit.applications import ROLE, WORKSPACE, application, aws_signs, service_account

if TYPE_CHECKING:
    from chalicelib.accounts.models.connector import Connector
    from tests.unit.accounts_world import World

__all__ = ["world"]

CERTIFICATE = ClientCertificate.create()
STRANGER = ClientCertificate.create()
KEY = ServiceAccountKey.create()
PASSPHRASE = "correct horse"


def pfx(passphrase: str = PASSPHRASE) -> str:
    """CERTIFICATE as a PFX file, in Base64."""
    key: Any = load_pem_private_key(CERTIFICATE.private.encode(), None)
    certificate = load_pem_x509_certificate(CERTIFICATE.certificate.encode())
    locked = BestAvailableEncryption(passphrase.encode())
    return base64.b64encode(serialize_key_and_certificates(b"x", key, certificate, None, locked)).decode()


def read(kind: str, **given: Any) -> Secret | None:
    """What is kept of a credential of that kind."""
    return held.read(CredentialKind(kind), **given)


def kept(world: World, connector: Connector) -> str:
    """What Secrets Manager has of the connector."""
    name = world.settings.secret_name(connector.id)
    return world.clients.secretsmanager.get_secret_value(SecretId=name)["SecretString"]


# What is given


def test_a_pfx_file_and_pem_texts_are_kept_in_one_form() -> None:
    of_pem = read("certificate", certificate={"pem": CERTIFICATE.pem})
    of_pfx = read("certificate", certificate={"pfx": pfx(), "passphrase": PASSPHRASE})

    assert of_pem is not None
    assert of_pfx is not None
    assert of_pem.reveal() == of_pfx.reveal() == CERTIFICATE.pem


def test_a_certificate_is_shown_by_its_thumbprint_and_end() -> None:
    shown = held.shown(CredentialKind.CERTIFICATE, read("certificate", certificate={"pem": CERTIFICATE.pem}))

    certificate = load_pem_x509_certificate(CERTIFICATE.certificate.encode())
    assert shown["certificate"]["ends_at"] == certificate.not_valid_after_utc.timestamp() * 1000
    assert len(shown["certificate"]["thumbprint"]) == 40
    assert "KEY" not in str(shown)


def test_only_what_is_used_of_a_service_account_key_is_kept() -> None:
    forged = KEY.values | {"token_uri": "https://evil.example/token"}

    stored = read("service_account", service_account_key=json.dumps(forged))

    assert stored is not None
    assert set(json.loads(stored.reveal())) == {
        "type", "client_id", "client_email", "private_key_id", "private_key",
    }  # fmt: skip
    assert held.shown(CredentialKind.SERVICE_ACCOUNT, stored) == {
        "service_account": {"client_id": KEY.values["client_id"], "client_email": KEY.values["client_email"]}
    }


def other_key(**values: Any) -> dict[str, str]:
    """A service account key with these members."""
    return {"service_account_key": json.dumps(KEY.values | values)}


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        ("secret", {}, "client_secret"),
        ("secret", {"secret": " "}, "client_secret"),
        ("secret", {"secret": "x" * 4001}, "client_secret"),
        ("secret", {"secret": "x", "certificate": {"pem": "x"}}, "certificate"),
        ("federated", {"secret": "x"}, "client_secret"),
        ("none", {"service_account_key": "{}"}, "service_account_key"),
        ("certificate", {}, "certificate"),
        ("certificate", {"certificate": {"pem": CERTIFICATE.private}}, "certificate"),
        ("certificate", {"certificate": {"pem": CERTIFICATE.certificate}}, "certificate"),
        ("certificate", {"certificate": {"pem": CERTIFICATE.private + STRANGER.certificate}}, "certificate"),
        ("certificate", {"certificate": {"pem": CERTIFICATE.pem, "pfx": "x"}}, "certificate"),
        ("certificate", {"certificate": {"pem": CERTIFICATE.pem, "password": "x"}}, "certificate"),
        ("certificate", {"certificate": {"pem": 1}}, "certificate"),
        ("certificate", {"certificate": {"pem": "x" * 40_001}}, "certificate"),
        ("certificate", {"certificate": {"pfx": "not base64!"}}, "certificate.pfx"),
        ("certificate", {"certificate": {"pfx": base64.b64encode(b"no pfx").decode()}}, "certificate"),
        ("certificate", {"certificate": {"pfx": pfx(), "passphrase": "wrong"}}, "certificate"),
        ("service_account", {}, "service_account_key"),
        ("service_account", {"service_account_key": "no json"}, "service_account_key"),
        ("service_account", {"service_account_key": "[1]"}, "service_account_key"),
        ("service_account", {"service_account_key": "[" * 9_000}, "service_account_key"),
        ("service_account", {"service_account_key": '{"web": {"client_id": "x"}}'}, "service_account_key"),
        ("service_account", other_key(type="authorized_user"), "service_account_key"),
        ("service_account", other_key(client_email="me@evil.example"), "service_account_key"),
        ("service_account", other_key(client_id="x"), "service_account_key"),
        ("service_account", other_key(private_key="x"), "service_account_key"),
        ("service_account", other_key(more="x" * 20_000), "service_account_key"),
    ],
)  # fmt: skip
def test_a_credential_that_is_none_is_named_by_its_field(
    kind: str, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(kind, **given)

    assert refused.value.field == field
    assert refused.value.fix
    assert PASSPHRASE not in str(refused.value)


def test_a_credential_of_no_known_kind_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.credentials.save(new_id("con"), "x", kind="password")

    assert refused.value.field == "credential"


def test_a_secret_is_saved_under_a_connectors_id_only(world: World) -> None:
    with pytest.raises(MalformedRequest):
        world.credentials.save("../grants", "x")


@pytest.mark.parametrize("kind", ["federated", "none"])
def test_of_a_kind_that_is_not_kept_nothing_is_stored(world: World, kind: str) -> None:
    connector = world.registry.new_connector("microsoft", "", "client", "contoso.example", credential=kind)

    assert world.credentials.save(connector.id, kind=kind) == {}
    stored = world.registry.add_connector(connector)

    assert stored.secret_saved_at is None
    assert stored.has_credential
    with pytest.raises(world.clients.secretsmanager.exceptions.ResourceNotFoundException):
        kept(world, connector)


# What the provider says of it


@pytest.mark.parametrize("kind", ["secret", "certificate", "federated"])
def test_O19_the_provider_takes_what_the_application_proves_itself_with(world: World, kind: str) -> None:
    connector = application(world, kind)

    found = world.credentials.check(connector.id)

    assert found["ok"] is True
    assert ("thumbprint" in str(found)) is (kind == "certificate")


def test_O19_another_certificate_is_refused_and_the_old_one_stays(world: World) -> None:
    connector = application(world, "certificate")
    before = kept(world, connector)

    with pytest.raises(InvalidInput) as refused:
        world.credentials.replace(connector.id, certificate={"pem": CERTIFICATE.pem})

    assert (refused.value.error_code, refused.value.field) == ("secret_refused", "certificate")
    assert "AADSTS700027" in refused.value.message
    assert kept(world, connector) == before


def test_V11_a_new_certificate_replaces_the_old_one_which_is_kept(world: World) -> None:
    connector = application(world, "certificate")
    world.control.register_client(
        connector.client_id, "", [], "microsoft", tenant=connector.tenant, keys=[CERTIFICATE.certificate]
    )

    done = world.credentials.replace(connector.id, certificate={"pem": CERTIFICATE.pem})

    assert done["check"] == {"ok": True}
    assert done["previous_kept"] is True
    assert len(done["certificate"]["thumbprint"]) == 40
    assert kept(world, connector) == CERTIFICATE.pem


def test_O19_a_certificate_takes_the_place_of_a_secret_while_mailboxes_stay_connected(world: World) -> None:
    account = world.connected("microsoft")
    connector = world.registry.connector(account.connector)
    redirect_uri = f"{world.public_url()}/oauth/callback/{connector.id}"
    world.control.register_client(
        connector.client_id, "", [redirect_uri], "microsoft", keys=[CERTIFICATE.certificate]
    )

    world.credentials.replace(connector.id, kind="certificate", certificate={"pem": CERTIFICATE.pem})
    world.tokens.ensure(account.id, failed_version=1)

    assert world.registry.connector(connector.id).credential is CredentialKind.CERTIFICATE
    assert world.access_tokens_table.get(account.id).version == 2  # type: ignore[union-attr]


def test_O19_a_function_that_remembers_the_old_secret_uses_it_as_one(world: World) -> None:
    account = world.connected("microsoft")
    world.secrets.get(account.connector)  # and remembers it
    world.connectors_table.secret_saved(account.connector, world.now(), CredentialKind.CERTIFICATE)

    world.tokens.ensure(account.id, failed_version=1)

    assert world.access_tokens_table.get(account.id).version == 2  # type: ignore[union-attr]


def test_O19_a_token_of_aws_takes_the_place_of_a_secret_which_is_kept(world: World) -> None:
    connector = application(world)
    identity = aws_signs(world)
    world.control.register_client(
        connector.client_id, "", [], "microsoft", tenant=connector.tenant, federated=[identity.trusted(ROLE)]
    )

    done = world.credentials.replace(connector.id, kind="federated")
    stored = world.registry.connector(connector.id)

    assert done == {"check": {"ok": True}, "previous_kept": True}
    assert (stored.credential, stored.secret_saved_at) == (CredentialKind.FEDERATED, None)
    assert kept(world, connector)


def test_O19_a_federated_credential_of_another_role_is_told(world: World) -> None:
    connector = application(world, "federated")
    aws_signs(world, "arn:aws:iam::000000000000:role/another")

    found = world.credentials.check(connector.id)

    assert found["ok"] is False
    assert found["diagnosis"]["class"] == "admin"


def test_a_certificate_that_has_ended_is_told_without_asking_the_provider(world: World) -> None:
    connector = application(world, "certificate")
    before = len(world.control.token_requests())

    with pytest.raises(InvalidInput) as refused:
        world.credentials.replace(connector.id, certificate={"pem": ClientCertificate.create(days=-1).pem})

    assert "certificate_ended" in refused.value.message
    assert len(world.control.token_requests()) == before


@pytest.mark.parametrize(
    ("provider", "kind"),
    [
        ("microsoft", "service_account"),
        ("microsoft", "none"),
        ("google", "certificate"),
        ("google", "service_account"),
    ],
)
def test_a_kind_by_which_the_consents_would_not_count_is_refused(
    world: World, provider: Any, kind: str
) -> None:
    connector = world.connector(provider)

    with pytest.raises(InvalidInput) as refused:
        world.credentials.replace(connector.id, kind=kind)

    assert refused.value.field == "credential"
    assert world.registry.connector(connector.id) == connector


def test_a_service_account_is_tried_by_a_token_of_its_own(world: World) -> None:
    connector = service_account(world)

    found = world.credentials.check(connector.id)

    assert found["ok"] is True
    assert found["service_account"]["client_id"] == connector.client_id


def test_a_key_of_another_service_account_is_told(world: World) -> None:
    connector = service_account(world)

    with pytest.raises(InvalidInput) as refused:
        world.credentials.replace(connector.id, service_account_key=KEY.text)

    assert "key_of_another_service_account" in refused.value.message
    assert refused.value.field == "service_account_key"


def test_V11_a_new_key_of_the_service_account_replaces_the_old_one(world: World) -> None:
    connector = service_account(world)
    old = json.loads(kept(world, connector))
    newer = ServiceAccountKey.create()
    values = newer.values | {name: old[name] for name in ("client_id", "client_email")}
    world.control.register_service_account(values, newer.public, {WORKSPACE: []})

    done = world.credentials.replace(connector.id, service_account_key=json.dumps(values))

    assert done["check"] == {"ok": True}
    assert json.loads(kept(world, connector))["private_key"] == newer.values["private_key"]


def test_a_key_that_google_does_not_know_concerns_the_connector(world: World) -> None:
    connector = service_account(world)
    values = json.loads(kept(world, connector)) | {"private_key": KEY.values["private_key"]}
    world.credentials.replace(connector.id, check=False, service_account_key=json.dumps(values))

    found = world.credentials.check(connector.id)

    assert found["ok"] is False
    assert connector.client_id in found["diagnosis"]["fix"]


def test_a_provider_that_does_not_answer_tells_nothing(world: World) -> None:
    connector = application(world, "certificate")
    world.control.inject("token", status=503)

    with pytest.raises(Unavailable):
        world.credentials.replace(connector.id, certificate={"pem": CERTIFICATE.pem})
