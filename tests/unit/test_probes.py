"""IMAP, POP3 and the mail APIs tried out, against servers that say what a test wants."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from chalicelib.diagnosis import DiagnosisClass
from chalicelib.errors import InvalidInput, Unavailable
from chalicelib.network import Trust, resolve, tls_context
from chalicelib.secret import Secret
from chalicelib.transports import gmail, graph, imap, logins, pop
from chalicelib.transports.api import Site
from chalicelib.transports.dialling import Place
from chalicelib.transports.refusals import Concern
from chalicelib.transports.smtp.sasl import Login
from sandbox.certs import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chalicelib.network import Resolve
    from chalicelib.transports.refusals import Refused
    from chalicelib.transports.smtp.probe import Step

    Say = Callable[[ssl.SSLSocket], None]

LANE, TOKEN, ACCOUNT = Concern.LANE, Concern.TOKEN, Concern.ACCOUNT
ADA = "ada@contoso.test"
TOKEN_OF_ADA = Secret("t0ken-of-ada")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("tls"))


@dataclass(frozen=True)
class Served:
    """Where a server is, for mail protocols and for HTTPS."""

    place: Place
    site: Site


def served(host: str, port: int, extra_ca: str, resolve: Resolve) -> Served:
    """A server at that place, trusted by that authority."""
    site = Site(f"https://{host}:{port}", Trust(extra_ca, resolve))
    return Served(Place(host, port, tls_context(extra_ca), resolve), site)


@contextmanager
def serving(authority: Authority, say: Say) -> Iterator[Served]:
    """A server with TLS that serves one connection."""
    files = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certfile, files.keyfile)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            with suppress(OSError):
                plain, _ = listener.accept()
                with closing(context.wrap_socket(plain, server_side=True)) as connection:
                    say(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        host, port = listener.getsockname()
        yield served(host, port, authority.pem, lambda name, _: [name])
        thread.join(5)


def lines(first: str, *answers: str, heard: list[bytes] | None = None) -> Say:
    """Says the first, then one for each line that comes."""

    def say(connection: ssl.SSLSocket) -> None:
        with closing(connection.makefile("rb")) as coming:
            connection.sendall(f"{first}\r\n".encode())
            for answer in answers:
                line = coming.readline()
                (heard if heard is not None else []).append(line)
                tag = line.partition(b" ")[0].decode("ascii", "replace")
                connection.sendall(answer.replace("TAG", tag).encode() + b"\r\n")
            coming.readline()

    return say


def api(status: int, values: Any, **headers: str) -> Say:
    """Answers one request over HTTP."""

    def say(connection: ssl.SSLSocket) -> None:
        with closing(connection.makefile("rb")) as heard:
            while heard.readline().strip():
                pass
        body = values if isinstance(values, bytes) else json.dumps(values).encode()
        shown = {"Content-Length": str(len(body)), **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in shown.items())
        connection.sendall(f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + body)

    return say


def how(seen: tuple[list[Step], Refused | None]) -> tuple[list[tuple[str, bool]], str, Concern | None]:
    """The steps, the code of the diagnosis and what it is about."""
    steps, refused = seen
    shown = [(step.step, step.ok) for step in steps]
    if refused is None:
        return shown, "", None
    return shown, refused.diagnosis.code, refused.verdict.concern


GREETING = "* OK Ready"
CAPABILITY = "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\nTAG OK done"


@pytest.mark.parametrize(
    ("answers", "last", "code", "concern"),
    [
        ((GREETING, CAPABILITY, "+ ", "X1 OK"), ("auth", False), "connection_lost", LANE),
        (("* BYE too many connections",), ("connect", False), "connection_lost", LANE),
        (("HTTP/1.1 400 Bad Request",), ("connect", False), "connection_lost", LANE),
        ((GREETING, "* CAPABILITY IMAP4rev1\r\nTAG OK done", "TAG NO AUTHENTICATE failed."),
         ("auth", False), "imap_refused", TOKEN),
        ((GREETING, CAPABILITY, "TAG BAD User is authenticated but not connected."),
         ("auth", False), "imap_refused", ACCOUNT),
        ((GREETING, CAPABILITY, "TAG NO [UNAVAILABLE] Temporary failure"),
         ("auth", False), "imap_refused", LANE),
    ],
)  # fmt: skip
def test_what_an_imap_server_says_is_told(
    authority: Authority, answers: tuple[str, ...], last: tuple[str, bool], code: str, concern: Concern
) -> None:
    with serving(authority, lines(*answers)) as server:
        steps, found, about = how(imap.probe(server.place, Login(ADA), TOKEN_OF_ADA, 5))

    assert (steps[-1], found, about) == (last, code, concern)
    assert all(ok for _, ok in steps[:-1])


CAPA = "+OK\r\nSASL XOAUTH2\r\nUSER\r\n."


@pytest.mark.parametrize(
    ("answers", "last", "code", "concern"),
    [
        (("-ERR go away",), ("connect", False), "connection_lost", LANE),
        (("+OK", CAPA, "+ ", "-ERR [AUTH] Authentication failed."), ("auth", False), "pop_refused", TOKEN),
        (("+OK", "-ERR unknown", "+ ", "-ERR [SYS/TEMP] later"), ("auth", False), "pop_refused", LANE),
        (("+OK", CAPA, "-ERR POP3 access is disabled for your domain."), ("auth", False), "pop_refused",
         ACCOUNT),
        # A server that refuses by a challenge wants an empty line before it says so.
        (("+OK", CAPA, "+ ", "+ eyJzdGF0dXMiOiI0MDAifQ==", "-ERR refused"), ("auth", False), "pop_refused",
         TOKEN),
        (("+OK", CAPA, "+ ", "+ ", "+ "), ("auth", False), "pop_refused", TOKEN),
        (("+OK", CAPA, "+ ", "+OK", "+OK bye"), ("quit", True), "", None),
    ],
)  # fmt: skip
def test_what_a_pop3_server_says_is_told(
    authority: Authority, answers: tuple[str, ...], last: tuple[str, bool], code: str, concern: Concern | None
) -> None:
    with serving(authority, lines(*answers)) as server:
        steps, found, about = how(pop.probe(server.place, Login(ADA), TOKEN_OF_ADA, 5))

    assert (steps[-1], found, about) == (last, code, concern)


@pytest.mark.parametrize(
    ("probe", "answers", "said"),
    [
        (imap.probe, (GREETING, "* CAPABILITY IMAP4rev1\r\nTAG OK done", "TAG OK in", "* BYE\r\nTAG OK out"),
         b'LOGIN "a \\"b" "p ss"\r\n'),
        (pop.probe, ("+OK", "+OK\r\nUSER\r\n.", "+OK", "+OK in", "+OK bye"), b'USER a "b\r\nPASS p ss\r\n'),
    ],
)  # fmt: skip
def test_a_server_without_sasl_gets_name_and_password(
    authority: Authority, probe: Any, answers: tuple[str, ...], said: bytes
) -> None:
    heard: list[bytes] = []

    with serving(authority, lines(*answers, heard=heard)) as server:
        found = how(probe(server.place, Login('a "b', by_password=True), Secret("p ss"), 5))

    assert found[1:] == ("", None)
    assert said in b"".join(heard)


def silent(connection: ssl.SSLSocket) -> None:
    """Says nothing until the other side leaves: who waits for it waits for ever."""
    while connection.recv(1000):
        pass


def trickling(connection: ssl.SSLSocket) -> None:
    """Says a letter now and then, for much longer than is allowed; then it leaves, which is told apart."""
    for _ in range(400):
        connection.sendall(b"*")
        time.sleep(0.05)


@pytest.mark.parametrize("say", [silent, trickling])
@pytest.mark.parametrize("protocol", ["imap", "pop", "graph", "gmail"])
def test_a_server_is_not_waited_for_longer_than_was_allowed(
    authority: Authority, say: Say, protocol: str
) -> None:
    with serving(authority, say) as server:
        steps, code, concern = how(tried(protocol, server, 0.3))

    assert (steps[-1][1], code, concern) == (False, "server_timeout", LANE)


def tried(protocol: str, server: Served, seconds: float = 5) -> tuple[list[Step], Refused | None]:
    """The probe of that protocol."""
    if protocol in {"imap", "pop"}:
        probe = imap.probe if protocol == "imap" else pop.probe
        return probe(server.place, Login(ADA), TOKEN_OF_ADA, seconds)
    ask = graph.probe if protocol == "graph" else gmail.probe
    return ask(server.site, ADA, TOKEN_OF_ADA, seconds)


@pytest.mark.parametrize("protocol", ["imap", "pop", "graph", "gmail"])
def test_a_certificate_that_nobody_trusts_sees_no_token(authority: Authority, protocol: str) -> None:
    heard: list[bytes] = []

    with serving(authority, lambda connection: heard.append(connection.recv(1000))) as server:
        distrusting = served(server.place.host, server.place.port, "", server.place.resolve)
        steps, code, _ = how(tried(protocol, distrusting))

    assert (steps, code) == ([("connect", False)], "tls_certificate")
    assert heard == []


@pytest.mark.parametrize("protocol", ["imap", "pop", "graph", "gmail"])
def test_B57_a_server_that_is_not_public_is_not_connected_to(authority: Authority, protocol: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(0.05)
        port = listener.getsockname()[1]
        steps, refused = tried(protocol, served("localhost", port, authority.pem, resolve))

        with pytest.raises(TimeoutError):
            listener.accept()

    assert refused is not None
    assert refused.diagnosis.class_ is DiagnosisClass.ADMIN
    assert [step.ok for step in steps] == [False]


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Unavailable("no", fix="later"), "dns_failed"),
        (InvalidInput("no", fix="no", code="private_address"), "private_address"),
        (ConnectionRefusedError(), "connection_refused"),
    ],
)
def test_what_hinders_a_connection_has_a_name(failure: Exception, code: str) -> None:
    def fail(_host: str, _port: int) -> list[str]:
        raise failure

    assert how(tried("imap", served("mail.example", 993, "", fail)))[1] == code


def microsoft_token(**claims: Any) -> Secret:
    """A token that shows its claims; nobody looks at its signature."""
    return Secret(jwt.encode(claims, "a secret of thirty-two characters", algorithm="HS256"))


DENIED = {"error": {"code": "ErrorAccessDenied", "message": "Access is denied."}}
EXPIRED = {"error": {"code": "InvalidAuthenticationToken", "message": "Lifetime validation failed."}}
NOT_FOUND = {"error": {"code": "Request_ResourceNotFound", "message": "There is none."}}
SENDS = microsoft_token(scp="Mail.Send User.Read")


@pytest.mark.parametrize(
    ("token", "said", "last", "code", "concern"),
    [
        (SENDS, api(200, {"id": "1"}), ("permission", True), "", None),
        (SENDS, api(403, DENIED), ("permission", True), "", None),
        (microsoft_token(roles=["Mail.Send"]), api(403, DENIED), ("permission", True), "", None),
        (Secret("opaque"), api(200, {}), ("permission", True), "", None),
        (microsoft_token(scp="Mail.Read"), api(200, {}),
         ("permission", False), "graph_no_mail_send", ACCOUNT),
        (microsoft_token(roles="odd"), api(200, {}), ("permission", False), "graph_no_mail_send", ACCOUNT),
        (SENDS, api(401, EXPIRED), ("auth", False), "graph_401", TOKEN),
        (SENDS, api(404, NOT_FOUND), ("auth", False), "graph_404", ACCOUNT),
        (SENDS, api(429, {}, Retry_After="7"), ("auth", False), "graph_429", LANE),
        (SENDS, api(503, b"<html>"), ("auth", False), "graph_503", LANE),
        (SENDS, api(302, {}, Location="https://elsewhere.example"), ("auth", False), "graph_302", ACCOUNT),
        (SENDS, api(200, b"[" * 60_000), ("permission", True), "", None),
    ],
)  # fmt: skip
def test_what_graph_says_is_told(
    authority: Authority, token: Secret, said: Say, last: tuple[str, bool], code: str, concern: Concern
) -> None:
    with serving(authority, said) as server:
        steps, found, about = how(graph.probe(server.site, ADA, token, 5))

    assert (steps[-1], found, about) == (last, code, concern)
    assert steps[0] == ("connect", True)


def google_error(status: int, reason: str) -> dict[str, Any]:
    """An error as Google's APIs have it."""
    return {"error": {"code": status, "message": "A sentence.", "errors": [{"reason": reason}]}}


