"""Exports of other systems, read into one form."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.fernet import Fernet

from cli.imports import Exported, UnreadableExport, read

ADA = Exported("ada@contoso.test", "token-of-ada")


def nobody(address: str) -> str:
    """A password is asked for where none is needed."""
    raise AssertionError(address)


def proxy_file(password: str, iterations: int | None) -> str:
    """A configuration of email-oauth2-proxy with one mailbox."""
    salt = b"0123456789abcdef"
    derived = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations or 100_000)
    token = Fernet(base64.urlsafe_b64encode(derived)).encrypt(b"token-of-ada").decode()
    lines = [
        "# email-oauth2-proxy",
        "[SMTP-2587]",
        "server_address = smtp-mail.outlook.com",
        "[ada@contoso.test]",
        "client_id = 1b6e",
        "client_secret = 50%%",
        f"token_salt = {base64.b64encode(salt).decode()}",
        *([f"token_iterations = {iterations}"] if iterations else []),
        f"refresh_token = {token}",
        "[new@contoso.test]",
        "client_id = 1b6e",
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"address": "ada@contoso.test", "refresh_token": "token-of-ada"}]),
        json.dumps({"email": "ada@contoso.test", "oauth2": {"refreshToken": "token-of-ada"}}),
        json.dumps({"accounts": [{"email": "ada@contoso.test", "oauth2": {"refreshToken": "token-of-ada"}}]}),
        json.dumps([{"doctype": "Token Cache", "user": "ada@contoso.test", "refresh_token": "token-of-ada"}]),
        json.dumps([{"username": "ada@contoso.test", "oauth2ClientId": 1, "refreshToken": "token-of-ada"}]),
        "\ufeffaddress,refresh_token\r\nada@contoso.test,token-of-ada\r\n",
    ],
)
def test_each_system_has_its_names_for_the_same(text: str) -> None:
    assert read(text, nobody) == [ADA]


def test_a_shared_mailbox_knows_who_signs_in() -> None:
    auth = {"user": "ada@contoso.test", "delegatedUser": "sales@contoso.test"}
    text = json.dumps({"account": "1", "name": "Sales", "oauth2": {"auth": auth, "refreshToken": "t"}})

    assert read(text, nobody) == [Exported("sales@contoso.test", "t", "Sales", "ada@contoso.test")]


@pytest.mark.parametrize("iterations", [None, 1_000])
def test_a_token_that_the_proxy_encrypted_is_opened_with_its_password(iterations: int | None) -> None:
    assert read(proxy_file("secret", iterations), lambda _: "secret") == [ADA]


def test_another_password_is_told() -> None:
    with pytest.raises(UnreadableExport, match="another one"):
        read(proxy_file("secret", 1_000), lambda _: "wrong")


@pytest.mark.parametrize(
    "text",
    [
        '{"address": ',
        '[{"address": "ada@contoso.test"}]',
        '[{"refresh_token": "token-of-ada"}]',
        "[1]",
        "[section\nx",
        "address\nada@contoso.test\n",
    ],
)
def test_what_cannot_be_read_is_refused_without_a_token_in_the_error(text: str) -> None:
    with pytest.raises(UnreadableExport) as refused:
        read(text, nobody)

    assert "token-of-ada" not in str(refused.value)
