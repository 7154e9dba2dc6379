"""Rows B19-B29, B31-B35, B40, B42-B51 and B53-B55: messages that are refused with the field and the fix.

Each row is asked at both doors, HTTPS and the function `send`, where it concerns both. Of a refused message
no row is stored; how an accepted one travels is read from the mail server.
"""

from __future__ import annotations

import base64
import gzip
import json
import secrets
from datetime import datetime
from email import message_from_bytes
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api import Api
from tests.faults import doors
from tests.faults.doors import Door, error_of, post
from tests.helpers import copies, in_state, letter

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

Letter = dict[str, Any]


def raw(connected: dict[str, Any], head: str, body: str = "x\r\n") -> Letter:
    """A whole message of the mailbox with these further lines in its header."""
    text = f"From: {connected['address']}\r\n{head}\r\n{body}"
    return {"account": connected["id"], "raw": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize("subject", ["Hello\r\nBcc: victim@example.net", "Hello\r\n\r\nAnother body"])
def test_B19_a_subject_that_would_add_a_header(connected: Letter, door: Door, subject: str) -> None:
    door.refuses(letter(connected["id"], subject=subject), 422, "subject")


@pytest.mark.parametrize(
    "end",
    ["\r", "\n", "\v", "\x85", "\u2028"],
    ids=["CR", "LF", "VT", "NEL", "U+2028"],
)
def test_B20_a_subject_with_a_line_end_of_any_kind(connected: Letter, door: Door, end: str) -> None:
    door.refuses(letter(connected["id"], subject=f"a{end}b"), 422, "subject")


def test_B21_a_header_name_that_would_add_a_header(connected: Letter, door: Door) -> None:
    door.refuses(letter(connected["id"], headers={"X\r\nBcc": "victim@example.net"}), 422, "headers")


@pytest.mark.parametrize(
    "name",
    [
        "From",
        "Sender",
        "Bcc",
        "Return-Path",
        "Received",
        "DKIM-Signature",
        "Content-Type",
        "content-transfer-encoding",
    ],
)
def test_B22_a_header_that_others_write(connected: Letter, door: Door, name: str) -> None:
    door.refuses(letter(connected["id"], headers={name: "x@example.net"}), 422, f"headers.{name}")


@pytest.mark.parametrize("name", ["a\r\nX: y", "a\0.pdf", "../a.pdf"], ids=["CRLF", "NUL", "path"])
def test_B23_a_file_name_that_is_none(connected: Letter, door: Door, name: str) -> None:
    file = {"filename": name, "content": "YQ=="}

    door.refuses(letter(connected["id"], attachments=[file]), 422, "attachments[0].filename")


@pytest.mark.parametrize("kind", ["text/plain\r\nX: y", "multipart/mixed", "multipart/x"])
def test_B24_a_media_type_that_is_not_one_of_a_file(connected: Letter, door: Door, kind: str) -> None:
    file = {"filename": "a.txt", "content": "YQ==", "content_type": kind}

    door.refuses(letter(connected["id"], attachments=[file]), 422, "attachments[0].content_type")


def test_B25_two_addresses_in_one_string(connected: Letter, door: Door) -> None:
    door.refuses(letter(connected["id"], to=["a@example.net, b@example.net"]), 422, "to[0]")


@pytest.mark.parametrize("group", ["to", "cc", "bcc", "reply_to"])
def test_B26_an_address_that_would_add_a_parameter(connected: Letter, door: Door, group: str) -> None:
    address = "a@example.net> NOTIFY=NEVER <b@example.org"

    door.refuses(letter(connected["id"], **{group: [address]}), 422, f"{group}[0]")


@pytest.mark.parametrize("sign", ["\0", "\r\n", "\x7f", "\x85"], ids=["NUL", "CRLF", "DEL", "NEL"])
@pytest.mark.parametrize("place", ["local", "domain", "name"])
def test_B27_a_control_character_in_an_address(connected: Letter, door: Door, sign: str, place: str) -> None:
    who = {
        "local": {"address": f"a{sign}@example.net"},
        "domain": {"address": f"a@example{sign}.net"},
        "name": {"address": "a@example.net", "name": f"A{sign}"},
    }[place]
    field = "to[0].name" if place == "name" else "to[0].address"

    door.refuses(letter(connected["id"], to=[who]), 422, field)


@pytest.mark.parametrize("to", [None, []], ids=["null", "empty"])
def test_B28_no_recipients(connected: Letter, door: Door, to: list[str] | None) -> None:
    door.refuses(letter(connected["id"], to=to), 422, "to")


def test_B28_no_recipients_anywhere_in_a_whole_message(connected: Letter, door: Door) -> None:
    door.refuses(raw(connected, "Subject: x\r\n"), 422, "to")


@pytest.mark.parametrize("address", ["l" * 65 + "@example.net", "a@" + "d." * 124 + "abcde"])
def test_B29_an_address_that_is_too_long(connected: Letter, door: Door, address: str) -> None:
    assert len(address) in {65 + 12, 255}

    door.refuses(letter(connected["id"], to=[address]), 422, "to[0]")


def test_B31_an_international_domain_travels_as_its_a_label(
    sandbox: Sandbox, cast: Cast, connected: Letter, door: Door
) -> None:
    accepted = door.accepts(letter(connected["id"], to=["carl@bücher.example"]))

    sent = in_state(cast, accepted, "sent")

    (copy,) = copies(sandbox, sent["message_id"])
    assert copy["recipients"] == ["carl@xn--bcher-kva.example"]


@pytest.mark.parametrize("domain", ["☃.example", "xn--0.example", "-a.example", "a_b.example", "a..example"])
def test_B31_a_domain_that_is_none(connected: Letter, door: Door, domain: str) -> None:
    door.refuses(letter(connected["id"], to=[f"a@{domain}"]), 422, "to[0]")


@pytest.mark.parametrize("form", ["json", "raw"])
def test_B32_a_quoted_local_part_is_refused_and_never_altered(
    connected: Letter, door: Door, form: str
) -> None:
    quoted = '"a b"@example.net'
    asked = letter(connected["id"], to=[quoted]) if form == "json" else raw(connected, f"To: {quoted}\r\n")

    door.refuses(asked, 422, "to[0]" if form == "json" else "raw")


@pytest.mark.parametrize("form", ["json", "raw"])
def test_B33_an_address_literal(connected: Letter, door: Door, form: str) -> None:
    literal = "user@[127.0.0.1]"
    asked = letter(connected["id"], to=[literal]) if form == "json" else raw(connected, f"To: {literal}\r\n")

    door.refuses(asked, 422, "to[0]" if form == "json" else "raw")


@pytest.mark.parametrize("form", ["json", "raw"])
def test_B34_from_is_somebody_else(connected: Letter, door: Door, form: str) -> None:
    text = b"From: boss@example.com\r\nTo: a@example.net\r\nSubject: x\r\n\r\nx\r\n"
    message = (
        letter(connected["id"], **{"from": "boss@example.com"})
        if form == "json"
        else {"account": connected["id"], "raw": base64.b64encode(text).decode()}
    )

    error = door.refuses(message, 403, "from" if form == "json" else "raw")

    assert error["code"] == "from_not_allowed"


def test_B35_a_forbidden_account_and_an_unknown_one(sandbox: Sandbox, cast: Cast, connected: Letter) -> None:
    """The same status and the same body, by id and by name."""
    other = cast.account(cast.connector("google"), f"other-{secrets.token_hex(4)}@example.com")
    caller = {"kind": "key", "name": "stranger", "scopes": ["send", "read"], "accounts": [other["id"]]}
    made = cast.api.post("/v1/callers", caller)
    stranger = Api(sandbox.url, made["key"], sandbox.authority.cafile)
    named = [connected["id"], connected["name"], "acc_" + "z" * 20, "nobody@example.com"]

    answers = [stranger.request("POST", "/v1/messages", json=letter(name)) for name in named]
    answers += [
        stranger.request("GET", f"/v1/accounts/{name}") for name in (connected["id"], "acc_" + "z" * 20)
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize("name", ["From", "Message-ID"])
def test_B40_a_header_that_may_stand_once_stands_twice(connected: Letter, door: Door, name: str) -> None:
    own = {"From": f"From: {connected['address']}\r\n", "Message-ID": "Message-ID: <1@x>\r\n" * 2}[name]

    error = door.refuses(raw(connected, f"To: a@example.net\r\n{own}"), 422, "raw")

    assert f"more than one {name.title()}" in error["message"]


def test_B40_a_missing_date_is_set_once_when_the_message_is_accepted(
    sandbox: Sandbox, cast: Cast, connected: Letter, door: Door
) -> None:
    accepted = door.accepts(
        raw(connected, f"To: a@example.net\r\nMessage-ID: <{secrets.token_hex(8)}@x>\r\n")
    )
    sent = in_state(cast, accepted, "sent")

    arrived = message_from_bytes(sandbox.mail.raw(sandbox.mail.wait_for(sent["message_id"])["number"]))

    (date,) = arrived.get_all("Date") or []
    accepted_at = datetime.fromisoformat(sent["accepted_at"])
    assert parsedate_to_datetime(date) == accepted_at.replace(microsecond=0)


SURROGATES: dict[str, Callable[[str], Letter]] = {
    "subject": lambda half: {"subject": half},
    "text": lambda half: {"text": half},
    "html": lambda half: {"html": half},
    "to[0]": lambda half: {"to": [half]},
    "to[0].name": lambda half: {"to": [{"address": "a@example.net", "name": half}]},
    "headers": lambda half: {"headers": {f"X-{half}": "x"}},
    "headers.X-A": lambda half: {"headers": {"X-A": half}},
    "attachments[0].filename": lambda half: {"attachments": [{"filename": half, "content": ""}]},
    "raw": lambda half: {"raw": half},
    "account": lambda half: {"account": half},
    "idempotency_key": lambda half: {"idempotency_key": half},
}


@pytest.mark.parametrize("field", SURROGATES)
def test_B42_half_a_surrogate_pair(connected: Letter, door: Door, field: str) -> None:
    door.refuses({**letter(connected["id"]), **SURROGATES[field]("a\ud800")}, 422, field)


@pytest.mark.parametrize("field", ["text", "html"])
def test_B43_a_nul_in_a_body(connected: Letter, door: Door, field: str) -> None:
    door.refuses(letter(connected["id"], **{field: "a\0b"}), 422, field)


def test_B44_an_empty_message_is_sent_as_one(
    sandbox: Sandbox, cast: Cast, connected: Letter, door: Door
) -> None:
    accepted = door.accepts({"account": connected["id"], "to": ["a@example.net"]})

    sent = in_state(cast, accepted, "sent")

    number = sandbox.mail.wait_for(sent["message_id"])["number"]
    assert sandbox.mail.raw(number).partition(b"\r\n\r\n")[2].strip() == b""


@pytest.mark.parametrize("content", ["a!", "YQ", "Y Q==", "YQ==YQ==", "Y-_="])
@pytest.mark.parametrize("field", ["attachments[0].content", "raw"])
def test_B45_base64_that_is_none(connected: Letter, door: Door, field: str, content: str) -> None:
    file = {"filename": "a", "content": content}
    asked = {"account": connected["id"], "raw": content}

    door.refuses(asked if field == "raw" else letter(connected["id"], attachments=[file]), 422, field)


@pytest.mark.parametrize("name", doors.DOORS)
def test_B46_one_byte_over_the_size_limit(
    sandbox: Sandbox, cast: Cast, connected: Letter, alias: str, name: str
) -> None:
    """Refused before anything is stored; a message of exactly the limit is accepted."""
    asked = letter(connected["id"], text="a" * 20_000)
    size = cast.api.get(f"/v1/messages/{cast.api.post('/v1/messages', asked)['id']}")["size"]
    fits, over = (
        doors.in_process(name, doors.gateway_with(sandbox, max_size=limit), sandbox, alias, connected["id"])
        for limit in (size, size - 1)
    )
    stored = _objects(sandbox, connected["id"])

    error = over.refuses(asked, 413, None)

    assert error["code"] == "too_large"
    assert _objects(sandbox, connected["id"]) == stored
    fits.accepts(asked)


def _objects(sandbox: Sandbox, account: str) -> int:
    """How many long bodies the account has in the bucket."""
    s3, bucket = doors.aws(sandbox, "s3"), sandbox.environment["BUCKET"]
    return int(s3.list_objects_v2(Bucket=bucket, Prefix=f"messages/{account}/")["KeyCount"])


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "identity, gzip"])
def test_B47_a_compressed_body_is_refused_unread(
    sandbox: Sandbox, cast: Cast, connected: Letter, encoding: str
) -> None:
    """A small body that would become forty megabytes."""
    bomb = gzip.compress(json.dumps(letter(connected["id"], text="a" * 40_000_000)).encode(), 1)
    before = doors.kept(sandbox, connected["id"])

    error = error_of(post(cast, bomb, Content_Encoding=encoding), 415)

    assert error["code"] == "unsupported_media_type"
    assert "Content-Encoding" in error["fix"]
    assert doors.kept(sandbox, connected["id"]) == before


