"""What the options of connectors and accounts become in the API's bodies."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from cli.connectors import checked
from tests.unit.test_cli import ACCOUNT, REFUSAL, body_of, run, server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.test_cli import Server

__all__ = ["server"]

ADD = ("connectors", "add", "--name", "x")
MAKE = ("accounts", "add", "--connector", "con_1", "a@x.example")


def added(server: Server, *arguments: str, stdin: str = "") -> dict[str, Any]:
    """The body by which a connector is made."""
    server.lay("POST /v1/connectors", (422, REFUSAL))
    result = run(server, *ADD, *arguments, stdin=stdin)
    assert result.exit_code == 1, result.output
    body: dict[str, Any] = body_of(server)
    return body


def made(server: Server, *arguments: str, stdin: str = "") -> dict[str, Any]:
    """The body by which an account is made."""
    server.lay("POST /v1/accounts", (422, REFUSAL))
    result = run(server, *MAKE, *arguments, stdin=stdin)
    assert result.exit_code == 1, result.output
    body: dict[str, Any] = body_of(server)
    return body


def test_a_certificate_goes_as_pem_or_as_pfx(server: Server, tmp_path: Path) -> None:
    pem, pfx = tmp_path / "client.pem", tmp_path / "client.pfx"
    pem.write_text("-----BEGIN CERTIFICATE-----\n")
    pfx.write_bytes(b"\x30\x82")
    of_pem = added(server, "--provider", "microsoft", "--certificate", str(pem))
    options = ("--provider", "microsoft", "--certificate", str(pfx), "--passphrase")
    of_pfx = added(server, *options, stdin="open sesame\n")

    assert of_pem["credential"] == "certificate"
    assert of_pem["certificate"] == {"pem": "-----BEGIN CERTIFICATE-----\n"}
    content = base64.b64encode(b"\x30\x82").decode()
    assert of_pfx["certificate"] == {"pfx": content, "passphrase": "open sesame"}


def test_a_service_accounts_key_goes_as_its_text(server: Server, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text('{"client_id": "4711"}')

    body = added(server, "--provider", "google", "--service-account-key", str(tmp_path / "key.json"))

    assert body["service_account_key"] == '{"client_id": "4711"}'
    assert "client_secret" not in body


@pytest.mark.parametrize(("option", "kind"), [("--federated", "federated"), ("--no-secret", "none")])
def test_a_secret_of_the_environment_gives_way(
    server: Server, option: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILGRANT_CLIENT_SECRET", "of the environment")

    body = added(server, "--provider", "microsoft", option)

    assert body["credential"] == kind
    assert "client_secret" not in body


def test_cloud_scopes_and_discovery(server: Server) -> None:
    options = "--provider other --client-id x --cloud dod --scope a --scope b --discover https://id.example"

    body = added(server, *options.split(), stdin="secret\n")

    assert body == {
        "provider": "other",
        "name": "x",
        "client_id": "x",
        "cloud": "dod",
        "scopes": ["a", "b"],
        "discovery": "https://id.example",
        "client_secret": "secret",
    }


def test_servers_and_other_facts(server: Server, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("PEM")
    options = "--provider other --no-secret --smtp smtp.x.example:2465/tls --imap imap.x.example --pop p:1995"
    facts = ("--fact", 'scopes=["mail"]', "--fact", "token=https://x.example/t?a=b", "--fact", "doubt=60")

    body = added(server, *options.split(), *facts, "--extra-ca", str(tmp_path / "ca.pem"))

    assert body["facts"] == {
        "smtp_host": "smtp.x.example",
        "smtp_port": 2465,
        "smtp_tls": "implicit",
        "imap_host": "imap.x.example",
        "imap_port": 993,
        "pop_host": "p",
        "pop_port": 1995,
        "scopes": ["mail"],
        "token": "https://x.example/t?a=b",
        "doubt": 60,
        "extra_ca": "PEM",
    }


@pytest.mark.parametrize(
    ("given", "port", "tls"),
    [
        ("h", 587, "starttls"),
        ("h:587", 587, "starttls"),
        ("h:465", 465, "implicit"),
        ("h:465/starttls", 465, "starttls"),
        ("h:587/tls", 587, "implicit"),
    ],
)
def test_tls_comes_first_at_465_or_where_it_is_said(server: Server, given: str, port: int, tls: str) -> None:
    body = added(server, "--provider", "other", "--no-secret", "--smtp", given)

    assert body["facts"] == {"smtp_host": "h", "smtp_port": port, "smtp_tls": tls}


@pytest.mark.parametrize(
    "arguments",
    [
        (*ADD, "--provider", "other", "--no-secret", "--smtp", "https://h"),
        (*ADD, "--provider", "other", "--no-secret", "--imap", "h:143/starttls"),
        (*ADD, "--provider", "other", "--no-secret", "--fact", "token"),
        (*ADD, "--provider", "microsoft", "--no-secret", "--federated"),
        (*ADD, "--provider", "microsoft", "--client-secret", "x", "--federated"),
        (*ADD, "--provider", "microsoft", "--passphrase"),
        (*MAKE, "--password", "--refresh-token"),
        (*MAKE, "--auth-mode", "client_credentials", "--password"),
        (*MAKE, "--auth-mode", "password", "--refresh-token"),
        (*MAKE, "--password"),
        ("accounts", "connect", "sales", "--local", "--password"),
        ("accounts", "connect", "sales", "--redirect-uri", "http://localhost:1/"),
        ("accounts", "update", "sales"),
        ("accounts", "verify", "sales", "--protocol", "ews"),
    ],
)
def test_what_does_not_belong_together_is_refused_before_anything_is_asked(
    server: Server, arguments: tuple[str, ...]
) -> None:
    assert run(server, *arguments, stdin="").exit_code == 2
    assert server.requests == []


def test_a_password_is_read_from_standard_input_and_never_an_argument(server: Server) -> None:
    assert made(server, "--password", stdin="pass word\n") == {
        "connector": "con_1",
        "address": "a@x.example",
        "auth_mode": "password",
        "password": "pass word",
    }
    assert made(server, "--auth-mode", "password", stdin="p\n")["password"] == "p"
    assert made(server, "--refresh-token", stdin="t\n")["refresh_token"] == "t"
    assert made(server, "--auth-mode", "service_account")["auth_mode"] == "service_account"
    assert run(server, *MAKE, "--password", "p").exit_code == 2


def test_who_signs_in_and_what_may_stand_in_from(server: Server) -> None:
    shared = ("--signs-in-as", "b@x.example", "--smtp-user", "c@x.example")
    senders = ("--from-policy", "rewrite", "--from-address", "d@x.example", "--from-address", "e@x.example")

    body = made(server, *shared, *senders, "--always-name", "--display-name", "A", "--reads-with", "in")

    assert body == {
        "connector": "con_1",
        "address": "a@x.example",
        "display_name": "A",
        "signs_in_as": "b@x.example",
        "smtp_user": "c@x.example",
        "from_policy": "rewrite",
        "from_addresses": ["d@x.example", "e@x.example"],
        "always_name": True,
        "reads_with": "in",
    }


def test_an_account_is_changed_by_what_is_named_only(server: Server) -> None:
    server.lay("PATCH /v1/accounts/sales", (200, ACCOUNT))

    assert run(server, "accounts", "update", "sales", "--from-address", "", "--own-name").exit_code == 0

    assert body_of(server) == {"from_addresses": [], "always_name": False}


def test_with_which_account_another_one_reads_is_set_shown_and_taken_away(server: Server) -> None:
    server.lay("PATCH /v1/accounts/sales", (200, {**ACCOUNT, "reads_with": "acc_in"}))

    shown = run(server, "accounts", "update", "sales", "--reads-with", "incoming")
    body = body_of(server)
    run(server, "accounts", "update", "sales", "--reads-with", "")

    assert re.search(r"reads with +acc_in", shown.output)
    assert body == {"reads_with": "incoming"}
    assert body_of(server) == {"reads_with": ""}


@pytest.mark.parametrize(
    ("mode", "options", "body"),
    [
        ("client_credentials", (), {"auth_mode": "client_credentials"}),
        ("password", (), {"auth_mode": "password", "password": "p"}),
        ("password", ("--auth-mode", "authorization_code"), {}),
        ("authorization_code", (), {}),
    ],
)
def test_an_account_is_connected_as_it_was_unless_told_otherwise(
    server: Server, mode: str, options: tuple[str, ...], body: dict[str, str]
) -> None:
    seen = {"ok": True, "connected": True, "steps": []}
    server.lay("GET /v1/accounts/sales", (200, {**ACCOUNT, "auth_mode": mode}))
    server.lay("POST /v1/accounts/sales/connect", (200, {**ACCOUNT, "connection": seen}))
    server.lay("POST /v1/accounts/sales/connect-link", (201, {"id": "a", "connect_link": "https://m/L"}))

    result = run(server, "accounts", "connect", "sales", *options, stdin="p\n")

    assert result.exit_code == 0
    assert body_of(server) == body
    assert ("https://m/L" in result.output) is (body == {})


def test_a_connection_says_what_was_seen_and_how_to_go_on(server: Server) -> None:
    seen = {
        "ok": False,
        "connected": False,
        "steps": [{"step": "auth", "ok": False, "ms": 3, "said": "535 no"}],
        "diagnosis": {"message": "It is refused.", "fix": "Use POST /v1/accounts/{account}/connect."},
        "next": "Then POST /v1/accounts/{account}/connect.",
    }
    server.lay("POST /v1/accounts/sales/connect", (200, {**ACCOUNT, "connection": seen}))

    told = run(server, "accounts", "connect", "sales", "--auth-mode", "client_credentials")
    rolled_back = {**seen, "next": None}
    server.lay("POST /v1/accounts/sales/rollback", (200, {**ACCOUNT, "connection": rolled_back}))
    back = run(server, "accounts", "rollback", "sales")
    shown = run(server, "accounts", "connect", "sales", "--password", "--json", stdin="p\n")

    assert (told.exit_code, back.exit_code, shown.exit_code) == (4, 4, 4)
    assert back.output.endswith("It is not connected. What it had before stays.\n")
    assert "535 no" in told.output
    assert "Then `mailgrant accounts connect`." in told.output
    assert json.loads(shown.output)["connection"] == seen


@pytest.mark.parametrize(("results", "code"), [(("pass", "warn", "skip"), 0), (("warn", "fail"), 1)])
def test_a_doctor_shows_every_fix_and_fails_with_a_failed_check(
    server: Server, results: tuple[str, ...], code: int
) -> None:
    checks = [
        {"check": f"c{place}", "result": one, "message": "found", "fix": f"mend {place}"}
        for place, one in enumerate(results)
    ]
    for path in ("accounts/sales", "connectors/con_1"):
        lines = {"title": "Once", "where": "In PowerShell", "lines": ["New-ServicePrincipal", "Get-It"]}
        server.lay(f"GET /v1/{path}/doctor", (200, {"checks": checks, "instructions": [lines]}))

        kind, named = path.split("/")
        result = run(server, kind, "doctor", named)

        assert result.exit_code == code
        assert "Once\nIn PowerShell\nNew-ServicePrincipal\nGet-It\n" in result.output
        for place, one in enumerate(results):
            assert (f"c{place}: mend {place}" in result.output) is (one != "pass")


def test_a_client_without_a_secret_is_not_said_to_be_taken() -> None:
    assert "no secret" in checked({"provider": "other", "credential": "none", "check": {"ok": None}})


@pytest.mark.parametrize(
    ("options", "kind", "client_id", "redirected", "make"),
    [
        ("--no-secret", "none", "", False, "con_1 --password ADDRESS"),
        ("--no-secret --client-id x", "none", "x", True, "con_1 ADDRESS"),
        ("--federated --client-id x", "federated", "x", True, "con_1 ADDRESS"),
    ],
)
def test_a_new_connector_says_what_comes_next(
    server: Server, options: str, kind: str, client_id: str, *, redirected: bool, make: str
) -> None:
    made = {
        "id": "con_1",
        "provider": "microsoft",
        "credential": kind,
        "client_id": client_id,
        "redirect_uri": "https://m.example/oauth/callback/con_1",
        "check": {"ok": None},
    }
    server.lay("POST /v1/connectors", (201, made))

    said = run(server, *ADD, "--provider", "microsoft", *options.split()).output

    assert ("/oauth/callback/" in said) is ("Register the redirect URI" in said) is redirected
    assert f"mailgrant accounts add --connector {make}\n" in said


def test_of_a_shared_mailbox_the_person_is_asked(server: Server) -> None:
    invited = {**ACCOUNT, "signs_in_as": "b@x.example", "connect_link": "https://m.example/connect/L"}
    server.lay("POST /v1/accounts", (201, {**invited, "connect_link_expires_at": "2026-01-01T00:00:00Z"}))

    said = run(server, *MAKE, "--signs-in-as", "b@x.example").output

    assert "b@x.example opens the connect link." in said
