"""Envelope encryption, under the real keys of a local AWS."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from chalicelib import ids
from chalicelib.aws.vault import KEY_LIFE, KEY_USES, Vault
from chalicelib.errors import ConfigurationError, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.aws_tables import Aws

FIELD, VERSION, VALUE = "refresh_token", 3, b"1//a-token"


class Seconds:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def vault(aws: Aws) -> Callable[..., Vault]:
    def make(table: str = "grants", seconds: Callable[[], float] = time.monotonic, key: str = "") -> Vault:
        key = key or aws.settings.grants_key_arn
        return Vault(aws.clients.kms, key, aws.settings.table(table), aws.settings.stage, seconds)

    return make


def calls(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The wrapped keys that KMS is asked to open from now on."""
    asked: list[str] = []
    decrypt = aws.clients.kms.decrypt

    def counted(**request: object) -> object:
        asked.append("decrypt")
        return decrypt(**request)  # type: ignore[arg-type]

    monkeypatch.setattr(aws.clients.kms, "decrypt", counted)
    return asked


def test_what_was_sealed_opens(vault: Callable[..., Vault]) -> None:
    account = ids.new_id("acc")

    sealed = vault().seal(account, FIELD, VERSION, VALUE)

    assert vault().open(account, FIELD, VERSION, sealed) == VALUE
    assert VALUE not in sealed


def test_two_seals_of_one_value_differ(vault: Callable[..., Vault]) -> None:
    account = ids.new_id("acc")

    assert vault().seal(account, FIELD, VERSION, VALUE) != vault().seal(account, FIELD, VERSION, VALUE)


def test_v2_a_value_of_another_row_does_not_open(vault: Callable[..., Vault]) -> None:
    sealed = vault().seal(ids.new_id("acc"), FIELD, VERSION, VALUE)

    with pytest.raises(ConfigurationError):
        vault().open(ids.new_id("acc"), FIELD, VERSION, sealed)


def test_v2_a_value_of_another_field_does_not_open(vault: Callable[..., Vault]) -> None:
    account = ids.new_id("acc")
    sealed = vault().seal(account, FIELD, VERSION, VALUE)

    with pytest.raises(Unreadable):
        vault().open(account, "access_token", VERSION, sealed)


def test_v2_a_value_of_another_version_does_not_open(vault: Callable[..., Vault]) -> None:
    account = ids.new_id("acc")
    sealed = vault().seal(account, FIELD, VERSION, VALUE)

    with pytest.raises(Unreadable):
        vault().open(account, FIELD, VERSION + 1, sealed)


def test_v2_a_value_of_another_table_does_not_open(vault: Callable[..., Vault]) -> None:
    account = ids.new_id("acc")
    sealed = vault("grants").seal(account, FIELD, VERSION, VALUE)

    with pytest.raises(ConfigurationError):
        vault("access-tokens").open(account, FIELD, VERSION, sealed)


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"1//a-token",
        b"MG1",
        b"MG1\x00\x00" + b"x" * 60,
        b"MG1\xff\xff" + b"x" * 300,
        b"MG2",
        b"MG2" + b"x" * 300,
        b"MG2" + b"x" * 8 + b"\x00\x00" + b"x" * 60,
        b"MG3" + b"x" * 300,
    ],
    ids=[
        "empty",
        "plaintext",
        "only the mark",
        "no key",
        "a key longer than all",
        "only the second mark",
        "a key longer than all of the second format",
        "no key in the second format",
        "another format",
    ],
)
def test_v2_an_unknown_format_is_an_error_and_never_plaintext(
    vault: Callable[..., Vault], stored: bytes
) -> None:
    with pytest.raises(Unreadable):
        vault().open(ids.new_id("acc"), FIELD, VERSION, stored)


def test_a_changed_byte_does_not_open(vault: Callable[..., Vault]) -> None:
    account = ids.new_id("acc")
    sealed = vault().seal(account, FIELD, VERSION, VALUE)

    with pytest.raises(Unreadable):
        vault().open(account, FIELD, VERSION, sealed[:-1] + bytes([sealed[-1] ^ 1]))


def test_v4_a_rewrapped_value_opens_and_its_ciphertext_stays(vault: Callable[..., Vault]) -> None:
    account = ids.new_id("acc")
    sealed = vault().seal(account, FIELD, VERSION, VALUE)

    once = vault().rewrapped(account, sealed)
    twice = vault().rewrapped(account, once)

    assert len({sealed, once, twice}) == 3
    assert [vault().open(account, FIELD, VERSION, value) for value in (sealed, once, twice)] == [VALUE] * 3
    assert once[:11] == twice[:11]
    assert sealed.endswith(once[-28 - len(VALUE) :])


@pytest.mark.parametrize("place", ["account", "field", "version", "table", "key id"])
def test_v2_a_rewrapped_value_of_another_place_does_not_open(vault: Callable[..., Vault], place: str) -> None:
    account = ids.new_id("acc")
    value = vault().rewrapped(account, vault().seal(account, FIELD, VERSION, VALUE))
    if place == "key id":
        value = value[:3] + bytes([value[3] ^ 1]) + value[4:]

    with pytest.raises(Unreadable):
        vault("access-tokens" if place == "table" else "grants").open(
            ids.new_id("acc") if place == "account" else account,
            "access_token" if place == "field" else FIELD,
            VERSION + 1 if place == "version" else VERSION,
            value,
        )


def test_v2_a_value_of_another_row_is_not_rewrapped(vault: Callable[..., Vault]) -> None:
    sealed = vault().seal(ids.new_id("acc"), FIELD, VERSION, VALUE)

    with pytest.raises(Unreadable):
        vault().rewrapped(ids.new_id("acc"), sealed)


def test_v5_a_data_key_is_remembered_for_five_minutes(
    aws: Aws, vault: Callable[..., Vault], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, account = Seconds(), ids.new_id("acc")
    remembering = vault(seconds=seconds)
    sealed = remembering.seal(account, FIELD, VERSION, VALUE)
    asked = calls(aws, monkeypatch)

    for at in (0.0, KEY_LIFE - 1, KEY_LIFE + 1):
        seconds.at = at
        remembering.open(account, FIELD, VERSION, sealed)

    assert len(asked) == 2


def test_v5_a_data_key_is_used_a_thousand_times(
    aws: Aws, vault: Callable[..., Vault], monkeypatch: pytest.MonkeyPatch
) -> None:
    account, remembering = ids.new_id("acc"), vault()
    sealed = remembering.seal(account, FIELD, VERSION, VALUE)
    asked = calls(aws, monkeypatch)

    for _ in range(KEY_USES + 1):
        remembering.open(account, FIELD, VERSION, sealed)

    assert len(asked) == 2


def test_a_key_that_does_not_exist_is_a_broken_installation(vault: Callable[..., Vault]) -> None:
    missing = "arn:aws:kms:eu-west-1:000000000000:key/00000000-0000-0000-0000-000000000000"

    with pytest.raises(ConfigurationError):
        vault(key=missing).seal(ids.new_id("acc"), FIELD, VERSION, VALUE)
