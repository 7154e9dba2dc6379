"""Stored tokens in tables that no other test fills, read past the product; what comes between requests."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from chalicelib import ids
from chalicelib.accounts.models.account import UNDO, Account, AuthMode
from chalicelib.accounts.models.grant import GRAPH, MAIL, RESOURCES, Grant, Identity, Previous, TokenSet
from chalicelib.accounts.tokens.access import field_of
from chalicelib.aws.vault import Vault
from chalicelib.clock import HOUR
from chalicelib.secret import Secret
from cli.stacks import deploy_data_stack
from tests.unit import accounts_world
from tests.unit.aws_tables import Aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.unit.accounts_world import World

__all__ = ["aws", "signed_in", "world"]

signed_in = accounts_world.world
MG1, MG2 = b"MG1", b"MG2"


@pytest.fixture(scope="module")
def aws(aws: Aws) -> Aws:
    """The local AWS with a stage of its own."""
    stage = f"rewrap{secrets.token_hex(3)}"
    outputs = deploy_data_stack(aws.emulator.session(), stage, lambda _: None)
    settings = replace(
        aws.settings,
        stage=stage,
        grants_key_arn=outputs["GrantsKeyArn"],
        access_tokens_key_arn=outputs["AccessTokensKeyArn"],
        rescue_queue_url=outputs["RescueQueueUrl"],
    )
    return Aws(aws.emulator, aws.clients, settings)


@pytest.fixture
def world(signed_in: World) -> World:
    """A world in which nothing is connected."""
    for table, names in (("grants", ["account"]), ("access-tokens", ["account", "resource"])):
        for row in rows(signed_in, table):
            key = {name: row[name] for name in names}
            signed_in.clients.dynamodb.delete_item(TableName=signed_in.settings.table(table), Key=key)
    return signed_in


@dataclass(frozen=True)
class Sealed:
    """The parts of a sealed value, read by a second implementation of both formats."""

    mark: bytes
    key_id: bytes
    wrapped: bytes
    encrypted: bytes

    @classmethod
    def read(cls, stored: bytes) -> Sealed:
        """A value of either format."""
        mark, at = stored[:3], 11 if stored.startswith(MG2) else 3
        end = at + 2 + int.from_bytes(stored[at : at + 2], "big")
        wrapped = stored[at + 2 : end]
        return cls(mark, stored[3:at] or digest(wrapped)[:8], wrapped, stored[end:])


def digest(text: bytes) -> bytes:
    """SHA-256."""
    made = Hash(SHA256())
    made.update(text)
    return made.finalize()


def sealed_as_mg1(world: World, table: str, account: str, field: str, version: int, text: bytes) -> bytes:
    """A value as every version of the code has written it, by the format alone."""
    name = world.settings.table(table)
    context = {"app": "mailgrant", "stage": world.settings.stage, "account": account, "table": name}
    key = world.settings.grants_key_arn if table == "grants" else world.settings.access_tokens_key_arn
    made = world.clients.kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)
    wrapped, nonce = made["CiphertextBlob"], secrets.token_bytes(12)
    place = "|".join((name, account, field, str(version), digest(wrapped).hex()[:16])).encode()
    encrypted = AESGCM(made["Plaintext"]).encrypt(nonce, text, place)
    return MG1 + len(wrapped).to_bytes(2, "big") + wrapped + nonce + encrypted


def values(world: World) -> dict[tuple[str, str], Sealed]:
    """All that is stored sealed: account and place → the parts."""
    found = {}
    for item in rows(world, "grants"):
        account = item["account"]["S"]
        if "refresh_token" in item:
            found[account, "refresh_token"] = Sealed.read(item["refresh_token"]["B"])
        if "previous" in item:
            found[account, "previous"] = Sealed.read(item["previous"]["M"]["refresh_token"]["B"])
    for item in rows(world, "access-tokens"):
        found[item["account"]["S"], item["resource"]["S"]] = Sealed.read(item["token"]["B"])
    return found


def rows(world: World, table: str) -> list[Mapping[str, Any]]:
    """All rows of a table."""
    name = world.settings.table(table)
    return list(world.clients.dynamodb.scan(TableName=name, ConsistentRead=True)["Items"])


def opened(world: World, *, with_memory: bool = False) -> dict[tuple[str, str], str]:
    """All that is stored, opened: by the world's own vaults, or by ones that remember no data key."""
    grants_vault, tokens_vault = world.grants_vault, world.access_tokens_vault
    if not with_memory:
        grants_vault, tokens_vault = fresh(world, grants_vault), fresh(world, tokens_vault)
    found = {}
    for account in {account for account, _ in values(world)}:
        grant = world.grants_table.get(account)
        assert grant is not None
        for name, version, sealed in sealed_in(grant):
            found[account, name] = grants_vault.open(account, "refresh_token", version, sealed).decode()
        for resource in RESOURCES:
            token = world.access_tokens_table.get(account, resource)
            if token is not None:
                text = tokens_vault.open(account, field_of(resource), token.version, token.token)
                found[account, resource] = text.decode()
    return found


