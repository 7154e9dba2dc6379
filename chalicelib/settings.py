"""What a deployment sets: the only reader of the environment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from chalicelib.errors import ConfigurationError

Network = IPv4Network | IPv6Network

REQUIRED = ("STAGE", "AWS_REGION", "BUCKET")

_QUEUE_URL = re.compile(r"https?://\S+")
_KEY_ARN = re.compile(r"arn:[a-z-]+:kms:\S+")

SHAPES = {
    "STAGE": re.compile(r"[a-z][a-z0-9]{0,15}"),
    "AWS_REGION": re.compile(r"[a-z0-9-]{1,32}"),
    "BUCKET": re.compile(r"[a-z0-9.-]{1,63}"),
    "RELAY_QUEUE_URL": _QUEUE_URL,
    "REFRESH_QUEUE_URL": _QUEUE_URL,
    "RESCUE_QUEUE_URL": _QUEUE_URL,
    "GRANTS_KEY_ARN": _KEY_ARN,
    "ACCESS_TOKENS_KEY_ARN": _KEY_ARN,
    "PUBLIC_URL_PARAMETER": re.compile(r"/\S+"),
    "EXTRA_CA": re.compile(r"\s*-----BEGIN CERTIFICATE-----.+-----END CERTIFICATE-----\s*", re.DOTALL),
}
"""Variable → what it looks like where it is set."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between deployments. Names of tables and functions follow from the stage.

    `provider_endpoints` replaces parts of the catalogue, by provider name (the sandbox does so);
    `extra_ca` is PEM text of certificate authorities that are trusted besides the usual ones;
    `allowed_private_networks` are the only private addresses that may be connected to.
    `address_in_events` allows the events on the bus to name the mailbox, whoever may read them there;
    `log_addresses` allows the logs to name senders, recipients and subjects.
    `package` is the SHA-256 of the package that runs.
    A queue URL or key ARN that a function has no right to use is an empty string there.
    """

    stage: str
    region: str
    bucket: str
    relay_queue_url: str = ""
    refresh_queue_url: str = ""
    rescue_queue_url: str = ""
    grants_key_arn: str = ""
    access_tokens_key_arn: str = ""
    public_url_parameter: str = ""
    provider_endpoints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extra_ca: str = ""
    allowed_private_networks: tuple[Network, ...] = ()
    address_in_events: bool = False
    log_addresses: bool = False
    package: str = ""

    def table(self, noun: str) -> str:
        """The name of a table, for example ``mailgrant-prod-accounts``."""
        return f"mailgrant-{self.stage}-{noun}"

    def function(self, noun: str) -> str:
        """The name of a Lambda function, for example ``mailgrant-prod-connect``."""
        return f"mailgrant-{self.stage}-{noun}"

    def secret_name(self, connector: str) -> str:
        """The Secrets Manager name of a connector's credential."""
        return f"mailgrant-{self.stage}/connector/{connector}"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Reads the environment.

        Raises ConfigurationError that names every variable that is missing or malformed, all at once.
        """
        found = os.environ if env is None else env
        if problems := list(_problems(found)):
            raise ConfigurationError(f"The environment cannot be used: {'; '.join(problems)}")
        return cls(
            stage=found["STAGE"],
            region=found["AWS_REGION"],
            bucket=found["BUCKET"],
            relay_queue_url=found.get("RELAY_QUEUE_URL", ""),
            refresh_queue_url=found.get("REFRESH_QUEUE_URL", ""),
            rescue_queue_url=found.get("RESCUE_QUEUE_URL", ""),
            grants_key_arn=found.get("GRANTS_KEY_ARN", ""),
            access_tokens_key_arn=found.get("ACCESS_TOKENS_KEY_ARN", ""),
            public_url_parameter=found.get("PUBLIC_URL_PARAMETER", ""),
            provider_endpoints=_endpoints(found.get("PROVIDER_ENDPOINTS", "")),
            extra_ca=found.get("EXTRA_CA", ""),
            allowed_private_networks=_networks(found.get("ALLOWED_PRIVATE_NETWORKS", "")),
            address_in_events=_yes(found.get("ADDRESS_IN_EVENTS", "")),
            log_addresses=_yes(found.get("LOG_ADDRESSES", "")),
            package=found.get("PACKAGE", "").removesuffix(".zip"),
        )


def entry_point(env: Mapping[str, str] | None = None) -> str | None:
    """What this process was started for, as Lambda names it: ``send`` for the handler ``app.send``.

    The functions with HTTP are ``app``; None outside Lambda.
    """
    found = os.environ if env is None else env
    return found.get("_HANDLER", "").rpartition(".")[2] or None


def _problems(found: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the environment, a variable each."""
    for name in REQUIRED:
        if not found.get(name):
            yield f"{name} is not set"
    for name, shape in SHAPES.items():
        if found.get(name) and not shape.fullmatch(found[name]):
            yield f"{name} is malformed"
    readers: dict[str, Callable[[str], object]] = {
        "PROVIDER_ENDPOINTS": _endpoints,
        "ALLOWED_PRIVATE_NETWORKS": _networks,
        "ADDRESS_IN_EVENTS": _yes,
        "LOG_ADDRESSES": _yes,
    }
    for name, read in readers.items():
        try:
            read(found.get(name, ""))
        except (ValueError, RecursionError) as error:
            yield f"{name} is malformed ({error})"


def _endpoints(text: str) -> dict[str, dict[str, Any]]:
    """Facts by provider, from JSON. Raises ValueError."""
    value = json.loads(text or "{}")
    if not isinstance(value, dict) or not all(isinstance(facts, dict) for facts in value.values()):
        raise ValueError("it is not a JSON object of objects")
    return value


def _networks(text: str) -> tuple[Network, ...]:
    """The networks, separated by commas. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _yes(text: str) -> bool:
    """Whether a switch is on; empty is off. Raises ValueError."""
    if text not in ("", "true", "false"):
        raise ValueError("it is neither true nor false")
    return text == "true"
