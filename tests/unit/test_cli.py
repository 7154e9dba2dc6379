"""The command line against a server that answers what a test lays out."""

from __future__ import annotations

import base64
import json
import stat
import threading
import tomllib
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner, Result

from cli import api, config, messages
from cli.main import main
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MESSAGE = "msg_" + "a" * 20 + "_" + "b" * 26
ACCOUNT = {
    "id": "acc_" + "a" * 20,
    "name": "sales",
    "address": "sales@mail.example",
    "auth_mode": "authorization_code",
    "status": "needs_reconnect",
    "connected_at": "2026-01-01T00:00:00.000Z",
    "token_expires_at": None,
    "problem": {
        "code": "invalid_grant",
        "message": "The owner withdrew the permission.",
        "fix": "Reconnect it.",
    },
    "lane": {"closed": "needs_reconnect", "next_due_at": None},
}
REFUSAL = {
    "error": {"code": "invalid_input", "message": "No such thing.", "fix": "Look again.", "field": "to[0]"}
}


@dataclass
class Server:
    """Answers in turn what is laid out for a method and path; the last answer stays. Notes every request."""

    url: str = ""
    answers: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def lay(self, what: str, *answers: tuple[int, Any]) -> None:
        """Lays out the answers for ``GET /path``; None as an answer's body cuts the connection."""
        self.answers[what] = list(answers)

    def answer(self, what: str) -> tuple[int, Any]:
        """The next answer."""
        left = self.answers.get(
            what.partition("?")[0], [(404, {"error": {"message": what, "fix": "", "code": "x"}})]
        )
        return left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            what = f"{self.command} {self.path}"
            server.requests.append((what, dict(self.headers), json.loads(body) if body else None))
            status, answer = server.answer(what)
            if answer is None:
                self.close_connection = True
                return
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names of http.server

        def log_message(self, *_: Any) -> None:
            """Keeps the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        yield server
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test can wait for."""
    monkeypatch.setattr(api, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(messages, "POLL", 0.01)


def run(
    server: Server, *arguments: str, stdin: str | bytes | None = None, env: dict[str, str] | None = None
) -> Result:
    """Runs a command against the server."""
    here = {"MAILGRANT_URL": server.url, "MAILGRANT_KEY": "mg_key", "MAILGRANT_CA": None, **(env or {})}
    return CliRunner().invoke(main, list(arguments), prog_name="mailgrant", env=here, input=stdin)


def body_of(server: Server) -> Any:
    """The body of the last request."""
    return server.requests[-1][2]


def test_the_key_is_sent_as_a_bearer(server: Server) -> None:
    server.lay("GET /v1/whoami", (200, {"id": "key_1", "name": "me", "scopes": ["admin"]}))

    result = run(server, "whoami")

    assert result.exit_code == 0
    assert "key_1" in result.output
    assert server.requests[0][1]["Authorization"] == "Bearer mg_key"


def test_json_is_the_apis_own_answer(server: Server) -> None:
    server.lay("GET /v1/accounts/sales", (200, ACCOUNT))

    result = run(server, "accounts", "show", "sales", "--json")

    assert json.loads(result.output) == ACCOUNT


def test_an_account_shows_its_problem_and_the_fix(server: Server) -> None:
    server.lay("GET /v1/accounts/sales", (200, ACCOUNT))

    result = run(server, "accounts", "show", "sales")

    assert "needs_reconnect" in result.output
    assert "The owner withdrew the permission." in result.output
    assert "Fix: Reconnect it." in result.output
    assert "held (needs_reconnect)" in result.output


def test_every_page_of_a_list_is_read(server: Server) -> None:
    first = {"accounts": [ACCOUNT], "cursor": "acc_x"}
    server.lay(
        "GET /v1/accounts", (200, first), (200, {"accounts": [{**ACCOUNT, "name": "info"}], "cursor": None})
    )

    result = run(server, "accounts", "list")

    assert "sales" in result.output
    assert "info" in result.output
    assert server.requests[1][0] == "GET /v1/accounts?cursor=acc_x"


def test_a_refusal_names_field_and_fix(server: Server) -> None:
    server.lay("POST /v1/messages", (422, REFUSAL))

    result = run(server, "send", "--account", "sales", "--to", "x")

    assert result.exit_code == 1
    assert "No such thing." in result.output
    assert "Field: to[0]" in result.output
    assert "Fix: Look again." in result.output


@pytest.mark.parametrize("body", [{"message": "Request Too Long"}, {"Message": None}])
def test_uf12_a_request_that_api_gateway_does_not_take_is_told_as_too_large(
    server: Server, body: dict[str, Any]
) -> None:
    """It refuses what is above 10 MB in words of its own, before it knows of our responses."""
    server.lay("POST /v1/messages", (413, body))

    result = run(server, "send", "--account", "sales", "--to", "a@x.example", "--json")

    assert result.exit_code == 1
    error = json.loads(result.output)["error"]
    assert set(error) == {"code", "message", "fix", "docs"}
    assert (error["code"], error["docs"]) == ("too_large", "docs/errors.md#too-large")


def test_a_refusal_is_json_too(server: Server) -> None:
    server.lay("POST /v1/messages", (422, REFUSAL))

    result = run(server, "send", "--account", "sales", "--to", "x", "--json")

    assert result.exit_code == 1
    assert json.loads(result.output) == REFUSAL


def test_a_message_is_sent_once_however_often_the_connection_breaks(server: Server) -> None:
    server.lay("POST /v1/messages", (0, None), (503, REFUSAL), (202, {"id": MESSAGE, "state": "queued"}))

    result = run(server, "send", "--account", "sales", "--to", "a@x.example", "--text", "Hi")

    keys = {request[1]["Idempotency-Key"] for request in server.requests}
    assert result.output.strip() == f"{MESSAGE} queued"
    assert len(server.requests) == 3
    assert len(keys) == 1


def test_what_has_no_key_is_not_sent_again(server: Server) -> None:
    server.lay("POST /v1/accounts", (0, None))

    result = run(server, "accounts", "add", "--connector", "con_1", "a@x.example")

    assert result.exit_code == 3
    assert len(server.requests) == 1


def test_an_api_that_cannot_be_reached_exits_with_three() -> None:
    result = run(Server(url="http://127.0.0.1:9"), "whoami")

    assert result.exit_code == 3
    assert "Cannot reach http://127.0.0.1:9" in result.output


def test_a_stage_of_another_version_is_told_from_a_bug(server: Server) -> None:
    server.lay("GET /v1/accounts/sales", (200, {"id": "acc_1", "status": "connected"}))

    result = run(server, "accounts", "show", "sales")

    assert result.exit_code == 1
    assert "lacks 'lane'" in result.stderr
    assert "Code: other_version" in result.stderr


def test_an_answer_that_is_not_ours_is_not_believed(server: Server) -> None:
    server.lay("GET /v1/whoami", (200, "<html>a proxy's page</html>"))

    assert run(server, "whoami").exit_code == 3


def test_a_message_carries_everything_that_was_given(server: Server, tmp_path: Path) -> None:
    server.lay("POST /v1/messages", (202, {"id": MESSAGE, "state": "queued"}))
    (tmp_path / "bill.pdf").write_bytes(b"%PDF")
    (tmp_path / "text.txt").write_text("grüezi", encoding="utf-8")

    options = "--to a@x.example --to b@x.example --cc c@x.example --subject Hi --html - --on-unknown keep"
    files = ["--text", f"@{tmp_path / 'text.txt'}", "--attach", str(tmp_path / "bill.pdf")]
    run(server, "send", "--account", "sales", *options.split(), *files, stdin="<p>Hi</p>")

    assert body_of(server) == {
        "account": "sales",
        "to": ["a@x.example", "b@x.example"],
        "cc": ["c@x.example"],
        "subject": "Hi",
        "text": "grüezi",
        "html": "<p>Hi</p>",
        "on_unknown": "keep",
        "attachments": [{"filename": "bill.pdf", "content_type": "application/pdf", "content": "JVBERg=="}],
    }


def test_an_eml_file_is_sent_as_it_is(server: Server) -> None:
    server.lay("POST /v1/messages", (202, {"id": MESSAGE, "state": "queued"}))
    message = EmailMessage()
    message["Subject"] = "raw"

    run(server, "send", "--account", "sales", "--eml", "-", stdin=message.as_bytes())

    assert body_of(server) == {"account": "sales", "raw": base64.b64encode(message.as_bytes()).decode()}


def test_standard_input_is_one_text(server: Server) -> None:
    both = ("--text", "-", "--html", "-")

    assert run(server, "send", "--account", "sales", "--to", "x", *both, stdin="Hi").exit_code == 2


def test_an_eml_file_does_not_go_with_a_text(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.eml").write_bytes(b"Subject: x\r\n\r\n")

    result = run(server, "send", "--account", "sales", "--eml", str(tmp_path / "x.eml"), "--text", "no")

    assert result.exit_code == 2
    assert server.requests == []


@pytest.mark.parametrize(("state", "code"), [("sent", 0), ("failed", 4), ("unknown", 4)])
def test_following_ends_with_the_messages_end(server: Server, state: str, code: int) -> None:
    record = {"id": MESSAGE, "accepted_at": "2026-01-01T00:00:00.000Z", "attempts": [], "recipients": []}
    path = f"GET /v1/messages/{MESSAGE}"
    server.lay(path, (200, {**record, "state": "queued"}), (200, {**record, "state": state}))

    result = run(server, "messages", "follow", MESSAGE)

    assert result.exit_code == code
    assert state in result.output


def test_a_message_shows_every_attempt_with_its_reply(server: Server) -> None:
    attempt = {
        "number": 1,
        "began_at": "2026-01-01T00:00:00.000Z",
        "phase": "auth",
        "outcome": "deferred",
        "reply": {"code": 535, "enhanced": "5.7.3", "text": "5.7.3 Authentication unsuccessful"},
        "diagnosis": {"message": "The mailbox does not take SMTP.", "fix": "Enable it."},
    }
    record = {"id": MESSAGE, "state": "held", "attempts": [attempt]}
    server.lay(f"GET /v1/messages/{MESSAGE}", (200, record))

    output = run(server, "messages", "show", MESSAGE).output

    assert "Attempt 1" in output
    assert "535 5.7.3 Authentication unsuccessful" in output
    assert "Fix: Enable it." in output


def test_one_message_that_cannot_be_cancelled_keeps_no_other_from_it(server: Server) -> None:
    late = {"code": "too_late_to_cancel", "message": "It is sent.", "fix": "Write to them.", "docs": "d"}
    for place in ("1", "3"):
        done = {"id": f"msg_{place}", "state": "cancelled"}
        server.lay(f"POST /v1/messages/msg_{place}/cancel", (200, done))
    server.lay("POST /v1/messages/msg_2/cancel", (409, {"error": late}))

    all_done = run(server, "messages", "cancel", "msg_1", "msg_3")
    told = run(server, "messages", "cancel", "msg_1", "msg_2", "msg_3")
    shown = run(server, "messages", "cancel", "msg_1", "msg_2", "msg_3", "--json")

    assert (all_done.exit_code, told.exit_code, shown.exit_code) == (0, 1, 1)
    assert told.stdout == "msg_1 cancelled\nmsg_3 cancelled\n2 of 3 cancelled.\n"
    assert told.stderr.startswith("msg_2 refused: It is sent.\nFix: Write to them.\n")
    answer = json.loads(shown.output)
    assert [one["id"] for one in answer["messages"]] == ["msg_1", "msg_3"]
    assert answer["refused"] == [{"id": "msg_2", "error": late}]


def test_a_keys_text_is_printed_with_a_warning(server: Server) -> None:
    server.lay("POST /v1/callers", (201, {"id": "key_1", "name": "shop", "key": "mg_secret"}))

    result = run(server, "keys", "create", "shop", "--scope", "send", "--account", "*", "--days", "2")

    assert "mg_secret" in result.output
    assert "only time" in result.output
    assert body_of(server)["expires_in"] == 172_800


def test_the_limits_of_a_key_go_as_they_are_given(server: Server) -> None:
    server.lay("POST /v1/callers", (201, {"id": "key_1", "name": "shop", "key": "mg_secret"}))
    limits = "--from a@x.example --from b@x.example --reply-to-domain x.example --per-minute 5"

    run(server, "keys", "create", "shop", "--scope", "send", "--account", "*", *limits.split())

    assert body_of(server) == {
        "kind": "key",
        "name": "shop",
        "scopes": ["send"],
        "accounts": ["*"],
        "from_addresses": ["a@x.example", "b@x.example"],
        "reply_to_domains": ["x.example"],
        "messages_per_minute": 5,
    }


def test_a_role_or_an_alias_is_allowed_not_both(server: Server) -> None:
    result = run(
        server, "callers", "allow", "x", "--role", "arn", "--alias", "y", "--scope", "send", "--account", "*"
    )

    assert result.exit_code == 2


def test_a_login_is_checked_and_kept_from_others(server: Server, tmp_path: Path) -> None:
    server.lay("GET /v1/whoami", (200, {"name": "me", "scopes": ["admin"]}))

    result = CliRunner().invoke(
        main, ["login", "--url", f"{server.url}/"], input="mg_typed\n", env={"XDG_CONFIG_HOME": str(tmp_path)}
    )

    kept = config.load({"XDG_CONFIG_HOME": str(tmp_path)})
    assert result.exit_code == 0
    assert (kept.url, kept.key) == (server.url, "mg_typed")
    assert stat.S_IMODE((tmp_path / "mailgrant" / "config.toml").stat().st_mode) == 0o600
    assert "mg_typed" not in result.output
    assert "mg_typed" not in repr(kept)


@pytest.mark.parametrize("url", ["http://mail.example", "ftp://mail.example", "mail.example", "http://[::2]"])
def test_a_key_is_not_sent_where_others_can_read_it(url: str, tmp_path: Path) -> None:
    env = {"MAILGRANT_URL": url, "MAILGRANT_KEY": "mg_key", "XDG_CONFIG_HOME": str(tmp_path)}

    asked = CliRunner().invoke(main, ["whoami"], env=env)
    login = CliRunner().invoke(main, ["login", "--url", url], input="mg_typed\n", env=env)

    assert (asked.exit_code, login.exit_code) == (2, 2)
    assert "https://" in asked.output
    assert not (tmp_path / "mailgrant").exists()


def test_waiting_for_a_connection_ends_with_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.accounts.POLL", 0.01)
    connected = {**ACCOUNT, "connected_at": "2026-01-02T00:00:00.000Z"}
    server.lay("GET /v1/accounts/sales", (200, ACCOUNT), (200, ACCOUNT), (200, connected))
    server.lay(
        "POST /v1/accounts/sales/connect-link", (201, {"id": "a", "connect_link": "https://m/connect/L"})
    )

    result = run(server, "connect", "sales", "--wait")

    assert result.exit_code == 0
    assert "https://m/connect/L" in result.output
    assert "sales@mail.example is connected." in result.output


def every_help(command: click.Command, path: str) -> Iterator[str]:
    """The help of a command and of all below it."""
    context = click.Context(command, info_name=path)
    yield command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from every_help(below, f"{path} {name}")


def test_ug8_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert CliRunner().invoke(main, ["--version"], prog_name="mailgrant").output.split() == [
        *("mailgrant,", "version", project["version"])
    ]


def test_ug8_no_help_has_a_doubled_backslash() -> None:
    """What is shown is copied: two of them at the end of a line are no continuation in a shell."""
    texts = list(every_help(main, "mailgrant"))

    assert sum("\\\n" in text for text in texts) >= 2
    assert not [text for text in texts if "\\\\" in text]
