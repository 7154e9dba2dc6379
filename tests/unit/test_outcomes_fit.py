"""Row U-D2: every outcome fits its row, however many recipients, attempts and words there are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib import ids
from chalicelib.aws.failures import TooLargeToStore, translated
from chalicelib.aws.tables import message_rows
from chalicelib.aws.tables.codec import to_item
from chalicelib.aws.tables.message_rows import to_row
from chalicelib.diagnosis import TEXT_LIMIT, Diagnosis, DiagnosisClass
from chalicelib.mail.composing.compose import LONGEST_RECIPIENTS, MOST_RECIPIENTS
from chalicelib.mail.composing.frozen import LONGEST_SHOWN
from chalicelib.mail.models import (
    MOST_KEPT,
    Attempt,
    Envelope,
    Message,
    Phase,
    Recipient,
    Reply,
    State,
)
from chalicelib.mail.ports import Limits, Outcome
from chalicelib.mail.send import INLINE
from tests.unit.test_compose import composed, refusal
from tests.unit.test_conditions_mail import account, claim, lanes, message, messages, stores

if TYPE_CHECKING:
    from chalicelib.aws.tables.messages import MessagesTable

__all__ = ["account", "lanes", "message", "messages", "stores"]

NOW = 1_800_000_000_000

LARGEST_ITEM = 400 * 1024
"""Octets of an item of DynamoDB (its quotas)."""

WORDS = "\U0001f4e7" * TEXT_LIMIT
"""As many octets as a text that is kept can have."""

LONG_SENTENCE = "x" * 300
"""Longer than each message and fix of a diagnosis."""


def size(value: dict[str, Any]) -> int:
    """The octets of an attribute's value, as DynamoDB counts (Developer Guide, "Item sizes and formats")."""
    ((kind, inner),) = value.items()
    if kind == "S":
        return len(inner.encode())
    if kind == "N":
        return len(inner) // 2 + 2
    if kind == "B":
        return len(inner)
    if kind == "L":
        return 3 + sum(size(one) + 1 for one in inner)
    if kind == "M":
        return 3 + sum(len(name) + size(one) + 1 for name, one in inner.items())
    return 1


def largest_message(*, attempts: int) -> Message:
    """A message of which everything is as long as it can be."""
    length = LONGEST_RECIPIENTS // MOST_RECIPIENTS
    addresses = tuple(f"{number:04d}".ljust(length - 5, "x") + "@x.de" for number in range(MOST_RECIPIENTS))
    reply = Reply(550, "5.100.100", WORDS)
    diagnosis = Diagnosis(DiagnosisClass.CALLER, "x" * 40, LONG_SENTENCE, LONG_SENTENCE, WORDS, 1_000)
    tried = Attempt(1, "wrk_" + "x" * 20, NOW, Phase.COMMIT, NOW, State.DEFERRED, "smtp", reply, diagnosis)
    return Message(
        id=ids.new_message_id(ids.new_id("acc")),
        account=ids.new_id("acc"),
        caller="key_" + "x" * 20,
        state=State.COMMITTING,
        envelope=Envelope("x" * 254, addresses),
        size=1,
        message_id="x" * 998,
        accepted_at=NOW,
        expires_at=NOW,
        fingerprint="x" * 64,
        subject="\U0001f4e7" * LONGEST_SHOWN,
        body=b"x" * INLINE,
        attempts=(tried,) * attempts,
        recipients=tuple(Recipient(address, State.FAILED, reply) for address in addresses),
        claim="x" * 24,
        request_id="x" * 64,
    )


def test_ud2_the_largest_row_that_there_can_be_has_room() -> None:
    row = to_row(largest_message(attempts=MOST_KEPT + 1))

    assert size({"M": to_item(row)}) < LARGEST_ITEM


def test_ud2_a_thousand_refused_recipients_are_recorded_with_their_words(messages: MessagesTable) -> None:
    large = replace(largest_message(attempts=0), state=State.QUEUED, next_attempt_at=NOW, recipients=())
    assert messages.add(large, ttl=NOW) is None
    claimed = messages.claim(large.account, large.id, worker="w", now=NOW, until=NOW + 1).row
    assert claimed is not None
    ended = largest_message(attempts=1)
    recipients = tuple(
        replace(one, address=to) for one, to in zip(ended.recipients, large.envelope.recipients, strict=True)
    )

    assert messages.finish(claimed, Outcome(State.FAILED, ended.attempts[0], recipients=recipients))

    stored = messages.get(large.account, large.id)
    assert stored is not None
    assert stored.state is State.FAILED
    assert {one.state for one in stored.recipients} == {State.FAILED}
    assert all(
        one.reply is not None and one.reply.code == 550 and one.reply.text for one in stored.recipients
    )


def test_ud2_where_a_row_has_no_room_the_outcome_is_recorded_without_words(
    messages: MessagesTable, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claim(messages, message, "w")
    ended = largest_message(attempts=1)
    outcome = Outcome(State.SENT, ended.attempts[0], recipients=ended.recipients[:2])
    update = messages._client.update_item

    def full(**request: Any) -> Any:
        if any(WORDS in str(value) for value in request["ExpressionAttributeValues"].values()):
            raise client_error(
                "ValidationException", "Item size to update has exceeded the maximum allowed size"
            )
        return update(**request)

    monkeypatch.setattr(messages, "_client", Client(full))
    assert messages.finish(claimed, outcome)
    monkeypatch.undo()

    stored = messages.get(message.account, message.id)
    assert stored is not None
    assert stored.state is State.SENT
    assert stored.attempts[-1].reply == Reply(550, "5.100.100", "")


class Client:
    """A client of DynamoDB whose updates are the given function."""

    def __init__(self, update: Any) -> None:
        self.update_item = update


def client_error(code: str, text: str) -> Exception:
    """An error as botocore raises it."""
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": code, "Message": text}}, "UpdateItem")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("ValidationException", "Item size has exceeded the maximum allowed size"),
        ("ItemCollectionSizeLimitExceededException", "Collection size exceeded."),
    ],
)
def test_ud2_what_has_no_room_is_told_apart_from_what_passes(code: str, text: str) -> None:
    with pytest.raises(TooLargeToStore), translated("The table"):
        raise client_error(code, text)


def test_ud2_recipients_have_a_bound_whatever_the_provider_takes() -> None:
    many = [f"b{number}@example.net" for number in range(MOST_RECIPIENTS + 1)]

    assert refusal(to=many, limits=Limits(recipients=100_000)).field == "to"
    assert composed(to=many[1:], limits=Limits(recipients=100_000)).envelope.recipients == tuple(many[1:])


def test_ud2_the_octets_of_the_recipients_have_a_bound() -> None:
    long = [f"{number}{'b' * 60}@{'example' * 8}.net" for number in range(900)]

    assert refusal(to=long, limits=Limits(recipients=1_000)).field == "to"


def test_ud2_words_are_cut_between_characters() -> None:
    rows = message_rows.recipient_rows([Recipient("a@x.de", State.FAILED, Reply(550, "", WORDS))] * 1_000)

    assert {row["reply"]["text"] for row in rows} == {"\U0001f4e7" * 10}
