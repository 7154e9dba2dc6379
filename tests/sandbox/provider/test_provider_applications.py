"""Applications that act by themselves: credentials and clouds of Microsoft, Google's service accounts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import google.auth.transport.requests
import msal
import pytest
from google.auth.exceptions import RefreshError
from google.oauth2 import service_account
from joserfc import jwt
from joserfc.jwk import RSAKey

from sandbox.credentials import ClientCertificate, ServiceAccountKey, WebIdentity
from tests.sandbox.provider.world import CALLBACK, GMAIL, SMTP_SEND

if TYPE_CHECKING:
    import requests

    from tests.sandbox.provider.world import World

TENANT = "contoso.example"
DEFAULT = "https://outlook.office365.com/.default"
ROLE = "arn:aws:iam::000000000000:role/mailgrant-tokens"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def certificate() -> ClientCertificate:
    """A certificate for a year."""
    return ClientCertificate.create()


@pytest.fixture(scope="module")
def identity() -> WebIdentity:
    """An AWS account."""
    return WebIdentity.create()


@pytest.fixture(scope="module")
def key() -> ServiceAccountKey:
    """The key of a service account."""
    return ServiceAccountKey.create()


def app(world: World, credential: object, tenant: str = TENANT, cloud: str = "") -> Any:
    """A fresh msal application."""
    return msal.ConfidentialClientApplication(
        "ms-app",
        client_credential=credential,
        authority=f"{world.provider.url}{cloud}/{tenant}",
        instance_discovery=False,
        verify=str(world.cafile),
    )


def registered(world: World, **options: Any) -> None:
    """Register the application."""
    options = {"tenant": TENANT, "roles": ["SMTP.SendAsApp"]} | options
    world.control.register_client("ms-app", "ms-app-secret", [CALLBACK], "microsoft", **options)


def obtain(world: World, tenant: str = TENANT, cloud: str = "", **changes: str) -> dict[str, Any]:
    """Ask for the application's token with its secret, but for the changes; empty ones are left out."""
    form = {
        "grant_type": "client_credentials",
        "client_id": "ms-app",
        "client_secret": "ms-app-secret",
        "scope": DEFAULT,
    } | changes
    sent = {name: value for name, value in form.items() if value}
    answer: dict[str, Any] = world.post(f"{cloud}/{tenant}/oauth2/v2.0/token", sent).json()
    return answer


def assert_of_app(world: World, answer: dict[str, Any]) -> None:
    """Check that the answer is a token of the application itself."""
    assert answer.get("error_description") is None
    found = world.control.introspect(answer["access_token"])
    assert (found["active"], found["user"], found["client_id"]) == (True, "", "ms-app")
    assert (found["aud"], found["roles"]) == ("https://outlook.office365.com", ["SMTP.SendAsApp"])


def test_an_application_with_a_secret_is_given_a_token_without_refresh_token(world: World) -> None:
    registered(world)

    answer = obtain(world)

    assert answer.keys() == {"token_type", "expires_in", "ext_expires_in", "access_token"}
    assert_of_app(world, answer)


@pytest.mark.parametrize(
    ("tenant", "changes", "error", "number"),
    [
        ("common", {}, "invalid_request", 50059),
        ("organizations", {}, "invalid_request", 50059),
        ("consumers", {}, "invalid_request", 50059),
        ("elsewhere.example", {}, "unauthorized_client", 700016),
        (TENANT, {"client_secret": "wrong"}, "invalid_client", 7000215),
        (TENANT, {"client_secret": ""}, "invalid_client", 7000218),
        (TENANT, {"scope": SMTP_SEND}, "invalid_scope", 1002012),
        (TENANT, {"scope": ""}, "invalid_scope", 1002012),
        (TENANT, {"scope": "https://example.com/.default"}, "invalid_resource", 500011),
    ],
)
def test_an_application_is_refused(
    world: World, tenant: str, changes: dict[str, str], error: str, number: int
) -> None:
    registered(world)

    answer = obtain(world, tenant, **changes)

    assert (answer["error"], answer["error_codes"]) == (error, [number])


@pytest.mark.parametrize("deprecated", [False, True], ids=["PS256", "RS256"])
def test_msal_signs_with_a_certificate(
    world: World, certificate: ClientCertificate, *, deprecated: bool
) -> None:
    registered(world, keys=[certificate.certificate])
    credential = {"private_key": certificate.private, "public_certificate": certificate.certificate}
    if deprecated:
        from chalicelib.providers.certificates import thumbprint
        from chalicelib.secret import Secret

        credential["thumbprint"] = thumbprint(Secret(certificate.pem))

    assert_of_app(world, app(world, credential).acquire_token_for_client([DEFAULT]))


def test_a_certificate_that_is_not_registered_is_refused(
    world: World, certificate: ClientCertificate
) -> None:
    registered(world, keys=[ClientCertificate.create().certificate])
    credential = {"private_key": certificate.private, "public_certificate": certificate.certificate}

    answer = app(world, credential).acquire_token_for_client([DEFAULT])

    assert (answer["error"], answer["error_codes"]) == ("invalid_client", [700027])


