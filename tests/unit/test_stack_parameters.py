"""The parameters of the stacks: what cannot be a value is refused before anything is deployed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.certs import Authority

STACKS = Path(__file__).resolve().parents[2] / ".chalice"


class Loader(yaml.SafeLoader):
    """Reads a template; what its functions stand for does not matter here."""


Loader.add_multi_constructor("!", lambda *_: None)


def parameters(stack: str) -> dict[str, dict[str, Any]]:
    """The parameters of a stack by name."""
    template = yaml.load((STACKS / f"{stack}-stack.yaml").read_text(), Loader)  # noqa: S506 - it is a SafeLoader
    found: dict[str, dict[str, Any]] = template["Parameters"]
    return found


def takes(stack: str, name: str, value: str) -> bool:
    """Whether CloudFormation takes the value: it compares the whole of it with the pattern."""
    parameter = parameters(stack)[name]
    fits = re.fullmatch(parameter["AllowedPattern"], value) is not None
    return fits and len(value) <= parameter.get("MaxLength", 4096)


@pytest.mark.parametrize("stack", ["app", "data"])
def test_every_parameter_says_what_it_takes(stack: str) -> None:
    for name, parameter in parameters(stack).items():
        bounds = {"AllowedPattern", "AllowedValues", "MinValue"} & parameter.keys()

        assert bounds, name
        assert "AllowedPattern" not in bounds or parameter["ConstraintDescription"], name


def test_every_default_is_a_value() -> None:
    for name, parameter in parameters("app").items():
        if "AllowedPattern" in parameter and "Default" in parameter:
            assert takes("app", name, parameter["Default"]), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Stage", "prod2"),
        ("ArtifactBucket", "mailgrant-artifacts-123456789012-eu-west-1"),
        ("ArtifactKey", "a" * 64 + ".zip"),
        ("PublicUrl", "https://mail.example.com"),
        ("PublicUrl", "https://127.0.0.1:8443/api"),
        ("SendAlias", "orders-2"),
        ("ProviderEndpoints", '{\n"google": {"token": "https://x.example"}}'),
        ("AllowedPrivateNetworks", "10.1.0.0/16, fc00::/7,127.0.0.0/8"),
    ],
)
def test_a_good_value_is_taken(name: str, value: str) -> None:
    assert takes("app", name, value)


def test_one_authority_or_several_are_taken_and_no_key(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

    assert takes("app", "ExtraCa", authority.pem)
    assert takes("app", "ExtraCa", authority.pem * 2)
    assert not takes("app", "ExtraCa", key)
    assert not takes("app", "ExtraCa", "/etc/ssl/ca.pem")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Stage", "Prod"),
        ("Stage", "2prod"),
        ("Stage", "a" * 17),
        ("Stage", ""),
        ("ArtifactBucket", "s3://bucket"),
        ("ArtifactKey", "package.zip"),
        ("PublicUrl", "http://mail.example.com"),
        ("PublicUrl", "https://mail.example.com/"),
        ("PublicUrl", "https://me@mail.example.com"),
        ("PublicUrl", "https://mail.example.com?x=1"),
        ("PublicUrl", "https://mail.example.com\r\nX: y"),
        ("SendAlias", "12"),
        ("SendAlias", "a b"),
        ("SendAlias", "a" * 129),
        ("ProviderEndpoints", "[]"),
        ("ProviderEndpoints", ""),
        ("AllowedPrivateNetworks", "loopback"),
        ("AllowedPrivateNetworks", "10.1.0.0"),
        ("AllowedPrivateNetworks", "10.1.0.0/16;10.2.0.0/16"),
    ],
)
def test_a_value_that_cannot_be_is_refused(name: str, value: str) -> None:
    assert not takes("app", name, value)
