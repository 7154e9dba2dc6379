"""The environment and the provider facts of a deployment: what is missing or malformed is named at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.errors import ConfigurationError
from chalicelib.providers.catalogue import Catalogue
from chalicelib.settings import Settings, entry_point

GOOD = {"STAGE": "prod", "AWS_REGION": "eu-west-1", "BUCKET": "mailgrant-prod"}


def refusal(**changes: str) -> str:
    """What is said of the environment with these changes."""
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({**GOOD, **changes})
    return str(caught.value)


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({"AWS_REGION": "", "PATH": "/bin"})

    assert [name for name in GOOD if f"{name} is not set" in str(caught.value)] == list(GOOD)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STAGE", "Prod"),
        ("STAGE", "a" * 17),
        ("STAGE", "a-b"),
        ("STAGE", "prod\n"),
        ("AWS_REGION", "eu west"),
        ("BUCKET", "Bucket/Key"),
        ("RELAY_QUEUE_URL", "mailgrant-relay"),
        ("REFRESH_QUEUE_URL", "file:///etc/passwd"),
        ("GRANTS_KEY_ARN", "alias/grants"),
        ("PUBLIC_URL_PARAMETER", "https://mail.example"),
        ("EXTRA_CA", "/etc/ssl/ca.pem"),
        ("PROVIDER_ENDPOINTS", "{"),
        ("PROVIDER_ENDPOINTS", "[]"),
        ("PROVIDER_ENDPOINTS", '{"google": "https://x"}'),
        ("PROVIDER_ENDPOINTS", "[" * 100_000),
        ("ALLOWED_PRIVATE_NETWORKS", "loopback"),
        ("ALLOWED_PRIVATE_NETWORKS", "10.0.0.1/8"),
        ("ALLOWED_PRIVATE_NETWORKS", "10.0.0.0/8;192.168.0.0/16"),
        ("ALLOWED_PRIVATE_NETWORKS", "10.0.0.0/33"),
        ("ADDRESS_IN_EVENTS", "yes"),
        ("LOG_ADDRESSES", "1"),
    ],
)
def test_a_malformed_variable_is_named(name: str, value: str) -> None:
    assert f"{name} is malformed" in refusal(**{name: value})


def test_all_that_is_malformed_is_named_at_once() -> None:
    said = refusal(STAGE="Canary", EXTRA_CA="canary", ALLOWED_PRIVATE_NETWORKS="10.0.0.0/33", BUCKET="")

    assert "canary" not in said.lower()
    for name in ("STAGE", "EXTRA_CA", "ALLOWED_PRIVATE_NETWORKS", "BUCKET"):
        assert name in said


def test_nobody_is_named_unless_that_is_switched_on() -> None:
    usual, allowed = Settings.from_env(GOOD), Settings.from_env({**GOOD, "LOG_ADDRESSES": "true"})

    assert (usual.log_addresses, usual.address_in_events) == (False, False)
    assert (allowed.log_addresses, allowed.address_in_events) == (True, False)


def test_networks_may_stand_apart_and_of_both_versions() -> None:
    found = Settings.from_env({**GOOD, "ALLOWED_PRIVATE_NETWORKS": "10.0.0.0/8, fc00::/7,"})

    assert [str(network) for network in found.allowed_private_networks] == ["10.0.0.0/8", "fc00::/7"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token", "http://oauth2.googleapis.com/token"),
        ("token", "https://user@evil.example/token"),
        ("token", "https://evil.example/token#x"),
        ("jwks", "https://evil.example\\@good.example/"),
        ("issuer", ""),
        ("authorize", 7),
        ("smtp_host", ""),
        ("smtp_host", "smtp\r\nhost"),
        ("smtp_port", "587"),
        ("smtp_port", True),
        ("max_connections", 0),
        ("max_size", -1),
        ("max_recipients", None),
        ("scopes", "mail"),
        ("scopes", []),
        ("scopes", [1]),
    ],
)
def test_a_fact_that_a_provider_cannot_have_is_named(name: str, value: Any) -> None:
    settings = Settings.from_env({**GOOD, "PROVIDER_ENDPOINTS": json.dumps({"google": {name: value}})})

    with pytest.raises(ConfigurationError, match=f"google cannot have this {name}"):
        Catalogue(settings.provider_endpoints)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"hotmail": {}}, "hotmail"),
        ({"google": {"tokens": "https://x"}}, "tokens"),
        ({"google": {"name": "x"}}, "name"),
    ],
)
def test_a_provider_or_a_fact_that_does_not_exist_is_named(overrides: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Catalogue(overrides)


@pytest.mark.parametrize(
    ("handler", "expected"), [("app.send", "send"), ("app.app", "app"), ("", None)], ids=str
)
def test_the_entry_point_is_what_lambda_was_told_to_run(handler: str, expected: str | None) -> None:
    assert entry_point({"_HANDLER": handler}) == expected
    assert entry_point({}) is None
