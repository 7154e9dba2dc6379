"""Rows U-B5 to U-B9, U-H1 to U-H3: providers that nobody has listed, and what they answer."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.accounts.admin.scopes import chosen
from chalicelib.accounts.models.account import Account, AuthMode
from chalicelib.accounts.models.connector import Connector
from chalicelib.clock import SECOND
from chalicelib.diagnosis import DiagnosisClass
from chalicelib.errors import Diagnosed, InvalidInput
from chalicelib.network import Trust
from chalicelib.providers.base import listed, token_set, with_query
from chalicelib.providers.catalogue import CATALOGUE, GOOGLE, MICROSOFT, OTHER
from chalicelib.providers.discovery import discover
from chalicelib.providers.facts import merged
from chalicelib.providers.http import ProviderHttp
from chalicelib.providers.openid import OpenId
from chalicelib.providers.replies import concerns_connector, diagnose
from chalicelib.secret import Secret
from chalicelib.web.api.status import _is_overdue
from tests.unit.https_server import Answer, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.providers.facts import ProviderFacts

NOW = 1_800_000_000_000
CLIENT = Connector("con_x", "other", "x", "client", "", NOW)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that answers what a test lays down."""
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def http(server: Server) -> ProviderHttp:
    """HTTPS that trusts the server."""
    return ProviderHttp("other", Trust(server.authority.pem))


def refresh(server: Server, answer: Answer, path: str = "/token") -> Any:
    """What comes of a refresh at a token endpoint that answers so."""
    server.answers[path] = answer
    facts = merged(OTHER, {"token": f"{server.url}{path}", "authorize": f"{server.url}/authorize"})
    provider = OpenId(facts, trust=Trust(server.authority.pem), now=lambda: NOW)
    return provider.refresh(CLIENT, Secret("secret"), Secret("the old one"))


# Scopes

USUAL = ("openid", "email", "offline_access")


@pytest.mark.parametrize(
    ("asked", "scopes", "required"),
    [
        ([*USUAL, "smtp"], [*USUAL, "smtp"], ["smtp"]),
        (["X"], ["X", "openid", "email", "offline_access"], ["X"]),
        (["openid", "email", "profile", "offline_access"],) * 2 + (["openid"],),
        (["Mail.Send", "OpenID"], ["Mail.Send", "OpenID", "email", "offline_access"], ["Mail.Send"]),
    ],
)
def test_ub5_the_scopes_of_another_provider_are_sent_as_they_were_asked_for(
    asked: list[str], scopes: list[str], required: list[str]
) -> None:
    known = {"issuer": "https://i.example", "jwks": "https://i.example/jwks"}
    facts = merged(OTHER, {**known, "scopes_supported": ["openid", "email", "offline_access", "X"]})

    choice = chosen(facts, asked)

    assert choice["scopes"] == scopes
    assert choice["required_scopes"] == required


def test_uh1_lasting_access_is_asked_for_only_where_the_provider_knows_it() -> None:
    facts = merged(OTHER, {"userinfo": "https://i.example/me", "scopes_supported": ["openid", "X"]})

    assert chosen(facts, ["X"])["scopes"] == ["X", "openid", "email"]
    assert chosen(replace(facts, userinfo=""), ["X"])["scopes"] == ["X"]


def test_ub5_a_fix_names_scopes_that_can_be_chosen() -> None:
    with pytest.raises(InvalidInput) as refused:
        chosen(GOOGLE, ["openid"])

    assert "https://mail.google.com/" in refused.value.fix


# Endpoints


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("https://i.example/a", "https://i.example/a?client_id=c&x=%26"),
        ("https://i.example/a?p=b2c_1_signin", "https://i.example/a?p=b2c_1_signin&client_id=c&x=%26"),
        ("https://i.example/a?", "https://i.example/a?client_id=c&x=%26"),
    ],
)
def test_ub6_parameters_are_added_to_an_endpoints_own_query(endpoint: str, url: str) -> None:
    assert with_query(endpoint, {"client_id": "c", "x": "&"}) == url


