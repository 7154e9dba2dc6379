"""The V rows on stored rows: what lies in the tables, and what an outage of the key service does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from chalicelib import ids
from chalicelib.accounts.models.account import GrantState
from chalicelib.aws.vault import Vault
from chalicelib.errors import Unavailable, Unreadable
from tests.unit.accounts_world import world

if TYPE_CHECKING:
    from chalicelib.accounts.models.account import Account
    from tests.unit.accounts_world import World
    from tests.unit.aws_tables import Aws

__all__ = ["world"]

ProviderName = Literal["microsoft", "google"]
HEAD, NONCE = 5, 12


def row(world: World, noun: str, **key: str) -> dict[str, Any]:
    """A row as DynamoDB holds it, with its types."""
    wanted = {name: {"S": value} for name, value in key.items()}
    answer = world.clients.dynamodb.get_item(TableName=world.settings.table(noun), Key=wanted)
    return dict(answer["Item"])


def sha256(text: bytes) -> str:
    digest = Hash(SHA256())
    digest.update(text)
    return digest.finalize().hex()


def test_V1_a_token_is_sealed_by_aes_256_gcm_under_a_data_key_of_its_account(world: World) -> None:
    """Read by a second implementation of the format, which asks KMS by itself."""
    account = world.connected("google")
    table = world.settings.table("grants")
    sealed = row(world, "grants", account=account.id)["refresh_token"]["B"]
    length = int.from_bytes(sealed[3:HEAD], "big")
    wrapped, rest = sealed[HEAD : HEAD + length], sealed[HEAD + length :]
    context = {"app": "mailgrant", "stage": world.settings.stage, "account": account.id, "table": table}

    data_key = world.clients.kms.decrypt(CiphertextBlob=wrapped, EncryptionContext=context)["Plaintext"]
    place = "|".join((table, account.id, "refresh_token", "1", sha256(wrapped)[:16])).encode()
    opened = AESGCM(data_key).decrypt(rest[:NONCE], rest[NONCE:], place)

    grant = world.grants_table.get(account.id)
    assert grant is not None
    assert len(data_key) == 32
    assert opened.decode() == world.keeper.reveal(grant).reveal()
    assert account.address not in str(context)


def test_V1_two_accounts_and_two_tables_share_no_data_key(world: World) -> None:
    one, other = world.connected("google"), world.connected("google")
    sealed = [
        row(world, "grants", account=one.id)["refresh_token"]["B"],
        row(world, "grants", account=other.id)["refresh_token"]["B"],
        row(world, "access-tokens", account=one.id, resource="mail")["token"]["B"],
        row(world, "access-tokens", account=other.id, resource="mail")["token"]["B"],
    ]

    wrapped = {value[HEAD : HEAD + int.from_bytes(value[3:HEAD], "big")] for value in sealed}

    assert len(wrapped) == 4


def test_V2_key_service_refuses_a_data_key_under_another_context(world: World) -> None:
    account = world.connected("google")
    sealed = row(world, "grants", account=account.id)["refresh_token"]["B"]
    wrapped = sealed[HEAD : HEAD + int.from_bytes(sealed[3:HEAD], "big")]
    context = {"app": "mailgrant", "stage": world.settings.stage, "account": ids.new_id("acc")}

    with pytest.raises(ClientError, match="InvalidCiphertext"):
        world.clients.kms.decrypt(CiphertextBlob=wrapped, EncryptionContext=context)


def test_V2_a_value_of_another_stage_does_not_open(aws: Aws) -> None:
    account, table = ids.new_id("acc"), aws.settings.table("grants")
    here = Vault(aws.clients.kms, aws.settings.grants_key_arn, table, "unit")
    elsewhere = Vault(aws.clients.kms, aws.settings.grants_key_arn, table, "other")

    with pytest.raises(Unreadable):
        elsewhere.open(account, "refresh_token", 1, here.seal(account, "refresh_token", 1, b"a token"))


def test_V2_a_row_that_was_copied_to_another_account_opens_for_nobody(world: World) -> None:
    """Whoever can write the table cannot make one account send with the token of another one."""
    victim, thief = world.connected("google"), world.connected("google")
    stolen = row(world, "access-tokens", account=victim.id, resource="mail")
    world.clients.dynamodb.put_item(
        TableName=world.settings.table("access-tokens"), Item=stolen | {"account": {"S": thief.id}}
    )

    with pytest.raises(Unreadable):
        world.access_tokens.fresh(thief.id)


@pytest.mark.parametrize("provider", ["microsoft", "google"])
def test_V3_ciphertext_is_stored_as_binary(world: World, provider: ProviderName) -> None:
    account = world.connected(provider)
    url, _ = world.begin(account)
    state = url.partition("state=")[2].partition("&")[0]

    stored = {
        "refresh_token": row(world, "grants", account=account.id)["refresh_token"],
        "token": row(world, "access-tokens", account=account.id, resource="mail")["token"],
        "flow": row(world, "authorizations", authorization=ids.authorization_id(state))["flow"],
    }

    for field, value in stored.items():
        assert list(value) == ["B"], field
        assert value["B"].startswith(b"MG1"), field


@contextmanager
def outage(world: World) -> Iterator[None]:
    """The key service answers every request with a failure of its own."""

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
            yield b'{"__type": "KMSInternalException", "message": "out of order"}'

    def fail(request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, 500, HTTPHeaders(), Raw())

    events: Any = world.clients.kms.meta.events
    events.register("before-send.kms", fail)
    try:
        yield
    finally:
        events.unregister("before-send.kms", fail)


def test_V5_an_outage_of_the_key_service_defers_and_marks_nothing_as_revoked(world: World) -> None:
    cached, cold = world.connected("google"), world.connected("google")
    world.access_tokens.fresh(cached.id)

    with outage(world):
        sent_with = world.access_tokens.fresh(cached.id)
        with pytest.raises(Unavailable):
            world.access_tokens.fresh(cold.id)
        with pytest.raises(Unavailable):
            world.tokens.ensure(cold.id, failed_version=1, until=world.now() + 20_000)

    assert sent_with.version == 1
    assert [unharmed(world, account) for account in (cached, cold)] == [True, True]
    assert world.refreshes(cold) == 0
    assert world.access_tokens.fresh(cold.id, failed_version=1).version == 2


def unharmed(world: World, account: Account) -> bool:
    """Whether nothing on the account's row says that its grant is in doubt."""
    now = world.read(account)
    return now.grant_state is GrantState.ACTIVE and now.problem is None
