"""The web side: pages, JSON and the guard of the control API."""

from __future__ import annotations

import http.client
from email.message import EmailMessage
from urllib.parse import quote, urlsplit

import pytest

from tests.sandbox.mailserver.support import ALICE, BOB, World, message


def fetch(world: World, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    """Return the status, the content type and the text of one request."""
    connection = http.client.HTTPConnection(urlsplit(world.server.url).netloc, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): each for name, each in headers.items()})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, response.headers["Content-Type"], text


def send(world: World, content: bytes, recipients: tuple[str, ...] = (BOB,)) -> None:
    """Send a message as Alice."""
    with world.sign_in("microsoft") as smtp:
        smtp.sendmail(ALICE, list(recipients), content)


def rich_message() -> bytes:
    """Return a message with text, HTML, an attachment and a subject that is not ASCII."""
    rich = EmailMessage()
    rich["From"], rich["To"], rich["Subject"] = ALICE, BOB, "Gr\u00fc\u00dfe <b>an alle</b>"
    rich["Message-ID"] = "<rich@contoso.test>"
    rich.set_content("The text part")
    rich.add_alternative("<p>HTML</p><script>alert(1)</script>", subtype="html")
    rich.add_attachment(b"12345", maintype="application", subtype="pdf", filename="bill.pdf")
    return rich.as_bytes().replace(b"\n", b"\r\n")


def test_an_empty_inbox_says_so(world: World) -> None:
    status, content_type, text = fetch(world, "/")

    assert (status, content_type) == (200, "text/html; charset=utf-8")
    assert "No mail yet" in text


def test_the_inbox_lists_mailboxes_and_messages_newest_first(world: World) -> None:
    send(world, message("<first@contoso.test>"))
    send(world, message("<second@contoso.test>"), (BOB, "carol@example.test"))

    _, _, text = fetch(world, "/")

    assert f"{BOB} (2)" in text
    assert "carol@example.test (1)" in text
    assert text.index("second@contoso.test") < text.index("first@contoso.test")


def test_one_mailbox_shows_only_its_messages(world: World) -> None:
    send(world, message("<first@contoso.test>"))
    send(world, message("<second@contoso.test>"), ("carol+x@example.test",))

    _, _, text = fetch(world, f"/?mailbox={quote('carol+x@example.test')}")

    assert "second@contoso.test" in text
    assert "first@contoso.test" not in text


def test_a_message_page_shows_its_parts_and_runs_none_of_them(world: World) -> None:
    send(world, rich_message())

    _, _, text = fetch(world, "/messages/1")

    assert "The text part" in text
    assert "bill.pdf (application/pdf, 5 bytes)" in text
    assert "Gr\u00fc\u00dfe &lt;b&gt;an alle&lt;/b&gt;" in text
    assert 'sandbox="" srcdoc="&lt;p&gt;HTML' in text
    assert "<script" not in text


def test_pages_forbid_scripts_and_remote_content(world: World) -> None:
    connection = http.client.HTTPConnection(urlsplit(world.server.url).netloc, timeout=10)
    connection.request("GET", "/")
    response = connection.getresponse()
    response.read()
    connection.close()

    assert response.headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_a_malformed_message_still_has_a_page(world: World) -> None:
    send(
        world, b"Subject: =?nonsense?q?x?=\r\nContent-Type: text/plain; charset=nonsense\r\n\r\n\xff\xfe\r\n"
    )

    status, _, text = fetch(world, "/messages/1")

    assert status == 200
    assert "=?nonsense?q?x?=" in text


def test_the_eml_is_a_download_of_the_received_bytes(world: World) -> None:
    sent = rich_message()
    send(world, sent)

    status, content_type, _ = fetch(world, "/messages/1.eml")

    assert (status, content_type) == (200, "message/rfc822")
    assert world.client.raw(1) == sent


@pytest.mark.parametrize("path", ["/messages/1", "/messages/1.eml", "/nowhere"])
def test_what_is_not_there_is_a_page_that_leads_back(world: World, path: str) -> None:
    status, _, text = fetch(world, path)

    assert status == 404
    assert 'href="/"' in text


def test_messages_are_filtered_by_recipient_message_id_and_user(world: World) -> None:
    send(world, rich_message())
    send(world, message())

    by_id = world.client.messages(message_id="<rich@contoso.test>")

    assert [each["subject"] for each in by_id] == ["Gr\u00fc\u00dfe <b>an alle</b>"]
    assert [each["number"] for each in world.client.messages(recipient=BOB, user=ALICE)] == [2, 1]
    assert world.client.messages(user=BOB) == []


def test_waiting_for_a_message_that_does_not_come_times_out(world: World) -> None:
    with pytest.raises(TimeoutError, match="no message"):
        world.client.wait_for("<never@contoso.test>", 0.05)


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/api/reset", "POST", {"Host": "evil.test", "Content_Type": "application/json"}, 403),
        ("/", "GET", {"Host": "evil.test"}, 403),
        ("/api/reset", "POST", {"Content_Type": "text/plain", "Content_Length": "0"}, 400),
        ("/api/nothing", "GET", {}, 404),
        ("/api/messages?wait=soon", "GET", {}, 400),
    ],
    ids=["rebinding", "rebinding-page", "form", "unknown", "bad-number"],
)
def test_the_control_api_refuses_what_is_not_for_it(
    world: World, path: str, method: str, headers: dict[str, str], status: int
) -> None:
    answered, content_type, _ = fetch(world, path, method, **headers)

    assert (answered, content_type) == (status, "application/json")