def test_ub6_a_discovered_endpoint_keeps_its_query(server: Server, http: ProviderHttp) -> None:
    document = {
        "issuer": server.url,
        "authorization_endpoint": f"{server.url}/authorize?p=b2c_1_signin",
        "token_endpoint": f"{server.url}/token?p=b2c_1_signin",
        "jwks_uri": f"{server.url}/jwks",
    }
    server.answers["/.well-known/openid-configuration"] = Answer(200, json.dumps(document).encode())

    facts = discover(server.url, http)["facts"]
    provider = OpenId(merged(OTHER, facts), trust=Trust(server.authority.pem), now=lambda: NOW)
    begun = provider.begin(CLIENT, redirect_uri="https://m.example/cb", state="s", login_hint="a@x.example")
    server.answers["/token?p=b2c_1_signin"] = Answer(200, b'{"access_token": "a"}')
    tokens = provider.refresh(CLIENT, Secret("secret"), Secret("old"))

    assert begun.url.startswith(f"{server.url}/authorize?p=b2c_1_signin&")
    assert tokens.access_token.reveal() == "a"


@pytest.mark.parametrize("fact", ["authorize", "token", "revoke"])
@pytest.mark.parametrize(
    "address", ["https://i.example/a#x", "https://i.example/a?b#c", "http://i.example/a?b"]
)
def test_ub6_a_fragment_is_part_of_no_endpoint(fact: str, address: str) -> None:
    with pytest.raises(ValueError, match=fact):
        merged(OTHER, {fact: address})


def test_ub6_an_issuer_has_no_query() -> None:
    with pytest.raises(ValueError, match="issuer"):
        merged(OTHER, {"issuer": "https://i.example/?tenant=a"})


# Refusals in a provider's own words

OWN_WORDS: tuple[dict[str, Any], ...] = (
    {"error": "INVALID_REFRESH_TOKEN", "error_description": "Failed to decode token"},
    {"error": "INVALID_GRANT"},
    {"error": "invalid_grant: the token has expired", "error_description": "expired"},
    {"error": "token not found", "error_code": 6, "error_description": "token not found"},
    {"error": "expired_token"},
    {"error": {"code": 400, "message": "refresh token revoked"}},
    {"error": "invalid_code"},
    {"error": "Refresh token has been revoked"},
    {"error": "invalid_request", "error_description": "The refresh_token is invalid"},
    {"error": "bad_refresh_token"},
)


@pytest.mark.parametrize("status", [200, 400, 401, 403])
@pytest.mark.parametrize("answer", OWN_WORDS, ids=json.dumps)
def test_ub7_a_token_that_is_refused_in_own_words_is_refused(
    server: Server, status: int, answer: dict[str, Any]
) -> None:
    with pytest.raises(Diagnosed) as refused:
        refresh(server, Answer(status, json.dumps(answer).encode()))

    diagnosis = refused.value.diagnosis
    assert diagnosis.class_ is DiagnosisClass.RECONNECT
    said = [answer.get("error_description"), answer["error"]]
    assert (
        any(str(one).lower() in f"{diagnosis.code} {diagnosis.text}".lower() for one in said)
        or diagnosis.text
    )


@pytest.mark.parametrize("error", ["temporarily_unavailable", "SERVER_ERROR", "slow_down_please"])
def test_ub7_what_is_no_refusal_of_the_token_is_not_taken_for_one(error: str) -> None:
    assert diagnose("other", {"error": error}).class_ is not DiagnosisClass.RECONNECT


words = st.sampled_from(
    ["invalid_grant", "Token", "not found", "expired", "server_error", "", "x" * 300, "\x00\r\n", "é", "{}"]
)
values = st.one_of(
    words,
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(words, max_size=3),
    st.dictionaries(st.sampled_from(["code", "message", "status"]), words, max_size=3),
)
answers = st.dictionaries(
    st.sampled_from(
        [
            "error",
            "error_description",
            "error_codes",
            "access_token",
            "refresh_token",
            "expires_in",
            "scope",
            "id_token",
        ]
    ),
    values,
    max_size=8,
)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(status=st.sampled_from([200, 201, 302, 400, 401, 404, 429, 500, 503]), answer=answers)
def test_ub7_whatever_a_token_endpoint_answers_is_a_token_or_a_diagnosis(
    server: Server, status: int, answer: dict[str, Any]
) -> None:
    """Never another error, never a refresh token that is lost, never a secret in what is told."""
    received = {**answer, "refresh_token": "s3cret-new"} if answer.get("access_token") == "Token" else answer
    is_token = status < 300 and isinstance(received.get("access_token"), str) and received["access_token"]
    told = ""
    try:
        tokens = refresh(server, Answer(status, json.dumps(received).encode()))
    except Diagnosed as refused:
        told = str(refused) + repr(refused.diagnosis)
        tokens = None

    assert (tokens is not None) == bool(is_token)
    assert "s3cret" not in told
    if tokens is not None:
        assert tokens.expires_at > NOW
        if received.get("refresh_token") == "s3cret-new":
            assert tokens.refresh_token.reveal() == "s3cret-new"