def test_a_certificate_that_has_ended_is_refused(world: World) -> None:
    ended = ClientCertificate.create(days=-1)
    registered(world, keys=[ended.certificate])
    credential = {"private_key": ended.private, "public_certificate": ended.certificate}

    answer = app(world, credential).acquire_token_for_client([DEFAULT])

    assert answer["error_codes"] == [700027]
    assert "expired" in answer["error_description"]


@pytest.mark.parametrize(
    ("header", "claims", "number"),
    [
        ({}, {}, None),
        ({}, {"aud": "https://example.com"}, 700023),
        ({}, {"sub": "another"}, 700021),
        ({}, {"exp": 1}, 700024),
        ({"x5t#S256": "another"}, {}, 700027),
        ({}, {"signer": "another"}, 700027),
    ],
)
def test_an_assertion_is_looked_at(
    world: World,
    certificate: ClientCertificate,
    header: dict[str, str],
    claims: dict[str, Any],
    number: int | None,
) -> None:
    from sandbox.provider.assertions import thumbprints

    registered(world, keys=[certificate.certificate])
    signer = ClientCertificate.create().private if claims.pop("signer", "") else certificate.private
    endpoint = f"{world.provider.url}/{TENANT}/oauth2/v2.0/token"
    said = {"iss": "ms-app", "sub": "ms-app", "aud": endpoint, "exp": int(time.time()) + 60} | claims
    named = {"alg": "RS256", "x5t#S256": thumbprints(certificate.certificate)["x5t#S256"]} | header
    assertion = jwt.encode(named, said, RSAKey.import_key(signer))

    answer = obtain(world, client_secret="", client_assertion=assertion, client_assertion_type=ASSERTION_TYPE)

    assert answer.get("error_codes", [None]) == [number]


def test_a_token_of_somebody_whom_the_application_trusts_is_its_credential(
    world: World, identity: WebIdentity
) -> None:
    registered(world, federated=[identity.trusted(ROLE)])

    answer = app(world, {"client_assertion": lambda: identity.token(ROLE)}).acquire_token_for_client(
        [DEFAULT]
    )

    assert_of_app(world, answer)


@pytest.mark.parametrize(
    ("registration", "changes", "number"),
    [
        ({"federated": []}, {}, 70021),
        ({}, {"iss": "https://else.example"}, 700211),
        ({}, {"sub": "arn:aws:iam::000000000000:role/another"}, 700213),
        ({}, {"aud": "sts.amazonaws.com"}, 700212),
        ({}, {"exp": 1}, 700024),
        ({}, {"signer": "another"}, 50013),
    ],
)
def test_a_federated_token_that_does_not_fit_is_refused(
    world: World, identity: WebIdentity, registration: dict[str, Any], changes: dict[str, Any], number: int
) -> None:
    registered(world, **({"federated": [identity.trusted(ROLE)]} | registration))
    signer = WebIdentity.create(identity.issuer) if changes.pop("signer", "") else identity
    assertion = signer.token(ROLE, **changes)

    answer = obtain(world, client_secret="", client_assertion=assertion, client_assertion_type=ASSERTION_TYPE)

    assert answer["error_codes"] == [number]


@pytest.mark.parametrize(
    ("path", "cloud", "resource"),
    [("/us", "us", "https://outlook.office365.us"), ("/cn", "cn", "https://partner.outlook.cn")],
)
def test_an_application_is_known_in_its_own_cloud_only(
    world: World, path: str, cloud: str, resource: str
) -> None:
    registered(world, cloud=cloud)

    there = app(world, "ms-app-secret", cloud=path).acquire_token_for_client([f"{resource}/.default"])
    elsewhere = obtain(world)
    foreign = obtain(world, cloud=path)
    nobody = obtain(world, cloud=path, client_id="nobody", scope=f"{resource}/.default")

    assert world.control.introspect(there["access_token"])["aud"] == resource
    assert elsewhere["error_codes"] == [900432]
    assert foreign["error_codes"] == [500011]
    assert nobody["error_codes"] == [700016]


def test_a_cloud_has_an_issuer_and_resources_of_its_own(world: World) -> None:
    smtp, graph = "https://partner.outlook.cn/SMTP.Send", "https://microsoftgraph.chinacloudapi.cn/Mail.Send"
    world.control.register_client("cn-client", "cn-client-secret", [CALLBACK], "microsoft", cloud="cn")
    url = world.authorize_url(
        "/cn/common/oauth2/v2.0/authorize",
        f"openid offline_access {smtp} {graph}",
        {"client_id": "cn-client"},
    )
    token = "/cn/common/oauth2/v2.0/token"

    tokens = world.redeem(token, world.consent(url, "anna@contoso.example"), "cn-client", scope=smtp).json()
    refreshed = world.refresh(token, tokens["refresh_token"], "cn-client", scope=graph).json()

    claims = jwt.decode(tokens["id_token"], RSAKey.import_key(_published(world)), algorithms=["RS256"]).claims
    assert claims["iss"] == f"{world.provider.url}/cn/{claims['tid']}/v2.0"
    assert world.control.introspect(tokens["access_token"])["aud"] == "https://partner.outlook.cn"
    assert refreshed["scope"] == f"openid {graph}"


