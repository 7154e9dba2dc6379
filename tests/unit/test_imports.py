"""Exports of other systems, read into one form."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.fernet import Fernet

from cli.exported import Exported, UnreadableExport
from cli.imports import read

ADA = Exported(
    "",
    "ada@acme.example",
    auth_mode="authorization_code",
    refresh_token="token-of-ada",
)


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
        "[ada@acme.example]",
        "client_id = 1b6e",
        "client_secret = 50%%",
        f"token_salt = {base64.b64encode(salt).decode()}",
        *([f"token_iterations = {iterations}"] if iterations else []),
        f"refresh_token = {token}",
        "[new@acme.example]",
        "client_id = 1b6e",
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"address": "ada@acme.example", "refresh_token": "token-of-ada"}]),
        json.dumps({"email": "ada@acme.example", "oauth2": {"refreshToken": "token-of-ada"}}),
        json.dumps({"accounts": [{"email": "ada@acme.example", "oauth2": {"refreshToken": "token-of-ada"}}]}),
        json.dumps([{"doctype": "Token Cache", "user": "ada@acme.example", "refresh_token": "token-of-ada"}]),
        json.dumps(
            {
                "doctype": "Token Cache",
                "name": "App-ada@acme.example",
                "connected_app": "App",
                "user": "ada@acme.example",
                "scopes": [{"scope": "openid"}],
                "refresh_token": "token-of-ada",
            }
        ),
        json.dumps([{"username": "ada@acme.example", "oauth2ClientId": 1, "refreshToken": "token-of-ada"}]),
        "\ufeffaddress,refresh_token\r\nada@acme.example,token-of-ada\r\n",
        "address;refresh_token;auth_mode\nada@acme.example;token-of-ada;OAUTH2\n",
        "address\trefreshToken\tsmtp_host\nada@acme.example\ttoken-of-ada\t\n",
    ],
)
def test_each_system_has_its_names_for_the_same(text: str) -> None:
    assert read(text, nobody) == [ADA]


def test_emailengine_prints_one_account_after_the_other() -> None:
    """As `emailengine export` does; ``account`` is what callers name there, ``name`` stands in From."""
    shared = {"user": "ada@acme.example", "delegatedUser": "sales@acme.example"}
    accounts: list[dict[str, Any]] = [
        {"account": "1", "name": "Sales", "oauth2": {"auth": shared, "refreshToken": "t"}},
        {
            "account": "old",
            "name": "Old",
            "email": "old@host.example",
            "smtp": {"host": "smtp.host.example", "auth": {"user": "old", "pass": "secret"}},
            "imap": {"host": "imap.host.example", "auth": {"user": "old", "pass": "secret"}},
            "webhooksCustomHeaders": [],
        },
        {
            "account": "robot@acme.example",
            "oauth2": {"provider": "AAAB", "auth": {"user": "robot@acme.example"}},
        },
    ]

    found = read("\n".join(map(json.dumps, accounts)), nobody)

    assert found == [
        Exported(
            "",
            "sales@acme.example",
            name="1",
            auth_mode="authorization_code",
            refresh_token="t",
            signs_in_as="ada@acme.example",
            display_name="Sales",
        ),
        Exported(
            "",
            "old@host.example",
            name="old",
            auth_mode="password",
            password="secret",
            smtp_user="old",
            display_name="Old",
            server="smtp.host.example",
        ),
        Exported("", "robot@acme.example"),
    ]


def email_account(address: str, **fields: Any) -> dict[str, Any]:
    """A document of Frappe's type Email Account."""
    account = {"doctype": "Email Account", "email_id": address, "email_account_name": "Sales"}
    return {**account, "auth_method": "OAuth", "imap_folder": [{"folder_name": "INBOX"}], **fields}


def test_an_email_account_of_frappe_keeps_its_switches() -> None:
    switches = {"always_use_account_email_id_as_sender": 1, "always_use_account_name_as_sender_name": 1}
    text = json.dumps(email_account("sales@acme.example", backend_app_flow=1, client_id="1b6e", **switches))

    assert read(text, nobody) == [
        Exported(
            "",
            "sales@acme.example",
            name="Sales",
            auth_mode="client_credentials",
            display_name="Sales",
            from_policy="rewrite",
            always_name=True,
            client_id="1b6e",
        )
    ]


def test_another_login_id_of_frappe_is_who_signs_in_and_the_name_at_the_server() -> None:
    login = {"login_id_is_different": 1, "login_id": "ada@acme.example"}
    token = email_account("sales@acme.example", refresh_token="t", **login)
    basic = {**login, "login_id": "ada", "auth_method": "Basic", "smtp_server": "smtp.host.example"}
    password = email_account("info@host.example", email_account_name="Info", password="*****", **basic)

    consented, locally = read(json.dumps([token, password]), nobody)

    assert (consented.signs_in_as, consented.smtp_user) == ("ada@acme.example", "ada@acme.example")
    assert (locally.auth_mode, locally.smtp_user, locally.signs_in_as) == ("password", "ada", "")
    assert (locally.password, locally.server) == ("", "smtp.host.example")


def test_a_row_says_all_that_an_account_has() -> None:
    row = {
        "address": "sales@acme.example",
        "name": "sales",
        "auth_mode": "client_credentials",
        "display_name": "Sales",
        "signs_in_as": "ada@acme.example",
        "smtp_user": "robot",
        "from_addresses": "info@acme.example, shop@acme.example",
        "from_policy": "rewrite",
        "always_name": "yes",
        "reads_with": "inbox",
        "connector": "Our app",
    }

    (found,) = read(json.dumps(row), nobody)

    assert found.described == {
        "name": "sales",
        "display_name": "Sales",
        "signs_in_as": "ada@acme.example",
        "smtp_user": "robot",
        "from_policy": "rewrite",
        "reads_with": "inbox",
        "always_name": True,
        "from_addresses": ["info@acme.example", "shop@acme.example"],
    }
    assert (found.auth_mode, found.connector) == ("client_credentials", "Our app")


