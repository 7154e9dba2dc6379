"""Every kind of connector and mailbox of the cast can be connected, through the deployed application."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.cast import CLOUDS, DOMAIN, TENANT

if TYPE_CHECKING:
    from sandbox.cast import Cast, CloudName
    from sandbox.stack import Sandbox

pytestmark = pytest.mark.aws


def address_at(domain: str) -> str:
    """A new address."""
    return f"someone-{secrets.token_hex(4)}@{domain}"


def assert_signed_in(sandbox: Sandbox, account: dict[str, Any], listener: str) -> None:
    """Check that the application has signed in at the mail server, which let it."""
    assert account["connection"]["diagnosis" if not account["connection"]["ok"] else "ok"] is True
    assert account["status"] == "connected"
    last = sandbox.mail.sessions()[-1]
    assert (last["listener"], last["user"]) == (listener, account["address"])


@pytest.mark.parametrize("credential", ["secret", "certificate", "federated"])
def test_an_application_signs_in_to_a_mailbox_by_itself(
    sandbox: Sandbox, cast: Cast, credential: Any
) -> None:
    connector = cast.application(credential)
    mailbox = cast.applications_mailbox(connector, address_at(TENANT))

    account = cast.account(connector, mailbox, auth_mode="client_credentials")

    assert_signed_in(sandbox, account, "microsoft")


@pytest.mark.parametrize("cloud", [cloud for cloud in CLOUDS if cloud != "global"])
def test_an_application_of_another_cloud_signs_in(sandbox: Sandbox, cast: Cast, cloud: CloudName) -> None:
    connector = cast.application(cloud=cloud)
    mailbox = cast.applications_mailbox(connector, address_at(TENANT))

    account = cast.account(connector, mailbox, auth_mode="client_credentials")

    assert_signed_in(sandbox, account, "microsoft")


def test_a_service_account_signs_in_for_a_person(sandbox: Sandbox, cast: Cast) -> None:
    mailbox = cast.mailbox("google", address_at(DOMAIN), tenant=DOMAIN)

    account = cast.account(cast.delegated(), mailbox, auth_mode="service_account")

    assert_signed_in(sandbox, account, "google")


@pytest.mark.parametrize("implicit", [False, True])
def test_an_app_password_opens_a_mailbox(sandbox: Sandbox, cast: Cast, *, implicit: bool) -> None:
    mailbox = address_at("mail.example")
    password = cast.app_password("other", mailbox)
    connector = cast.other("none", implicit=implicit)

    account = cast.account(connector, mailbox, auth_mode="password", password=password)

    assert_signed_in(sandbox, account, "other")


@pytest.mark.parametrize("client_auth", ["post", "basic", "private_key_jwt", "none"])
def test_any_openid_provider_is_connected_through_its_pages(cast: Cast, client_auth: str) -> None:
    account = cast.connected("other", address_at("mail.example"), connector=cast.other(client_auth))

    assert account["status"] == "connected"
