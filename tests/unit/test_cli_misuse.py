"""Commands that cannot be run: each is answered with what is wrong, before anything is sent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main

ROOT = Path(__file__).resolve().parents[2]
SEND = ("send", "--account", "sales", "--to", "a@example.net")
HERE = {"MAILGRANT_URL": "https://127.0.0.1:1", "MAILGRANT_KEY": "mg_key", "MAILGRANT_CA": None}


def run(*arguments: str, env: dict[str, str | None] | None = None, stdin: bytes | None = None) -> Result:
    """Runs a command where nothing could answer it."""
    return CliRunner().invoke(main, list(arguments), env={**HERE, **(env or {})}, input=stdin)


def said(result: Result) -> str:
    """What a command says that was not understood."""
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"MAILGRANT_URL": "nonsense"}, "nonsense"),
        ({"MAILGRANT_URL": "https://"}, "https://"),
        ({"MAILGRANT_URL": "https://[::1"}, "https://[::1"),
        ({"MAILGRANT_URL": "https://mail.example:port"}, "https://mail.example:port"),
        ({"MAILGRANT_URL": "https://me:pw@mail.example"}, "not a URL"),
        ({"MAILGRANT_URL": "https://mail.example/?x=1"}, "not a URL"),
        ({"MAILGRANT_KEY": "mg_key\nX-Header: y"}, "key"),
        ({"MAILGRANT_KEY": "mg_schlüssel…"}, "key"),
        ({"MAILGRANT_CA": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
    ],
)
def test_an_environment_that_names_no_api(env: dict[str, str | None], named: str) -> None:
    output = said(run("whoami", env=env))

    assert named in output
    assert "mg_" not in output.replace("(mg_…)", "")


@pytest.mark.parametrize("text", [b"url = ", b"\xff\xfe", b"name = 1", b"url = 7"])
def test_a_configuration_that_cannot_be_read(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "mailgrant" / "config.toml"
    path.parent.mkdir()
    path.write_bytes(text)

    said(run("whoami", env={"MAILGRANT_URL": None, "XDG_CONFIG_HOME": str(tmp_path)}))


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b"{}"])
def test_a_sandbox_whose_configuration_cannot_be_read(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "cli.json").write_bytes(text)

    output = said(run("whoami", env={"MAILGRANT_URL": None, "MAILGRANT_SANDBOX_DIRECTORY": str(tmp_path)}))

    assert "cli.json" in output


@pytest.mark.parametrize("key", ["", "k" * 256, "schlüssel", "a\nX: y"])
def test_an_idempotency_key_that_cannot_stand_in_a_header(key: str) -> None:
    assert "idempotency-key" in said(run(*SEND, "--idempotency-key", key))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("messages", "list", "--account", "sales", "--limit", "0"), "--limit"),
        (("messages", "follow", "msg_x", "--timeout", "-1"), "--timeout"),
        ((*SEND, "--expires-in", "soon"), "--expires-in"),
        ((*SEND, "--on-unknown", "maybe"), "--on-unknown"),
        ((*SEND, "--attach", "/nowhere"), "--attach"),
        ((*SEND, "--header", "X-Order: 1", "--header", "x-order: 2"), "x-order stands twice"),
        ((*SEND, "--eml", "/nowhere"), "--eml"),
        ((*SEND, "--text", "@/nowhere"), "/nowhere"),
        (("send", "--to", "a@example.net"), "--account"),
        (("keys", "create", "x", "--scope", "all", "--account", "*"), "--scope"),
        (("connectors", "add", "--provider", "zoho", "--name", "x", "--client-id", "x"), "--provider"),
        (("acounts", "list"), "acounts"),
    ],
)
def test_an_option_that_is_wrong_is_named(arguments: tuple[str, ...], named: str) -> None:
    assert named in said(run(*arguments))


@pytest.mark.parametrize("arguments", [(*SEND, "--text", "-"), (*SEND, "--html", "-")])
def test_standard_input_that_is_no_text(arguments: tuple[str, ...]) -> None:
    assert "Standard input" in said(run(*arguments, stdin=b"\xff\xfe"))


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff")

    assert "UTF-8" in said(run(*SEND, "--text", f"@{tmp_path / 'a'}"))


@pytest.mark.parametrize(
    "arguments", [("accounts", "show", "a\udcff"), ("messages", "list", "--account", "\udcff")]
)
def test_an_argument_that_is_no_text(arguments: tuple[str, ...]) -> None:
    """Python hands on bytes outside UTF-8 as half surrogate pairs."""
    assert "UTF-8" in said(run(*arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ("whoami", "--json", "--nonsense"),
        ("messages", "show", "--json"),
        ("accounts", "show", "\udcff", "--json"),
    ],
)
def test_a_program_is_told_in_json(arguments: tuple[str, ...]) -> None:
    error = json.loads(said(run(*arguments)))["error"]

    assert error["code"] == "usage"
    assert set(error) == {"code", "message", "fix", "docs"}


def test_a_configuration_that_is_wrong_is_told_in_json_too() -> None:
    error = json.loads(said(run("whoami", "--json", env={"MAILGRANT_URL": "nonsense"})))["error"]

    assert error["code"] == "not_configured"
    assert "nonsense" in error["message"]


def test_help_is_help_with_json_too() -> None:
    result = run("whoami", "--json", "--help")

    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_the_script_itself_shows_no_traceback() -> None:
    """As from a shell, with bytes that are no text."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "accounts", "show", b"\xff"],
        cwd=ROOT,
        check=False,
        env={name: value for name, value in HERE.items() if value},
        capture_output=True,
    )

    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
