"""The schema of a message says what the function `send` takes: both judge the same messages alike."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from chalicelib.operations import SendOperations
from cli import reference
from tests.unit.mail_world import post, running_post, world

if TYPE_CHECKING:
    from tests.unit.mail_world import World

__all__ = ["post", "running_post", "world"]

ALIAS = "arn:aws:lambda:eu-west-1:000000000000:function:mailgrant-test-send:shop"
FILE: dict[str, Any] = {"filename": "a.txt", "content": "QQ=="}

TAKEN: dict[str, dict[str, Any]] = {
    "the least": {},
    "a recipient with a name": {"to": [{"address": "a@example.net", "name": "Ada"}]},
    "only a hidden recipient": {"to": [], "bcc": ["a@example.net"]},
    "nulls": {"subject": None, "html": None, "raw": None, "attachments": None, "cc": None},
    "every field": {
        "cc": ["b@example.net"],
        "reply_to": ["c@example.net"],
        "subject": "Grüße",
        "text": "Hello\nthere",
        "html": "<p>Hello</p>",
        "attachments": [FILE, {**FILE, "content_type": "image/png", "content_id": "logo"}],
        "headers": {"X-Order": "4711"},
        "idempotency_key": "order 4711",
        "on_unknown": "keep",
        "expires_in": 60,
    },
    "the longest key": {"idempotency_key": "k" * 255},
    "the longest life": {"expires_in": 432_000},
    "whole, with other recipients": {"raw": "@raw", "cc": ["b@example.net"]},
    "whole, beside null": {"raw": "@raw", "subject": None},
}
"""What both take, as changes of the least message."""

REFUSED: dict[str, dict[str, Any]] = {
    "no account": {"account": ...},
    "an account that is a number": {"account": 7},
    "no recipient": {"to": ...},
    "an empty list of recipients": {"to": []},
    "null as the recipients": {"to": None},
    "one recipient without a list": {"to": "a@example.net"},
    "a recipient without an address": {"to": [{"name": "Ada"}]},
    "a recipient with more": {"to": [{"address": "a@example.net", "mail": "b@example.net"}]},
    "an unknown field": {"subjekt": "Hello"},
    "a subject on two lines": {"subject": "Hello\r\nBcc: b@example.net"},
    "a name on two lines": {"to": [{"address": "a@example.net", "name": "A\nB"}]},
    "a text that is a list": {"text": ["Hello"]},
    "a file without a name": {"attachments": [{"content": "QQ=="}]},
    "a file with an empty name": {"attachments": [{**FILE, "filename": ""}]},
    "a file that is no base64": {"attachments": [{**FILE, "content": "no base64!"}]},
    "a header that is a number": {"headers": {"X-Order": 4711}},
    "a header on two lines": {"headers": {"X-Order": "4711\nX-More: 1"}},
    "whole, with a subject": {"raw": "@raw", "subject": "Hello"},
    "whole, with a file": {"raw": "@raw", "attachments": [FILE]},
    "whole, but no base64": {"raw": "no base64!"},
    "an empty key": {"idempotency_key": ""},
    "a key that is too long": {"idempotency_key": "k" * 256},
    "a key outside ASCII": {"idempotency_key": "schlüssel"},
    "another word for the unknown": {"on_unknown": "ask"},
    "a life that is too short": {"expires_in": 59},
    "a life that is too long": {"expires_in": 432_001},
    "a life in words": {"expires_in": "a day"},
}
"""What both refuse; `...` leaves a field out."""


def made(world: World, changes: dict[str, Any]) -> dict[str, Any]:
    """The least message of the world's account with changes."""
    least = {"account": world.account.id, "to": ["a@example.net"]}
    if "raw" in changes and changes["raw"] is not None:
        del least["to"]
    changes = {name: raw(world) if value == "@raw" else value for name, value in changes.items()}
    return {name: value for name, value in {**least, **changes}.items() if value is not ...}


def raw(world: World) -> str:
    """A whole message of the account."""
    text = f"From: {world.account.address}\r\nTo: a@example.net\r\n\r\nHello.\r\n"
    return base64.b64encode(text.encode()).decode()


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Draft202012Validator:
    """The schema as it is published."""
    return jsonschema_rs.Draft202012Validator(json.loads(reference.MESSAGE.read_text()))


def sent(world: World, message: dict[str, Any]) -> dict[str, Any]:
    """What the function answers."""
    return SendOperations(world.send, lambda _: world.caller).run(message, function_arn=ALIAS)


def test_the_schema_is_one() -> None:
    jsonschema_rs.meta.validate(json.loads(reference.MESSAGE.read_text()))


@pytest.mark.parametrize("changes", TAKEN.values(), ids=TAKEN)
def test_what_fits_the_schema_is_taken(
    world: World, schema: jsonschema_rs.Draft202012Validator, changes: dict[str, Any]
) -> None:
    message = made(world, changes)

    answer = sent(world, message)

    assert [error.message for error in schema.iter_errors(message)] == []
    assert answer["state"] == "queued", answer


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_the_schema_is_refused(
    world: World, schema: jsonschema_rs.Draft202012Validator, changes: dict[str, Any]
) -> None:
    message = made(world, changes)

    answer = sent(world, message)

    assert not schema.is_valid(message)
    assert answer["status"] in {400, 422}, answer