def sealed_in(grant: Grant) -> list[tuple[str, int, bytes]]:
    """The sealed values of a grant: place, version and value."""
    own = [("refresh_token", grant.version, grant.refresh_token)]
    kept = grant.previous
    return own if kept is None else [*own, ("previous", kept.version, kept.refresh_token)]


def fresh(world: World, vault: Vault) -> Vault:
    """The vault of a worker that has just begun."""
    key = world.settings.grants_key_arn
    if vault is world.access_tokens_vault:
        return Vault(
            world.clients.kms,
            world.settings.access_tokens_key_arn,
            world.settings.table("access-tokens"),
            world.settings.stage,
        )
    return Vault(world.clients.kms, key, world.settings.table("grants"), world.settings.stage)


def mailbox(world: World) -> Account:
    """An account with everything that can be sealed, also a token for Graph and what it was before."""
    name = f"ada-{secrets.token_hex(4)}@mail.example"
    account = Account(ids.new_id("acc"), name, name, ids.new_id("con"), world.now())
    assert world.accounts_table.add(account)
    identity = Identity("https://issuer.example", "subject", (name,))
    none = Grant(account.id, 0, b"", ("send",), identity, world.now(), world.now())
    grant, token = next_of(world, none, MAIL)
    assert world.grants_table.save_connected(grant, token, {})
    complete(world, account)
    return account


def complete(world: World, account: Account) -> None:
    """Adds what an account has that switched its auth mode and uses Graph."""
    switch(world, account)
    save(world, account, resource=GRAPH)


def switch(world: World, account: Account) -> None:
    """Connects the account anew as if in another auth mode: what it used is kept for a roll-back."""
    old = grant_of(world, account)
    kept = Previous(
        AuthMode.AUTHORIZATION_CODE,
        "",
        old.version,
        old.refresh_token,
        old.scopes,
        old.identity,
        world.now() + UNDO,
    )
    newer, token = next_of(world, replace(old, previous=kept), MAIL)
    assert world.grants_table.save_connected(newer, token, {})


def save(world: World, account: Account, resource: str = MAIL) -> None:
    """What a refresh saves."""
    grant, now = grant_of(world, account), world.now()
    assert world.grants_table.lease(grant, owner="tests", now=now, until=now + HOUR)
    newer, token = next_of(world, grant, resource)
    assert world.grants_table.save_refreshed(newer, token, owner="tests")


def next_of(world: World, grant: Grant, resource: str) -> Any:
    """The next version of a grant, with new tokens."""
    version, now = grant.version + 1, world.now()
    prepared = world.keeper.prepare(grant.account)
    answer = TokenSet(Secret(secrets.token_urlsafe(16)), now + HOUR)
    text = Secret(secrets.token_urlsafe(16))
    newer = replace(grant, version=version, refresh_token=prepared.refresh_token(text, version))
    return newer, prepared.access_token(answer, version, now, resource)


def grant_of(world: World, account: Account) -> Grant:
    """The account's grant, which it has."""
    grant = world.grants_table.get(account.id)
    assert grant is not None
    return grant


def once(work: Callable[[], object]) -> Callable[[], None]:
    """What does the work at the first event only."""
    works = [work]

    def act() -> None:
        if works:
            works.pop()()

    return act


@contextmanager
def between(world: World, event: str, act: Callable[[], None]) -> Iterator[None]:
    """Acts at each event of botocore whose name begins so, such as ``before-call.kms.ReEncrypt``."""
    clients: list[Any] = [world.clients.kms, world.clients.dynamodb]
    for client in clients:
        client.meta.events.register(event, lambda **_: act(), unique_id="between")
    try:
        yield
    finally:
        for client in clients:
            client.meta.events.unregister(event, unique_id="between")