# Odd but legal


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        ("a b", ["a", "b"]),
        ("a,b", ["a", "b"]),
        (" a, b ,c ", ["a", "b", "c"]),
        (["a", "b"], ["a", "b"]),
        ("", None),
        (" , ", None),
        (None, None),
        (7, None),
    ],
)
def test_ub8_scopes_may_stand_apart_by_commas(scope: object, scopes: list[str] | None) -> None:
    assert listed(scope) == scopes


@pytest.mark.parametrize("status", [200, 201])
def test_ub8_a_byte_order_mark_and_another_2xx_are_read(server: Server, status: int) -> None:
    tokens = refresh(server, Answer(status, b'\xef\xbb\xbf{"access_token": "a", "expires_in": "3600"}'))

    assert tokens.access_token.reveal() == "a"


def test_ub8_a_redirected_document_is_told_as_that(server: Server, http: ProviderHttp) -> None:
    location = {"Location": "https://elsewhere.example/x?secret=1"}
    server.answers["/.well-known/openid-configuration"] = Answer(302, b"", location)

    with pytest.raises(InvalidInput) as refused:
        discover(server.url, http)

    assert "redirect to https://elsewhere.example/x" in refused.value.message
    assert "secret" not in refused.value.message


# Tenants


@pytest.mark.parametrize("number", [7000112, 700016, 650052, 500011])
def test_ub9_the_refusal_of_one_tenant_concerns_its_account(number: int) -> None:
    diagnosis = diagnose("microsoft", {"error": "unauthorized_client", "error_codes": [number]})
    common = Connector("con_x", "microsoft", "x", "client", "common", NOW)

    assert not concerns_connector(diagnosis, is_of_one_tenant=common.is_of_one_tenant)
    one = replace(common, tenant="contoso.com")
    assert concerns_connector(diagnosis, is_of_one_tenant=one.is_of_one_tenant)


def test_ub9_a_wrong_secret_concerns_the_connector_in_any_tenant() -> None:
    diagnosis = diagnose("microsoft", {"error": "invalid_client", "error_codes": [7000215]})

    assert concerns_connector(diagnosis, is_of_one_tenant=False)
    assert "Secret ID" in diagnosis.fix


def test_ug3_only_microsoft_is_told_of_its_secret_id() -> None:
    assert "Secret ID" not in diagnose("google", {"error": "invalid_client"}).fix


# Health


@pytest.mark.parametrize("facts", CATALOGUE, ids=lambda facts: facts.name)
def test_uh2_a_grant_that_is_kept_alive_is_no_trouble(facts: ProviderFacts) -> None:
    """An idle one is refreshed when `keep_alive` is over, up to a tenth later; then it is as new."""
    services: Any = SimpleNamespace(catalogue=SimpleNamespace(of=lambda _: facts))
    connectors = {"con_x": CLIENT}

    def is_overdue(age: float) -> bool:
        account = Account("acc_x", "a", "a@x.example", "con_x", NOW, refreshed_at=NOW - int(age * SECOND))
        return _is_overdue(services, account, connectors, NOW)

    assert not is_overdue(0)
    assert not is_overdue(1.1 * facts.keep_alive)
    assert is_overdue(1.95 * facts.keep_alive)


# Certificates


def test_uh3_an_untrusted_certificate_is_told_as_that(server: Server) -> None:
    with pytest.raises(Diagnosed) as refused:
        ProviderHttp("other").get(f"{server.url}/good")

    diagnosis = refused.value.diagnosis
    assert diagnosis.code == "tls_certificate"
    assert "self" in diagnosis.message or "issuer" in diagnosis.message
    assert "--extra-ca" in diagnosis.fix
    assert "automatically" not in diagnosis.fix


def test_a_token_answer_without_a_token_is_no_token() -> None:
    with pytest.raises(Diagnosed):
        token_set({"access_token": ["a"]}, now=NOW, scopes=None)


def test_every_provider_of_the_catalogue_that_has_owners_asks_for_scopes() -> None:
    """But for the one of which nothing is known."""
    asking = [one for one in CATALOGUE if AuthMode.AUTHORIZATION_CODE in one.auth_modes and one is not OTHER]

    assert MICROSOFT in asking
    assert all(one.scopes for one in asking)
