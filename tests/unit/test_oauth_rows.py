"""The O rows of signing in, and bad callbacks; the provider's log and the stored rows are the oracle."""

from __future__ import annotations

import logging
import secrets
import time
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from chalicelib import ids
from chalicelib.clock import MINUTE
from chalicelib.errors import Diagnosed, Forbidden, MalformedRequest
from tests.unit.accounts_world import world

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.accounts.models.account import Account
    from tests.unit.accounts_world import World

__all__ = ["world"]

ProviderName = Literal["microsoft", "google"]
PROVIDERS: list[ProviderName] = ["microsoft", "google"]
TENANT = "8bb3e5de-8b4c-4f4b-9b60-5c1d0e5a8d10"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
JWKS = {"keys": [jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "1"}]}


def asked(url: str) -> dict[str, str]:
    """The parameters of an authorization request."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def exchanges(world: World, account: Account) -> int:
    """How many token requests the provider has seen in the name of the account's connector."""
    client = world.registry.connector(account.connector).client_id
    return sum(request.client_id == client for request in world.control.token_requests())


def unsaved(world: World, account: Account) -> bool:
    """Whether there is neither a grant nor an access token."""
    return world.grants_table.get(account.id) is None and world.access_tokens_table.get(account.id) is None


def flow(world: World, state: str) -> dict[str, Any]:
    """The secrets of a state that waits, opened with the key."""
    authorization = world.authorizations_table.get(ids.authorization_id(state))
    assert authorization is not None
    return world.connect._sign_ins.flow(authorization)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_O1_only_codes_and_refresh_tokens_are_ever_exchanged(world: World, provider: ProviderName) -> None:
    account = world.account(world.connector(provider))
    url, cookie = world.begin(account)

    world.connect.complete(account.connector, world.approve(url, account.address), cookie)
    world.access_tokens.fresh(account.id, failed_version=1)

    client = world.registry.connector(account.connector).client_id
    grants = [request.grant_type for request in world.control.token_requests() if request.client_id == client]
    assert asked(url)["response_type"] == "code"
    assert grants == ["authorization_code", "refresh_token"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_O2_a_fresh_verifier_is_kept_sealed_and_goes_when_used(world: World, provider: ProviderName) -> None:
    account = world.account(world.connector(provider))
    (url, cookie), (other, _) = world.begin(account), world.begin(account)
    state = asked(url)["state"]
    verifier = flow(world, state)["code_verifier"]
    before = world.authorizations_table.get(ids.authorization_id(state))

    world.connect.complete(account.connector, world.approve(url, account.address), cookie)

    after = world.authorizations_table.get(ids.authorization_id(state))
    assert asked(url)["code_challenge_method"] == "S256"
    assert asked(url)["code_challenge"] != asked(other)["code_challenge"]
    assert 43 <= len(verifier) <= 128
    assert before is not None
    assert after is not None
    assert verifier.encode() not in (before.flow or b"")
    assert before.flow is not None
    assert after.flow is None


def test_O2_another_verifier_gets_no_token(world: World) -> None:
    account = world.account(world.connector("google"))
    url, _ = world.begin(account)
    code = world.approve(url, account.address)["code"][0]
    mine, theirs = flow(world, asked(url)["state"]), flow(world, asked(world.begin(account)[0])["state"])
    connector = world.registry.connector(account.connector)

    with pytest.raises(Diagnosed) as refused:
        world.providers.usual("google").redeem(
            connector,
            world.secrets.get(connector.id),
            mine | {"code_verifier": theirs["code_verifier"]},
            code,
        )

    assert refused.value.diagnosis.code == "invalid_grant"
    assert code not in str(refused.value)


def test_O3_a_state_is_used_up_before_the_exchange_even_if_that_fails(world: World) -> None:
    account = world.account(world.connector("google"))
    url, cookie = world.begin(account)
    params = world.approve(url, account.address)
    client = world.registry.connector(account.connector).client_id
    world.control.inject("token", drop="before", client_id=client)

    first = world.connect.complete(account.connector, params, cookie)
    again = world.connect.complete(account.connector, params, cookie)

    assert (first["outcome"], again["outcome"]) == ("failed", "already")
    assert exchanges(world, account) == 1
    assert unsaved(world, account)


def test_O3_a_state_is_random_and_ends_after_ten_minutes(world: World) -> None:
    account = world.account(world.connector("google"))
    states = {asked(world.begin(account)[0])["state"] for _ in range(3)}
    url, cookie = world.begin(account)
    params = world.approve(url, account.address)
    world.later = 10 * MINUTE

    with pytest.raises(MalformedRequest):
        world.connect.complete(account.connector, params, cookie)

    assert len(states) == 3
    assert {len(state) for state in states} == {43}  # 256 bits
    assert world.authorizations_table.get(ids.authorization_id(params["state"][0])) is not None
    assert exchanges(world, account) == 0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_O4_the_cookie_is_stored_as_its_hash_and_the_answer_comes_as_a_query(
    world: World, provider: ProviderName
) -> None:
    account = world.account(world.connector(provider))

    url, cookie = world.begin(account)

    stored = world.clients.dynamodb.get_item(
        TableName=world.settings.table("authorizations"),
        Key={"authorization": {"S": ids.authorization_id(asked(url)["state"])}},
    )["Item"]
    assert asked(url).get("response_mode", "query") == "query"
    assert "S" in stored["cookie_hash"]
    assert cookie not in str(stored)


def test_O6_every_connector_has_a_callback_of_its_own(world: World) -> None:
    account, other = world.account(world.connector("google")), world.connector("google")
    url, cookie = world.begin(account)
    params = world.approve(url, account.address)

    with pytest.raises(MalformedRequest):
        world.connect.complete(other.id, params, cookie)

    assert asked(url)["redirect_uri"].endswith(f"/oauth/callback/{account.connector}")
    assert exchanges(world, account) == 0
    assert world.connect.complete(account.connector, params, cookie)["outcome"] == "connected"


def test_B10_the_state_of_another_provider_asks_nobody(world: World) -> None:
    account, other = world.account(world.connector("google")), world.account(world.connector("microsoft"))
    url, cookie = world.begin(account)
    params = world.approve(url, account.address)

    with pytest.raises(MalformedRequest):
        world.connect.complete(other.connector, params, cookie)

    assert exchanges(world, account) == exchanges(world, other) == 0


def test_B09_a_wrong_issuer_is_refused_before_the_exchange_and_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    account = world.account(world.connector("google"))
    url, cookie = world.begin(account)
    params = world.approve(url, account.address) | {"iss": ["https://evil.example"]}

    outcome = world.connect.complete(account.connector, params, cookie)

    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert outcome["diagnosis"]["code"] == "wrong_issuer"
    assert exchanges(world, account) == 0
    assert warning.__dict__["facts"] == {
        "account": account.id,
        "connector": account.connector,
        "code": "wrong_issuer",
    }


@pytest.mark.parametrize("provider", PROVIDERS)
def test_O9_a_second_callback_exchanges_nothing_and_holds_no_token(
    world: World, provider: ProviderName
) -> None:
    account = world.account(world.connector(provider))
    url, cookie = world.begin(account)
    params = world.approve(url, account.address)
    world.connect.complete(account.connector, params, cookie)

    again = world.connect.complete(account.connector, params, cookie)

    assert again == {"authorization": ids.authorization_id(params["state"][0]), "outcome": "already"}
    assert exchanges(world, account) == 1


class Forger:
    """Stands where the provider stands at one exchange: its own keys, an ID token of its own making."""

    def __init__(self, world: World, provider: ProviderName) -> None:
        self.world = world
        self.provider = provider
        self.account = world.account(
            world.connector(provider, tenant=TENANT if provider == "microsoft" else "")
        )
        self.url, self.cookie = world.begin(self.account)

    def claims(self) -> dict[str, Any]:
        """The claims of a true ID token for the account's own mailbox."""
        now = int(time.time())
        facts = self.world.catalogue[self.provider]
        own = (
            {"iss": f"{facts.login}/{TENANT}/v2.0", "tid": TENANT, "oid": "o"}
            | {"preferred_username": self.account.address}
            if self.provider == "microsoft"
            else {"iss": facts.issuer, "email": self.account.address, "email_verified": True}
        )
        common = {"aud": asked(self.url)["client_id"], "sub": "s", "iat": now, "exp": now + 300}
        return common | own | {"nonce": asked(self.url)["nonce"]}

    def sign(self, claims: Mapping[str, Any], key: Any = KEY, algorithm: str = "RS256") -> str:
        """An ID token."""
        return jwt.encode(dict(claims), key, algorithm=algorithm, headers={"kid": "1"})

    def complete(self, id_token: object, **changes: Any) -> Mapping[str, Any]:
        """The outcome of a callback whose exchange is answered with this ID token."""
        facts = self.world.catalogue[self.provider]
        answer = {
            "access_token": "forged",
            "refresh_token": "forged",
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": " ".join(facts.required_scopes),
            "id_token": id_token,
        }
        self.world.control.inject("jwks", body=JWKS)
        self.world.control.inject("token", body=answer | changes, client_id=asked(self.url)["client_id"])
        params = {"state": [asked(self.url)["state"]], "code": ["a-code"]}
        return self.world.connect.complete(self.account.connector, params, self.cookie)


@pytest.fixture(params=PROVIDERS)
def forger(world: World, request: pytest.FixtureRequest) -> Forger:
    """A forger at each provider."""
    return Forger(world, request.param)


def test_B11_the_forged_answer_would_be_taken_if_it_were_true(forger: Forger) -> None:
    assert forger.complete(forger.sign(forger.claims()))["outcome"] == "connected"


FORGERIES: dict[str, Any] = {
    "nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "audience": {"aud": "another-client"},
    "issuer": {"iss": "https://evil.example"},
    "expired": {"exp": 1_700_000_000},
    "subject": {"sub": 7},
}


@pytest.mark.parametrize("changes", FORGERIES.values(), ids=FORGERIES.keys())
def test_B11_an_id_token_that_is_not_for_this_sign_in(
    forger: Forger, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    claims = {name: value for name, value in (forger.claims() | changes).items() if value is not None}

    outcome = forger.complete(forger.sign(claims))

    assert outcome["outcome"] == "failed"
    assert outcome["diagnosis"]["code"] == "id_token_invalid"
    assert unsaved(forger.world, forger.account)
    assert "refused as an attack" in caplog.text


@pytest.mark.parametrize(
    "how", ["alg none", "alg HS256", "another key", "no token", "a number", "no JWT", "no JSON"]
)
def test_B11_an_id_token_that_nobody_vouches_for(forger: Forger, how: str) -> None:
    claims = forger.claims()
    made: dict[str, object] = {
        "alg none": forger.sign(claims, None, "none"),
        "alg HS256": forger.sign(claims, "a secret that is long enough for HS256", "HS256"),
        "another key": forger.sign(claims, OTHER_KEY),
        "no token": None,
        "a number": 7,
        "no JWT": "abc",
        "no JSON": "a.b.c",
    }

    outcome = forger.complete(made[how])

    assert outcome["outcome"] == "failed"
    assert outcome["diagnosis"]["code"] == "id_token_invalid"
    assert unsaved(forger.world, forger.account)


def test_O6_an_id_token_of_another_tenant_is_refused(world: World) -> None:
    forger = Forger(world, "microsoft")
    other = "11111111-8b4c-4f4b-9b60-5c1d0e5a8d10"
    issuer = f"{world.catalogue['microsoft'].login}/{other}/v2.0"

    outcome = forger.complete(forger.sign(forger.claims() | {"iss": issuer, "tid": other}))

    assert outcome["diagnosis"]["code"] == "id_token_invalid"
    assert unsaved(world, forger.account)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_O10_the_provider_is_told_which_mailbox_and_asked_to_let_the_person_choose(
    world: World, provider: ProviderName
) -> None:
    account = world.account(world.connector(provider))

    url, _ = world.begin(account)

    assert asked(url)["login_hint"] == account.address
    assert "select_account" in asked(url)["prompt"].split()


@pytest.mark.parametrize("changes", [{"email": None}, {"email_verified": False}], ids=["none", "unverified"])
def test_O10_without_a_verified_address_nothing_is_saved(world: World, changes: dict[str, Any]) -> None:
    forger = Forger(world, "google")
    claims = {name: value for name, value in (forger.claims() | changes).items() if value is not None}

    outcome = forger.complete(forger.sign(claims))

    assert outcome["outcome"] == "identity_missing"
    assert unsaved(world, forger.account)


def test_O10_microsofts_sign_in_name_or_its_own_address_counts(world: World) -> None:
    forger = Forger(world, "microsoft")
    mailbox = forger.account.address

    outcome = forger.complete(
        forger.sign(forger.claims() | {"preferred_username": "upn@corp.example", "email": mailbox})
    )

    assert outcome["outcome"] == "connected"


LOOKALIKES = {
    "a longer domain": "{address}.evil.example",
    "a shorter domain": "{address:.-1}",
    "a longer local part": "x{address}",
    "a tag": "{local}+x@{domain}",
    "another script": "\N{CYRILLIC SMALL LETTER A}{address}",
    "a wide letter": "\N{FULLWIDTH LATIN SMALL LETTER A}{rest}",
    "two addresses": "{address},eve@evil.example",
    "a name around it": "Ada <{address}>",
    "an invisible letter": "{local}\N{ZERO WIDTH SPACE}@{domain}",
}


def lookalike(kind: str, address: str) -> str:
    """An address that is nearly the right one."""
    if kind == "a shorter domain":
        return address[:-1]
    local, _, domain = address.partition("@")
    return LOOKALIKES[kind].format(address=address, local=local, domain=domain, rest=address[1:])


@pytest.mark.parametrize("kind", LOOKALIKES)
def test_B14_a_lookalike_of_the_mailbox_is_refused(forger: Forger, kind: str) -> None:
    found = lookalike(kind, forger.account.address)
    names = {"preferred_username": found} if forger.provider == "microsoft" else {"email": found}

    outcome = forger.complete(forger.sign(forger.claims() | names))

    assert outcome["outcome"] == "wrong_mailbox"
    assert unsaved(forger.world, forger.account)


def test_B13_blanks_and_capitals_of_the_providers_answer_do_not_matter(forger: Forger) -> None:
    written = f" {forger.account.address.title()} "
    names = {"preferred_username": written} if forger.provider == "microsoft" else {"email": written}

    assert forger.complete(forger.sign(forger.claims() | names))["outcome"] == "connected"


def test_O12_without_the_scope_to_send_nothing_is_saved(forger: Forger) -> None:
    outcome = forger.complete(forger.sign(forger.claims()), scope="openid email")

    assert outcome["outcome"] == "scope_missing"
    assert outcome["missing_scopes"] == list(forger.world.catalogue[forger.provider].required_scopes)
    assert unsaved(forger.world, forger.account)


WORSE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another person with the same address": ({"sub": "another", "oid": "another"}, {}, "wrong_mailbox"),
    "fewer scopes": ({}, {"scope": "openid email"}, "scope_missing"),
    "no refresh token": ({}, {"refresh_token": None}, "failed"),
}


@pytest.mark.parametrize(("claims", "answer", "outcome"), WORSE.values(), ids=WORSE.keys())
def test_O13_reconnecting_never_makes_a_good_grant_worse(
    forger: Forger, claims: dict[str, Any], answer: dict[str, Any], outcome: str
) -> None:
    world, account = forger.world, forger.account
    assert forger.complete(forger.sign(forger.claims()))["outcome"] == "connected"
    grant = world.grants_table.get(account.id)
    forger.url, forger.cookie = world.begin(account)

    ended = forger.complete(forger.sign(forger.claims() | claims), **answer)

    assert ended["outcome"] == outcome
    assert world.grants_table.get(account.id) == grant
    assert world.access_tokens.fresh(account.id).version == 1


SHAPES: dict[str, dict[str, list[str]]] = {
    "nothing": {},
    "no code": {"code": []},
    "an empty code": {"code": [""]},
    "a code with a line end": {"code": ["a\r\nb"]},
    "a code that is not ASCII": {"code": ["é"]},
    "half a surrogate pair": {"code": ["\ud800"]},
    "a long code": {"code": ["x" * 5_000]},
    "an empty issuer": {"code": ["a"], "iss": [""]},
    "two issuers": {"code": ["a"], "iss": ["a", "b"]},
    "two errors": {"error": ["access_denied", "server_error"]},
    "two descriptions": {"error": ["access_denied"], "error_description": ["a", "b"]},
}


@pytest.mark.parametrize("params", SHAPES.values(), ids=SHAPES.keys())
def test_O17_what_is_no_answer_leaves_the_sign_in_as_it_was(
    world: World, params: dict[str, list[str]]
) -> None:
    account = world.account(world.connector("microsoft"))
    url, cookie = world.begin(account)

    with pytest.raises(MalformedRequest):
        world.connect.complete(account.connector, {"state": [asked(url)["state"]], **params}, cookie)

    assert exchanges(world, account) == 0
    honest = world.approve(url, account.address)
    assert world.connect.complete(account.connector, honest, cookie)["outcome"] == "connected"


STATES = {
    "10 KB": "x" * 10_000,
    "binary": "\x00\x01\ufffd" * 14 + "x",
    "half a surrogate pair": "\ud800" * 43,
    "other digits": "\N{ARABIC-INDIC DIGIT ONE}" * 43,
    "a line end after it": "x" * 43 + "\n",
    "empty": "",
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_B05_a_state_that_is_none_is_refused_unread(
    world: World, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    account = world.account(world.connector("google"))
    monkeypatch.setattr(world.authorizations_table, "get", None)  # a look into the table would fail

    with pytest.raises(MalformedRequest):
        world.connect.complete(account.connector, {"state": [state], "code": ["a"]}, "c" * 43)


@pytest.mark.parametrize(
    "cookie", ["", "é", "\ud800", "x" * 100_000], ids=["empty", "é", "surrogate", "long"]
)
def test_O4_a_cookie_of_any_shape_is_just_another_browsers(world: World, cookie: str) -> None:
    account = world.account(world.connector("google"))
    url, _ = world.begin(account)
    params = {"state": [asked(url)["state"]], "code": ["a"]}

    with pytest.raises(Forbidden):
        world.connect.complete(account.connector, params, cookie)

    assert exchanges(world, account) == 0


def test_B11_secrets_of_a_refused_answer_are_nowhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    forger = Forger(world, "microsoft")
    token = secrets.token_urlsafe(20)

    outcome = forger.complete("a.b.c", access_token=token, refresh_token=token)

    assert token not in str(outcome) + caplog.text