def test_B48_more_recipients_than_the_provider_takes(connected: Letter, door: Door) -> None:
    people = [f"u{number}@example.net" for number in range(501)]

    error = door.refuses(letter(connected["id"], to=people[:300], bcc=people[300:]), 422, "to")

    assert "500" in error["message"]


def test_B49_the_same_recipient_twice_is_one_rcpt(
    sandbox: Sandbox, cast: Cast, connected: Letter, door: Door
) -> None:
    """In every group, whatever the case of the domain; the local part's case is the server's matter."""
    people = {
        "to": ["a@example.net", "a@EXAMPLE.net"],
        "cc": ["A@example.net"],
        "bcc": ["a@example.NET", "b@example.net"],
    }
    sent = in_state(cast, door.accepts(letter(connected["id"], **people)), "sent")

    (copy,) = copies(sandbox, sent["message_id"])

    assert copy["recipients"] == ["a@example.net", "A@example.net", "b@example.net"]


def test_B50_an_idempotency_key_with_another_message(connected: Letter, door: Door) -> None:
    """422 for the other content; the same content is answered with the same id."""
    key = secrets.token_hex(8)
    first, same = (door.accepts(letter(connected["id"], idempotency_key=key)) for _ in range(2))

    error = door.refuses(
        letter(connected["id"], idempotency_key=key, subject="Another"), 422, "idempotency_key"
    )

    assert first == same
    assert error["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("key", ["", "k" * 256, "schlüssel", "a\tb"], ids=["empty", "long", "ü", "tab"])
def test_B51_an_idempotency_key_that_is_none(connected: Letter, door: Door, key: str) -> None:
    door.refuses(letter(connected["id"], idempotency_key=key), 422, "idempotency_key")


@pytest.mark.parametrize("key", [b"", b"k" * 256, "schlüssel".encode()], ids=["empty", "long", "ü"])
def test_B51_an_idempotency_key_that_is_none_in_the_header(
    sandbox: Sandbox, cast: Cast, connected: Letter, key: bytes
) -> None:
    before = doors.kept(sandbox, connected["id"])

    error = error_of(post(cast, json.dumps(letter(connected["id"])).encode(), Idempotency_Key=key), 422)

    assert error["field"] == "idempotency_key"
    assert doors.kept(sandbox, connected["id"]) == before


@pytest.mark.parametrize(
    "body",
    [
        b'{"account":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"account":"a","to":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"account":"a","account":"b"}',
        b'{"account":"a","to":[{"address":"a@example.net","address":"b@example.net"}]}',
        b'{"account":"a","expires_in":NaN}',
        b'{"account":"a","expires_in":-Infinity}',
        b'{"account":"a","expires_in":' + b"9" * 5_000 + b"}",
        b'{"account":"a"',
        b'["account"]',
        b"",
        b"\xff\xfe",
    ],
    ids=[
        "objects 10,000 deep",
        "lists 10,000 deep",
        "key twice",
        "inner key twice",
        "NaN",
        "infinity",
        "5,000 digits",
        "cut off",
        "list",
        "empty",
        "no UTF-8",
    ],
)
def test_B53_what_is_not_one_json_object(cast: Cast, body: bytes) -> None:
    """By HTTPS; what is handed to the function was parsed by Lambda before."""
    assert error_of(post(cast, body), 400)["code"] == "malformed_request"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_B54_a_wrong_content_type(sandbox: Sandbox, cast: Cast, connected: Letter, kind: str) -> None:
    before = doors.kept(sandbox, connected["id"])

    error = error_of(post(cast, json.dumps(letter(connected["id"])).encode(), Content_Type=kind), 415)

    assert error["code"] == "unsupported_media_type"
    assert "application/json" in error["fix"]
    assert doors.kept(sandbox, connected["id"]) == before


@pytest.mark.parametrize(
    ("change", "field", "meant"),
    [
        ({"bbc": ["a@example.net"]}, "bbc", "bcc"),
        ({"to": [{"adress": "a@example.net"}]}, "to[0].adress", "address"),
        ({"attachments": [{"filename": "a", "contents": ""}]}, "attachments[0].contents", "content"),
    ],
)
def test_B55_an_unknown_field(connected: Letter, door: Door, change: Letter, field: str, meant: str) -> None:
    error = door.refuses(letter(connected["id"], **change), 422, field)

    assert f"Did you mean {meant}?" in error["fix"]


@pytest.mark.parametrize("payload", ["[]", '"a"', "1", "null", "true"])
def test_a_payload_of_the_function_that_is_no_message_at_all(
    sandbox: Sandbox, alias: str, payload: str
) -> None:
    answer = doors.aws(sandbox, "lambda").invoke(
        FunctionName="mailgrant-sandbox-send", Payload=payload, Qualifier=alias
    )

    assert "FunctionError" not in answer
    assert error_of((400, json.load(answer["Payload"])), 400)["code"] == "malformed_request"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing"),
        ("GET", "/v1/messages/a/b"),
        ("PATCH", "/v1/messages"),
        ("TRACE", "/v1/messages"),
        ("PUT", "/healthz"),
        ("QUERY", "/v1/messages"),
        ("GET", "/v1/accounts/%00"),
        ("GET", "/v1/messages/" + "a" * 5_000),
        ("GET", "/v1/messages?account=%ED%A0%80"),
        ("GET", "/iam/v1/whoami"),
    ],
)
def test_a_path_or_a_method_that_is_not_there(cast: Cast, method: str, path: str) -> None:
    """Also what API Gateway answers by itself has the one shape."""
    answer = cast.api.request(method, path)

    assert 400 <= answer.status_code < 500
    error_of((answer.status_code, answer.json()), answer.status_code)