@pytest.mark.parametrize(
    ("said", "last", "code", "concern"),
    [
        (api(200, {"emailAddress": "Ada@contoso.test"}), ("permission", True), "", None),
        (api(200, {"emailAddress": "bob@contoso.test"}), ("permission", False), "wrong_mailbox", ACCOUNT),
        (api(403, google_error(403, "insufficientPermissions")), ("auth", True), "", None),
        (api(403, google_error(403, "accessNotConfigured")), ("auth", False), "accessNotConfigured", ACCOUNT),
        (api(403, google_error(403, "rateLimitExceeded")), ("auth", False), "rateLimitExceeded", LANE),
        (api(401, google_error(401, "authError")), ("auth", False), "gmail_401", TOKEN),
        (api(429, google_error(429, "x")), ("auth", False), "gmail_429", LANE),
        (api(400, []), ("auth", False), "unknown_error", ACCOUNT),
    ],
)  # fmt: skip
def test_what_the_gmail_api_says_is_told(
    authority: Authority, said: Say, last: tuple[str, bool], code: str, concern: Concern
) -> None:
    with serving(authority, said) as server:
        steps, found, about = how(gmail.probe(server.site, ADA, TOKEN_OF_ADA, 5))

    assert (steps[-1], found, about) == (last, code, concern)