def _published(world: World) -> Any:
    keys = world.http.get(f"{world.provider.url}/cn/common/discovery/v2.0/keys", timeout=10).json()
    return keys["keys"][0]


def delegated(world: World, key: ServiceAccountKey, subject: str | None, *scopes: str) -> Any:
    """google-auth's credentials of the service account, refreshed."""
    credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
        key.values | {"token_uri": f"{world.provider.url}/token"}, scopes=scopes or [GMAIL], subject=subject
    )
    credentials.refresh(google.auth.transport.requests.Request(world.http))
    return credentials


def test_a_service_account_acts_for_people_of_a_domain_that_allows_it(
    world: World, key: ServiceAccountKey
) -> None:
    world.control.register_service_account(key.values, key.public, {"acme.example": [GMAIL]})

    found = world.control.introspect(delegated(world, key, "dora@acme.example").token)

    assert (found["active"], found["user"], found["scope"]) == (True, "dora@acme.example", GMAIL)
    assert found["client_id"] == key.values["client_id"]


def test_a_service_account_without_a_subject_acts_for_itself(world: World, key: ServiceAccountKey) -> None:
    world.control.register_service_account(key.values, key.public, {})

    found = world.control.introspect(delegated(world, key, None).token)

    assert found["user"] == key.values["client_email"]


@pytest.mark.parametrize(
    ("subject", "scope", "error"),
    [
        ("nobody@acme.example", GMAIL, "invalid_grant: Invalid email or User ID"),
        ("bob@gmail.example", GMAIL, "unauthorized_client: Client is unauthorized"),
        ("dora@acme.example", "https://www.googleapis.com/auth/calendar", "unauthorized_client: Client is"),
    ],
)
def test_a_service_account_is_refused(
    world: World, key: ServiceAccountKey, subject: str, scope: str, error: str
) -> None:
    world.control.register_service_account(key.values, key.public, {"acme.example": [GMAIL]})

    with pytest.raises(RefreshError) as refused:
        delegated(world, key, subject, scope)

    assert str(refused.value).startswith(f"('{error}")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, None),
        ({"aud": "https://example.com"}, "Invalid JWT: Failed audience check."),
        ({"exp": int(time.time()) + 7200}, "Invalid JWT: Token must be a short-lived token"),
        ({"exp": 1}, "Invalid JWT: Token must be a short-lived token"),
        ({"iss": "nobody@project.iam.gserviceaccount.com"}, "Invalid grant: account not found"),
        ({"signer": "another"}, "Invalid JWT Signature."),
    ],
)
def test_a_service_accounts_assertion_is_looked_at(
    world: World, key: ServiceAccountKey, changes: dict[str, Any], error: str | None
) -> None:
    world.control.register_service_account(key.values, key.public, {"acme.example": [GMAIL]})
    signer = ServiceAccountKey.create().values if changes.pop("signer", "") else key.values
    now = int(time.time())
    said = {
        "iss": key.values["client_email"],
        "sub": "dora@acme.example",
        "scope": GMAIL,
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now,
        "exp": now + 3600,
    } | changes
    assertion = jwt.encode({"alg": "RS256"}, said, RSAKey.import_key(signer["private_key"]))

    answer: requests.Response = world.post(
        "/token", {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    )

    assert answer.ok == (error is None)
    assert str(answer.json().get("error_description", "")).startswith(error or "")


def test_the_log_names_whom_a_service_account_acts_for(world: World, key: ServiceAccountKey) -> None:
    world.control.register_service_account(key.values, key.public, {"acme.example": [GMAIL]})
    world.control.inject("token", error="invalid_client", user="dora@acme.example", times=None)

    with pytest.raises(RefreshError):
        delegated(world, key, "dora@acme.example")

    logged = world.control.token_requests()[-1]
    assert (logged.user, logged.client_id) == ("dora@acme.example", key.values["client_id"])


def test_an_application_in_testing_is_told_how_long_its_refresh_token_lives(world: World) -> None:
    world.control.register_client(
        "g-client", "g-client-secret", [CALLBACK], "google", refresh_lifetime=604_800
    )

    tokens: dict[str, Any] = dict(world.google_tokens())
    refreshed = world.refresh("/token", tokens["refresh_token"], "g-client").json()

    assert tokens["refresh_token_expires_in"] == 604_800
    assert 604_700 < refreshed["refresh_token_expires_in"] <= 604_800
