"""The command line at a terminal, in pipes, and in shells: what only a process of its own can show."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cli.exits import MEANINGS
from cli.main import main
from tests.unit.cli_terminal import PROGRAM, ROOT, environment, piped, shown
from tests.unit.test_cli import ACCOUNT, MESSAGE, REFUSAL, impatient, run, server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.test_cli import Server

__all__ = ["impatient", "server"]

COLORED = re.compile(r"\x1b\[[\d;]*m")
ARN = "role:arn:aws:iam::000000000000:role/invoices-of-all-departments-and-of-some-others-too"
ACCOUNT_ID = "acc_" + "a" * 20
CALLER = {
    "id": ARN,
    "kind": "role",
    "name": "the service that sends the invoices",
    "scopes": ["read", "send"],
    "accounts": [ACCOUNT_ID],
    "revoked_at": None,
    "expires_at": "2027-01-01T00:00:00.000Z",
}
LONG = "The account's owner has withdrawn the permission, or an administrator has, and nobody can tell."


def lines(server: Server, *arguments: str, columns: int = 80) -> list[str]:
    """The lines that a terminal shows, without their colors."""
    return COLORED.sub("", shown(server, *arguments, columns=columns)).splitlines()


# Widths


@pytest.mark.parametrize("columns", [80, 120])
def test_a_table_fits_the_terminal_and_breaks_no_id(server: Server, columns: int) -> None:
    server.lay("GET /v1/callers", (200, {"callers": [CALLER]}))

    found = lines(server, "callers", "list", columns=columns)

    assert found.pop() == "ended with 0"
    assert found.pop() == f"    {ARN}"  # in one piece, however long: the terminal breaks it
    assert max(map(len, found)) <= columns
    assert sum(ACCOUNT_ID in line for line in found) == 1
    assert (len(found) > 2) == (columns == 80)


def test_a_pipe_gets_one_plain_line_for_each_record(server: Server) -> None:
    server.lay("GET /v1/callers", (200, {"callers": [CALLER, CALLER]}))

    found = run(server, "callers", "list").output.splitlines()

    assert len(found) == 3
    assert found[0].startswith("ID ")
    assert found[1].startswith(f"{ARN}  {CALLER['name']}  read, send  acc_")


def test_colors_are_for_terminals_only(server: Server) -> None:
    server.lay("GET /v1/accounts/sales", (200, ACCOUNT))

    assert COLORED.search(shown(server, "accounts", "show", "sales"))
    assert not COLORED.search(run(server, "accounts", "show", "sales").output)


def test_sentences_are_folded_between_words_and_urls_are_not(server: Server) -> None:
    url = "https://mail.example/" + "x" * 80
    problem = {"code": "x", "message": LONG, "fix": f"{LONG} {url}"}
    server.lay("GET /v1/accounts/sales", (200, {**ACCOUNT, "problem": problem}))
    server.lay("GET /v1/accounts/other", (404, {"error": {**problem, "docs": "d"}}))

    for name, code in (("sales", 0), ("other", 1)):
        found = lines(server, "accounts", "show", name)
        assert found.pop() == f"ended with {code}"
        assert url in found
        assert max(len(line) for line in found if line != url) <= 80
        assert LONG in " ".join(found)


def test_what_would_steer_the_terminal_is_shown_as_harmless(server: Server) -> None:
    server.lay("GET /v1/accounts/sales", (200, {**ACCOUNT, "display_name": "\x1b]0;gotcha\x07\u202egnp.exe"}))

    output = run(server, "accounts", "show", "sales").output

    assert "gotcha" in output
    assert not set(output) & set("\x1b\x07\u202e")


# Questions


def test_a_key_is_asked_for_at_a_terminal_and_not_shown(server: Server, tmp_path: Path) -> None:
    server.lay("GET /v1/whoami", (401, REFUSAL))

    text = shown(server, "login", "--url", server.url, typed="mg_typed\n", after="API key:")

    assert text.endswith("ended with 1\n")
    assert "mg_typed" not in text
    assert server.requests[0][1]["Authorization"] == "Bearer mg_typed"


def test_a_secret_comes_from_a_pipe_too_and_only_the_first_line_counts(server: Server) -> None:
    server.lay("POST /v1/connectors", (422, REFUSAL))
    add = ("connectors", "add", "--provider", "google", "--name", "x", "--client-id", "x")

    run(server, *add, stdin="the secret\nmore\n")
    nothing = run(server, *add, stdin="")
    no_text = run(server, *add, stdin=b"\xff\n")

    assert server.requests[0][2]["client_secret"] == "the secret"
    assert (nothing.exit_code, no_text.exit_code) == (2, 2)
    assert "--client-secret" in nothing.stderr
    assert "UTF-8" in no_text.stderr
    assert len(server.requests) == 1


# Ends


def follow(server: Server, state: str) -> None:
    """Lays out a message in that state."""
    record = {"id": MESSAGE, "state": state, "attempts": [], "recipients": []}
    server.lay(f"GET /v1/messages/{MESSAGE}", (200, record))


ENDS: dict[int, tuple[Callable[[Server], None], tuple[str, ...]]] = {
    0: (lambda server: follow(server, "sent"), ("messages", "follow", MESSAGE)),
    1: (lambda server: server.lay("GET /v1/whoami", (403, REFUSAL)), ("whoami",)),
    2: (lambda server: None, ("whoami", "--no-such-option")),
    3: (lambda server: setattr(server, "url", "http://127.0.0.1:9"), ("whoami",)),
    4: (lambda server: follow(server, "failed"), ("messages", "follow", MESSAGE)),
}
"""Exit code → how it comes about, and the command; the rest of them need a process of their own (below)."""


def test_every_exit_code_is_seen_in_a_test() -> None:
    assert {*ENDS, 130, 141} == set(MEANINGS)


@pytest.mark.parametrize("code", ENDS)
def test_a_command_ends_with_the_code_that_is_documented(server: Server, code: int) -> None:
    lay, command = ENDS[code]
    lay(server)

    text, as_json = run(server, *command), run(server, *command, "--json")

    assert (text.exit_code, as_json.exit_code) == (code, code)
    if code in (1, 2, 3):
        assert (text.stdout, as_json.stdout) == ("", "")
        assert re.search(r"\nFix: .+\nCode: \w+\n$", text.stderr)
        assert {"code", "message", "fix"} <= set(json.loads(as_json.stderr)["error"])


def test_ctrl_c_ends_what_waits_and_leaves_no_traceback(server: Server) -> None:
    """While --wait waits, and while a message is followed."""
    server.lay("GET /v1/accounts/sales", (200, ACCOUNT))
    server.lay("POST /v1/accounts/sales/connect-link", (201, {"id": "a", "connect_link": "https://m/L"}))

    with piped(server, "connect", "sales", "--wait") as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "https://m/L\n"
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=10)

    assert (waiting.returncode, out, err.strip()) == (130, "", "")


def test_ctrl_c_ends_a_question_and_nothing_was_done(server: Server) -> None:
    class CtrlC(io.BytesIO):
        def read1(self, _size: int | None = -1, /) -> bytes:
            raise KeyboardInterrupt

    result = CliRunner().invoke(main, ["keys", "revoke", "key_1"], env=environment(server), input=CtrlC())

    assert result.exit_code == 130
    assert "[y/N]:" in result.stderr
    assert server.requests == []


@pytest.mark.parametrize("command", [["callers", "list"], ["callers", "list", "--json"], ["--help"]])
def test_a_reader_that_goes_away_is_no_error(server: Server, command: list[str]) -> None:
    server.lay("GET /v1/callers", (200, {"callers": [CALLER] * 500}))

    with piped(server, *command) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=10) == 141
        assert process.stderr.read() == ""


def test_a_disk_that_is_full_is_told(server: Server) -> None:
    server.lay("GET /v1/callers", (200, {"callers": [CALLER]}))

    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [*PROGRAM, "callers", "list", "--json"],
            env=environment(server),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["code"] == "io_failed"


# Following and waiting


def test_following_that_takes_too_long_says_how_to_go_on(server: Server) -> None:
    follow(server, "deferred")
    command = ("messages", "follow", MESSAGE, "--timeout", "0")

    text, as_json = run(server, *command), run(server, *command, "--json")

    assert (text.exit_code, as_json.exit_code) == (4, 4)
    assert f"`mailgrant messages follow {MESSAGE}` waits again" in text.stderr
    assert (json.loads(as_json.stdout)["state"], as_json.stderr) == ("deferred", "")


def test_waiting_in_vain_for_a_connection_is_one_error(server: Server) -> None:
    server.lay("GET /v1/accounts/sales", (200, ACCOUNT))
    server.lay("POST /v1/accounts/sales/connect-link", (201, {"id": "a", "connect_link": "https://m/L"}))
    command = ("connect", "sales", "--wait", "--timeout", "0")

    text, as_json = run(server, *command), run(server, *command, "--json")

    assert (text.exit_code, text.stdout) == (4, "https://m/L\n")
    assert "`mailgrant connect sales --wait`" in text.stderr
    assert (as_json.exit_code, as_json.stdout) == (4, "")
    assert json.loads(as_json.stderr.splitlines()[-1])["error"]["code"] == "not_in_time"


# Completion


def in_shell(server: Server, tmp_path: Path, shell: str, *script: str) -> str:
    """What a shell prints that finds mailgrant in its path, and has loaded the completion."""
    path = tmp_path / "mailgrant"
    path.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
    path.chmod(0o755)
    (tmp_path / "loaded").write_text(run(server, "completion", shell).stdout)
    env = {**environment(server), "HOME": str(tmp_path)}
    env["PATH"] = f"{tmp_path}:{env['PATH']}"
    done = subprocess.run(
        [shell, *script], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=20
    )
    assert done.stderr == ""
    return done.stdout


def lay_accounts(server: Server) -> None:
    """Lays out accounts of which some have names that need no quotes."""
    named: list[dict[str, Any]] = [
        {**ACCOUNT, "name": name} for name in ("sales", "support", "save our seas")
    ]
    server.lay("GET /v1/accounts", (200, {"accounts": named, "cursor": None}))


COMPLETE_IN_BASH = """
. ./loaded
COMP_WORDS=(mailgrant accounts show "$1") COMP_CWORD=3
_mailgrant_completion mailgrant
printf '%s\\n' "${COMPREPLY[@]}"
"""


def test_bash_loads_the_completion_and_completes_commands_and_accounts(
    server: Server, tmp_path: Path
) -> None:
    lay_accounts(server)

    found = in_shell(server, tmp_path, "bash", "--norc", "-c", COMPLETE_IN_BASH, "bash", "s").split()

    assert found == ["sales", "support"]
    assert server.requests[0][0].startswith("GET /v1/accounts?")


def completed(server: Server, *words: str) -> list[str]:
    """What bash would be told for the last of the words."""
    env = {"_MAILGRANT_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(("mailgrant", *words))}
    output = run(server, env={**env, "COMP_CWORD": str(len(words))}).stdout
    return [line.partition(",")[2] for line in output.split()]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("acc",), ["accounts"]),
        (("accounts", "re"), ["reconnect", "rename", "restore", "resume"]),
        (("send", "--account", "sa"), ["sales"]),
        (("send", "--account", "acc_"), [ACCOUNT["id"]] * 3),
        (("send", "--on-unknown", "k"), ["keep"]),
    ],
)
def test_what_is_completed(server: Server, words: tuple[str, ...], found: list[str]) -> None:
    lay_accounts(server)

    assert sorted(completed(server, *words)) == found


def test_completion_is_silent_where_the_api_refuses(server: Server) -> None:
    server.lay("GET /v1/accounts", (403, REFUSAL))

    assert completed(server, "send", "--account", "s") == []


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        ("zsh", ["-fc", "autoload -Uz compinit && compinit -u && . ./loaded && print $_comps[mailgrant]"]),
        ("fish", ["--no-config", "-c", "source loaded; complete -C 'mailgrant accounts show s'"]),
    ],
)
def test_other_shells_load_it_too(server: Server, tmp_path: Path, shell: str, script: list[str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    lay_accounts(server)

    found = in_shell(server, tmp_path, shell, *script).split()

    expected = {
        "zsh": ["_mailgrant_completion"],
        "fish": ["sales", "needs_reconnect", "support", "needs_reconnect"],
    }
    assert found == expected[shell]


def test_the_script_of_the_repository_runs_from_anywhere(tmp_path: Path) -> None:
    link = tmp_path / "mailgrant"
    link.symlink_to(ROOT / "mailgrant")

    done = subprocess.run([link, "completion", "fish"], cwd=tmp_path, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