@pytest.mark.parametrize(
    ("text", "concern", "class_"),
    [
        ("[AUTHENTICATIONFAILED] Invalid credentials (Failure)", TOKEN, "reconnect"),
        ("AUTHENTICATE failed.", TOKEN, "reconnect"),
        ("User is authenticated but not connected.", ACCOUNT, "admin"),
        (
            "[ALERT] IMAP access is disabled for your domain. Please contact your administrator",
            ACCOUNT,
            "admin",
        ),
        ("[ALERT] Your account is not enabled for IMAP use.", ACCOUNT, "admin"),
        ("[WEBALERT https://accounts.google.com/x] Web login required.", ACCOUNT, "reconnect"),
        ("[ALERT] Application-specific password required", ACCOUNT, "reconnect"),
        ("[ALERT] Too many simultaneous connections. (Failure)", LANE, "pause"),
        ("[SYS/TEMP] Temporary system problem", LANE, "pause"),
        ("[IN-USE] Mailbox is locked", LANE, "pause"),
        ("[SYS/PERM] Account disabled", ACCOUNT, "admin"),
        ("Unsupported authentication mechanism.", ACCOUNT, "admin"),
        ("", TOKEN, "reconnect"),
    ],
)
def test_a_refused_login_has_one_meaning(text: str, concern: Concern, class_: str) -> None:
    found = logins.verdict("imap", text)

    assert (found.concern, found.diagnosis.class_) == (concern, DiagnosisClass(class_))
    assert found.diagnosis.text == text