def test_the_two_kinds_of_extraview_are_rows() -> None:
    text = (
        "MAIL_TOKEN_NAME,address,MAIL_AUTH_TYPE,password\n"
        "shop,shop@host.example,PASSWORD,secret\ndesk,desk@acme.example,OAUTH2,\n"
    )

    found = read(text, nobody)

    assert [(one.name, one.auth_mode, one.password) for one in found] == [
        ("shop", "password", "secret"),
        ("desk", "authorization_code", ""),
    ]


@pytest.mark.parametrize("iterations", [None, 1_000])
def test_a_token_that_the_proxy_encrypted_is_opened_with_its_password(iterations: int | None) -> None:
    """A mailbox that nobody has signed in with yet is there too: its owner gets a link."""
    assert read(proxy_file("secret", iterations), lambda _: "secret") == [
        replace(ADA, client_id="1b6e"),
        Exported("", "new@acme.example", auth_mode="authorization_code", client_id="1b6e"),
    ]


@pytest.mark.parametrize(
    ("flow", "expected"), [("client_credentials", "1b6e"), ("service_account", ""), ("device", "1b6e")]
)
def test_a_flow_of_the_proxy_is_an_auth_mode(flow: str, expected: str) -> None:
    text = f"[ada@acme.example]\nclient_id = 1b6e\noauth2_flow = {flow}\naccess_token = encrypted\n"

    (found,) = read(text, nobody)

    assert found.auth_mode == (flow if flow != "device" else "authorization_code")
    assert found.client_id == expected


def test_another_password_is_told() -> None:
    with pytest.raises(UnreadableExport, match="another one"):
        read(proxy_file("secret", 1_000), lambda _: "wrong")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"address": ', "not JSON"),
        ('[{"refresh_token": "token-of-ada"}]', "Entry 1: It has no mail address, only refresh_token."),
        ("[ 1]", "Entry 1: This is not an account."),
        ("[section\nrefresh_token = token-of-ada", "not a configuration of email-oauth2-proxy"),
        ("[ada@acme.example]\nrefresh_token token-of-ada", "not a configuration of email-oauth2-proxy"),
        ("[@acme.example]\nclient_id = x", "stands for many mailboxes"),
        ("address\n", "no mailbox"),
        ("address,refresh_token\nada@no..where,token-of-ada", "Line 2: This is not one mail address"),
        ("address,name\nada@acme.example,a/b", "Line 2: The name cannot be used in a path"),
        ("address,password\nada@acme.example,token-of-ada,x", "Line 2: It has more cells"),
        ("address,auth_mode\nada@acme.example,magic", "Line 2: There is no auth mode 'magic'"),
        ("address,from_policy\nada@acme.example,magic", "Line 2: There is no policy 'magic'"),
        ("address,auth_mode,password\nada@acme.example,oauth,token-of-ada", "Line 2: An account with"),
        ("address,refresh_token\nada@acme.example,******", "Line 2: Its refresh token is hidden"),
        (
            "address,smtp_user\nada@acme.example,x\nada@acme.example,y",
            "Line 3: Several accounts have the",
        ),
    ],
)
def test_what_cannot_be_read_is_named_without_a_token_in_the_error(text: str, said: str) -> None:
    with pytest.raises(UnreadableExport) as refused:
        read(text, nobody)

    assert said in str(refused.value)
    assert "token-of-ada" not in str(refused.value)


def test_each_bad_row_is_named() -> None:
    with pytest.raises(UnreadableExport) as refused:
        read("address\nnobody\nada@acme.example\nada@no..where\n", nobody)

    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == ["Line 2", "Line 4"]


def test_what_is_read_shows_no_secret() -> None:
    text = "address,name,refresh_token,password\na@x.example,a,secret-1,\nb@x.example,b,,secret-2\n"

    assert "secret-" not in repr(read(text, nobody))


@pytest.mark.parametrize(
    "text",
    [
        "Address,Refresh_Token\nada@acme.example,token-of-ada\n",
        "\ufeffADDRESS ; refreshtoken ;\nada@acme.example;token-of-ada;\n",
        "\r\n\n address\tREFRESHTOKEN\nada@acme.example\ttoken-of-ada\n",
        '"Email","RefreshToken","",""\nada@acme.example,token-of-ada,,\n',
        json.dumps([{"Address": "ada@acme.example", "REFRESH_TOKEN": "token-of-ada"}]),
        json.dumps({"Email": "ada@acme.example", "OAuth2": {"RefreshToken": "token-of-ada"}}),
    ],
)
def test_ua9_the_case_of_names_does_not_count(text: str) -> None:
    assert read(text, nobody) == [ADA]


def test_ua9_names_of_columns_that_differ_in_case_alone_are_refused() -> None:
    for names in ("address,Address", "address,name, NAME", "Address,address ,name"):
        with pytest.raises(UnreadableExport, match=r"Line 1: The name (address|name) stands twice"):
            read(f"{names}\nada@acme.example,ada,ada\n", nobody)
    with pytest.raises(UnreadableExport, match="Entry 1: The name address stands twice"):
        read(json.dumps([{"address": "ada@acme.example", "Address": "bob@acme.example"}]), nobody)


def test_ua9_lines_are_those_of_the_file() -> None:
    with pytest.raises(UnreadableExport, match="Line 4: This is not one mail address"):
        read("\n\nAddress\nada@no..where\n", nobody)
